#!/usr/bin/env node
// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Collects what is to be translated into po/mdevgpu.pot. --check: only says whether that file and the translations are of now.

import fs from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import ts from "typescript";

import { parsePo } from "./po.js";

process.chdir(path.join(path.dirname(fileURLToPath(import.meta.url)), ".."));
const POT = "po/mdevgpu.pot";

function sources(folder) {
    return fs.readdirSync(folder, { withFileTypes: true }).flatMap(entry => {
        const name = path.join(folder, entry.name);

        return entry.isDirectory() ? sources(name) : /\.tsx?$/.test(name) && !name.endsWith(".d.ts") ? [name] : [];
    }).sort();
}

/** key → { id, plural, places } */
function collect() {
    const messages = new Map();
    const add = (place, id, plural = "") => {
        const message = messages.get(id) ?? { id, plural, places: [] };

        message.plural ||= plural;
        message.places.push(place);
        messages.set(id, message);
    };

    for (const name of sources("src")) {
        const file = ts.createSourceFile(name, fs.readFileSync(name, "utf8"), ts.ScriptTarget.Latest, true);
        const visit = node => {
            if (ts.isCallExpression(node) && ts.isIdentifier(node.expression)) {
                const strings = node.arguments.filter(ts.isStringLiteralLike).map(argument => argument.text);

                if (node.expression.text === "_" && strings.length === 1)
                    add(name, strings[0]);
                else if (node.expression.text === "ngettext" && strings.length === 2)
                    add(name, strings[0], strings[1]);
            }
            ts.forEachChild(node, visit);
        };

        visit(file);
    }
    add("src/manifest.json", JSON.parse(fs.readFileSync("src/manifest.json", "utf8")).menu.index.label);
    return messages;
}

function pot(messages) {
    const quote = text => JSON.stringify(text);
    const entries = [...messages.values()].map(({ id, plural, places }) => [
        `#: ${[...new Set(places)].join(" ")}`,
        ...(/\$\d/.test(id) ? ["#, javascript-format"] : []),
        `msgid ${quote(id)}`,
        ...(plural ? [`msgid_plural ${quote(plural)}`, 'msgstr[0] ""', 'msgstr[1] ""'] : ['msgstr ""']),
    ].join("\n"));

    return `# SPDX-License-Identifier: LGPL-2.1-or-later
msgid ""
msgstr ""
"Project-Id-Version: mdevgpud\\n"
"MIME-Version: 1.0\\n"
"Content-Type: text/plain; charset=UTF-8\\n"
"Content-Transfer-Encoding: 8bit\\n"
"Plural-Forms: nplurals=INTEGER; plural=EXPRESSION;\\n"

${entries.join("\n\n")}
`;
}

const messages = collect();

if (process.argv.includes("--check")) {
    let bad = fs.readFileSync(POT, "utf8") !== pot(messages);

    if (bad)
        console.error(`${POT} is not of now: npm run pot`);
    for (const name of fs.readdirSync("po").filter(file => file.endsWith(".po"))) {
        const entries = parsePo(fs.readFileSync(path.join("po", name), "utf8")).filter(entry => entry.id !== "");
        const known = new Set(entries.map(entry => entry.id));

        for (const id of [...messages.keys()].filter(key => !known.has(key)))
            console.log(`${name}: not translated: ${id}`);
        // What a translation leaves out or makes up would be shown as it is.
        const places = text => [...new Set(text.match(/\$\d/g))].sort().join();

        for (const { id, texts } of entries)
            for (const text of texts.filter(t => t && places(t) !== places(id))) {
                console.error(`${name}: other places than "${id}": ${text}`);
                bad = true;
            }
    }
    process.exit(bad ? 1 : 0);
}
fs.writeFileSync(POT, pot(messages));
