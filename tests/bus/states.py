#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""States of vGPUs, saved and restored by the real daemon and its workers over the simulated machine.

states.py MDEVGPUD-SIM [TEST…]
"""

import contextlib
import fcntl
import hashlib
import os
import random
import select
import signal
import socket
import stat
import sys
import threading
import time
import traceback

import rawbus
from machine import ERROR, GPU, NAME, ROOT_PATH, SECOND_GPU, BusError, Machine, entries, read, until

SIM, ONLY = sys.argv[1], sys.argv[2:]
NOBODY = 65534
FAILED = "org.freedesktop.DBus.Error.Failed"
DENIED = "org.freedesktop.DBus.Error.AccessDenied"
INVALID = "org.freedesktop.DBus.Error.InvalidArgs"
KEPT, NOT_KEPT = "mdevgpu_ref-1", "mdevgpu_ref-2"
MIB = 1 << 20
PROFILE = """version: 1
match: {address: "0000:*"}
types:
  - {id: 1, name: "Test/Kept", max-instances: 32, framebuffer: 64MiB, keep-state: yes}
  - {id: 2, name: "Test/Not kept", max-instances: 32, framebuffer: 64MiB}
"""
TESTS = []


def test(function):
    TESTS.append(function)
    return function


def equal(found, wanted, what):
    if found != wanted:
        raise AssertionError(f"{what}: {found!r}, not {wanted!r}")


def plain(value):
    """Without the types of variants."""
    if isinstance(value, dict):
        return {key: plain(v[1]) for key, v in value.items()}
    return value


class Saver(Machine):
    """One whose vGPUs keep their state."""

    def __init__(self, stack, gpus=(GPU,), size=2 * MIB, rate=0):
        super().__init__(stack, SIM, gpus)
        self.env = dict(os.environ) # with LeakSanitizer: nothing is traced here
        os.chmod(self.dir, 0o755)
        with open(self.path("etc/mdevgpud/types.d/test.yaml"), "w", encoding="utf-8") as f:
            f.write(PROFILE)
        self.act("content-size", str(size))
        self.rate(rate)
        self.raw = None
        stack.callback(lambda: self.raw and self.raw.close())

    def begin(self, **keywords):
        self.start(**keywords)
        if not self.raw:
            self.raw = self.connect_raw()
        return self

    def again(self):
        """A successor of the daemon, as whoever starts it does that has ended."""
        self.start()
        until(lambda: set(self.gpus().values()) == {"ready"}, "the GPUs")

    def gpus(self):
        return {row[0]: row[3] for row in self.bus.ask("ListGpus", {})[0]}

    def connect_raw(self, uid=None):
        return rawbus.Connection(f"{self.dir}/bus", uid)

    def rate(self, n):
        """Bytes a second that drivers give and take."""
        self.act("state-rate", str(n))

    def manager(self, member, signature="", values=(), fds=(), raw=None):
        return self.values((raw or self.raw).manager(member, signature, values, fds=fds))

    @staticmethod
    def values(message):
        if message.kind == rawbus.ERROR:
            raise BusError(message.error, (message.values() or [""])[0])
        return message.values()

    @staticmethod
    def options(options):
        return {k: ("b", int(v)) if isinstance(v, bool) else ("s", v) for k, v in options.items()}

    def create(self, gpu=GPU, kind=KEPT, seed=1, **options):
        uuid = self.manager("CreateVGpu", "sssa{sv}", [gpu, kind, "", self.options(options)])[0]
        self.fill(uuid, seed)
        return uuid

    def save(self, uuid, name, raw=None, **options):
        return self.manager("SaveState", "ssa{sv}", [uuid, name, self.options(options)], raw=raw)[0]

    def export(self, uuid, fd, raw=None, **options):
        return self.manager("ExportState", "sha{sv}", [uuid, 0, self.options(options)], fds=[fd], raw=raw)[0]

    def restore(self, gpu, name, raw=None, **options):
        return self.manager("RestoreState", "ssa{sv}", [gpu, name, self.options(options)], raw=raw)[0]

    def import_from(self, gpu, fd, raw=None, **options):
        return self.manager("ImportState", "sha{sv}", [gpu, 0, self.options(options)], fds=[fd], raw=raw)[0]

    def saved(self):
        return {row[0]: (*row[1:5], plain(row[5])) for row in self.manager("ListSavedStates")[0]}

    def delete(self, name):
        self.manager("DeleteSavedState", "sa{sv}", [name, {}])

    def job(self, path):
        found = self.values(self.raw.call(path, "org.freedesktop.DBus.Properties", "GetAll", "s", [NAME + ".Job"]))[0]
        return plain(found)

    def cancel(self, path):
        self.values(self.raw.call(path, NAME + ".Job", "Cancel", "a{sv}", [{}]))

    def wait(self, path):
        """Until it has ended, with what it was then."""
        return until(lambda: (j := self.job(path))["State"] in ("done", "failed", "cancelled") and j, f"{path}'s end", 60)

    def done(self, path):
        job = self.wait(path)
        if job["State"] != "done":
            raise AssertionError(f"{job['Operation']}: {job['State']}: {job['Error']}: {job['ErrorMessage']}")
        equal((job["Error"], job["ErrorMessage"], job["Cancelable"]), ("", "", False), "what a job that is done says")
        return job

    def fails(self, wanted, begin, says=""):
        """The call, or the job that it begins, with this error and something in its sentence."""
        try:
            job = self.wait(begin())
        except BusError as e:
            found = "call", e.name, e.message
        else:
            found = job["State"], job["Error"], job["ErrorMessage"]
        if found[1] != wanted or found[0] == "done" or says not in found[2] or len(found[2]) < 10:
            raise AssertionError(f"{found}, not {wanted} with '{says}'")
        return found

    def refused(self, wanted, begin, says=""):
        """The call."""
        equal(self.fails(wanted, begin, says)[0], "call", "who refuses")

    def phase(self, path, phase, least=1):
        """Waits until it is there, and has moved something."""
        def there():
            job = self.job(path)
            if job["State"] not in ("queued", "running"):
                raise AssertionError(f"{job['State']}: {job['ErrorMessage']}")
            return job["Result"]["phase"] == phase and job["Result"]["bytes"] >= least
        until(there, f"{path}: {phase}")

    def fill(self, uuid, seed):
        path = self.path("content", uuid)
        with open(path, "r+b") as f:
            f.write(random.Random(seed).randbytes(os.path.getsize(path)))

    def content(self, uuid):
        with open(self.path("content", uuid), "rb") as f:
            return hashlib.file_digest(f, "sha256").hexdigest()

    def device_state(self, uuid):
        """As the driver has it, before the number of its session (SimDevice)."""
        with open(self.path("kernel/devices", uuid), "rb") as f:
            return int.from_bytes(f.read()[-12:-8], "little")

    def state(self, uuid):
        row = self.bus.vgpus().get(uuid)
        return row["state"] if row else None

    def store(self, *name):
        return self.path("var/states", *name)

    def transfers(self):
        return [pid for name, pids in self.workers().items() if name.startswith("transfer-") for pid in pids]

    def worker(self):
        """That of the one transfer."""
        return until(lambda: len(pids := self.transfers()) == 1 and pids, "the worker")[0]

    def rests(self, states=()):
        """Fails unless nothing is left of all that went on, but what is saved."""
        until(lambda: not self.transfers(), "the workers' end")
        self.check()
        equal(entries(self.store()), sorted(f"{name}.state" for name in states), "what is in the store")
        equal(entries(self.path("kernel/sessions")), [], "sessions of drivers")
        for uuid, row in self.bus.vgpus().items():
            if row["state"] == "active":
                equal(self.bus.get(row["path"], NAME + ".VGpu", "MigrationState"), "none", f"{uuid}")
                if os.path.getsize(self.path("kernel/devices", uuid)):
                    equal(self.device_state(uuid), 2, f"VFIO's state of {uuid}")
        for uuid in self.records():
            for line in read(self.path("state", uuid)).splitlines():
                if line.startswith(("saving=", "lease=", "half=")) and not line.endswith("=0"):
                    raise AssertionError(f"{uuid}: {line}")
        self.check_log()

    def end(self, *states):
        """The same, and the daemon leaves as it should."""
        self.rests(states)
        equal(self.stop(), 0, "the daemon's status")
        self.check_log()


def hold(stack, machine, uuid):
    """Somebody has it open, as QEMU does."""
    group = os.path.basename(os.readlink(machine.path("sys/bus/mdev/devices", uuid, "iommu_group")))
    fd = os.open(machine.path("dev/vfio", group), os.O_RDWR)
    stack.callback(os.close, fd)
    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return fd


@contextlib.contextmanager
def pipe(ends=2):
    fds = list(os.pipe())
    try:
        yield fds
    finally:
        for fd in fds:
            with contextlib.suppress(OSError):
                os.close(fd)


def drain(fd):
    """All that comes, by a thread, which is the first of the two."""
    found = bytearray()

    def work():
        while data := os.read(fd, 1 << 20):
            found.extend(data)
    thread = threading.Thread(target=work)
    thread.start()
    return thread, found


@test
def there_and_back(stack):
    """what a vGPU holds is saved and restored, beside it and in its place; what is saved is listed, replaced and deleted"""
    m = Saver(stack).begin()
    uuid = m.create(label="web")
    content = m.content(uuid)
    job = m.done(m.save(uuid, "one"))
    equal(job["Operation"], "save-state", "operation")
    equal({k: job["Result"][k] for k in ("uuid", "name", "reset", "changed")},
          {"uuid": uuid, "name": "one", "reset": False, "changed": False}, "result")
    if not job["Result"]["bytes"] >= 2 * MIB or job["TotalBytes"] != job["Bytes"] or job["Progress"] != 1:
        raise AssertionError(f"it counts {job}")
    equal(job["Objects"], [m.bus.vgpus()[uuid]["path"]], "objects")
    equal(m.content(uuid), content, "what it holds")
    equal(stat.S_IMODE(os.stat(m.store("one.state")).st_mode), 0o600, "mode")
    equal(stat.S_IMODE(os.stat(m.store()).st_mode), 0o700, "folder's mode")
    row = m.saved()["one"]
    equal((row[0], row[1], row[2], row[4]["label"], row[4]["gpu"]),
          (uuid, KEPT, os.path.getsize(m.store("one.state")), "web", GPU), "what is listed")
    if abs(row[3] / 1e6 - time.time()) > 60:
        raise AssertionError(f"saved at {row[3]}")

    m.fill(uuid, 2)
    m.refused(ERROR + "AlreadyExists", lambda: m.save(uuid, "one"))
    m.fails(ERROR + "AlreadyExists", lambda: m.restore(GPU, "one"))
    job = m.done(m.restore("", "one", uuid="new", label="copy"))
    other = job["Result"]["uuid"]
    equal((m.content(other), m.bus.vgpus()[other]["label"], job["Operation"]), (content, "copy", "restore-state"), "copy")
    m.done(m.save(uuid, "one", replace=True, precopy=False))
    m.bus.manager("DestroyVGpu", uuid, {})
    m.done(m.restore(GPU, "one"))
    equal(m.content(uuid) != content, True, "the other one is back")
    equal(m.bus.vgpus()[uuid]["label"], "web", "label")
    m.delete("one")
    m.refused(ERROR + "NoSuchState", lambda: m.delete("one"))
    m.refused(ERROR + "NoSuchState", lambda: m.restore(GPU, "one"))
    equal(m.saved(), {}, "saved")
    m.end()


@test
def streams(stack):
    """through a file, a pipe and a socket, whose descriptions stay as they are, and of which nothing behind the end is read"""
    m = Saver(stack).begin()
    uuid = m.create()
    content = m.content(uuid)
    with open(os.path.join(m.dir, "image"), "w+b") as f:
        f.write(b"before")
        f.flush()
        m.done(m.export(uuid, f.fileno()))
        f.seek(0, os.SEEK_END)
        f.write(b"behind")
        f.flush()
        f.seek(6)
        other = m.done(m.import_from(GPU, f.fileno(), uuid="new"))["Result"]["uuid"]
        equal(m.content(other), content, "through a file")
        equal(os.read(f.fileno(), 100), b"behind", "what is behind it")
    for make in (os.pipe, lambda: [s.detach() for s in socket.socketpair()][::-1]):
        source, target = make()
        flags = [fcntl.fcntl(fd, fcntl.F_GETFL) for fd in (source, target)]
        save = m.export(uuid, target)
        os.set_blocking(source, True)
        job = m.done(m.import_from("", source, uuid="new"))
        m.done(save)
        equal([fcntl.fcntl(fd, fcntl.F_GETFL) for fd in (source, target)], flags, "the flags of the caller's descriptions")
        equal(m.content(job["Result"]["uuid"]), content, "through a pipe or socket")
        equal("name" in job["Result"], False, "a name")
        os.close(target)
        equal(os.read(source, 10), b"", "what is left")
        os.close(source)
    m.end()


@test
def wrong_descriptors(stack):
    """descriptors of every wrong kind: each an error with a sentence, and the vGPU is as it was"""
    m = Saver(stack).begin()
    uuid = m.create()
    content = m.content(uuid)
    with pipe() as closed, pipe() as writer:
        os.close(closed[0])
        epoll = select.epoll()
        wrong = {
            "directory": os.open("/", os.O_RDONLY),
            "epoll": epoll.fileno(),
            "path": os.open(m.log, os.O_PATH),
            "read-only": os.open(m.log, os.O_RDONLY),
            "full": os.open("/dev/full", os.O_WRONLY),
            "closed": closed[1],
            "reading end": writer[0],
            "listening": socket.socket(socket.AF_UNIX).detach(),
        }
        for kind, fd in wrong.items():
            said = m.fails_somehow(lambda fd=fd: m.export(uuid, fd))
            if kind in ("directory", "epoll", "path", "read-only", "reading end"):
                equal(said[:2], ("call", INVALID), kind)
            if kind == "full" and (said[1] != FAILED or "No space left" not in said[2] and "full" not in said[2]):
                raise AssertionError(said)
            if kind == "closed" and "is gone" not in said[2]:
                raise AssertionError(said)
            until(lambda: m.state(uuid) == "active", kind)
        wrong |= {"write-only": os.open(m.log, os.O_WRONLY), "zeros": os.open("/dev/zero", os.O_RDONLY),
                  "nothing": os.open("/dev/null", os.O_RDONLY), "writing end": writer[1]}
        del wrong["reading end"], wrong["closed"]
        for kind, fd in wrong.items():
            said = m.fails_somehow(lambda fd=fd: m.import_from(GPU, fd, uuid="new"))
            if kind in ("directory", "epoll", "path", "write-only", "full", "writing end"):
                equal(said[:2], ("call", INVALID), kind)
            elif kind in ("zeros", "nothing", "read-only"): # as may be long in coming
                equal(said[:2], ("failed", ERROR + "StateInvalid"), kind)
    equal((m.content(uuid), list(m.bus.vgpus())), (content, [uuid]), "what is there")
    m.end()


def fails_somehow(self, begin):
    try:
        job = self.wait(begin())
    except BusError as e:
        return "call", e.name, e.message
    equal(job["State"], "failed", "state")
    if len(job["ErrorMessage"]) < 10 or not job["Error"]:
        raise AssertionError(job)
    return "failed", job["Error"], job["ErrorMessage"]


Saver.fails_somehow = fails_somehow


@test
def two_machines(stack):
    """from one machine to another through a socket, each with a daemon and a bus of its own"""
    a, b = (Saver(stack, size=4 * MIB).begin() for _ in range(2))
    uuid = a.create(label="moves")
    content = a.content(uuid)
    ends = socket.socketpair()
    there = b.import_from("", ends[1].fileno())
    equal(b.job(there)["Objects"], [], "objects of what has not come yet")
    here = a.export(uuid, ends[0].fileno(), after="destroy")
    for end in ends:
        end.close()
    b.done(there)
    a.done(here)
    equal((b.content(uuid), b.bus.vgpus()[uuid]["label"], a.bus.vgpus()), (content, "moves", {}), "what is where")
    a.end()
    b.end()


@test
def other_work(stack):
    """while a state is copied all else goes on, but nothing touches that vGPU; progress is told at most 4 times a second"""
    m = Saver(stack, size=8 * MIB, rate=4 * MIB).begin()
    uuid = m.create()
    listener = m.connect_raw()
    listener.call("/org/freedesktop/DBus", "org.freedesktop.DBus", "AddMatch", "s",
                  [f"type='signal',sender='{NAME}',path_namespace='{ROOT_PATH}/job'"], destination="org.freedesktop.DBus")
    begin = time.monotonic()
    path = m.save(uuid, "slow")
    m.phase(path, "pre-copy")
    equal((m.state(uuid), m.bus.get(m.bus.vgpus()[uuid]["path"], NAME + ".VGpu", "MigrationState")),
          ("saving", "saving"), "states")
    for member, signature, values in (("DestroyVGpu", "sa{sv}", [uuid, {}]), ("SaveState", "ssa{sv}", [uuid, "x", {}]),
                                      ("ModifyVGpu", "sa{sv}", [uuid, {"label": ("s", "x")}]),
                                      ("HoldForStart", "asa{sv}", [[uuid], {}])):
        m.refused(ERROR + "Busy", lambda c=(member, signature, values): m.manager(*c) and None)
    m.fails(ERROR + "AlreadyExists", lambda: m.import_from(GPU, os.open("/dev/null", os.O_RDONLY), uuid=uuid))
    other = m.create()
    m.bus.manager("DestroyVGpu", other, {})
    equal(m.job(path)["State"], "running", "after other work the job")
    if m.job(path)["StartTime"] / 1e6 > time.time():
        raise AssertionError("it starts in the future")
    job = m.done(path)
    seconds = time.monotonic() - begin
    if not (1 < seconds and job["Rate"] > 0 and job["Result"]["downtime"] < seconds * 1e6):
        raise AssertionError(f"{seconds} s: {job}")
    until(lambda: listener_finished(listener, path, seconds), "Finished")
    m.rate(0)
    m.done(m.restore(GPU, "slow", uuid="new"))
    m.end("slow")


def listener_finished(listener, path, seconds):
    told, bytes_seen, ended = 0, [], None
    while not ended:
        message = listener.receive()
        if message.path != path:
            continue
        if message.member == "PropertiesChanged":
            changed = plain(message.values()[1])
            told += "Bytes" in changed
            bytes_seen += [changed["Bytes"]] if "Bytes" in changed else []
        elif message.member == "Finished":
            ended = message.values()
    equal((ended[0], ended[2], ended[3]), ("done", "", ""), "Finished")
    equal(bytes_seen, sorted(bytes_seen), "progress")
    if not 2 < told <= 4 * seconds + 3:
        raise AssertionError(f"told {told} times in {seconds} s")
    return True


@test
def cancelled(stack):
    """Cancel while it runs, while it stands, while it waits for its reader, its giver, and while it is restored"""
    m = Saver(stack, size=8 * MIB, rate=2 * MIB).begin()
    uuid = m.create()
    content = m.content(uuid)

    def cancel(path, phase, least=1):
        m.phase(path, phase, least)
        m.cancel(path)
        job = m.wait(path)
        equal((job["State"], job["Error"], job["Cancelable"]), ("cancelled", ERROR + "Cancelled", False), phase)
        m.rests(states)
        return job

    states = ()
    cancel(m.save(uuid, "x"), "pre-copy")
    job = cancel(m.save(uuid, "x", precopy=False), "stop-copy")
    if job["Result"]["downtime"] <= 0:
        raise AssertionError(job)
    m.rate(0)
    with pipe() as (source, target):
        cancel(m.export(uuid, target), "pre-copy", least=0)
        cancel(m.import_from(GPU, source, uuid="new"), "resuming", least=0)
    with pipe() as (source, target):
        path = m.import_from(GPU, source, uuid="new")
        m.cancel(path)
        equal(m.wait(path)["State"], "cancelled", "without a byte")
    m.done(m.save(uuid, "x", after="destroy"))
    states = ("x",)
    m.rate(2 * MIB)
    cancel(m.restore(GPU, "x"), "resuming")
    equal(m.bus.vgpus(), {}, "half a vGPU")
    m.rate(0)
    m.done(m.restore(GPU, "x"))
    equal(m.content(uuid), content, "what it holds")
    m.end("x")


@test
def callers(stack):
    """who asked leaves before it has begun: nothing does; who leaves afterwards is not missed"""
    m = Saver(stack, size=4 * MIB, rate=4 * MIB).begin()
    uuid = m.create()
    content = m.content(uuid)
    for i in range(20):
        raw = m.connect_raw()
        raw.send(ROOT_PATH, NAME + ".Manager", "SaveState", "ssa{sv}", [uuid, f"gone-{i}", {}])
        if i % 2:
            time.sleep(0.001 * i)
        raw.close()
        until(lambda: m.state(uuid) == "active", "the end")
    until(lambda: all(j["state"] != "running" for j in jobs(m)), "all jobs' end")
    for name in m.saved():
        m.delete(name)
    raw = m.connect_raw()
    path = m.save(uuid, "stays", raw=raw)
    raw.close()
    m.done(path)
    m.bus.manager("DestroyVGpu", uuid, {})
    for i in range(6):
        raw = m.connect_raw()
        raw.send(ROOT_PATH, NAME + ".Manager", "RestoreState", "ssa{sv}", [GPU, "stays", {}])
        time.sleep(0.002 * i)
        raw.close()
        until(lambda: all(j["state"] != "running" for j in jobs(m)) and not m.transfers(), "all jobs' end")
        until(lambda: m.state(uuid) in (None, "active"), "the end")
        if m.state(uuid):
            m.bus.manager("DestroyVGpu", uuid, {})
    raw = m.connect_raw()
    path = m.restore(GPU, "stays", raw=raw)
    raw.close()
    m.done(path)
    equal(m.content(uuid), content, "what it holds")
    m.end("stays")


def jobs(machine):
    return [{"id": row[0], "operation": row[1], "state": row[2], "path": row[3]} for row in machine.manager("ListJobs")[0]]


@test
def too_many(stack):
    """17 at once: the last is refused with LimitExceeded; what was refused leaves nothing, and the others come to their end"""
    m = Saver(stack, size=MIB).begin()
    uuids = [m.create(seed=i) for i in range(17)]
    with contextlib.ExitStack() as pipes:
        ends = [pipes.enter_context(pipe()) for _ in uuids]
        paths = [m.export(uuid, end[1]) for uuid, end in zip(uuids[:16], ends)]
        m.refused(ERROR + "LimitExceeded", lambda: m.export(uuids[16], ends[16][1]))
        m.refused(ERROR + "LimitExceeded", lambda: m.import_from(GPU, ends[16][0]))
        equal(m.state(uuids[16]), "active", "that one")
        readers = [drain(end[0]) for end in ends[:16]]
        for path, end in zip(paths, ends):
            m.done(path)
            os.close(end[1])
        for thread, found in readers:
            thread.join()
            if len(found) < MIB:
                raise AssertionError(f"{len(found)} bytes")
    m.done(m.save(uuids[16], "x"))
    m.end("x")


@test
def refusals(stack):
    """what cannot be is refused before anything begins, with its reason"""
    m = Saver(stack, gpus=(GPU, SECOND_GPU), size=MIB).begin()
    uuid, other = m.create(), m.create(kind=NOT_KEPT)
    nobody = "c0ffee00-0000-4000-8000-0000000000ff"
    m.manager("DefineVGpu", "sssa{sv}", [GPU, KEPT, nobody, {}])
    with pipe() as (source, target):
        for begin in (lambda u, **o: m.save(u, "x", **o), lambda u, **o: m.export(u, target, **o)):
            m.refused(ERROR + "NotSupported", lambda b=begin: b(other), NOT_KEPT)
            m.refused(ERROR + "NoSuchVGpu", lambda b=begin: b(nobody))
            m.refused(ERROR + "NoSuchVGpu", lambda b=begin: b(nobody[:-1] + "e"))
            m.refused(INVALID, lambda b=begin: b("x"))
            m.refused(INVALID, lambda b=begin: b(uuid, after="explode"))
            m.refused(INVALID, lambda b=begin: b(uuid, nonsense=True))
        m.refused(INVALID, lambda: m.export(uuid, target, replace=True))
    for name in ("", ".", "..", "../x", ".x", "a/b", "x" * 65, "é", "a b", "x\n"):
        m.refused(INVALID, lambda n=name: m.save(uuid, n))
        m.refused(INVALID, lambda n=name: m.restore(GPU, n))
        m.refused(INVALID, lambda n=name: m.delete(n))
    name = "x" * 64
    m.done(m.save(uuid, name))
    m.delete(name)
    with contextlib.ExitStack() as held:
        hold(held, m, uuid)
        m.refused(ERROR + "InUse", lambda: m.save(uuid, "x"), str(os.getpid()))
    m.done(m.save(uuid, "x"))
    m.refused(ERROR + "NoSuchState", lambda: m.restore(GPU, "y"))
    m.refused(ERROR + "NoSuchGpu", lambda: m.restore("0000:77:00.0", "x"))
    m.refused(INVALID, lambda: m.restore(GPU, "x", uuid="x"))
    m.refused(INVALID, lambda: m.restore(GPU, "x", label="a\nb"))
    m.refused(ERROR + "NoSuchType", lambda: m.restore(GPU, "x", uuid="new", type="mdevgpu_ref-9"))
    m.refused(ERROR + "NotSupported", lambda: m.restore(GPU, "x", uuid="new", type=NOT_KEPT))
    m.refused(ERROR + "AlreadyExists", lambda: m.restore(GPU, "x"))
    m.refused(ERROR + "AlreadyExists", lambda: m.restore(SECOND_GPU, "x", uuid=nobody))
    m.manager("HoldForStart", "asa{sv}", [[uuid], {}])
    m.refused(ERROR + "Busy", lambda: m.save(uuid, "z"))
    waits = "c0ffee00-0000-4000-8000-0000000000fe"
    m.manager("PrepareIncoming", "sssa{sv}", [GPU, KEPT, waits, {}])
    m.refused(INVALID, lambda: m.restore(GPU, "x", uuid=waits, label="y"), "keeps its label")
    m.manager("HoldForStart", "asa{sv}", [[waits], {}])
    m.refused(ERROR + "Busy", lambda: m.restore(GPU, "x", uuid=waits), "being started")
    m.manager("ReleaseIncoming", "sa{sv}", [waits, {}])
    m.bus.manager("DestroyVGpu", other, {})
    equal(sorted(m.bus.vgpus()), sorted([uuid, nobody]), "what is there")
    equal(entries(m.store()), ["x.state"], "the store")


@test
def afterwards(stack):
    """after: a device that stays stopped where its driver keeps that, or is said not to; a vGPU that is destroyed"""
    m = Saver(stack, size=MIB)
    m.act("plug-mtty", "mtty")
    m.begin()
    mtty = m.create(gpu="mtty", kind="mtty-1")
    job = m.done(m.save(mtty, "stopped", after="stop"))
    equal((m.device_state(mtty), job["Result"]["changed"], m.state(mtty)), (1, True, "active"), "it stands")
    m.done(m.save(mtty, "runs"))
    equal(m.device_state(mtty), 2, "it runs")
    uuid = m.create()
    m.fails(ERROR + "NotSupported", lambda: m.save(uuid, "saved", after="stop"), "saved")
    equal("saved" in m.saved(), True, "saved all the same")
    m.rests(("stopped", "runs", "saved"))

    m.manager("DefineVGpu", "sssa{sv}", ["", "", uuid, {}])
    job = m.done(m.save(uuid, "saved", after="destroy", replace=True))
    equal((m.state(uuid), job["Result"]["changed"]), ("defined", True), "destroyed")
    m.act("mdev-create", GPU, KEPT, "c0ffee00-0000-4000-8000-000000000001")
    until(lambda: m.state("c0ffee00-0000-4000-8000-000000000001"), "another's vGPU")
    foreign = "c0ffee00-0000-4000-8000-000000000001"
    m.refused(ERROR + "NotManaged", lambda: m.save(foreign, "foreign", after="destroy"))
    m.done(m.save(foreign, "foreign", after="destroy", unmanaged=True))
    equal(m.state(foreign), None, "another's")
    m.end("stopped", "runs", "saved", "foreign")


@test
def another_s(stack):
    """of another's vGPU that is saved the label stays, also over a restart"""
    m = Saver(stack, size=MIB).begin()
    m.bus.manager("DestroyVGpu", m.create(), {}) # so that the types are there
    uuid = "c0ffee00-0000-4000-8000-000000000001"
    m.act("mdev-create", GPU, KEPT, uuid)
    until(lambda: m.state(uuid), "another's vGPU")
    m.manager("ModifyVGpu", "sa{sv}", [uuid, {"label": ("s", "mine"), "unmanaged": ("b", 1)}])
    before = entries(m.path("state"))
    m.done(m.save(uuid, "x"))
    equal(entries(m.path("state")), before, "records")
    m.stop()
    m.again()
    until(lambda: m.state(uuid), "it")
    equal(m.bus.vgpus()[uuid]["label"], "mine", "label")
    m.end("x")


@test
def into(stack):
    """into a vGPU that waits for it, and into one that is defined; each with the wrong type, and none of what fails stays"""
    m = Saver(stack, gpus=(GPU, SECOND_GPU), size=MIB).begin()
    uuid = m.create()
    content = m.content(uuid)
    m.done(m.save(uuid, "x", after="destroy"))
    m.manager("PrepareIncoming", "sssa{sv}", [GPU, KEPT, uuid, {}])
    equal(m.state(uuid), "incoming", "it waits")
    m.refused(ERROR + "Busy", lambda: m.save(uuid, "y"))
    m.refused(ERROR + "AlreadyExists", lambda: m.restore(SECOND_GPU, "x"))
    m.done(m.restore(GPU, "x"))
    equal((m.content(uuid), m.state(uuid)), (content, "active"), "into one that waited")
    m.bus.manager("DestroyVGpu", uuid, {})
    m.manager("DefineVGpu", "sssa{sv}", [GPU, KEPT, uuid, {}])
    m.done(m.restore("", "x"))
    equal((m.content(uuid), m.state(uuid)), (content, "active"), "into one that was defined")
    m.bus.manager("DestroyVGpu", uuid, {})
    damage(m.store("x.state"), -100)
    m.fails(ERROR + "StateInvalid", lambda: m.restore("", "x"))
    until(lambda: m.state(uuid) == "defined", "it is defined again")
    m.end("x")


def damage(path, at, bits=1):
    with open(path, "r+b") as f:
        f.seek(at, os.SEEK_SET if at >= 0 else os.SEEK_END)
        byte = f.read(1)[0]
        f.seek(-1, os.SEEK_CUR)
        f.write(bytes([byte ^ bits]))


@test
def damaged(stack):
    """images that are cut off, altered anywhere, or followed by something: refused, and nothing of them stays"""
    m = Saver(stack, size=256 * 1024).begin()
    uuid = m.create()
    m.done(m.save(uuid, "good", after="destroy"))
    with open(m.store("good.state"), "rb") as f:
        good = f.read()
    # All of the header, then here and there, and the end.
    places = sorted(set(range(0, 64, 4)) | {len(good) * i // 12 for i in range(12)} |
                    {len(good) - i for i in (1, 5, 9, 17, 30)} | {100, 300, 700})
    images = {f"altered-{at}": good[:at] + bytes([good[at] ^ 0x11]) + good[at + 1:] for at in places}
    images |= {f"cut-{at}": good[:at] for at in (0, 1, 15, 16, 200, len(good) // 2, len(good) - 1)}
    images |= {"longer": good + b"x", "twice": good + good}
    for name, image in images.items():
        with open(m.store(f"{name}.state"), "wb") as f:
            f.write(image)
        found = m.fails_somehow(lambda n=name: m.restore(GPU, n))
        # A header that tells of another version or type is as wrong, in another way.
        if found[1] not in (ERROR + "StateInvalid", ERROR + "StateIncompatible", ERROR + "NoSuchType"):
            raise AssertionError(f"{name}: {found}")
        until(lambda: m.bus.vgpus() == {} and not m.devices(), f"{name}: nothing stays")
    rows = m.saved()
    equal(set(rows), set(images) | {"good"}, "what is listed")
    if rows["cut-15"][:2] != ("", "") or not rows["cut-15"][4]["error"]:
        raise AssertionError(rows["cut-15"])
    for name in images:
        m.delete(name)
    os.mkfifo(m.store("pipe.state"))
    os.symlink("/etc/passwd", m.store("link.state"))
    os.mkdir(m.store("folder.state"))
    for name in ("pipe", "link", "folder"):
        m.fails_somehow(lambda n=name: m.restore(GPU, n))
        if not m.saved()[name][4]["error"]:
            raise AssertionError(name)
    os.rmdir(m.store("folder.state"))
    m.delete("pipe")
    m.delete("link")
    # Through a pipe what follows is nobody's business.
    with pipe() as (source, target):
        thread = threading.Thread(target=os.write, args=(target, images["longer"]))
        thread.start()
        m.done(m.import_from(GPU, source))
        thread.join()
        equal(os.read(source, 10), b"x", "what follows")
    m.end("good")


@test
def quota(stack):
    """saved states take no more than they may, and what failed by that leaves nothing"""
    m = Saver(stack, size=MIB)
    with open(m.path("etc/mdevgpud/mdevgpud.yaml"), "w", encoding="utf-8") as f:
        f.write("version: 1\nsaved-states-max: 3MiB\n")
    m.begin()
    uuid = m.create()
    m.done(m.save(uuid, "a"))
    m.done(m.save(uuid, "b"))
    m.fails(ERROR + "LimitExceeded", lambda: m.save(uuid, "c"))
    m.rests(("a", "b"))
    m.done(m.save(uuid, "b", replace=True))
    m.delete("a")
    m.done(m.save(uuid, "c"))
    m.end("b", "c")


@test
def permission(stack):
    """nobody may; a user whom polkit lets is held to the rules and limits of his"""
    m = Saver(stack, size=MIB)
    authority = m.connect_raw()
    m.values(authority.call("/org/freedesktop/DBus", "org.freedesktop.DBus", "RequestName", "su",
                            ["org.freedesktop.PolicyKit1", 0], destination="org.freedesktop.DBus"))
    asked = []

    def answer():
        with contextlib.suppress(OSError, ConnectionError):
            while True:
                message = authority.receive()
                if message.kind == rawbus.CALL and message.member == "CheckAuthorization":
                    subject, action, details = message.values()[:3]
                    asked.append((action, details))
                    authority.reply(message, "(bba{ss})", [(allowed[0], 0, {})])
                elif message.kind == rawbus.CALL:
                    authority.reply(message)
    allowed = [0]
    threading.Thread(target=answer, daemon=True).start()
    m.begin(with_polkit=True)
    uuid = m.create()
    user = m.connect_raw(NOBODY)
    with pipe() as (source, target):
        for begin in (lambda: m.save(uuid, "x", raw=user), lambda: m.export(uuid, target, raw=user),
                      lambda: m.import_from(GPU, source, raw=user), lambda: m.restore(GPU, "x", raw=user)):
            m.refused(DENIED, begin)
        try:
            m.manager("DeleteSavedState", "sa{sv}", ["x", {}], raw=user)
            raise AssertionError("deleted")
        except BusError as e:
            equal(e.name, DENIED, "deleting")
    equal({a for a, _ in asked}, {NAME + ".migrate-state"}, "what polkit was asked")
    equal(plain_details(asked[0]), {"gpu": GPU, "type": KEPT, "uuid": uuid}, "details")
    equal((entries(m.store()), m.state(uuid)), ([], "active"), "what was done")
    allowed[0] = 1
    path = m.save(uuid, "x", raw=user)
    equal(m.done(path)["StartedByUID"], NOBODY, "whose it is")
    with open(m.path("etc/mdevgpud/mdevgpud.yaml"), "w", encoding="utf-8") as f:
        f.write("version: 1\nlimits:\n  - {user: 65534, vgpus: 1}\n")
    m.manager("Reload", "a{sv}", [{}])
    m.done(m.restore(GPU, "x", raw=user, uuid="new"))
    m.fails(ERROR + "LimitExceeded", lambda: m.restore(GPU, "x", raw=user, uuid="new"))
    equal(len(m.bus.vgpus()), 2, "vGPUs")
    m.end("x")


def plain_details(asked):
    return {k: v for k, v in asked[1].items() if k in ("gpu", "type", "uuid")}


@test
def lost_worker(stack):
    """a worker that is killed in the middle: what was saved runs, of what was restored nothing stays"""
    m = Saver(stack, size=8 * MIB, rate=2 * MIB)
    m.act("plug-mtty", "mtty")
    m.begin()
    for gpu, kind in (GPU, KEPT), ("mtty", "mtty-1"):
        m.rate(2 * MIB)
        uuid = m.create(gpu=gpu, kind=kind)
        content = m.content(uuid)
        for precopy, phase in (True, "pre-copy"), (False, "stop-copy"):
            path = m.save(uuid, "x", precopy=precopy)
            m.phase(path, phase)
            os.kill(m.worker(), signal.SIGKILL)
            job = m.wait(path)
            equal((job["State"], job["Error"]), ("failed", FAILED), phase)
            equal((m.content(uuid), m.state(uuid), m.device_state(uuid)), (content, "active", 2), "it")
        m.rate(0)
        m.done(m.save(uuid, "x", after="destroy"))
        m.rate(2 * MIB)
        path = m.restore(gpu, "x")
        m.phase(path, "resuming")
        os.kill(m.worker(), signal.SIGKILL)
        equal(m.wait(path)["State"], "failed", "restoring")
        equal((m.bus.vgpus(), m.devices()), ({}, []), "half a vGPU")
        with pipe() as (source, _):
            path = m.import_from(gpu, source)
            os.kill(m.worker(), signal.SIGKILL)
            equal(m.wait(path)["State"], "failed", "importing")
        m.delete("x")
    # What the one that was killed had begun to write goes with the next that is saved, or the next daemon.
    m.stop()
    m.again()
    m.end()


@test
def lost_daemon(stack):
    """the daemon is killed in the middle, alone or with its workers: its successor puts back, removes, and cleans up"""
    m = Saver(stack, size=8 * MIB)
    m.act("plug-mtty", "mtty")
    m.begin()
    uuids = {}
    for gpu, kind in (GPU, KEPT), ("mtty", "mtty-1"):
        uuids[gpu] = m.create(gpu=gpu, kind=kind)
        m.done(m.save(uuids[gpu], gpu.replace(":", "_")))
    for together in False, True:
        for gpu, uuid in uuids.items():
            content = m.content(uuid)
            m.rate(2 * MIB)
            m.phase(m.save(uuid, "x", precopy=together), "pre-copy" if together else "stop-copy")
            m.kill_all() if together else m.kill_daemon()
            m.again()
            until(lambda: m.state(uuid) == "active", "it is put back")
            equal(m.content(uuid), content, "what it holds")
            until(lambda: m.device_state(uuid) == 2 and not m.transfers(), "it runs")
            until(lambda: ".new" not in " ".join(entries(m.store())), "the store is clean")
            m.phase(m.restore(gpu, gpu.replace(":", "_"), uuid="new"), "resuming")
            m.kill_all() if together else m.kill_daemon()
            m.again()
            until(lambda: set(m.devices()) == set(uuids.values()) == set(m.bus.vgpus()), "half a vGPU is removed")
    m.rate(0)
    m.end(*(gpu.replace(":", "_") for gpu in uuids))


def kill_daemon(self):
    self.daemon.kill()
    self.daemon.wait()
    self.daemon = None


Saver.kill_daemon = kill_daemon


@test
def half_in_use(stack):
    """half of a vGPU, which a daemon that was killed left, never counts as a whole one, whoever opens it: it goes in the end"""
    m = Saver(stack, size=8 * MIB).begin()
    uuid = m.create()
    m.done(m.save(uuid, "x", after="destroy"))
    m.manager("PrepareIncoming", "sssa{sv}", [GPU, KEPT, uuid, {}])
    m.rate(2 * MIB)
    m.phase(m.restore(GPU, "x"), "resuming")
    m.kill_all()
    with contextlib.ExitStack() as held:
        hold(held, m, uuid)
        m.again()
        until(lambda: m.state(uuid), "it")
        end = time.monotonic() + 2
        while time.monotonic() < end:
            equal(m.state(uuid) in ("incoming", "removing"), True, "half of it is not")
            time.sleep(0.05)
    until(lambda: m.state(uuid) is None, "its end")
    m.end("x")


@test
def lost_gpu(stack):
    """the GPU is unplugged in the middle: the job fails and says so, and nothing stays; the GPU comes again"""
    m = Saver(stack, gpus=(GPU, SECOND_GPU), size=8 * MIB).begin()
    uuid = m.create(gpu=SECOND_GPU)
    m.done(m.save(uuid, "x", after="destroy"))
    for restores in False, True:
        m.rate(0)
        uuid = m.create()
        m.rate(2 * MIB)
        path = m.restore(GPU, "x", uuid="new") if restores else m.save(uuid, "y")
        m.phase(path, "resuming" if restores else "pre-copy")
        m.act("unplug", GPU)
        job = m.wait(path)
        equal(job["State"], "failed", "state")
        if job["Error"] not in (ERROR + "NoSuchGpu", ERROR + "NoSuchVGpu", ERROR + "DriverRejected"):
            raise AssertionError(f"{job['Error']}: {job['ErrorMessage']}")
        until(lambda: m.bus.vgpus() == {} and not m.transfers(), "all is gone")
        m.act("plug", GPU)
        until(lambda: m.gpus().get(GPU) == "ready", "the GPU")
    m.rate(0)
    m.done(m.restore(GPU, "x"))
    m.end("x")


@test
def leaves(stack):
    """a daemon that is asked to leave in the middle does, and its successor finds all in order"""
    m = Saver(stack, size=8 * MIB, rate=2 * MIB).begin()
    uuid = m.create()
    content = m.content(uuid)
    with pipe() as (source, target):
        m.phase(m.save(uuid, "x"), "pre-copy")
        m.import_from(GPU, source, uuid="new")
        equal(m.stop(), 0, "status")
    m.again()
    until(lambda: m.state(uuid) == "active" and not m.transfers(), "it is put back")
    until(lambda: not entries(m.store()), "the store is clean")
    equal(m.content(uuid), content, "what it holds")
    m.end()


def main():
    tests = [t for t in TESTS if not ONLY or t.__name__ in ONLY]
    failed = 0
    print(f"1..{len(tests)}", flush=True)
    for number, function in enumerate(tests, 1):
        begin = time.monotonic()
        try:
            with contextlib.ExitStack() as stack:
                function(stack)
            result = "ok"
        except Exception: # pylint: disable=broad-exception-caught
            result, failed = "not ok", failed + 1
            print("# " + traceback.format_exc().replace("\n", "\n# "), flush=True)
        what = " ".join(function.__doc__.split())
        print(f"{result} {number} {what} # {time.monotonic() - begin:.1f} s", flush=True)
    sys.exit(1 if failed else 0)


main()
