# shellcheck shell=bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The kernel-side shim by itself, without the project's daemon: its control channel, its vGPUs as VFIO, mdevctl
# and a guest see them, its GPUs plugged and unplugged.

# A real device of no use to anybody, to be given to the reference driver:
# rig: --device pci-testdev --timeout 500
# And one with virtual functions:
# rig: --device pcie-root-port,id=r,slot=1,chassis=1 --device nvme-subsys,id=s
# rig: --device nvme,serial=x,subsys=s,bus=r,sriov_max_vfs=4,sriov_vq_flexible=8,sriov_vi_flexible=8,max_ioqpairs=10,msix_qsize=12

# shellcheck source=lib.sh
. /rig/guest/lib.sh

# shellcheck source=shim.sh
. /rig/guest/shim.sh

DRIVER=/sys/bus/pci/drivers/mdevgpu_ref

gpus() {
        lspci -D -n -d 6d67: | cut -d' ' -f1 | xargs
}

modprobe -a vfio_iommu_type1 mdev

heading "Types"
check "modprobe mdevgpu_ref" modprobe mdevgpu_ref ngpu=2
check_soon "its nodes" test -c /dev/mdevgpu/gpu0 -a -c /dev/mdevgpu/gpu1
program shim-types gpu0

heading "Types under vGPUs"
program shim-live gpu0

heading "A vGPU as VFIO's user sees it"
program shim-vfio gpu0

heading "Its copy engine"
program shim-engine gpu0

heading "Events and usage"
program shim-event gpu0
check_soon "the GPU is back" test -c /dev/mdevgpu/gpu0

heading "A 32-bit program"
program shim-compat

heading "A vGPU as others see it"
gpu=1000:00:00.0
id=$((RANDOM + 1)) device=$(random_hex 4) subsystem=$(random_hex 4)
type=mdevgpu_ref-$id
udevadm settle
udevadm monitor -k -p -s pci >"$EVIDENCE/monitor" 2>&1 &
monitor=$!
check_soon "udevadm listens" grep -q KERNEL "$EVIDENCE/monitor"
other=$(printf %04x $((0x$device ^ 1)))
check "types with ids drawn just now ($device and $other:$subsystem)" "$RIG/shim-set" gpu0 \
        "$id" "0x$device$subsystem" 1000 $((id + 1)) "0x$other$subsystem" 500
check_soon "the parent's uevent" grep -q 'MDEV_STATE=registered' "$EVIDENCE/monitor"
kill "$monitor"
check_output "mdevctl types" "^  $type\$" mdevctl types --parent "$gpu"
uuid=$(new_uuid)
check "mdevctl start" mdevctl start -u "$uuid" -p "$gpu" --type "$type"
second=$(new_uuid)
check "and another" mdevctl start -u "$second" -p "$gpu" --type "mdevgpu_ref-$((id + 1))"
# It takes a while; meanwhile other things are done to other GPUs.
nested_start "$uuid" "$second" -- \
        "poke=6d67:$other:1:0x100:0x0badf00d" "peek=6d67:$device:1:0x100" "peek=6d67:$other:0:0x8" \
        "peek=6d67:$device:0:0x0" "peek=6d67:$device:0:0x8" "poke=6d67:$device:0:0x18:0x600dcafe" \
        "poke=6d67:$device:1:0x3fffffc:0x5ca1ab1e" "peek=6d67:$device:1:0x3fffffc" "peek=6d67:$device:1:0x0"
guest=$uuid

heading "Plugging"
check_equal "two GPUs at first" "1000:00:00.0 1000:00:01.0" "$(gpus)"
check "plug a third" write "$DRIVER/plug" 5
check_equal "it is there" "1000:00:00.0 1000:00:01.0 1000:00:05.0" "$(gpus)"
check_soon "with a node" test -c /dev/mdevgpu/gpu2
"$RIG/shim-set" gpu2 1 0 1000
uuid=$(new_uuid)
check "an idle vGPU on it" write /sys/bus/pci/devices/1000:00:05.0/mdev_supported_types/mdevgpu_ref-1/create "$uuid"
check "unplug" write "$DRIVER/unplug" 5
check "takes the vGPU along" test ! -e "$(mdev_path "$uuid")"
check "and the node" test ! -e /dev/mdevgpu/gpu2
check "unbind a driver" write "$DRIVER/unbind" 1000:00:01.0
check "its node goes" test ! -e /dev/mdevgpu/gpu1
check "bind it" write "$DRIVER/bind" 1000:00:01.0
check_soon "its node comes back" test -c /dev/mdevgpu/gpu1

heading "A real device"
testdev=$(lspci -D -n -d 1b36:0005 | cut -d' ' -f1)
check_fails "is not bound by itself" 'No such device' write "$DRIVER/bind" "$testdev"
check "new_id does not make it so" write "$DRIVER/new_id" "1b36 0005"
check "the driver is not there" test ! -e "/sys/bus/pci/devices/$testdev/driver"
check "driver_override does" write "/sys/bus/pci/devices/$testdev/driver_override" mdevgpu_ref
write "$DRIVER/remove_id" "1b36 0005"
check "bind" write "$DRIVER/bind" "$testdev"
check_soon "it has a node" test -d "/sys/bus/pci/devices/$testdev/mdevgpu"
check "unbind" write "$DRIVER/unbind" "$testdev"
write "/sys/bus/pci/devices/$testdev/driver_override" ""

heading "A real device with virtual functions"
real=$(lspci -D -n -d 1b36:0010 | cut -d' ' -f1 | head -n 1)
real_path=/sys/bus/pci/devices/$real
check "driver_override" write "$real_path/driver_override" mdevgpu_ref
[ ! -e "$real_path/driver" ] || write "$real_path/driver/unbind" "$real"
check "bind" write "$DRIVER/bind" "$real"
check "two of them" write "$real_path/sriov_numvfs" 2
vf=$(basename "$(readlink -f "$real_path/virtfn1")")
check_equal "are functions of the device" "$real" "$(basename "$(readlink -f "/sys/bus/pci/devices/$vf/physfn")")"
write "/sys/bus/pci/devices/$vf/driver_override" mdevgpu_ref
[ ! -e "/sys/bus/pci/devices/$vf/driver" ] || write "/sys/bus/pci/devices/$vf/driver/unbind" "$vf"
check_fails "and none of this driver's" 'No such device' write "$DRIVER/bind" "$vf"
check "unbind" write "$DRIVER/unbind" "$real"
check "takes them along" test ! -e "$real_path/virtfn0" -a ! -e "/sys/bus/pci/devices/$vf"
write "$real_path/driver_override" ""

heading "Two vGPUs in a guest"
check_output "it sees the first one on its PCI bus" \
        "^pci .* id=6d67:$device subsystem=6d67:$subsystem class=030200 bars=0:mem:0x1000,1:mem:0x4000000" nested_wait
cp "$EVIDENCE/out" "$EVIDENCE/guest"
check_output "reads its registers" "^peek 6d67:$device bar0\+0x8 0x0*$(printf %x "$id")\$" cat "$EVIDENCE/guest"
check_output "the magic among them" "^peek 6d67:$device bar0\+0x0 0x5550474d\$" cat "$EVIDENCE/guest"
check_output "writes a register" "^poke 6d67:$device bar0\+0x18 0x600dcafe\$" cat "$EVIDENCE/guest"
check_output "writes its memory" "^poke 6d67:$device bar1\+0x3fffffc 0x5ca1ab1e\$" cat "$EVIDENCE/guest"
check_output "and reads it" "^peek 6d67:$device bar1\+0x3fffffc 0x5ca1ab1e\$" cat "$EVIDENCE/guest"
check_output "it sees the other one, too" "^peek 6d67:$other bar0\+0x8 0x0*$(printf %x $((id + 1)))\$" cat "$EVIDENCE/guest"
check_output "whose memory it writes" "^poke 6d67:$other bar1\+0x100 0x0badf00d\$" cat "$EVIDENCE/guest"
check_output "which is not the first one's" "^peek 6d67:$device bar1\+0x100 0x0+\$" cat "$EVIDENCE/guest"
check_output "which was zero" "^peek 6d67:$device bar1\+0x0 0x0+\$" cat "$EVIDENCE/guest"
check_fails "a new type cannot come" 'Device or resource busy' "$RIG/shim-set" gpu0 $((id + 2)) 0 1000
check "mdevctl stop" mdevctl stop -u "$guest"
mdevctl stop -u "$second"
check "then it can" "$RIG/shim-set" gpu0 $((id + 2)) 0 1000
"$RIG/shim-set" gpu0

heading "The control channel, and the modules' departure"
program shim-abi gpu1
check_equal "no GPU is left" "" "$(gpus)"
check "modprobe again, for types that may come under vGPUs" modprobe mdevgpu_ref add_live=1
check_soon "its node" test -c /dev/mdevgpu/gpu0
program shim-live gpu0
check "rmmod" rmmod mdevgpu_ref mdevgpu

heading "Virtual functions"
vf_addresses() {
        lspci -D -n -d 6d67:0002 | cut -d' ' -f1 | xargs
}
pf=/sys/bus/pci/devices/1000:00:00.0
check "modprobe, for 4 of them" modprobe mdevgpu_ref ngpu=2 vfs=4
check_soon "the node" test -c /dev/mdevgpu/gpu0
check_equal "sriov_totalvfs" 4 "$(cat $pf/sriov_totalvfs)"
check "a type" "$RIG/shim-set" gpu0 1 0 1000
uuid=$(new_uuid)
check "a vGPU" write $pf/mdev_supported_types/mdevgpu_ref-1/create "$uuid"
check_fails "beside which there can be none" 'Device or resource busy' write $pf/sriov_numvfs 3
write "$(mdev_path "$uuid")/remove" 1
check "three" write $pf/sriov_numvfs 3
check_equal "are real functions" "1000:00:00.1 1000:00:00.2 1000:00:00.3" "$(vf_addresses)"
check_equal "of this GPU" 1000:00:00.0 "$(basename "$(readlink -f $pf/virtfn2/physfn)")"
check_equal "beside which there are no vGPUs" 0 "$(cat $pf/mdev_supported_types/mdevgpu_ref-1/available_instances)"
check_fails "five" 'out of range' write $pf/sriov_numvfs 5
check "none" write $pf/sriov_numvfs 0
check_equal "none is left" "" "$(vf_addresses)"
check "a vGPU again" write $pf/mdev_supported_types/mdevgpu_ref-1/create "$uuid"
write "$(mdev_path "$uuid")/remove" 1
write $pf/sriov_numvfs 4
check "unplug" write "$DRIVER/unplug" 0
check_equal "takes them along" "" "$(vf_addresses)"
check "rmmod" rmmod mdevgpu_ref mdevgpu

heading "The skeleton of a vendor module"
check "modprobe" modprobe mdevgpu_skeleton
check_soon "its node" test -c /dev/mdevgpu/gpu0
check "a type" "$RIG/shim-set" gpu0 7 0 256
uuid=$(new_uuid)
check "a vGPU" write /sys/bus/platform/devices/mdevgpu_skeleton/mdev_supported_types/mdevgpu_skeleton-7/create "$uuid"
check_fails "under which no other type comes" 'Device or resource busy' "$RIG/shim-set" gpu0 8 0 256
check "rmmod takes it along" rmmod mdevgpu_skeleton
check "it is gone" test ! -e "$(mdev_path "$uuid")"
check "rmmod" rmmod mdevgpu

heading "Everything at once, at random"
check "modprobe" modprobe mdevgpu_ref ngpu=2
seed=$RANDOM
program shim-abuse 15 "$seed" "$(modinfo -n mdevgpu_ref)"
modprobe mdevgpu_ref
check "rmmod after it (seed $seed)" rmmod mdevgpu_ref mdevgpu

heading "The kernel's log"
check "has no complaint" not kernel_complains

finish
