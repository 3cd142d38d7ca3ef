# shellcheck shell=bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# What suites about virtual functions share. The machine's NVMe controller has four; the module vf_gpu makes a GPU of it
# (see tests/vm/modules): there is no GPU with virtual functions that QEMU emulates.

# shellcheck source=project.sh
. /rig/guest/project.sh

PF=$(lspci -Dn -d 1b36:0010 | head -n 1 | cut -d' ' -f1)
PCI=/sys/bus/pci/devices

# driver_of ADDRESS: none prints nothing.
driver_of() {
        basename "$(readlink "$PCI/$1/driver")"
}

# vf NUMBER: its address, counted from 1 as people do
vf() {
        basename "$(readlink "$PCI/$PF/virtfn$(($1 - 1))")"
}

# type_of ID COLUMN: of the list's row, counted from 0
type_of() {
        rows ListTypes "select(.[0] == \"$PF\" and .[1] == \"$1\") | .[$2]"
}

# type_reason ID
type_reason() {
        property "$(type_of "$1" 6)" Type Reason
}

# gpu_property INTERFACE NAME
gpu_property() {
        property "$(rows ListGpus "select(.[0] == \"$PF\") | .[4]")" "$1" "$2"
}

gpu_backend() {
        rows ListGpus "select(.[0] == \"$PF\") | .[5].backend.data"
}

# create_vf GPU TYPE [OPTIONS]: in gdbus's notation
create_vf() {
        local reply

        reply=$(call CreateVGpu "$1" "$2" "" "${3:-{\}}" 2>&1) || { echo "$reply"; return 1; }
        sed -n "s/^('\([0-9a-f-]*\)', .*/\1/p" <<<"$reply" | grep .
}

# The card becomes a GPU with the driver of that name: the kernel's own, or one of vf_gpu's.
personality() {
        # What the others do not bind udev would have nvme loaded for.
        echo "blacklist nvme" >/etc/modprobe.d/sriov.conf
        udevadm settle
        modprobe -r nvme vf_gpu 2>/dev/null
        if [ "$1" = nvme ]; then
                rm /etc/modprobe.d/sriov.conf
                modprobe -a vf_gpu nvme
        else
                modprobe vf_gpu personality="$1"
        fi
        udevadm settle
}

held_by_anybody() {
        find /proc/[0-9]*/fd -lname '/dev/vfio/[0-9]*' 2>/dev/null | grep .
}

# What NVIDIA's program of that name does, by the same means (580, read): the functions are made while a driver has the
# card that does nothing else.
sriov_manage_install() {
        mkdir -p /usr/lib/nvidia
        cat >/usr/lib/nvidia/sriov-manage <<'SCRIPT'
#!/bin/sh
cd "/sys/bus/pci/devices/$2" || exit
n=0
[ "$1" = -d ] || n=$(cat sriov_totalvfs)
echo "$2" >driver/unbind
echo pci-pf-stub >driver_override
echo "$2" >/sys/bus/pci/drivers/pci-pf-stub/bind
echo "$n" >sriov_numvfs
echo "$2" >driver/unbind
echo >driver_override
echo "$2" >/sys/bus/pci/drivers/nvidia/bind
SCRIPT
        chmod 755 /usr/lib/nvidia/sriov-manage
}
