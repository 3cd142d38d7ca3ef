#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""mdevgpuctl against a stand-in daemon: what it prints, how it exits, and that it survives what it is told.

ctl.py MDEVGPUCTL FAKE-DAEMON MAN-PAGE
"""

import json
import os
import re
import shutil
import stat
import subprocess

from rig import CTL, FILE, Rig, equal, run, test, true

UUID = "c0ffee00-0000-4000-8000-000000000001"
FAILED = "00000000-0000-4000-8000-000000000002"
DEFINED = "c0ffee00-0000-4000-8000-000000000003"
ECHO = "c0ffee00-0000-4000-8000-00000000ec40"
GPU = "0000:41:00.0"
READING = [[], ["list"], ["gpus"], ["types"], ["types", GPU], ["status"], ["status", GPU], ["status", UUID], ["check"],
           ["version"], ["users", UUID], ["usage", GPU], ["attachment", UUID], ["states"]]
CHANGING = [["create", GPU, "t"], ["destroy", UUID], ["define", GPU, "t"], ["define", UUID], ["undefine", UUID],
            ["start", UUID], ["modify", UUID, "--type", "t"], ["autostart", UUID], ["reload"],
            ["save", UUID, "n"], ["restore", "n"], ["delete-state", "n"]]

# What a terminal obeys, or what makes text read as something else.
UNSAFE = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff"
                    "\U000e0000-\U000e007f]")


@test
def tables(rig: Rig):
    """lists are tables: by GPU and UUID, types as the daemon orders them"""
    rig.daemon("good")
    result = rig.ctl()
    equal(result.status, 0, result)
    rows = [line.split() for line in result.out.splitlines()]
    equal(rows[0], ["UUID", "GPU", "TYPE", "NAME", "LABEL", "AUTOSTART", "MANAGED", "STATE"], result)
    equal(rows[1], [UUID, GPU, "nvidia-530", "Open", "vAmpere/2", "web", "1", "no", "yes", "active"], result)
    equal(rows[2][2:], ["sim-1", "Simulated", "-", "-", "no", "failed"], result)
    equal(rows[3], [DEFINED, "0000:43:00.0", "nvidia-530", "-", "-", "yes", "yes", "defined"], result)
    equal(rig.ctl("list").out, result.out)

    result = rig.ctl("gpus")
    equal([line.split()[0] for line in result.out.splitlines()], ["ADDRESS", GPU, "0000:42:00.0"], result)

    result = rig.ctl("types")
    lines = result.out.splitlines()
    equal([line.split()[1] for line in lines[:4]], ["ID", "nvidia-530", "nvidia-54", "sim-1"], result)
    equal(lines[1].split()[-4:], ["1", "18.7", "GiB", "refused"], result)
    equal(lines[2].split()[-4:], ["8", "-", "-", "-"], result)
    equal(lines[4:], ["", f"{GPU} nvidia-530: refused: the driver said no"], result)
    equal(len(rig.ctl("--no-legend", "types").out.splitlines()), 3)
    equal(rig.ctl("types", "!org.mdevgpu1.Error.NoSuchGpu").status, 3)

    result = rig.ctl("types", GPU)
    lines = result.out.splitlines()
    equal([line.split()[0] for line in lines[:3]], ["ID", "nvidia-530", "nvidia-54"], result)
    equal(lines[3:], ["", "nvidia-530: refused: the driver said no"], result)

    equal(rig.ctl("gpus").out.splitlines()[2].split()[-2:], ["-", "failed"])

    result = rig.ctl("--no-legend", "list")
    equal(result.out.splitlines()[0].split()[0], UUID, result)


@test
def empty(rig: Rig):
    """a host without GPUs is said to be one, and is an empty list to programs"""
    rig.daemon("empty")
    equal(rig.ctl("list").out, "No vGPUs.\n")
    equal(rig.ctl("gpus").out, "No GPUs.\n")
    equal(rig.ctl("types").out, "No types.\n")
    for verb in "list", "gpus", "types":
        equal(rig.ctl("--no-legend", verb).out, "")
        equal(rig.ctl("--json=short", verb).out, "[]\n")
    result = rig.ctl("status")
    for line in r" +GPUs: 0", r" +Configuration: in order":
        true(re.search(f"^{line}$", result.out, re.M), result)
    result = rig.ctl("check")
    equal((result.status, result.out, result.err), (0, "", ""))


@test
def status_pages(rig: Rig):
    """status shows a page for each object, with units and without what says nothing"""
    rig.daemon("good")
    result = rig.ctl("status", GPU)
    equal(result.status, 0, result)
    equal(result.out.splitlines()[0], GPU)
    for line in (r" +Driver version: 535\.54\.06", r" +Framebuffer: 40 GiB", r" +Framebuffer used: -",
                 r" +Pending types: no"):
        true(re.search(f"^{line}$", result.out, re.M), result)
    true("Reason" not in result.out and "/org/mdevgpu1" not in result.out, result)
    true("\nnvidia-530: refused: the driver said no\n" in result.out, result)
    true("nvidia-54 " in result.out and "sim-1" not in result.out and UUID in result.out, result)

    result = rig.ctl("status", UUID)
    for line in (r" +State: active", r" +Type: Open vAmpere/2", r" +GPU: 0000:41:00\.0", r" +IOMMU group: 12",
                 r" +Label: web 1", r" +Persistent: yes", r" +Autostart: no", r" +In use: yes"):
        true(re.search(f"^{line}$", result.out, re.M), result)
    equal([line.split() for line in result.out.splitlines()[-4:]],
          [[], ["PID", "UID", "COMMAND", "UNIT", "VM"],
           ["4242", "64055", "qemu-system-x86", "machine-qemu.scope", "web"], ["77", "-", "-", "-", "-"]], result)

    result = rig.ctl("status", DEFINED)
    for line in (r" +State: defined", r" +Type: -", r" +Type ID: nvidia-530", r" +GPU: 0000:43:00\.0 \(not there\)",
                 r" +In use: no", r" +IOMMU group: -"):
        true(re.search(f"^{line}$", result.out, re.M), result)
    true("PID" not in result.out and "Device" not in result.out, result)

    result = rig.ctl("status")
    for line in (r" +Version: 9\.8\.7", r" +GPUs: 2", r" +vGPUs: 3", r" +Degraded: yes",
                 r" +Configuration: 2 errors, 1 warning"):
        true(re.search(f"^{line}$", result.out, re.M), result)
    true("types.d/a.yaml:3:9: error: unknown key" in result.out, result)


@test
def long_reason(rig: Rig):
    """a page does not cut the sentence that says what is wrong"""
    rig.daemon("huge")
    result = rig.ctl("status", GPU)
    true(re.search(r"^ +Reason: a{998}\.$", result.out, re.M), "it is cut")


@test
def status_of_several(rig: Rig):
    """status goes on past what does not exist and tells it in the end"""
    rig.daemon("good")
    result = rig.ctl("status", "!org.mdevgpu1.Error.NoSuchGpu=There is no GPU.", UUID)
    equal((result.status, result.err), (3, "mdevgpuctl: There is no GPU.\n  No vGPU has that label either; "
                                           "'mdevgpuctl gpus' lists the GPUs, 'mdevgpuctl list' the vGPUs.\n"), result)
    true(result.out.startswith(UUID), result)


@test
def json_values(rig: Rig):
    """--json has numbers as numbers, null for the unknown, and fixed keys"""
    rig.daemon("good")
    equal(json.loads(rig.ctl("--json", "list").out)[0],
          {"uuid": UUID, "gpu": GPU, "type": "nvidia-530", "state": "active", "label": "web 1",
           "path": "/org/mdevgpu1/vgpu/_c0ffee00_0000_4000_8000_000000000001", "managed": True,
           "persistent": True, "autostart": False, "type_name": "Open vAmpere/2"})
    other = json.loads(rig.ctl("--json", "list").out)[1]
    equal((other["label"], other["last_error"], other["managed"]), (None, None, False))
    equal((other["persistent"], other["autostart"]), (False, False))
    equal(json.loads(rig.ctl("--json", "gpus").out)[1]["driver"], None)
    equal(json.loads(rig.ctl("--json", "status", GPU).out)[0]["reason"], None)
    equal(list(json.loads(rig.ctl("--json", "gpus").out)[0]), ["address", "name", "driver", "state", "path"])
    types = json.loads(rig.ctl("--json", "types").out)
    equal((types[1]["max_instances"], types[1]["available_instances"]), (8, None))
    equal(list(types[1]), ["gpu", "id", "name", "device_api", "max_instances", "available_instances", "path",
                           "keeps_state"])
    equal((types[0]["framebuffer"], types[0]["registration"]), (19136 << 20, "refused"))

    gpu = json.loads(rig.ctl("status", GPU, "--json").out)[0]
    equal((gpu["object"], gpu["framebuffer_total"], gpu["framebuffer_used"], gpu["pending_types"]),
          ("gpu", 40 << 30, None, False))
    equal(([t["id"] for t in gpu["types"]], [v["uuid"] for v in gpu["vgpus"]]), (["nvidia-530", "nvidia-54"], [UUID]))

    vgpu = json.loads(rig.ctl("status", UUID, "--json").out)[0]
    equal((vgpu["object"], vgpu["iommu_group"], vgpu["type_name"]), ("vgpu", 12, "Open vAmpere/2"))
    equal((vgpu["in_use"], vgpu["users"]), ("yes", json.loads(rig.ctl("users", UUID, "--json").out)))
    vgpu = json.loads(rig.ctl("status", DEFINED, "--json").out)[0]
    equal([vgpu[key] for key in ("state", "parent", "gpu", "type_name", "iommu_group", "in_use", "users", "autostart")],
          ["defined", "0000:43:00.0", None, None, None, "no", None, True])

    overview = json.loads(rig.ctl("status", "--json").out)
    equal((overview["version"], overview["degraded"]), ("9.8.7", True))
    equal((len(overview["gpus"]), len(overview["vgpus"])), (2, 3))
    equal(overview["config_errors"], json.loads(rig.ctl("check", "--json").out))
    equal(overview["config_errors"][1]["line"], None)


@test
def json_forms(rig: Rig):
    """every verb prints JSON, in one line where that is asked for"""
    rig.daemon("good")
    for command in READING + CHANGING:
        short = rig.ctl("--json=short", *command)
        equal(short.out.count("\n"), 1, short)
        equal(json.loads(short.out), json.loads(rig.ctl("--json=pretty", *command).out), short)
        equal(rig.ctl("--json", *command).out, rig.ctl("--json=pretty", *command).out)


@test
def create(rig: Rig):
    """create prints the UUID alone, nothing with -q"""
    rig.daemon("good")
    other = UUID[:-1] + "9"
    result = rig.ctl("create", GPU, "nvidia-530")
    equal((result.status, result.out, result.err), (0, UUID + "\n", ""))
    equal(rig.ctl("create", GPU, "nvidia-530", other).out, other + "\n")
    equal(rig.ctl("-q", "create", GPU, "nvidia-530").out, "")
    equal(rig.ctl("create", "--json=short", GPU, "nvidia-530", other).out,
          f'{{"changed":true,"uuid":"{other}","path":"/org/mdevgpu1/vgpu/_c0ffee00_0000_4000_8000_000000000001"}}\n')


@test
def destroy(rig: Rig):
    """destroy goes on past a failure, whose status it then has"""
    rig.daemon("good")
    result = rig.ctl("destroy", UUID)
    equal((result.status, result.out, result.err), (0, "", ""))
    result = rig.ctl("destroy", "foreign")
    equal((result.status, result.err), (1, "mdevgpuctl: foreign is somebody else's\n"
                                           "  With --unmanaged it is done all the same.\n"))
    equal(rig.ctl("destroy", "--unmanaged", "foreign").status, 0)

    result = rig.ctl("destroy", "--json", "!org.mdevgpu1.Error.NoSuchVGpu=none", UUID, "foreign")
    equal(result.status, 3, result)
    answer = json.loads(result.out)
    equal(answer["changed"], True)
    equal([v["changed"] for v in answer["vgpus"]], [False, True, False])
    equal((answer["vgpus"][2]["error"], answer["vgpus"][2]["message"]),
          ("org.mdevgpu1.Error.NotManaged", "foreign is somebody else's"))
    equal(json.loads(rig.ctl("destroy", "--json", "foreign").out)["changed"], False)


@test
def define(rig: Rig):
    """define prints the UUID; of what is defined already and as wanted it says that nothing was to be done"""
    rig.daemon("good")
    other = UUID[:-1] + "9"
    equal(rig.ctl("define", GPU, "nvidia-530").out, UUID + "\n")
    equal(rig.ctl("define", GPU, "nvidia-530", other).out, other + "\n")
    equal(rig.ctl("define", other).out, other + "\n")
    equal(rig.ctl("define", "-q", other).out, "")
    equal(json.loads(rig.ctl("define", "--json", other).out)["changed"], True)

    result = rig.ctl("define", UUID)
    equal((result.status, result.out, result.err), (0, UUID + "\n", ""))
    for same in [UUID], [UUID.upper()], [UUID, "--label=web 1", "--manual"], [DEFINED, "--autostart", "--label", ""]:
        result = rig.ctl("define", "--json", *same)
        equal((result.status, json.loads(result.out)["changed"]), (0, False), result)
    equal(json.loads(rig.ctl("define", "--json", UUID.upper()).out),
          {"changed": False, "uuid": UUID, "path": "/org/mdevgpu1/vgpu/_c0ffee00_0000_4000_8000_000000000001"})
    for different in ["--label=db"], ["--autostart"], ["--attr=a=b"]:
        result = rig.ctl("define", UUID, *different)
        equal((result.status, result.out, result.err), (1, "", f"mdevgpuctl: {UUID} is taken already.\n"))
    # The UUID is taken, but not by a definition.
    equal(rig.ctl("define", FAILED).status, 1)
    equal(rig.ctl("define", GPU, "nvidia-530", DEFINED).status, 1)


@test
def undefine(rig: Rig):
    """undefine deletes no definition that somebody else wrote, unless told to"""
    rig.daemon("good")
    result = rig.ctl("undefine", UUID)
    equal((result.status, result.out, result.err), (0, "", ""))
    result = rig.ctl("undefine", "--json", "foreign", UUID)
    equal((result.status, result.err), (1, "mdevgpuctl: foreign is somebody else's\n"
                                           "  With --unmanaged it is done all the same.\n"))
    equal([v["changed"] for v in json.loads(result.out)["vgpus"]], [False, True], result)
    equal(rig.ctl("undefine", "--unmanaged", "foreign").status, 0)
    # Nothing that the verb does not take is advised, nor what was done already.
    equal(rig.ctl("start", "!org.mdevgpu1.Error.NotManaged=No.").err, "mdevgpuctl: No.\n")
    equal(rig.ctl("undefine", "!org.mdevgpu1.Error.NotManaged=No.", "--unmanaged").err, "mdevgpuctl: No.\n")


@test
def start(rig: Rig):
    """start of what is active is nothing to do; a UUID that is taken otherwise is a failure"""
    rig.daemon("good")
    result = rig.ctl("start", DEFINED, UUID)
    equal((result.status, result.out, result.err), (0, "", ""))
    answer = json.loads(rig.ctl("start", "--json", UUID, DEFINED).out)
    equal((answer["changed"], [v["changed"] for v in answer["vgpus"]]), (True, [False, True]))
    equal(json.loads(rig.ctl("start", "--json=short", UUID).out),
          {"changed": False, "vgpus": [{"uuid": UUID, "changed": False}]})
    result = rig.ctl("start", FAILED, DEFINED, "--json")
    equal((result.status, result.err), (1, f"mdevgpuctl: {FAILED} is there.\n"))
    equal([v["changed"] for v in json.loads(result.out)["vgpus"]], [False, True], result)


@test
def modify(rig: Rig):
    """what is as wanted is left alone, so that nobody is asked for a password"""
    rig.daemon("good")
    # The stand-in lets nobody modify this one.
    for same in (["modify", "--autostart"], ["autostart"], ["autostart", "--unmanaged"], ["modify", "--label="],
                 ["modify", "--autostart", "--label", ""]):
        result = rig.ctl(*same, DEFINED)
        equal((result.status, result.out, result.err), (0, "", ""), f"{same} {result}")
        equal(json.loads(rig.ctl("--json", *same, DEFINED.upper()).out)["changed"], False, same)
    for different in (["modify", "--manual"], ["autostart", "--off"], ["modify", "--label=x"],
                      ["modify", "--autostart", "--label=x"], ["modify", "--autostart", "--config"],
                      ["modify", "--autostart", "--type=t"], ["modify", "--label=", "--attr=a=b"]):
        result = rig.ctl(*different, DEFINED)
        equal((result.status, result.err), (4, "mdevgpuctl: polkit says no\n"), f"{different} {result}")

    answer = json.loads(rig.ctl("autostart", "--json", DEFINED, UUID).out)
    equal((answer["changed"], [v["changed"] for v in answer["vgpus"]]), (True, [False, True]))
    equal(json.loads(rig.ctl("autostart", "--off", "--json", UUID).out)["changed"], False)
    equal(rig.ctl("modify", "!org.mdevgpu1.Error.NoSuchVGpu", "--manual").status, 3)


@test
def options(rig: Rig):
    """what is given is what the daemon is asked for, in the order of attributes, and nothing else"""
    rig.daemon("good")
    for command, told in {
            ("create", GPU, "t", ECHO): f"CreateVGpu '{GPU}' 't' '{ECHO}' []",
            ("create", GPU, "t", ECHO, "--persistent"): f"CreateVGpu '{GPU}' 't' '{ECHO}' [('persistent' (true))]",
            ("create", GPU, "t", ECHO, "--autostart", "--label=a b", "--attr", "z=1", "--attr", "a=x=y", "--attr=z="):
            f"CreateVGpu '{GPU}' 't' '{ECHO}' [('autostart' (true)) ('label' ('a b'))"
            " ('attrs' ([('z' '1') ('a' 'x=y') ('z' '')]))]",
            ("define", "43:00.0", "t", ECHO, "--autostart"):
            f"DefineVGpu '0000:43:00.0' 't' '{ECHO}' [('autostart' (true))]",
            ("define", "--manual", ECHO): f"DefineVGpu '' '' '{ECHO}' [('autostart' (false))]",
            ("define", ECHO): f"DefineVGpu '' '' '{ECHO}' []",
            ("undefine", ECHO): f"UndefineVGpu '{ECHO}' []",
            ("undefine", ECHO, "--unmanaged"): f"UndefineVGpu '{ECHO}' [('unmanaged' (true))]",
            ("destroy", ECHO, "--unmanaged"): f"DestroyVGpu '{ECHO}' [('unmanaged' (true))]",
            ("start", ECHO): f"StartVGpu '{ECHO}' []",
            ("autostart", ECHO): f"ModifyVGpu '{ECHO}' [('autostart' (true))]",
            ("autostart", ECHO, "--off", "--unmanaged"):
            f"ModifyVGpu '{ECHO}' [('unmanaged' (true)) ('autostart' (false))]",
            ("modify", ECHO, "--label", "", "--live"): f"ModifyVGpu '{ECHO}' [('label' ('')) ('scope' ('live'))]",
            ("modify", ECHO, "--type=t", "--config"): f"ModifyVGpu '{ECHO}' [('type' ('t')) ('scope' ('config'))]",
            ("modify", ECHO, "--attr=a=b", "--live", "--config"):
            f"ModifyVGpu '{ECHO}' [('attrs' ([('a' 'b')])) ('scope' ('both'))]"}.items():
        result = rig.ctl(*command)
        equal((result.status, result.err), (1, f"mdevgpuctl: {told}\n"), command)


@test
def users(rig: Rig):
    """users lists processes, by vGPU where several are named; nobody is said to be found where nobody is"""
    rig.daemon("good")
    result = rig.ctl("users", UUID)
    equal([line.split() for line in result.out.splitlines()],
          [["PID", "UID", "COMMAND", "UNIT", "VM"], ["4242", "64055", "qemu-system-x86", "machine-qemu.scope", "web"],
           ["77", "-", "-", "-", "-"]], result)
    result = rig.ctl("users", DEFINED, UUID)
    equal([line.split()[0] for line in result.out.splitlines()], ["UUID", UUID, UUID], result)
    equal(json.loads(rig.ctl("users", UUID, "--json").out),
          [{"uuid": UUID, "pid": 4242, "uid": 64055, "comm": "qemu-system-x86", "unit": "machine-qemu.scope",
            "vm": "web"},
           {"uuid": UUID, "pid": 77, "uid": None, "comm": None, "unit": None, "vm": None, "since": 5}])

    equal(rig.ctl("users", DEFINED).out, "No users found.\n")
    equal(rig.ctl("users", DEFINED, "--no-legend").out, "")
    equal(rig.ctl("users", DEFINED, "--json=short").out, "[]\n")
    gone = "!org.mdevgpu1.Error.NoSuchVGpu=There is none."
    result = rig.ctl("users", gone, DEFINED)
    equal((result.status, result.out, result.err),
          (3, "", "mdevgpuctl: There is none.\n  'mdevgpuctl list' lists the vGPUs.\n"))
    result = rig.ctl("users", gone, UUID)
    equal((result.status, len(result.out.splitlines())), (3, 3), result)


@test
def check(rig: Rig):
    """check prints problems as compilers do and fails only for errors"""
    rig.daemon("good")
    result = rig.ctl("check")
    equal(result.status, 1, result)
    equal(result.out.splitlines(), [
        "/etc/mdevgpud/types.d/a.yaml:3:9: error: unknown key 'nmae', is it 'name'?",
        "/etc/mdevgpud/types.d/b.yaml: error: cannot be read: Permission denied",
        "/etc/mdevgpud/types.d/c.yaml:1:1: warning: exceeds the card"], result)
    result = rig.ctl("check", "-q")
    equal((result.status, result.out), (1, ""))
    equal(rig.ctl("check", "--json").status, 1)


@test
def check_warning(rig: Rig):
    """a warning alone is no failure of check"""
    rig.daemon("huge")
    result = rig.ctl("check")
    equal((result.status, result.out), (0, "/etc/mdevgpud/types.d/c.yaml:1:1: warning: exceeds the card\n"))
    true(re.search(r"^ +Configuration: 1 warning$", rig.ctl("status").out, re.M), "of which status tells")


@test
def reload(rig: Rig):
    """reload says every error of a bad configuration"""
    rig.daemon("hostile")
    result = rig.ctl("reload")
    equal((result.status, result.err), (1, "mdevgpuctl: a.yaml:1:1: error\n  b.yaml:2:2: error\n"))


@test
def reload_good(rig: Rig):
    """reload of a good configuration says what drivers have not taken, and nothing else"""
    rig.daemon("good")
    result = rig.ctl("reload")
    equal((result.status, result.out, result.err), (0, "", "1 type refused; 'mdevgpuctl types' says why\n"))
    equal(rig.ctl("-q", "reload").err, "")
    equal(rig.ctl("reload", "--json=short").out, '{"reloaded":true}\n')


@test
def reload_silent(rig: Rig):
    """reload is silent where drivers have taken all"""
    rig.daemon("odd")
    result = rig.ctl("reload")
    equal((result.status, result.out, result.err), (0, "", ""))


@test
def exit_statuses(rig: Rig):
    """each error on the bus has its exit status"""
    rig.daemon("good")
    prefix, standard = "org.mdevgpu1.Error.", "org.freedesktop.DBus.Error."
    for name, status in {
            prefix + "NoInstances": 1, prefix + "Busy": 1, prefix + "InUse": 1, prefix + "Timeout": 1,
            prefix + "DriverRejected": 1, prefix + "AlreadyExists": 1, prefix + "Whatever": 1,
            standard + "InvalidArgs": 2, standard + "UnknownMethod": 1, standard + "Failed": 1,
            prefix + "StateInvalid": 1, prefix + "NoSuchState": 3,
            prefix + "NoSuchGpu": 3, prefix + "NoSuchType": 3, prefix + "NoSuchVGpu": 3, standard + "UnknownObject": 3,
            standard + "AccessDenied": 4, standard + "InteractiveAuthorizationRequired": 4, standard + "AuthFailed": 4,
            standard + "NoReply": 6, standard + "ServiceUnknown": 6, standard + "Spawn.ExecFailed": 6,
            "org.freedesktop.systemd1.NoSuchUnit": 6}.items():
        result = rig.ctl("create", f"!{name}=A sentence.", "t")
        equal(result.status, status, result)
        said = "Cannot reach mdevgpud: A sentence." if status == 6 else "A sentence."
        hint = {"NoSuchGpu": "'mdevgpuctl gpus' lists the GPUs.", "NoSuchVGpu": "'mdevgpuctl list' lists the vGPUs.",
                "NoSuchType": "'mdevgpuctl types GPU' lists its types.",
                "NoSuchState": "'mdevgpuctl states' lists the saved states.",
                "InUse": "'mdevgpuctl users UUID' lists who uses it."}.get(name.removeprefix(prefix))
        equal(result.err, f"mdevgpuctl: {said}\n" + (f"  {hint}\n" if hint else ""), result)
        equal(result.out, "", result)


@test
def attachment(rig: Rig):
    """attachment prints the daemon's texts as they are, one after the other, and asks for the format and options named"""
    rig.daemon("good")
    equal(rig.ctl("attachment", UUID).out, "libvirt-xml \n")
    equal(rig.ctl("attachment", UUID, DEFINED, "--format", "qemu").out, "qemu \nqemu \n")
    equal(rig.ctl("attachment", UUID, "--display", "--ramfb").out, "libvirt-xml display ramfb \n")
    equal(json.loads(rig.ctl("attachment", UUID, "--format=cdi", "--json").out), [{"uuid": UUID, "text": "cdi \n"}])
    result = rig.ctl("attachment", "!org.mdevgpu1.Error.NoSuchVGpu=There is none.", UUID)
    equal((result.status, result.out), (3, "libvirt-xml \n"), result)


@test
def usage(rig: Rig):
    """wrong usage is status 2, and nothing is asked of the daemon"""
    for command in (["lst"], ["create"], ["create", GPU], ["create", GPU, "t", UUID, "x"], ["destroy"], ["list", "x"],
                    ["types", "a", "b"], ["--json=xml"], ["--frobnicate"], ["list", "--unmanaged"],
                    ["-H", "a", "--address", "b"], ["help", "lst"], ["create", GPU, "Open", "vAmpere/2"],
                    ["--address"], ["monitor", "x"], ["define"], ["define", GPU], ["define", GPU, "Open", "vAmpere/2"],
                    ["define", UUID, "--persistent"], ["define", UUID, "--autostart", "--manual"], ["undefine"],
                    ["start"], ["start", UUID, "--autostart"], ["modify"], ["modify", UUID], ["modify", UUID, "--live"],
                    ["modify", UUID, UUID, "--manual"], ["modify", UUID, "--off"], ["autostart"], ["users"],
                    ["attachment"], ["attachment", UUID, DEFINED, "--format=cdi"], ["attachment", UUID, DEFINED, "--display"],
                    ["autostart", UUID, "--manual"], ["create", GPU, "t", "--config"], ["destroy", UUID, "--label=x"],
                    ["create", GPU, "t", "--attr=x"], ["create", GPU, "t", "--attr", "=x"],
                    ["create", GPU, "t", "--label"], ["create", GPU, "t", "--type=t"], ["create", GPU, "t", "--manual"]):
        result = rig.ctl(*command)
        equal((result.status, result.out), (2, ""), f"{command} {result}")
        true(result.err, command)
    equal(rig.ctl("create", GPU, "Open", "vAmpere/2").err,
          "mdevgpuctl: 'vAmpere/2' is no UUID.\n"
          f"  A name with blanks must be quoted: mdevgpuctl create {GPU} 'Open vAmpere/2'\n")
    # What looks like a UUID is no end of a name.
    equal(rig.ctl("create", GPU, "t", UUID[:-1]).err,
          f"mdevgpuctl: '{UUID[:-1]}' is no UUID: it has to have the form xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx.\n")
    for typed, meant in ("creat", "create"), ("lsit", "list"), ("undef", "undefine"), ("statsu", "status"):
        true(f"is it '{meant}'?" in rig.ctl(typed).err, rig.ctl(typed))
    for typed in "x", "frobnicate", "completio", "a" * 100:
        true("is it" not in rig.ctl(typed).err, rig.ctl(typed))
    equal(rig.ctl("start", UUID, "--autostart").err,
          "mdevgpuctl: --autostart does not go with start; 'mdevgpuctl help start' says what does.\n")
    equal(rig.ctl("create", GPU, "t", "--attr", "\x1bx").err, "mdevgpuctl: --attr=\\u001bx is not NAME=VALUE.\n")
    equal(rig.ctl("list", "x").err, "mdevgpuctl: Too many arguments; usage: mdevgpuctl list\n")


@test
def not_utf8(rig: Rig):
    """an argument that no D-Bus string can hold is wrong usage"""
    rig.daemon("good")
    result = rig.ctl("create", b"\xff\xfe", "t")
    equal(result.status, 2, result)
    for option in b"--label=\xff", b"--attr=\xff=x", b"--attr=x=\xff":
        result = rig.ctl("create", GPU, "t", option)
        equal((result.status, result.out), (2, ""), result)
    result = rig.ctl("destroy", b"\xff\x1b[31m", UUID, "--json")
    equal(result.status, 2, result)
    equal([v["changed"] for v in json.loads(result.out)["vgpus"]], [False, True], result)


@test
def no_daemon(rig: Rig):
    """without the daemon, and without the bus, the status is 6"""
    for command in READING + CHANGING + [["destroy", UUID, UUID], ["users", UUID, UUID]]:
        result = rig.ctl(*command)
        equal(result.status, 6, f"{command} {result}")
        equal(result.err.count("\n"), 1, result)
        true(result.err.startswith("mdevgpuctl: Cannot reach mdevgpud: "), result)
        result = rig.ctl("--address", f"unix:path={rig.dir}/nothing", *command)
        equal(result.status, 6, f"{command} {result}")
        true(f"{rig.dir}/nothing: No such file" in result.err, result)


@test
def no_answer(rig: Rig):
    """a daemon that answers late, or goes without an answer, is not reachable"""
    rig.daemon("good")
    result = rig.ctl("create", "!hang", "t", env={"SYSTEMD_BUS_TIMEOUT": "1s"})
    equal(result.status, 6, result)
    result = rig.ctl("create", "!drop", "t")
    equal(result.status, 6, result)
    true("Cannot reach mdevgpud: " in result.err, result)


@test
def versions(rig: Rig):
    """version knows its own without the daemon"""
    result = rig.ctl("version")
    equal(result.status, 6, result)
    true(re.fullmatch(r"mdevgpuctl \d+\.\d+\.\d+\n", result.out), result)
    equal(json.loads(rig.ctl("version", "--json").out)["mdevgpud"], None)
    equal(rig.ctl("--version").status, 0)
    equal(rig.ctl("--version").out, result.out)
    rig.daemon("good")
    equal(rig.ctl("version").out, result.out + "mdevgpud 9.8.7\n")


@test
def usage(rig: Rig):
    """usage shows what the driver says of a GPU, and its vGPUs as a table; what it does not say is null"""
    rig.daemon("good")
    result = rig.ctl("usage", GPU)
    equal(result.status, 0, result)
    lines = result.out.splitlines()
    true(lines[0] == GPU and any(re.fullmatch(r" +Framebuffer used: +12 GiB", line) for line in lines), result)
    equal([line.split() for line in lines[-3:]],
          [["UUID", "TYPE", "PID", "VM", "FRAMEBUFFER", "USED", "ENCODER", "DRIVER", "LICENSED"],
           [UUID, "nvidia-530", "4242", "web", "-", "12", "GiB", "40", "550.54.14", "yes"],
           ["-", "nvidia-54", "-", "-", "-", "-", "-", "-", "-"]], result)
    equal(json.loads(rig.ctl("usage", GPU, "--json").out),
          [{"gpu": GPU, "framebuffer_total": None, "framebuffer_used": 12 << 30, "migration": True,
            "vgpus": [{"uuid": UUID, "pid": 4242, "type": "nvidia-530", "vm": "web", "framebuffer_used": 12 << 30,
                       "encoder": 40, "guest_driver": "550.54.14", "licensed": True},
                      {"uuid": None, "pid": None, "type": "nvidia-54"}]}])
    everywhere = rig.ctl("usage")
    true(everywhere.status == 0 and everywhere.out.startswith(GPU) and "\n0000:42:00.0\n" in everywhere.out, everywhere)
    result = rig.ctl("usage", "!org.mdevgpu1.Error.NotSupported=It says nothing.", GPU)
    equal((result.status, result.err), (1, "mdevgpuctl: It says nothing.\n"), result)
    true(result.out.startswith(GPU), result)


# In the order in which the command explains them.
VERBS = """
    list
    gpus
    types
    status
    users
    usage
    attachment
    create
    destroy
    define
    undefine
    start
    modify
    autostart
    topology
    vfs
    mixed-size
    migration
    compat
    prepare-incoming
    release-incoming
    save
    restore
    export-state
    import-state
    states
    delete-state
    jobs
    cancel
    check
    reload
    doctor
    monitor
    metrics
    probe
    import
    dump
    version
    help
""".split()


@test
def help_texts(rig: Rig):
    """the command and every verb explain themselves"""
    overall = rig.ctl("--help")
    equal((overall.status, overall.err), (0, ""))
    equal(rig.ctl("help").out, overall.out)
    verbs = re.findall(r"^  ([a-z-]+) ", overall.out, re.M)
    equal(verbs, VERBS)
    for verb in verbs:
        result = rig.ctl(verb, "--help")
        equal(result.status, 0, result)
        true(result.out.startswith(f"mdevgpuctl [OPTIONS] {verb}"), result)
        equal(rig.ctl("help", verb).out, result.out)
        true("options that all verbs take" in result.out and "--address" not in result.out, result)
        true(max(map(len, result.out.splitlines())) <= 80, result)
    true(max(map(len, overall.out.splitlines())) <= 80, overall)
    true(re.search(r"^Options:\n +--unmanaged ", rig.ctl("help", "destroy").out, re.M), rig.ctl("help", "destroy"))


@test
def man_page(rig: Rig):
    """the man page has every verb and option that the command explains, and no other"""
    with open(FILE, encoding="utf-8") as f:
        page = f.read()
    overall = rig.ctl("--help").out
    section = page.split("# VERBS")[1].split("# OPTIONS")[0]
    equal(re.findall(r"^\*([\w-]+)\*", section, re.M), re.findall(r"^  ([a-z-]+) ", overall, re.M))
    section = page.split("# OPTIONS\n")[1].split("# OPTIONS OF VERBS")[0]
    equal(re.findall(r"^(?:\*-\w\*, )?\*(--[\w-]+)\*", section, re.M), re.findall(r"^  .{4}(--[\w-]+)", overall, re.M))
    section = page.split("# OPTIONS OF VERBS")[1].split("# REGISTRATION")[0]
    documented = {option: set(re.findall(r"\*([\w-]+)\*", verbs))
                  for option, verbs in re.findall(r"^\*(--[\w-]+)\*.*\n\t\(([^)]*)\)", section, re.M)}
    explained = {}
    for verb in re.findall(r"^  ([a-z-]+) ", overall, re.M):
        for option in re.findall(r"^      (--[\w-]+)", rig.ctl("help", verb).out, re.M):
            explained.setdefault(option, set()).add(verb)
    equal(documented, explained)
    for verb in ("types", "status", "users", "usage", "create", "destroy", "define", "undefine", "start", "modify",
                 "autostart", "vfs", "mixed-size", "migration", "compat", "prepare-incoming", "release-incoming", "save",
                 "restore", "export-state", "import-state", "delete-state", "help"):
        arguments = re.search(rf"\] {verb} (.*)", rig.ctl("help", verb).out).group(1).replace("…", "...")
        documented = re.search(rf"^\*{verb}\* (.*)", page, re.M).group(1).replace("*", "").replace("_", "")
        equal(documented, arguments)


@test
def address(rig: Rig):
    """--address asks a private bus"""
    rig.daemon("good")
    result = rig.ctl("--address", rig.address, "gpus", env={"DBUS_SYSTEM_BUS_ADDRESS": "unix:path=/nonexistent"})
    equal(result.status, 0, result)


@test
def host(rig: Rig):
    """-H reaches the bus of another machine through ssh"""
    rig.daemon("good")
    ssh = os.path.join(rig.dir, "ssh")
    with open(ssh, "w", encoding="utf-8") as f:
        f.write(f'#!/bin/sh\necho "$@" >{rig.dir}/ssh.log\n'
                f'exec {shutil.which("systemd-stdio-bridge")} --bus-path="{rig.address}"\n')
    os.chmod(ssh, stat.S_IRWXU)
    env = {"PATH": f'{rig.dir}:{rig.env["PATH"]}', "DBUS_SYSTEM_BUS_ADDRESS": "unix:path=/nonexistent"}
    result = rig.ctl("-H", "me@elsewhere", "--json", "list", env=env)
    equal((result.status, len(json.loads(result.out))), (0, 3), result)
    with open(os.path.join(rig.dir, "ssh.log"), encoding="utf-8") as f:
        true("me@elsewhere" in f.read().split(), "ssh was not told the host")
    equal(rig.ctl("-H", "me@elsewhere", "list", env={"PATH": "/nonexistent"}).status, 6)
    with open(ssh, "w", encoding="utf-8") as f:
        f.write("#!/bin/sh\necho 'no such machine' >&2\nexit 255\n")
    result = rig.ctl("-H", "me@elsewhere", "list", env=env)
    equal((result.status, result.err),
          (6, "no such machine\nmdevgpuctl: Cannot reach the system bus of me@elsewhere over ssh.\n  'ssh me@elsewhere "
              "systemd-stdio-bridge' has to work without a question; what ssh said stands above.\n"), result)


@test
def hostile_text(rig: Rig):
    """nothing that a terminal obeys is ever printed, in no form and nowhere"""
    rig.daemon("hostile")
    for command in READING + [["reload"], ["create", GPU, "t"], ["define", GPU, "t"],
                              ["create", "!a.b=\x1b[31m\u202e", "t"], ["undefine", "!a.b=\x1b[31m\u202e"]]:
        for form in [], ["--json"], ["--json=short"]:
            result = rig.ctl(*form, *command)
            true(not UNSAFE.search(result.out) and not UNSAFE.search(result.err), f"{command} {result}")
            true(len(result.err) + len(result.out) > 0, command)
    result = rig.ctl("list")
    equal(len(result.out.splitlines()), 3, result)
    result = rig.ctl("types")
    equal(len(result.out.splitlines()), 4, result)
    true(r"\u001b[31mred\u001b]0;title\u0007|\u009b2J|\u000amdevgpuctl: forged|\u202eabc|\udb40\udc61|\u007f" in result.out,
         result)
    true(max(map(len, result.out.splitlines())) < 2000, "a long cell is cut")
    result = rig.ctl("check")
    equal((result.status, len(result.out.splitlines())), (1, 1), result)


@test
def hostile_json(rig: Rig):
    """escaped text is the same text to a program"""
    rig.daemon("hostile")
    hostile = "\x1b[31mred\x1b]0;title\x07|\x9b2J|\nmdevgpuctl: forged|\u202eabc|\U000e0061|\x7f"
    for form in "--json=pretty", "--json=short":
        rows = json.loads(rig.ctl(form, "list").out)
        equal({row["label"] for row in rows}, {hostile, None})
        equal(max(len(row["type"]) for row in rows), (1 << 20) - 1)


@test
def hostile_uuid(rig: Rig):
    """create prints no UUID that is none"""
    rig.daemon("hostile")
    result = rig.ctl("create", GPU, "t")
    equal((result.status, result.out), (1, ""), result)
    true("which is no UUID" in result.err, result)


@test
def wrong_signatures(rig: Rig):
    """an answer of the wrong type is an error, not a crash"""
    rig.daemon("wrong")
    for command in READING + CHANGING:
        result = rig.ctl(*command)
        equal(result.status, 1, f"{command} {result}")
        true(re.search(r"mdevgpud answered \w+ with '\(ss\)' where '[a-z(){}]*' was expected", result.err), result)


@test
def odd_values(rig: Rig):
    """what a later daemon adds is shown; what is unknown is null; what nests too deep is left"""
    rig.daemon("odd")
    result = rig.ctl("status", UUID, "--json")
    equal(result.status, 0, result)
    vgpu = json.loads(result.out)[0]
    for key, value in {
            "byte": 255, "short": None, "u_short": None, "iommu_group": None, "vendor_id": None, "long": None,
            "framebuffer": None, "almost_maximum": 2**64 - 2, "negative": -2**63, "not_a_number": None, "half": 0.5,
            "nowhere_at_all": None, "strings": ["a", "b\x1b"], "no_strings": [], "bytes": [0, 1, 255],
            "by_number": None, "by_name": {"inner_name": ["x", 1]}, "started_by_uid": 0, "": True, "file": None,
            "nested": None}.items():
        equal((key, vgpu.get(key, "absent")), (key, value))
    result = rig.ctl("status", UUID)
    equal(result.status, 0, result)
    true(re.search(r"^ +Vendor ID: -$", result.out, re.M), result)

    row = json.loads(rig.ctl("list", "--json").out)[0]
    equal((row["uuid"], row["path"], row["in_use"], row["placement_id"]), (UUID, None, "no", 7))

    result = rig.ctl("status")
    equal(result.status, 0, result)
    true("Degraded" not in result.out and "Configuration" not in result.out, result)


@test
def huge_list(rig: Rig):
    """a hundred thousand vGPUs are a list too"""
    rig.daemon("huge")
    result = rig.ctl("list")
    equal((result.status, len(result.out.splitlines())), (0, 100001))
    equal(len(json.loads(rig.ctl("--json", "list").out)), 100000)


@test
def colors(rig: Rig):
    """colour is for terminals, and not for NO_COLOR"""
    rig.daemon("good")
    true("\x1b[" not in rig.ctl("status").out, "no terminal")
    for verb in "list", "status", "check":
        true("\x1b[31m" in rig.terminal(verb).out, rig.terminal(verb))
        for env in {"NO_COLOR": "1"}, {"TERM": "dumb"}:
            result = rig.terminal(verb, env=env)
            true("\x1b" not in result.out, result)
            true(len(result.out) > 100, result)


@test
def width(rig: Rig):
    """on a narrow terminal the name gives way, elsewhere nothing does"""
    rig.daemon("good")
    true("GA100 [A100 PCIe 40GB]" in rig.terminal("gpus", columns=80).out, "there is room")
    narrow = rig.terminal("gpus", columns=45, env={"NO_COLOR": "1"})
    true("GA100 [" in narrow.out and "40GB]" not in narrow.out, narrow)
    true(max(map(len, narrow.out.splitlines())) <= 45, narrow)
    narrowest = rig.terminal("gpus", columns=20, env={"NO_COLOR": "1"})
    true(all(word in narrowest.out for word in (GPU, "0000:42:00.0", "nvidia", "failed")), narrowest)
    true("GA100 [A100 PCIe 40GB]" in rig.ctl("gpus", env={"COLUMNS": "45"}).out, "no terminal")


@test
def narrow(rig: Rig):
    """what a person has to type is never cut: columns that tell nothing go, and then lines are long"""
    rig.daemon("odd")
    names = "A type with a name of many words, the first", "A type with a name of many words, the second"
    for columns, headings in ((140, ["GPU", "ID", "NAME", "API", "MAX", "AVAILABLE", "FRAMEBUFFER", "REGISTRATION"]),
                              (109, ["GPU", "ID", "NAME", "MAX", "AVAILABLE", "FRAMEBUFFER", "REGISTRATION"]),
                              (80, ["GPU", "ID", "NAME", "MAX", "AVAILABLE", "FRAMEBUFFER"]),
                              (20, ["GPU", "ID", "NAME", "MAX", "AVAILABLE", "FRAMEBUFFER"])):
        result = rig.terminal("types", columns=columns)
        lines = result.out.splitlines()
        equal(lines[0].split(), headings, result)
        equal([line.split()[1] for line in lines[1:]], ["one-10", "one-9"], result)
        true(all(name in line for name, line in zip(names, lines[1:])), result)
    result = rig.terminal("list", columns=79)
    equal(result.out.splitlines()[0].split(), ["UUID", "GPU", "TYPE", "NAME", "MANAGED"], result)
    equal(result.out.splitlines()[1].split()[:3], [UUID, GPU, "nvidia-530"], result)


@test
def short_addresses(rig: Rig):
    """a PCI address may come without its domain, unless a GPU has that very name"""
    rig.daemon("odd")
    for name, meant in {"41:00.0": GPU, "43:00.0": "43:00.0", "0000:43:00.0": "0000:43:00.0", "4A:00.0": "4A:00.0",
                        "4a:00.0": "0000:4a:00.0", "99:00.0": "99:00.0", "41:00": "41:00", "41:00.00": "41:00.00"}.items():
        equal(rig.ctl("create", name, "t").err, f"mdevgpuctl: asked for {meant}\n")
    # What is defined may be on a GPU that is not there, and is meant to find it when it comes.
    for name, meant in {"41:00.0": GPU, "43:00.0": "43:00.0", "99:00.0": "0000:99:00.0", "mtty": "mtty"}.items():
        equal(rig.ctl("define", name, "t").err, f"mdevgpuctl: asked for {meant}\n")
    equal(rig.ctl("types", "41:00.0").out, rig.ctl("types", GPU).out)
    equal(rig.ctl("status", "41:00.0").status, 0)
    equal([row["address"] for row in json.loads(rig.ctl("gpus", "--json").out)],
          [GPU, "0000:43:00.0", "0000:4a:00.0", "43:00.0"])


@test
def pager(rig: Rig):
    """a pager stands between a terminal and what is read, and nowhere else"""
    rig.daemon("good")
    env = {"PAGER": "sed s/^/paged:/"}
    for command in (["list"], ["status"], ["status", GPU], ["check"], ["types"]):
        result = rig.terminal(*command, env=env)
        true(all(line.startswith("paged:") for line in result.out.splitlines()), result)
        equal(result.status, 1 if command == ["check"] else 0, result)
        for unpaged in (rig.terminal("--no-pager", *command, env=env), rig.terminal("--json", *command, env=env),
                        rig.ctl(*command, env=env)):
            true("paged:" not in unpaged.out and len(unpaged.out) > 50, unpaged)
    true("paged:" not in rig.terminal("create", GPU, "t", env=env).out, "results are not paged")

    # systemctl's own variable comes first, as there.
    true("first:" in rig.terminal("list", env={**env, "SYSTEMD_PAGER": "sed s/^/first:/"}).out, "SYSTEMD_PAGER")
    true("paged:" not in rig.terminal("list", env={**env, "SYSTEMD_PAGER": ""}).out, "an empty SYSTEMD_PAGER")

    # A reader who leaves before the end is no error, a pager that does not exist no loss.
    equal(rig.terminal("list", env={"PAGER": "true"}).status, 0)


@test
def secure_pager(rig: Rig):
    """the pager can start no shell"""
    rig.daemon("good")
    show = 'echo "$LESSSECURE" "$LESS"'
    true("1 FRSXMK" in rig.terminal("list", env={"PAGER": show}).out, "LESSSECURE is not set")
    true("1 RX" in rig.terminal("list", env={"PAGER": show, "SYSTEMD_LESS": "RX"}).out, "SYSTEMD_LESS is not obeyed")


@test
def interactive(rig: Rig):
    """polkit may ask a person at a terminal, never a script"""
    rig.daemon("good")
    equal(rig.ctl("create", "!flags", "t").err, "mdevgpuctl: interactive=0\n")
    equal(rig.terminal("create", "!flags", "t").err, "mdevgpuctl: interactive=1\n")
    equal(rig.terminal("create", "!flags", "t", stdin=False).err, "mdevgpuctl: interactive=0\n")
    equal(rig.terminal("define", "!flags", "t").err, "mdevgpuctl: interactive=1\n")
    equal(rig.terminal("start", "!flags").err, "mdevgpuctl: interactive=1\n")
    equal(rig.terminal("status", "!flags").err, "mdevgpuctl: interactive=0\n")
    equal(rig.terminal("users", "!flags").err, "mdevgpuctl: interactive=0\n")


@test
def full_disk(rig: Rig):
    """output that cannot be written is a failure"""
    rig.daemon("good")
    with open("/dev/full", "wb") as full:
        done = subprocess.run([CTL, "list"], stdout=full, stderr=subprocess.PIPE, env=rig.env, check=False)
    equal((done.returncode, done.stderr), (1, b"mdevgpuctl: Cannot write: No space left on device.\n"))


run()
