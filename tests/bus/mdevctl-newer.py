#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What mdevctl has had since 1.2.0, which is Debian 12's and what mdevctl.py compares ours with: each in the form that the
manual of 1.4.0 documents, with what it says comes of it. Whoever has a 1.4.0 can have it tried beside ours (--real); then what
comes of it has to be the same on both. And others' callouts that hang, fail or print without end.

mdevctl-newer.py MDEVGPUD-SIM MDEVCTL [--real PROGRAM] [TEST…]
"""

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import time

from cases import chosen, equal, run, test
from machine import Machine, read, until

U, V = "c0ffee00-0000-4000-8000-000000000001", "c0ffee00-0000-4000-8000-000000000002"
PARENT, OTHER, ATTRIBUTE = "mtty", "mtty9", "scheduling_weight"


def config(kind, start="manual", *attributes):
    """As it stands in a file."""
    return json.dumps({"mdev_type": kind, "start": start, "attrs": [dict([a]) for a in attributes]}, indent=2)


def write(root, path, text, mode=0o644):
    path = os.path.join(root, path)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)
    os.chmod(path, mode)


class Side:
    """A program on a host of its own."""

    def __init__(self, program, root, **env):
        self.program, self.root = os.path.abspath(program), root
        keep = {key: os.environ[key] for key in ("PATH", "ASAN_OPTIONS", "UBSAN_OPTIONS") if key in os.environ}
        self.env = {**keep, "MDEVCTL_ENV_ROOT": root, **env}

    def run(self, *args, data="", timeout=60):
        done = subprocess.run([self.program, *args], input=data, capture_output=True, text=True, env=self.env, check=False,
                              timeout=timeout)
        if "Sanitizer" in done.stderr or "runtime error:" in done.stderr:
            raise AssertionError(done.stderr)
        return done

    def files(self):
        base, found = os.path.join(self.root, "etc/mdevctl.d"), {}
        for parent in (PARENT, OTHER, "lost"):
            for name in os.listdir(os.path.join(base, parent)) if os.path.isdir(os.path.join(base, parent)) else []:
                found[f"{parent}/{name}"] = read(os.path.join(base, parent, name))
        return found


class Scene:
    def __init__(self, stack, ours_only=False, **env):
        self.machine = Machine(stack, ARGS.sim, gpus=())
        roots = [self.machine.root] + ([os.path.join(self.machine.dir, "real")] if ARGS.real and not ours_only else [])
        for root in roots:
            for folder in ("usr/lib/mdevctl/scripts.d", "etc/mdevctl.d/scripts.d"):
                for kind in ("callouts", "notifiers"):
                    os.makedirs(os.path.join(root, folder, kind))
            for parent in (PARENT, OTHER):
                subprocess.run([ARGS.sim, "--root", root, "plug-mtty", parent], check=True)
        self.machine.start()
        self.ours = Side(ARGS.mdevctl, roots[0], DBUS_SYSTEM_BUS_ADDRESS=self.machine.address, MDEVCTL_PATIENCE="20", **env)
        self.sides = [self.ours] + [Side(ARGS.real, root) for root in roots[1:]]
        self.kinds = sorted(os.listdir(self.machine.path("sys/class/mdev_bus", PARENT, "mdev_supported_types")))

    def expect(self, *args, data="", status=0, out="", files=None, ours_only=False, says=""):
        """On each side: that exit status, that output, those files; ours_only: where ours is meant to differ."""
        for side in self.sides[:1] if ours_only else self.sides:
            done = side.run(*args, data=data)
            what = f"{os.path.basename(side.program)} {args}: {done.stderr!r}:"
            equal(done.returncode, status, what)
            equal(done.stdout, out, what)
            if files is not None:
                equal(side.files(), files, what)
            if status != 0 and (not done.stderr or says not in done.stderr and side is self.ours):
                raise AssertionError(what)

    def script(self, path, text):
        for side in self.sides:
            write(side.root, path, "#!/bin/sh\n" + text, 0o755)

    def active(self, uuid, there, kind=None):
        """The kernel's part on hosts that have no daemon."""
        for side in self.sides[1:]:
            subprocess.run([ARGS.sim, "--root", side.root, *(["mdev-create", PARENT, kind, uuid] if there
                                                             else ["mdev-remove", uuid])], check=True)

    def log(self):
        """What the scripts have noted since, which has to be the same on each side."""
        found = []
        for side in self.sides:
            path = os.path.join(side.root, "log")
            found.append(read(path).splitlines() if os.path.exists(path) else [])
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
        for other in found[1:]:
            equal(found[0], other, "ours and the real one's")
        return found[0]


@test
def usage(stack):
    """modify takes exactly one change, and what belongs to that; --force is everybody's, --version nobody's but list's"""
    s = Scene(stack)
    s.expect("define", "-u", U, "-p", PARENT, "-t", s.kinds[0])
    before = s.ours.files()
    base = ["modify", "-u", U]
    changes = (["--auto"], ["--manual"], ["--addattr", "a", "--value", "b"], ["--delattr"], ["--jsonfile", "x"])
    for i, one in enumerate(changes):
        for other in changes[i + 1:]:
            s.expect(*base, *one, *other, status=2, files=before)
    refused = (
        [], ["-t", "x"], ["--defined"], ["--live"], ["--addattr", "a"], ["--value", "b"], ["--delattr", "--value", "b"],
        ["--auto", "--index", "0"], ["--manual", "-i", "0"], ["--auto", "--value", "b"], ["--jsonfile", "x", "-i", "0"],
        ["--jsonfile", "x", "-t", "x"], ["--jsonfile", "x", "--value", "b"], ["-l", "--jsonfile", "x", "-t", "x"],
        ["-l", "--addattr", "a", "--value", "b"], ["-l", "--delattr", "-i", "0"], ["-l", "--auto", "-t", "x"],
        ["--auto", "--force", "--force"], ["-d", "-d", "--auto"])
    for args in refused:
        s.expect(*base, *args, status=2, files=before)
    for verb in ("list", "types", "start-parent-mdevs"):
        s.expect(verb, *(["p"] if verb.startswith("start") else []), "--force", status=2)
    for verb in ("define", "undefine", "modify", "start", "stop", "types"):
        s.expect(verb, "--version", status=2)
    # Its status is not that of usage.
    for args in (["-l", "--auto"], ["-l", "--manual"], ["-l", "--delattr"], ["-l", "-d", "--auto"]):
        s.expect(*base, *args, status=1, files=before)
    for args in (["--version"], ["-V"], ["list", "--version"], ["list", "-V"]):
        for side in s.sides:
            done = side.run(*args)
            equal(done.returncode, 0, args)
            if "1.4.0" not in done.stdout:
                raise AssertionError(done)
    for args in (["version"], ["help", "version"]):
        s.expect(*args, status=2)
    # What libvirt asks before it updates one: that it can be asked.
    for args in (["modify", "--defined", "--live", "--jsonfile", "b", "--help"], ["modify", "--help"], ["help", "modify"]):
        for side in s.sides:
            equal(side.run(*args).returncode, 0, args)


@test
def jsonfile(stack):
    """modify --jsonfile replaces a definition as a whole, or makes one; --defined says that this is meant"""
    s = Scene(stack)
    kind, other = s.kinds[:2]
    place = f"{PARENT}/{U}"
    old = config(kind, "auto", ("a", "1"), ("b", "2"))
    s.expect("define", "-u", U, "-p", PARENT, "--jsonfile", "/dev/stdin", data=old, files={place: old})
    for i, args in enumerate((["--jsonfile", "/dev/stdin"], ["--jsonfile=/dev/stdin", "--defined"],
                              ["-d", "--jsonfile", "/dev/stdin", "-f"])):
        new = config(other if i == 0 else kind, "manual", ("c", str(i)), ("c", "x"))
        s.expect("modify", "-p", PARENT, "-u", U, *args, data=json.dumps(json.loads(new)), files={place: new})
    for args, data in ((["-u", U, "--jsonfile", "/dev/stdin"], old), (["-u", U, "-p", PARENT, "--jsonfile", "/nowhere"], old),
                       (["-u", U, "-p", PARENT, "--jsonfile", "/dev/stdin"], "{"),
                       (["-u", U, "-p", PARENT, "--jsonfile", "/dev/stdin"], '{"start": "auto"}')):
        s.expect("modify", *args, data=data, status=1, files={place: new})
    s.expect("modify", "-u", V, "-p", "lost", "--jsonfile", "/dev/stdin", data=config("x"),
             files={place: new, f"lost/{V}": config("x")})
    s.expect("modify", "-u", U, "--auto", "-t", other, "--defined",
             files={place: config(other, "auto", ("c", "2"), ("c", "x")), f"lost/{V}": config("x")})
    s.expect("undefine", "-u", V, "--force", files={place: config(other, "auto", ("c", "2"), ("c", "x"))})
    # A file for start; the definition stays what it is.
    s.expect("undefine", "-u", U, "-p", PARENT, "-f", files={})
    s.expect("start", "-u", U, "-p", PARENT, "--jsonfile", "/dev/stdin", "-f", data=config(kind), files={})
    if not ARGS.real:
        s.expect("stop", "-u", U, "--force", files={})


@test
def lists(stack):
    """list and lsmdev with --uuid and --parent, --defined and --dumpjson; types with --parent"""
    s = Scene(stack)
    kind, other = s.kinds[:2]
    one, two = config(kind, "auto", (ATTRIBUTE, "1")), config(other)
    s.expect("define", "-u", U, "-p", PARENT, "--jsonfile", "/dev/stdin", data=one)
    s.expect("define", "-u", V, "-p", OTHER, "--jsonfile", "/dev/stdin", data=two)
    all_of_it = json.dumps([{PARENT: [{U: json.loads(one)}], OTHER: [{V: json.loads(two)}]}], indent=2)
    lines = {U: f"{U} {PARENT} {kind} auto\n", V: f"{V} {OTHER} {other} manual\n"}
    rows = [
        (["--defined", "--dumpjson"], all_of_it),
        (["-d", "--dumpjson", "--uuid", U], one),
        (["-d", "--dumpjson", "--uuid", U.upper(), "--parent", PARENT], one),
        (["-d", "--dumpjson", "--uuid", U, "--parent", OTHER], "[]"),
        (["-d", "--dumpjson", "--parent", OTHER], json.dumps([{OTHER: [{V: json.loads(two)}]}], indent=2)),
        (["-d", "--dumpjson", "--parent", "nowhere"], "[]"),
        (["--dumpjson"], "[]"),
        (["-d"], lines[U] + lines[V]),
        (["-d", "-p", OTHER], lines[V]),
        (["-d", "-u", U], lines[U]),
        (["-d", "-v", "-u", U], lines[U] + '  Attrs:\n    @{0}: {"scheduling_weight":"1"}\n'),
        ([], ""),
    ]
    for args, out in rows:
        s.expect("list", *args, out=out)
    for side in s.sides:
        link = os.path.join(side.root, "lsmdev")
        os.symlink(side.program, link)
        for args, out in rows:
            equal(subprocess.run([link, *args], capture_output=True, text=True, env=side.env, check=True).stdout, out, args)
    s.machine.bus.manager("StartVGpu", U, {})
    s.active(U, True, kind)
    s.expect("list", out=f"{U} {PARENT} {kind} auto (defined)\n")
    s.expect("list", "-d", "-p", PARENT, out=lines[U].strip() + " (active)\n")
    s.expect("list", "--dumpjson", out=json.dumps([{PARENT: [{U: {"mdev_type": kind, "start": "auto", "attrs": []}}]}],
                                                   indent=2))
    of_one = json.loads(s.ours.run("types", "--dumpjson", "--parent", OTHER).stdout)
    equal((list(of_one[0]), [list(t)[0] for t in of_one[0][OTHER]]), ([OTHER], s.kinds))
    s.expect("types", "--parent", OTHER, "--dumpjson", out=json.dumps(of_one, indent=2))
    s.expect("types", "--parent", "nowhere", "--dumpjson", out="[]")
    s.expect("types", "-p", "nowhere")


# One that says what it is for, as the manual wants it; what it is told it notes, each event on a line.
VERSIONED = """
case $4-$6 in
get-capabilities) [ "$2" = KIND ] || exit 2; cat >/dev/null; echo '{"supports": SUPPORTS}' ;;
live-modify) echo "$2 $4 $6 $8 $(cat)" >> "ROOT/log"; exit $(cat ROOT/status) ;;
*) echo "$2 $4 $6 $8 $(cat)" >> "ROOT/log" ;;
esac
"""


@test
def live(stack):
    """modify --live: the callout that is for it is told, the definition too with --defined, and nothing if it fails"""
    s = Scene(stack)
    kind, place = s.kinds[0], f"{PARENT}/{U}"
    old, new = config(kind), config(kind, "auto", (ATTRIBUTE, "7"))
    compact = json.dumps(json.loads(new), separators=(",", ":"))
    s.expect("modify", "-u", U, "-p", PARENT, "--live", "--jsonfile", "/dev/stdin", data=new, status=1, files={})
    s.expect("define", "-u", U, "-p", PARENT, "--jsonfile", "/dev/stdin", data=old)
    s.expect("modify", "-u", U, "-l", "--jsonfile", "/dev/stdin", data=new, status=1, files={place: old})
    s.machine.bus.manager("StartVGpu", U, {})
    s.active(U, True, kind)
    for wrong in (["-u", U, "-p", OTHER], ["-u", V]):
        s.expect("modify", *wrong, "--live", "--jsonfile", "/dev/stdin", data=new, status=1, files={place: old})
    s.expect("modify", "-u", U, "--live", "--jsonfile", "/dev/stdin", data=config(s.kinds[1]), status=1, files={place: old})
    # Where no callout is for it mdevctl refuses; the daemon does it.
    for side in s.sides[1:]:
        equal(side.run("modify", "-u", U, "--live", "--jsonfile", "/dev/stdin", data=new).returncode, 1)
    s.expect("modify", "-u", U, "--live", "--jsonfile", "/dev/stdin", data=new, files={place: old}, ours_only=True)
    equal(read(s.machine.path("sys/bus/mdev/devices", U, ATTRIBUTE)).strip(), "7")

    def install(events):
        supports = json.dumps({"version": 2, "actions": ["modify", "capabilities"], "events": events})
        for side in s.sides:
            text = VERSIONED.replace("KIND", kind).replace("SUPPORTS", supports).replace("ROOT", side.root)
            write(side.root, "usr/lib/mdevctl/scripts.d/callouts/live.sh", "#!/bin/sh\n" + text, 0o755)
            write(side.root, "usr/lib/mdevctl/scripts.d/notifiers/tell.sh",
                  f"#!/bin/sh\necho \"told $4 $6 $8\" >> '{side.root}/log'\n", 0o755)
            write(side.root, "status", "0")

    args = ["modify", "-u", U, "--jsonfile", "/dev/stdin", "--live"]
    install(["get", "pre", "post", "live"])
    s.expect(*args, data=new, files={place: old})
    equal(s.log(), [f"{kind} live modify none {compact}", "told notify modify none"])
    s.expect(*args, "--defined", data=new, files={place: new})
    equal(s.log(), [f"{kind} live modify none {compact}", "told notify modify none", f"{kind} pre modify none {compact}",
                    f"{kind} post modify success {compact}", "told notify modify success"])
    for side in s.sides:
        write(side.root, "status", "1")
    s.expect(*args, "-d", data=old, status=1, files={place: new})
    equal(s.log(), [f"{kind} live modify none {json.dumps(json.loads(old), separators=(',', ':'))}",
                    "told notify modify none"])
    install(["get", "pre"])
    s.expect(*args, data=old, status=1, files={place: new}, says="does not support event 'live'")
    equal(s.log(), [])
    # It says what it is for, so it is asked for nothing else, and the rest is refused unless that is forced.
    s.expect("undefine", "-u", U, status=1, files={place: new})
    s.expect("undefine", "-u", U, "--force", files={})


def took(function):
    began = time.monotonic()
    function()
    return time.monotonic() - began


def lives(pid):
    with contextlib.suppress(OSError):
        return " Z " not in read(f"/proc/{pid}/stat")
    return False


# Deaf to what asks it to end, with a child that is, too, and holds its stdout.
HANG = ("#!/bin/sh\n[ \"$4\" != EVENT ] && exit 0\ntrap '' TERM INT HUP\n(trap '' TERM INT HUP; sleep 300) &\n"
        "echo $$ $! >> PIDS\nwait\nwait\n")


@test
def hanging(stack):
    """a callout that hangs is ended with its children, refuses what it was asked, and holds up nothing else"""
    s = Scene(stack, ours_only=True, MDEVCTL_CALLOUT_MSEC="1500")
    pids = os.path.join(s.machine.root, "pids")
    kind, place = s.kinds[0], f"{PARENT}/{U}"
    define = ["define", "-u", U, "-p", PARENT, "-t", kind]

    def install(event, folder="callouts"):
        write(s.machine.root, f"etc/mdevctl.d/scripts.d/{folder}/hang", HANG.replace("EVENT", event).replace("PIDS", pids), 0o755)

    def check_ended():
        words = read(pids).split()
        os.unlink(pids)
        # Who has been killed is gone as soon as the host gets round to that.
        until(lambda: not any(lives(pid) for pid in words), f"the end of {words}")
        return len(words) // 2

    def timed(*args, **more):
        seconds = took(lambda: s.expect(*args, **more))
        if seconds > 20:
            raise AssertionError(f"{args}: {seconds:.1f} s")

    install("pre")
    timed(*define, status=1, files={}, says="took too long")
    equal(check_ended(), 1)
    timed(*define, "--force", files={place: config(kind)})
    check_ended()
    # Whoever does not even say what it is for is asked once a command.
    install("get")
    timed("undefine", "-u", U, status=1, files={place: config(kind)}, says="took too long")
    equal(check_ended(), 1)
    timed("list", "-d", out=f"{U} {PARENT} {kind} manual\n")
    s.machine.bus.manager("StartVGpu", U, {})
    timed("list", out=f"{U} {PARENT} {kind} manual (defined)\n")
    equal(check_ended(), 1)
    # What is done is done.
    install("post")
    timed("modify", "-u", U, "--auto", files={place: config(kind, "auto")})
    check_ended()
    os.unlink(s.machine.path("etc/mdevctl.d/scripts.d/callouts/hang"))
    install("notify", folder="notifiers")
    timed("stop", "-u", U)
    check_ended()
    equal(s.machine.devices(), [])


@test
def ended(stack):
    """what ends mdevctl ends its callout as well, in a group of its own, and nothing is done; what it ignores does not"""
    s = Scene(stack, ours_only=True, MDEVCTL_CALLOUT_MSEC="60000")
    pids = os.path.join(s.machine.root, "pids")
    write(s.machine.root, "etc/mdevctl.d/scripts.d/callouts/hang", HANG.replace("EVENT", "pre").replace("PIDS", pids), 0o755)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)  # A shell's jobs ignore SIGINT, and so would ours.
        with subprocess.Popen([s.ours.program, "define", "-u", U, "-p", PARENT, "-t", s.kinds[0]], env=s.ours.env) as process:
            until(lambda: os.path.exists(pids) and read(pids).endswith("\n"), "the callout")
            process.send_signal(number)
            equal(process.wait(30), -number)
        words = read(pids).split()
        os.unlink(pids)
        until(lambda w=words: not any(lives(pid) for pid in w), f"the end of {words}")
        equal(s.ours.files(), {})
    # nohup's way: only the callout's own end is its end.
    s.script("etc/mdevctl.d/scripts.d/callouts/hang", f"[ \"$4\" != pre ] && exit 0; echo > {pids}; sleep 1; exit 0\n")
    with subprocess.Popen(["nohup", s.ours.program, "define", "-u", U, "-p", PARENT, "-t", s.kinds[0]], env=s.ours.env,
                          stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        until(lambda: os.path.exists(pids), "the callout")
        process.send_signal(signal.SIGHUP)
        equal(process.wait(30), 0)


@test
def loud(stack):
    """one that prints without end, or leaves a child behind that keeps its stdout, or closes it, is waited for no longer"""
    s = Scene(stack, ours_only=True, MDEVCTL_CALLOUT_MSEC="20000")
    kind, place = s.kinds[0], f"{PARENT}/{U}"
    define, undefine = ["define", "-u", U, "-p", PARENT, "-t", kind], ["undefine", "-u", U]
    scripts = {
        "much": "head -c 50000000 /dev/zero; head -c 50000000 /dev/zero >&2; exit 0",
        "child": "sleep 60 & exit 0",
        "closed": "exec 0<&- 1>&- 2>&-; sleep 0.2",
        "deaf": "exit 0",
    }
    for name, text in scripts.items():
        s.script("etc/mdevctl.d/scripts.d/callouts/" + name, text + "\n")
        for args, files in ((define, {place: config(kind)}), (undefine, {})):
            seconds = took(lambda args=args, files=files: s.expect(*args, files=files))
            if seconds > 15:
                raise AssertionError(f"{name}: {args}: {seconds:.1f} s")
        os.unlink(s.machine.path("etc/mdevctl.d/scripts.d/callouts", name))
    # Attributes that nobody can hold are none: an active device is not defined with half of them.
    s.machine.bus.manager("CreateVGpu", PARENT, kind, U, {})
    s.script("etc/mdevctl.d/scripts.d/callouts/much",
             "[ \"$6\" = attributes ] || exit 0\necho '[{\"a\": \"1\"}]'; head -c 3000000 /dev/zero | tr '\\\\0' ' '\n")
    s.expect("define", "-u", U, status=1, files={}, says="attributes")
    s.expect("list", "-v", out=f"{U} {PARENT} {kind} manual\n")
    # And one that fails says so, in its own words.
    s.script("etc/mdevctl.d/scripts.d/callouts/much", "echo 'the moon is full' >&2; exit 7\n")
    s.expect("define", "-u", U, status=1, files={}, says="much: the moon is full")
    s.expect("stop", "-u", U, status=1, says="status 7")
    equal(s.machine.devices(), [U])


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("sim")
    parser.add_argument("mdevctl")
    parser.add_argument("tests", nargs="*")
    parser.add_argument("--real", help="mdevctl 1.4.0, which honours MDEVCTL_ENV_ROOT")
    ARGS = parser.parse_intermixed_args()
    sys.exit(run(chosen(ARGS.tests)))
