#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Completion as the shells do it: real bash, zsh and fish on a terminal, the real daemon over a simulated host.

completion.py MDEVGPUCTL MDEVGPUD-SIM PROFILE SCRIPTS
"""

import os
import pty
import re
import select
import shutil
import subprocess
import sys
import time

from rig import CTL, DAEMON, FILE, Rig, equal, run, test, true

SCRIPTS = sys.argv[4]
GPU = "0000:41:00.0"
UUID = "c0ffee00-0000-4000-8000-000000000001"
DEFINED = "decade00-0000-4000-8000-000000000002"
STATELESS = "facade00-0000-4000-8000-000000000003"


def start(rig: Rig, states=False):
    """One GPU with two types, an active vGPU, a defined one, a topology, a saved state if wanted; and the command first in
    PATH."""
    host = os.path.join(rig.dir, "host")
    types = os.path.join(host, "etc", "mdevgpud", "types.d")
    topologies = os.path.join(host, "etc", "mdevgpud", "topologies.d")
    os.makedirs(types)
    os.makedirs(topologies)
    shutil.copy(FILE, os.path.join(types, "50-test.yaml"))
    with open(os.path.join(topologies, "10-test.yaml"), "w", encoding="utf-8") as f:
        f.write("version: 1\ntopologies: {halves: []}\n")
    subprocess.run([DAEMON, "--root", host, "plug", GPU], check=True, env=rig.env)
    rig.start(DAEMON, "--root", host, "--address", rig.address, "--without-polkit")
    deadline = time.monotonic() + 20
    while "Reference half" not in rig.ctl("types").out:
        true(time.monotonic() < deadline, rig.ctl("types"))
        time.sleep(0.05)
    equal(rig.ctl("create", GPU, "Reference half", UUID, "--label=web1").status, 0)
    equal(rig.ctl("define", GPU, "Reference small", DEFINED).status, 0)
    if states:
        subprocess.run([DAEMON, "--root", host, "plug-mtty", "mtty"], check=True, env=rig.env)
        while "mtty-2" not in rig.ctl("types").out:
            true(time.monotonic() < deadline, rig.ctl("types"))
            time.sleep(0.05)
        equal(rig.ctl("create", "mtty", "mtty-2", STATELESS).status, 0)
        equal(rig.ctl("save", STATELESS, "before-update", "--after=destroy").status, 0)
    folder = os.path.join(rig.dir, "bin")
    os.makedirs(folder)
    os.symlink(os.path.abspath(CTL), os.path.join(folder, "mdevgpuctl"))
    rig.env.update(PATH=f"{folder}:{rig.env['PATH']}", HOME=rig.dir, TERM="dumb")


# What is typed up to the Tab, and what the line is afterwards.
LINES = [
    ("mdevgpuctl ge", None),
    ("mdevgpuctl typ", "mdevgpuctl types "),
    ("mdevgpuctl types 0000:", f"mdevgpuctl types {GPU} "),
    ("mdevgpuctl create 0000:41:00.0 mdevgpu_ref-", None),
    ("mdevgpuctl create 0000:41:00.0 mdevgpu_r", "mdevgpuctl create 0000:41:00.0 mdevgpu_ref-"),
    ("mdevgpuctl destroy c", f"mdevgpuctl destroy {UUID} "),
    ("mdevgpuctl destroy d", None),
    ("mdevgpuctl start d", f"mdevgpuctl start {DEFINED} "),
    ("mdevgpuctl start c", None),
    ("mdevgpuctl --json=s", "mdevgpuctl --json=short "),
    ("mdevgpuctl topology ap", "mdevgpuctl topology apply "),
    ("mdevgpuctl topology apply h", "mdevgpuctl topology apply halves "),
    ("mdevgpuctl attachment --form", "mdevgpuctl attachment --format="),
    ("mdevgpuctl attachment --format=q", "mdevgpuctl attachment --format=qemu "),
    ("mdevgpuctl gpus --form", None),
    ("mdevgpuctl help mon", "mdevgpuctl help monitor "),
    ("mdevgpuctl destroy we", "mdevgpuctl destroy web1 "),
    ("mdevgpuctl import mdev", "mdevgpuctl import mdev-gpu "),
    ("mdevgpuctl restore be", "mdevgpuctl restore before-update "),
    ("mdevgpuctl delete-state x be", "mdevgpuctl delete-state x before-update "),
    ("mdevgpuctl save web1 x --aft", "mdevgpuctl save web1 x --after="),
    ("mdevgpuctl save web1 x --after=d", "mdevgpuctl save web1 x --after=destroy "),
]


class Shell:
    """An interactive shell on a terminal, whose lines are read back from what it runs."""

    def __init__(self, rig: Rig, *command, setup):
        master, slave = pty.openpty()
        self.master = master
        self.process = subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, env=rig.env,
                                        start_new_session=True)
        os.close(slave)
        rig.stack.callback(os.close, master)
        rig.stack.callback(self.process.wait)
        rig.stack.callback(self.process.kill)
        self.screen = ""
        self.type(setup + "\n")
        self.type("printf 're%s\\n' ady\n")
        self.wait("ready")

    def type(self, text):
        os.write(self.master, text.encode())

    def wait(self, what):
        deadline = time.monotonic() + 20
        while what not in self.screen:
            true(time.monotonic() < deadline, f"{what!r} is not in {self.screen!r}")
            if select.select([self.master], [], [], 0.5)[0]:
                self.screen += os.read(self.master, 65536).decode(errors="replace")

    def complete(self, line):
        """The line after a Tab: it is put into a word that the shell prints, quoted, when it is ended."""
        self.screen = ""
        self.type(line + "\t")
        # The command's answer takes a moment, during which nothing may be typed that a shell would throw away.
        self.settle()
        self.type("\x01shown '\x05'\n")
        self.wait("<<<")
        time.sleep(0.05)
        return re.search(r">>>(.*?)<<<", self.screen, re.S).group(1)

    def settle(self):
        quiet = time.monotonic() + 0.7
        while time.monotonic() < quiet:
            if select.select([self.master], [], [], 0.1)[0]:
                self.screen += os.read(self.master, 65536).decode(errors="replace")
                quiet = time.monotonic() + 0.5


def check(shell, line, expected):
    got = shell.complete(line)
    equal(got, line if expected is None else expected, f"{line!r}: {shell.screen!r}")


SHOW = "shown() { printf '>>>%s<<<\\n' \"$1\"; }"


@test
def bash(rig: Rig):
    """bash completes verbs, options and what is on this machine"""
    start(rig, states=True)
    shell = Shell(rig, "bash", "--norc", "--noprofile", "-i",
                  setup=f"bind 'set bell-style none' 2>/dev/null; . {SCRIPTS}/mdevgpuctl.bash; {SHOW}")
    for line, expected in LINES:
        check(shell, line, expected)


@test
def zsh(rig: Rig):
    """zsh does"""
    start(rig, states=True)
    shell = Shell(rig, "zsh", "-f", "-i",
                  setup=f"fpath=({SCRIPTS} $fpath); autoload -U compinit; compinit -u -D; bindkey -e; unsetopt beep; "
                        f"unsetopt list_ambiguous; unsetopt auto_menu; {SHOW}")
    for line, expected in LINES:
        # The blank behind a word goes again when something else is done than to type on.
        check(shell, line, expected and expected.rstrip(" "))


@test
def fish(rig: Rig):
    """fish does, with descriptions"""
    start(rig, states=True)
    for line, expected in LINES:
        done = subprocess.run(["fish", "--no-config", "-c", f"source {SCRIPTS}/mdevgpuctl.fish; complete -C '{line}'"],
                              capture_output=True, text=True, env=rig.env, timeout=60, check=False)
        words = [candidate.split("\t")[0] for candidate in done.stdout.splitlines()]
        if expected is None:
            true(len(words) != 1, f"{line}: {done}")
        elif expected.endswith("-"):
            equal(sorted(words), ["mdevgpu_ref-1", "mdevgpu_ref-2"], done)
        else:
            equal(words, [expected.split(" ")[-1] or expected.split(" ")[-2]], done)
    described = subprocess.run(["fish", "--no-config", "-c",
                                f"source {SCRIPTS}/mdevgpuctl.fish; complete -C 'mdevgpuctl doc'"],
                               capture_output=True, text=True, env=rig.env, timeout=60, check=False)
    true(described.stdout.startswith("doctor\tSay what is wrong"), described)


@test
def candidates(rig: Rig):
    """what the command answers to the shells: no error, no daemon started, nothing that a terminal obeys"""
    result = rig.ctl("completion", "--", "destroy", "")
    equal((result.status, result.out, result.err), (0, "", ""))
    equal(rig.ctl("completion").out.split("\t")[0], "list")
    start(rig)
    result = rig.ctl("completion", "--", "create", GPU, "")
    equal(result.out.splitlines(), ["mdevgpu_ref-1\tReference half", "mdevgpu_ref-2\tReference small"])
    equal(rig.ctl("completion", "--", "create", "41:00.0", "").out, result.out)
    equal(rig.ctl("completion", "--", "create", "0000:99:00.0", "").out, "")
    equal(rig.ctl("completion", "--", f"--address={rig.address}", "start", "").out.split("\t")[0], DEFINED)
    equal(rig.ctl("completion", "--", "create", GPU, "x", "y", "").out, "")
    os.makedirs(os.path.join(rig.dir, "files", "folder"))
    with open(os.path.join(rig.dir, "files", "foreign.yaml"), "w", encoding="utf-8"):
        pass
    equal(rig.ctl("completion", "--", "import", "mdev-gpu", f"{rig.dir}/files/fo").out,
          f"{rig.dir}/files/folder/\t\n{rig.dir}/files/foreign.yaml\t\n")
    # Two cards have the same types.
    subprocess.run([DAEMON, "--root", os.path.join(rig.dir, "host"), "plug", "0000:42:00.0"], check=True, env=rig.env)
    deadline = time.monotonic() + 20
    while "0000:42:00.0 mdevgpu_ref-2" not in rig.ctl("types").out:
        true(time.monotonic() < deadline, rig.ctl("types"))
        time.sleep(0.05)
    equal(rig.ctl("completion", "--", "create", '""', "").out.splitlines(),
          ["mdevgpu_ref-1\tReference half", "mdevgpu_ref-2\tReference small"])
    true("--unmanaged" in rig.ctl("completion", "--", "destroy", "--").out, "an option is missing")
    true("--unmanaged" not in rig.ctl("completion", "--", "gpus", "--").out, "an option too many")


run()
