// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The D-Bus module: what it makes of objects, signals, restarts, refusals and nonsense.

import assert from "node:assert/strict";
import { test } from "node:test";

import { BusError } from "../src/bus.ts";
import { Daemon, Snapshot } from "../src/daemon.ts";
import { FakeDaemon, FakeNames } from "./fake-bus.ts";

const GPU_PATH = "/org/mdevgpu1/gpu/_30000_3a41_3a00_2e0";
const TYPE_PATH = `${GPU_PATH}/type/half`;
const UUID = "c0ffee00-0000-4000-8000-000000000001";
const VGPU_PATH = `/org/mdevgpu1/vgpu/_${UUID.replaceAll("-", "_")}`;
const VGPU_IFACE = "org.mdevgpu1.VGpu";

const gpu = { "org.mdevgpu1.Gpu": { Address: "0000:41:00.0", Name: "Card", State: "ready", FramebufferTotal: 42949672960 } };
const type = { "org.mdevgpu1.Type": { Gpu: GPU_PATH, Id: "half", Name: "Half", MaxInstances: 2, AvailableInstances: 2, Framebuffer: 20 } };
const vgpu = { [VGPU_IFACE]: { Uuid: UUID, State: "active", Gpu: GPU_PATH, Type: TYPE_PATH, TypeId: "half", Parent: "0000:41:00.0", InUse: "no" } };

const settle = () => new Promise(resolve => setTimeout(resolve, 150));

async function up(prepare: (daemon: FakeDaemon, names: FakeNames) => void = () => undefined) {
    const fake = new FakeDaemon(), names = new FakeNames();

    fake.objects = { [GPU_PATH]: gpu, [TYPE_PATH]: type };
    prepare(fake, names);
    const daemon = new Daemon(fake.connect, names);

    names.owner(":1.5");
    await settle();
    return { fake, names, daemon, now: (): Snapshot => daemon.snapshot };
}

test("objects become GPUs, types and vGPUs, and variants are unwrapped", async () => {
    const { now } = await up(fake => { fake.objects[VGPU_PATH] = vgpu; });

    assert.equal(now().connection.state, "ready");
    assert.deepEqual(now().gpus.map(g => [g.address, g.name, g.framebuffer]), [["0000:41:00.0", "Card", 42949672960]]);
    assert.equal(now().typesOf.get(GPU_PATH)?.[0]?.available, 2);
    assert.deepEqual(now().vgpusOf.get(GPU_PATH)?.map(v => v.uuid), [UUID]);
    assert.ok(now().methods.has("org.mdevgpu1.Manager.CreateVGpu"));
    assert.deepEqual(now().happenings, []);
});

test("what is made, changed and removed elsewhere shows without asking", async () => {
    const { fake, now } = await up();
    const asked = fake.calls.length;

    fake.added(VGPU_PATH, vgpu);
    fake.changed(TYPE_PATH, "org.mdevgpu1.Type", { AvailableInstances: 1 });
    await settle();
    assert.equal(now().vgpus[0]?.state, "active");
    assert.equal(now().types.get(TYPE_PATH)?.available, 1);

    fake.changed(VGPU_PATH, VGPU_IFACE, { InUse: "yes" });
    await settle();
    assert.equal(now().vgpus[0]?.inUse, "yes");
    assert.equal(now().vgpus[0]?.uuid, UUID);

    fake.removed(VGPU_PATH, VGPU_IFACE, "org.freedesktop.DBus.Properties");
    await settle();
    assert.deepEqual(now().vgpus, []);
    assert.deepEqual(now().happenings.map(h => h.kind), ["vgpu-removed", "vgpu-use", "vgpu-added"]);
    assert.equal(fake.calls.length, asked);
});

test("a property that is only said to have changed is read", async () => {
    const { fake, now } = await up(f => { f.objects[VGPU_PATH] = structuredClone(vgpu); });

    fake.objects[VGPU_PATH]![VGPU_IFACE]!.Label = "web1";
    fake.changed(VGPU_PATH, VGPU_IFACE, {}, ["Label"]);
    await settle();
    assert.equal(now().vgpus[0]?.label, "web1");
});

test("a signal that overtakes the objects is not lost", async () => {
    const { now } = await up(fake => { fake.meanwhile = () => fake.added(VGPU_PATH, vgpu); });

    assert.deepEqual(now().vgpus.map(v => v.uuid), [UUID]);
});

test("a burst of signals makes one picture", async () => {
    const { fake, daemon, now } = await up();
    let pictures = 0;

    daemon.subscribe(() => pictures++);
    for (let i = 0; i < 200; i++)
        fake.added(`/org/mdevgpu1/vgpu/_${i}`, { [VGPU_IFACE]: { Uuid: String(i), State: "active" } });
    await settle();
    assert.equal(now().vgpus.length, 200);
    assert.equal(pictures, 1);
});

test("a daemon that stops is absent and is not called back to life; a new one is read anew", async () => {
    const { fake, names, now } = await up(f => { f.objects[VGPU_PATH] = vgpu; });
    const asked = fake.calls.length;

    names.owner(null);
    await settle();
    assert.equal(now().connection.state, "absent");
    assert.deepEqual(now().vgpus, []);
    assert.equal(fake.calls.length, asked);
    assert.ok(fake.buses[0]!.closed);

    delete fake.objects[VGPU_PATH];
    names.owner(":1.9");
    await settle();
    assert.equal(now().connection.state, "ready");
    assert.deepEqual(now().vgpus, []);
    assert.equal(fake.buses.length, 2);
    assert.deepEqual(now().happenings.map(h => h.kind), ["started", "stopped"]);

    // What the old connection still says is of no account.
    fake.buses[0]!.deliver({ path: "/", interface: "org.freedesktop.DBus.ObjectManager", member: "InterfacesAdded", args: [VGPU_PATH, vgpu] });
    fake.buses[0]!.breakDown(new BusError("disconnected", "gone"));
    await settle();
    assert.equal(now().connection.state, "ready");
    assert.deepEqual(now().vgpus, []);
});

test("at first the daemon is called even if nobody owns its name", async () => {
    const fake = new FakeDaemon(), names = new FakeNames();
    const daemon = new Daemon(fake.connect, names);

    fake.refuse = new BusError("org.freedesktop.DBus.Error.ServiceUnknown", "The name is not activatable");
    names.owner(null);
    await settle();
    assert.deepEqual(fake.calls, ["GetManagedObjects"]);
    assert.deepEqual(daemon.snapshot.connection, { state: "absent", reason: "The name is not activatable" });
});

test("denial, absence and failure are told apart", async () => {
    const cases: [string, string][] = [
        ["org.freedesktop.DBus.Error.AccessDenied", "denied"], ["access-denied", "denied"],
        ["org.freedesktop.systemd1.NoSuchUnit", "absent"], ["org.freedesktop.DBus.Error.Spawn.ChildExited", "absent"],
        ["org.freedesktop.DBus.Error.Timeout", "failed"], ["terminated", "failed"],
    ];

    for (const [code, state] of cases) {
        const { now } = await up(fake => { fake.refuse = new BusError(code, "because"); });

        assert.deepEqual(now().connection, { state, reason: "because" }, code);
    }
});

test("the daemon's own words reach the caller", async () => {
    const { fake, daemon } = await up();

    fake.refuse = new BusError("org.mdevgpu1.Error.InUse", "process 7 holds it open");
    await assert.rejects(daemon.manager("DestroyVGpu", "sa{sv}", UUID, {}), { code: "org.mdevgpu1.Error.InUse", message: "process 7 holds it open" });
});

test("errors of cockpit.js keep the name that the bus gave", () => {
    assert.equal(BusError.from({ name: "org.mdevgpu1.Error.Busy", message: "m" }).code, "org.mdevgpu1.Error.Busy");
    assert.equal(BusError.from({ problem: "not-found", message: "" }).code, "not-found");
    assert.equal(BusError.from({ problem: "access-denied", name: undefined }).denied, true);
    assert.equal(BusError.from(undefined).code, "unknown");
});

test("rights are asked of polkit, again when it says so", async () => {
    const { names, now } = await up();

    assert.equal(now().rightsKnown, true);
    assert.equal(now().rights.manage, false);
    names.allowed.add("org.mdevgpu1.manage-vgpus");
    names.authorityChanged();
    await settle();
    assert.deepEqual([now().rights.manage, now().rights.define], [true, false]);
});

test("a reload is counted, so that what is not signalled is asked for again", async () => {
    const { fake, now } = await up();

    fake.signal("/org/mdevgpu1", "org.mdevgpu1.Manager", "Reloading", true);
    fake.signal("/org/mdevgpu1", "org.mdevgpu1.Manager", "Reloading", false);
    await settle();
    assert.equal(now().reloads, 1);
});

test("a job is followed to its end", async () => {
    const { fake, names, now } = await up();
    const job = "/org/mdevgpu1/job/1", iface = "org.mdevgpu1.Job";

    fake.added(job, { [iface]: { Id: 1, Operation: "apply-topology", State: "running", Progress: 0.25, ProgressValid: true, Cancelable: true } });
    await settle();
    assert.deepEqual([now().jobs[0]?.progress, now().jobs[0]?.cancelable], [0.25, true]);
    fake.changed(job, iface, { State: "failed", ErrorMessage: "it did not fit", Cancelable: false });
    await settle();
    assert.deepEqual(now().happenings[0], { ...now().happenings[0], kind: "job-end", detail: "failed: it did not fit", bad: true });
    // What failed stays to be read, what is done goes.
    fake.removed(job, iface);
    await settle();
    assert.deepEqual(now().jobs.map(each => each.message), ["it did not fit"]);
    fake.added("/org/mdevgpu1/job/2", { [iface]: { Id: 2, Operation: "apply-topology", State: "done" } });
    fake.removed("/org/mdevgpu1/job/2", iface);
    await settle();
    assert.deepEqual(now().jobs.map(each => each.message), ["it did not fit"]);
    names.owner(":1.9");
    await settle();
    assert.deepEqual(now().jobs, []);
});

test("saved states are asked for once, and again when they are others", async () => {
    const { fake, daemon, now } = await up(f => { f.answers.ListSavedStates = [[["a", UUID, "half", 5, 1e15, { label: { t: "s", v: "web1" } }]]]; });
    const asked = () => fake.calls.filter(method => method === "ListSavedStates").length;
    const changed = () => fake.signal("/org/mdevgpu1", "org.mdevgpu1.Manager", "SavedStatesChanged");
    const round = now().savedStates;

    assert.deepEqual((await Promise.all([daemon.listSavedStates(), daemon.listSavedStates()])).map(states => states[0]?.label), ["web1", "web1"]);
    assert.equal(asked(), 1);
    assert.equal(now().savedStates, round);
    changed();
    await settle();
    assert.equal(now().savedStates, round + 1);
    await daemon.listSavedStates();
    assert.equal(asked(), 2);
});

test("who was refused the saved states is asked for anew", async () => {
    const { fake, daemon } = await up(f => { f.answers.ListSavedStates = [[]]; });

    fake.refuse = new BusError("org.freedesktop.DBus.Error.AccessDenied", "no");
    await assert.rejects(daemon.listSavedStates(), (error: BusError) => error.denied);
    fake.refuse = null;
    assert.deepEqual(await daemon.listSavedStates(), []);
});

test("what a save tells is followed", async () => {
    const { fake, now } = await up();
    const job = "/org/mdevgpu1/job/1", iface = "org.mdevgpu1.Job";
    const result = (more: object) => ({ t: "a{sv}", v: { name: { t: "s", v: "nightly" }, ...more } });

    fake.added(job, { [iface]: { Id: 1, Operation: "save-state", State: "running", ProgressValid: false } });
    fake.signal(job, "org.freedesktop.DBus.Properties", "PropertiesChanged", iface,
                { Result: result({ phase: { t: "s", v: "pre-copy" }, dirty: { t: "t", v: 4096 } }), Bytes: { t: "t", v: 7 } }, []);
    await settle();
    assert.deepEqual(now().jobs[0]?.transfer, { name: "nightly", phase: "pre-copy", dirty: 4096, downtime: null, reset: false });
    assert.deepEqual([now().jobs[0]?.bytes, now().jobs[0]?.progress], [7, null]);
    fake.signal(job, "org.freedesktop.DBus.Properties", "PropertiesChanged", iface,
                { State: { t: "s", v: "done" }, Result: result({ downtime: { t: "t", v: 1500 }, reset: { t: "b", v: true } }) }, []);
    await settle();
    assert.deepEqual(now().jobs[0]?.transfer, { name: "nightly", phase: "", dirty: null, downtime: 1.5, reset: true });
});

test("nonsense from the bus breaks nothing", async () => {
    const { fake, now } = await up();

    fake.signal(GPU_PATH, "org.freedesktop.DBus.Properties", "PropertiesChanged", "org.mdevgpu1.Gpu", { State: { t: "u", v: 7 }, Name: null }, "x");
    fake.signal("/", "org.freedesktop.DBus.ObjectManager", "InterfacesAdded", 5, null);
    fake.signal("/", "org.freedesktop.DBus.ObjectManager", "InterfacesRemoved", "/nowhere", "x");
    fake.signal("/unknown", "org.freedesktop.DBus.Properties", "PropertiesChanged", VGPU_IFACE, {}, []);
    fake.added("/odd", { [VGPU_IFACE]: { Uuid: 5, State: true, Gpu: "/" } });
    await settle();
    assert.deepEqual([now().gpus[0]?.state, now().gpus[0]?.name], ["", "0000:41:00.0"]);
    assert.deepEqual([now().vgpus[0]?.uuid, now().vgpus[0]?.gpu], ["", ""]);
});
