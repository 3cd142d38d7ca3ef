#!/usr/bin/env node
// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Called by "meson dist": puts the built page into the release, so that a build from that needs neither npm nor a network.

import { execFileSync } from "node:child_process";
import path from "node:path";
import { fileURLToPath } from "node:url";

const build = path.join(path.dirname(fileURLToPath(import.meta.url)), "../build.js");

execFileSync(process.execPath, [build, "--out", path.join(process.env.MESON_DIST_ROOT, "cockpit/dist")], { stdio: "inherit" });
