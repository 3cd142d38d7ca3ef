// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The states of vGPUs: saved, restored, deleted, refused, cancelled.

import assert from "node:assert/strict";
import fs from "node:fs";

import { until } from "./rig.mjs";
import { GPU, SOON, axe, button, go, gone, row, shows, test, texts } from "./steps.mjs";

const saved = name => `tr[data-saved="${name}"]`;
const dialog = name => `[data-dialog=${name}]`;

async function openSave(frame, label) {
    await frame.click(button("Save its state"));
    await frame.waitForSelector(dialog("save"));
    await shows(frame, dialog("save"), `Save the state of ${label}`);
}

const save = frame => frame.click(`${dialog("save")} >> ${button("Save")}`);

test("a state that a driver does not keep is not saved, in the daemon's words", async rig => {
    const r = await rig();
    const uuid = await r.create("Reference half", "--label", "web1");
    const frame = await r.open("/states");

    await shows(frame, "main", "No saved states", SOON);
    await go(frame, "vgpus");
    await frame.click(button("Details of web1"));
    await openSave(frame, "web1");
    await shows(frame, dialog("save"), "mdevgpud may refuse");
    assert.equal(await frame.inputValue("#save-name"), "web1");
    for (const [name, complaint] of [["", "needs a name"], [".x", "no dot"], ["a b", "letters without accents"], ["x".repeat(65), "1 characters too long"]]) {
        await frame.fill("#save-name", name);
        await shows(frame, "#save-name-hint", complaint);
        assert.equal(await frame.locator(`${dialog("save")} >> ${button("Save")}`).isDisabled(), true, name);
    }
    await frame.fill("#save-name", "before-update");
    await save(frame);
    await shows(frame, `${dialog("save")} [data-error]`, "keep no state when nobody has them open");
    assert.equal(await frame.inputValue("#save-name"), "before-update");

    const release = await r.hold(uuid);

    await shows(frame, dialog("save"), `process ${process.pid}`);
    release();

    // The browser takes whatever comes for the file, even if nothing does: it is told that it is none, and why.
    await frame.check("#save-where-browser");
    await save(frame);
    await shows(frame, "main > [data-error]", "before-update.state is not whole");
    await shows(frame, "main > [data-error]", "keep no state when nobody has them open");
});

test("a file that is no state is listed with what is wrong with it, and deleted when that is meant", async rig => {
    const r = await rig();

    r.saved("broken", "this is none");
    const frame = await r.open("/states");

    await shows(frame, saved("broken"), "Cannot be read");
    await shows(frame, saved("broken"), "12 B");
    assert.equal(await frame.locator(button("Restore broken")).count(), 0);
    await frame.click(button("Delete broken"));
    await frame.click(`${dialog("delete")} >> ${button("Cancel")}`);
    await frame.click(button("Delete broken"));
    await frame.click(`${dialog("delete")} >> ${button("Delete")}`);
    await shows(frame, "main", "No saved states");
    assert.deepEqual(JSON.parse(await r.ctl("--json", "states")), []);

    // Nobody tells of what somebody else puts there: it is seen when the view is shown again.
    r.saved("other", "nor this");
    await go(frame, "events");
    await go(frame, "states");
    await frame.waitForSelector(saved("other"));
});

const MIB = 1 << 20;
/** Of those above the view: unfolded vGPUs have theirs as well. */
const job = state => `[aria-label="What goes on"] [data-job]${state ? `[data-state=${state}]` : ""}`;

async function details(frame, label) {
    await frame.click(button(`Details of ${label}`));
    await frame.waitForSelector(".mdevgpu-code");
}

test("a state is saved with its progress, and not if that is cancelled", async rig => {
    const r = await rig();

    await r.keepStates(64 * MIB, 8 * MIB);
    const uuid = await r.create("Reference half", "--label", "web1");
    const frame = await r.open("/vgpus");

    await details(frame, "web1");
    await openSave(frame, "web1");
    await axe(frame, "saving");
    await save(frame);
    await gone(frame, dialog("save"));
    await shows(frame, job("running"), "Saving the state of a vGPU: web1, web1");
    await shows(frame, row(uuid), "Being saved");
    const bar = frame.locator(`${job("running")} [role=progressbar]`);
    const done = async () => Number(await bar.getAttribute("aria-valuenow"));

    await until("progress", async () => await done() > 0, SOON);
    const first = await done();

    await until("more progress", async () => await done() > first, SOON);
    assert.ok(await done() < 100);
    await shows(frame, job("running"), "MiB of 64 MiB");
    await shows(frame, job("running"), "MiB in a second");
    await shows(frame, job("running"), "done at about");
    await shows(frame, `[data-detail="${uuid}"] [data-job]`, "Copied while it");
    await shows(frame, row(uuid), "%");
    await axe(frame, "a save under way");
    assert.equal(await frame.locator(button("Destroy web1")).count(), 0);

    await frame.click(`${job("running")} >> ${button("Cancel")}`);
    await frame.waitForSelector(job("cancelled"), { timeout: SOON });
    await shows(frame, row(uuid), "Active");
    await go(frame, "states");
    await shows(frame, "main", "No saved states");
    await go(frame, "events");
    await shows(frame, "[data-kind=job-end]", "Saving the state of a vGPU: Cancelled");
});

test("a state is saved and restored: where it was, and once more beside it", async rig => {
    const r = await rig({ gpus: [GPU, "0000:42:00.0"] });

    await r.keepStates(4 * MIB, 64 * MIB);
    const uuid = await r.create("Reference half", "--label", "web1", "--persistent");
    const held = Buffer.alloc(4 * MIB, "what the guest left there ");

    fs.writeFileSync(r.content(uuid), held);
    const frame = await r.open("/vgpus");

    await details(frame, "web1");
    await openSave(frame, "web1");
    await frame.fill("#save-name", "before-update");
    await frame.check("#save-after-destroy");
    await save(frame);
    await frame.waitForSelector(job("done"), { timeout: SOON });
    await shows(frame, job("done"), "it stood still for");
    await shows(frame, row(uuid), "Defined");

    // From its own row, into what is defined.
    await frame.click(button("Restore a state"));
    await shows(frame, dialog("restore"), "web1 is defined, and is started for it");
    assert.deepEqual((await texts(frame, "#restore-gpu option")).map(text => text.split(" ")[0]), ["Whichever", GPU]);
    await axe(frame, "restoring");
    await frame.click(`${dialog("restore")} >> ${button("Restore")}`);
    await shows(frame, row(uuid), "Active");
    assert.ok(fs.readFileSync(r.content(uuid)).equals(held), "something else was restored");

    // From the list, as another.
    await go(frame, "states");
    await shows(frame, saved("before-update"), "Reference half");
    await shows(frame, saved("before-update"), "web1");
    await shows(frame, saved("before-update"), GPU);
    await axe(frame, "saved states");
    // What somebody else saves, and deletes.
    await r.ctl("save", uuid, "by-command");
    await frame.waitForSelector(saved("by-command"), { timeout: SOON });
    await r.ctl("delete-state", "by-command");
    await gone(frame, saved("by-command"));
    await frame.click(button("Restore before-update"));
    await shows(frame, dialog("restore"), "Not possible while web1 has it");
    assert.equal(await frame.isChecked("#restore-anew"), true);
    assert.equal(await frame.isDisabled("#restore-own"), true);
    await frame.selectOption("#restore-gpu", "0000:42:00.0");
    await frame.fill("#restore-label", "web2");
    await frame.click(`${dialog("restore")} >> ${button("Restore")}`);
    await gone(frame, dialog("restore"));
    await until("the other", async () => JSON.parse(await r.ctl("--json", "list"))
        .some(vgpu => vgpu.label === "web2" && vgpu.gpu === "0000:42:00.0" && vgpu.uuid !== uuid && vgpu.state === "active"), SOON);
    await go(frame, "vgpus");
    await shows(frame, "table", "web2");

    // The same name once more only if that is meant.
    await details(frame, "web1");
    await openSave(frame, "web1");
    await frame.fill("#save-name", "before-update");
    await shows(frame, "#save-name-hint", "There is a saved state of this name");
    assert.equal(await frame.isDisabled(`${dialog("save")} >> ${button("Save")}`), true);
    await frame.check("#save-replace");
    await save(frame);
    await gone(frame, dialog("save"));
    await until("the second save", async () => await frame.locator(`${job("done")} >> text=Saving`).count() === 2, SOON);
    await shows(frame, row(uuid), "Active");
});

test("a state goes through the browser's files, there and back", async rig => {
    const r = await rig();

    await r.keepStates(6 * MIB, 0);
    const uuid = await r.create("Reference half", "--label", "web1");
    const frame = await r.open("/vgpus");

    await details(frame, "web1");
    await openSave(frame, "web1");
    await frame.check("#save-where-browser");
    assert.equal(await frame.locator("#save-after-destroy").count(), 0);
    const [download] = await Promise.all([r.page.waitForEvent("download"), save(frame)]);

    assert.equal(download.suggestedFilename(), "web1.state");
    const file = await download.path();

    assert.ok(fs.statSync(file).size > 6 * MIB);
    await frame.waitForSelector(job("done"), { timeout: SOON });
    await r.ctl("destroy", uuid);

    await go(frame, "states");
    await frame.click(button("Restore from a file"));
    await frame.setInputFiles("#upload-file", file);
    await axe(frame, "uploading");
    await frame.click(`${dialog("upload")} >> ${button("Restore")}`);
    await until("the vGPU", async () => JSON.parse(await r.ctl("--json", "list")).some(vgpu => vgpu.uuid === uuid && vgpu.state === "active"), SOON);

    // Its UUID has somebody now: that is told in the daemon's words.
    await frame.click(button("Restore from a file"));
    await frame.setInputFiles("#upload-file", file);
    await frame.click(`${dialog("upload")} >> ${button("Restore")}`);
    await shows(frame, "main > [data-error]", uuid);
});

test("who may make vGPUs and save none is offered no more, and a daemon that dies while it saves leaves nothing", async rig => {
    const operator = await rig({ role: "operator" });

    await operator.keepStates(64 * MIB, 2 * MIB);
    await operator.create("Reference half", "--label", "web1");
    const its = await operator.open("/vgpus");

    await its.waitForSelector(button("Destroy web1"));
    await details(its, "web1");
    assert.equal(await its.locator(button("Save its state")).count(), 0);
    // What others have begun he sees, and cannot cancel.
    await operator.ctl("save", "--no-wait", JSON.parse(await operator.ctl("--json", "list"))[0].uuid, "by-root");
    await shows(its, job("running"), "done at about");
    assert.equal(await its.locator(`${job("running")} >> ${button("Cancel")}`).count(), 0);
    await operator.ctl("cancel", JSON.parse(await operator.ctl("--json", "jobs"))[0].id.toString());
    await its.waitForSelector(job("cancelled"), { timeout: SOON });
    await go(its, "states");
    await shows(its, "main", "No saved states");
    assert.equal(await its.locator(button("Restore from a file")).count(), 0);

    const r = await rig();

    await r.keepStates(64 * MIB, 4 * MIB);
    const uuid = await r.create("Reference half", "--label", "web1");
    const frame = await r.open("/vgpus");

    await details(frame, "web1");
    await openSave(frame, "web1");
    await save(frame);
    await frame.waitForSelector(job("running"));
    r.daemon.kill("SIGKILL");
    await frame.waitForSelector("[data-absent]", { timeout: SOON });
    await r.startDaemon();
    await shows(frame, row(uuid), "Active");
    assert.equal(await frame.locator(job()).count(), 0);
    await go(frame, "states");
    await shows(frame, "main", "No saved states");
});
