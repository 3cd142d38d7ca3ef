#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What is measured on this machine, over a sysfs of files in memory: the installed programs, pinned to one CPU.

host.py PREFIX BENCH ROUNDS, in namespaces of its own for mounts and for the network.
"""

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

import tree

PREFIX, BENCH, ROUNDS = sys.argv[1], sys.argv[2], int(sys.argv[3])
DAEMON = f"{PREFIX}/sbin/mdevgpud"
DRIVER = os.path.join(os.path.dirname(BENCH), "driver.so")

BUS_CONFIG = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>system</type>
  <listen>unix:path={path}</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow user="*"/>
    <allow own="*"/>
    <allow send_destination="*"/>
    <allow receive_sender="*"/>
  </policy>
</busconfig>
"""


def until(condition, what, timeout=30):
    deadline = time.monotonic() + timeout
    while not (value := condition()):
        if time.monotonic() > deadline:
            sys.exit(f"{what}: not within {timeout} s")
        time.sleep(0.002)
    return value


def mount(path):
    subprocess.run(["mount", "-t", "tmpfs", "none", path], check=True)


def bench(*arguments, env=None):
    """{name: number} of what it prints."""
    out = subprocess.run([BENCH, *map(str, arguments)], check=True, stdout=subprocess.PIPE, text=True,
                         env={**os.environ, **(env or {})}).stdout
    return {name: float(value) for name, value in (line.split() for line in out.splitlines())}


def smaps(pid):
    with open(f"/proc/{pid}/smaps_rollup", encoding="utf-8") as f:
        fields = dict(re.findall(r"^(\w+): +(\d+) kB", f.read(), re.MULTILINE))
    return int(fields["Rss"]), int(fields["Private_Clean"]) + int(fields["Private_Dirty"])


def switches(pid):
    with open(f"/proc/{pid}/status", encoding="utf-8") as f:
        return int(re.search(r"^voluntary_ctxt_switches:\s+(\d+)", f.read(), re.MULTILINE).group(1))


def cpu_seconds(pid):
    with open(f"/proc/{pid}/schedstat", encoding="utf-8") as f:
        return int(f.read().split()[0]) / 1e9


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children", encoding="utf-8") as f:
        return [int(p) for p in f.read().split()]


def lost_events():
    """What the kernel had no room for, of all listeners in this namespace."""
    with open("/proc/net/netlink", encoding="utf-8") as f:
        return sum(int(line.split()[8]) for line in f.readlines()[1:])


class Machine:
    def __init__(self, stack, n_gpus, n_types, n_devices):
        self.stack, self.n_gpus, self.n_devices = stack, n_gpus, n_devices
        mount("/sys")
        stack.callback(subprocess.run, ["umount", "-l", "/sys"], check=True)
        tree.make("/sys", n_gpus, n_types, n_devices)
        self.dir = stack.enter_context(tempfile.TemporaryDirectory(prefix="mdevgpud-bench-"))
        self.address = f"unix:path={self.dir}/bus"
        self.log = f"{self.dir}/log"
        config = f"{self.dir}/bus.conf"
        with open(config, "w", encoding="utf-8") as f:
            f.write(BUS_CONFIG.format(path=f"{self.dir}/bus"))
        self.bus = self.spawn(["dbus-daemon", "--nofork", "--nopidfile", f"--config-file={config}"])
        until(self.listens, "the bus")

    def listens(self):
        with socket.socket(socket.AF_UNIX) as s, contextlib.suppress(OSError):
            s.connect(f"{self.dir}/bus")
            return True
        return False

    def spawn(self, command, env=None):
        with open(self.log, "ab") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, **(env or {})})
        self.stack.callback(process.wait)
        self.stack.callback(process.kill)
        return process

    def start(self, env=None):
        """Until READY: how many milliseconds."""
        shutil.rmtree("/run/mdevgpud", ignore_errors=True)
        path = f"{self.dir}/notify"
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
            s.bind(path)
            s.settimeout(30)
            begin = time.monotonic()
            self.daemon = self.spawn([DAEMON], {"DBUS_SYSTEM_BUS_ADDRESS": self.address, "NOTIFY_SOCKET": path,
                                                **(env or {})})
            try:
                while b"READY=1" not in s.recv(4096):
                    pass
            except TimeoutError:
                with open(self.log, encoding="utf-8") as log:
                    sys.exit(f"The daemon does not get ready: {log.read()}")
            return (time.monotonic() - begin) * 1000

    def start_floor(self):
        floor = self.spawn([BENCH, "floor", self.address])
        until(lambda: subprocess.run(["busctl", f"--address={self.address}", "call", "org.freedesktop.DBus", "/",
                                      "org.freedesktop.DBus", "GetNameOwner", "s", "org.mdevgpu1.Floor"], check=False,
                                     stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0, "the floor")
        return floor

    def stop(self):
        self.daemon.send_signal(signal.SIGTERM)
        self.daemon.wait()


def say(what, *values):
    print(f"  {what:<58} " + "  ".join(values), flush=True)


def ratio(a, b):
    return f"{a / b:.2f}"


def measure_reads():
    print("Reads, daemon : floor (the same answers from a service that does nothing); µs of wall-clock time, least of the rounds")
    for n in (10, 256, 2048):
        with contextlib.ExitStack() as stack:
            m = Machine(stack, 8, 32, n)
            m.start()
            floor = m.start_floor()
            calls = max(1, 512 // n)
            for what, name in (("list", "ListVGpus"), ("objects", "GetManagedObjects")):
                v = bench("compare", m.address, what, ROUNDS, calls, m.bus.pid, floor.pid, m.daemon.pid)
                say(f"{name}, {n} vGPUs", f"{v['daemon.wall.min']:.0f} : {v['floor.wall.min']:.0f}",
                    "= " + ratio(v["daemon.wall.min"], v["floor.wall.min"]),
                    f"(median {ratio(v['daemon.wall.median'], v['floor.wall.median'])}; CPU of the service alone "
                    f"{ratio(v['daemon.cpu.min'], v['floor.cpu.min'])})")
                if what == "list":
                    wall = v["daemon.wall.min"]
            v = bench("run", min(ROUNDS, 15), "mdevctl", "list", "--dumpjson")
            say(f"mdevctl list --dumpjson : ListVGpus, {n} vGPUs", f"{v['run.min']:.0f} : {wall:.0f}",
                "= " + ratio(v["run.min"], wall))


def measure_create():
    print("Making a vGPU, with a driver that takes no time; µs, least of the rounds (median)")
    with contextlib.ExitStack() as stack:
        m = Machine(stack, 8, 32, 0)
        preload = {"LD_PRELOAD": DRIVER}
        m.start(preload)
        m.start_floor()
        types = f"/sys/class/mdev_bus/{tree.address(0)}/mdev_supported_types/bench-1"
        d = bench("driver", types, "/sys/bus/mdev/devices", ROUNDS, 0, env=preload)
        say("the driver alone", f"{d['create.min']:.0f} ({d['create.median']:.0f})")
        v = bench("create", m.address, tree.address(0), "bench-1", ROUNDS, "transient", 0)
        say("an echo over the bus", f"{v['echo.min']:.0f} ({v['echo.median']:.0f})")
        say("CreateVGpu, transient", f"{v['create.min']:.0f} ({v['create.median']:.0f})")
        say("DestroyVGpu", f"{v['destroy.min']:.0f} ({v['destroy.median']:.0f})")
        say("CreateVGpu without the driver, in echoes", ratio(v["create.min"] - d["create.min"], v["echo.min"]),
            f"({ratio(v['create.median'] - d['create.median'], v['echo.median'])})")
        # Its device does not come to be, for which it does not look.
        r = bench("run", min(ROUNDS, 31), "mdevctl", "start", "--uuid", "UUID", "--parent", tree.address(0), "--type",
                  "bench-1")
        say("mdevctl start", f"{r['run.min']:.0f} ({r['run.median']:.0f})")
        say("mdevctl start : CreateVGpu", ratio(r["run.min"], v["create.min"]),
            f"({ratio(r['run.median'], v['create.median'])})")


def measure_burst():
    print("50,000 events as udev sends them, of 2048 vGPUs in turn")
    with contextlib.ExitStack() as stack:
        m = Machine(stack, 16, 32, 2048)
        m.start()
        workers = children(m.daemon.pid)
        before, worked = cpu_seconds(m.daemon.pid), sum(map(cpu_seconds, workers))
        dropped, begin = lost_events(), time.monotonic()
        bench("burst", 50000, *tree.devpaths(16, 2048))
        idle = 0
        last = cpu_seconds(m.daemon.pid)
        while idle < 10: # half a second in which it does nothing
            time.sleep(0.05)
            now = cpu_seconds(m.daemon.pid)
            idle, last = (idle + 1, last) if now - last < 0.0005 else (0, now)
        say("CPU seconds of the daemon", f"{last - before:.2f}")
        say("CPU seconds of its workers", f"{sum(map(cpu_seconds, workers)) - worked:.2f}")
        say("seconds until it rests", f"{time.monotonic() - begin - 0.5:.2f}")
        say("events lost", str(lost_events() - dropped))

    print("More events than its buffer holds, while it stands still and a vGPU goes")
    with contextlib.ExitStack() as stack:
        m = Machine(stack, 16, 32, 2048)
        m.start()
        m.daemon.send_signal(signal.SIGSTOP)
        dropped = lost_events()
        bench("burst", 300000, *tree.devpaths(16, 2048))
        say("events lost", str(lost_events() - dropped))
        gone = tree.device_uuid(7)
        os.unlink(f"/sys/bus/mdev/devices/{gone}")
        parent = f"/sys/devices/pci0000:3a/{tree.address(7)}"
        os.unlink(f"{parent}/mdev_supported_types/bench-0/devices/{gone}")
        shutil.rmtree(f"{parent}/{gone}")
        m.daemon.send_signal(signal.SIGCONT)
        v = bench("await", m.address, 2047)
        say("ms until what it says is what sysfs says", f"{v['await'] / 1000:.0f}")


def measure_start():
    print("Start and rest")
    with contextlib.ExitStack() as stack:
        m = Machine(stack, 16, 32, 2048)
        took = []
        for _ in range(5):
            took.append(m.start())
            m.stop()
        ready = min(took)
        say("ms until READY with 16 GPUs × 32 types × 2048 vGPUs", f"{ready:.1f}")
        libvirt = min(libvirt_ready(stack, m) for _ in range(3))
        say("ms until libvirtd lists those", f"{libvirt:.1f}", "= " + ratio(libvirt, ready))
    for what, size in (("8 GPUs × 32 types, no vGPU", (8, 32, 0)), ("16 GPUs × 32 types × 2048 vGPUs", (16, 32, 2048))):
        with contextlib.ExitStack() as stack:
            m = Machine(stack, *size)
            m.start()
            time.sleep(3)
            before = switches(m.daemon.pid)
            time.sleep(10)
            rss, uss = smaps(m.daemon.pid)
            say(f"daemon, idle, {what}", f"RSS {rss} kB", f"USS {uss} kB",
                f"{switches(m.daemon.pid) - before} wake-ups in 10 s")
            sizes = [smaps(p) for p in children(m.daemon.pid)]
            if sizes:
                say(f"{len(sizes)} workers, each at most", f"RSS {max(s[0] for s in sizes)} kB",
                    f"USS {max(s[1] for s in sizes)} kB", f"(USS of all {sum(s[1] for s in sizes)} kB)")


def libvirt_ready(stack, m):
    """libvirtd's node devices are there once it lists them all."""
    for folder in ("/run/libvirt", "/run/udev", "/run/lock"):
        os.makedirs(folder, exist_ok=True)
    with open("/run/udev/control", "w", encoding="utf-8"):
        pass
    config = f"{m.dir}/libvirtd.conf"
    with open(config, "w", encoding="utf-8") as f:
        f.write('auth_unix_ro = "none"\nauth_unix_rw = "none"\nunix_sock_group = "root"\n')
    begin = time.monotonic()
    process = m.spawn(["libvirtd", "-f", config],
                      {"SYSTEMD_DEVICE_VERIFY_SYSFS": "0", "DBUS_SYSTEM_BUS_ADDRESS": m.address})

    def listed():
        if not os.path.exists("/run/libvirt/libvirt-sock"):
            return False
        out = subprocess.run(["virsh", "-c", "nodedev:///system", "nodedev-list"], stdout=subprocess.PIPE,
                             stderr=subprocess.DEVNULL, check=False).stdout
        return out.count(b"mdev_") >= 2048

    until(listed, "libvirtd", 60)
    took = (time.monotonic() - begin) * 1000
    process.terminate()
    process.wait()
    shutil.rmtree("/run/libvirt")
    return took


def main():
    subprocess.run(["ip", "link", "set", "lo", "up"], check=False)
    mount("/run")
    for folder in ("/etc/mdevctl.d", "/var/lib/libvirt"):
        mount(folder)
    for folder in ("callouts", "notifiers"):
        os.makedirs(f"/etc/mdevctl.d/scripts.d/{folder}")
    for measure in (measure_create, measure_reads, measure_burst, measure_start):
        measure()


main()
