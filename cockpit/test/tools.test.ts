// SPDX-License-Identifier: LGPL-2.1-or-later

import assert from "node:assert/strict";
import { test } from "node:test";

// @ts-expect-error plain JavaScript, as the build runs it
import { compilePo, parsePo } from "../tools/po.js";
// @ts-expect-error the same
import { prune } from "../tools/prune.js";

const PO = `msgid ""
msgstr ""
"Language: de\\n"
"Plural-Forms: nplurals=2; plural=(n != 1);\\n"

#: src/a.tsx:1
msgid "Start"
msgstr "Starten"

#, fuzzy
msgid "Stop"
msgstr "Vielleicht"

msgid "$0 vGPU"
msgid_plural "$0 vGPUs"
msgstr[0] "$0 vGPU"
msgstr[1] "$0 vGPUs"
`;

test("translations become what cockpit.js loads, without those that are in doubt", () => {
    let loaded: Record<string, unknown> = {};

    new Function("cockpit", compilePo(PO))({ locale: (data: Record<string, unknown>) => { loaded = data; } });
    assert.deepEqual(loaded.Start, [null, "Starten"]);
    assert.deepEqual(loaded["$0 vGPU"], ["$0 vGPUs", "$0 vGPU", "$0 vGPUs"]);
    assert.equal("Stop" in loaded, false);
    assert.equal((loaded[""] as { language: string }).language, "de");
    assert.throws(() => compilePo(PO.replace("(n != 1)", "alert()")));
    assert.equal(parsePo(PO).length, 4);
});

test("style sheets keep what is used, in whatever brackets", () => {
    const css = ":root{--a:1;--b:var(--a);--unused:2}.pf-v6-c-x{color:var(--b)}.pf-v6-c-y{color:red}" +
        ".pf-v6-c-x:where(.pf-v6-c-y){color:blue}.pf-v6-c-x:not(.pf-v6-c-y){margin:0}@media print{.pf-v6-c-y{color:red}}.own{top:0}";

    assert.equal(prune(css, "'pf-v6-c-x'"), ":root{--a:1;--b:var(--a)}.pf-v6-c-x{color:var(--b)}.pf-v6-c-x:not(.pf-v6-c-y){margin:0}.own{top:0}");
});
