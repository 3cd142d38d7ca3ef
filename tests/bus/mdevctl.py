#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Our mdevctl against the real one: the same commands on two hosts that are equal, and all that comes of them compared:
exit status, output, every file of /etc/mdevctl.d, what callouts are told.

The real one, Debian 12's 1.2.0, knows no other root than /: it runs where a folder is mounted over /etc/mdevctl.d and
another over /sys. Where ours is meant to differ stands in DIFFERENCES, and is tried as well.

mdevctl.py MDEVGPUD-SIM MDEVCTL [--seconds N] [--seed N] [TEST…]
"""

import argparse
import contextlib
import ctypes
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

from cases import chosen, run, test
from machine import Machine, until

REAL = "/usr/bin/mdevctl"
CLONE_NEWNS, MS_BIND, MS_REC, MS_PRIVATE = 0x20000, 0x1000, 0x4000, 1 << 18
PARENTS = ("mtty", "mtty9")
ABSENT = ("0000:99:00.0", "tty-lost")
ATTRIBUTE = "scheduling_weight"
NAMES = (ATTRIBUTE, "a", "sub/folder", 'q"uote', "back\\slash", "naïve", "a b")
VALUES = ("1", "70", "x y", 'say "hi"', "\\", "größe", "a=b", "/dev/null")
TIMEOUT = 60


class Result:
    def __init__(self, status, out, err):
        self.status, self.out, self.err = status, out, err

    def __repr__(self):
        return f"exit status {self.status}, stdout {self.out!r}, stderr {self.err!r}"


def execute(program, args, data, env):
    done = subprocess.run([program, *args], input=data.encode(), capture_output=True, timeout=TIMEOUT, env=env,
                          check=False)
    err = done.stderr.decode(errors="replace")
    if "Sanitizer" in err or "runtime error:" in err:
        raise AssertionError(err)
    return Result(done.returncode, done.stdout.decode(errors="surrogateescape"), err)


class Real:
    """A process with mounts of its own, which runs the real one over a folder that looks like a host."""

    def __init__(self, stack, root):
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.root, self.socket = root, ours
        self.pid = os.fork()
        if self.pid == 0:
            ours.close()
            with contextlib.suppress(BaseException):
                self.serve(theirs, root)
            os._exit(0)
        theirs.close()
        stack.callback(self.close)

    def close(self):
        self.socket.close()
        os.waitpid(self.pid, 0)

    @staticmethod
    def serve(theirs, root):
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.unshare(CLONE_NEWNS) < 0 or libc.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None) < 0:
            return
        for folder in ("etc/mdevctl.d", "sys"):
            if libc.mount(f"{root}/{folder}".encode(), f"/{folder}".encode(), None, MS_BIND | MS_REC, None) < 0:
                return
        while request := theirs.recv(1 << 20):
            args, data = json.loads(request)
            result = execute(REAL, args, data, {"PATH": os.environ["PATH"]})
            theirs.send(json.dumps([result.status, result.out, result.err]).encode())

    def run(self, *args, data=""):
        self.socket.send(json.dumps([args, data]).encode())
        answer = self.socket.recv(1 << 20)
        if not answer:
            raise AssertionError("the real one cannot be run: these tests need root")
        return Result(*json.loads(answer))


class Ours:
    def __init__(self, root, address, patience=20):
        self.root = root
        self.env = {key: os.environ[key] for key in ("PATH", "ASAN_OPTIONS", "UBSAN_OPTIONS") if key in os.environ}
        self.env.update(MDEVCTL_ENV_ROOT=root, DBUS_SYSTEM_BUS_ADDRESS=address)
        if patience:
            self.env["MDEVCTL_PATIENCE"] = str(patience)

    def run(self, *args, data=""):
        return execute(ARGS.mdevctl, args, data, self.env)


def files(root):
    """{path: contents} of every definition."""
    found, base = {}, os.path.join(root, "etc/mdevctl.d")
    for path, _, names in os.walk(base):
        if "scripts.d" not in path:
            for name in names:
                with open(os.path.join(path, name), encoding="utf-8") as f:
                    found[os.path.relpath(os.path.join(path, name), base)] = f.read()
    return found


def without_attributes(args, text):
    """An active device has no attributes but those of callouts in 1.4; in 1.2.0 it has those of its definition."""
    if "--dumpjson" not in args:
        return "".join(line for line in text.splitlines(True) if not line.startswith(("  Attrs:", "    @{")))
    value = json.loads(text)
    for parent in value:
        for entry in [value] if isinstance(value, dict) else sum(parent.values(), []):
            for device in [entry] if isinstance(value, dict) else entry.values():
                device["attrs"] = []
    return json.dumps(value, indent=2, ensure_ascii=False)


def compare(real, ours, args, data="", with_callouts=False):
    """Runs it on both; the newline that 1.2.0 adds to every list is none of 1.4's, and a panic (101) is a failure."""
    a, b = real.run(*args, data=data), ours.run(*args, data=data)
    wanted = a.out
    if args[0] == "help" or any(x == "--help" or x.startswith("-h") for x in args) or a.status == 2:
        wanted = b.out
    elif args[0] in ("list", "types") and a.status == 0 and "-V" not in args:
        if not a.out.endswith("\n"):
            raise AssertionError(f"another mdevctl: {a}")
        wanted = a.out[:-1]
        if args[0] == "list" and not with_callouts and not any(x == "--defined" or x.startswith("-d") for x in args):
            wanted = without_attributes(args, wanted)
    if (1 if a.status == 101 else a.status) != b.status or wanted != b.out or (b.status != 0 and not b.err):
        raise AssertionError(f"{args} with {data!r}:\nthe real one: {a}\nours: {b}")
    return a, b


class Pair:
    """Two equal hosts: one with the real mdevctl, one with ours and a daemon."""

    with_callouts = False

    def __init__(self, stack):
        self.machine = Machine(stack, ARGS.sim, gpus=())
        self.root = stack.enter_context(tempfile.TemporaryDirectory(prefix="mdevctl-real-"))
        for root in (self.root, self.machine.root):
            for folder in ("callouts", "notifiers"):
                os.makedirs(os.path.join(root, "etc/mdevctl.d/scripts.d", folder))
            for parent in PARENTS:
                subprocess.run([ARGS.sim, "--root", root, "plug-mtty", parent], check=True)
        self.machine.start()
        self.real = Real(stack, self.root)
        self.ours = Ours(self.machine.root, self.machine.address)
        self.types = {p: sorted(os.listdir(os.path.join(self.root, "sys/class/mdev_bus", p, "mdev_supported_types")))
                      for p in PARENTS}

    def kernel(self, *action):
        """What writing to sysfs comes to on the host that has no daemon."""
        subprocess.run([ARGS.sim, "--root", self.root, *action], check=True)

    def active(self):
        return set(os.listdir(os.path.join(self.root, "sys/bus/mdev/devices")))

    def compare(self, *args, data=""):
        a, b = compare(self.real, self.ours, args, data, self.with_callouts)
        x, y = files(self.root), files(self.machine.root)
        if x != y:
            raise AssertionError(f"{args}: {a}, {b}\nthe real one's files: {x}\nours: {y}")
        return a, b

    def clear(self):
        for path in files(self.root):
            parent, uuid = path.split("/")
            self.compare("undefine", "-u", uuid, "-p", parent)


class Generator:
    """Commands that follow from a number."""

    def __init__(self, pair, number):
        self.pair, self.random = pair, random.Random(number)
        self.places = {}
        for i in range(4):
            parent = self.random.choice(PARENTS + ABSENT)
            self.places[f"c0ffee00-0000-4000-8000-{i:012x}"] = (parent, self.type_of(parent))

    def type_of(self, parent):
        return self.random.choice(self.pair.types.get(parent, ["nvidia-35", "i915-GVTg_V5_4", "x"]))

    def option(self, letter, name, value):
        forms = [[f"--{name}", value], [f"--{name}={value}"]]
        if letter:
            forms += [[f"-{letter}", value], [f"-{letter}{value}"], [f"-{letter}={value}"]]
        return self.random.choice(forms)

    def uuid(self, uuid):
        forms = [uuid, uuid.upper(), uuid.replace("-", ""), f"{{{uuid}}}", f"urn:uuid:{uuid}"]
        return self.option("u", "uuid", self.random.choice(forms if self.random.random() < 0.2 else [uuid]))

    def json(self, kind):
        value = {"mdev_type": kind, "start": self.random.choice(["auto", "manual", "Auto", 1, True, []]),
                 "attrs": [{self.random.choice(NAMES): self.random.choice(VALUES)} for _ in range(self.random.randint(0, 4))]}
        if (change := self.random.random()) < 0.08:
            del value[self.random.choice(list(value))]
        elif change < 0.14:
            value["attrs"] = self.random.choice([None, "x", [1], [{}], [{"a": "1", "b": "2"}], [{"a": 1}], {}])
        elif change < 0.17:
            value["start"] = None
        text = json.dumps(value, ensure_ascii=self.random.random() < 0.5, indent=self.random.choice([None, 2]))
        if self.random.random() < 0.08:
            return self.random.choice(["", "{", text[:-1], text + "x", "[]", text + "\n\n"])
        return text

    def define(self, uuid, parent, kind):
        args = ["define", *self.uuid(uuid)]
        where = self.random.random()
        if where < 0.9:
            args += self.option("p", "parent", parent)
        if self.random.random() < 0.4:
            return args + self.option(None, "jsonfile", "/dev/stdin"), self.json(kind)
        if self.random.random() < 0.92:
            args += self.option("t", "type", kind)
        return args + self.random.choice([[], [], ["--auto"], ["-a"]]), ""

    def undefine(self, uuid, parent, _):
        return ["undefine", *self.uuid(uuid), *self.random.choice([[], self.option("p", "parent", parent)])], ""

    def modify(self, uuid, parent, kind):
        args = ["modify", *self.uuid(uuid), *self.random.choice([[], [], self.option("p", "parent", parent)])]
        index = self.random.choice([[], [], self.option("i", "index", str(self.random.randint(0, 3)))])
        what = self.random.random()
        if what < 0.4:
            return args + ["--addattr", self.random.choice(NAMES), *self.option(None, "value", self.random.choice(VALUES)),
                           *index], ""
        if what < 0.6:
            return args + ["--delattr", *index], ""
        if what < 0.7:
            args += self.option("t", "type", self.type_of(parent))
        return args + [self.random.choice(["--auto", "-a", "--manual", "-m"])], ""

    def list(self, uuid, parent, _):
        args = [a for a in (["-d"], ["--defined"], ["--dumpjson"], ["-v"], ["--verbose"], self.uuid(uuid),
                            self.option("p", "parent", parent)) if self.random.random() < 0.3]
        if ["-d"] in args and ["--defined"] in args:
            args.remove(["-d"])
        return ["list", *sum(args, [])], ""

    def look(self, _, parent, __):
        return ["types", *self.random.choice([[], ["--dumpjson"]]),
                *self.random.choice([[], self.option("p", "parent", parent)])], ""

    def nonsense(self, uuid, parent, kind):
        return list(self.random.choice([
            (), ("bogus",), ("list", "x"), ("list", "-x"), ("list", "--uuid"), ("list", "-u", "x"), ("list", "-p", "-5"),
            ("list", "--parent="), ("list", "--uuid="), ("list", "-dd"), ("list", "-d", "--defined"), ("list", "--"),
            ("list", "--", "x"), ("list", "--dumpjson=1"), ("list", "--dump"), ("list", "-h"), ("list", "-x", "--help"),
            ("list", "--help", "-x"), ("define",), ("define", "-p", parent), ("define", "-t", kind), ("stop",),
            ("define", "-p", parent, "-t", kind, "--jsonfile", "x"), ("define", "-p", parent, "--auto", "--jsonfile", "x"),
            ("define", "-p", parent, "--jsonfile", "/no/such/file"), ("define", "-u", uuid, "--jsonfile", "/dev/null"),
            ("undefine",), ("undefine", "-p", parent), ("modify",), ("modify", "--auto"), ("start",), ("types", "-u", uuid),
            ("modify", "-u", uuid, "--auto", "--manual"), ("modify", "-u", uuid, "--addattr", "a"),
            ("modify", "-u", uuid, "--delattr", "--addattr", "a", "--value", "b"), ("modify", "-u", uuid, "--delattr", "-i", "x"),
            ("modify", "-u", uuid, "--delattr", "-i", "-1"), ("modify", "-u", uuid, "--delattr", "-i", "4294967296"),
            ("undefine", "-u", uuid, "-u", uuid), ("stop", "-u", uuid, "-p", parent), ("help", "bogus"), ("--", "list"),
            ("start", "-u", uuid, "-t", kind, "--jsonfile", "x"), ("start-parent-mdevs",), ("start-parent-mdevs", "a", "b"),
            ("list", "-dd", "-h"), ("define", "-u", "--help"), ("types", "-p", "-h"), ("-hx", "x"), ("help", "help"),
            ("list", "-du", uuid), ("list", "-dvp" + parent), ("list", "-dv", "--dumpjson"), ("help", "modify", "-h"),
        ])), ""

    def command(self):
        uuid, (parent, kind) = self.random.choice(list(self.places.items()))
        return self.random.choices([self.define, self.undefine, self.modify, self.list, self.look, self.nonsense],
                                   [4, 1, 5, 4, 0.5, 1])[0](uuid, parent, kind)


def budgeted(share, run):
    """As often as there is time for."""
    deadline, n = time.monotonic() + ARGS.seconds * share, 0
    while time.monotonic() < deadline or n < 3:
        number = ARGS.seed * 1000000 + n
        try:
            run(number)
        except Exception as e:
            raise AssertionError(f"with --seed {ARGS.seed}, number {n}: {e}") from e
        n += 1
    return n


@test
def definitions(stack):
    """sequences that define, modify, undefine and list"""
    pair, commands = Pair(stack), 0

    def sequence(number):
        nonlocal commands
        generator, said = Generator(pair, number), []
        for _ in range(generator.random.randint(3, 12)):
            args, data = generator.command()
            said.append(args)
            commands += 1
            try:
                if args:
                    pair.compare(*args, data=data)
                elif (pair.real.run().status, pair.ours.run().status) != (2, 2):
                    raise AssertionError("no arguments")
            except AssertionError as e:
                raise AssertionError(f"{e}\nin {said}") from e
        pair.clear()

    n = budgeted(0.55, sequence)
    return f"{n} sequences of {commands} commands"


# What ours does otherwise than 1.2.0, and why. "{u}" is defined for mtty, of its first type "{t}", and "{v}" is nothing.
DIFFERENCES = [
    ("1.4 wants one thing to be modified", ["modify", "-u", "{u}"], 0, 2),
    ("1.4 wants one thing to be modified", ["modify", "-u", "{u}", "-t", "{t}"], 0, 2),
    ("1.4 wants one thing to be modified", ["modify", "-u", "{u}", "--auto", "--addattr", "a", "--value", "b"], 0, 2),
    ("1.4 takes an index for attributes only", ["modify", "-u", "{u}", "--auto", "-i", "0"], 0, 2),
    ("1.4 takes a value for attributes only", ["modify", "-u", "{u}", "--auto", "--value", "b"], 0, 2),
    ("1.4 has --force", ["undefine", "-u", "{v}", "--force"], 2, 1),
    ("1.4 has modify --jsonfile, which defines what is not defined",
     ["modify", "-u", "{v}", "-p", "tty-lost", "--jsonfile", "/dev/stdin"], 2, 0),
    ("1.4 has modify --live", ["modify", "-u", "{u}", "--live", "--jsonfile", "/dev/stdin"], 2, 1),
    ("libvirt asks whether it is there", ["modify", "--defined", "--live", "--jsonfile", "b", "--help"], 2, 0),
    ("a UUID is one vGPU: what libvirt starts and undefines by it alone",
     ["define", "-u", "{u}", "-p", "mtty9", "-t", "{t}"], 0, 1),
    ("a parent that is there has to have the type", ["define", "-u", "{v}", "-p", "mtty", "-t", "nothing"], 0, 1),
    ("a type is known by its id alone", ["define", "-u", "{v}", "-p", "mtty", "-t", "{name}"], 0, 1),
    ("a type is known by its id alone", ["modify", "-u", "{u}", "--auto", "-t", "{name}"], 0, 1),
    ("virtual functions are no mediated devices", ["define", "-u", "{v}", "-p", "0000:51:00.0", "-t", "vfio-pci-vf"], 0, 1),
    ("nor are whole cards", ["define", "-u", "{v}", "-p", "0000:61:00.0", "-t", "vfio-pci"], 0, 1),
    ("a parent's name is no path", ["define", "-u", "{v}", "-p", "{tmp}", "-t", "x"], 0, 1),
    ("the name of an attribute is a path below its device",
     ["modify", "-u", "{u}", "--addattr", "../x", "--value", "1"], 0, 1),
    ("the value of an attribute is one line", ["modify", "-u", "{u}", "--addattr", "x", "--value", "1\n2"], 0, 1),
]


@test
def differences(stack):
    """every intended difference is one, and changes nothing where it is a refusal"""
    u, v = "c0ffee00-0000-4000-8000-000000000001", "c0ffee00-0000-4000-8000-000000000002"
    tmp = stack.enter_context(tempfile.TemporaryDirectory(prefix="mdevctl-outside-"))
    pair = Pair(stack)
    for action in (["plug-sriov", "0000:51:00.0"], ["set-vfs", "0000:51:00.0", "2"], ["plug-card", "0000:61:00.0"]):
        pair.machine.act(*action)
    for kind in ("vfio-pci-vf", "vfio-pci"):
        until(lambda kind=kind: kind in [row[1] for row in pair.machine.bus.ask("ListTypes", {})[0]], kind)
    kind = pair.types["mtty"][0]
    with open(os.path.join(pair.root, "sys/class/mdev_bus/mtty/mdev_supported_types", kind, "name"), encoding="utf-8") as f:
        words = {"u": u, "v": v, "t": kind, "name": f.read().strip(), "tmp": tmp}
    data = json.dumps({"mdev_type": "x", "start": "auto"})
    for reason, template, real, ours in DIFFERENCES:
        pair.compare("define", "-u", u, "-p", "mtty", "-t", words["t"])
        args, before = [word.format(**words) for word in template], files(pair.machine.root)
        a, b = pair.real.run(*args, data=data), pair.ours.run(*args, data=data)
        if (a.status, b.status) != (real, ours):
            raise AssertionError(f"{args}: {reason}: {a}, {b}")
        if ours != 0 and (files(pair.machine.root) != before or set(pair.machine.bus.vgpus()) != {u}):
            raise AssertionError(f"{args} changed {before} to {files(pair.machine.root)}")
        for side in (pair.real, pair.ours):
            side.run("undefine", "-u", u)
            side.run("undefine", "-u", v)
        shutil.rmtree(tmp)
        os.makedirs(tmp)
    return f"{len(DIFFERENCES)} of them"


@test
def generated_uuids(stack):
    """a UUID that was not given is printed, and only then"""
    pair = Pair(stack)
    for action in ("define", "start"):
        args = [action, "-p", "mtty", "-t", pair.types["mtty"][0]]
        for side in (pair.real, pair.ours):
            result = side.run(*args)
            if result.status != 0 or len(result.out) != 37 or result.out[-1] != "\n" or result.err:
                raise AssertionError(result)
            if action == "define":
                with open(os.path.join(side.root, "etc/mdevctl.d/mtty", result.out.strip()), encoding="utf-8") as f:
                    side.text = f.read()
    if pair.real.text != pair.ours.text:
        raise AssertionError(f"{pair.real.text!r}, {pair.ours.text!r}")


@test
def devices(stack):
    """sequences that start, stop and list, with a kernel of its own for each"""
    pair, uuids = Pair(stack), [f"c0ffee00-0000-4000-8000-{i:012x}" for i in range(4)]

    def act(args):
        before, (a, _) = pair.active(), pair.compare(*args)
        if a.status == 0 and args[0] == "start":
            [uuid] = [u for u in uuids if u in args]
            where = [p.split("/")[0] for p in files(pair.root) if p.endswith(uuid)]
            parent = args[args.index("-p") + 1] if "-p" in args else where[0]
            stored = files(pair.root).get(f"{parent}/{uuid}")
            kind = args[args.index("-t") + 1] if "-t" in args else json.loads(stored)["mdev_type"]
            pair.kernel("mdev-create", parent, kind, uuid)
        elif a.status == 0 and args[0] == "stop":
            pair.kernel("mdev-remove", args[2])
        elif args[0] in ("start", "stop") and pair.active() != before:
            raise AssertionError("it is not what it was")
        if sorted(pair.active()) != pair.machine.devices():
            raise AssertionError(f"{args}: {pair.active()}, {pair.machine.devices()}")

    def sequence(number):
        r = random.Random(number)
        places = {u: (p := r.choice(PARENTS), r.choice(pair.types[p])) for u in uuids}
        for _ in range(r.randint(4, 10)):
            u, (p, t) = r.choice(list(places.items()))
            defined = f"{p}/{u}" in files(pair.root)
            act(r.choice([["start", "-u", u], ["start", "-u", u, "-p", p, "-t", t], ["stop", "-u", u], ["list"],
                          ["list", "--dumpjson"], ["list", "-d"], ["list", "-u", u, "--dumpjson"], ["list", "-p", p, "-v"],
                          ["types", "--dumpjson"], ["types", "-p", p], ["undefine", "-u", u],
                          ["define", "-u", u] if u in pair.active() or defined else ["define", "-u", u, "-p", p, "-t", t],
                          ["modify", "-u", u, "--auto"], ["start", "-u", u, "-p", p],
                          *([["list", "-d", "-v"]] if defined else
                            [["start", "-u", u, "-p", "0000:99:00.0", "-t", t], ["start", "-u", u, "-p", "", "-t", t],
                             ["start", "-u", u, "-p", p, "-t", "Single port serial"]])]))
        for u in uuids:
            act(["stop", "-u", u])
        pair.clear()

    return f"{budgeted(0.25, sequence)} sequences"


@test
def parents(stack):
    """start-parent-mdevs starts what starts by itself on that parent, leaves the rest alone, and one that fails is no failure"""
    pair, uuids = Pair(stack), [f"c0ffee00-0000-4000-8000-{i:012x}" for i in range(4)]
    kind, other = pair.types["mtty"]
    for uuid, parent, auto in zip(uuids, ("mtty", "mtty", "mtty9", "mtty"), (["--auto"], [], ["-a"], ["-a"])):
        pair.compare("define", "-u", uuid, "-p", parent, "-t", kind, *auto)
    # The last one's UUID is another's now.
    pair.kernel("mdev-create", "mtty9", other, uuids[3])
    pair.machine.act("mdev-create", "mtty9", other, uuids[3])
    until(lambda: uuids[3] in pair.machine.devices(), "it")
    for parent, started in (("mtty", 0), ("mtty9", 2)):
        create = os.path.join(pair.root, "sys/class/mdev_bus", parent, "mdev_supported_types", kind, "create")
        pair.compare("start-parent-mdevs", parent)
        pair.kernel("mdev-create", parent, kind, uuids[started])
        with open(create, encoding="utf-8") as f:
            told = f.read().split()
        if told != [uuids[started]] or sorted(pair.active()) != pair.machine.devices():
            raise AssertionError(f"{parent}: {told}, {pair.active()}, {pair.machine.devices()}")
    for parent in ("mtty", "mtty9", "0000:99:00.0", "../mtty"):
        pair.compare("start-parent-mdevs", parent)
    if sorted(pair.active()) != pair.machine.devices():
        raise AssertionError(pair.machine.devices())


# What it is told it notes, and what it does is said by files beside its folder.
SCRIPT = """#!/bin/bash
base=$(dirname "$0")/..
echo "$(basename "$0") $* <$(cat)>" >> "$base/log"
[ "$6" != capabilities ] || exit 2
[ "$4" != "$(cat "$base/refuse")" ] || { echo "no, $4" >&2; exit 7; }
[ "$2" = "$(cat "$base/mine")" ] || exit 2
[ "$4" != get ] || cat "$base/attributes"
"""


@test
def callouts(stack):
    """callouts and notifiers are told what the real one tells them, and their words count as much"""
    pair = Pair(stack)
    pair.with_callouts = True
    kind, u = pair.types["mtty"][0], "c0ffee00-0000-4000-8000-000000000001"
    def add_script(root, name):
        path = os.path.join("etc/mdevctl.d/scripts.d", name)
        write(root, path, SCRIPT)
        os.chmod(os.path.join(root, path), 0o755)

    for root in (pair.root, pair.machine.root):
        for name in ("callouts/10-first", "notifiers/10-listener"):
            add_script(root, name)

    def set_file(name, text):
        for root in (pair.root, pair.machine.root):
            write(root, os.path.join("etc/mdevctl.d/scripts.d", name), text)

    def log(root):
        path = os.path.join(root, "etc/mdevctl.d/scripts.d/log")
        lines = []
        if os.path.exists(path):
            with open(path, encoding="utf-8") as f:
                # 1.4 asks for capabilities, 1.2 does not; 1.2 tells notifiers what is changed, 1.4 does not.
                lines = [line.partition("<")[0] if " notify " in line else line for line in f if " capabilities " not in line]
            os.unlink(path)
        return lines

    runs = 0
    for mine, refuse, attributes in ((kind, "", ""), ("other", "", ""), (kind, "pre", ""), (kind, "post", ""),
                                     (kind, "notify", ""), ("other", "pre", ""), (kind, "", '[{"a": "1"}]'),
                                     (kind, "", "[{}]"), (kind, "", "{")):
        set_file("mine", mine)
        set_file("refuse", refuse)
        set_file("attributes", attributes)
        for args in (["define", "-u", u, "-p", "mtty", "-t", kind], ["modify", "-u", u, "--auto"],
                     ["modify", "-u", u, "--addattr", "a", "--value", 'x"y'], ["list", "-d"], ["undefine", "-u", u],
                     ["start", "-u", u, "-p", "mtty", "-t", kind], ["list", "--dumpjson"], ["list", "-v"],
                     ["define", "-u", u], ["stop", "-u", u], ["undefine", "-u", u]):
            if args[0] == "undefine" and refuse == "pre":
                # 1.2 says that it has undefined what it has not.
                pair.real.run(*args)
                pair.ours.run(*args)
                set_file("refuse", "")
                pair.clear()
                for root in (pair.root, pair.machine.root):
                    log(root)
                set_file("refuse", refuse)
                continue
            a, _ = pair.compare(*args)
            if a.status == 0 and args[0] == "start":
                pair.kernel("mdev-create", "mtty", kind, u)
            elif a.status == 0 and args[0] == "stop":
                pair.kernel("mdev-remove", u)
            x, y = log(pair.root), log(pair.machine.root)
            if args == ["define", "-u", u]:
                # 1.2 asks for attributes before it asks whether it may, and tells them; 1.4 after that, and tells none.
                x, y = (sorted(line.partition("<")[0] for line in lines) for lines in (x, y))
                if attributes == "{":  # what cannot be used ends it there
                    y = [line for line in y if " get " in line]
            if x != y or (args[0] in ("define", "stop", "modify") and a.status == 0 and not x):
                raise AssertionError(f"{args}, {(mine, refuse, attributes)}:\nthe real one's were told {x}\nours: {y}")
            runs += 1

    # In the order of their names, which they have not in 1.2: the first one that is for it, or all.
    add_script(pair.machine.root, "callouts/05-before")
    for mine, wanted in ((kind, ["05-before", "05-before"]), ("other", ["05-before", "10-first"] * 2)):
        set_file("mine", mine)
        pair.ours.run("define", "-u", u, "-p", "mtty", "-t", kind)
        if (told := [line.split()[0] for line in log(pair.machine.root)]) != [*wanted, "10-listener"]:
            raise AssertionError(told)
        pair.ours.run("undefine", "-u", u)
        log(pair.machine.root)
    return f"{runs} runs"


def write(root, path, text):
    path = os.path.join(root, path)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)


def plant(root, r):
    """A host with types, devices and definitions of every kind, whole ones."""
    for folder in ("callouts", "notifiers"):
        os.makedirs(os.path.join(root, "etc/mdevctl.d/scripts.d", folder))
    for folder in ("sys/bus/mdev/devices", "sys/class/mdev_bus"):
        if r.random() < 0.9:
            os.makedirs(os.path.join(root, folder))
    uuids = [f"{r.getrandbits(32):08x}-0000-4000-8000-{i:012x}" for i in range(8)]
    places, active = [], {}
    for p in range(r.randint(0, 4)):
        parent, device = f"0000:0{p}:00.0", f"sys/devices/pci0000:00/0000:0{p}:00.0"
        os.makedirs(os.path.join(root, "sys/class/mdev_bus"), exist_ok=True)
        os.symlink(f"../../devices/pci0000:00/{parent}", os.path.join(root, "sys/class/mdev_bus", parent))
        os.makedirs(os.path.join(root, device, "mdev_supported_types"))
        for t in r.sample(["i915-GVTg_V5_4", "i915-GVTg_V5_8", "nvidia-35", "nvidia-4", "NVIDIA"], r.randint(0, 3)):
            base = f"{device}/mdev_supported_types/{t}"
            write(root, f"{base}/available_instances", r.choice(["0\n", "7", " 12 \n"]))
            write(root, f"{base}/device_api", "vfio-pci\n")
            if r.random() < 0.6:
                write(root, f"{base}/name", r.choice(["GRID M60\n", "", 'na"me\n', "größe\\\n"]))
            if r.random() < 0.6:
                write(root, f"{base}/description", r.choice(["a: 1\nb: 2\n", "", "one", "\n x \n y\n\n", "tab\there\x01\n"]))
            places.append((parent, device, t))
    for uuid in uuids[:5]:
        if places and r.random() < 0.7:
            parent, device, t = r.choice(places)
            active[parent, uuid] = t
            os.makedirs(os.path.join(root, device, uuid))
            os.symlink(f"../mdev_supported_types/{t}", os.path.join(root, device, uuid, "mdev_type"))
            os.makedirs(os.path.join(root, "sys/bus/mdev/devices"), exist_ok=True)
            os.symlink(f"../../../devices/pci0000:00/{parent}/{uuid}", os.path.join(root, "sys/bus/mdev/devices", uuid))
            if r.random() < 0.5:
                places.append((parent, device, t))
    for uuid in uuids[2:]:
        # One way to write it: of two files for the same in one folder whichever the kernel lists last would count.
        name = r.choice([uuid, uuid, uuid.upper(), uuid.replace("-", ""), "x" + uuid])
        for parent, _, t in r.sample(places, min(len(places), r.randint(0, 2))) + [("lost", "", "x")] * (r.random() < 0.3):
            # One that is active has its own type in 1.4, in 1.2.0 that of its definition.
            value = {"mdev_type": active.get((parent, uuid), t), "start": r.choice(["auto", "manual", "x", 3])}
            if r.random() < 0.7:
                value["attrs"] = [{r.choice(NAMES): r.choice(VALUES + ("\t\x07",))} for _ in range(r.randint(0, 3))]
            if r.random() < 0.3:
                value = dict(sorted(value.items(), reverse=True), other=[{"x": 1.5}, None])
            text = json.dumps(value, indent=r.choice([None, 1]), ensure_ascii=r.random() < 0.5)
            write(root, f"etc/mdevctl.d/{parent}/{name}", text)
    if r.random() < 0.3:
        write(root, "etc/mdevctl.d/README", "no folder")
    if r.random() < 0.3:
        os.makedirs(os.path.join(root, "etc/mdevctl.d/lost", uuids[0] + "x"), exist_ok=True)
    return uuids


@test
def reads(stack):
    """without a daemon: what is there is listed, on hosts of every kind"""
    commands = 0

    def sequence(number):
        nonlocal commands
        r = random.Random(number)
        with tempfile.TemporaryDirectory(prefix="mdevctl-reads-") as root, contextlib.ExitStack() as inner:
            uuids = plant(root, r)
            real, ours = Real(inner, root), Ours(root, "unix:path=/nonexistent")
            for base in (["list"], ["list", "-d"], ["types"]):
                for json_flag in ([], ["--dumpjson"]):
                    for what in ([], ["-v"], ["-p", "0000:01:00.0"], ["-p", "lost"], ["-u", r.choice(uuids)],
                                 ["-u", r.choice(uuids), "-p", "0000:00:00.0", "-v"]):
                        if base != ["types"] or not set(what) & {"-v", "-u"}:
                            compare(real, ours, [*base, *json_flag, *what])
                            commands += 1

    return f"{budgeted(0.2, sequence)} hosts, {commands} commands"


@test
def broken(stack):
    """a file that is no definition keeps the real one from listing, and ours from nothing"""
    good, bad = "c0ffee00-0000-4000-8000-000000000001", "c0ffee00-0000-4000-8000-000000000002"
    texts = ["", "{", "[]", "null", '{"mdev_type": 1, "start": "auto"}', '{"mdev_type": "x"}',
             '{"mdev_type": "x", "start": "auto"}x',
             '{"mdev_type": "x", "start": "auto", "attrs": [{"a": 1}]}', "{'mdev_type': 'x', 'start': 'auto'}", "\xff"]
    for text in texts:
        with tempfile.TemporaryDirectory(prefix="mdevctl-broken-") as root, contextlib.ExitStack() as inner:
            for folder in ("sys/bus/mdev/devices", "etc/mdevctl.d/scripts.d/callouts", "etc/mdevctl.d/scripts.d/notifiers"):
                os.makedirs(os.path.join(root, folder))
            write(root, f"etc/mdevctl.d/p/{good}", '{"mdev_type": "x", "start": "auto"}')
            real, ours = Real(inner, root), Ours(root, "unix:path=/nonexistent")
            _, wanted = compare(real, ours, ["list", "-d"])
            with open(os.path.join(root, "etc/mdevctl.d/p", bad), "wb") as f:
                f.write(text.encode("latin-1"))
            a, b = real.run("list", "-d"), ours.run("list", "-d")
            if a.status == 0 or b.status != 0 or b.out != wanted.out or bad not in b.err:
                raise AssertionError(f"{text!r}: {a}, {b}")


def timed(ours, *args):
    """Within a second; once of three times, as on a busy host the start of a process alone may take that."""
    for _ in range(3):
        began = time.monotonic()
        result = ours.run(*args)
        if (took := time.monotonic() - began) <= 1:
            return result
    raise AssertionError(f"{args}: {took:.2f} s")


@test
def absent(stack):
    """without a daemon, or one that hangs, changes are the real one's, or are refused within a second"""
    machine = Machine(stack, ARGS.sim, gpus=())
    machine.act("plug-mtty", "mtty")
    silent = stack.enter_context(socket.socket(socket.AF_UNIX))
    silent.bind(os.path.join(machine.dir, "silent"))
    silent.listen()
    kind = os.listdir(machine.path("sys/class/mdev_bus/mtty/mdev_supported_types"))[0]
    change = ["define", "-u", "c0ffee00-0000-4000-8000-000000000001", "-p", "mtty", "-t", kind]
    sides = {"no bus": Ours(machine.root, "unix:path=/nonexistent", None),
             "no daemon": Ours(machine.root, machine.address, None),
             "a bus that hangs": Ours(machine.root, f"unix:path={machine.dir}/silent", None)}
    for real in (False, True):
        if real:
            write(machine.root, "usr/sbin/mdevctl", '#!/bin/sh\necho "real $*"; exit 42\n')
            os.chmod(machine.path("usr/sbin/mdevctl"), 0o755)
        for name, side in sides.items():
            for args in (change, ["stop", "-u", change[2]], ["start-parent-mdevs", "mtty"]):
                result = timed(side, *args)
                wanted = (42, f"real {' '.join(args)}\n") if real else (1, "")
                if (result.status, result.out) != wanted or (not real and "mdevgpud" not in result.err):
                    raise AssertionError(f"{name}: {result}")
            if timed(side, "list", "-d").status != 0 or "mtty" not in timed(side, "types").out:
                raise AssertionError(name)

    machine.start()
    machine.daemon.send_signal(signal.SIGSTOP)
    until(lambda: " T " in open(f"/proc/{machine.daemon.pid}/stat", encoding="utf-8").read(), "a daemon that stands still")
    result = timed(sides["no daemon"], *change)
    machine.daemon.send_signal(signal.SIGCONT)
    if (result.status, files(machine.root)) != (42, {}):
        raise AssertionError(result)
    result = Ours(machine.root, machine.address).run(*change)
    if (result.status, len(files(machine.root))) != (0, 1):
        raise AssertionError(result)


def main():
    if not os.access(REAL, os.X_OK):
        print(f"Bail out! {REAL} is not there: these tests need Debian's package mdevctl")
        return 1
    return run(chosen(ARGS.tests))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("sim")
    parser.add_argument("mdevctl")
    parser.add_argument("tests", nargs="*")
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--seed", type=int, default=1)
    ARGS = parser.parse_intermixed_args()
    # Every definition is made durable, which takes a disk most of the time; that it is, others test.
    if os.access("/dev/shm", os.W_OK):
        tempfile.tempdir = "/dev/shm"
    sys.exit(main())
