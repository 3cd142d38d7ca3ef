# SPDX-License-Identifier: LGPL-2.1-or-later
"""A private bus, a daemon and the command, for the tests of mdevgpuctl; and TAP.

The programs that use this are called with the command, a daemon and one more file.
"""

import contextlib
import fcntl
import os
import pty
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import traceback

CTL, DAEMON, FILE = sys.argv[1:4]
TIMEOUT = 60

# A shell's jobs ignore SIGINT, those of nohup(1) SIGHUP, and the command would, as it should.
for number in signal.SIGINT, signal.SIGTERM, signal.SIGHUP:
    if signal.getsignal(number) == signal.SIG_IGN:
        signal.signal(number, signal.SIG_DFL)

BUS_CONFIG = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <listen>unix:path={path}</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow user="*"/>
    <allow own="*"/>
    <allow send_destination="*" eavesdrop="true"/>
    <allow receive_sender="*"/>
  </policy>
</busconfig>
"""


class Result:
    def __init__(self, status, out, err):
        self.status, self.out, self.err = status, out, err

    def __repr__(self):
        return f"exit status {self.status}\nstdout: {self.out[:2000]!r}\nstderr: {self.err[:2000]!r}"


class Rig:
    """Ends everything that it started when its test ends."""

    def __init__(self, stack):
        self.stack = stack
        self.dir = stack.enter_context(tempfile.TemporaryDirectory(
            prefix="mdevgpuctl-", ignore_cleanup_errors=True)) # a worker may be at it still
        self.address = f"unix:path={self.dir}/bus"
        # Only what is said here decides how the command behaves.
        self.env = {key: os.environ[key] for key in ("PATH", "ASAN_OPTIONS", "UBSAN_OPTIONS") if key in os.environ}
        self.env.update(DBUS_SYSTEM_BUS_ADDRESS=self.address, LC_ALL="C.UTF-8")
        config = os.path.join(self.dir, "bus.conf")
        with open(config, "w", encoding="utf-8") as f:
            f.write(BUS_CONFIG.format(path=self.dir + "/bus"))
        self.spawn("dbus-daemon", "--nofork", "--nopidfile", "--print-address", f"--config-file={config}")

    def spawn(self, *command):
        """Starts a program and waits until it says that it is ready."""
        process = self.start(*command)
        if not process.stdout.readline():
            with open(self.log_of(command[0]), encoding="utf-8") as f:
                raise RuntimeError(f"{command[0]} did not start: {f.read()}")
        return process

    def log_of(self, program):
        return os.path.join(self.dir, os.path.basename(program) + ".log")

    def start(self, *command):
        with open(self.log_of(command[0]), "wb") as log:
            process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, env=self.env)
        self.stack.callback(process.wait)
        self.stack.callback(process.stdout.close)
        self.stack.callback(process.kill)
        return process

    def daemon(self, mode):
        return self.spawn(DAEMON, self.address, mode)

    def ctl(self, *arguments, env=None):
        """Runs the command as a script does: no terminal anywhere."""
        done = subprocess.run([CTL, *arguments], capture_output=True, stdin=subprocess.DEVNULL, timeout=TIMEOUT,
                              env={**self.env, **(env or {})}, check=False)
        result = Result(done.returncode, done.stdout.decode(errors="surrogateescape"),
                        done.stderr.decode(errors="surrogateescape"))
        if "Sanitizer" in result.err or "runtime error:" in result.err:
            raise AssertionError(result)
        return result

    def terminal(self, *arguments, env=None, columns=80, stdin=True):
        """Runs the command as a person does: stdout, and stdin if wanted, are a terminal."""
        master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        process = subprocess.Popen([CTL, *arguments], stdin=slave if stdin else subprocess.DEVNULL, stdout=slave,
                                   stderr=subprocess.PIPE,
                                   env={**self.env, "TERM": "xterm", "PAGER": "", **(env or {})})
        os.close(slave)
        out = b""
        with contextlib.suppress(OSError):  # the end of a terminal is EIO
            while chunk := os.read(master, 65536):
                out += chunk
        os.close(master)
        err = process.stderr.read().decode(errors="surrogateescape")
        process.stderr.close()
        status = process.wait(TIMEOUT)
        return Result(status, out.decode(errors="surrogateescape").replace("\r\n", "\n"), err)


TESTS = []


def test(function):
    TESTS.append(function)
    return function


def equal(a, b, result=None):
    if a != b:
        raise AssertionError(f"{a!r} is not {b!r}\n{result or ''}")


def true(condition, result):
    if not condition:
        raise AssertionError(str(result))


def run():
    print(f"1..{len(TESTS)}", flush=True)
    failed = 0
    for number, function in enumerate(TESTS, 1):
        try:
            with contextlib.ExitStack() as stack:
                function(Rig(stack))
            print(f"ok {number} {function.__doc__}", flush=True)
        except Exception:  # pylint: disable=broad-except
            failed += 1
            print(f"not ok {number} {function.__doc__}")
            for line in traceback.format_exc().splitlines():
                print(f"# {line}", flush=True)
    sys.exit(1 if failed else 0)
