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
import "./tests.mjs";
import "./states.mjs";
import { tests } from "./steps.mjs";

const run = promisify(execFile);
const COCKPIT = path.join(ROOT, "cockpit");
const LIMIT_MS = 300_000;

/** git takes a clone that is another user's as well. */
const ENV = { ...process.env, GIT_CONFIG_COUNT: "1", GIT_CONFIG_KEY_0: "safe.directory", GIT_CONFIG_VALUE_0: "*" };

let number = 0, failed = 0;

function report(name, error, took) {
    const seconds = took === undefined ? "" : ` # ${(took / 1000).toFixed(1)} s`;

    console.log(`${error ? "not ok" : "ok"} ${++number} ${name.replaceAll(/#(?! SKIP)/g, "")}${seconds}`);
    if (!error)
        return;
    failed++;
    for (const line of String(error.stack ?? error).split("\n"))
        console.log(`# ${line}`);
}

async function command(name, program, ...args) {
    try {
        return (await run(program, args, { cwd: COCKPIT, env: ENV, maxBuffer: 1 << 26 })).stdout;
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

/** A release brings the page built: where nothing can be fetched, it is installed all the same. */
async function checkRelease(work) {
    const name = "a release has the page, and needs no network to install it";
    const [git, release, built] = ["git", "release", "release-build"].map(folder => path.join(work, folder));
    const options = ["-Dcockpit=enabled", "-Ddocs=disabled", "-Dtests=false"];

    if (!fs.existsSync(path.join(ROOT, ".git"))) {
        report(`${name} # SKIP not out of git`);
        return;
    }
    fs.mkdirSync(release);
    for (const words of [["meson", "setup", git, ROOT, ...options],
                         ["meson", "dist", "-C", git, "--no-tests", "--allow-dirty", "--formats", "gztar"],
                         ["sh", "-c", `tar -xzf ${git}/meson-dist/*.tar.gz -C ${release} --strip-components=1`],
                         ["unshare", "--net", "meson", "setup", built, release, ...options]])
        if (await command(name, ...words) === null)
            return;
    const installed = Object.values(JSON.parse(await command(name, "meson", "introspect", "--installed", built) ?? "{}"));
    const there = file => fs.existsSync(path.join(release, "cockpit", file));

    report(name, (!installed.some(place => place.endsWith("/cockpit/mdevgpu")) || !there("dist/index.js") || there("node_modules")) &&
        `installed are ${installed}`);
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
            await each.destroy().catch(e => { error ??= e; });
    }
    report(`browser: ${name}`, error, Date.now() - began);
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
        await checkRelease(work);
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
