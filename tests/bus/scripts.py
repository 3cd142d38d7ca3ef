#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Others that write to sysfs themselves, beside the daemon, on the same cards: what they make is shown as unmanaged, and
nobody but them removes it; what is ours is not theirs. UUIDs and order are like those of Proxmox VE (the index of hostpci and
the VM's number), nova (random, and left behind when the machine has gone) and KubeVirt (all that is available, at once).

scripts.py MDEVGPUD-SIM SECONDS
"""

import contextlib
import fcntl
import os
import random
import subprocess
import sys
import threading
import time
import traceback
import uuid as uuids

from cases import chosen, equal, run, test
from machine import ATTRIBUTE, ERROR, GPU, TYPE, Bus, BusError, Machine, read, until

SIM, SECONDS = sys.argv[1], float(sys.argv[2])
INSTANCES = 16
TOPOLOGY = """version: 1
topologies:
  two: [{{match: {{address: "{gpu}"}}, vgpus: [{{type: {type}, count: 2}}]}}]
  none: [{{match: {{address: "{gpu}"}}, vgpus: []}}]
policy: {{prune: managed}}
"""


def outcome(call, *arguments):
    """"" or the name of the error."""
    try:
        call(*arguments)
        return ""
    except BusError as e:
        return e.name.removeprefix(ERROR)


def proxmox(vm, index=0):
    return f"{index:08d}-0000-0000-0000-{vm:012d}"


class Scripts:
    """Whoever writes to sysfs; thread-safe, as the kernel is."""

    def __init__(self, machine):
        self.machine = machine

    def write(self, *action):
        return subprocess.run([SIM, "--root", self.machine.root, *action], stderr=subprocess.DEVNULL, check=False).returncode == 0

    def create(self, uuid):
        return self.write("mdev-create", GPU, TYPE, uuid)

    def remove(self, uuid):
        return self.write("mdev-remove", uuid)

    def exists(self, uuid):
        return os.path.lexists(self.machine.path("sys/bus/mdev/devices", uuid))


def scene(stack):
    machine = Machine(stack, SIM)
    os.makedirs(machine.path("etc/mdevgpud/topologies.d"))
    with open(machine.path("etc/mdevgpud/topologies.d/test.yaml"), "w", encoding="utf-8") as f:
        f.write(TOPOLOGY.format(gpu=GPU, type=TYPE))
    machine.start()
    until(lambda: os.path.isdir(machine.path("sys/class/mdev_bus", GPU, "mdev_supported_types", TYPE)), "the profile's type")
    return machine, Scripts(machine)


def row(machine, uuid):
    return machine.bus.vgpus().get(uuid)


def check_theirs(machine, uuid):
    found = until(lambda: row(machine, uuid), uuid)
    equal((found["state"], found["managed"], found["persistent"], found["autostart"]), ("active", False, False, False), uuid)


def check_untouched(machine, theirs):
    """Nothing that the daemon does by itself, or is told to do with what is its own, removes them."""
    for name in "two", "none":
        machine.bus.apply_topology(name)
        equal({u for u, r in machine.bus.vgpus().items() if not r["managed"]}, set(theirs), name)
    for uuid in theirs:
        equal(outcome(machine.bus.manager, "DestroyVGpu", uuid, {}), "NotManaged")
    equal(machine.stop(), 0)
    machine.start()
    for uuid in theirs:
        check_theirs(machine, uuid)
    equal(set(theirs) <= set(machine.devices()), True)


@test
def writers(stack):
    """what Proxmox, nova and KubeVirt make is shown as unmanaged, stays, and goes when they remove it"""
    machine, scripts = scene(stack)
    equal(proxmox(100), "00000000-0000-0000-0000-000000000100")
    theirs = [proxmox(100), proxmox(100, 1), str(uuids.UUID(int=random.Random(1).getrandbits(128), version=4))]
    for uuid in theirs:
        equal(scripts.create(uuid), True, uuid)
        check_theirs(machine, uuid)
        equal(outcome(machine.bus.manager, "CreateVGpu", GPU, TYPE, uuid, {}), "AlreadyExists")
    check_untouched(machine, theirs)
    # A greedy one takes the rest: we are told so, and have what is free again when it lets go.
    greedy = []
    while scripts.create(uuid := str(uuids.uuid4())):
        greedy.append(uuid)
    equal(len(theirs) + len(greedy), INSTANCES)
    until(lambda: len(machine.bus.vgpus()) == INSTANCES, "all of them")
    equal(outcome(machine.bus.manager, "CreateVGpu", GPU, TYPE, "", {}), "NoInstances")
    for uuid in greedy + theirs:
        equal(scripts.remove(uuid), True, uuid)
    until(lambda: machine.bus.vgpus() == {}, "their end")
    equal(outcome(machine.bus.manager, "CreateVGpu", GPU, TYPE, theirs[0], {}), "", "the UUID of one that has gone")
    equal(row(machine, theirs[0])["managed"], True)
    # Whoever takes ours away has done it: it is forgotten, and theirs if they make it again.
    equal(scripts.remove(theirs[0]), True)
    until(lambda: machine.bus.vgpus() == {}, "its end")
    equal(scripts.create(theirs[0]), True)
    check_theirs(machine, theirs[0])
    machine.check()
    equal(machine.stop(), 0)
    machine.check_log()


@test
def definitions(stack):
    """one that is defined and that a script starts before us is no failure; a script's own is not started again"""
    machine, scripts = scene(stack)
    uuid = proxmox(101)
    machine.bus.manager("DefineVGpu", GPU, TYPE, uuid, {"autostart": False})
    equal(scripts.create(uuid), True)
    until(lambda: row(machine, uuid)["state"] == "active", "it is active")
    equal(outcome(machine.bus.manager, "StartVGpu", uuid, {}) in ("", "AlreadyExists"), True)
    equal(scripts.remove(uuid), True)
    until(lambda: row(machine, uuid)["state"] == "defined", "it is defined only")
    machine.bus.manager("UndefineVGpu", uuid, {})
    equal(machine.bus.vgpus(), {})
    machine.check()
    machine.check_log()


class Race:
    """Scripts and clients on one card, until time is up; the first thing that is not as it should be ends it."""

    def __init__(self, machine, scripts, *wanted):
        self.machine, self.scripts = machine, scripts
        self.began, self.problems, self.lock = time.monotonic(), [], threading.Lock()
        self.counts = dict.fromkeys(wanted, 0)
        self.theirs = set()  # UUIDs that nobody but scripts uses

    def count(self, what):
        with self.lock:
            self.counts[what] = self.counts.get(what, 0) + 1

    def is_over(self):
        """On a host that is busy it takes longer until there is enough of everything."""
        took = time.monotonic() - self.began
        return self.problems or took > 20 * SECONDS or (took > SECONDS and min(self.counts.values()) >= 3)

    def loop(self, step, number):
        dice, bus = random.Random(number), Bus(self.machine.address)
        try:
            while not self.is_over():
                step(bus, dice, number)
        except Exception:  # pylint: disable=broad-except
            self.problems.append(traceback.format_exc())
        bus.close()

    def run(self, steps):
        threads = [threading.Thread(target=self.loop, args=(step, i)) for i, step in enumerate(steps)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if self.problems:
            raise AssertionError(self.problems[0])

    def script(self, _bus, dice, number):
        uuid = proxmox(1000 + number, dice.randrange(3)) if number % 2 else str(uuids.uuid4())
        with self.lock:
            self.theirs.add(uuid)
        if not self.scripts.create(uuid):
            self.count("theirs, refused")
            return
        for _ in range(dice.randrange(1, 8)):
            time.sleep(dice.random() * 0.01)
            equal(self.scripts.exists(uuid), True, f"{uuid}, which is a script's")
        equal(self.scripts.remove(uuid), True, uuid)
        self.count("theirs")

    def client(self, bus, dice, _):
        uuid = str(uuids.uuid4())
        said = outcome(bus.manager, "CreateVGpu", GPU, TYPE, uuid, {})
        # The card's places are others' as well.
        equal(said in ("", "NoInstances"), True, said)
        if said:
            self.count("ours, refused")
            return
        time.sleep(dice.random() * 0.01)
        equal(self.scripts.exists(uuid), True, f"{uuid}, which is ours")
        equal(outcome(bus.manager, "DestroyVGpu", uuid, {}), "")
        self.count("ours")

    def pruner(self, bus, dice, _):
        with contextlib.suppress(BusError):
            bus.apply_topology(dice.choice(["two", "none"]))
            self.count("topologies")
        time.sleep(0.05)

    def observer(self, bus, dice, _):
        with self.lock:
            theirs = list(self.theirs)
        for uuid, found in bus.vgpus().items():
            if uuid in theirs:
                equal((found["managed"], found["persistent"]), (False, False), f"a script's {uuid}")
        for uuid in dice.sample(theirs, min(len(theirs), 4)):
            equal(outcome(bus.manager, "DestroyVGpu", uuid, {}) in ("NotManaged", "NoSuchVGpu", "Busy"), True, uuid)
        self.count("looks")
        time.sleep(0.01)


@test
def race(stack):
    """scripts, clients and a topology that prunes, on one card: each has what it made until it removes that itself"""
    machine, scripts = scene(stack)
    r = Race(machine, scripts, "theirs", "ours", "looks")
    r.run([r.script] * 4 + [r.client] * 2 + [r.observer])
    clients = dict(r.counts)
    # A topology takes what is managed and in nobody's use, a client's too: so with scripts alone.
    r = Race(machine, scripts, "theirs", "topologies", "looks")
    r.run([r.script] * 4 + [r.pruner, r.observer])
    # Busy, as long as it has not seen the end of the last of the scripts' yet.
    until(lambda: outcome(machine.bus.apply_topology, "none") == "", "the last topology")
    until(lambda: machine.bus.vgpus() == {}, "the end of all")
    for counts in clients, r.counts:
        equal({what: n for what, n in counts.items() if n < 3 and "refused" not in what}, {})
    machine.check()
    equal(machine.stop(), 0)
    machine.check_log()
    return f"{clients}, {r.counts}"


class Habits(Race):
    """Each of them as it does by itself: what others have made is taken, held and removed as well, ours too."""

    def devices(self):
        return self.machine.devices()

    def available(self):
        return int(read(self.machine.path("sys/class/mdev_bus", GPU, "mdev_supported_types", TYPE, "available_instances")))

    def proxmox(self, _bus, dice, number):
        """A machine's own UUID: what bears it is taken as it is; else it is made where there is room, and removed at the end."""
        uuid = proxmox(100 + number, dice.randrange(2))
        if self.scripts.exists(uuid) or (self.available() > 0 and self.scripts.create(uuid)):
            time.sleep(dice.random() * 0.02)
            self.count("Proxmox")
        if self.scripts.exists(uuid):
            self.scripts.remove(uuid)

    def nova(self, bus, dice, _):
        """Any that is in nobody's use, whoever made it, or a new one; never removed, but open for a while."""
        with contextlib.suppress(OSError), contextlib.ExitStack() as open_files:
            free = self.devices()
            if not free and not self.scripts.create(str(uuids.uuid4())):
                return
            uuid = dice.choice(free or self.devices() or [""])
            group = os.path.basename(os.readlink(self.machine.path("sys/bus/mdev/devices", uuid, "iommu_group")))
            fd = os.open(self.machine.path("dev/vfio", group), os.O_RDWR)
            open_files.callback(os.close, fd)
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Who asked before it was open is the kernel's to hold up; whoever asks now is told, if it is still there.
            said = outcome(bus.manager, "DestroyVGpu", uuid, {"unmanaged": True})
            equal(said in ("InUse", "Busy", "NoSuchVGpu"), True, f"nova's {uuid}: {said}:")
            self.count("nova" if said == "InUse" else "nova, robbed")
            time.sleep(dice.random() * 0.02)

    def kubevirt(self, _bus, dice, _):
        """All of a type that is not wanted any more goes, whose ever it is; then all that there is room for is made."""
        for uuid in self.devices():
            if self.scripts.remove(uuid):
                self.count("KubeVirt")
        for _ in range(dice.randrange(INSTANCES)):
            if not self.scripts.create(str(uuids.uuid4())):
                break
        time.sleep(dice.random() * 0.05)

    def client(self, bus, dice, _):
        uuid = str(uuids.uuid4())
        said = outcome(bus.manager, "CreateVGpu", GPU, TYPE, uuid, {"attrs": [(ATTRIBUTE, "7")]})
        self.count(f"created: {said or 'done'}")
        time.sleep(dice.random() * 0.01)
        while (said := outcome(bus.manager, "DestroyVGpu", uuid, {})) in ("InUse", "Busy"):
            time.sleep(0.002)
        self.count(f"destroyed: {said or 'done'}")


@test
def habits(stack):
    """Proxmox, nova and KubeVirt after their own ways, who take, open and remove what is ours as well: nothing is left of that"""
    machine, scripts = scene(stack)
    r = Habits(machine, scripts, "Proxmox", "nova", "KubeVirt", "created: done", "destroyed: done")
    r.run([r.proxmox] * 2 + [r.nova] * 2 + [r.kubevirt] + [r.client] * 2)
    for uuid in machine.devices():
        scripts.remove(uuid)
    until(lambda: machine.bus.vgpus() == {} and machine.devices() == [], "the end of all")
    equal({what for what, n in r.counts.items() if n < 3 and what in ("Proxmox", "nova", "KubeVirt", "created: done")}, set())
    until(lambda: outcome(machine.bus.manager, "CreateVGpu", GPU, TYPE, proxmox(1), {}) == "", "a place for one more")
    machine.check()
    equal(machine.stop(), 0)
    machine.check_log()
    return str(r.counts)


@test
def one_uuid(stack):
    """a script and a client who want one UUID at once: one has it, is said to, and the other is told; so when both remove it"""
    machine, scripts = scene(stack)
    dice, wins = random.Random(1), {True: 0, False: 0}
    deadline, n = time.monotonic() + SECONDS, 0
    while time.monotonic() < deadline or n < 5:
        uuid, answers = str(uuids.UUID(int=n + 1)), {}
        n += 1

        def at_once(script, call, uuid=uuid, answers=answers):
            thread = threading.Thread(target=lambda: answers.update(script=script(uuid)))
            bus_first = dice.random() < 0.5
            if not bus_first:
                thread.start()
                time.sleep(dice.random() * 0.02)
            thread2 = threading.Thread(target=lambda: answers.update(client=outcome(machine.bus.manager, *call)))
            thread2.start()
            if bus_first:
                time.sleep(dice.random() * 0.02)
                thread.start()
            thread.join()
            thread2.join()

        at_once(scripts.create, ("CreateVGpu", GPU, TYPE, uuid, {}))
        ours = answers["client"] == ""
        equal((answers["script"], answers["client"] in ("", "AlreadyExists", "Busy")), (not ours, True), answers)
        wins[ours] += 1
        found = until(lambda uuid=uuid: row(machine, uuid), uuid)
        equal(found["managed"], ours, answers)
        if ours:
            at_once(scripts.remove, ("DestroyVGpu", uuid, {}))
            # Busy: it is seen to be on its way out, by the script's doing.
            equal(answers["client"] in ("", "NoSuchVGpu", "Busy"), True, answers)
        else:
            equal(outcome(machine.bus.manager, "DestroyVGpu", uuid, {}), "NotManaged")
            equal(scripts.remove(uuid), True)
        until(lambda: machine.bus.vgpus() == {} and machine.devices() == [], f"the end of {uuid}")
    machine.check()
    equal(machine.stop(), 0)
    machine.check_log()
    return f"{wins[True]} were ours, {wins[False]} the script's"


if __name__ == "__main__":
    sys.exit(run(chosen(sys.argv[3:])))
