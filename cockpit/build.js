#!/usr/bin/env node
// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Builds the page into dist/ (or --out DIR) from src/, po/ and node_modules. --tests: bundles the unit tests instead, into
// dist-tests/. Nothing is fetched.

import { build } from "esbuild";
import fs from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import zlib from "node:zlib";

import { compilePo } from "./tools/po.js";
import { prune } from "./tools/prune.js";

const HERE = path.dirname(fileURLToPath(import.meta.url));
const CALLED_FROM = process.cwd();
process.chdir(HERE);

/** What the page may weigh, in bytes of gzip, scripts and styles together. */
const LIMIT = 150_000;

function argument(name) {
    const at = process.argv.indexOf(name);

    return at < 0 ? undefined : process.argv[at + 1];
}

/** A tenth of the scripts would be for tooltips that are never shown. */
const noTooltip = {
    name: "no-tooltip",
    setup(builder) {
        builder.onResolve({ filter: /\/Tooltip(\/Tooltip|\/index)?$/ }, () => ({ path: path.resolve("src/ui/no-tooltip.tsx") }));
    },
};

async function bundleTests() {
    const entries = fs.readdirSync("test").filter(name => name.endsWith(".test.ts"));

    fs.rmSync("dist-tests", { recursive: true, force: true });
    await build({
        absWorkingDir: HERE,
        entryPoints: entries.map(name => `test/${name}`), outdir: "dist-tests", outExtension: { ".js": ".mjs" },
        bundle: true, format: "esm", platform: "node", target: "node18", logLevel: "warning",
    });
}

async function bundlePage(out) {
    const { outputFiles } = await build({
        absWorkingDir: HERE,
        entryPoints: { index: "src/index.tsx" }, outdir: out, write: false,
        bundle: true, minify: true, target: ["es2020"], jsx: "automatic", legalComments: "none", logLevel: "warning",
        define: { "process.env.NODE_ENV": '"production"' },
        // Pictures of themes that Cockpit does not have; fonts are Cockpit's own.
        loader: { ".svg": "empty" },
        external: ["../../static/*"],
        plugins: [noTooltip],
        banner: { js: "/* SPDX-License-Identifier: LGPL-2.1-or-later */", css: "/* SPDX-License-Identifier: LGPL-2.1-or-later */" },
    });
    const text = extension => outputFiles.find(file => file.path.endsWith(extension)).text;

    return { js: text(".js"), css: prune(text(".css"), text(".js")) };
}

function weigh(text) {
    return zlib.gzipSync(text, { level: 9 }).length;
}

async function page() {
    const out = argument("--out") ? path.resolve(CALLED_FROM, argument("--out")) : path.resolve("dist");
    const { js, css } = await bundlePage(out);

    fs.mkdirSync(out, { recursive: true });
    fs.writeFileSync(path.join(out, "index.js"), js);
    fs.writeFileSync(path.join(out, "index.css"), css);
    for (const name of ["index.html", "manifest.json"])
        fs.copyFileSync(path.join("src", name), path.join(out, name));
    for (const name of fs.readdirSync("po").filter(file => file.endsWith(".po"))) {
        const language = path.basename(name, ".po");

        fs.writeFileSync(path.join(out, `po.${language}.js`), compilePo(fs.readFileSync(path.join("po", name), "utf8")));
    }

    const [scripts, styles] = [weigh(js), weigh(css)];
    console.log(`index.js ${scripts} bytes of gzip, index.css ${styles}, together ${scripts + styles} of ${LIMIT}`);
    if (scripts + styles > LIMIT) {
        console.error("The page has become too heavy.");
        process.exit(1);
    }
}

await (process.argv.includes("--tests") ? bundleTests() : page());
