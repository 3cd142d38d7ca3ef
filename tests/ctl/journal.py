#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the daemon writes to the journal: message ids and fields of each kind of event, and the catalog that explains them.

The daemon talks to a socket of ours where the journal's would be, in a mount namespace of its own.

journal.py MDEVGPUCTL MDEVGPUD-SIM PROFILE SOURCE
"""

import os
import re
import select
import shutil
import socket
import struct
import subprocess
import sys
import time

from rig import CTL, DAEMON, FILE, Rig, equal, run, test, true

SOURCE = sys.argv[4]
GPU = "0000:41:00.0"
UUID = "c0ffee00-0000-4000-8000-000000000001"

with open(os.path.join(SOURCE, "daemon/util/message-ids.h"), encoding="utf-8") as header:
    IDS = dict(re.findall(r'#define MESSAGE_(\w+) "([0-9a-f]{32})"', header.read()))


def fields_of(datagram):
    """The journal's native protocol: NAME=VALUE lines, or NAME, a newline, a little-endian size, the value."""
    fields = {}
    while datagram:
        line, _, rest = datagram.partition(b"\n")
        name, equals, value = line.partition(b"=")
        if not equals:
            size = struct.unpack("<Q", rest[:8])[0]
            value, rest = rest[8:8 + size], rest[9 + size:]
        fields[name.decode()] = value.decode()
        datagram = rest
    return fields


class Journal:
    def __init__(self, rig: Rig):
        folder = os.path.join(rig.dir, "journal")
        os.makedirs(folder)
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        rig.stack.callback(self.socket.close)
        self.socket.bind(os.path.join(folder, "socket"))
        self.entries = []

    def expect(self, message_id, **fields):
        """An entry with this id and these fields, sooner or later."""
        deadline = time.monotonic() + 20
        wanted = {"MESSAGE_ID": IDS[message_id], **fields}
        while True:
            for entry in self.entries:
                if wanted.items() <= entry.items():
                    return entry
            true(time.monotonic() < deadline, f"{message_id} {wanted} is not in {self.entries}")
            if select.select([self.socket], [], [], 0.5)[0]:
                self.entries.append(fields_of(self.socket.recv(65536)))


def start(rig: Rig):
    types = os.path.join(rig.dir, "host", "etc", "mdevgpud", "types.d")
    os.makedirs(types)
    shutil.copy(FILE, os.path.join(types, "50-test.yaml"))
    machine(rig, "plug", GPU)
    journal = Journal(rig)
    log = os.path.join(rig.dir, "stderr")
    with open(log, "wb") as f:
        status = os.fstat(f.fileno())
        process = subprocess.Popen(
            ["unshare", "--mount", "--propagation", "private", "sh", "-c",
             f"mkdir -p /run/systemd/journal && mount --bind {rig.dir}/journal /run/systemd/journal && exec \"$@\"", "sh",
             DAEMON, "--root", os.path.join(rig.dir, "host"), "--address", rig.address, "--without-polkit"],
            stderr=f, env={**rig.env, "JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"})
    rig.stack.callback(process.wait)
    rig.stack.callback(process.kill)
    journal.expect("READY", PRIORITY="6")
    return journal, types


def machine(rig: Rig, *action):
    subprocess.run([DAEMON, "--root", os.path.join(rig.dir, "host"), *action], check=True, env=rig.env)


@test
def entries(rig: Rig):
    """each kind of event is in the journal once it happens, with its id and its fields"""
    journal, types = start(rig)
    journal.expect("GPU_ADDED", MDEVGPU_GPU=GPU)
    equal(rig.ctl("create", GPU, "Reference half", UUID).status, 0)
    created = journal.expect("VGPU_CREATED", MDEVGPU_GPU=GPU, MDEVGPU_VGPU=UUID, MDEVGPU_TYPE="mdevgpu_ref-1")
    true(created["MDEVGPU_SENDER"].startswith(":") and UUID in created["MESSAGE"], created)
    equal(rig.ctl("destroy", UUID).status, 0)
    journal.expect("VGPU_DESTROYED", MDEVGPU_VGPU=UUID)
    equal(rig.ctl("create", GPU, "Reference half", UUID, "--attr=nothing=1").status, 1)
    journal.expect("VGPU_FAILED", MDEVGPU_VGPU=UUID, PRIORITY="5")

    equal(rig.ctl("create", GPU, "Reference half", UUID).status, 0)
    machine(rig, "mdev-remove", UUID)
    journal.expect("VGPU_LOST", MDEVGPU_VGPU=UUID, MDEVGPU_GPU=GPU, PRIORITY="5")

    bad = os.path.join(types, "60-bad.yaml")
    with open(bad, "w", encoding="utf-8") as f:
        f.write("version: 1\ntipes: []\n")
    equal(rig.ctl("reload").status, 1)
    journal.expect("CONFIG_REFUSED", PRIORITY="3")
    true(any(entry.get("MDEVGPU_FILE", "").endswith("60-bad.yaml") for entry in journal.entries), journal.entries)
    journal.expect("DEGRADED")
    os.unlink(bad)
    equal(rig.ctl("reload").status, 0)
    journal.expect("RECOVERED")

    with open(bad, "w", encoding="utf-8") as f:
        f.write(f'version: 1\nmatch: {{address: "{GPU}"}}\ntypes:\n'
                "- {id: 7, name: Too large, max-instances: 1, framebuffer: 4096GiB}\n")
    rig.ctl("reload")
    journal.expect("TYPE_REFUSED", MDEVGPU_GPU=GPU, MDEVGPU_TYPE="mdevgpu_ref-7")

    machine(rig, "unplug", GPU)
    journal.expect("GPU_REMOVED", MDEVGPU_GPU=GPU)


@test
def jobs(rig: Rig):
    """a job's end is in the journal, with its number and its error"""
    journal, types = start(rig)
    folder = os.path.join(os.path.dirname(types), "topologies.d")
    os.makedirs(folder)
    with open(os.path.join(folder, "10-test.yaml"), "w", encoding="utf-8") as f:
        f.write(f'version: 1\ntopologies:\n  one:\n  - match: {{address: "{GPU}"}}\n    vgpus: [{{type: Reference half}}]\n'
                f'  none:\n  - match: {{address: "{GPU}"}}\n    vgpus: []\n')
    equal(rig.ctl("reload").status, 0)
    equal(rig.ctl("topology", "apply", "one").status, 0)
    journal.expect("JOB_DONE", MDEVGPU_JOB="1", PRIORITY="6")
    group = next(name for name in os.listdir(os.path.join(rig.dir, "host", "dev", "vfio")) if name.isdigit())
    with open(os.path.join(rig.dir, "host", "dev", "vfio", group), "rb"):
        equal(rig.ctl("topology", "apply", "none").status, 1)
    journal.expect("JOB_FAILED", MDEVGPU_JOB="2", PRIORITY="4", MDEVGPU_ERROR="org.mdevgpu1.Error.InUse")


@test
def workers(rig: Rig):
    """a worker that is killed is told of"""
    journal, _ = start(rig)
    pids = subprocess.run(["pgrep", "-f", "--", f"--worker {os.path.realpath(rig.dir)}/host {GPU}"], capture_output=True,
                          text=True, check=True).stdout.split()
    os.kill(int(pids[0]), 9)
    journal.expect("WORKER_LOST", MDEVGPU_GPU=GPU)


@test
def catalog(rig: Rig):
    """journalctl takes the catalog up, and it explains every id, and no other"""
    root = os.path.join(rig.dir, "root")
    folder = os.path.join(root, "usr/lib/systemd/catalog")
    os.makedirs(folder)
    os.makedirs(os.path.join(root, "var/lib/systemd/catalog"))
    shutil.copy(os.path.join(SOURCE, "catalog/mdevgpud.catalog"), folder)
    done = subprocess.run(["journalctl", f"--root={root}", "--update-catalog"], capture_output=True, text=True, check=False)
    equal((done.returncode, done.stderr), (0, ""), done)
    listed = subprocess.run(["journalctl", f"--root={root}", "--list-catalog"], capture_output=True, text=True, check=True)
    equal(sorted(line.split()[0] for line in listed.stdout.splitlines()), sorted(IDS.values()))
    for name, message_id in IDS.items():
        text = subprocess.run(["journalctl", f"--root={root}", "--dump-catalog", message_id], capture_output=True, text=True,
                              check=True).stdout
        true(re.search(r"^Subject: .+\nDefined-By: mdevgpud\nDocumentation: man:mdevgpud\(8\)\n\n.{40,}", text, re.M | re.S),
             f"{name}: {text}")
        true(set(re.findall(r"@(\w+)@", text)) <= {"MDEVGPU_GPU", "MDEVGPU_VGPU", "MDEVGPU_TYPE", "MDEVGPU_JOB"}, text)
    equal(len(set(IDS.values())), len(IDS))


run()
