# SPDX-License-Identifier: LGPL-2.1-or-later
"""A simulated machine whose vGPUs keep their state, for tests that save and restore it."""

import contextlib
import fcntl
import hashlib
import os
import random
import sys
import threading

import rawbus
from cases import chosen, equal, run
from machine import ERROR, GPU, NAME, BusError, Machine, entries, read, until

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

    def fails_somehow(self, begin):
        try:
            job = self.wait(begin())
        except BusError as e:
            return "call", e.name, e.message
        equal(job["State"], "failed", "state")
        if len(job["ErrorMessage"]) < 10 or not job["Error"]:
            raise AssertionError(job)
        return "failed", job["Error"], job["ErrorMessage"]

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

    def kill_daemon(self):
        self.daemon.kill()
        self.daemon.wait()
        self.daemon = None

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


def locks(fd):
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def hold(stack, machine, uuid):
    """Somebody has it open, as QEMU does."""
    group = os.path.basename(os.readlink(machine.path("sys/bus/mdev/devices", uuid, "iommu_group")))
    fd = os.open(machine.path("dev/vfio", group), os.O_RDWR)
    stack.callback(os.close, fd)
    until(lambda: locks(fd), "whoever was killed to have let it go")
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


def damage(path, at, bits=1):
    with open(path, "r+b") as f:
        f.seek(at, os.SEEK_SET if at >= 0 else os.SEEK_END)
        byte = f.read(1)[0]
        f.seek(-1, os.SEEK_CUR)
        f.write(bytes([byte ^ bits]))


def main():
    sys.exit(run(chosen(ONLY)))
