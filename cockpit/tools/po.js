// SPDX-License-Identifier: LGPL-2.1-or-later
//
// gettext's files, as far as this page needs them: reads a .po, writes what cockpit.js loads as po.LANGUAGE.js.

/** @returns {{ id: string, plural: string, texts: string[], fuzzy: boolean }[]} */
export function parsePo(text) {
    const entries = [];
    let entry, field;

    const finish = () => {
        if (entry && entry.id !== undefined)
            entries.push(entry);
        entry = undefined;
    };

    for (const [number, raw] of text.split("\n").entries()) {
        const line = raw.trim();
        const keyword = /^(msgid_plural|msgid|msgstr)(?:\[(\d)\])?\s+(".*")$/.exec(line);

        if (line === "") {
            finish();
        } else if (line.startsWith("#")) {
            if (line.startsWith("#,") && line.includes("fuzzy"))
                entry = { plural: "", texts: [], fuzzy: true };
        } else if (keyword) {
            const [, name, index, value] = keyword;

            entry ??= { plural: "", texts: [], fuzzy: false };
            field = { entry, name, index: Number(index ?? 0) };
            append(field, JSON.parse(value));
        } else if (line.startsWith('"') && field) {
            append(field, JSON.parse(line));
        } else {
            throw new Error(`line ${number + 1} is not gettext's: ${line}`);
        }
    }
    finish();
    return entries;
}

function append({ entry, name, index }, text) {
    if (name === "msgid")
        entry.id = (entry.id ?? "") + text;
    else if (name === "msgid_plural")
        entry.plural += text;
    else
        entry.texts[index] = (entry.texts[index] ?? "") + text;
}

export function compilePo(text) {
    const entries = parsePo(text);
    const header = entries.find(entry => entry.id === "")?.texts[0] ?? "";
    const field = name => new RegExp(`^${name}:\\s*(.*)$`, "mi").exec(header)?.[1] ?? "";
    const plural = /plural=([^;]+)/.exec(field("Plural-Forms"))?.[1] ?? "n != 1";

    if (!/^[\sn0-9!=<>%&|?:()+-]+$/.test(plural))
        throw new Error(`Plural-Forms is no formula of n: ${plural}`);
    const language = field("Language");
    const members = [
        `"":{"plural-forms":n=>${plural},"language":${JSON.stringify(language)},"language-direction":"ltr"}`,
        ...entries.filter(entry => entry.id !== "" && !entry.fuzzy && entry.texts.some(t => t))
            .map(entry => `${JSON.stringify(entry.id)}:${JSON.stringify([entry.plural || null, ...entry.texts])}`),
    ];

    return `cockpit.locale({${members.join(",\n")}});\n`;
}
