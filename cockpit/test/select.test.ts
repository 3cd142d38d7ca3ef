// SPDX-License-Identifier: LGPL-2.1-or-later

import assert from "node:assert/strict";
import { test } from "node:test";

import { formatBytes } from "../src/i18n.ts";
import { readGpu, readType, readVGpu } from "../src/model.ts";
import { divide, fitting, fittingAnywhere, parseAttributes, selectVGpus, validateLabel, validateUuid } from "../src/select.ts";
import { isDark } from "../src/theme.ts";

const GIB = 2 ** 30;
const gpu = readGpu("/g", { Address: "0000:41:00.0", State: "ready", FramebufferTotal: 40 * GIB }, undefined);
const half = readType("/g/half", { Gpu: "/g", Id: "half", AvailableInstances: 1, Framebuffer: 19 * GIB,
                                      Details: { reserved: { t: "t", v: GIB } } });
const small = readType("/g/small", { Gpu: "/g", Id: "small", AvailableInstances: 0, Framebuffer: GIB });
const types = new Map([[half.path, half], [small.path, small]]);
const vgpu = (uuid: string, more: object = {}) =>
    readVGpu(`/v/${uuid}`, { Uuid: uuid, State: "active", Gpu: "/g", Type: "/g/half", TypeId: "half", Kind: "mdev", ...more });
const names = { typeName: () => "Half", gpuName: () => "Card" };
const all = { words: "", gpu: "", state: "" };

test("memory is divided among what is active", () => {
    const division = divide(gpu, [vgpu("1"), vgpu("2", { State: "defined" })], types);

    assert.deepEqual([division.used, division.free, division.shares.length, division.partial], [20 * GIB, 20 * GIB, 1, false]);
    assert.equal(divide(gpu, [vgpu("1", { Type: "/" })], types).partial, true);
    assert.equal(divide(gpu, [vgpu("1", { Kind: "whole", Type: "/" })], types).free, 0);
});

test("only what fits is offered, and of a card that cannot be asked nothing", () => {
    assert.deepEqual(fitting(gpu, [half, small]).map(type => type.id), ["half"]);
    assert.deepEqual(fitting({ ...gpu, state: "busy" }, [half]), []);
    assert.equal(fittingAnywhere([gpu, { ...gpu, path: "/h" }], new Map([["/g", [half]], ["/h", [half]]]))[0]?.available, 2);
});

test("rows are filtered by every word, and sorted as people count", () => {
    const rows = [vgpu("b", { Label: "web10" }), vgpu("a", { Label: "web9" }), vgpu("c"), vgpu("d", { Label: "db", State: "defined" })];
    const by = (descending: boolean) => selectVGpus(rows, all, { column: "label", descending }, names).map(row => row.label);

    assert.deepEqual(by(false), ["db", "web9", "web10", ""]);
    assert.deepEqual(by(true), ["web10", "web9", "db", ""]);
    assert.deepEqual(selectVGpus(rows, { ...all, words: "WEB half" }, { column: "uuid", descending: false }, names).map(row => row.uuid), ["a", "b"]);
    assert.deepEqual(selectVGpus(rows, { ...all, state: "defined" }, { column: "uuid", descending: false }, names).map(row => row.uuid), ["d"]);
});

test("forms refuse what the daemon would", () => {
    assert.equal(validateUuid("", () => true), "");
    assert.notEqual(validateUuid("1234", () => false), "");
    assert.notEqual(validateUuid("C0FFEE00-0000-4000-8000-000000000001", uuid => uuid === "c0ffee00-0000-4000-8000-000000000001"), "");
    assert.equal(validateLabel("ä".repeat(63)), "");
    assert.notEqual(validateLabel("ä".repeat(64)), "");
    assert.notEqual(validateLabel("a\nb"), "");
    assert.deepEqual(parseAttributes("a = 1\n\n b/c=x=y ").pairs, [["a", "1"], ["b/c", "x=y"]]);
    for (const bad of ["a", "=1", "/a=1", "a/../b=1"])
        assert.notEqual(parseAttributes(bad).error, "", bad);
});

test("memory is said in the units of profiles", () => {
    assert.deepEqual([formatBytes(0), formatBytes(960 * 2 ** 20), formatBytes(20.9 * GIB), formatBytes(null)], ["0 B", "960 MiB", "20.9 GiB", "not known"]);
});

test("the theme is the shell's, and the system's where that leaves it to it", () => {
    assert.deepEqual([isDark("dark", false), isDark("light", true), isDark("auto", true), isDark(null, false)], [true, false, true, false]);
});
