# shellcheck shell=bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# VFIO migration of the reference module's vGPUs, and of those of a module that is not ours.

# shellcheck source=lib.sh
. /rig/guest/lib.sh

# shellcheck source=shim.sh
. /rig/guest/shim.sh

modprobe -a vfio_iommu_type1 mdev

heading "A vGPU that is moved"
check "modprobe mdevgpu_ref" modprobe mdevgpu_ref
check_soon "its node" test -c /dev/mdevgpu/gpu0
program shim-migrate gpu0

heading "Every step"
check "a type" "$RIG/shim-set" gpu0 1 0 64
uuid=$(new_uuid)
check "a vGPU" write /sys/bus/pci/devices/1000:00:00.0/mdev_supported_types/mdevgpu_ref-1/create "$uuid"
program shim-arcs "$uuid" 7

heading "A state, out of one vGPU and into another"
other=$(new_uuid)
check "another vGPU" write /sys/bus/pci/devices/1000:00:00.0/mdev_supported_types/mdevgpu_ref-1/create "$other"
program state-transfer "$uuid" "$other" shim 1000
check "rmmod" rmmod mdevgpu_ref mdevgpu

heading "Every step of a sample of the kernel's"
check "modprobe mtty" modprobe mtty
uuid=$(new_uuid)
check "a vGPU" write /sys/class/mdev_bus/mtty/mdev_supported_types/mtty-2/create "$uuid"
program shim-arcs "$uuid" 7 --mtty

heading "A state of the sample's"
other=$(new_uuid)
check "another vGPU" write /sys/class/mdev_bus/mtty/mdev_supported_types/mtty-2/create "$other"
program state-transfer "$uuid" "$other" mtty 1000
write "$(mdev_path "$other")/remove" 1
write "$(mdev_path "$uuid")/remove" 1

heading "The kernel's log"
check "has no complaint" not kernel_complains

finish
