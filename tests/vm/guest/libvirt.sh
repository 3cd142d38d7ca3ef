# shellcheck shell=bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# What suites about libvirt share: the daemon's card and type, libvirt's node devices, domains.

# shellcheck source=sriov.sh
. /rig/guest/sriov.sh

GPU=1000:00:00.0
NODE=pci_1000_00_00_0
TYPE=mdevgpu_ref-7
IMAGES=/var/lib/libvirt/images

# Debian's profiles, and no more of them than it takes
libvirt_start() {
        apparmor_parser -r /etc/apparmor.d/usr.sbin.libvirtd /etc/apparmor.d/usr.lib.libvirt.virt-aa-helper &&
                systemctl start libvirtd.service && wait_for "$PATIENCE" virsh -q uri
}

node() {
        echo "mdev_${1//-/_}_1000_00_00_0"
}

# nodes OPTION…: the names that libvirt lists
nodes() {
        virsh -q nodedev-list "$@" | grep .
}

# listed UUID OPTION…
listed() {
        local uuid=$1
        shift

        nodes --cap mdev "$@" | grep -qxF "$(node "$uuid")"
}

# node_info UUID FIELD
node_info() {
        virsh -q nodedev-info "$(node "$1")" | sed -n "s/^$2: *//p"
}

# node_xml NAME XPATH
node_xml() {
        virsh nodedev-dumpxml "$1" | xmllint --xpath "string($2)" -
}

# device_write [UUID]: what libvirt makes a mediated device of
device_write() {
        cat <<XML >/root/device.xml
<device><parent>$NODE</parent><capability type="mdev"><type id="$TYPE"/>${1:+<uuid>$1</uuid>}</capability></device>
XML
        echo /root/device.xml
}

# vgpu_is UUID STATE PERSISTENT AUTOSTART
vgpu_is() {
        local uuid=$1 name

        for name in State Persistent Autostart; do
                shift
                equals "$1" vgpu_property "$uuid" "$name" || return
        done
}

# domain_write NAME ATTACHMENT…: the files' elements stand in its devices, METADATA before them. Prints its file.
domain_write() {
        local name=$1
        shift

        cat <<XML >"/root/$name.xml"
<domain type='qemu'>
  <name>$name</name>
  ${METADATA:-}
  <memory unit='MiB'>128</memory>
  <vcpu>1</vcpu>
  <os>
    <type arch='x86_64' machine='pc'>hvm</type>
    <kernel>$IMAGES/pci-bare</kernel>
  </os>
  <features><acpi/></features>
  <cpu mode='maximum'/>
  <on_poweroff>destroy</on_poweroff>
  <on_reboot>destroy</on_reboot>
  <on_crash>destroy</on_crash>
  <devices>
    <controller type='usb' model='none'/>
    <memballoon model='none'/>
    <serial type='file'><source path='/var/log/libvirt/qemu/$name.console'/></serial>
$(cat "$@")
  </devices>
</domain>
XML
        echo "/root/$name.xml"
}

# project_start: the service, its profile and drivers, and one vGPU, whose UUID is then in FIRST.
project_start() {
        check "systemctl enable --now" systemctl enable --now "$UNIT"
        modprobe -a vfio_iommu_type1 vfio-pci mdevgpu_ref mdpy
        mkdir -p /etc/mdevgpud/types.d
        cat >/etc/mdevgpud/types.d/50-libvirt.yaml <<'PROFILE'
version: 1
match: {vendor: 0x6d67, device: 0x0001}
types:
  - {id: 7, name: "Fourth", class: Compute, max-instances: 4, framebuffer: 8192MiB, bar1: 1MiB, vdev-id: 0xC0DE0042}
  - {id: 8, name: "Hundredth", class: Compute, max-instances: 120, framebuffer: 64MiB, bar1: 1MiB, vdev-id: 0xC0DE0043}
PROFILE
        check "mdevgpuctl reload" mdevgpuctl reload
        check_soon "the profile's type is there" has_row ListTypes 1 "$TYPE"
        FIRST=$(create "$GPU" "$TYPE")
        check_output "and a vGPU of it" '^[0-9a-f-]{36}$' echo "$FIRST"
}

# Confined: what AppArmor refuses is refused here.
libvirt_check() {
        check "libvirtd starts" libvirt_start
        check_equal "confined" "libvirtd (enforce)" \
                "$(tr -d '\0' <"/proc/$(systemctl show -P MainPID libvirtd)/attr/current")"
        virsh nodedev-event --event lifecycle --loop --timestamp >"$EVIDENCE/events" 2>&1 &
        EVENTS=$!
}
