# shellcheck shell=bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# rig: --intel-iommu --timeout 600
# rig: --device pcie-root-port,id=rp1,slot=2,chassis=2 --device bochs-display,bus=rp1
#
# A real PCI display controller, behind a real IOMMU, handed over whole: to a guest within the guest, and back to its
# driver.

# shellcheck source=project.sh
. /rig/guest/project.sh

GPU=$(lspci -Dn -d 1234:1111 | cut -d' ' -f1)
PCI=/sys/bus/pci/devices/$GPU

driver() {
        basename "$(readlink "$PCI/driver")" | grep .
}

has_type() {
        rows ListTypes "select(.[0] == \"$GPU\" and .[1] == \"vfio-pci\") | .[5]"
}

# The type's property, of the only type there is
type_property() {
        property "$(rows ListTypes "select(.[0] == \"$GPU\" and .[1] == \"vfio-pci\") | .[6]")" Type "$1"
}

# create_whole [OPTIONS]: in gdbus's notation
create_whole() {
        local reply

        reply=$(call CreateVGpu "$GPU" vfio-pci "" "${1:-{\}}" 2>&1) || { echo "$reply"; return 1; }
        sed -n "s/^('\([0-9a-f-]*\)', .*/\1/p" <<<"$reply" | grep .
}

check_output "the machine has a display controller" '^0000:' echo "$GPU"
check "systemctl enable --now" systemctl enable --now "$UNIT"
modprobe -a bochs vfio_iommu_type1
udevadm settle
check_soon "a driver has it" equals bochs-drm driver
check_soon "it is on the bus, and ready" equals "ready" rows ListGpus "select(.[0] == \"$GPU\") | .[3]"

heading "vfio-pci is not loaded"
check "its type is there" equals 0 has_type
check_output "and says why there is none" 'vfio-pci is not loaded' type_property Reason
check_fails "so does a creation" 'NotSupported.*vfio-pci is not loaded' create_whole
check "modprobe vfio-pci" modprobe vfio-pci
check "mdevgpuctl reload" mdevgpuctl reload

heading "It shows the console"
check_output "the type says so" 'shows a picture|booted on|^$' type_property Reason
if type_property Reason | grep -q .; then
        check_fails "and a creation" 'InUse.*take-display' create_whole
else
        pass "no connector of it is enabled"
fi
check_equal "it stays with its driver" bochs-drm "$(driver)"

heading "Handed over"
vgpu=$(create_whole "{'take-display': <true>, 'label': <'whole'>}")
check_output "CreateVGpu" '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' echo "$vgpu"
check_equal "vfio-pci has it" vfio-pci "$(driver)"
check_equal "it is a whole card" whole "$(vgpu_property "$vgpu" Kind)"
check_equal "its folder is known" "$PCI" "$(vgpu_property "$vgpu" SysfsPath)"
check_equal "its group" "$(basename "$(readlink "$PCI/iommu_group")")" "$(vgpu_property "$vgpu" IommuGroup)"
check_equal "there is no second one" 0 "$(has_type)"
check_fails "and none can be made" 'NoInstances' create_whole

heading "Attached"
check_equal "for QEMU" "-device vfio-pci,sysfsdev=$PCI" "$(mdevgpuctl attachment "$vgpu" --format qemu)"
check_output "for libvirt" "<hostdev mode='subsystem' type='pci' managed='no'>" mdevgpuctl attachment "$vgpu"
mdevgpuctl attachment "$vgpu" --format cdi >"$EVIDENCE/cdi"
check_equal "for a container: the node of its group" "/dev/vfio/$(vgpu_property "$vgpu" IommuGroup)" \
        "$(jq -r '.devices[0].containerEdits.deviceNodes[].path' "$EVIDENCE/cdi")"

heading "A guest that sees it"
nested_start "$GPU" --
held_by_guest() {
        call DestroyVGpu "$vgpu" '{}' 2>&1 | grep -E "org\.mdevgpu1\.Error\.InUse.*\b$(pgrep -P "$NESTED_PID")\b"
}

held_by_anybody() {
        find /proc/[0-9]*/fd -lname '/dev/vfio/[0-9]*' 2>/dev/null | grep .
}

check_soon "QEMU opens it" held_by_anybody
check "while it runs DestroyVGpu is refused, and names it" held_by_guest
check_output "GetUsers names it as well" "<uint32 $(pgrep -P "$NESTED_PID")>" call GetUsers "$vgpu" '{}'
check "the guest comes up" nested_wait
guest=$(tr -d '\r' <"$NESTED_OUTPUT")
check_output "it sees the card" '^pci .* id=1234:1111 .*class=0380' echo "$guest"

heading "A restart"
check "systemctl restart" systemctl restart "$UNIT"
check "the vGPU is known by its UUID" has_row ListVGpus 0 "$vgpu"
check_equal "and is ours" true "$(vgpu_property "$vgpu" Managed)"
check_equal "with its label" whole "$(vgpu_property "$vgpu" Label)"

heading "Given back"
check_soon "DestroyVGpu" call DestroyVGpu "$vgpu" '{}'
check_equal "its driver has it again" bochs-drm "$(driver)"
check_equal "nothing is left" "" "$(rows ListVGpus)"
check_equal "nor any claim" "" "$(ls /run/mdevgpud/claims)"

heading "Defined"
vgpu=$(create_whole "{'take-display': <true>, 'persistent': <true>}")
file=/etc/mdevgpud/vgpus.d/$GPU/$vgpu
check_equal "it is written down" '{"kind":"whole","type":"vfio-pci","start":"manual","attrs":[]}' "$(jq -c . "$file")"
check_equal "mdevctl does not take it for an mdev" "[]" "$(mdevctl list -d --dumpjson)"
check "destroyed" call DestroyVGpu "$vgpu" '{}'
check_equal "it is defined" defined "$(vgpu_property "$vgpu" State)"
check "undefined" call UndefineVGpu "$vgpu" '{}'
check "the file is gone" test ! -e "$file"

heading "By somebody else"
echo vfio-pci >"$PCI/driver_override"
write "$PCI/driver/unbind" "$GPU"
write /sys/bus/pci/drivers_probe "$GPU"
check_soon "it is seen" has_row ListVGpus 1 "$GPU"
vgpu=$(rows ListVGpus '.[0]')
check_fails "and left alone" 'NotManaged' call DestroyVGpu "$vgpu" '{}'
check "unless told to" call DestroyVGpu "$vgpu" "{'unmanaged': <true>}"
check_equal "then the kernel gives it to its driver" bochs-drm "$(driver)"

check_peace
finish
