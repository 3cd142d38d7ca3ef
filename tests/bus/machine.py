# SPDX-License-Identifier: LGPL-2.1-or-later
"""A simulated machine with the real daemon on a bus of its own, for tests in Python; and a client, by libsystemd."""

import contextlib
import ctypes
import fcntl
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time

TIMEOUT = 20
GPU = "0000:41:00.0"
SECOND_GPU = "0000:42:00.0"
TYPE = "mdevgpu_ref-1"
NAME = "org.mdevgpu1"
ROOT_PATH = "/org/mdevgpu1"
ERROR = NAME + ".Error."
ATTRIBUTE = "scheduling_weight"

PROFILE = """version: 1
match: {address: "0000:*"}
types:
  - {id: 1, name: "Test/Small", max-instances: 16, framebuffer: 2GiB}
"""

BUS_CONFIG = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>system</type>
  <listen>unix:path={path}</listen>
  <auth>EXTERNAL</auth>
  <limit name="max_connections_per_user">2000</limit>
  {limits}
  <policy context="default">
    <allow user="*"/>
    <allow own="*"/>
    <allow send_destination="*" eavesdrop="true"/>
    <allow receive_sender="*"/>
  </policy>
</busconfig>
"""


class SdBusError(ctypes.Structure):
    _fields_ = [("name", ctypes.c_char_p), ("message", ctypes.c_char_p), ("need_free", ctypes.c_int)]


class BusError(Exception):
    """An answer that is an error."""

    def __init__(self, name, message):
        super().__init__(f"{name}: {message}")
        self.name, self.message = name, message


LIBSYSTEMD = ctypes.CDLL("libsystemd.so.0")
BASIC = {"y": ctypes.c_uint8, "b": ctypes.c_int, "n": ctypes.c_int16, "q": ctypes.c_uint16, "i": ctypes.c_int32,
         "u": ctypes.c_uint32, "x": ctypes.c_int64, "t": ctypes.c_uint64, "d": ctypes.c_double, "s": ctypes.c_char_p,
         "o": ctypes.c_char_p, "g": ctypes.c_char_p}
POINTER, BYREF, INT = ctypes.c_void_p, ctypes.byref, ctypes.c_int


def sd(function, *arguments):
    """Calls what returns a negative errno if it fails."""
    r = getattr(LIBSYSTEMD, function)(*arguments)
    if r < 0:
        raise OSError(-r, f"{function}: {os.strerror(-r)}")
    return r


def text(s):
    return ctypes.c_char_p(s.encode())


class Bus:
    """A connection. Python's own threads go on while it waits for an answer."""

    def __init__(self, address):
        self.bus = POINTER()
        sd("sd_bus_new", BYREF(self.bus))
        sd("sd_bus_set_address", self.bus, text(address))
        sd("sd_bus_set_bus_client", self.bus, INT(1))
        sd("sd_bus_start", self.bus)

    def close(self):
        LIBSYSTEMD.sd_bus_flush_close_unref(self.bus)

    @staticmethod
    def append_options(message, options):
        sd("sd_bus_message_open_container", message, ctypes.c_char(b"a"), text("{sv}"))
        for key, value in options.items():
            sd("sd_bus_message_open_container", message, ctypes.c_char(b"e"), text("sv"))
            sd("sd_bus_message_append_basic", message, ctypes.c_char(b"s"), text(key))
            if isinstance(value, bool):
                sd("sd_bus_message_append", message, text("v"), text("b"), INT(value))
            elif isinstance(value, str):
                sd("sd_bus_message_append", message, text("v"), text("s"), text(value))
            else:
                sd("sd_bus_message_open_container", message, ctypes.c_char(b"v"), text("a(ss)"))
                sd("sd_bus_message_open_container", message, ctypes.c_char(b"a"), text("(ss)"))
                for pair in value:
                    sd("sd_bus_message_append", message, text("(ss)"), text(pair[0]), text(pair[1]))
                sd("sd_bus_message_close_container", message)
                sd("sd_bus_message_close_container", message)
            sd("sd_bus_message_close_container", message)
        sd("sd_bus_message_close_container", message)

    def send(self, message):
        """The answer to a message, which is freed."""
        reply, error = POINTER(), SdBusError()
        r = LIBSYSTEMD.sd_bus_call(self.bus, message, ctypes.c_uint64(TIMEOUT * 1000000), BYREF(error), BYREF(reply))
        LIBSYSTEMD.sd_bus_message_unref(message)
        if r < 0:
            name, said = (error.name or b"?").decode(), (error.message or b"").decode()
            LIBSYSTEMD.sd_bus_error_free(BYREF(error))
            raise BusError(name, said)
        return reply

    def message(self, path, interface, member, destination=NAME):
        message = POINTER()
        sd("sd_bus_message_new_method_call", self.bus, BYREF(message), text(destination), text(path), text(interface),
           text(member))
        return message

    def manager(self, member, *arguments):
        """A method of the manager, whose arguments are strings and at last a dictionary of options."""
        message = self.message(ROOT_PATH, NAME + ".Manager", member)
        for argument in arguments:
            if isinstance(argument, str):
                sd("sd_bus_message_append_basic", message, ctypes.c_char(b"s"), text(argument))
            else:
                self.append_options(message, argument)
        LIBSYSTEMD.sd_bus_message_unref(self.send(message))

    def ask(self, member, *arguments, path=ROOT_PATH, interface=NAME + ".Manager"):
        """The same, and what it answers: a list of values."""
        message = self.message(path, interface, member)
        for argument in arguments:
            if isinstance(argument, str):
                sd("sd_bus_message_append_basic", message, ctypes.c_char(b"s"), text(argument))
            elif isinstance(argument, int):
                sd("sd_bus_message_append", message, text("u"), ctypes.c_uint32(argument))
            else:
                self.append_options(message, argument)
        reply = self.send(message)
        values = self.values(reply)
        LIBSYSTEMD.sd_bus_message_unref(reply)
        return values

    def get(self, path, interface, name):
        """A property."""
        return self.ask("Get", interface, name, path=path, interface="org.freedesktop.DBus.Properties")[0]

    def values(self, message):
        """All that is left in the container that is being read; dictionaries are such."""
        found, kind, contents = [], ctypes.c_char(), ctypes.c_char_p()
        while sd("sd_bus_message_peek_type", message, BYREF(kind), BYREF(contents)) > 0:
            t = kind.value.decode()
            if t in BASIC:
                value = BASIC[t]()
                sd("sd_bus_message_read_basic", message, kind, BYREF(value))
                found.append(bool(value.value) if t == "b" else value.value.decode() if t in "sog" else value.value)
                continue
            inner = contents.value.decode()
            sd("sd_bus_message_enter_container", message, kind, text(inner))
            value = self.values(message)
            sd("sd_bus_message_exit_container", message)
            found.append(value[0] if t == "v" else dict(value) if t == "a" and inner[0] == "{" else value)
        return found

    def apply_topology(self, name):
        self.wait_for_job(self.ask("ApplyTopology", name, {})[0])

    def wait_for_job(self, path):
        """Until it has ended, well or with its error."""
        # Seldom, so that the daemon does the same each time.
        time.sleep(0.15)
        while (state := self.get(path, NAME + ".Job", "State")) in ("queued", "running"):
            time.sleep(0.15)
        if state != "done":
            raise BusError(*(self.get(path, NAME + ".Job", name) for name in ("Error", "ErrorMessage")))

    def has_owner(self):
        message = self.message("/org/freedesktop/DBus", "org.freedesktop.DBus", "NameHasOwner",
                               "org.freedesktop.DBus")
        sd("sd_bus_message_append_basic", message, ctypes.c_char(b"s"), text(NAME))
        reply, owned = self.send(message), INT()
        sd("sd_bus_message_read_basic", reply, ctypes.c_char(b"b"), BYREF(owned))
        LIBSYSTEMD.sd_bus_message_unref(reply)
        return bool(owned.value)

    def vgpus(self):
        """Everything that ListVGpus says: {uuid: {gpu, type, state, label, path and the row's dictionary}}."""
        message = self.message(ROOT_PATH, NAME + ".Manager", "ListVGpus")
        self.append_options(message, {})
        reply, rows = self.send(message), {}
        sd("sd_bus_message_enter_container", reply, ctypes.c_char(b"a"), text("(sssssoa{sv})"))
        while sd("sd_bus_message_enter_container", reply, ctypes.c_char(b"r"), text("sssssoa{sv}")) > 0:
            row = {key: self.read(reply, t) for key, t in (("uuid", "s"), ("gpu", "s"), ("type", "s"), ("state", "s"),
                                                           ("label", "s"), ("path", "o"))}
            sd("sd_bus_message_enter_container", reply, ctypes.c_char(b"a"), text("{sv}"))
            while sd("sd_bus_message_enter_container", reply, ctypes.c_char(b"e"), text("sv")) > 0:
                key, kind, contents = self.read(reply, "s"), ctypes.c_char(), ctypes.c_char_p()
                sd("sd_bus_message_peek_type", reply, BYREF(kind), BYREF(contents))
                t = contents.value.decode()
                sd("sd_bus_message_enter_container", reply, ctypes.c_char(b"v"), text(t))
                row[key] = self.read(reply, t)
                sd("sd_bus_message_exit_container", reply)
                sd("sd_bus_message_exit_container", reply)
            sd("sd_bus_message_exit_container", reply)
            sd("sd_bus_message_exit_container", reply)
            rows[row["uuid"]] = row
        LIBSYSTEMD.sd_bus_message_unref(reply)
        return rows

    @staticmethod
    def read(message, t):
        if t == "b":
            number = INT()
            sd("sd_bus_message_read_basic", message, ctypes.c_char(b"b"), BYREF(number))
            return bool(number.value)
        value = ctypes.c_char_p()
        sd("sd_bus_message_read_basic", message, ctypes.c_char(t.encode()), BYREF(value))
        return value.value.decode()


def until(condition, what, timeout=TIMEOUT):
    """What the condition says once that is true of something."""
    deadline = time.monotonic() + timeout
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not within {timeout} s")
        time.sleep(0.002)
    return value


def read(path):
    with open(path, encoding="utf-8") as f:
        return f.read()


def entries(path):
    return sorted(os.listdir(path)) if os.path.isdir(path) else []


class KernelBusy(Exception):
    """Somebody has stopped in the middle of playing the kernel."""


class Machine:
    """Ends, with all that was started on it, when the stack does."""

    def __init__(self, stack: contextlib.ExitStack, sim, gpus=(GPU,), limits=None):
        self.stack, self.sim = stack, sim
        self.dir = stack.enter_context(tempfile.TemporaryDirectory(prefix="mdevgpud-machine-", ignore_cleanup_errors=True))
        self.root = os.path.join(self.dir, "host")
        self.log = os.path.join(self.dir, "daemon.log")
        self.address = f"unix:path={self.dir}/bus"
        # LeakSanitizer does not work in a process that is traced; tests that trace none have it by other programs.
        self.env = {**os.environ, "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":detect_leaks=0"}
        self.daemon = None

        os.makedirs(os.path.join(self.root, "etc/mdevgpud/types.d"))
        with open(os.path.join(self.root, "etc/mdevgpud/types.d/test.yaml"), "w", encoding="utf-8") as f:
            f.write(PROFILE)
        for gpu in gpus:
            self.act("plug", gpu)

        config = os.path.join(self.dir, "bus.conf")
        with open(config, "w", encoding="utf-8") as f:
            f.write(BUS_CONFIG.format(path=self.dir + "/bus", limits="".join(
                f'<limit name="{name}">{value}</limit>' for name, value in (limits or {}).items())))
        self.start_bus()
        stack.callback(self.kill_all)

    def start_bus(self):
        self.dbus = subprocess.Popen(["dbus-daemon", "--nofork", "--nopidfile", f"--config-file={self.dir}/bus.conf"],
                                     stderr=subprocess.DEVNULL)
        self.stack.callback(self.dbus.wait)
        self.stack.callback(self.dbus.kill)
        self.bus = until(self.connect, "the bus")
        self.stack.callback(self.bus.close)

    def connect(self):
        with contextlib.suppress(OSError):
            return Bus(self.address)
        return None

    def act(self, *action):
        """What others do to the machine."""
        subprocess.run([self.sim, "--root", self.root, *action], check=True)

    def path(self, *parts):
        return os.path.join(self.root, *parts)

    def start(self, program=None, wrap=(), env=None, with_polkit=False):
        with open(self.log, "ab") as log:
            self.daemon = subprocess.Popen([*wrap, program or self.sim, "--root", self.root, "--address", self.address,
                                            *([] if with_polkit else ["--without-polkit"])],
                                           stderr=log, env={**self.env, **(env or {})})
        until(lambda: self.daemon.poll() is not None or self.bus.has_owner(), "the daemon's name")
        if self.daemon.poll() is not None:
            raise AssertionError(f"the daemon did not start: {read(self.log)}")

    def stop(self, number=signal.SIGTERM):
        self.daemon.send_signal(number)
        status = self.daemon.wait(TIMEOUT)
        self.daemon = None
        return status

    def workers(self):
        """{what it is for: [pid]} of every worker on this machine."""
        found = {}
        for pid in os.listdir("/proc"):
            if not pid.isdigit():
                continue
            try:
                with open(f"/proc/{pid}/cmdline", "rb") as f:
                    command = f.read().split(b"\0")[:-1]
            except OSError:
                continue
            if len(command) == 4 and command[-3] == b"--worker" and command[-2].decode() == self.root:
                found.setdefault(command[-1].decode(), []).append(int(pid))
        return found

    @contextlib.contextmanager
    def kernel_rests(self):
        """Nobody plays the kernel meanwhile, which nothing that is killed ends in the middle of its work."""
        def rests():
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            if entries(self.path("kernel/mdevs")) == self.devices():
                return True
            fcntl.flock(lock, fcntl.LOCK_UN)
            return False

        with open(self.path("lock"), "ab") as lock:
            try:
                until(rests, "the kernel's rest", 1)
            except AssertionError as e:
                raise KernelBusy from e
            yield

    def kill(self):
        """The daemon and its workers, at once."""
        try:
            with self.kernel_rests():
                self.kill_all()
        finally:
            self.kill_all()

    def kill_all(self):
        if self.daemon:
            self.daemon.kill()
        for pids in self.workers().values():
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        if self.daemon:
            self.daemon.wait()
            self.daemon = None

    def devices(self):
        return entries(self.path("sys/bus/mdev/devices"))

    def definitions(self):
        """{uuid: [(parent, what it says)]}; fails if there is anything that is none."""
        found = {}
        base = self.path("etc/mdevctl.d")
        for parent in entries(base):
            for uuid in entries(os.path.join(base, parent)):
                if parent == ".mdevgpud" or len(uuid) != 36:
                    raise AssertionError(f"{parent}/{uuid} was left in mdevctl.d")
                found.setdefault(uuid, []).append((parent, json.loads(read(os.path.join(base, parent, uuid)))))
        return found

    def tree(self, *folders):
        """Every file below the machine's folder, and what is in it."""
        found = {}
        for folder in folders or (".",):
            for path, names, files in os.walk(self.path(folder)):
                for name in names + files:
                    full = os.path.join(path, name)
                    if os.path.islink(full):
                        found[full] = os.readlink(full)
                    elif os.path.isfile(full):
                        with open(full, "rb") as f:
                            found[full] = (f.read(), os.stat(full).st_mtime_ns)
                    else:
                        found[full] = os.stat(full).st_mtime_ns
        return found

    def records(self):
        """What is recorded of vGPUs; beside them are topologies, and what is known of virtual functions."""
        return [name for name in entries(self.path("state")) if name not in ("topology", "vfs")]

    def check(self):
        """Fails unless everything that is on this machine belongs to something that the daemon shows, and vice versa."""
        shown, devices, definitions = self.bus.vgpus(), set(self.devices()), self.definitions()
        active = {uuid for uuid, row in shown.items() if row["state"] == "active"}
        if active != devices:
            raise AssertionError(f"active: {active}; devices: {devices}")
        persistent = {uuid for uuid, row in shown.items() if row["persistent"]}
        if persistent != set(definitions):
            raise AssertionError(f"persistent: {persistent}; definitions: {definitions}")
        other = {uuid: row["state"] for uuid, row in shown.items() if row["state"] not in ("active", "defined")}
        if other or set(shown) != active | persistent:
            raise AssertionError(f"{other}: {shown}")
        if extra := set(entries(self.path("var/vgpus"))) - set(definitions):
            raise AssertionError(f"notes of nothing: {extra}")
        started = {uuid for uuid, row in shown.items() if row["autostart"]}
        if extra := set(self.records()) - devices - started:
            raise AssertionError(f"records of nothing: {extra}")
        if missing := {u for u in active if shown[u]["managed"]} - set(self.records()):
            raise AssertionError(f"ours without a record: {missing}")
        if ".mdevgpud" in entries(self.path("etc/mdevctl.d")):
            raise AssertionError("the workshop is still there")

    def check_log(self):
        """A daemon or worker that was built with sanitizers may have gone on."""
        said = read(self.log) if os.path.exists(self.log) else ""
        if "Sanitizer" in said or "runtime error:" in said or "Assertion" in said:
            raise AssertionError(said)


def copy_program(sim, to):
    """Another name for the program: what the daemon starts as its worker can be replaced without it."""
    try:
        os.link(sim, to)
    except OSError:
        shutil.copy2(sim, to)
