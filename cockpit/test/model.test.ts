// SPDX-License-Identifier: LGPL-2.1-or-later

import assert from "node:assert/strict";
import { test } from "node:test";

import { readFindings } from "../src/findings.ts";
import { bytes, count, readJob, readMethods, readMigration, readPlan, readProblems, readSavedStates, readType, unwrap } from "../src/model.ts";

test("what is not known is no number", () => {
    // 2^64 - 1, as JSON has it.
    assert.equal(bytes(18446744073709551615), null);
    assert.equal(bytes(0), 0);
    assert.equal(bytes("5"), null);
    assert.equal(count(4294967295), null);
    assert.equal(count(4294967294), 4294967294);
    assert.equal(readType("/t", { Id: "a", Framebuffer: 18446744073709551615 }).framebuffer, null);
});

test("variants in variants are unwrapped", () => {
    assert.equal(unwrap({ t: "v", v: { t: "s", v: "x" } }), "x");
    assert.deepEqual(unwrap([1]), [1]);
});

test("methods are told by their interface", () => {
    const xml = `<node><interface name="a.B"><method name="C"><arg name="x" type="s"/></method><signal name="S"/></interface>
        <interface name="a.D"><method name="C"/></interface></node>`;

    assert.deepEqual([...readMethods(xml)], ["a.B.C", "a.D.C"]);
});

test("rows of errors and plans are read, and what is no row is none", () => {
    assert.deepEqual(readProblems([["/etc/x.yaml", 2, 1, "error", "unknown key"]])[0],
                     { file: "/etc/x.yaml", line: 2, column: 1, severity: "error", message: "unknown key" });
    assert.deepEqual(readProblems("x"), []);
    assert.equal(readPlan([{ action: { t: "s", v: "create" }, uuid: { t: "s", v: "u" } }])[0]?.action, "create");
});

test("saved states are read, those that are no images too", () => {
    const [good, bad, ...none] = readSavedStates([
        ["a", "u", "half", 7, 1_000_000, { host: { t: "s", v: "h" }, "driver-version": { t: "s", v: "1" } }],
        ["b", "", "", 1, 0, { error: { t: "s", v: "cut off" } }], [], "x", [5]]);

    assert.deepEqual([good?.name, good?.size, good?.created, good?.host, good?.driverVersion, good?.error], ["a", 7, 1000, "h", "1", ""]);
    assert.deepEqual([bad?.uuid, bad?.created, bad?.error], ["", null, "cut off"]);
    assert.deepEqual(none, []);
    assert.deepEqual(readSavedStates(null), []);
    assert.deepEqual(readMigration({ migratable: { t: "s", v: "no" }, reasons: { t: "as", v: ["r", 5] } }), { migratable: "no", reasons: ["r"] });
});

test("a job's progress stays between nothing and all", () => {
    assert.equal(readJob("/j", { Progress: 7, ProgressValid: true }).progress, 1);
    assert.equal(readJob("/j", { Progress: 0.5, ProgressValid: false }).progress, null);
    assert.equal(readJob("/j", { Progress: NaN, ProgressValid: true }).progress, 0);
    assert.equal(readJob("/j", {}).bytes, null);
});

test("findings that are said elsewhere are left to that", () => {
    const finding = (id: string) => ({ id: { t: "s", v: id }, message: { t: "s", v: "m" }, gpu: { t: "o", v: "/g" } });

    assert.deepEqual(readFindings([finding("no-profile"), finding("config-error"), {}]).map(f => [f.id, f.gpu]), [["no-profile", "/g"]]);
});
