// SPDX-License-Identifier: LGPL-2.1-or-later
//
// What tests/browser/run starts: checks what the page is made of, builds it, runs the unit tests and then those in the
// browser. Says what came of it in TAP.

import { execFile } from "node:child_process";
import fs from "node:fs";
import path from "node:path";
import { promisify } from "node:util";

import { Rig, ROOT, closeBrowser } from "./rig.mjs";
import { takeScreenshots } from "./screenshots.mjs";
import { tests } from "./tests.mjs";

const run = promisify(execFile);
const COCKPIT = path.join(ROOT, "cockpit");
const LIMIT_MS = 300_000;

let number = 0, failed = 0;

function report(name, error) {
    console.log(`${error ? "not ok" : "ok"} ${++number} ${name.replaceAll("#", "")}`);
    if (!error)
        return;
    failed++;
    for (const line of String(error.stack ?? error).split("\n"))
        console.log(`# ${line}`);
}

async function command(name, program, ...args) {
    try {
        return (await run(program, args, { cwd: COCKPIT, maxBuffer: 1 << 26 })).stdout;
    } catch (error) {
        report(name, `${error.stdout}\n${error.stderr}`);
        return null;
    }
}

async function step(name, program, ...args) {
    const out = await command(name, program, ...args);

    if (out !== null)
        report(name);
    return out;
}

/** Of a lock file that names a host, another registry than that could not be used. */
function checkLock() {
    const lock = fs.readFileSync(path.join(COCKPIT, "package-lock.json"), "utf8");
    const hosts = lock.match(/"resolved".*|https?:\/\/[^"]*/g)?.filter(found => !found.includes("github.com/sponsors"));

    report("the lock file names no registry", hosts && `it has: ${hosts.join("\n")}`);
}

/** meson has to know each file that it installs. */
function checkLanguages() {
    const languages = fs.readdirSync(path.join(COCKPIT, "po")).filter(name => name.endsWith(".po")).map(name => path.basename(name, ".po"));
    const [, listed] = /foreach language : \[(.*)\]/.exec(fs.readFileSync(path.join(COCKPIT, "meson.build"), "utf8"));
    const known = [...listed.matchAll(/'(\w+)'/g)].map(([, language]) => language);

    report("each translation is installed", languages.sort().join() !== known.sort().join() && `po/ has ${languages}, meson.build ${known}`);
}

/** Each of the unit tests for itself: node 18 puts those of a file below that file's line, later ones do not. */
async function unitTests() {
    if (await command("the unit tests are bundled", "node", "build.js", "--tests") === null)
        return;
    const files = fs.readdirSync(path.join(COCKPIT, "dist-tests")).filter(name => name.endsWith(".mjs")).map(name => `dist-tests/${name}`);
    const { stdout } = await run("node", ["--test", "--test-reporter=tap", ...files], { cwd: COCKPIT }).catch(error => error);
    const results = [...(stdout ?? "").matchAll(/^ *(not )?ok \d+ - (.*)$/gm)].filter(([, , name]) => !name.endsWith(".mjs"));

    for (const [, bad, name] of results)
        report(`unit: ${name}`, bad && stdout);
    if (results.length === 0)
        report("unit tests", `none ran: ${stdout}`);
}

async function browserTest({ name, body }, programs) {
    const rigs = [];
    const rig = async options => {
        rigs.push(await Rig.create(programs, options));
        return rigs.at(-1);
    };
    const began = Date.now();
    let timer, error;
    const late = new Promise((_resolve, reject) => { timer = setTimeout(() => reject(new Error(`not done in ${LIMIT_MS / 1000} s`)), LIMIT_MS); });

    try {
        await Promise.race([body(rig), late]);
        const complaints = rigs.flatMap(each => each.complaints ?? []);

        if (complaints.length)
            throw new Error(`the browser complains: ${complaints.join("\n")}`);
    } catch (e) {
        error = new Error([e.stack ?? e, ...rigs.flatMap(each => [...each.complaints ?? [], each.logs()])].join("\n"));
        for (const [index, each] of rigs.entries())
            await each.page?.screenshot({ path: path.join(programs.work, `failed-${number + 1}-${index}.png`) }).catch(() => undefined);
    } finally {
        clearTimeout(timer);
        for (const each of rigs)
            await each.destroy();
    }
    report(`browser: ${name}`, error);
    console.log(`# ${((Date.now() - began) / 1000).toFixed(1)} s`);
}

function parse(args) {
    const options = { words: [] };

    while (args.length) {
        const word = args.shift();

        if (word === "--build" || word === "--screenshots")
            options[word.slice(2)] = path.resolve(args.shift() ?? "");
        else
            options.words.push(word);
    }
    if (!options.build) {
        console.error("run: --build is missing; see --help");
        process.exit(2);
    }
    return options;
}

async function main() {
    const options = parse(process.argv.slice(2));
    const chosen = tests.filter(({ name }) => options.words.every(word => name.includes(word)));
    const work = path.join(options.build, "browser");
    const programs = { daemon: path.join(options.build, "daemon/mdevgpud-sim"), ctl: path.join(options.build, "ctl/mdevgpuctl"),
                       page: path.join(work, "page"), work };

    fs.rmSync(work, { recursive: true, force: true });
    fs.mkdirSync(work, { recursive: true });
    if (options.words.length === 0) {
        checkLock();
        checkLanguages();
        await step("the types are right", "node_modules/.bin/tsc", "--noEmit");
        await step("what is to be translated is collected", "node", "tools/pot.js", "--check");
        await step("the AppStream metadata is valid", "appstreamcli", "validate", "--no-net", "org.mdevgpu1.cockpit.metainfo.xml");
        await unitTests();
    }
    if (await step("the page builds and is no heavier than it may be", "node", "build.js", "--out", programs.page) !== null) {
        for (const test of chosen)
            await browserTest(test, programs);
        if (options.screenshots)
            await takeScreenshots(programs, options.screenshots);
    }
    await closeBrowser();
    console.log(`1..${number}`);
    process.exit(failed ? 1 : 0);
}

await main();
