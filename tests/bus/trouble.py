#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a machine may have of trouble: a disk that fails, a wall clock that jumps.

trouble.py MDEVGPUD-SIM JUMPING.SO
"""

import contextlib
import os
import subprocess
import sys
import time

from cases import run
from machine import ATTRIBUTE, GPU, TYPE, BusError, Machine, read

SIM, JUMPING = sys.argv[1:3]
UUID, OTHER = "c0ffee00-0000-4000-8000-000000000001", "c0ffee00-0000-4000-8000-000000000002"
FAILED = "org.freedesktop.DBus.Error.Failed"
# The most of them that one job makes.
FAULTS = {"fsync": 6, "write": 3, "renameat2": 2}


@contextlib.contextmanager
def failing(pid, call, number):
    """That system call of this process fails as on a broken disk, once, from the number-th on counted."""
    with subprocess.Popen(["strace", "-o", "/dev/null", "-e", f"trace={call}", "-e",
                           f"inject={call}:error=EIO:when={number}", "-p", str(pid)], stderr=subprocess.PIPE) as tracer:
        if b"attached" not in (said := tracer.stderr.readline()):
            raise AssertionError(f"strace: {said}")
        try:
            yield
        finally:
            tracer.terminate()


def snapshot(machine):
    notes = machine.path("var/vgpus")
    return {uuid: (row["label"], row["autostart"], row["managed"], row["persistent"], row["state"])
            for uuid, row in machine.bus.vgpus().items()}, machine.definitions(), {
                name: read(os.path.join(notes, name)) for name in os.listdir(notes)}, machine.devices()


def broken_disk(stack):
    """a disk that fails at any instant of a definition's writing: the reason is told, and nothing is half done"""
    machine = Machine(stack, SIM)
    machine.start()
    machine.bus.manager("DefineVGpu", GPU, TYPE, UUID, {"label": "before", "attrs": [(ATTRIBUTE, "1")]})
    worker, before = machine.workers()["definitions"][0], snapshot(machine)
    for call in (("DefineVGpu", GPU, TYPE, OTHER, {"label": "x"}), ("CreateVGpu", GPU, TYPE, OTHER, {"persistent": True}),
                 ("ModifyVGpu", UUID, {"attrs": [(ATTRIBUTE, "2")]})):
        refused = 0
        for fault, most in FAULTS.items():
            for number in range(1, most + 1):
                try:
                    with failing(worker, fault, number):
                        machine.bus.manager(*call)
                except BusError as e:
                    if e.name != FAILED or "Input/output error" not in e.message:
                        raise
                    refused += 1
                    if (found := snapshot(machine)) != before:
                        raise AssertionError(f"{call[0]}, {fault} {number}: {found}, not {before}") from e
                    continue
                # It made fewer of them than that, or what failed was the worker's answer: back to what was.
                for member, uuid in ("DestroyVGpu", OTHER), ("UndefineVGpu", OTHER):
                    with contextlib.suppress(BusError):
                        machine.bus.manager(member, uuid, {})
                machine.bus.manager("ModifyVGpu", UUID, {"attrs": [(ATTRIBUTE, "1")]})
                break
        if refused < 4:
            raise AssertionError(f"{call[0]} was refused only {refused} times")
    machine.check()
    if machine.stop() != 0:
        raise AssertionError(read(machine.log))
    machine.check_log()


def jumping_clock(stack):
    """a wall clock that jumps by years each time it is looked at changes nothing"""
    machine = Machine(stack, SIM)
    machine.start(env={"LD_PRELOAD": JUMPING})
    machine.bus.manager("DefineVGpu", GPU, TYPE, UUID, {"autostart": True})
    machine.bus.manager("StartVGpu", UUID, {})
    machine.bus.manager("CreateVGpu", GPU, TYPE, OTHER, {"persistent": True, "label": "x"})
    machine.bus.manager("ModifyVGpu", OTHER, {"label": "y"})
    machine.bus.manager("DestroyVGpu", OTHER, {})
    machine.bus.manager("UndefineVGpu", OTHER, {})
    begin = time.monotonic()
    machine.bus.manager("Reload", {})
    if time.monotonic() - begin > 4: # its own deadline is 5 s
        raise AssertionError("a wait did not end when it should")

    machine.bus.manager("DestroyVGpu", UUID, {})
    machine.check()
    if machine.stop() != 0:
        raise AssertionError(read(machine.log))
    machine.check_log()


sys.exit(run((broken_disk, jumping_clock)))
