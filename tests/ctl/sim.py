#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""mdevgpuctl and the real daemon, over a simulated host: each verb once, as a person would use it.

sim.py MDEVGPUCTL MDEVGPUD-SIM PROFILE
"""

import json
import os
import re
import shutil
import subprocess
import time

from rig import CTL, DAEMON, FILE, Rig, equal, run, test, true

GPU = "0000:41:00.0"
UUID = "c0ffee00-0000-4000-8000-000000000001"


def until(rig: Rig, condition, *command):
    """The command's result once the condition holds of it; what a daemon does of its own accord takes a moment."""
    deadline = time.monotonic() + 20
    while not condition(result := rig.ctl(*command)):
        if time.monotonic() > deadline:
            with open(rig.log_of(DAEMON), encoding="utf-8", errors="replace") as f:
                raise AssertionError(f"{command}: {result}\n{f.read()}")
        time.sleep(0.05)
    return result


def machine(rig: Rig, *action):
    subprocess.run([DAEMON, "--root", os.path.join(rig.dir, "host"), *action], check=True, env=rig.env)


def start(rig: Rig):
    """A machine with one card, a profile for it, and the daemon."""
    types = os.path.join(rig.dir, "host", "etc", "mdevgpud", "types.d")
    os.makedirs(types)
    machine(rig, "plug", GPU)
    rig.start(DAEMON, "--root", os.path.join(rig.dir, "host"), "--address", rig.address, "--without-polkit")
    until(rig, lambda result: GPU in result.out, "gpus")
    shutil.copy(FILE, os.path.join(types, "50-test.yaml"))
    equal(rig.ctl("check").status, 0)
    equal(rig.ctl("reload").status, 0)
    until(rig, lambda result: "Reference half" in result.out, "types", GPU)
    return types


@test
def chain(rig: Rig):
    """a profile's type becomes a vGPU, which is shown and destroyed"""
    start(rig)
    created = rig.ctl("create", GPU, "Reference half", UUID)
    equal((created.status, created.out, created.err), (0, UUID + "\n", ""))

    row = json.loads(rig.ctl("--json", "list").out)[0]
    equal((row["uuid"], row["gpu"], row["state"]), (UUID, GPU, "active"))
    vgpu = json.loads(rig.ctl("--json", "status", UUID).out)[0]
    equal((vgpu["type_name"], vgpu["type_id"], vgpu["managed"]), ("Reference half", row["type"], True))
    gpu = json.loads(rig.ctl("--json", "status", GPU).out)[0]
    equal(([v["uuid"] for v in gpu["vgpus"]], gpu["state"]), ([UUID], "ready"))
    half = [t for t in gpu["types"] if t["name"] == "Reference half"][0]
    equal((half["max_instances"], half["available_instances"]), (2, 1))
    true(re.search(r"^ +vGPUs: 1$", rig.ctl("status").out, re.M), rig.ctl("status"))

    # By its id too, and with a UUID of the daemon's choice.
    second = rig.ctl("create", "", half["id"])
    equal(second.status, 0, second)
    result = rig.ctl("destroy", UUID, second.out.strip())
    equal((result.status, result.out, result.err), (0, "", ""))
    equal(rig.ctl("--no-legend", "list").out, "")


@test
def migration(rig: Rig):
    """what one host prints another compares; the vGPU that a migration goes to waits, and is released"""
    start(rig)
    printed = rig.ctl("migration", GPU, "Reference half", "--json")
    equal((printed.status, printed.err), (0, ""))
    info = json.loads(printed.out)
    equal((info["driver"], info["migration"], info["registration"]), ("mdevgpu_ref", True, "registered"))
    file = os.path.join(rig.dir, "there.json")

    def compat(changes, *options):
        with open(file, "w", encoding="utf-8") as f:
            json.dump({**info, **changes}, f)
        return rig.ctl("compat", GPU, file, *options)

    result = compat({})
    equal((result.status, result.out.splitlines()[0]), (0, "compatible"), result)
    page = rig.ctl("migration", GPU, "Reference half").out
    for line in "Device ID: 0x0001", "BAR1: 256 MiB", "Type ID: mdevgpu_ref-1", "Type: Reference half":
        true(re.search(f"^ +{line}$", page, re.M), page)
    result = rig.ctl("migration", GPU)
    equal((result.status, result.err),
          (2, f"mdevgpuctl: '{GPU}' is no vGPU; usage: mdevgpuctl migration GPU TYPE|UUID\n"))
    result = compat({"framebuffer": 7})
    true(result.status == 5 and result.out.startswith("incompatible\n  framebuffer: "), result)
    result = compat({"migration_metadata": None}, "--json")
    equal((result.status, json.loads(result.out)["verdict"]), (7, "unknown"), result)
    result = compat({"migration_metadata": "another"}, "-q")
    equal((result.status, result.out, result.err), (5, "", ""))
    with open(file, "w", encoding="utf-8") as f:
        f.write("[" * 100000)
    equal(rig.ctl("compat", GPU, file).status, 2)
    equal(rig.ctl("compat", GPU, "/nonexistent").status, 1)
    equal(subprocess.run([CTL, "compat", GPU, "-"], input=printed.out, env=rig.env, text=True,
                         check=False, capture_output=True).stdout.splitlines()[0], "compatible")

    equal(rig.ctl("prepare-incoming", GPU, "Reference half", UUID, "--lease=600").out, UUID + "\n")
    result = rig.ctl("migration", UUID)
    true(re.search(r"^ +Migratable: yes$", result.out, re.M), result)
    equal(json.loads(rig.ctl("migration", UUID, "--json").out)["state"], "incoming")
    equal(rig.ctl("completion", "--", "release-incoming", "").out.split()[0], UUID)
    probed = json.loads(rig.ctl("migration", UUID, "--probe", "--json").out)
    equal((probed["stop_copy"], probed["pre_copy"]), (True, True), probed)
    equal(rig.ctl("migration", GPU, "Reference half", "--probe").status, 2)
    equal(rig.ctl("prepare-incoming", GPU, "Reference half", "--lease=soon").status, 2)
    equal(rig.ctl("release-incoming", UUID).status, 0)
    equal(rig.ctl("release-incoming", UUID).status, 3)
    equal(rig.ctl("list").out, "No vGPUs.\n")
    equal(rig.ctl("prepare-incoming", GPU, "Reference half", UUID).status, 0)
    equal(rig.ctl("release-incoming", "--keep", UUID).status, 0)
    equal(json.loads(rig.ctl("list", "--json").out)[0]["state"], "active")


@test
def refusals(rig: Rig):
    """what is not there is status 3, what is malformed 2, what is refused 1"""
    start(rig)
    equal(rig.ctl("create", GPU, "Reference half", UUID).status, 0)
    for command, status in (
            (["create", "0000:99:00.0", "Reference half"], 3), (["create", GPU, "none such"], 3),
            (["destroy", UUID[:-1] + "9"], 3), (["status", UUID[:-1] + "9"], 3), (["types", "0000:99:00.0"], 3),
            (["create", GPU, "Reference half", "no-uuid"], 2), (["destroy", "no-uuid"], 2),
            (["create", "", "none such"], 3), (["create", GPU, "Reference half", UUID], 1)):
        result = rig.ctl(*command)
        equal((result.status, result.out), (status, ""), f"{command}: {result}")
        true(re.fullmatch(r"mdevgpuctl: .+\n(  .+\n)?", result.err), result)
    # What the daemon says is not in the words of the bus.
    true(not re.search("List|CreateV|UndefineV", rig.ctl("create", "0000:99:00.0", "x").err), "a method is named")


@test
def labels(rig: Rig):
    """a vGPU is named by its label where only one has it, and a GPU's name goes before"""
    start(rig)
    other = UUID[:-1] + "2"
    equal(rig.ctl("create", GPU, "Reference small", UUID, "--label=web 1").status, 0)
    equal(rig.ctl("create", GPU, "Reference small", other, "--label", GPU).status, 0)
    true(rig.ctl("status", "web 1").out.startswith(UUID), rig.ctl("status", "web 1"))
    true(rig.ctl("status", GPU).out.startswith(GPU), rig.ctl("status", GPU))
    equal(json.loads(rig.ctl("attachment", "--json", "web 1").out)[0]["uuid"], UUID)
    equal(rig.ctl("users", "web 1").status, 0)
    equal(rig.ctl("define", "web 1").out, UUID + "\n")
    equal(rig.ctl("undefine", "web 1").status, 0)
    equal(rig.ctl("modify", GPU, "--label=web 1").status, 0)
    for command in ["destroy"], ["status"], ["users"], ["modify", "--label=x"]:
        result = rig.ctl(*command, "web 1")
        true(result.status == 2 and f"2 vGPUs have the label 'web 1', name one by its UUID: {UUID}, {other}" in result.err,
             result)
    result = rig.ctl("destroy", "web 3")
    true(result.status == 2 and "No vGPU has that label either" in result.err, result)
    result = rig.ctl("status", "web 3")
    true(result.status == 3 and "No vGPU has that label either" in result.err, result)
    equal(rig.ctl("modify", other, "--label=web2").status, 0)
    equal(json.loads(rig.ctl("destroy", "--json", "web2", "web 1").out),
          {"changed": True, "vgpus": [{"uuid": other, "changed": True}, {"uuid": UUID, "changed": True}]})


@test
def just_plugged(rig: Rig):
    """a card that has just come is waited for until its types are known"""
    start(rig)
    for i in range(3):
        card = f"0000:4{2 + i}:00.0"
        machine(rig, "plug", card)
        until(rig, lambda result, card=card: card in result.out, "gpus")
        result = rig.ctl("create", card, "mdevgpu_ref-2")
        equal((result.status, result.err), (0, ""), result)


@test
def beside(rig: Rig):
    """run from a build folder, what needs no daemon finds the program that does it there"""
    source = os.path.join(rig.dir, "file.yaml")
    with open(source, "w", encoding="utf-8") as f:
        f.write("{}")
    for command in ["import", "mig-parted", source], ["probe"]:
        result = rig.ctl(*command)
        true("cannot be run" not in result.err, result)


@test
def foreign(rig: Rig):
    """a vGPU that somebody else made is destroyed with --unmanaged only"""
    start(rig)
    machine(rig, "plug-mtty", "mtty")
    until(rig, lambda result: "mtty-2" in result.out, "types")
    machine(rig, "mdev-create", "mtty", "mtty-2", UUID)
    until(rig, lambda result: UUID in result.out, "list")
    equal(rig.ctl("destroy", UUID).status, 1)
    equal(json.loads(rig.ctl("destroy", "--unmanaged", "--json", UUID).out)["changed"], True)
    equal(rig.ctl("list").out, "No vGPUs.\n")


@test
def types_that_wait(rig: Rig):
    """what a driver cannot take while a vGPU lives is told by reload, and why by types and status"""
    types = start(rig)
    equal(rig.ctl("create", GPU.removeprefix("0000:"), "Reference half", UUID).status, 0)
    with open(os.path.join(types, "50-test.yaml"), "r+", encoding="utf-8") as f:
        text = f.read().replace("19GiB", "18GiB").replace("960MiB", "950MiB")
        f.seek(0)
        f.write(text + "  - {id: 3, name: Reference third, max-instances: 3, framebuffer: 12GiB}\n")
        f.truncate()
    result = rig.ctl("reload")
    equal((result.status, result.err),
          (0, "1 type pending; 'mdevgpuctl types' says why\n"))
    for command in ["types", GPU], ["status", GPU]:
        result = rig.ctl(*command)
        equal(re.findall(r"^(mdevgpu_ref-\d: \w+): .{20,}$", result.out, re.M), ["mdevgpu_ref-3: pending"], result)
    equal(rig.ctl("destroy", UUID).status, 0)
    result = until(rig, lambda result: "pending" not in result.out, "types")
    true("differs" not in result.out and "Reference third" in result.out, result)


@test
def topologies(rig: Rig):
    """a topology is listed, planned, applied and asserted, and what is exported asserts clean"""
    types = start(rig)
    # A default that is there when the daemon first looks at the card is applied by itself.
    memory = os.path.join(types.removesuffix("etc/mdevgpud/types.d"), "state/topology/memory")
    until(rig, lambda _: os.path.exists(memory) and GPU in open(memory, encoding="utf-8").read(), "list")
    folder = os.path.join(os.path.dirname(types), "topologies.d")
    os.makedirs(folder)
    with open(os.path.join(folder, "10-test.yaml"), "w", encoding="utf-8") as f:
        f.write(f"""version: 1
topologies:
  one:
  - match: {{address: "{GPU}"}}
    vgpus: [{{type: Reference half, uuid: {UUID}, label: "we\\"b: 1", autostart: yes}}]
  much:
  - match: {{address: "{GPU}"}}
    vgpus: [{{type: Reference half, count: 9}}]
default: one
""")
    equal(rig.ctl("reload").status, 0)
    true(re.search(r"^one +no +yes +1 ", rig.ctl("topology", "list").out, re.M), rig.ctl("topology", "list"))
    planned = rig.ctl("topology", "plan")
    true(planned.status == 0 and f"create {UUID}" in planned.out, planned)
    result = rig.ctl("topology", "assert", "one")
    true(result.status == 5 and UUID in result.out, result)
    result = rig.ctl("-q", "topology", "diff", "one")
    equal((result.status, result.out, result.err), (5, "", ""))
    equal(rig.ctl("list").out, "No vGPUs.\n")

    result = rig.ctl("topology", "apply")
    equal((result.status, result.out, result.err), (0, "", ""))
    true(UUID in rig.ctl("list").out, rig.ctl("list"))
    equal(rig.ctl("topology", "assert").out, "Nothing differs.\n")
    equal(json.loads(rig.ctl("--json", "topology", "apply").out)["changed"], False)
    equal([(j["id"], j["state"]) for j in json.loads(rig.ctl("--json", "jobs").out)], [(1, "done"), (2, "done")])

    result = rig.ctl("topology", "apply", "much")
    true(result.status == 1 and "No GPU has room" in result.err, result)
    result = rig.ctl("topology", "plan", "much")
    true(result.status == 1 and "Cannot be: " in result.err, result)
    for command, status in ((["topology", "apply", "none"], 3), (["topology", "fold"], 2), (["cancel", "1"], 1),
                            (["cancel", "9"], 3), (["cancel", "x"], 2)):
        equal(rig.ctl(*command).status, status, rig.ctl(*command))

    exported = rig.ctl("topology", "export", "copy")
    with open(os.path.join(folder, "20-copy.yaml"), "w", encoding="utf-8") as f:
        f.write(exported.out)
    equal(rig.ctl("reload").status, 0, exported)
    equal((rig.ctl("topology", "assert", "copy").status, rig.ctl("topology", "diff", "one").status), (0, 0), exported)
    equal(rig.ctl("destroy", UUID).status, 0)
    equal(rig.ctl("topology", "assert", "copy").status, 5)


@test
def topology_of_functions(rig: Rig):
    """a topology has virtual functions enabled and vGPUs made on them, and takes both back if they do not fit"""
    types = start(rig)
    machine(rig, "plug-sriov", "0000:61:00.0")
    until(rig, lambda result: "0000:61:00.0" in result.out, "vfs")
    folder = os.path.join(os.path.dirname(types), "topologies.d")
    os.makedirs(folder)
    with open(os.path.join(folder, "10-test.yaml"), "w", encoding="utf-8") as f:
        f.write("""version: 1
topologies:
  two: [{match: {address: "0000:61:00.0"}, virtual-functions: 2, vgpus: [{type: vfio-pci-vf, count: 2}]}]
  three: [{match: {address: "0000:61:00.0"}, virtual-functions: 2, vgpus: [{type: vfio-pci-vf, count: 3}]}]
""")
    equal(rig.ctl("reload").status, 0)
    planned = rig.ctl("topology", "plan", "two")
    true(planned.status == 0 and re.search(r"^enable-vfs .*0000:61:00.0.*\nlater .*vfio-pci-vf", planned.out, re.M), planned)
    refused = rig.ctl("topology", "apply", "three")
    true(refused.status == 1 and "No GPU has room" in refused.err and "as it was before" in refused.err, refused)
    enabled = [row["num_vfs"] for row in json.loads(rig.ctl("--json", "vfs").out)]
    equal(enabled, [0])
    equal(rig.ctl("topology", "apply", "two").status, 0)
    equal(rig.ctl("topology", "assert", "two").out, "Nothing differs.\n")
    vgpu = json.loads(rig.ctl("--json", "list").out)[0]["uuid"]
    page = rig.ctl("status", vgpu).out
    true(re.search(r"^ *GPU: +0000:61:00.0$", page, re.M) and re.search(r"^ *Virtual function: +0000:61:01\.\d$", page, re.M),
         page)
    equal({step["gpu"] for step in json.loads(rig.ctl("--json", "topology", "plan", "two").out)}, {"0000:61:00.0"})
    exported = rig.ctl("topology", "export", "copy")
    true("virtual-functions: 2" in exported.out, exported)
    with open(os.path.join(folder, "20-copy.yaml"), "w", encoding="utf-8") as f:
        f.write(exported.out)
    equal(rig.ctl("reload").status, 0, exported)
    equal(rig.ctl("topology", "assert", "copy").status, 0, exported)


@test
def mixed_size(rig: Rig):
    """vGPUs of different sizes are allowed on a card of NVIDIA's, and not while it has some"""
    start(rig)
    equal(rig.ctl("mixed-size").out, "No GPU's driver has such a setting.\n")
    machine(rig, "plug-nvidia", "0000:61:00.0")
    until(rig, lambda result: "0000:61:00.0" in result.out, "vfs")
    refused = rig.ctl("mixed-size", "61:00.0", "on")
    true(refused.status == 1 and "virtual functions" in refused.err, refused)
    equal(rig.ctl("vfs", "61:00.0", "all").status, 0)
    until(rig, lambda result: re.search(r"^0000:61:00.0 +no ", result.out, re.M), "mixed-size")
    equal(rig.ctl("mixed-size", "61:00.0", "maybe").status, 2)
    changed = [json.loads(rig.ctl("--json", "mixed-size", "61:00.0", word).out)["changed"] for word in ("on", "on", "off")]
    equal(changed, [True, False, True])
    equal(rig.ctl("mixed-size", "61:00.0", "on").status, 0)
    true("mixed-size: true" in rig.ctl("topology", "export").out, rig.ctl("topology", "export"))
    equal(rig.ctl("create", "61:00.0", "nvidia-1145", UUID).status, 0)
    refused = rig.ctl("mixed-size", "61:00.0", "off")
    true(refused.status == 1 and "destroy" in refused.err, refused)
    equal([row["mixed_size"] for row in json.loads(rig.ctl("--json", "mixed-size").out)], [True])


@test
def bad_configuration(rig: Rig):
    """an error in a profile is shown by check, reload and status, and changes nothing"""
    types = start(rig)
    with open(os.path.join(types, "60-bad.yaml"), "w", encoding="utf-8") as f:
        f.write("version: 1\ntipes: []\n")
    checked = rig.ctl("check")
    equal(checked.status, 1, checked)
    true(re.search(r"60-bad\.yaml:2:1: error: .*tipes", checked.out), checked)
    reloaded = rig.ctl("reload")
    equal(reloaded.status, 1, reloaded)
    true("60-bad.yaml:2:1: error:" in reloaded.err, reloaded)
    true("60-bad.yaml:2:1: error:" in rig.ctl("status").out, rig.ctl("status"))
    true("Reference half" in rig.ctl("types").out, rig.ctl("types"))


def show(rig: Rig):
    """What list says of the one vGPU, and the definition as it is on the disk."""
    rows = json.loads(rig.ctl("--json", "list").out)
    equal([row["uuid"] for row in rows], [UUID])
    path = os.path.join(rig.dir, "host", "etc", "mdevctl.d", GPU, UUID)
    if not os.path.exists(path):
        return rows[0], None
    with open(path, encoding="utf-8") as f:
        return rows[0], json.load(f)


def changed(rig: Rig, *command):
    result = rig.ctl("--json", *command)
    equal(result.status, 0, result)
    return json.loads(result.out)["changed"]


@test
def life(rig: Rig):
    """a vGPU is defined, started, changed while it lives, held, stopped and undefined"""
    start(rig)
    machine_dir = os.path.join(rig.dir, "host")
    defined = rig.ctl("define", "--autostart", "--label", "web 1", "--attr", "scheduling_weight=3", GPU,
                      "Reference half", UUID)
    equal((defined.status, defined.out, defined.err), (0, UUID + "\n", ""))
    row, text = show(rig)
    equal((row["state"], row["label"], row["autostart"], row["persistent"], row["managed"]),
          ("defined", "web 1", True, True, True))
    equal((text["mdev_type"], text["start"], text["attrs"]), (row["type"], "auto", [{"scheduling_weight": "3"}]))
    true(re.search(rf"^{UUID} .*defined", rig.ctl("--no-legend", "list").out), rig.ctl("list"))
    equal(rig.ctl("define", GPU, "Reference half", UUID).status, 1)

    equal(changed(rig, "start", UUID), True)
    equal(changed(rig, "start", UUID), False)
    attribute = os.path.join(machine_dir, "sys/bus/mdev/devices", UUID, "scheduling_weight")
    equal(open(attribute, encoding="utf-8").read(), "3\n")
    equal(rig.ctl("modify", "--live", "--attr", "scheduling_weight=5", UUID).status, 0)
    equal(open(attribute, encoding="utf-8").read(), "5\n")
    equal(show(rig)[1]["attrs"], [{"scheduling_weight": "3"}])
    equal(rig.ctl("modify", "--config", "--manual", "--label", "web 2", UUID).status, 0)
    row, text = show(rig)
    equal((row["state"], row["label"], row["autostart"], text["start"]), ("active", "web 2", False, "manual"))

    equal(json.loads(rig.ctl("--json", "users", UUID).out), [])
    group = json.loads(rig.ctl("--json", "status", UUID).out)[0]["iommu_group"]
    with open(os.path.join(machine_dir, "dev/vfio", str(group)), "r+b"):
        users = json.loads(rig.ctl("--json", "users", UUID).out)
        equal([(u["uuid"], u["pid"], u["uid"]) for u in users], [(UUID, os.getpid(), 0)])
        held = rig.ctl("destroy", UUID)
        true(held.status == 1 and str(os.getpid()) in held.err, held)

    equal(changed(rig, "destroy", UUID), True)
    row, text = show(rig)
    equal((row["state"], row["label"]), ("defined", "web 2"))
    equal(rig.ctl("modify", "--live", "--attr", "scheduling_weight=5", UUID).status, 3)
    equal(changed(rig, "undefine", UUID), True)
    equal(rig.ctl("list").out, "No vGPUs.\n")
    equal(rig.ctl("start", UUID).status, 3)


@test
def others_definition(rig: Rig):
    """a definition that somebody else wrote is shown, started, and deleted with --unmanaged only"""
    start(rig)
    half = [t for t in json.loads(rig.ctl("--json", "types").out) if t["name"] == "Reference half"][0]
    folder = os.path.join(rig.dir, "host", "etc", "mdevctl.d", GPU)
    os.makedirs(folder)
    with open(os.path.join(folder, UUID), "w", encoding="utf-8") as f:
        json.dump({"mdev_type": half["id"], "start": "manual", "attrs": []}, f)
    until(rig, lambda result: UUID in result.out, "list")
    equal(show(rig)[0]["managed"], False)
    for command in ["undefine", UUID], ["modify", "--label", "mine", UUID], ["autostart", UUID]:
        refused = rig.ctl(*command)
        true(refused.status == 1 and "unmanaged" in refused.err, refused)
    equal(rig.ctl("autostart", "--unmanaged", UUID).status, 0)
    equal(show(rig)[1]["start"], "auto")
    equal(rig.ctl("start", UUID).status, 0)
    equal(rig.ctl("destroy", "--unmanaged", UUID).status, 0)
    equal(rig.ctl("undefine", "--unmanaged", UUID).status, 0)
    equal(rig.ctl("list").out, "No vGPUs.\n")


run()
