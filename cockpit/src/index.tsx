// SPDX-License-Identifier: LGPL-2.1-or-later

import { createRoot } from "react-dom/client";

import "@patternfly/patternfly/base/patternfly-variables.css";
import "@patternfly/patternfly/base/patternfly-common.css";

import { CockpitBus, CockpitNames } from "./bus.ts";
import { Daemon } from "./daemon.ts";
import { followTheme } from "./theme.ts";
import { App } from "./ui/app.tsx";
import { Root } from "./ui/hooks.tsx";

// Last: it has the last word.
import "./ui/page.css";

followTheme();
cockpit!.translate();
document.documentElement.lang = (cockpit!.language || "en").replace("_", "-");

const daemon = new Daemon(() => new CockpitBus(), new CockpitNames());

createRoot(document.getElementById("app")!).render(<Root daemon={daemon}><App /></Root>);
