// SPDX-License-Identifier: LGPL-2.1-or-later
//
// What a test of the page stands on: a private bus, the real daemon over a simulated machine, polkitd if wanted, Cockpit's
// own web server and bridge, and a page in Chromium. Nothing of it is the system's; all of it ends with the test.

import { execFile, spawn } from "node:child_process";
import fs from "node:fs";
import { createRequire } from "node:module";
import net from "node:net";
import os from "node:os";
import path from "node:path";
import { promisify } from "node:util";

const HERE = import.meta.dirname ?? path.dirname(new URL(import.meta.url).pathname);
export const ROOT = path.resolve(HERE, "../..");
export const require = createRequire(path.join(ROOT, "cockpit/package.json"));
const { chromium } = require("playwright-core");

/** Long enough for a machine that does other things, too. */
export const TIMEOUT = 30_000;
const NOBODY = 65534;

const run = promisify(execFile);
const sleep = milliseconds => new Promise(resolve => setTimeout(resolve, milliseconds));

export async function until(what, condition, timeout = TIMEOUT) {
    const deadline = Date.now() + timeout;
    let last;

    for (;;) {
        try {
            const result = await condition();

            if (result)
                return result;
            last = undefined;
        } catch (error) {
            last = error;
        }
        if (Date.now() > deadline)
            throw new Error(`waited in vain for ${what}${last ? `: ${last.message ?? last}` : ""}`);
        await sleep(50);
    }
}

function freePort() {
    return new Promise((resolve, reject) => {
        const server = net.createServer();

        server.once("error", reject);
        server.listen(0, "127.0.0.1", () => {
            const { port } = server.address();

            server.close(() => resolve(port));
        });
    });
}

const busConfig = (dir, more) => `<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <listen>unix:path=${dir}/bus</listen>
  <auth>EXTERNAL</auth>
  <servicedir>${dir}/services</servicedir>
  <policy context="default">
    <allow user="*"/>
    <allow own="*"/>
    <allow send_destination="*" eavesdrop="true"/>
    <allow receive_sender="*"/>
  </policy>
  ${more}
</busconfig>
`;

const OPERATOR_RULE = `polkit.addRule(function(action, subject) {
    return action.id == "org.mdevgpu1.manage-vgpus" ? polkit.Result.YES : polkit.Result.NOT_HANDLED;
});
`;

let browser;

export async function openBrowser() {
    browser ??= await chromium.launch({
        executablePath: "/usr/bin/chromium", headless: true,
        args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-dev-shm-usage",
               "--disable-background-networking", "--disable-component-update", "--disable-sync"],
    });
    return browser;
}

export async function closeBrowser() {
    await browser?.close();
    browser = undefined;
}

export class Rig {
    /**
     * @param role "root"; "viewer", an ordinary user; "operator", one to whom polkit allows something
     * @param policy what is added to the bus' configuration
     */
    static async create(programs, { role = "root", policy = "", daemon = true, gpus = ["0000:41:00.0"] } = {}) {
        const rig = new Rig();

        rig.programs = programs;
        rig.role = role;
        rig.children = [];
        rig.dir = fs.mkdtempSync(path.join(os.tmpdir(), "mdevgpu-browser-"));
        fs.chmodSync(rig.dir, 0o755); // clients and polkitd are other users
        rig.env = { PATH: `${path.dirname(programs.ctl)}:${process.env.PATH}`, LC_ALL: "C.UTF-8",
                    DBUS_SYSTEM_BUS_ADDRESS: `unix:path=${rig.dir}/bus`,
                    HOME: `${rig.dir}/home`, XDG_DATA_DIRS: `${rig.dir}/share:/usr/share`,
                    // Else Cockpit's bridge starts a session bus and an agent, which would outlive the test.
                    DBUS_SESSION_BUS_ADDRESS: `unix:path=${rig.dir}/bus`, SSH_AUTH_SOCK: `${rig.dir}/none` };
        rig.host = path.join(rig.dir, "host");
        rig.writeFiles(policy);
        await rig.startBus();
        if (role !== "root")
            await rig.startPolkit();
        for (const gpu of gpus)
            await rig.act("plug", gpu);
        if (daemon)
            await rig.startDaemon();
        return rig;
    }

    write(name, text) {
        const file = path.join(this.dir, name);

        fs.mkdirSync(path.dirname(file), { recursive: true });
        fs.writeFileSync(file, text);
        return file;
    }

    writeFiles(policy) {
        const there = this.write("installed", "");

        this.write("bus.conf", busConfig(this.dir, policy));
        this.write("services/org.mdevgpu1.service", `[D-BUS Service]\nName=org.mdevgpu1\nExec=${this.daemonCommand().join(" ")}\n`);
        fs.mkdirSync(`${this.dir}/home`);
        fs.chownSync(`${this.dir}/home`, this.role === "root" ? 0 : NOBODY, this.role === "root" ? 0 : NOBODY);
        fs.cpSync(this.programs.page, `${this.dir}/share/cockpit/mdevgpu`, { recursive: true });
        const manifest = JSON.parse(fs.readFileSync(`${this.programs.page}/manifest.json`, "utf8"));

        manifest.conditions = manifest.conditions.map(() => ({ "path-exists": there }));
        this.write("share/cockpit/mdevgpu/manifest.json", JSON.stringify(manifest));
        this.profile("50-test.yaml", fs.readFileSync(path.join(ROOT, "etc/types.d/reference-shim.yaml.example"), "utf8"));
    }

    profile(name, text) {
        return this.write(`host/etc/mdevgpud/types.d/${name}`, text);
    }

    /** From now on vGPUs keep what is in them while nobody has them open, each so much, copied so fast (bytes, also in a second). */
    async keepStates(size, rate) {
        const profile = fs.readFileSync(path.join(ROOT, "etc/types.d/reference-shim.yaml.example"), "utf8");

        this.profile("50-test.yaml", profile.replaceAll(/^( +)framebuffer:/gm, "$1keep-state: true\n$&"));
        await this.ctl("reload");
        await this.act("content-size", String(size));
        await this.act("state-rate", String(rate));
    }

    /** What a vGPU holds. */
    content(uuid) {
        return path.join(this.host, "content", uuid);
    }

    /** Puts a file where saved states are. */
    saved(name, text) {
        return this.write(`host/var/states/${name}.state`, text);
    }

    topologies(text) {
        return this.write("host/etc/mdevgpud/topologies.d/50-test.yaml", text);
    }

    spawn(name, command, options = {}) {
        const log = fs.openSync(path.join(this.dir, `${name}.log`), "a");
        const child = spawn(command[0], command.slice(1), { env: this.env, stdio: ["ignore", log, log], ...options });

        fs.closeSync(log);
        child.on("error", error => fs.appendFileSync(path.join(this.dir, `${name}.log`), String(error)));
        this.children.push(child);
        return child;
    }

    async busctl(...args) {
        return (await run("busctl", ["--no-pager", ...args], { env: this.env })).stdout;
    }

    hasOwner(name) {
        return this.busctl("call", "org.freedesktop.DBus", "/", "org.freedesktop.DBus", "NameHasOwner", "s", name)
            .then(answer => answer.trim() === "b true");
    }

    async startBus() {
        this.spawn("bus", ["dbus-daemon", `--config-file=${this.dir}/bus.conf`, "--nofork", "--nopidfile", "--nosyslog"]);
        await until("the bus", () => this.hasOwner("org.freedesktop.DBus"));
    }

    /** What of ours has outlived us: started by others for us, as by the bus. */
    leftovers() {
        return fs.readdirSync("/proc").filter(name => /^\d+$/.test(name)).filter(pid => {
            try {
                return fs.readFileSync(`/proc/${pid}/environ`, "utf8").includes(this.dir);
            } catch {
                return false; // gone meanwhile
            }
        });
    }

    /** polkitd looks in fixed places, so that it gets a file system of its own. */
    async startPolkit() {
        this.write("polkit-actions/org.mdevgpu1.policy", fs.readFileSync(path.join(ROOT, "policy/org.mdevgpu1.policy"), "utf8"));
        this.write("polkit-rules/00-test.rules", this.role === "operator" ? OPERATOR_RULE : "");
        this.write("polkit-none/empty", "");
        fs.mkdirSync("/etc/polkit-1/rules.d", { recursive: true });
        this.spawn("polkit", ["unshare", "--mount", "sh", "-ec", `
            mount --bind ${this.dir}/polkit-actions /usr/share/polkit-1/actions
            mount --bind ${this.dir}/polkit-none /usr/share/polkit-1/rules.d
            mount --bind ${this.dir}/polkit-rules /etc/polkit-1/rules.d
            exec /usr/lib/polkit-1/polkitd --no-debug`]);
        await until("polkitd", () => this.hasOwner("org.freedesktop.PolicyKit1"));
    }

    daemonCommand() {
        return [this.programs.daemon, "--root", path.join(this.dir, "host"), "--address", `unix:path=${this.dir}/bus`,
                ...this.role === "root" ? ["--without-polkit"] : []];
    }

    async startDaemon() {
        this.daemon = this.spawn("daemon", this.daemonCommand());
        await until("the daemon", () => this.hasOwner("org.mdevgpu1"));
    }

    async stopDaemon() {
        this.daemon.kill("SIGTERM");
        await until("the daemon's end", async () => !await this.hasOwner("org.mdevgpu1"));
    }

    /** Does to the machine what others would. */
    async act(...action) {
        fs.mkdirSync(this.host, { recursive: true });
        await run(this.programs.daemon, ["--root", this.host, ...action], { env: this.env });
    }

    async ctl(...args) {
        return (await run(this.programs.ctl, args, { env: this.env })).stdout.trim();
    }

    async create(type = "Reference small", ...args) {
        return this.ctl("create", "0000:41:00.0", type, ...args);
    }

    /** Holds a vGPU open, as a virtual machine does; returns what lets go of it. */
    async hold(uuid) {
        const [status] = JSON.parse(await this.ctl("--json", "status", uuid));
        const fd = fs.openSync(path.join(this.host, "dev/vfio", String(status.iommu_group)), "r+");

        return () => fs.closeSync(fd);
    }

    /** Opens the page; the test works in its frame. */
    async open(hash = "", { viewport = { width: 1280, height: 900 }, colorScheme = "light", locale = "en-US" } = {}) {
        await this.serve();
        this.context = await (await openBrowser()).newContext({ viewport, colorScheme, locale, reducedMotion: "reduce" });
        this.context.setDefaultTimeout(TIMEOUT);
        this.page = await this.context.newPage();
        this.complaints = [];
        this.page.on("pageerror", error => this.complaints.push(String(error)));
        this.page.on("console", message => {
            if (message.type() === "error")
                this.complaints.push(message.text());
        });
        await this.page.goto(`http://127.0.0.1:${this.port}/mdevgpu${hash ? `#${hash}` : ""}`);
        return this.frame();
    }

    async serve() {
        if (this.port)
            return;
        this.port = await freePort();
        this.spawn("ws", [...this.role === "root" ? [] : ["setpriv", `--reuid=${NOBODY}`, `--regid=${NOBODY}`, "--clear-groups"],
                          "/usr/lib/cockpit/cockpit-ws", "--no-tls", "-a", "127.0.0.1", "-p", String(this.port),
                          "--local-session=/usr/bin/cockpit-bridge"]);
        await until("cockpit-ws", () => new Promise((resolve, reject) => {
            const socket = net.connect(this.port, "127.0.0.1", () => { socket.end(); resolve(true); });

            socket.once("error", reject);
        }));
    }

    async frame() {
        return until("the page's frame", () => this.page.frame({ name: "cockpit1:localhost/mdevgpu" }));
    }

    logs() {
        return fs.readdirSync(this.dir).filter(name => name.endsWith(".log"))
            .map(name => `---- ${name}\n${fs.readFileSync(path.join(this.dir, name), "utf8").slice(-3000)}`).join("\n");
    }

    async destroy() {
        await this.context?.close();
        for (const child of this.children.reverse())
            if (child.exitCode === null && child.signalCode === null) {
                const ended = new Promise(resolve => child.once("exit", resolve));

                child.kill("SIGTERM");
                if (!await Promise.race([ended.then(() => true), sleep(3000)])) {
                    child.kill("SIGKILL");
                    await ended;
                }
            }
        // A daemon that the bus started ends with the bus.
        await until("the end of what the bus and Cockpit started", () => this.leftovers().length === 0);
        fs.rmSync(this.dir, { recursive: true, force: true });
    }
}
