# shellcheck shell=bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The machine by itself, without the project: a real kernel with vendor drivers, udev, mdevctl, and a guest within the
# guest. When this fails, so will everything else, and the project is not to blame.

# shellcheck source=lib.sh
. /rig/guest/lib.sh

mdev_type() {
        echo "/sys/class/mdev_bus/$1/mdev_supported_types/$2"
}

no_jobs() {
        ! systemctl list-jobs --no-legend | grep -vE ' (rig\.service|rig\.target) '
}

heading "The machine"
check_output "the kernel is Debian's 6.12" '^6\.12\..*-amd64$' uname -r
check_soon "systemd has done everything but this" no_jobs
check_equal "no unit failed" "" "$(systemctl --failed --no-legend)"
check "D-Bus answers" busctl --no-pager status org.freedesktop.DBus
check "polkit starts by activation" busctl call org.freedesktop.PolicyKit1 /org/freedesktop/PolicyKit1/Authority \
        org.freedesktop.PolicyKit1.Authority EnumerateActions s C
check_output "udev knows names of hardware" 'ID_VENDOR_FROM_DATABASE=Intel' udevadm info /sys/bus/pci/devices/0000:00:00.0

heading "Vendor drivers"
udevadm monitor -k -u -p -s mdev -s pci >"$EVIDENCE/monitor" 2>&1 &
monitor=$!
check_soon "udevadm listens" grep -q KERNEL "$EVIDENCE/monitor"
for module in vfio_iommu_type1 mtty mdpy mbochs; do
        check "modprobe $module" modprobe "$module"
done
udevadm settle
check_equal "three parents" "mbochs mdpy mtty" "$(find /sys/class/mdev_bus -mindepth 1 -printf "%f\n" | sort | xargs)"
check "mdevctl lists types" mdevctl types
check_equal "mdevctl's types are sysfs's" \
        "$(printf "%s\n" /sys/class/mdev_bus/*/mdev_supported_types/* | sed "s,.*/,," | sort)" \
        "$(mdevctl types --dumpjson | jq -r '.[] | to_entries[] | .value[] | keys[]' | sort)"

heading "A mediated device"
uuid=$(new_uuid)
available=$(mdev_type mtty mtty-2)/available_instances
before=$(cat "$available")
check "create by sysfs" write "$(mdev_type mtty mtty-2)/create" "$uuid"
check "it is there" test -e "$(mdev_path "$uuid")/mdev_type"
check "one less is available" test "$(cat "$available")" -lt "$before"
check_fails "not twice" 'File exists' write "$(mdev_type mtty mtty-2)/create" "$uuid"
check_output "mdevctl lists it" "^$uuid mtty mtty-2" mdevctl list
check_soon "its VFIO group has a node" test -c "/dev/vfio/$(basename "$(readlink "$(mdev_path "$uuid")/iommu_group")")"
check_soon "udev told of it" grep -qE "^UDEV .* bind .*/$uuid \(mdev\)" "$EVIDENCE/monitor"
check "remove" write "$(mdev_path "$uuid")/remove" 1
check "it is gone" test ! -e "$(mdev_path "$uuid")"
check_soon "udev told of that, too" grep -qE "^UDEV .* remove .*/$uuid \(mdev\)" "$EVIDENCE/monitor"
kill "$monitor"

heading "A guest in the guest"
uuid=$(new_uuid)
check "mdevctl start" mdevctl start -u "$uuid" -p mtty --type mtty-2
check_output "the nested guest sees mtty on its bus" '^pci .* id=4348:3253 subsystem=4348:3253 .*bars=0:io:0x8' nested "$uuid"
check "mdevctl stop" mdevctl stop -u "$uuid"

finish
