#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The same life of a vGPU over every backend, as callers see it: no caller needs to know what kind it is.

conformance.py MDEVGPUD-SIM [BACKEND…]

A row says what is plugged in and which type is used; the steps are the same for all. A backend of the daemon's that has
no row here fails the test.
"""

import contextlib
import os
import re
import shutil
import signal
import sys
import traceback

from cases import equal
from machine import ERROR, NAME, BusError, Machine, entries, read, until

SIM = sys.argv[1]
CARD = "0000:51:00.0"
UNKNOWN = 2**32 - 1


class Row:
    """instances: of the type, on an empty card. available: what is told of it, where the driver does not count them.
    functions: of these so many are enabled, as a setting asks for. parent: what a vGPU's parent is like."""

    def __init__(self, backend, plug, type_id, instances, kind, *, gpu=CARD, available=None, functions=False,
                 parent=None):
        self.backend, self.plug, self.type_id, self.instances, self.kind = backend, plug, type_id, instances, kind
        self.gpu, self.functions = gpu, functions
        self.available = instances if available is None else available
        self.parent = parent or re.escape(gpu)


FUNCTION = r"0000:51:01\.\d"
ROWS = [
    Row("mdev", "plug-mtty", "mtty-1", 24, "mdev", gpu="mtty"),
    # One on each virtual function.
    Row("mdev", "plug-nvidia-mdev", "nvidia-471", 4, "mdev", functions=True, parent=FUNCTION),
    Row("shim", "plug", "mdevgpu_ref-1", 16, "mdev"),
    Row("vfio-pci", "plug-card", "vfio-pci", 1, "whole"),
    Row("sriov", "plug-sriov", "vfio-pci-vf", 4, "vf", functions=True, parent=FUNCTION),
    Row("gim", "plug-gim", "vfio-pci-vf", 4, "vf", parent=FUNCTION),
    Row("xe", "plug-xe", "vfio-pci-vf", 4, "vf", functions=True, parent=FUNCTION),
    # A type of a profile, which allows two.
    Row("xe", "plug-xe", "xe-7", 2, "vf", functions=True, parent=FUNCTION),
    # Four places are shared by functions that all list the type.
    Row("nvidia-vfio", "plug-nvidia", "nvidia-1145", 4, "vf", available=UNKNOWN, functions=True, parent=FUNCTION),
]

XE_PROFILE = """version: 1
match: {vendor: any, address: "0000:51:*"}
types:
  - {id: 7, name: "Test/Xe", max-instances: 2, framebuffer: 2GiB, xe: {exec-quantum-ms: 20, priority: high}}
"""


def uuid_of(i):
    return f"c0ffee00-0000-4000-8000-{i:012x}"


class Life:
    """A machine with one card of a row, and its daemon."""

    def __init__(self, stack, row):
        self.row = row
        self.machine = Machine(stack, SIM, ())
        if row.type_id.startswith("xe-"):
            with open(self.machine.path("etc/mdevgpud/types.d/test.yaml"), "w", encoding="utf-8") as f:
                f.write(XE_PROFILE)
        if row.functions:
            with open(self.machine.path("etc/mdevgpud/mdevgpud.yaml"), "w", encoding="utf-8") as f:
                f.write("version: 1\nsriov: [{match: {}, vfs: all}]\n")
        self.plug()
        self.machine.start()

    def plug(self):
        self.machine.act(self.row.plug, self.row.gpu)

    def unplug(self):
        self.machine.act("unplug", self.row.gpu)

    def call(self, member, *arguments):
        return self.machine.bus.ask(member, *arguments)

    def create(self, i, **options):
        """"" or the name of the error, which says something."""
        return self.outcome("CreateVGpu", self.row.gpu, self.row.type_id, uuid_of(i), options)

    def destroy(self, i):
        return self.outcome("DestroyVGpu", uuid_of(i), {})

    def outcome(self, *call):
        try:
            self.call(*call)
            return ""
        except BusError as e:
            if len(e.message) < 20:
                raise AssertionError(f"{e} says nothing") from e
            return e.name.removeprefix(ERROR)

    def type(self):
        """Its row of ListTypes; None: there is none."""
        found = [t for t in self.call("ListTypes", {})[0] if t[0] == self.row.gpu and t[1] == self.row.type_id]
        return found[0] if found else None

    def available(self):
        found = self.type()
        return found[5] if found else None

    def vgpu(self, i):
        return self.machine.bus.vgpus().get(uuid_of(i))

    def property(self, i, name):
        return self.machine.bus.get(self.vgpu(i)["path"], NAME + ".VGpu", name)

    def check_active(self, i, managed=True):
        row = self.vgpu(i)
        equal((row["gpu"], row["type"], row["state"], row["kind"], row["managed"]),
              (self.row.gpu, self.row.type_id, "active", self.row.kind, managed))
        if not re.fullmatch(self.row.parent, self.property(i, "Parent")):
            raise AssertionError(self.property(i, "Parent"))
        if not os.path.exists(self.machine.root + self.property(i, "SysfsPath")):
            raise AssertionError(self.property(i, "SysfsPath"))

    @contextlib.contextmanager
    def held(self, i):
        """Somebody has it open."""
        with open(self.machine.path("dev/vfio", str(self.property(i, "IommuGroup"))), "r+b"):
            yield

    def reboot(self):
        """What is in memory goes; what is plugged in comes again."""
        equal(self.machine.stop(), 0)
        self.unplug()
        for folder in "run", "state", "kernel":
            shutil.rmtree(self.machine.path(folder), ignore_errors=True)
            os.makedirs(self.machine.path(folder), exist_ok=True)
        self.plug()
        self.machine.start()


STEPS = []


def step(function):
    STEPS.append(function)
    return function


@step
def types(life):
    """the type is listed, with as many as there can be"""
    row = life.row
    gpu = [g for g in life.call("ListGpus", {})[0] if g[0] == row.gpu][0]
    equal((gpu[3], gpu[5]["backend"]), ("ready", row.backend))
    equal(life.available(), row.available)
    if not life.type()[2]:
        raise AssertionError("no name")


@step
def create(life):
    """it is created, and shown, and there"""
    equal(life.create(1), "")
    life.check_active(1)
    equal(life.create(1), "AlreadyExists")
    for form in "libvirt-xml", "qemu":
        if uuid_of(1) not in (said := life.machine.bus.ask("GetAttachment", form, {}, path=life.vgpu(1)["path"],
                                                           interface=NAME + ".VGpu")[0]) and \
                life.property(1, "Parent").split(":")[1] not in said:
            raise AssertionError(said)


@step
def in_use(life):
    """who uses it is known, and it is not destroyed"""
    with life.held(1):
        users = life.call("GetUsers", uuid_of(1), {})[0]
        equal([u["pid"] for u in users], [os.getpid()])
        equal(life.destroy(1), "InUse")
        life.check_active(1)
    equal(life.call("GetUsers", uuid_of(1), {})[0], [])


@step
def killed(life):
    """a daemon that was killed finds it again as its own"""
    with life.held(1):
        life.machine.stop(signal.SIGKILL)
        life.machine.start()
        life.check_active(1)
        equal(life.destroy(1), "InUse")
    equal(life.machine.stop(), 0)
    life.machine.start()
    life.check_active(1)


@step
def destroy(life):
    """it is destroyed, and nothing of it is left"""
    equal(life.destroy(1), "")
    equal(life.vgpu(1), None)
    equal(life.destroy(1), "NoSuchVGpu")
    equal(life.available(), life.row.available)
    equal((entries(life.machine.path("run/claims")), life.machine.records(), life.machine.devices()),
          ([], [], []))


@step
def exhaustion(life):
    """as many as there are and no more, and all of them again"""
    n = life.row.instances
    for _ in range(2 if n < 8 else 1):
        equal([life.create(i) for i in range(1, n + 2)], [""] * n + ["NoInstances"])
        equal(life.available(), 0)
        equal(len(life.machine.bus.vgpus()), n)
        equal([life.destroy(i) for i in range(1, n + 1)], [""] * n)
        equal(life.available(), life.row.available)


@step
def unplugged(life):
    """when the card goes it goes, and the card that comes has none"""
    equal(life.create(1), "")
    life.unplug()
    until(lambda: life.vgpu(1) is None, "its end")
    equal(life.create(2), "NoSuchGpu")
    life.plug()
    until(lambda: life.available() == life.row.available, "the card")
    equal(life.machine.bus.vgpus(), {})


@step
def autostart(life):
    """what is defined to start is there after a boot, and when the card comes back; not what was only created"""
    equal(life.create(1, autostart=True, label="web"), "")
    if life.row.instances > 1:
        equal(life.create(2), "")
    life.reboot()
    life.check_active(1)
    equal(list(life.machine.bus.vgpus()), [uuid_of(1)])
    equal(life.vgpu(1)["label"], "web")

    life.unplug()
    until(lambda: life.vgpu(1)["state"] == "defined", "its end")
    life.plug()
    until(lambda: life.vgpu(1)["state"] == "active", "its start")
    equal(life.destroy(1), "")
    equal(life.vgpu(1)["state"], "defined")
    equal(life.outcome("StartVGpu", uuid_of(1), {}), "")
    life.check_active(1)
    equal(life.destroy(1), "")
    equal(life.outcome("UndefineVGpu", uuid_of(1), {}), "")
    equal(life.machine.bus.vgpus(), {})


@step
def end(life):
    """nothing is left"""
    equal(life.machine.stop(), 0)
    for folder in "run/claims", "var/vgpus", f"etc/mdevctl.d/{life.row.gpu}", f"etc/mdevgpud/vgpus.d/{life.row.gpu}":
        equal(entries(life.machine.path(folder)), [], folder)
    life.machine.check_log()


def check_table(source):
    """Every backend has a row."""
    known = set(re.findall(r"&backend_(\w+)", read(source)))
    missing = {name.replace("_", "-") for name in known} - {row.backend for row in ROWS}
    # Its control node is a vendor driver's, which has no simulated one: tests/unit/test-backends.c has its row.
    missing.discard("nvidia")
    if missing:
        raise AssertionError(f"backends without a row: {missing}")


def main():
    chosen = [row for row in ROWS if len(sys.argv) < 4 or row.backend in sys.argv[3:]]
    print(f"1..{1 + len(chosen) * len(STEPS)}", flush=True)
    number, failed = 1, 0
    try:
        check_table(sys.argv[2])
        print("ok 1 every backend has a row")
    except AssertionError as e:
        failed += 1
        print(f"not ok 1 {e}")
    for row in chosen:
        with contextlib.ExitStack() as stack:
            life, broken = None, ""
            for function in STEPS:
                number += 1
                name = f"{number} {row.backend}, {row.type_id}: {function.__doc__}"
                try:
                    if broken:
                        raise AssertionError(f"'{broken}' failed before")
                    life = life or Life(stack, row)
                    function(life)
                    print(f"ok {name}", flush=True)
                except Exception:  # pylint: disable=broad-except
                    failed, broken = failed + 1, broken or function.__name__
                    print(f"not ok {name}")
                    for line in traceback.format_exc().splitlines():
                        print(f"# {line}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
