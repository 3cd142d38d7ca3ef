// SPDX-License-Identifier: LGPL-2.1-or-later

import assert from "node:assert/strict";
import { test } from "node:test";

import { formatBytes, formatDuration } from "../src/i18n.ts";
import { readGpu, readSavedStates, readType, readVGpu } from "../src/model.ts";
import { divide, fitting, fittingAnywhere, parseAttributes, restoreTarget, selectVGpus, suggestStateName, validateLabel, validateStateName,
         validateUuid } from "../src/select.ts";
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
    rows[1]!.persistent = rows[1]!.autostart = true;
    assert.deepEqual(selectVGpus(rows, { ...all, words: "autostart" }, { column: "uuid", descending: false }, names).map(row => row.uuid), ["a"]);
    assert.deepEqual(selectVGpus(rows, all, { column: "kept", descending: false }, names).map(row => row.uuid), ["a", "b", "c", "d"]);
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

test("names of saved states are refused as the daemon does, and suggested as it allows", () => {
    for (const good of ["a", "A-1_b.c", "-", "x".repeat(64)])
        assert.equal(validateStateName(good), "", good);
    for (const bad of ["", ".a", "a b", "a/b", "ä", "x".repeat(65)])
        assert.notEqual(validateStateName(bad), "", bad);
    const name = (label: string, ...taken: string[]) => suggestStateName(vgpu("c0ffee00-0000", { Label: label }), n => taken.includes(n));

    assert.deepEqual([name("web 1"), name("..Büro/2 "), name(""), name("日本"), name("a", "a", "a-2")], ["web-1", "Buro-2", "c0ffee00", "c0ffee00", "a-3"]);
    assert.equal(validateStateName(name("x".repeat(127), "x".repeat(59))), "");
});

test("a saved state goes where it fits: under its own UUID not beside an active one", () => {
    const [state] = readSavedStates([["s", "1", "half", 1, 1, {}]]);
    const other = { ...gpu, path: "/h", address: "0000:42:00.0" }, full = { ...gpu, path: "/f", address: "0000:43:00.0" };
    const typesOf = new Map([["/g", [half]], ["/h", [half]], ["/f", [{ ...half, available: 0 }]]]);
    const target = (anew: boolean, ...there: object[]) => {
        const { own, gpus } = restoreTarget(state!, anew, [gpu, other, full], typesOf, there.map(p => vgpu("1", { Parent: "0000:43:00.0", ...p })));

        return [own, gpus.map(each => each.path).join()];
    };

    assert.deepEqual(target(false), [true, "/g,/h"]);
    assert.deepEqual(target(true, { State: "active" }), [false, "/g,/h"]);
    assert.deepEqual(target(false, { State: "defined", Parent: "0000:42:00.0" }), [true, "/h"]);
    assert.deepEqual(target(false, { State: "defined" }), [true, ""]);
    assert.deepEqual(target(false, { State: "incoming" }), [true, "/f"]);
});

test("memory is said in the units of profiles", () => {
    assert.deepEqual([formatBytes(0), formatBytes(960 * 2 ** 20), formatBytes(20.9 * GIB), formatBytes(null)], ["0 B", "960 MiB", "20.9 GiB", "not known"]);
});

test("times are said as long as they were", () => {
    assert.deepEqual([formatDuration(12.345), formatDuration(1234)], ["12.3 ms", "1.23 sec"]);
});

test("the theme is the shell's, and the system's where that leaves it to it", () => {
    assert.deepEqual([isDark("dark", false), isDark("light", true), isDark("auto", true), isDark(null, false)], [true, false, true, false]);
});
