#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""libvirt's hook with the real daemon, and with domains as libvirt itself writes them down.

libvirt-hook.py MDEVGPUD-SIM HOOK SCHEMA
"""

import contextlib
import os
import re
import socket
import subprocess
import sys
import threading
import time

from cases import TESTS, equal, run, test
from machine import ERROR, GPU, NAME, TYPE, Bus, BusError, Machine, read, until

SIM, HOOK, SCHEMA = sys.argv[1:4]
FIRST, SECOND, THIRD = (f"c0ffee00-0000-4000-8000-00000000000{n}" for n in (1, 2, 3))
DOMAIN = "d0000000-0000-4000-8000-000000000001"
LABEL = "libvirt:" + DOMAIN
CARD, WHOLE = "0000:51:00.0", "0000:61:00.0"
SPACE = "urn:org.mdevgpu1:domain:1"


def hostdev(uuid):
    return ("<hostdev mode='subsystem' type='mdev' model='vfio-pci'>"
            f"<source><address uuid='{uuid}'/></source></hostdev>")


def pci_hostdev(address):
    domain, bus, slot, function = re.split("[:.]", address)
    return ("<hostdev mode='subsystem' type='pci' managed='no'><driver name='vfio'/><source>"
            f"<address domain='0x{domain}' bus='0x{bus}' slot='0x{slot}' function='0x{function}'/></source></hostdev>")


class Scene:
    def __init__(self, stack, gpus=(GPU,), before=None):
        self.machine = Machine(stack, SIM, gpus)
        if before:
            before(self.machine)
        if not gpus:
            with open(self.machine.path("etc/mdevgpud/mdevgpud.yaml"), "w", encoding="utf-8") as f:
                f.write("version: 1\nsriov: [{match: {}, vfs: all}]\n")
            self.machine.act("plug-sriov", CARD)
            self.machine.act("plug-card", WHOLE)
        self.machine.start()
        self.env = {key: os.environ[key] for key in ("PATH", "ASAN_OPTIONS", "UBSAN_OPTIONS") if key in os.environ}
        self.env["DBUS_SYSTEM_BUS_ADDRESS"] = self.machine.address

    def domain(self, wishes, devices=(), uuid=DOMAIN):
        """A domain that libvirt has read and written, beside metadata of others, and metadata that its schema takes."""
        metadata = f"<m:vgpus xmlns:m='{SPACE}'>{wishes}</m:vgpus>"
        path = os.path.join(self.machine.dir, "metadata.xml")
        with open(path, "w", encoding="utf-8") as f:
            f.write(metadata)
        subprocess.run(["xmllint", "--noout", "--relaxng", SCHEMA, path], check=True, stderr=subprocess.DEVNULL)
        path = os.path.join(self.machine.dir, "domain.xml")
        with open(path, "w", encoding="utf-8") as f:
            f.write(f"<domain type='test'><name>web</name><uuid>{uuid}</uuid><memory>1024</memory><metadata>"
                    f"<o:libosinfo xmlns:o='http://libosinfo.org/xmlns/libvirt/domain/1.0'><o:vgpus/></o:libosinfo>"
                    f"{metadata}</metadata><os><type>hvm</type></os>"
                    f"<devices>{''.join((pci_hostdev if ':' in d else hostdev)(d) for d in devices)}</devices></domain>")
        done = subprocess.run(["virsh", "-q", "-c", "test:///default", f"define {path}; dumpxml web"], check=True,
                              capture_output=True, text=True)
        return done.stdout[done.stdout.index("<domain"):]

    def hook(self, operation, stage, text="", status=0):
        done = subprocess.run([HOOK, "web", operation, stage, "-"], input=text, capture_output=True, text=True,
                              env=self.env, check=False, timeout=60)
        equal((done.returncode, done.stdout), (status, ""), done.stderr)
        return done.stderr

    def begin(self, operation, stage, text):
        """The hook, which is not waited for."""
        process = subprocess.Popen([HOOK, "web", operation, stage, "-"], stdin=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                   text=True, env=self.env)
        with contextlib.suppress(BrokenPipeError), process.stdin:
            process.stdin.write(text)
        return process

    def migration_state(self, uuid):
        return self.machine.bus.get(self.machine.bus.vgpus()[uuid]["path"], NAME + ".VGpu", "MigrationState")

    def labels(self):
        return {uuid: row["label"] for uuid, row in self.machine.bus.vgpus().items()}


@test
def life(stack):
    """what a domain asks for is made before it starts, and goes when it has ended"""
    s = Scene(stack)
    text = s.domain(f"<m:vgpu uuid='{FIRST}' type='Test/Small' numa-node='0'/>"
                    f"<m:vgpu uuid='{SECOND}' type='{TYPE}' gpu='{GPU}'>"
                    "<m:attr name='scheduling_weight' value='7'/></m:vgpu>", [FIRST, SECOND])
    for _ in range(2):
        s.hook("prepare", "begin", text)
        equal(s.labels(), {FIRST: LABEL, SECOND: LABEL})
    equal(s.migration_state(FIRST), "starting")
    s.hook("started", "begin", text)
    equal(s.migration_state(FIRST), "none")
    equal(read(s.machine.path(f"sys/bus/mdev/devices/{SECOND}/scheduling_weight")).strip(), "7")
    for operation, stage in (("start", "begin"), ("started", "begin"), ("reconnect", "begin"), ("stopped", "end"),
                             ("attach", "begin"), ("restore", "begin"), ("prepare", "end")):
        s.hook(operation, stage, text)
        equal(s.labels(), {FIRST: LABEL, SECOND: LABEL}, operation)
    for _ in range(2):
        s.hook("release", "end", text)
        equal(s.labels(), {})


@test
def addresses(stack):
    """what a domain has by its address, a virtual function or a whole card, is held until it has started"""
    s = Scene(stack, gpus=())
    vgpus = {FIRST: (CARD, "vfio-pci-vf"), SECOND: (CARD, "vfio-pci-vf"), THIRD: (WHOLE, "vfio-pci")}
    for uuid, (card, kind) in vgpus.items():
        until(lambda uuid=uuid, card=card, kind=kind: created(s, card, kind, uuid), "the functions")

    def states():
        return {uuid: s.migration_state(uuid) for uuid in vgpus}

    def address(uuid):
        return s.machine.bus.get(s.machine.bus.vgpus()[uuid]["path"], NAME + ".VGpu", "Parent")

    equal((address(FIRST) != address(SECOND), address(FIRST) != CARD, address(THIRD)), (True, True, WHOLE))
    # Beside them one that is no vGPU, and one that is not there.
    text = s.domain("", [address(FIRST), WHOLE, CARD, "0000:ff:1f.7"])
    for operation in ("started", "release"):
        s.hook("prepare", "begin", text)
        equal(states(), {FIRST: "starting", SECOND: "none", THIRD: "starting"})
        s.hook(operation, "begin" if operation == "started" else "end", text)
        equal(states(), dict.fromkeys(vgpus, "none"))


def created(s, card, kind, uuid):
    with contextlib.suppress(BusError):
        s.machine.bus.manager("CreateVGpu", card, kind, uuid, {})
        return True
    return False


@test
def at_once(stack):
    """what somebody else is making at that moment is waited for, and is theirs"""
    s = Scene(stack)
    text = s.domain(f"<m:vgpu uuid='{FIRST}' type='{TYPE}'/>")
    bus, answers = Bus(s.machine.address), []
    stack.callback(bus.close)
    until(lambda: s.machine.bus.ask("ListGpus", {})[0][0][3] == "ready", "the GPU")
    with s.machine.kernel_rests():
        other = threading.Thread(target=lambda: answers.append(bus.manager("CreateVGpu", GPU, TYPE, FIRST, {"label": "theirs"})))
        other.start()
        until(lambda: being_made(s, FIRST), "the other's call")
        start = s.begin("prepare", "begin", text)
        time.sleep(0.5)  # It asks, is told so, and asks again.
        equal(start.poll(), None)
    equal(start.wait(60), 0)
    other.join()
    equal((answers, s.labels()), ([None], {FIRST: "theirs"}))
    s.hook("release", "end", text)
    equal(s.labels(), {FIRST: "theirs"})


def being_made(s, uuid):
    """It has no object yet; only who wants to do something to it is told."""
    try:
        s.machine.bus.manager("DestroyVGpu", uuid, {})
    except BusError as e:
        return e.name == ERROR + "Busy"
    return False


@test
def incoming(stack):
    """what a domain asks for waits for it on the host that it migrates to"""
    s = Scene(stack)
    text = s.domain(f"<m:vgpu uuid='{FIRST}' type='{TYPE}'/><m:vgpu uuid='{SECOND}' type='{TYPE}' numa-node='0'/>", [FIRST])
    s.hook("migrate", "begin", text)
    equal({uuid: row["state"] for uuid, row in s.machine.bus.vgpus().items()}, {FIRST: "incoming", SECOND: "incoming"})
    s.hook("prepare", "begin", text)
    equal(s.labels(), {FIRST: LABEL, SECOND: LABEL})
    s.hook("release", "end", text)
    equal(s.labels(), {})


@test
def others(stack):
    """what was there, what is defined and what another domain has stays"""
    s = Scene(stack)
    s.machine.bus.manager("CreateVGpu", GPU, TYPE, FIRST, {"label": "mine"})
    s.machine.bus.manager("DefineVGpu", GPU, TYPE, SECOND, {})
    wishes = "".join(f"<m:vgpu uuid='{uuid}' type='{TYPE}'/>" for uuid in (FIRST, SECOND, THIRD))
    text = s.domain(wishes)
    s.hook("prepare", "begin", text)
    equal({uuid: row["state"] for uuid, row in s.machine.bus.vgpus().items()},
          {FIRST: "active", SECOND: "active", THIRD: "active"})
    s.hook("release", "end", s.domain(wishes, uuid=DOMAIN[:-1] + "2"))
    equal(len(s.labels()), 3, "another domain")
    s.hook("release", "end", text)
    equal(s.labels(), {FIRST: "mine", SECOND: ""})


@test
def refused(stack):
    """what cannot be made is said, and nothing is left of the rest"""
    s = Scene(stack)
    text = s.domain(f"<m:vgpu uuid='{FIRST}' type='{TYPE}'/><m:vgpu uuid='{SECOND}' type='Nothing'/>")
    said = s.hook("prepare", "begin", text, status=1)
    equal((SECOND in said, "Nothing" in said), (True, True), said)
    equal(s.labels(), {})
    s.machine.bus.manager("CreateVGpu", GPU, TYPE, SECOND, {})
    said = s.hook("prepare", "begin", text, status=1)
    equal("asks for Nothing" in said, True, said)
    equal(s.labels(), {SECOND: ""})
    for bad in ("", "<domain", "<domain/>", text.replace(SECOND, "x"), text.replace(f"type='{TYPE}'", ""),
                text.replace("type='Nothing'", "type='x' numa-node='-1'"), text[:200]):
        s.hook("prepare", "begin", bad, status=1)
        s.hook("release", "end", bad)
        s.hook("reconnect", "begin", bad)
    equal(s.labels(), {SECOND: ""})


@test
def absent(stack):
    """without the daemon a domain that asks for nothing starts, and everything ends"""
    s = Scene(stack)
    text = s.domain(f"<m:vgpu uuid='{FIRST}' type='{TYPE}'/>", [FIRST])
    s.hook("prepare", "begin", text)
    s.machine.stop()
    began = time.monotonic()
    for operation, stage in (("started", "begin"), ("stopped", "end"), ("release", "end"), ("reconnect", "begin")):
        s.hook(operation, stage, text)
    s.hook("prepare", "begin", s.domain("", [SECOND]))
    s.hook("prepare", "begin", text, status=1)
    equal(time.monotonic() - began < 10, True, "it took long")


@test
def busy(stack):
    """what is being saved when its domain ends goes when that is done, and its neighbour at once"""
    s = Scene(stack, before=keep_states)
    text = s.domain(f"<m:vgpu uuid='{FIRST}' type='{TYPE}'/><m:vgpu uuid='{SECOND}' type='{TYPE}'/>")
    s.hook("prepare", "begin", text)
    job = s.machine.bus.ask("SaveState", FIRST, "one", {})[0]
    end = s.begin("release", "end", text)
    until(lambda: s.labels() == {FIRST: LABEL}, "the neighbour's end")
    equal(s.machine.bus.get(job, NAME + ".Job", "State"), "running", "too quick to tell anything")
    s.machine.act("state-rate", "0")
    equal(end.wait(60), 0)
    equal(s.labels(), {})


def keep_states(machine):
    path = machine.path("etc/mdevgpud/types.d/test.yaml")
    text = read(path)
    with open(path, "w", encoding="utf-8") as f:
        f.write(text.replace("2GiB", "2GiB, keep-state: yes"))
    machine.act("state-rate", str(1 << 20))


@test
def silent(stack):
    """a bus that takes connections and says nothing keeps no domain from ending"""
    s = Scene(stack)
    text = s.domain(f"<m:vgpu uuid='{FIRST}' type='{TYPE}'/>", [FIRST])
    address = os.path.join(s.machine.dir, "silent")
    listener = stack.enter_context(socket.socket(socket.AF_UNIX))
    listener.bind(address)
    listener.listen()
    s.env["DBUS_SYSTEM_BUS_ADDRESS"] = f"unix:path={address}"
    events = {("started", "begin"): 0, ("stopped", "end"): 0, ("release", "end"): 0, ("reconnect", "begin"): 0,
              ("prepare", "begin"): 1, ("migrate", "begin"): 1}
    running = {event: s.begin(*event, text) for event in events}
    # Less than sd-bus itself would wait, which is 90 s.
    equal({event: process.wait(30) for event, process in running.items()}, events)


if __name__ == "__main__":
    sys.exit(run(TESTS))
