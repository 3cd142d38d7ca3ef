#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""mdevgpuctl and the states of vGPUs of the real daemon, whose simulated devices hold what a file says.

moving.py MDEVGPUCTL MDEVGPUD-SIM PROFILE
"""

import json
import os
import re
import signal
import subprocess
import time

from rig import CTL, DAEMON, TIMEOUT, Rig, equal, run, test, true

UUID = "c0ffee00-0000-4000-8000-000000000001"
SIZE = 8 << 20


def machine(rig: Rig, *action):
    subprocess.run([DAEMON, "--root", os.path.join(rig.dir, "host"), *action], check=True, env=rig.env)


def until(condition, why):
    deadline = time.monotonic() + 20
    while not condition():
        true(time.monotonic() < deadline, why)
        time.sleep(0.05)


def content(rig: Rig, uuid, put=None):
    """What the vGPU holds; or has it hold something."""
    with open(os.path.join(rig.dir, "host", "content", uuid), "rb" if put is None else "r+b") as f:
        return f.read() if put is None else f.write(put)


def start(rig: Rig):
    """A machine whose driver keeps what its vGPUs hold, the daemon, and a vGPU that holds something."""
    os.makedirs(os.path.join(rig.dir, "host"))
    os.makedirs(os.path.join(rig.dir, "files"))
    machine(rig, "plug-mtty", "mtty")
    daemon = rig.start(DAEMON, "--root", os.path.join(rig.dir, "host"), "--address", rig.address, "--without-polkit")
    until(lambda: "mtty-2" in rig.ctl("types").out, "no types")
    equal(rig.ctl("create", "mtty", "mtty-2", UUID, "--label=web 1").status, 0)
    held = os.urandom(1 << 20) * (SIZE >> 20)
    content(rig, UUID, held)
    return daemon, held


def vgpus(rig: Rig):
    return {row["uuid"]: row for row in json.loads(rig.ctl("--json", "list").out)}


def begin_export(rig: Rig, *options):
    """An export that takes long, half-way: something is in the file by now."""
    machine(rig, "state-rate", str(1 << 20))
    path = os.path.join(rig.dir, "files")
    process = subprocess.Popen([CTL, "export-state", UUID, os.path.join(path, "state"), *options], env=rig.env,
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    rig.stack.callback(process.kill)
    until(lambda: any(os.path.getsize(os.path.join(path, name)) > 65536 for name in os.listdir(path)), "nothing goes")
    return process, path


@test
def kept(rig: Rig):
    """what a vGPU held is saved, listed, put back and deleted"""
    _, held = start(rig)
    result = rig.ctl("save", "web 1", "before", "--after=destroy")
    true(result.status == 0 and result.out == "" and re.fullmatch(
        rf"Saved vGPU {UUID} as before: 8(\.\d)? MiB; it stood still for \d.*s\.\n", result.err), result)
    equal(vgpus(rig), {})
    row, = json.loads(rig.ctl("--json", "states").out)
    equal((row["name"], row["uuid"], row["type"], row["label"], row["gpu"]), ("before", UUID, "mtty-2", "web 1", "mtty"))
    true(row["size"] > SIZE and abs(row["created"] / 1e6 - time.time()) < 600, row)
    equal(rig.ctl("completion", "--", "delete-state", "be").out, f"before\t{UUID}\n")

    result = rig.ctl("restore", "before")
    equal((result.status, result.out), (0, UUID + "\n"), result)
    true(content(rig, UUID) == held, "it does not hold what it did")
    equal((vgpus(rig)[UUID]["label"], vgpus(rig)[UUID]["state"]), ("web 1", "active"))
    result = rig.ctl("restore", "before")
    true(result.status == 1 and "--replace" not in result.err and result.out == "", result)
    other = rig.ctl("restore", "before", "mtty", "--uuid=new", "--label=db").out.strip()
    true(content(rig, other) == held and vgpus(rig)[other]["label"] == "db", other)

    result = rig.ctl("save", UUID, "before")
    true(result.status == 1 and "With --replace it is replaced." in result.err, result)
    equal(rig.ctl("save", UUID, "before", "--replace", "-q").err, "")
    equal(rig.ctl("delete-state", "before").status, 0)
    equal((rig.ctl("delete-state", "before").status, rig.ctl("restore", "before").status), (3, 3))
    equal(rig.ctl("states").out, "No saved states.\n")


@test
def moved(rig: Rig):
    """a pipe moves a vGPU's state, and a file keeps it"""
    _, held = start(rig)
    source = subprocess.Popen([CTL, "-q", "export-state", UUID, "-"], env=rig.env, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE)
    result = subprocess.run([CTL, "import-state", "-", "mtty", "--uuid=new"], env=rig.env, stdin=source.stdout,
                            capture_output=True, text=True, timeout=TIMEOUT, check=False)
    source.stdout.close()
    equal((result.returncode, source.wait(TIMEOUT)), (0, 0), result)
    true(content(rig, result.stdout.strip()) == held, "another state has come")

    path = os.path.join(rig.dir, "files", "state")
    equal(rig.ctl("export-state", UUID, path, "--after=destroy").status, 0)
    equal((os.listdir(os.path.dirname(path)), os.stat(path).st_mode & 0o777), (["state"], 0o600))
    true(UUID not in vgpus(rig), "it is there still")
    imported = json.loads(rig.ctl("--json", "import-state", path).out)
    equal((imported["uuid"], imported["file"], imported["changed"]), (UUID, path, True))
    true(content(rig, UUID) == held, "another state has come")

    with open(path, "r+b") as f:
        f.truncate(SIZE // 2)
    before = set(vgpus(rig))
    result = rig.ctl("import-state", path, "--uuid=new")
    true((result.status, result.out) == (1, "") and "cut off" in result.err, result)
    equal(set(vgpus(rig)), before)


@test
def cancelled(rig: Rig):
    """of an export that is cancelled nothing stays, and the vGPU is as it was"""
    _, held = start(rig)
    process, path = begin_export(rig, "--after=destroy")
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=TIMEOUT)
    log = open(rig.log_of(DAEMON), encoding="utf-8", errors="replace").read()
    equal((process.returncode, out, os.listdir(path)), (1, b"", []), f"{err}\n{log}")
    equal(err.decode(), "mdevgpuctl: It was cancelled\n", log)
    until(lambda: vgpus(rig).get(UUID, {}).get("state") == "active", f"{vgpus(rig)}\n{log}")
    true(content(rig, UUID) == held, "it does not hold what it did")
    job, = json.loads(rig.ctl("--json", "jobs").out)
    equal((job["operation"], job["state"]), ("export-state", "cancelled"))


@test
def lost(rig: Rig):
    """with the daemon an export is lost, and so is its file"""
    daemon, _ = start(rig)
    process, path = begin_export(rig)
    daemon.kill()
    _, err = process.communicate(timeout=TIMEOUT)
    equal((process.returncode, os.listdir(path)), (6, []), err)
    true(b"mdevgpud has gone" in err, err)


@test
def left_alone(rig: Rig):
    """what nobody waits for is a job as any other, listed and cancelled by its number"""
    start(rig)
    machine(rig, "state-rate", str(1 << 17))
    number = rig.ctl("save", UUID, "slow", "--no-wait").out.strip()
    row, = json.loads(rig.ctl("--json", "jobs").out)
    equal((str(row["id"]), row["operation"], row["name"], row["state"], row["uuid"]),
          (number, "save-state", "slow", "running", UUID))
    until(lambda: json.loads(rig.ctl("--json", "jobs").out)[0].get("rate"), "it tells no rate")
    row, = json.loads(rig.ctl("--json", "jobs").out)
    true(0 < row["bytes"] < row["total_bytes"] and 0 < row["progress"] < 1 and row["phase"] == "pre-copy" and
         row["expected_end_time"] / 1e6 > time.time() - 1, row)
    table = rig.ctl("jobs").out
    true(re.search(rf"^ *{number} +save-state .* slow +{UUID} +running +[0-9]+ % +[0-9.]+ [KM]iB +[0-9.]+ [KM]iB/s",
                   table, re.M), table)
    equal(rig.ctl("destroy", UUID).status, 1)
    equal(rig.ctl("cancel", number).status, 0)
    until(lambda: json.loads(rig.ctl("--json", "jobs").out)[0]["state"] == "cancelled", "it goes on")
    row, = json.loads(rig.ctl("--json", "jobs").out)
    true(row["bytes"] > 0 and (row["rate"], row["phase"]) == (None, None), row)
    equal(rig.ctl("states").out, "No saved states.\n")


run()
