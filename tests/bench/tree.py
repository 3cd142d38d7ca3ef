# SPDX-License-Identifier: LGPL-2.1-or-later
"""A sysfs of files in memory: GPUs that are parents of mediated devices, and those. It reacts to nothing, but libudev,
mdevctl, libvirt and the daemon read it."""

import os
import uuid


def write(path, text):
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)


def address(i):
    return f"0000:{0x3b + i:02x}:00.0"


def device_uuid(i):
    return str(uuid.UUID(int=(0x4f0c1e4e9d0a4a4b8f33 << 48) | i))


def make_gpu(sys, i, n_types):
    path = f"{sys}/devices/pci0000:3a/{address(i)}"
    os.makedirs(path)
    write(f"{path}/vendor", "0x1234\n")
    write(f"{path}/device", "0x5678\n")
    write(f"{path}/class", "0x030200\n")
    write(f"{path}/uevent", f"DRIVER=bench\nPCI_CLASS=30200\nPCI_ID=1234:5678\nPCI_SLOT_NAME={address(i)}\n")
    for t in range(n_types):
        folder = f"{path}/mdev_supported_types/bench-{t}"
        os.makedirs(folder + "/devices")
        write(f"{folder}/available_instances", "16\n")
        write(f"{folder}/device_api", "vfio-pci\n")
        write(f"{folder}/name", f"Example 40-{t}\n")
        write(f"{folder}/description",
              "num_heads=1, frl_config=60, framebuffer=8192M, max_resolution=4096x2160, max_instance=16\n")
        write(f"{folder}/create", "")
    os.symlink("../../../bus/pci", f"{path}/subsystem")
    os.symlink("../../../bus/pci/drivers/bench", f"{path}/driver")
    os.symlink(f"../../devices/pci0000:3a/{address(i)}", f"{sys}/class/mdev_bus/{address(i)}")
    os.symlink(f"../../../devices/pci0000:3a/{address(i)}", f"{sys}/bus/pci/devices/{address(i)}")


def make_device(sys, gpu, n_type, i):
    name, parent = device_uuid(i), f"{sys}/devices/pci0000:3a/{address(gpu)}"
    group = f"{sys}/kernel/iommu_groups/{i + 1}"
    os.makedirs(f"{parent}/{name}")
    os.makedirs(f"{group}/devices")
    write(f"{parent}/{name}/remove", "")
    write(f"{parent}/{name}/uevent", "")
    os.symlink(f"../mdev_supported_types/bench-{n_type}", f"{parent}/{name}/mdev_type")
    os.symlink("../../../../bus/mdev", f"{parent}/{name}/subsystem")
    os.symlink(f"../../../../kernel/iommu_groups/{i + 1}", f"{parent}/{name}/iommu_group")
    os.symlink(f"../../../{name}", f"{parent}/mdev_supported_types/bench-{n_type}/devices/{name}")
    os.symlink(f"../../../devices/pci0000:3a/{address(gpu)}/{name}", f"{sys}/bus/mdev/devices/{name}")


def make(sys, n_gpus, n_types, n_devices):
    for folder in ("class/mdev_bus", "bus/mdev/devices", "bus/pci/devices", "bus/pci/drivers/bench",
                   "kernel/iommu_groups"):
        os.makedirs(f"{sys}/{folder}", exist_ok=True)
    for i in range(n_gpus):
        make_gpu(sys, i, n_types)
    for i in range(n_devices):
        make_device(sys, i % n_gpus, i // n_gpus % n_types, i)


def devpaths(n_gpus, n_devices):
    """What events are about: "SUBSYSTEM:DEVPATH"."""
    return [f"mdev:/devices/pci0000:3a/{address(i % n_gpus)}/{device_uuid(i)}" for i in range(n_devices)]
