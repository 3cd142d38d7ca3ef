#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""kill -9 at any instant: before every system call of the daemon and of its workers while an operation runs.

crash.py MDEVGPUD-SIM [--all] [SCENARIO…]

Each operation is run once under strace to learn its system calls, then again for each of them, which strace's injection
makes the last. What must be found afterwards is what was there before the call or what an undisturbed call leaves: all
of it, on the disk, in sysfs and on the bus; and the call works when it is made again. Without --all the system calls
that change nothing outside their process are left out: to be killed before one of these is to be killed before the next
one that does; of the two ways to die each has its turn; of each operation as many are tried as POINTS says; and what has
not been tried after a minute is left out, in an order that is always the same. What a worker does while it plays the
kernel (it holds the simulated machine's lock then) is left out always: the kernel is not killed in the middle of a write
to sysfs.
"""

import collections
import contextlib
import multiprocessing
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
import traceback

from machine import ATTRIBUTE, ERROR, GPU, TYPE, BusError, KernelBusy, Machine, copy_program, entries, read, until

UUID = "c0ffee00-0000-4000-8000-000000000001"
OLD_UUID = "c0ffee00-0000-4000-8000-000000000002"
NEW_UUID = "c0ffee00-0000-4000-8000-000000000003"
PROCESSES = 4
SECONDS = 60
# Of what has many, as many as chance picks.
POINTS = 48
# The order of events is not the same each time, and so some blows miss; most of those before what changes nothing, as how
# often somebody waits or looks at the clock is chance.
FALLING, FALLING_ANYWHERE = 0.7, 0.5

# They change nothing that outlives the process, or that another one sees.
HARMLESS = {
    "access", "arch_prctl", "brk", "clock_gettime", "close",
    "clock_nanosleep", "dup", "dup2", "epoll_create1", "epoll_ctl",
    "epoll_pwait", "epoll_wait", "exit", "exit_group", "fcntl", "fgetxattr",
    "faccessat", "faccessat2", "fstat", "fstatfs", "futex", "getcwd", "getdents64", "getegid",
    "geteuid", "getgid", "getpid", "getppid", "getrandom", "gettid", "gettimeofday", "getuid", "inotify_add_watch",
    "inotify_rm_watch", "ioctl", "lgetxattr", "listxattr", "lseek", "lstat", "madvise", "mmap", "mprotect", "mremap",
    "munmap", "newfstatat", "poll", "ppoll", "pread64", "prctl", "prlimit64", "read", "readlink", "readlinkat",
    "restart_syscall", "rseq", "rt_sigaction", "rt_sigprocmask",
    "rt_sigreturn", "sched_getaffinity", "sched_yield", "set_robust_list",
    "set_tid_address", "sigaltstack", "stat", "statfs",
    "statx", "sysinfo", "timerfd_create", "timerfd_settime", "umask",
    "uname", "wait4", "waitid", "accept4", "getsockopt", "getsockname", "getpeername", "gettimeofday", "personality",
    "readv", "recvfrom", "recvmsg", "sched_getparam", "sched_getscheduler",
}


class Scenario:
    """prepare: what is there before; call: what is killed; again: errors that say that it has been done already."""

    def __init__(self, name, prepare, call, again, partial=(), topologies=None):
        self.name, self.prepare, self.call, self.again, self.partial = name, prepare, call, again, partial
        self.topologies = topologies


ATTRS = {"attrs": [(ATTRIBUTE, "7")]}
OTHER = {"attrs": [(ATTRIBUTE, "9")]}
DEFINE = ("DefineVGpu", GPU, TYPE, UUID, {"label": "web", **ATTRS})
CREATE = ("CreateVGpu", GPU, TYPE, UUID, {})
PERSISTENT = ("CreateVGpu", GPU, TYPE, UUID, {"persistent": True, "label": "web", **ATTRS})
TAKEN, GONE = ERROR + "AlreadyExists", ERROR + "NoSuchVGpu"

# All that a plan can have: one stays and is defined, one goes with its definition, two are made, one of them defined.
TOPOLOGIES = f"""version: 1
topologies:
  t:
  - match: {{address: "{GPU}"}}
    vgpus:
    - {{type: {TYPE}, uuid: {UUID}, label: kept, autostart: true}}
    - {{type: {TYPE}, uuid: {NEW_UUID}, label: new, autostart: true}}
    - {{type: {TYPE}, uuid: {NEW_UUID[:-1]}5}}
policy: {{interrupted: %s}}
"""
BEFORE = [CREATE, ("CreateVGpu", GPU, TYPE, OLD_UUID, {"persistent": True, "label": "old", **ATTRS}),
          ("CreateVGpu", GPU, TYPE, "c0ffee00-0000-4000-8000-000000000004", {"label": "gone"})]
APPLY = ("ApplyTopology", "t", {})

SCENARIOS = [
    Scenario("create", [], CREATE, TAKEN),
    Scenario("create with attributes", [], ("CreateVGpu", GPU, TYPE, UUID, {"label": "web", **ATTRS}), TAKEN),
    Scenario("create persistent", [], PERSISTENT, TAKEN),
    Scenario("destroy", [CREATE], ("DestroyVGpu", UUID, {}), GONE),
    Scenario("destroy what starts by itself", [("CreateVGpu", GPU, TYPE, UUID, {"autostart": True})],
             ("DestroyVGpu", UUID, {}), GONE),
    Scenario("define", [], DEFINE, TAKEN),
    Scenario("define what is active", [CREATE], ("DefineVGpu", "", "", UUID, {"label": "web"}), TAKEN),
    Scenario("undefine", [DEFINE], ("UndefineVGpu", UUID, {}), GONE),
    Scenario("undefine what is active", [PERSISTENT], ("UndefineVGpu", UUID, {}), GONE),
    Scenario("modify", [DEFINE], ("ModifyVGpu", UUID, {"label": "db", **OTHER}), None, partial=("label",)),
    Scenario("modify both", [PERSISTENT], ("ModifyVGpu", UUID, {"scope": "both", "label": "db", **OTHER}), None,
             partial=("label", "device")),
    Scenario("start", [DEFINE], ("StartVGpu", UUID, {}), TAKEN),
    Scenario("apply a topology", BEFORE, APPLY, None, topologies=TOPOLOGIES % "roll-back"),
    Scenario("apply a topology that goes on", BEFORE, APPLY, None, topologies=TOPOLOGIES % "go-on"),
]


class Victim(Machine):
    """A machine on which what the daemon starts as a worker may be traced from its beginning."""

    ROLES = ("daemon", "gpu", "store", "new")
    N_WORKERS = 2 # that stay

    def __init__(self, stack, sim):
        super().__init__(stack, sim)
        self.program = os.path.join(self.dir, "mdevgpud-sim")

    def start_traceable(self):
        """The daemon's workers are what lies under the daemon's name later on."""
        copy_program(self.sim, self.program + ".new")
        os.rename(self.program + ".new", self.program)
        self.start(self.program)
        self.wrap([])

    def wrap(self, tracer):
        with open(self.program + ".new", "w", encoding="utf-8") as f:
            f.write(f"#!/bin/sh\nexec {' '.join(tracer)} '{self.sim}' \"$@\"\n")
        os.chmod(self.program + ".new", 0o755)
        os.rename(self.program + ".new", self.program)

    def pids(self):
        return {pid for pids in self.workers().values() for pid in pids}

    def snapshot(self):
        """All that there is of each vGPU."""
        definitions, found = self.definitions(), {}
        for uuid, row in self.bus.vgpus().items():
            device = self.path("sys/bus/mdev/devices", uuid, ATTRIBUTE)
            found[uuid] = {
                "device": read(device) if os.path.exists(device) else None,
                "definition": definitions.get(uuid),
                **{key: row[key] for key in ("state", "label", "managed", "persistent", "autostart", "type", "gpu")},
            }
        return found

    def clear(self):
        for uuid in self.bus.vgpus():
            for member, options in ("DestroyVGpu", {"unmanaged": True}), ("UndefineVGpu", {"unmanaged": True}):
                with contextlib.suppress(BusError):
                    self.bus.manager(member, uuid, options)
        self.check()
        if left := self.records() + entries(self.path("var/vgpus")) + self.devices():
            raise AssertionError(f"left over: {left}")

    def prepare(self, scenario):
        # So that the worker that writes definitions is there already.
        if "definitions" not in self.workers():
            self.bus.manager(*DEFINE)
            self.bus.manager("UndefineVGpu", UUID, {})
        if scenario.topologies:
            os.makedirs(self.path("etc/mdevgpud/topologies.d"), exist_ok=True)
            with open(self.path("etc/mdevgpud/topologies.d/test.yaml"), "w", encoding="utf-8") as f:
                f.write(scenario.topologies)
            self.bus.manager("Reload", {})
        for call in scenario.prepare:
            self.do(call)

    def do(self, call):
        """Until it has ended, which of a job is later than its answer."""
        if call[0] == "ApplyTopology":
            self.bus.apply_topology(call[1])
        else:
            self.bus.manager(*call)

    def check(self):
        super().check()
        if os.path.exists(self.path("state/topology/journal")):
            raise AssertionError("a topology is still being applied, or was forgotten")

    def targets(self):
        """One that was killed has a successor when its GPU has been read again."""
        workers = until(lambda: (w := self.workers()).keys() >= {GPU, "definitions"} and w, "the workers")
        return {"daemon": self.daemon.pid, "gpu": workers[GPU][0], "store": workers["definitions"][0]}


def tracer_of(pid):
    return int(re.search(r"^TracerPid:\t(\d+)$", read(f"/proc/{pid}/status"), re.M)[1])


class Tracer:
    """strace, attached to one process, or before each worker that is started."""

    def __init__(self, machine, role, *options):
        self.machine, self.role = machine, role
        self.output = os.path.join(machine.dir, f"{role}.strace")
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.output)
        self.process, self.pid, self.before = None, None, machine.pids()
        if role == "new":
            machine.wrap(["strace", "-D", "-qq", "-o", self.output, *options])
            return
        self.pid = machine.targets()[role]
        self.process = subprocess.Popen(["strace", "-o", self.output, *options, "-p", str(self.pid)],
                                        stderr=subprocess.PIPE)
        if b"attached" not in (said := self.process.stderr.readline()):
            if b"Operation not permitted" in said: # it ended before it could be traced
                raise KernelBusy
            raise AssertionError(f"strace: {said}")

    def read(self):
        return read(self.output) if os.path.exists(self.output) else ""

    def kill(self):
        """The process that has stopped in this one's hands. Its successor is in nobody's."""
        if not self.pid:
            self.machine.wrap([])
        for pid in [self.pid] if self.pid else self.machine.pids() - self.before:
            os.kill(tracer_of(pid), signal.SIGKILL)
            until(lambda: tracer_of(pid) == 0, "the tracer's end")
            os.kill(pid, signal.SIGKILL)
            # Until the daemon knows: it may have had its answer before, and would give who is dying the next job.
            until(lambda: not os.path.exists(f"/proc/{pid}"), "the worker's end")

    def close(self):
        if not self.process:
            self.machine.wrap([])
            return
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGTERM)
        self.process.wait()
        self.process.stderr.close()


def points(trace, role, everything):
    """[(system call, its number among those of its name)]: where to kill."""
    lines = [(m[1], line) for line in trace.splitlines() if (m := re.match(r"(\w+)\(", line))]
    kernel, ends, lock = [False] * len(lines), [], None
    for i, (name, line) in enumerate(lines):
        if m := re.match(r"flock\((\d+), LOCK_EX\) ", line):
            lock = (m[1], i)
        if lock and line.startswith(f"close({lock[0]})"):
            kernel[lock[1]:i] = [True] * (i - lock[1])
            ends.append(i)
            lock = None
    # The kernel's removal goes on while it waits for whoever holds the device.
    if role == "new" and ends:
        first = kernel.index(True)
        kernel[first:ends[-1]] = [True] * (ends[-1] - first)

    found, counts = [], {}
    for i, (name, line) in enumerate(lines):
        counts[name] = counts.get(name, 0) + 1
        harmless = name in HARMLESS or "= -1 E" in line or (name == "openat" and "O_CREAT" not in line)
        if not kernel[i] and (everything or i in ends or not harmless):
            found.append((name, counts[name]))
    return found


def learn(machine, scenario):
    """What was there before and after, and the trace of each process."""
    machine.prepare(scenario)
    before = machine.snapshot()
    tracers = [Tracer(machine, role) for role in machine.ROLES]
    machine.do(scenario.call)
    until(lambda: len(machine.pids()) == machine.N_WORKERS, "the workers' end")
    time.sleep(0.05)
    for tracer in tracers:
        tracer.close()
    after = machine.snapshot()
    machine.check()
    traces = {tracer.role: tracer.read() for tracer in tracers}
    machine.clear()
    return before, after, traces


def plan(machine, scenario, everything):
    """Kill the daemon alone; the daemon with its workers at that instant; a worker alone, and all with it."""
    before, after, traces = learn(machine, scenario)
    jobs = []
    for role, trace in traces.items():
        for name, number in points(trace, role, everything):
            for together in (False, True) if everything else [len(jobs) % 2 == 0]:
                jobs.append((scenario.name, before, after, role, together, name, number))
    return jobs if everything or len(jobs) <= POINTS else random.Random(1).sample(jobs, POINTS)


def call_until_dead(machine, scenario, tracer, together):
    """What came of it, True or an error, and whether the blow fell."""
    answer = []

    def call():
        try:
            machine.do(scenario.call)
            answer.append(True)
        except BusError as e:
            answer.append(e)

    thread = threading.Thread(target=call)
    thread.start()
    fell, end = False, 0
    # Some of it comes after the answer.
    while thread.is_alive() or time.monotonic() < end:
        if thread.is_alive():
            end = time.monotonic() + 0.05
        if re.search("SIGSTOP|SIGKILL", tracer.read()):
            fell = True
            try:
                if together:
                    machine.kill()
                elif tracer.role != "daemon":
                    with machine.kernel_rests():
                        tracer.kill()
            except KernelBusy:
                machine.kill_all()
                thread.join()
                raise
            break
        time.sleep(0.001)
    thread.join()
    return answer[0], fell


def settle(machine, condition):
    """To take something back is an operation of its own."""
    deadline, error = time.monotonic() + 25, None
    while time.monotonic() < deadline:
        try:
            machine.check()
            condition()
            return
        except (AssertionError, BusError, OSError, ValueError) as e:
            error = e
            time.sleep(0.01)
    raise AssertionError(f"{error}")


def differences(found, wanted):
    return [(uuid, key, row.get(key), wanted.get(uuid, {}).get(key))
            for uuid, row in (dict.fromkeys(wanted, {}) | found).items()
            for key in row.keys() | wanted.get(uuid, {}).keys() if row.get(key) != wanted.get(uuid, {}).get(key)]


def is_between(scenario, found, before, after):
    if found in (before, after):
        return True
    return bool(scenario.partial) and found.keys() == before.keys() and all(
        value in (before[uuid][key], after[uuid][key]) if key in scenario.partial else value == before[uuid][key]
        for uuid, row in found.items() for key, value in row.items())


def attack(machine, job):
    """True if the blow fell."""
    name, before, after, role, together, syscall, number = job
    scenario = [s for s in SCENARIOS if s.name == name][0]
    machine.prepare(scenario)

    # Who is stopped has done it. One whose parent looks on is let go by the tracer before it dies: while a tracer has
    # it, the parent is told of its end, but not given it.
    blow = "STOP" if together or role != "daemon" else "KILL"
    mine = machine.pids()
    tracer = Tracer(machine, role, "-e", f"trace={syscall}", "-e", f"inject={syscall}:signal={blow}:when={number}")
    answer, fell = call_until_dead(machine, scenario, tracer, together)
    tracer.close()
    if together:
        machine.kill()
    else:
        # A blow that came too late to be seen must not stop anybody later on.
        for pid in machine.pids() | {machine.daemon.pid}:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
        if machine.daemon.poll() is not None:
            machine.daemon, fell = None, True
    if not machine.daemon:
        machine.start_traceable()

    def verify():
        found = machine.snapshot()
        if answer is True and found != after or not is_between(scenario, found, before, after):
            raise AssertionError(f"answer: {answer}\nfound: {found}\nnot before: {differences(found, before)}\n"
                                 f"not after: {differences(found, after)}")

    # Orphans may be at it still.
    if fell and role == "daemon":
        until(lambda: not mine & machine.pids(), "the orphans' end")
    settle(machine, verify)

    done = machine.snapshot() == after
    try:
        machine.do(scenario.call)
    except BusError as e:
        if not done or e.name != scenario.again:
            raise AssertionError(f"the second attempt: {e}\nfound: {machine.snapshot()}") from e

    def verify_again():
        if (found := machine.snapshot()) != after:
            raise AssertionError(f"after the second attempt: {found}\nafter: {after}")

    settle(machine, verify_again)
    machine.clear()
    return fell


def work(sim, jobs, results, end):
    """One of several processes, each with a machine of its own."""
    stack = contextlib.ExitStack()
    machine = None
    for job in iter(jobs.get, None):
        begun = os.path.getsize(machine.log) if machine else 0
        try:
            if not machine:
                machine = Victim(stack, sim)
                machine.start_traceable()
            if isinstance(job[0], str) and time.monotonic() > end:
                results.put((job, None, None))
            elif isinstance(job[0], str):
                results.put((job, attack(machine, job), None))
            else:
                results.put((job, plan(machine, SCENARIOS[job[0]], job[1]), None))
            machine.check_log()
        except KernelBusy:
            # The order was another one than the time before. Nothing of this machine can be trusted any more.
            results.put((job, False, None))
            stack.close()
            machine = None
        except Exception:  # pylint: disable=broad-except
            said = read(machine.log)[begun:] if machine and os.path.exists(machine.log) else ""
            results.put((job, False, traceback.format_exc() + said))
            stack.close()
            machine = None
    stack.close()


def main():
    arguments = sys.argv[1:]
    everything = "--all" in arguments
    names = [a for a in arguments[1:] if a != "--all"]
    chosen = [i for i, s in enumerate(SCENARIOS) if not names or s.name in names]
    end = time.monotonic() + (86400 if everything else SECONDS)
    jobs, results = multiprocessing.Queue(), multiprocessing.Queue()
    pool = [multiprocessing.Process(target=work, args=(arguments[0], jobs, results, end), daemon=True)
            for _ in range(PROCESSES)]
    for process in pool:
        process.start()

    for i in chosen:
        jobs.put((i, everything))
    print(f"1..{len(chosen)}", flush=True)
    planned, planning = [], len(chosen)
    waiting, blows, fell, errors = len(chosen), dict.fromkeys(chosen, 0), dict.fromkeys(chosen, 0), {}
    index = {s.name: i for i, s in enumerate(SCENARIOS)}
    while waiting > 0:
        job, result, error = results.get(timeout=300) # a machine that is busy takes its time
        waiting -= 1
        i = index.get(job[0], job[0])
        if error:
            errors.setdefault(i, []).append((job, error))
            planning -= len(job) == 2
        elif isinstance(result, list):
            planned += result
            if (planning := planning - 1) == 0:
                random.Random(1).shuffle(planned)
                # Some of each operation first, lest a slow host comes to the end before it has come to all.
                turns = collections.Counter()
                planned.sort(key=lambda job: (turns.update([job[0]]), turns[job[0]] > 4)[1])
                for more in planned:
                    jobs.put(more)
                waiting += len(planned)
        elif result is not None:
            blows[i] += 1
            fell[i] += result
    for _ in pool:
        jobs.put(None)

    failed, falling = bool(errors), FALLING_ANYWHERE if everything else FALLING
    for number, i in enumerate(chosen, 1):
        good = i not in errors and blows[i] > 2 and fell[i] >= blows[i] * falling
        failed = failed or not good
        print(f"{'ok' if good else 'not ok'} {number} {SCENARIOS[i].name}: {fell[i]} of {blows[i]} blows fell")
        for job, error in errors.get(i, [])[:5]:
            print(f"# {job[3:] if len(job) > 2 else job}")
            for line in error.splitlines():
                print(f"#   {line}")
        if len(errors.get(i, [])) > 5:
            print(f"# and {len(errors[i]) - 5} more")
    for process in pool:
        process.join(10)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
