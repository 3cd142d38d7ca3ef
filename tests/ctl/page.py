#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""org.mdevgpu1(5), as it is made of the XML, has what the running daemon shows on the bus, with the same types, no more and
no less; and every man page refers to pages that there are.

page.py MDEVGPUCTL MDEVGPUD-SIM PROFILE SOURCE
"""

import glob
import os
import re
import shutil
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree

from rig import DAEMON, FILE, Rig, equal, run, test, true

SOURCE = sys.argv[4]
GPU = "0000:41:00.0"
UUID = "c0ffee00-0000-4000-8000-000000000001"
GPU_PATH = "/org/mdevgpu1/gpu/_30000_3a41_3a00_2e0"
SRIOV_PATH = "/org/mdevgpu1/gpu/_30000_3a42_3a00_2e0"
NVIDIA = "0000:61:00.0"
NVIDIA_PATH = "/org/mdevgpu1/gpu/_30000_3a61_3a00_2e0"

# Of other projects; what is ours has a source below docs/.
FOREIGN = {"mdevctl(8)", "busctl(1)", "polkit(8)", "less(1)", "ssh(1)", "systemctl(1)", "systemd-stdio-bridge(1)",
           "journalctl(1)", "org.freedesktop.systemd1(5)", "systemd(1)", "glob(7)", "virsh(1)"}


def page():
    return subprocess.run([os.path.join(SOURCE, "docs/bus-page.py"), os.path.join(SOURCE, "dbus/org.mdevgpu1.xml")],
                          capture_output=True, text=True, check=True).stdout


def members_of_page(text):
    """INTERFACE → heads of members, as the page writes them, without its markup."""
    found, interface = {}, None
    for line in text.splitlines():
        if line.startswith("# INTERFACE "):
            interface = found.setdefault(line.removeprefix("# INTERFACE "), set())
        elif line.startswith("# "):
            interface = None
        elif interface is not None and re.match(r"\*\w+\*[:(]", line):
            interface.add(re.sub(r"[*_\\]", "", re.sub(r", (never|not|invalidated).*", "", line)))
    return found


def members_of_bus(rig: Rig, path):
    xml = subprocess.run(["busctl", f"--address={rig.address}", "--xml-interface", "introspect", "org.mdevgpu1", path],
                         capture_output=True, text=True, check=False, env=rig.env).stdout or "<node/>"

    def args(member, direction):
        return ", ".join(f"{a.get('type')} {a.get('name')}" for a in member.findall("arg")
                         if a.get("direction", "out") == direction)

    found = {}
    for interface in ElementTree.fromstring(xml).findall("interface"):
        if not interface.get("name").startswith("org.mdevgpu1."):
            continue
        heads = found.setdefault(interface.get("name"), set())
        for m in interface.findall("method"):
            out = args(m, "out")
            heads.add(f"{m.get('name')}({args(m, 'in')})" + (f" → ({out})" if out else ""))
        for s in interface.findall("signal"):
            heads.add(f"{s.get('name')}({args(s, 'out')})")
        for p in interface.findall("property"):
            heads.add(f"{p.get('name')}: {p.get('type')}")
    return found


@test
def interface(rig: Rig):
    """the page has every member that is on the bus, with its types, and no other"""
    host = os.path.join(rig.dir, "host")
    for folder in "types.d", "topologies.d":
        os.makedirs(os.path.join(host, "etc", "mdevgpud", folder))
    shutil.copy(FILE, os.path.join(host, "etc", "mdevgpud", "types.d", "50-test.yaml"))
    with open(os.path.join(host, "etc", "mdevgpud", "topologies.d", "10-test.yaml"), "w", encoding="utf-8") as f:
        f.write("version: 1\ntopologies: {none: []}\n")
    for action in (["plug", GPU], ["plug-sriov", "0000:42:00.0"], ["plug-nvidia", NVIDIA], ["set-vfs", NVIDIA, "8"]):
        subprocess.run([DAEMON, "--root", host, *action], check=True, env=rig.env)
    rig.start(DAEMON, "--root", host, "--address", rig.address, "--without-polkit")
    deadline = time.monotonic() + 20
    while not ("Reference half" in rig.ctl("types").out and "org.mdevgpu1.Gpu.MixedSize" in members_of_bus(rig, NVIDIA_PATH) and
               "org.mdevgpu1.Gpu.Sriov" in members_of_bus(rig, SRIOV_PATH)):
        true(time.monotonic() < deadline, rig.ctl("types"))
        time.sleep(0.05)
    equal(rig.ctl("create", GPU, "Reference half", UUID).status, 0)
    equal(rig.ctl("topology", "apply", "none").status, 0)

    live = {}
    for path in ("/org/mdevgpu1", GPU_PATH, SRIOV_PATH, NVIDIA_PATH, GPU_PATH + "/type/mdevgpu_5fref_2d1",
                 "/org/mdevgpu1/vgpu/_" + UUID.replace("-", "_"), "/org/mdevgpu1/job/1"):
        live.update(members_of_bus(rig, path))
    written = members_of_page(page())
    equal(sorted(written), sorted(live))
    for name, heads in live.items():
        written_heads = {re.sub(r"[*_\\]", "", head) for head in written[name]}
        live_heads = {re.sub(r"_", "", head) for head in heads}
        equal(sorted(written_heads), sorted(live_heads), name)


@test
def texts(rig: Rig):
    """every member has a text below it"""
    text = page()
    heads = re.findall(r"^\*\w+\*[:(].*\n(.*)", text.split("# SEE ALSO")[0], re.M)
    true(len(heads) > 80, len(heads))
    true(all(below.startswith("\t") and len(below) > 10 for below in heads), heads)


@test
def references(rig: Rig):
    """man pages refer to pages that there are"""
    sources = glob.glob(os.path.join(SOURCE, "docs", "*.scd"))
    pages = {re.sub(r"\.(\d)\.scd$", r"(\1)", os.path.basename(name)) for name in sources} | {"org.mdevgpu1(5)"}
    for name in sources:
        with open(name, encoding="utf-8") as f:
            text = f.read()
        for word in re.findall(r"\*([\w.-]+)\*(\(\d\))", text):
            true("".join(word) in pages | FOREIGN, f"{name}: {''.join(word)} is no page of ours, nor known")
        title, section = re.match(r"([\w.-]+)\((\d)\)\n", text).groups()
        true(os.path.basename(name) == f"{title}.{section}.scd", f"{name} is titled {title}({section})")
    for document in ("README.md", "docs/architecture.md", "docs/administrators-guide.md", "docs/contributing.md"):
        with open(os.path.join(SOURCE, document), encoding="utf-8") as f:
            text = f.read()
        for target in re.findall(r"\]\((?!https?:)([^)#]+)[)#]", text):
            true(os.path.exists(os.path.join(SOURCE, os.path.dirname(document), target)), f"{document}: {target}")
        for word in re.findall(r"`((?:mdevgpu|org\.mdevgpu)[\w.-]+\(\d\))`", text):
            true(word in pages, f"{document}: {word} is no page")


run()
