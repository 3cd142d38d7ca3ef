// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Makes PatternFly's style sheets small: drops rules whose classes the page never names, then custom properties that
// nothing refers to any more. Works on minified CSS as esbuild writes it.

/** Splits "a{…}b{…}" at its top level into [prelude, body] pairs; a statement without a body has null. */
function* statements(css) {
    let start = 0, depth = 0, open = -1, quote = "";

    for (let i = 0; i < css.length; i++) {
        const c = css[i];

        if (quote) {
            if (c === "\\")
                i++;
            else if (c === quote)
                quote = "";
        } else if (c === '"' || c === "'") {
            quote = c;
        } else if (c === "{") {
            if (depth++ === 0)
                open = i;
        } else if (c === "}") {
            if (--depth === 0) {
                yield [css.slice(start, open), css.slice(open + 1, i)];
                start = i + 1;
            }
        } else if (c === ";" && depth === 0) {
            yield [css.slice(start, i), null];
            start = i + 1;
        }
    }
}

/** Splits at a separator that is in no bracket and no string. */
function split(text, separator) {
    const parts = [];
    let depth = 0, quote = "", part = "";

    for (let i = 0; i < text.length; i++) {
        const c = text[i];

        if (quote) {
            if (c === "\\")
                part += text[i++];
            else if (c === quote)
                quote = "";
        } else if (c === '"' || c === "'") {
            quote = c;
        } else if (c === "(" || c === "[") {
            depth++;
        } else if (c === ")" || c === "]") {
            depth--;
        } else if (c === separator && depth === 0) {
            parts.push(part);
            part = "";
            continue;
        }
        part += text[i];
    }
    return [...parts, part].filter(p => p !== "");
}

/** The pseudo-classes of a selector that take selectors, outermost ones only: [whole text, name, arguments]. */
function* functional(selector) {
    const start = /:(not|is|where|has)\(/g;

    for (let match; (match = start.exec(selector));) {
        let end = start.lastIndex, depth = 1;

        for (; depth > 0 && end < selector.length; end++)
            depth += selector[end] === "(" ? 1 : selector[end] === ")" ? -1 : 0;
        yield [selector.slice(match.index, end), match[1], selector.slice(start.lastIndex, end - 1)];
        start.lastIndex = end;
    }
}

/** Can it match anything, where only the classes that are used occur? */
function possible(selector, used) {
    let bare = selector;

    for (const [whole, name, list] of functional(selector)) {
        bare = bare.replace(whole, "");
        if (name !== "not" && !split(list, ",").some(alternative => possible(alternative, used)))
            return false;
    }
    return [...bare.matchAll(/\.((?:\\.|[\w-])+)/g)].every(match => used(match[1].replace(/\\/g, "")));
}

function pruneRules(css, used) {
    let kept = "";

    for (const [prelude, body] of statements(css)) {
        if (body === null) {
            kept += `${prelude};`;
        } else if (/^@(media|supports|layer|container)/.test(prelude.trim())) {
            const inner = pruneRules(body, used);

            kept += inner ? `${prelude}{${inner}}` : "";
        } else if (prelude.trim().startsWith("@")) {
            kept += `${prelude}{${body}}`;
        } else {
            const selectors = split(prelude, ",").filter(selector => possible(selector, used));

            kept += selectors.length ? `${selectors.join(",")}{${body}}` : "";
        }
    }
    return kept;
}

function dropUnused(css, referred) {
    let kept = "";

    for (const [prelude, body] of statements(css)) {
        if (body === null) {
            kept += `${prelude};`;
        } else if (/^@(media|supports|layer|container)/.test(prelude.trim())) {
            const inner = dropUnused(body, referred);

            kept += inner ? `${prelude}{${inner}}` : "";
        } else if (prelude.trim().startsWith("@")) {
            kept += `${prelude}{${body}}`;
        } else {
            const declarations = split(body, ";").filter(declaration => {
                const name = declaration.slice(0, declaration.indexOf(":")).trim();

                return !name.startsWith("--") || referred.has(name);
            });

            kept += declarations.length ? `${prelude}{${declarations.join(";")}}` : "";
        }
    }
    return kept;
}

export function prune(css, script) {
    // A class counts as used if its name occurs in the script as a word; PatternFly's tables of class names are in there
    // as far as components refer to them, so that this errs on the side of keeping.
    const words = new Set(script.match(/[\w-]+/g));
    const used = name => !/^pf-(v6|m|t)-/.test(name) || words.has(name);
    let result = pruneRules(css.replace(/\/\*[^]*?\*\//g, ""), used);

    for (;;) {
        const referred = new Set([...result.matchAll(/var\((--[\w-]+)/g)].map(match => match[1]));
        const inScript = script.match(/--pf-[\w-]+/g) ?? [];

        inScript.forEach(name => referred.add(name));
        const next = dropUnused(result, referred);

        if (next.length === result.length)
            return result;
        result = next;
    }
}
