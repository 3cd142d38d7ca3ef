#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The life of vGPUs where it is hard: many who want the same, others who edit the same files, disks that do not take it,
signals in the middle of it.

life.py MDEVGPUD-SIM ROUNDS
"""

import contextlib
import ctypes
import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time

from cases import chosen, equal, run, test
from machine import ATTRIBUTE, ERROR, GPU, SECOND_GPU, TYPE, Bus, BusError, Machine, entries, read, until

SIM, ROUNDS = sys.argv[1], int(sys.argv[2])
UUID = "c0ffee00-0000-4000-8000-000000000001"
CLONE_NEWNS, MS_REC, MS_PRIVATE = 0x20000, 0x4000, 1 << 18


def uuid_of(i):
    return f"c0ffee00-0000-4000-8000-{i:012x}"


def outcome(function):
    """"" or the name of the error."""
    try:
        function()
        return ""
    except BusError as e:
        if len(e.message) < 10:
            raise AssertionError(f"{e} says nothing") from e
        return e.name.removeprefix(ERROR)


def at_once(machine, n, call):
    """What came of call(bus, i) for n clients, who begin together."""
    barrier, outcomes = threading.Barrier(n), [None] * n

    def act(i):
        bus = Bus(machine.address)
        bus.has_owner()
        barrier.wait()
        outcomes[i] = outcome(lambda: call(bus, i))
        bus.close()

    threads = [threading.Thread(target=act, args=(i,)) for i in range(n)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return outcomes


@test
def instances(stack):
    """512 clients want one of 16 instances: 16 get one, the others are told that there is none"""
    machine = Machine(stack, SIM)
    machine.start()

    def create(bus, _):
        results.append(outcome(lambda: bus.manager("CreateVGpu", GPU, TYPE, "", {})))

    results = outcomes = []
    at_once(machine, 512, create)
    equal({o: outcomes.count(o) for o in set(outcomes)}, {"": 16, "NoInstances": 496})
    equal(len(machine.devices()), 16)
    machine.check()
    equal(machine.stop(), 0)
    machine.check_log()


@test
def one_uuid(stack):
    """64 clients want one UUID on two GPUs: one gets it"""
    machine = Machine(stack, SIM, (GPU, SECOND_GPU))
    machine.start()
    for options in {}, {"persistent": True, "label": "x"}:
        outcomes = at_once(machine, 64, lambda bus, i, options=options: bus.manager(
            "CreateVGpu", (GPU, SECOND_GPU)[i % 2], TYPE, UUID, options))
        equal({o: outcomes.count(o) for o in set(outcomes)}, {"": 1, "AlreadyExists": 63})
        equal(machine.devices(), [UUID])
        machine.check()
        machine.bus.manager("DestroyVGpu", UUID, {})
    machine.bus.manager("UndefineVGpu", UUID, {})
    outcomes = at_once(machine, 64, lambda bus, i: bus.manager("DefineVGpu", (GPU, SECOND_GPU)[i % 2], TYPE, UUID, {}))
    # While the one is being defined it is not said yet that this will succeed.
    equal((outcomes.count(""), set(outcomes) - {"AlreadyExists", "Busy"}), (1, {""}))
    machine.check()
    equal(machine.stop(), 0)
    machine.check_log()


def holdings(machine):
    """Memory in KiB, and open files, of the daemon."""
    pid = machine.daemon.pid
    memory = [line for line in read(f"/proc/{pid}/status").splitlines() if line.startswith("VmRSS")][0]
    return int(memory.split()[1]), len(os.listdir(f"/proc/{pid}/fd"))


@test
def churn(stack):
    """what is made and removed over and over leaves nothing behind"""
    machine = Machine(stack, SIM)
    machine.env["ASAN_OPTIONS"] += ":quarantine_size_mb=1"
    machine.start()
    held = []
    for i in range(ROUNDS):
        if i % (ROUNDS // 4) == 0:
            held.append(holdings(machine))
        options = {"persistent": True, "label": "x", "attrs": [(ATTRIBUTE, "7")]} if i % 10 == 0 else {}
        machine.bus.manager("CreateVGpu", GPU, TYPE, UUID, options)
        machine.bus.manager("DestroyVGpu", UUID, {})
        if options:
            machine.bus.manager("UndefineVGpu", UUID, {})
    until(lambda: len(machine.workers()) <= 2, "the workers' end")
    held.append(holdings(machine))
    equal(machine.bus.vgpus(), {})
    equal((machine.devices(), machine.records(), entries(machine.path("var/vgpus"))), ([], [], []))
    memory, files = [h[0] for h in held], [h[1] for h in held]
    # Between two of these were a hundred rounds and more; a process that has just ended may still have its few files.
    if memory[4] - memory[2] > 1024 or files[4] > files[2] + 8:
        raise AssertionError(f"KiB: {memory}; files: {files}")
    equal(machine.stop(), 0)
    machine.check_log()


@test
def second_daemon(stack):
    """a second daemon leaves before it has written anything"""
    machine = Machine(stack, SIM)
    machine.start()
    machine.bus.manager("CreateVGpu", GPU, TYPE, UUID, {"persistent": True, "label": "x"})
    folders = "etc", "var", "state", "sys", "dev", "kernel"
    before = machine.tree(*folders)
    second = subprocess.run([SIM, "--root", machine.root, "--address", machine.address, "--without-polkit"],
                            capture_output=True, timeout=20, check=False)
    if second.returncode == 0 or b"Another" not in second.stderr:
        raise AssertionError(second)
    after = machine.tree(*folders)
    equal({k for k in before.keys() | after.keys() if before.get(k) != after.get(k)}, set())
    machine.check()


class Editor(threading.Thread):
    """Somebody who edits definitions as mdevctl does, and as editors do: truncates and writes, or renames."""

    def __init__(self, machine, uuids):
        super().__init__()
        self.folder, self.uuids, self.over = machine.path("etc/mdevctl.d", GPU), uuids, False

    def run(self):
        dice = random.Random(1)
        os.makedirs(self.folder, exist_ok=True)
        while not self.over:
            path = os.path.join(self.folder, dice.choice(self.uuids))
            text = json.dumps({"mdev_type": TYPE, "start": "manual", "attrs": [{ATTRIBUTE: str(dice.randrange(100))}]})
            what = dice.randrange(4)
            if what == 0:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(path)
            elif what == 1:
                with open(path + ".new", "w", encoding="utf-8") as f:
                    f.write(text)
                os.rename(path + ".new", path)
            else:
                with open(path, "w", encoding="utf-8") as f:
                    f.flush()
                    f.write(text[:20])
                    f.flush()
                    f.write(text[20:])
            time.sleep(0.0005)


@test
def others_edit(stack):
    """definitions that others edit meanwhile: nothing of ours is lost, and what is shown is what is in the files"""
    machine = Machine(stack, SIM)
    machine.start()
    ours, shared = [uuid_of(i) for i in range(1, 5)], [uuid_of(i) for i in range(100, 104)]
    editor = Editor(machine, shared)
    editor.start()
    try:
        for i in range(60):
            uuid, attrs = ours[i % 4], [(ATTRIBUTE, str(i))]
            if i < 4:
                machine.bus.manager("DefineVGpu", GPU, TYPE, uuid, {"attrs": attrs})
            else:
                machine.bus.manager("ModifyVGpu", uuid, {"attrs": attrs, "label": f"l{i}"})
            said = json.loads(read(machine.path("etc/mdevctl.d", GPU, uuid)))
            equal(said["attrs"], [{ATTRIBUTE: str(i)}], "what was acknowledged")
            equal(machine.bus.vgpus()[uuid]["label"], f"l{i}" if i >= 4 else "")
            # Whatever comes of these, nothing else breaks.
            outcome(lambda i=i: machine.bus.manager("DefineVGpu", GPU, TYPE, shared[i % 4], {}))
            outcome(lambda i=i: machine.bus.manager("ModifyVGpu", shared[i % 4], {"autostart": False, "unmanaged": True,
                                                                                "attrs": [(ATTRIBUTE, "1")]}))
            outcome(lambda i=i: machine.bus.manager("UndefineVGpu", shared[(i + 1) % 4], {"unmanaged": True}))
    finally:
        editor.over = True
        editor.join()

    def agree():
        shown = machine.bus.vgpus()
        return set(shown) == set(entries(machine.path("etc/mdevctl.d", GPU))) and all(
            row["state"] == "defined" for row in shown.values())

    until(agree, "the model equals the files", 5)
    machine.check()
    # And that is what a successor finds.
    before = machine.bus.vgpus()
    equal(machine.stop(), 0)
    machine.start()
    equal(machine.bus.vgpus(), before)
    machine.check_log()


def mount(stack, *arguments):
    subprocess.run(["mount", *arguments], check=True)
    stack.callback(subprocess.run, ["umount", "-l", arguments[-1]], check=False)


@test
def read_only(stack):
    """where /etc or /var cannot be written to, nothing can be defined, it is said why, and all else goes on"""
    for folder in "etc", "var":
        with contextlib.ExitStack() as inner:
            machine = Machine(inner, SIM)
            machine.start()
            machine.bus.manager("DefineVGpu", GPU, TYPE, UUID, {"label": "before"})
            equal(machine.stop(), 0)
            mount(inner, "--bind", machine.path(folder), machine.path(folder))
            subprocess.run(["mount", "-o", "remount,bind,ro", machine.path(folder)], check=True)
            machine.start()
            before, rows = machine.tree(folder), machine.bus.vgpus()
            equal(rows[UUID]["label"], "before")
            failed = "org.freedesktop.DBus.Error.Failed"
            change = {"attrs": [(ATTRIBUTE, "1")]} if folder == "etc" else {"label": "x"}
            other = uuid_of(2)
            for call in (("DefineVGpu", GPU, TYPE, other, {"label": "x"}), ("ModifyVGpu", UUID, change),
                         ("CreateVGpu", GPU, TYPE, other, {"persistent": True})):
                equal(outcome(lambda call=call: machine.bus.manager(*call)), failed, f"{folder}: {call[0]}")
            if folder == "etc":
                equal(outcome(lambda: machine.bus.manager("UndefineVGpu", UUID, {})), failed)
                equal(machine.bus.vgpus(), {
                    **rows, UUID: {**rows[UUID], "last-error": machine.bus.vgpus()[UUID]["last-error"]}})
            machine.bus.manager("StartVGpu", UUID, {})
            machine.bus.manager("CreateVGpu", GPU, TYPE, other, {})
            machine.bus.manager("DestroyVGpu", UUID, {})
            machine.bus.manager("DestroyVGpu", other, {})
            equal(machine.tree(folder), before)
            machine.check()
            equal(machine.stop(), 0)
            machine.check_log()


@test
def full_disk(stack):
    """a disk that is full takes no definition, and half of none; what is there stays whole, and can be removed"""
    machine = Machine(stack, SIM)
    os.makedirs(machine.path("etc/mdevctl.d"))
    mount(stack, "-t", "tmpfs", "-o", "size=64k", "none", machine.path("etc/mdevctl.d"))
    machine.start()
    machine.bus.manager("DefineVGpu", GPU, TYPE, UUID, {"label": "before", "attrs": [(ATTRIBUTE, "1")]})
    with contextlib.suppress(OSError), open(machine.path("etc/mdevctl.d/full"), "wb", buffering=0) as f:
        while True:
            f.write(b"x" * 4096)
    rows, failed = machine.bus.vgpus(), "org.freedesktop.DBus.Error.Failed"
    definition = read(machine.path("etc/mdevctl.d", GPU, UUID))
    other = uuid_of(2)
    for call in (("DefineVGpu", GPU, TYPE, other, {"label": "x"}), ("CreateVGpu", GPU, TYPE, other, {"persistent": True}),
                 ("ModifyVGpu", UUID, {"attrs": [(ATTRIBUTE, "2")]})):
        equal(outcome(lambda call=call: machine.bus.manager(*call)), failed, call[0])
    equal(set(machine.bus.vgpus()), set(rows))
    equal(read(machine.path("etc/mdevctl.d", GPU, UUID)), definition)
    os.unlink(machine.path("etc/mdevctl.d/full"))
    machine.check()
    machine.bus.manager("ModifyVGpu", UUID, {"attrs": [(ATTRIBUTE, "2")]})
    machine.bus.manager("UndefineVGpu", UUID, {})
    machine.check()
    equal(machine.stop(), 0)
    machine.check_log()


def busy_clients(machine, over, outcomes):
    def act(i):
        bus, uuid = Bus(machine.address), uuid_of(i)
        while not over.is_set():
            for call in (("DefineVGpu", GPU, TYPE, uuid, {"label": "x"}), ("StartVGpu", uuid, {}),
                         ("ModifyVGpu", uuid, {"label": "y", "scope": "both", "attrs": [(ATTRIBUTE, "3")]}),
                         ("DestroyVGpu", uuid, {}), ("UndefineVGpu", uuid, {}),
                         ("CreateVGpu", GPU, TYPE, uuid, {"persistent": True}), ("UndefineVGpu", uuid, {}),
                         ("DestroyVGpu", uuid, {})):
                outcomes.append((call[0], outcome(lambda call=call: bus.manager(*call))))
        bus.close()

    return [threading.Thread(target=act, args=(i,)) for i in range(1, 9)]


@test
def hangup(stack):
    """SIGHUP in the middle of operations disturbs none"""
    machine, over, outcomes = Machine(stack, SIM), threading.Event(), []
    machine.start()
    threads = busy_clients(machine, over, outcomes)
    for thread in threads:
        thread.start()
    for _ in range(100):
        machine.daemon.send_signal(signal.SIGHUP)
        time.sleep(0.01)
    over.set()
    for thread in threads:
        thread.join()
    equal({o for o in outcomes if o[1]}, set())
    machine.check()
    equal((machine.bus.vgpus(), machine.devices()), ({}, []))
    equal(machine.stop(), 0)
    machine.check_log()


@test
def terminate(stack):
    """SIGTERM in the middle of operations ends the daemon at once, and the next one finds all in order"""
    machine = Machine(stack, SIM)
    for i in range(5):
        over, outcomes = threading.Event(), []
        machine.start()
        threads = busy_clients(machine, over, outcomes)
        for thread in threads:
            thread.start()
        time.sleep(0.2 + i * 0.037)
        began = time.monotonic()
        equal(machine.stop(), 0)
        if time.monotonic() - began > 5: # a worker may take longer, and is not waited for
            raise AssertionError("it did not end at once")
        over.set()
        for thread in threads:
            thread.join()
        # What its workers are at they bring to an end.
        until(lambda: not machine.workers(), "the workers' end")
        machine.start()

        def in_order():
            with contextlib.suppress(AssertionError):
                machine.check()
                return True
            return False

        if not in_order():
            until(in_order, f"order; {machine.bus.vgpus()} {machine.devices()} {entries(machine.path('state'))}", 5)
        for uuid, row in machine.bus.vgpus().items():
            equal(row["managed"], True, f"{row}")
            for call in ("DestroyVGpu", uuid, {}), ("UndefineVGpu", uuid, {}):
                outcome(lambda call=call: machine.bus.manager(*call))
        equal(machine.bus.vgpus(), {})
        equal(machine.stop(), 0)
    machine.check_log()


@test
def ready(stack):
    """with 200 vGPUs to start by themselves READY comes when they are active, or after 5 s"""
    machine = Machine(stack, SIM)
    with open(machine.path("etc/mdevgpud/types.d/test.yaml"), "r+", encoding="utf-8") as f:
        changed = f.read().replace("max-instances: 16, framebuffer: 2GiB", "max-instances: 200, framebuffer: 128MiB")
        f.seek(0)
        f.write(changed)
    os.makedirs(machine.path("etc/mdevctl.d", GPU))
    for i in range(200):
        with open(machine.path("etc/mdevctl.d", GPU, uuid_of(i)), "w", encoding="utf-8") as f:
            json.dump({"mdev_type": TYPE, "start": "auto", "attrs": [{ATTRIBUTE: str(i % 100)}]}, f)
    notify = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
    notify.bind(os.path.join(machine.dir, "notify"))
    notify.settimeout(20)
    began = time.monotonic()
    machine.start(env={"NOTIFY_SOCKET": os.path.join(machine.dir, "notify")})
    while b"READY=1" not in notify.recv(4096):
        pass
    took, n = time.monotonic() - began, len(machine.devices())
    if n < 200 and took < 4.9:
        raise AssertionError(f"READY after {took:.1f} s with {n} vGPUs")
    if took > 12:
        raise AssertionError(f"READY after {took:.1f} s only")
    until(lambda: len(machine.devices()) == 200, "all of them")
    until(lambda: all(row["state"] == "active" for row in machine.bus.vgpus().values()), "all active")
    equal(read(machine.path("sys/bus/mdev/devices", uuid_of(42), ATTRIBUTE)), "42\n")
    machine.check()
    equal(machine.stop(), 0)
    machine.check_log()


def main():
    # What is mounted here is nobody else's.
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNS) < 0 or libc.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None) < 0:
        print(f"Bail out! no mounts of its own: {os.strerror(ctypes.get_errno())}; these tests need root")
        return 1

    return run(chosen(sys.argv[3:]))


if __name__ == "__main__":
    sys.exit(main())
