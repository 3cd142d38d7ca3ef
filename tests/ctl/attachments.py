#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What each kind of vGPU is attached by, over a simulated host, in the judgement of others: libvirt's schema of domains,
and a schema of the Container Device Interface.

attachments.py MDEVGPUCTL MDEVGPUD-SIM PROFILE
"""

import json
import os
import re
import shutil
import subprocess
import time
import xml.etree.ElementTree as ET

from cdi_schema import SCHEMA
from rig import DAEMON, FILE, Rig, equal, run, test, true

SHIM, VFS, NVIDIA, XE, WHOLE = ("0000:41:00.0", "0000:42:00.0", "0000:43:00.0", "0000:44:00.0", "0000:45:00.0")

DOMAIN = """<domain type='qemu'>
  <name>one</name>
  <memory unit='MiB'>128</memory>
  <os><type arch='x86_64' machine='q35'>hvm</type></os>
  <devices>
{}  </devices>
</domain>
"""


def machine(rig: Rig, *action):
    subprocess.run([DAEMON, "--root", os.path.join(rig.dir, "host"), *action], check=True, env=rig.env)


def start(rig: Rig):
    """A machine with one card of each kind, and the daemon."""
    types = os.path.join(rig.dir, "host", "etc", "mdevgpud", "types.d")
    os.makedirs(types)
    shutil.copy(FILE, os.path.join(types, "50-test.yaml"))
    cards = {"plug": SHIM, "plug-sriov": VFS, "plug-nvidia": NVIDIA, "plug-xe": XE, "plug-card": WHOLE}
    for verb, gpu in cards.items():
        machine(rig, verb, gpu)
    for gpu in VFS, NVIDIA, XE:
        machine(rig, "set-vfs", gpu, "2")
    rig.start(DAEMON, "--root", os.path.join(rig.dir, "host"), "--address", rig.address, "--without-polkit")
    deadline = time.monotonic() + 20
    while rig.ctl("types").out.count("\n") < 8 or "Reference half" not in rig.ctl("types").out:
        true(time.monotonic() < deadline, rig.ctl("types"))
        time.sleep(0.05)


def create(rig: Rig, gpu, type_id):
    result = rig.ctl("create", gpu, type_id)
    equal(result.status, 0, result)
    return json.loads(rig.ctl("--json", "status", result.out.strip()).out)[0]


def nvidia_type(rig: Rig):
    return [t["id"] for t in json.loads(rig.ctl("--json", "types", NVIDIA).out) if t["id"].startswith("nvidia-")][0]


def everything(rig: Rig):
    """One vGPU of each kind there is"""
    return [create(rig, SHIM, "Reference half"), create(rig, VFS, "vfio-pci-vf"), create(rig, NVIDIA, nvidia_type(rig)),
            create(rig, XE, "vfio-pci-vf"), create(rig, WHOLE, "vfio-pci")]


def functions(vgpu):
    """Those that are handed over: of the card that is whole its sound as well."""
    address = vgpu["parent"]
    return [address, address[:-1] + "1"] if vgpu["kind"] == "whole" else [address]


def attachment(rig: Rig, *arguments):
    result = rig.ctl("attachment", *arguments)
    equal((result.status, result.err), (0, ""), result)
    return result.out


def domain(rig: Rig, elements):
    """libvirt's own schema has nothing against it; returns its devices."""
    path = os.path.join(rig.dir, "domain.xml")
    with open(path, "w", encoding="utf-8") as f:
        f.write(DOMAIN.format(elements))
    done = subprocess.run(["virt-xml-validate", path, "domain"], capture_output=True, text=True, check=False)
    equal(done.returncode, 0, done.stdout + done.stderr + elements)
    return ET.parse(path).find("devices")


def address_of(element):
    a = element.find("source/address").attrib
    return f"{int(a['domain'], 16):04x}:{int(a['bus'], 16):02x}:{int(a['slot'], 16):02x}.{int(a['function'], 16):x}"


@test
def libvirt(rig: Rig):
    """libvirt's schema takes each kind, and all of them in one domain"""
    start(rig)
    vgpus = everything(rig)
    for vgpu in vgpus:
        elements = list(domain(rig, attachment(rig, vgpu["uuid"])))
        equal({element.tag for element in elements}, {"hostdev"})
        if vgpu["kind"] == "mdev":
            equal([(e.get("type"), e.get("model"), e.find("source/address").get("uuid")) for e in elements],
                  [("mdev", "vfio-pci", vgpu["uuid"])])
        else:
            # Its driver is the right one, and is not libvirt's to change.
            equal([(e.get("type"), e.get("managed"), address_of(e)) for e in elements],
                  [("pci", "no", address) for address in functions(vgpu)])
    together = domain(rig, attachment(rig, *[vgpu["uuid"] for vgpu in vgpus]))
    equal(len(together.findall("hostdev")), sum(len(functions(vgpu)) for vgpu in vgpus))


@test
def picture(rig: Rig):
    """a picture comes with what a machine needs for it, once, beside vGPUs without one"""
    start(rig)
    one, two = create(rig, SHIM, "Reference half"), create(rig, SHIM, "Reference half")
    function = create(rig, VFS, "vfio-pci-vf")
    shown = attachment(rig, one["uuid"], "--display", "--ramfb")
    devices = domain(rig, shown + attachment(rig, two["uuid"], function["uuid"]))
    equal([(h.get("type"), h.get("display"), h.get("ramfb")) for h in devices.findall("hostdev")],
          [("mdev", "on", "on"), ("mdev", None, None), ("pci", None, None)])
    equal([model.get("type") for model in devices.findall("video/model")], ["none"])
    equal([graphics.get("type") for graphics in devices.findall("graphics")], ["vnc"])

    for what in (["--ramfb", one["uuid"]], ["--display", function["uuid"]], ["--display", "--format=cdi", one["uuid"]]):
        refused = rig.ctl("attachment", *what)
        true(refused.status != 0 and refused.out == "" and refused.err != "", refused)


@test
def given_to_libvirt(rig: Rig):
    """--domain gives virsh the elements one by one, and takes them back and says so when one is refused"""
    start(rig)
    one, two = create(rig, SHIM, "Reference half"), create(rig, SHIM, "Reference half")
    whole = create(rig, WHOLE, "vfio-pci")
    folder, said = os.path.join(rig.dir, "bin"), os.path.join(rig.dir, "said")
    os.mkdir(folder)
    with open(os.path.join(folder, "virsh"), "w", encoding="utf-8") as f:
        f.write(f'#!/bin/sh\nline="$* $(tr "\\n" " ")"\necho "$line" >>{said}\n'
                f'case "$line" in *attach-device*{two["uuid"]}* | *attach-device*function=?0x1*) exit 1 ;; esac\n')
    os.chmod(os.path.join(folder, "virsh"), 0o755)
    env = {"PATH": f"{folder}:{rig.env['PATH']}"}

    done = rig.ctl("attachment", one["uuid"], "--domain", "web", "--config", env=env)
    equal((done.status, done.out), (0, ""), done)
    with open(said, encoding="utf-8") as f:
        lines = f.readlines()
    equal(len(lines), 1)
    true(re.search(f"attach-device .*--domain=web.*--config.*{one['uuid']}", lines[0]), lines[0])

    refused = rig.ctl("attachment", two["uuid"], "--domain", "web", env=env)
    true(refused.status == 1 and "has not attached it to the domain web" in refused.err, refused)

    # A card with its sound: not the one without the other.
    os.unlink(said)
    refused = rig.ctl("attachment", whole["uuid"], "--domain", "web", "--live", env=env)
    equal(refused.status, 1, refused)
    with open(said, encoding="utf-8") as f:
        calls = re.findall(r"(\w+)-device --domain=web .*--live.*function=.0x(\d)", f.read())
    equal(calls, [("attach", "0"), ("attach", "1"), ("detach", "0")])


@test
def qemu(rig: Rig):
    """QEMU's arguments, one line for each"""
    start(rig)
    for vgpu in everything(rig):
        path = "/sys/bus/mdev/devices/" + vgpu["uuid"]
        paths = [path] if vgpu["kind"] == "mdev" else ["/sys/bus/pci/devices/" + f for f in functions(vgpu)]
        equal(attachment(rig, vgpu["uuid"], "--format=qemu"),
              " ".join("-device vfio-pci,sysfsdev=" + p for p in paths) + "\n")
        if vgpu["kind"] == "mdev":
            equal(attachment(rig, vgpu["uuid"], "--format=qemu", "--display", "--ramfb"),
                  f"-device vfio-pci-nohotplug,sysfsdev={path},display=on,ramfb=on\n")


@test
def cdi(rig: Rig):
    """a document of the Container Device Interface for each, with the node of its group"""
    start(rig)
    path, schema = os.path.join(rig.dir, "cdi.json"), os.path.join(rig.dir, "schema.json")
    with open(schema, "w", encoding="utf-8") as f:
        json.dump(SCHEMA, f)
    for vgpu in everything(rig):
        text = attachment(rig, vgpu["uuid"], "--format=cdi")
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
        done = subprocess.run(["/usr/bin/jsonschema", "-i", path, schema], capture_output=True, text=True, check=False)
        equal((done.returncode, done.stdout), (0, ""), done.stderr + text)
        document = json.loads(text)
        equal(document["devices"][0]["name"], vgpu["uuid"])
        equal(re.findall(r"/dev/vfio/\w+", text), [f"/dev/vfio/{vgpu['iommu_group']}", "/dev/vfio/vfio"])


run()
