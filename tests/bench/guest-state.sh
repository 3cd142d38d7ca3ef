# shellcheck shell=bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# States of vGPUs of the reference module, which are a real driver's. Arguments: MiB, rounds.

# shellcheck source=../vm/guest/lib.sh
. /rig/guest/lib.sh

modprobe -a vfio_iommu_type1 mdev
modprobe mdevgpu_ref
check_soon "its node" test -c /dev/mdevgpu/gpu0
"$RIG/shim-set" gpu0 1 0 "$1:$1"
uuid=$(new_uuid)
write /sys/bus/pci/devices/1000:00:00.0/mdev_supported_types/mdevgpu_ref-1/create "$uuid"
mkdir -p /tmp/state
mount -t tmpfs none /tmp/state
"$RIG/bench" state "$uuid" "$1" /tmp/state "$2" >"$EVIDENCE/out" || exit 1
echo "A state of $1 MiB of the reference module's, to and from a file system in memory; ms, least of $2 rounds (median)"
awk '{ v[$1] = $2 / 1000 }
        function say(what, a, b) {
                printf "  %-58s %.1f : %.1f  = %.2f  (%.2f)\n", what, v[a ".min"], v[b ".min"], v[a ".min"] / v[b ".min"],
                        v[a ".median"] / v[b ".median"]
        }
        END {
                say("save: read and write alone", "save.plain", "save")
                say("save, CPU time: read and write alone", "save.plain.cpu", "save.cpu")
                say("restore: read and write alone", "restore.plain", "restore")
                say("restore, CPU time: read and write alone", "restore.plain.cpu", "restore.cpu")
        }' "$EVIDENCE/out"
