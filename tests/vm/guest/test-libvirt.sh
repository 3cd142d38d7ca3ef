# shellcheck shell=bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# rig: --intel-iommu --sriov --memory 3072 --timeout 900 --append apparmor=1
#
# libvirt with the real mdevctl beside the daemon, confined by AppArmor as Debian ships it: types, vGPUs and definitions of
# either are the other's as well; and a domain of libvirt's starts with what GetAttachment says, a mediated device and a
# virtual function.

# shellcheck source=libvirt.sh
. /rig/guest/libvirt.sh

# The real mdevctl, as where the drop-in was masked; the other way is the suite nodedev.
mkdir -p /etc/systemd/system/libvirtd.service.d
ln -s /dev/null /etc/systemd/system/libvirtd.service.d/10-mdevgpud.conf
systemctl daemon-reload
personality xe
project_start
first=$FIRST
libvirt_check

heading "What there is"
check_soon "libvirt lists the card among those with types" grep -qx "$NODE" <(nodes --cap mdev_types)
check_equal "the type's name" "Fourth" "$(node_xml "$NODE" "//type[@id='$TYPE']/name")"
check_equal "how many are available" "$(rows ListTypes "select(.[1] == \"$TYPE\") | .[5]")" \
        "$(node_xml "$NODE" "//type[@id='$TYPE']/availableInstances")"
check "a vGPU that was there before libvirt" listed "$first"
check_equal "of its type" "$TYPE" "$(node_xml "$(node "$first")" "//capability/type/@id")"
check_equal "in its group" "$(vgpu_property "$first" IommuGroup)" "$(node_xml "$(node "$first")" "//iommuGroup/@number")"
second=$(create "$GPU" "$TYPE")
check_soon "one that is made now" listed "$second"
check "destroyed by us" call DestroyVGpu "$second" '{}'
check_soon "it is gone for libvirt" not listed "$second" --all

heading "virsh nodedev-create"
second=$(new_uuid)
check "it makes one" virsh nodedev-create "$(device_write "$second")"
check_soon "which is on the bus" in_state "$second" active
check_equal "not ours" false "$(vgpu_property "$second" Managed)"
check_fails "so we leave it alone" 'NotManaged' call DestroyVGpu "$second" '{}'
check "virsh nodedev-destroy" virsh nodedev-destroy "$(node "$second")"
check_soon "it is gone" not has_row ListVGpus 0 "$second"

heading "virsh nodedev-define"
check "it defines one" virsh nodedev-define "$(device_write "$second")"
check_soon "which is defined on the bus" vgpu_is "$second" defined true false
check "nodedev-autostart" virsh nodedev-autostart "$(node "$second")"
check_soon "it is to be started" vgpu_is "$second" defined true true
check "nodedev-autostart --disable" virsh nodedev-autostart --disable "$(node "$second")"
check_soon "it is not" vgpu_is "$second" defined true false
check "nodedev-start" virsh nodedev-start "$(node "$second")"
check_soon "it is active" vgpu_is "$second" active true false
check "our DestroyVGpu, as it is defined" call DestroyVGpu "$second" "{'unmanaged': <true>}"
check_soon "libvirt has it among the inactive" listed "$second" --inactive
check "nodedev-undefine" virsh nodedev-undefine "$(node "$second")"
check_soon "it is gone from the bus" not has_row ListVGpus 0 "$second"

heading "Defined by us"
check "DefineVGpu" define "$GPU" "$TYPE" "$second" "{}"
check_soon "libvirt has it among the inactive" listed "$second" --inactive
check_soon "it does not start by itself" equals no node_info "$second" Autostart
check "ModifyVGpu" call ModifyVGpu "$second" "{'autostart': <true>}"
check_soon "it does" equals yes node_info "$second" Autostart
check "virsh starts it" virsh nodedev-start "$(node "$second")"
check_soon "it is active on the bus" vgpu_is "$second" active true true
check_equal "for libvirt it is active and persistent" "yes yes" "$(node_info "$second" Active) $(node_info "$second" Persistent)"

heading "A restart"
check "of ours" systemctl restart "$UNIT"
check_soon "the vGPUs are as they were" vgpu_is "$second" active true true
check "libvirt has them" listed "$first"
kill "$EVENTS"
check "of libvirtd" systemctl restart libvirtd.service
check_soon "it finds them" listed "$first"
check "and the one that is defined" listed "$second"
check_equal "with its start" "yes" "$(node_info "$second" Autostart)"
check "UndefineVGpu" call UndefineVGpu "$second" '{}'
check_soon "it does not persist" equals no node_info "$second" Persistent
check "DestroyVGpu" call DestroyVGpu "$second" "{'unmanaged': <true>}"
check_soon "it is gone" not listed "$second" --all
for event in Created Deleted Defined Undefined; do
        check "libvirt told of $event" grep -q "$event" "$EVIDENCE/events"
done

heading "What is attached"
check "mdevgpuctl vfs" mdevgpuctl vfs "$PF" 2
function=$(create_vf "$PF" vfio-pci-vf)
picture=$(create mdpy mdpy-vga)
mdevgpuctl attachment "$first" "$function" >"$EVIDENCE/two.xml"
mdevgpuctl attachment "$first" >"$EVIDENCE/one.xml"
mdevgpuctl attachment "$picture" --display --ramfb >"$EVIDENCE/picture.xml"
cp "$RIG/pci-bare" "$IMAGES"
check "two in one domain: its schema" virt-xml-validate "$(domain_write two "$EVIDENCE/two.xml")" domain
check "a picture: its schema" virt-xml-validate "$(domain_write picture "$EVIDENCE/picture.xml" "$EVIDENCE/one.xml")" domain
check "libvirt takes the one" virsh define /root/two.xml
check "and the other" virsh define /root/picture.xml
check_equal "with its display" "on on none vnc" "$(virsh dumpxml picture | xmllint --xpath \
        "concat(//hostdev/@display, ' ', //hostdev/@ramfb, ' ', //video/model/@type, ' ', //graphics/@type)" -)"
check_output "for QEMU that is what we say" "vfio-pci-nohotplug.*sysfsdev.*$picture.*display.*on.*ramfb.*true" \
        virsh domxml-to-native qemu-argv --domain picture
check_output "namely" "^-device vfio-pci-nohotplug,sysfsdev=.*/$picture,display=on,ramfb=on\$" \
        mdevgpuctl attachment "$picture" --format qemu --display --ramfb
for uuid in "$first" "$function"; do
        mdevgpuctl attachment "$uuid" --format cdi >"$EVIDENCE/cdi"
        check_equal "for a container: its group's node, and VFIO's own" \
                "$(printf '%s\n' "/dev/vfio/$(vgpu_property "$uuid" IommuGroup)" /dev/vfio/vfio)" \
                "$(jq -r '.. | .path? // empty' "$EVIDENCE/cdi" | xargs ls)"
done

heading "A domain with both"
check "virsh start" virsh start two
pid=$(cat /run/libvirt/qemu/two.pid)
check_output "QEMU is confined, too" '^libvirt-[0-9a-f-]+ \(enforce\)' cat "/proc/$pid/attr/current"
check_fails "DestroyVGpu is refused, and names it" "InUse.*\b$pid\b" call DestroyVGpu "$first" '{}'
check_fails "of the function as well" "InUse.*\b$pid\b" call DestroyVGpu "$function" '{}'
check_output "GetUsers has the domain's name" "'vm': <'two'>" call GetUsers "$first" '{}'
check "the guest comes up" wait_for 190 grep -q 'pci-probe done' /var/log/libvirt/qemu/two.console
check_output "it sees the vGPU" '^pci .* id=6d67:c0de' cat /var/log/libvirt/qemu/two.console
check_output "and the function" '^pci .* id=1b36:0010' cat /var/log/libvirt/qemu/two.console
check "virsh destroy" virsh destroy two
check "then they can be destroyed" call DestroyVGpu "$first" '{}'
check "both" call DestroyVGpu "$function" '{}'
check "and that with a picture" call DestroyVGpu "$picture" '{}'

# It stays with NVIDIA's driver, and libvirt up to 9.0 at least wants vfio-pci of what it does not manage.
heading "A function of NVIDIA's"
check "mdevgpuctl vfs 0" mdevgpuctl vfs "$PF" 0
# It remembers of an address that what is there was detached, whatever is there since.
systemctl restart libvirtd
modprobe pci-pf-stub
personality nvidia
sriov_manage_install
check_soon "the driver has the card" equals nvidia driver_of "$PF"
check "mdevgpuctl vfs" mdevgpuctl vfs "$PF" all
check_soon "its types are there" has_row ListTypes 1 nvidia-1145
function=$(create_vf "$PF" nvidia-1145)
mdevgpuctl attachment "$function" >"$EVIDENCE/nvidia.xml"
check "libvirt takes the definition" virsh define "$(domain_write nvidia "$EVIDENCE/nvidia.xml")"
check_fails "and does not start it" 'must be manually detached from the host' virsh start nvidia
check_equal "the function is as it was" "nvidia 1145" "$(driver_of "$(vf 1)") $(cat "$PCI/$(vf 1)/nvidia/current_vgpu_type")"
check_equal "QEMU is told" "-device vfio-pci,sysfsdev=$PCI/$(vf 1)" "$(mdevgpuctl attachment "$function" --format qemu)"
check_output "and its guest sees it" '^pci .* id=1b36:0010' nested "$(vf 1)"
check "DestroyVGpu" call DestroyVGpu "$function" '{}'

check_peace
finish
