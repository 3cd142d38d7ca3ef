# shellcheck shell=bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Drivers with types of their own, the kernel's samples: what the bus shows is what sysfs and mdevctl show, and what is
# made and removed by one is seen by the others. And a card whose driver knows no vGPUs.
# rig: --device virtio-gpu-pci

# shellcheck source=project.sh
. /rig/guest/project.sh

gone() {
        ! has_row ListVGpus 0 "$1"
}

check "systemctl enable --now" systemctl enable --now "$UNIT"
busctl monitor --json=short org.mdevgpu1 >"$EVIDENCE/monitor" 2>&1 &
monitor=$!

# of_database PROPERTY: what udev's hardware database says of the card
of_database() {
        udevadm info --query=property --property="$1" --value --path="/sys/bus/pci/devices/$card"
}

heading "A display controller"
card=$(grep -l '^0x03' /sys/bus/pci/devices/*/class | cut -d / -f 6)
check_soon "the card is a GPU" has_row ListGpus 0 "$card"
path=$(rows ListGpus "select(.[0] == \"$card\") | .[4]")
check_soon "that makes no vGPUs" equals unsupported property "$path" Gpu State
check_output "and says why" virtio-pci property "$path" Gpu Reason
check_output "the hardware database knows it" . of_database ID_MODEL_FROM_DATABASE
check_equal "its name is the database's" "$(of_database ID_MODEL_FROM_DATABASE)" "$(property "$path" Gpu Name)"
check_equal "its vendor as well" "$(of_database ID_VENDOR_FROM_DATABASE)" "$(property "$path" Gpu Vendor)"

heading "GPUs and types"
drivers_load mtty mdpy mbochs
for gpu in mtty mdpy mbochs; do
        check_soon "$gpu is a GPU" has_row ListGpus 0 "$gpu"
done
check_equal "types, names, APIs and availability are what mdevctl says" "$(types_of_mdevctl)" "$(types_of_bus)"
check_equal "GetGpu has the path that the list has" \
        "$(rows ListGpus 'select(.[0] == "mtty") | .[4]')" \
        "$(busctl --json=short call org.mdevgpu1 /org/mdevgpu1 org.mdevgpu1.Manager GetGpu s mtty | jq -r '.data[0]')"

heading "Made over the bus"
ours=$(create mtty mtty-2)
check_output "CreateVGpu gives a UUID" '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' echo "$ours"
check_output "mdevctl lists it" "^$ours mtty mtty-2" mdevctl list
check_equal "the bus does" "$(vgpus_of_mdevctl)" "$(vgpus_of_bus)"
check_equal "it is active" active "$(vgpu_property "$ours" State)"
check_equal "it is ours" true "$(vgpu_property "$ours" Managed)"
check_equal "the path of its parent is right" "$(readlink -f "$(mdev_path "$ours")")" \
        "$(readlink -f "$(vgpu_property "$ours" SysfsPath)")"
check_equal "so is its IOMMU group" "$(basename "$(readlink "$(mdev_path "$ours")/iommu_group")")" \
        "$(vgpu_property "$ours" IommuGroup)"
check_equal "availability went along" "$(types_of_mdevctl)" "$(types_of_bus)"

heading "Made by mdevctl"
theirs=$(new_uuid)
check "mdevctl start" mdevctl start -u "$theirs" -p mdpy --type mdpy-vga
check_soon "it is on the bus" has_row ListVGpus 0 "$theirs"
check_soon "and active" equals active vgpu_property "$theirs" State
check_equal "it is not ours" false "$(vgpu_property "$theirs" Managed)"
check_fails "DestroyVGpu is refused" 'org\.mdevgpu1\.Error\.NotManaged' call DestroyVGpu "$theirs" '{}'
check "it is still there" test -e "$(mdev_path "$theirs")"
check "with unmanaged it is destroyed" call DestroyVGpu "$theirs" "{'unmanaged': <true>}"
check "and gone" test ! -e "$(mdev_path "$theirs")"
check "from the bus as well" gone "$theirs"
theirs=$(new_uuid)
mdevctl start -u "$theirs" -p mdpy --type mdpy-vga
check_soon "another is seen" has_row ListVGpus 0 "$theirs"
check "mdevctl stop" mdevctl stop -u "$theirs"
check_soon "that is seen, too" gone "$theirs"

heading "In use"
check "a process of another user holds it" hold "$ours" --uid "$NOBODY"
check_fails "DestroyVGpu is refused, and names the process" "org\.mdevgpu1\.Error\.InUse.*\b$HOLDER\b" \
        call DestroyVGpu "$ours" '{}'
check_fails "whoever insists" 'org\.mdevgpu1\.Error\.InUse' call DestroyVGpu "$ours" "{'unmanaged': <true>}"
check "it is still there" test -e "$(mdev_path "$ours")"
let_go
exec {group}<>"/dev/vfio/$(basename "$(readlink "$(mdev_path "$ours")/iommu_group")")"
check_fails "an open group is a use, too" "org\.mdevgpu1\.Error\.InUse.*\b$$\b" call DestroyVGpu "$ours" '{}'
exec {group}>&-
check "let go, it is destroyed" call DestroyVGpu "$ours" '{}'
check "it is gone" test ! -e "$(mdev_path "$ours")"
check "from the bus as well" gone "$ours"

heading "Refusals"
uuid=$(create mbochs mbochs-small "$(new_uuid)")
check "a UUID of one's own" has_row ListVGpus 0 "$uuid"
check_fails "twice" 'org\.mdevgpu1\.Error\.AlreadyExists' call CreateVGpu mtty mtty-2 "$uuid" '{}'
check_fails "no such GPU" 'org\.mdevgpu1\.Error\.NoSuchGpu' call CreateVGpu mttyx mtty-2 "" '{}'
check_fails "no such type" 'org\.mdevgpu1\.Error\.NoSuchType' call CreateVGpu mtty mtty-3 "" '{}'
check_fails "no such vGPU" 'org\.mdevgpu1\.Error\.NoSuchVGpu' call DestroyVGpu "$(new_uuid)" '{}'
check_fails "no UUID" 'org\.freedesktop\.DBus\.Error\.InvalidArgs' call CreateVGpu mtty mtty-2 "no-uuid" '{}'
check_fails "an unknown option" 'org\.freedesktop\.DBus\.Error\.InvalidArgs' call CreateVGpu mtty mtty-2 "" "{'colour': <'red'>}"
check_equal "nothing came of those" "$uuid" "$(rows ListVGpus '.[0]')"
available=$(rows ListTypes 'select(.[1] == "mdpy-vga") | .[5]')
for _ in $(seq "$available"); do
        create mdpy mdpy-vga >>"$EVIDENCE/many" || true
done
check_equal "as many as are available" "$available" "$(rows ListVGpus 'select(.[1] == "mdpy")' | wc -l)"
check_fails "and not one more" 'org\.mdevgpu1\.Error\.NoInstances' call CreateVGpu mdpy mdpy-vga "" '{}'

heading "A driver goes, and takes its vGPUs"
check_equal "the daemon agrees with mdevctl before" "$(vgpus_of_mdevctl)" "$(vgpus_of_bus)"
check "rmmod" rmmod mdpy
check_soon "the GPU is gone" not has_row ListGpus 0 mdpy
check_equal "its vGPUs are, too" "$uuid" "$(rows ListVGpus '.[0]')"

heading "Signals"
sleep 1
kill "$monitor"
for member in GpuAdded GpuRemoved VGpuAdded VGpuRemoved InterfacesAdded InterfacesRemoved; do
        check "$member was sent" grep -q "\"member\":\"$member\"" "$EVIDENCE/monitor"
done

check_peace
finish
