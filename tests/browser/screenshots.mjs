// SPDX-License-Identifier: LGPL-2.1-or-later
//
// A picture of each view, for docs/cockpit/ and for whoever changes how the page looks.

import fs from "node:fs";
import os from "node:os";
import path from "node:path";

import { Rig, until } from "./rig.mjs";

const GPUS = ["0000:41:00.0", "0000:42:00.0"];
const MIB = 1 << 20;
const SIZE = { width: 1280, height: 860 };

const TOPOLOGIES = `version: 1
topologies:
  desktops:
    - match: {address: "0000:42:00.0"}
      vgpus: [{type: "Reference small", count: 12}]
  rendering:
    - match: {address: "0000:42:00.0"}
      vgpus: [{type: "Reference half", count: 2, autostart: true}]
`;

async function machine(programs, options) {
    const rig = await Rig.create(programs, { gpus: GPUS, ...options });

    await rig.act("plug-sriov", "0000:43:00.0");
    await rig.act("set-vfs", "0000:43:00.0", "2");
    await rig.act("plug-card", "0000:44:00.0");
    rig.topologies(TOPOLOGIES);
    await rig.ctl("reload");
    rig.web1 = await rig.create("Reference half", "--label", "web1", "--autostart");
    for (const label of ["build1", "build2", "db1"])
        await rig.create("Reference small", "--label", label);
    await rig.ctl("define", "--label", "spare", GPUS[1], "Reference small");
    return rig;
}

class Camera {
    constructor(rig, folder) {
        this.rig = rig;
        this.folder = folder;
    }

    async open(hash, options) {
        this.frame = await this.rig.open(hash, { viewport: SIZE, ...options });
        await this.frame.waitForSelector("main :is(h2, table, section)");
    }

    async go(view, selector) {
        await this.frame.evaluate(hash => { location.hash = hash; }, `#/${view}`);
        await this.frame.waitForSelector(selector);
    }

    /** Files of the simulated machine lie elsewhere than those of a real one; whose this one is concerns nobody. */
    async shoot(name) {
        await this.frame.evaluate(([root, hostname]) => {
            const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
            const replace = (node, from, to) => {
                if (node.data.includes(from))
                    node.data = node.data.replaceAll(from, to);
            };

            while (walker.nextNode()) {
                replace(walker.currentNode, root, "");
                if (walker.currentNode.parentElement.closest("[data-source]"))
                    replace(walker.currentNode, hostname, "host1");
            }
        }, [this.rig.host, os.hostname()]);
        await this.frame.waitForTimeout(700);
        await this.rig.page.screenshot({ path: path.join(this.folder, `${name}.png`) });
    }
}

async function ordinary(camera) {
    const { rig } = camera;
    const release = await rig.hold(rig.web1);

    await camera.open("");
    const { frame } = camera;

    await camera.shoot("gpus");
    await camera.go("vgpus", "table");
    await frame.click('role=button[name="Details of web1"]');
    await frame.waitForSelector(".mdevgpu-code");
    await camera.shoot("vgpus");
    await frame.click('role=button[name="Destroy web1"]');
    await frame.waitForSelector("[data-dialog=destroy] li");
    await frame.click('[data-dialog=destroy] >> role=button[name="Destroy"]');
    await frame.waitForSelector("[data-dialog=destroy] [data-error]");
    await camera.shoot("in-use");
    await rig.page.keyboard.press("Escape");
    await frame.click('role=button[name="Create vGPU"]');
    await frame.fill("#create-label", "web2");
    await frame.fill("#create-uuid", "c0ffee");
    await camera.shoot("create");
    await rig.page.keyboard.press("Escape");
    release();
}

async function states(camera) {
    const { rig, frame } = camera;

    await camera.go("topologies", "[data-topology]");
    await frame.click('role=button[name="Plan rendering"]');
    await frame.waitForSelector("[data-action]");
    await camera.shoot("plan");
    await frame.click('[data-dialog=plan] >> role=button[name="Apply"]');
    await until("the job", () => frame.locator("[data-job][data-state=done]").count());
    await camera.shoot("topologies");
    await rig.create("Reference small", "--label", "db2");
    await camera.go("events", "ol li");
    await camera.shoot("events");
    rig.profile("60-mine.yaml", 'version: 1\nmatch: {vendor: 0x10de, adress: "*"}\ntypes:\n  - {id: 9, name: Mine, framebuffer: 4}\n');
    await rig.ctl("reload").catch(() => undefined);
    await camera.go("config", "[data-problem]");
    await camera.shoot("config");
    await rig.stopDaemon();
    await frame.waitForSelector("[data-absent]");
    await camera.shoot("absent");
}

async function savedStates(programs, folder) {
    const rig = await Rig.create(programs, { gpus: GPUS });
    const camera = new Camera(rig, folder);

    try {
        await rig.keepStates(96 * MIB, 0);
        const web1 = await rig.create("Reference half", "--label", "web1", "--persistent");

        await rig.create("Reference small", "--label", "build1");
        await rig.ctl("save", web1, "before-update");
        await camera.open("vgpus");
        const { frame } = camera;

        await frame.click('role=button[name="Dismiss"]');
        await frame.click('role=button[name="Details of web1"]');
        await frame.waitForSelector(".mdevgpu-code");
        await frame.click('role=button[name="Save its state"]');
        await frame.fill("#save-name", "before-update");
        await frame.waitForSelector("#save-replace");
        await camera.shoot("save");
        await frame.fill("#save-name", "after-update");
        await rig.act("state-rate", String(12 * MIB));
        await frame.click('[data-dialog=save] >> role=button[name="Save"]');
        await until("half of it", async () => await frame.locator("[data-job] [aria-valuenow]").first().getAttribute("aria-valuenow") > 40);
        await camera.shoot("saving");
        await frame.waitForSelector("[data-job][data-state=done]");
        await frame.click('role=button[name="Dismiss"]');
        rig.saved("of-elsewhere", "not a state");
        await camera.go("states", '[data-saved="of-elsewhere"]');
        await camera.shoot("states");
        await frame.click('role=button[name="Restore before-update"]');
        await camera.shoot("restore");
    } finally {
        await rig.destroy();
    }
}

async function findings(programs, folder) {
    const rig = await Rig.create(programs, { gpus: GPUS.slice(0, 1) });
    const camera = new Camera(rig, folder);

    try {
        await rig.act("plug-card", "0000:44:00.0");
        for (const label of ["render1", "render2"])
            await rig.create("Reference half", "--label", label);
        await camera.open("");
        await camera.frame.waitForSelector("[data-finding=driver-not-vgpu]");
        await camera.shoot("findings");
    } finally {
        await rig.destroy();
    }
}

async function others(programs, folder) {
    const rig = await machine(programs, { role: "viewer" });
    const camera = new Camera(rig, folder);

    try {
        await camera.open("", { colorScheme: "dark" });
        await camera.shoot("viewer-dark");
        await camera.go("vgpus", "table");
        await rig.page.setViewportSize({ width: 390, height: 800 });
        await camera.shoot("narrow-dark");
    } finally {
        await rig.destroy();
    }
}

export async function takeScreenshots(programs, folder) {
    fs.mkdirSync(folder, { recursive: true });
    const rig = await machine(programs);
    const camera = new Camera(rig, folder);

    try {
        await ordinary(camera);
        await states(camera);
    } finally {
        await rig.destroy();
    }
    await savedStates(programs, folder);
    await findings(programs, folder);
    await others(programs, folder);
}
