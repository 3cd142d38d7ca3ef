#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""States of vGPUs: what the worker's code adds to reading and writing them, and what the daemon's clients notice meanwhile.

state.py BENCH MDEVGPUD-SIM ROUNDS
"""

import contextlib
import json
import os
import re
import subprocess
import sys
import tempfile
import time

BENCH, SIM, ROUNDS = sys.argv[1], sys.argv[2], int(sys.argv[3])
GPU, TYPE, MIB, SECONDS = "bench", "mtty-2", 512, 3

BUS_CONFIG = """<busconfig><type>system</type><listen>unix:path={path}</listen><auth>EXTERNAL</auth>
<policy context="default"><allow user="*"/><allow own="*"/><allow send_destination="*"/><allow receive_sender="*"/></policy>
</busconfig>
"""


def bench(*arguments):
    out = subprocess.run([BENCH, *map(str, arguments)], check=True, stdout=subprocess.PIPE, text=True).stdout
    return {name: float(value) for name, value in (line.split() for line in out.splitlines())}


def say(what, *values):
    print(f"  {what:<58} {'  '.join(values)}", flush=True)


def measure_worker(what, parent):
    """Against a driver that takes no time of its own."""
    print(f"A state of 256 MiB, to and from {what}; ms, least of the rounds (median)")
    with tempfile.TemporaryDirectory(dir=parent, prefix="mdevgpud-bench-") as folder:
        v = bench("state", "memory", 256, folder, ROUNDS)
    for name in ("save", "restore"):
        plain = f"{name}.plain"
        for label, key in (("", ""), (", CPU time", ".cpu")):
            say(f"{name}{label}: read and write alone", f"{v[plain + key + '.min'] / 1000:.1f} : "
                f"{v[name + key + '.min'] / 1000:.1f}", f"= {v[plain + key + '.min'] / v[name + key + '.min']:.2f}",
                f"({v[plain + key + '.median'] / v[name + key + '.median']:.2f})")
    total = {k: [v[f"{k}.{m}"] + v[f"{k}.durable.{m}"] for m in ("min", "median")] for k in ("save", "save.plain")}
    say("save until it is for good: the same of the plain file", f"{total['save.plain'][0] / 1000:.1f} : "
        f"{total['save'][0] / 1000:.1f}", f"= {total['save.plain'][0] / total['save'][0]:.2f}",
        f"({total['save.plain'][1] / total['save'][1]:.2f})")


class Machine:
    def __init__(self, stack):
        self.dir = stack.enter_context(tempfile.TemporaryDirectory(dir="/var/tmp", prefix="mdevgpud-bench-"))
        self.root, self.address, self.stack = f"{self.dir}/root", f"unix:path={self.dir}/bus", stack
        with open(f"{self.dir}/conf", "w", encoding="utf-8") as f:
            f.write(BUS_CONFIG.format(path=f"{self.dir}/bus"))
        os.mkdir(self.root)
        self.spawn("dbus-daemon", "--nofork", "--nopidfile", f"--config-file={self.dir}/conf")
        self.daemon = self.spawn(SIM, "--root", self.root, "--address", self.address, "--without-polkit")
        self.until(lambda: self.call("ListGpus", "a{sv}", 0).returncode == 0, "the daemon")
        self.act("content-size", MIB << 20)
        self.act("plug-mtty", GPU)

    def spawn(self, *command):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        self.stack.callback(process.wait)
        self.stack.callback(process.kill)
        return process

    def act(self, *action):
        subprocess.run([SIM, "--root", self.root, *map(str, action)], check=True)

    def busctl(self, *arguments):
        return subprocess.run(["busctl", f"--address={self.address}", "--json=short", *map(str, arguments)], check=False,
                              capture_output=True, text=True)

    def call(self, *arguments):
        return self.busctl("call", "org.mdevgpu1", "/org/mdevgpu1", "org.mdevgpu1.Manager", *arguments)

    @staticmethod
    def until(condition, what):
        deadline = time.monotonic() + 60
        while not (value := condition()):
            if time.monotonic() > deadline:
                sys.exit(f"{what}: not within a minute")
            time.sleep(0.02)
        return value

    def begin(self, *arguments):
        result = self.call(*arguments)
        if result.returncode != 0:
            sys.exit(result.stderr)
        return json.loads(result.stdout)["data"][0]

    def job(self, path, name):
        value = self.busctl("get-property", "org.mdevgpu1", path, "org.mdevgpu1.Job", name)
        return json.loads(value.stdout)["data"] if value.returncode == 0 else None

    def end(self, path):
        state = self.until(lambda: s if (s := self.job(path, "State")) not in ("running", None) else None, path)
        if state != "done":
            sys.exit(f"{path}: {self.job(path, 'ErrorMessage')}")
        return self.job(path, "Result")

    def workers(self):
        """Most memory that each has had, by what it was started for; kB."""
        found = {}
        for pid in filter(str.isdigit, os.listdir("/proc")):
            with contextlib.suppress(OSError):
                with open(f"/proc/{pid}/cmdline", encoding="utf-8") as f:
                    words = f.read().split("\0")
                if "--worker" in words and self.root in words:
                    with open(f"/proc/{pid}/status", encoding="utf-8") as f:
                        sizes = dict(re.findall(r"^(VmHWM|RssAnon|VmRSS):\s+(\d+)", f.read(), re.MULTILINE))
                    found[words[-2]] = {k: int(n) for k, n in sizes.items()}
        return found

    def watch(self, path):
        """The most that the workers of transfers had until the job's end."""
        most = {}
        while self.job(path, "State") == "running":
            for name, sizes in self.workers().items():
                if name.startswith("transfer"):
                    most = {k: max(n, most.get(k, 0)) for k, n in sizes.items()}
        return most


def measure_clients():
    print(f"What the daemon's clients notice while states of {MIB} MiB go to a disk, on the simulated machine")
    with contextlib.ExitStack() as stack:
        m = Machine(stack)
        gpu = m.until(lambda: (g := json.loads(m.call("ListGpus", "a{sv}", 0).stdout)["data"][0]) and g[0][0], "the GPU")
        uuid = m.begin("CreateVGpu", "sssa{sv}", gpu, TYPE, "", 0)
        if isinstance(uuid, list):
            uuid = uuid[0]
        with open(f"{m.root}/content/{uuid}", "r+b") as f:
            for _ in range(MIB):
                f.write(os.urandom(1 << 20))
        idle = m.workers()
        before = bench("ping", m.address, SECONDS)
        path = m.begin("SaveState", "ssa{sv}", uuid, "warm", 0)
        most = m.watch(path)
        m.end(path)
        if most and idle:
            rest = max(s["VmHWM"] for s in idle.values())
            say("worker that saves: an idle one, kB", f"{most['VmHWM']} : {rest}", f"= {most['VmHWM'] - rest} more")
        # What a copy of as much costs them that nobody makes for them
        copy = subprocess.Popen(
            ["sh", "-c", f"while :; do dd if=content/{uuid} of=copy bs=1M conv=fsync status=none; done"], cwd=m.root)
        copying = bench("ping", m.address, SECONDS)
        copy.kill()
        copy.wait()
        pings = subprocess.Popen([BENCH, "ping", m.address, str(SECONDS)], stdout=subprocess.PIPE, text=True)
        downtime, n = {}, 0
        while pings.poll() is None or n < 2:
            precopy = n % 2 == 0
            path = m.begin("SaveState", "ssa{sv}", uuid, "again", 2, "replace", "b", "true",
                           "precopy", "b", str(precopy).lower())
            downtime.setdefault(precopy, []).append(m.end(path)["downtime"]["data"])
            n += 1
        v = {k: float(x) for k, x in (line.split() for line in pings.stdout.read().splitlines())}
        for name in ("median", "p99", "max"):
            say(f"an echo meanwhile : at rest, {name}, µs", f"{v[f'ping.{name}']:.0f} : {before[f'ping.{name}']:.0f}",
                f"= {v[f'ping.{name}'] / before[f'ping.{name}']:.2f}", f"(while dd copies: {copying[f'ping.{name}']:.0f})")
        say("states saved meanwhile", str(n))
        if len(downtime) == 2:
            least = {k: min(x) / 1000 for k, x in downtime.items()}
            say("downtime without pre-copy : with it, ms", f"{least[False]:.1f} : {least[True]:.1f}",
                f"= {least[False] / least[True]:.0f}")


measure_worker("a file system in memory", "/dev/shm")
measure_worker("a disk", "/var/tmp")
measure_clients()
