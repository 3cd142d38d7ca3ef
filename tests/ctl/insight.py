#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What mdevgpuctl says to people about the whole: doctor, monitor, metrics, dump; the real daemon, a simulated host.

insight.py MDEVGPUCTL MDEVGPUD-SIM PROFILE FAKE-SYSTEMD
"""

import json
import os
import re
import select
import shutil
import subprocess
import sys
import time

from rig import CTL, DAEMON, FILE, Rig, equal, run, test, true

SYSTEMD = sys.argv[4]
GPU = "0000:41:00.0"
UUID = "c0ffee00-0000-4000-8000-000000000001"

# Debian's own, whichever python3 comes first in PATH.
PARSE = """
import sys
from prometheus_client.openmetrics.parser import text_string_to_metric_families
for family in text_string_to_metric_families(sys.stdin.read()):
    for sample in family.samples:
        print(sample.name, *(f"{k}={v}" for k, v in sorted(sample.labels.items())), sample.value)
"""


def until(rig: Rig, condition, *command):
    deadline = time.monotonic() + 20
    while not condition(result := rig.ctl(*command)):
        if time.monotonic() > deadline:
            raise AssertionError(f"{command}: {result}")
        time.sleep(0.05)
    return result


def host(rig: Rig):
    return os.path.join(rig.dir, "host")


def machine(rig: Rig, *action):
    subprocess.run([DAEMON, "--root", host(rig), *action], check=True, env=rig.env)


def start_daemon(rig: Rig):
    process = rig.start(DAEMON, "--root", host(rig), "--address", rig.address, "--without-polkit")
    until(rig, lambda result: GPU in result.out, "gpus")
    return process


def start(rig: Rig, profile=True):
    types = os.path.join(host(rig), "etc", "mdevgpud", "types.d")
    os.makedirs(types)
    if profile:
        shutil.copy(FILE, os.path.join(types, "50-test.yaml"))
    machine(rig, "plug", GPU)
    return start_daemon(rig)


class Monitor:
    """mdevgpuctl monitor, whose lines are read as they come."""

    def __init__(self, rig: Rig, *options):
        self.process = subprocess.Popen([CTL, *options, "monitor"], stdout=subprocess.PIPE, env=rig.env)
        rig.stack.callback(self.process.wait)
        rig.stack.callback(self.process.stdout.close)
        rig.stack.callback(self.process.kill)
        self.seen, self.rest = [], ""

    def expect(self, what):
        """The first line of those to come of which what(line) holds."""
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            while "\n" not in self.rest and select.select([self.process.stdout], [], [], 1)[0]:
                chunk = os.read(self.process.stdout.fileno(), 65536).decode()
                true(chunk, "monitor has ended: " + "".join(self.seen))
                self.rest += chunk
            if "\n" not in self.rest:
                continue
            line, self.rest = self.rest.split("\n", 1)
            line += "\n"
            self.seen.append(line)
            if what(line):
                return line
        raise AssertionError("not seen; but: " + "".join(self.seen))


@test
def doctor(rig: Rig):
    """doctor names what is wrong and what to do; it fails for errors alone"""
    start(rig, profile=False)
    result = rig.ctl("doctor")
    equal((result.status, result.err), (1, ""), result)
    true(re.search(rf"^error {GPU}: no-profile\n    .*\n(    .*\n)*    .*mdevgpud-types\.d\(5\)", result.out, re.M),
         result)
    equal(rig.ctl("-q", "doctor").status, 1)
    equal(rig.ctl("-q", "doctor").out, "")
    findings = json.loads(rig.ctl("--json", "doctor").out)
    equal([(f["id"], f["severity"], f["subject"]) for f in findings if f["severity"] == "error"],
          [("no-profile", "error", GPU)])
    true(all({"id", "severity", "subject", "message", "advice"} <= f.keys() for f in findings), findings)

    shutil.copy(FILE, os.path.join(host(rig), "etc", "mdevgpud", "types.d", "50-test.yaml"))
    equal(rig.ctl("reload").status, 0)
    result = until(rig, lambda result: result.status == 0, "doctor")
    # The simulated card is behind no IOMMU, which is a warning.
    true(result.out.startswith("warning host: iommu-off\n"), result)
    colored = rig.terminal("doctor").out
    true("\x1b[33mwarning\x1b[0m" in colored, colored)
    true("\x1b" not in rig.terminal("doctor", env={"NO_COLOR": "1"}).out, "colours in spite of NO_COLOR")


@test
def doctor_alone(rig: Rig):
    """without a daemon, or a bus, doctor says so itself"""
    result = rig.ctl("doctor")
    equal(result.status, 1, result)
    true(result.out.startswith("error mdevgpud: daemon-silent\n"), result)
    result = rig.ctl("--json", "doctor", env={"DBUS_SYSTEM_BUS_ADDRESS": "unix:path=/nowhere"})
    equal(result.status, 1, result)
    equal([f["id"] for f in json.loads(result.out)], ["bus-unreachable"])



@test
def doctor_of_unit(rig: Rig):
    """without a daemon, doctor says what systemd says of its unit, and what to do about that"""
    for states, name, advice in (
            (("not-found", "inactive", "", "success"), "daemon-not-installed", "Install"),
            (("masked", "inactive", "masked", "success"), "daemon-masked", "systemctl unmask"),
            (("loaded", "failed", "enabled", "exit-code"), "daemon-failed", "journalctl -u mdevgpud"),
            (("loaded", "inactive", "disabled", "success"), "daemon-disabled", "systemctl enable --now"),
            (("loaded", "inactive", "enabled", "success"), "daemon-stopped", "systemctl start"),
            (("loaded", "active", "enabled", "success"), "daemon-silent", "systemctl status")):
        systemd = rig.spawn(SYSTEMD, rig.address, *states)
        result = rig.ctl("--json", "doctor")
        findings = json.loads(result.out)
        equal((result.status, [f["id"] for f in findings], findings[0]["severity"]), (1, [name], "error"), result)
        true(advice in findings[0]["advice"], result)
        systemd.kill()
        systemd.wait()


@test
def monitor_text(rig: Rig):
    """monitor tells a person what happens, and that the daemon leaves and returns"""
    daemon = start(rig)
    monitor = Monitor(rig)
    monitor.expect(lambda line: line.endswith("mdevgpud present\n"))
    equal(rig.ctl("create", GPU, "Reference half", UUID).status, 0)
    line = monitor.expect(lambda line: f"vGPU {UUID} added" in line)
    true(re.fullmatch(r"\d\d:\d\d:\d\d vGPU \S+ added: State active, GPU 0000:41:00.0, Type ID mdevgpu_ref-1\n", line), line)
    monitor.expect(lambda line: f"GPU {GPU} type mdevgpu_ref-1 changed: Available instances 1" in line)
    equal(rig.ctl("destroy", UUID).status, 0)
    monitor.expect(lambda line: f"vGPU {UUID} removed" in line)
    daemon.terminate()
    monitor.expect(lambda line: line.endswith("mdevgpud left\n"))
    start_daemon(rig)
    monitor.expect(lambda line: line.endswith("mdevgpud returned\n"))


@test
def monitor_json(rig: Rig):
    """monitor prints an object a line, of GPUs, vGPUs, types, jobs and the configuration"""
    start(rig)
    monitor = Monitor(rig, "--json")

    def expect(name, **members):
        def matches(line):
            event = json.loads(line)
            return event["event"] == name and members.items() <= event.items()
        return json.loads(monitor.expect(matches))

    expect("daemon-present")
    machine(rig, "plug", "0000:42:00.0")
    expect("gpu-added", gpu="0000:42:00.0")
    machine(rig, "unplug", "0000:42:00.0")
    expect("gpu-removed", gpu="0000:42:00.0")
    equal(rig.ctl("create", GPU, "Reference half", UUID).status, 0)
    equal(expect("vgpu-added", uuid=UUID)["properties"]["state"], "active")
    equal(expect("type-changed", type="mdevgpu_ref-1")["properties"]["available_instances"], 1)

    with open(os.path.join(host(rig), "etc", "mdevgpud", "types.d", "60-bad.yaml"), "w", encoding="utf-8") as f:
        f.write("version: 1\ntipes: []\n")
    equal(rig.ctl("reload").status, 1)
    expect("daemon-reloading")
    equal(len(expect("daemon-changed")["properties"]["config_errors"]), 1)
    expect("daemon-reloaded")
    os.unlink(os.path.join(host(rig), "etc", "mdevgpud", "types.d", "60-bad.yaml"))

    topologies = os.path.join(host(rig), "etc", "mdevgpud", "topologies.d")
    os.makedirs(topologies)
    with open(os.path.join(topologies, "10-test.yaml"), "w", encoding="utf-8") as f:
        f.write(f'version: 1\ntopologies:\n  one:\n  - match: {{address: "{GPU}"}}\n    vgpus: [{{type: Reference half}}]\n')
    equal(rig.ctl("reload").status, 0)
    equal(rig.ctl("topology", "apply", "one").status, 0)
    expect("job-added", job=1)
    equal(expect("job-finished", job=1)["properties"]["result"], "done")


def parse(text):
    parsed = subprocess.run(["/usr/bin/python3", "-c", PARSE], input=text, capture_output=True, text=True, check=False)
    true(parsed.returncode == 0, parsed.stderr + text)
    samples = {}
    for line in parsed.stdout.splitlines():
        key, value = line.rsplit(" ", 1)
        true(key not in samples, f"twice: {key}")
        samples[key] = float(value)
    return samples


@test
def metrics(rig: Rig):
    """metrics are OpenMetrics to a strict parser, say what is there, and their counters only grow"""
    start(rig)
    before = parse(rig.ctl("metrics").out)
    equal(before["mdevgpu_operations_total operation=create result=done"], 0)
    equal(rig.ctl("create", GPU, "Reference half", UUID, "--label", 'a "quoted\\ one').status, 0)
    result = rig.ctl("metrics")
    true(result.out.endswith("\n# EOF\n"), result)
    after = parse(result.out)
    equal(after["mdevgpu_operations_total operation=create result=done"], 1)
    equal(after["mdevgpu_operation_duration_seconds_count operation=create"], 1)
    equal(after["mdevgpu_operation_duration_seconds_bucket le=+Inf operation=create"], 1)
    true(after["mdevgpu_operation_duration_seconds_sum operation=create"] > 0, result)
    equal(after[f"mdevgpu_gpu_framebuffer_bytes gpu={GPU}"], 40 << 30)
    equal(after[f"mdevgpu_type_available_instances gpu={GPU} type=mdevgpu_ref-1"], 1)
    equal(after[f"mdevgpu_vgpu_state mdevgpu_vgpu_state=active uuid={UUID}"], 1)
    equal(after[f"mdevgpu_vgpu_users uuid={UUID}"], 0)
    equal(after[f"mdevgpu_gpu_framebuffer_used_bytes gpu={GPU}"], 20 << 30)
    equal(after[f"mdevgpu_vgpu_framebuffer_bytes uuid={UUID}"], 20 << 30)
    true(any('label=a "quoted\\ one' in key for key in after), after)
    for key, value in before.items():
        if re.match(r"\S+(_total|_count|_sum|_bucket)( |$)", key):
            true(after[key] >= value, key)

    group = json.loads(rig.ctl("--json", "status", UUID).out)[0]["iommu_group"]
    with open(os.path.join(host(rig), "dev", "vfio", str(group)), "rb"):
        result = until(rig, lambda result: f'vgpu_in_use{{uuid="{UUID}"}} 1' in result.out, "metrics")
    equal(parse(result.out)[f"mdevgpu_vgpu_users uuid={UUID}"], 1)
    equal(rig.ctl("--json", "metrics").status, 2)


@test
def dump(rig: Rig):
    """dump is one text with every part in it, also where there is no daemon"""
    start(rig)
    equal(rig.ctl("create", GPU, "Reference half", UUID).status, 0)
    result = rig.ctl("dump")
    equal((result.status, result.err), (0, ""), result)
    titles = re.findall(r"^==== (.*) ====$", result.out, re.M)
    equal(titles, ["Machine", "Unit", "Configuration", "Findings", "Status", GPU, "vGPUs", "Topologies", "Jobs",
                   "Check of the configuration", "Metrics", "Journal"])
    true(UUID in result.out and os.uname().release in result.out and "Nothing is wrong" in result.out, result)
    away = rig.ctl("dump", f"--address={rig.address}")
    true("Machine" not in away.out and UUID in away.out, away)


@test
def dump_alone(rig: Rig):
    """dump without a daemon says why there is none"""
    result = rig.ctl("dump")
    equal(result.status, 0, result)
    true("daemon-silent" in result.out and "==== Journal ====" in result.out, result)


run()
