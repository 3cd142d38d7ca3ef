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
