# shellcheck shell=bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The shim on the oldest kernel that it is for: types, vGPUs, VFIO, a guest.
#
# rig: --kernel 6.1

# shellcheck source=lib.sh
. /rig/guest/lib.sh

# shellcheck source=shim.sh
. /rig/guest/shim.sh

heading "Linux $(uname -r)"
check_output "is a 6.1" '^6\.1\.' uname -r
modprobe -a vfio_iommu_type1 mdev
check "modprobe mdevgpu_ref" modprobe mdevgpu_ref ngpu=2
check_soon "its nodes" test -c /dev/mdevgpu/gpu0 -a -c /dev/mdevgpu/gpu1
program shim-types gpu0
program shim-live gpu0
program shim-vfio gpu0
program shim-engine gpu0
program shim-migrate gpu0
program shim-event gpu0
check_soon "the GPU is back" test -c /dev/mdevgpu/gpu0

heading "A vGPU in a guest"
id=$((RANDOM + 1)) device=$(random_hex 4) subsystem=$(random_hex 4)
check "a type with ids drawn just now ($device:$subsystem)" "$RIG/shim-set" gpu0 "$id" "0x$device$subsystem" 1000
uuid=$(new_uuid)
check "mdevctl start" mdevctl start -u "$uuid" -p 1000:00:00.0 --type "mdevgpu_ref-$id"
check_output "a guest sees it on its PCI bus" \
        "^pci .* id=6d67:$device subsystem=6d67:$subsystem class=030200" nested "$uuid" -- \
        "poke=6d67:$device:1:0x1000:0x5ca1ab1e" "peek=6d67:$device:0:0x8"
cp "$EVIDENCE/out" "$EVIDENCE/guest"
check_output "reads its registers" "^peek 6d67:$device bar0\+0x8 0x0*$(printf %x "$id")\$" cat "$EVIDENCE/guest"
check_output "writes its memory" "^poke 6d67:$device bar1\+0x1000 0x5ca1ab1e\$" cat "$EVIDENCE/guest"
program shim-arcs "$uuid" 3
check "mdevctl stop" mdevctl stop -u "$uuid"

heading "At the end"
program shim-abi gpu1
check "has the kernel's log no complaint" not kernel_complains

finish
