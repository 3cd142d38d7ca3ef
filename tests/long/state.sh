# shellcheck shell=bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# In the machine: states of vGPUs, by the daemon's own code and under a kernel that looks for mistakes, through what Debian's
# kernel does not have, a device's own node and iommufd; and so many mutations of an image, and as many of a state in a sound
# one. Nothing of them may be left. Argument: how many.

# shellcheck source=../vm/guest/lib.sh
. /rig/guest/lib.sh
# shellcheck source=../vm/guest/shim.sh
. /rig/guest/shim.sh

mutations=$1
PATIENCE=120
PROGRAM_TIMEOUT=3600
DEBUG=/sys/kernel/debug

mountpoint -q $DEBUG || mount -t debugfs debugfs $DEBUG
modprobe -a vfio_iommu_type1 mdev
check "Linux $(uname -r) has iommufd" test -c /dev/iommu
kernel_leaks >/dev/null
echo clear >$DEBUG/kmemleak

# there KIND TYPES TYPE: a state out of one and into another, every way out, the mutations
there() {
        local kind=$1 create=$2/$3/create uuid other nodes

        uuid=$(new_uuid) other=$(new_uuid)
        check "a vGPU" write "$create" "$uuid"
        check "another vGPU" write "$create" "$other"
        nodes=$(ls /dev/vfio/devices)
        check_soon "they have nodes of their own" test -e "$(mdev_path "$uuid")/vfio-dev"
        program state-transfer "$uuid" "$other" "$kind" "$mutations"
        check "by the node and iommufd" grep -q '(by its node and iommufd)' "$EVIDENCE/program"
        check_equal "no node is left open, and none is new" "$nodes" "$(ls /dev/vfio/devices)"
        check "the one goes at once" timeout 10 bash -c "echo 1 >'$(mdev_path "$uuid")/remove'"
        check "the other goes at once" timeout 10 bash -c "echo 1 >'$(mdev_path "$other")/remove'"
}

heading "States of the shim's vGPUs, $mutations mutations"
check "modprobe mdevgpu_ref" modprobe mdevgpu_ref
check_soon "its node" test -c /dev/mdevgpu/gpu0
check "a type" "$RIG/shim-set" gpu0 1 0 64
there shim /sys/bus/pci/devices/1000:00:00.0/mdev_supported_types mdevgpu_ref-1
check "rmmod" rmmod mdevgpu_ref mdevgpu

heading "States of the kernel's mtty, $mutations mutations"
check "modprobe mtty" modprobe mtty
there mtty /sys/class/mdev_bus/mtty/mdev_supported_types mtty-2
check "rmmod" rmmod mtty

heading "What the kernel says"
check "the kernel has found nothing" not kernel_complains
check "and no leak" not kernel_leaks

finish
