# shellcheck shell=bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The main job, step by step, for a person to read: a profile becomes types, one of them a vGPU, and that a device in a
# guest. Each step prints what it runs.

# shellcheck source=project.sh
. /rig/guest/project.sh

# The whole of it, with a guest that people run
NESTED_GUEST=linux
set -eE
trap 'echo; echo "This step failed."' ERR

step() {
        printf '\n── %s\n' "$*"
}

run() {
        printf '$ %s\n' "$*"
        "$@"
}

step "The machine, with two synthetic GPUs of the reference module, and the service enabled"
run uname -sr
run modprobe mdevgpu_ref ngpu=2
modprobe vfio_iommu_type1
udevadm settle
run lspci -D -nn -d 6d67:
run systemctl enable --quiet --now mdevgpud
run mdevgpuctl gpus
echo "(The driver offers no types of its own:)"
run mdevctl types

step "A profile for it, in /etc/mdevgpud/types.d"
mkdir -p /etc/mdevgpud/types.d
cat >/etc/mdevgpud/types.d/50-demo.yaml <<'PROFILE'
version: 1
match: {vendor: 0x6d67, device: 0x0001}
types:
  - {id: 7, name: "Demo/8", class: Compute, max-instances: 4, framebuffer: 8192MiB, bar1: 1MiB, vdev-id: 0xC0DE0042}
PROFILE
run cat /etc/mdevgpud/types.d/50-demo.yaml
run mdevgpuctl reload
wait_for "$PATIENCE" has_row ListTypes 2 Demo/8 >/dev/null
run mdevgpuctl types
run mdevctl types

step "A vGPU"
run mdevgpuctl create 1000:00:00.0 Demo/8
uuid=$(mdevgpuctl list --json | jq -r '.[0].uuid')
run mdevgpuctl list
run mdevctl list
run mdevgpuctl status "$uuid"

step "A guest with it (emulated within this emulated machine, so it takes a minute)"
echo "\$ qemu-system-x86_64 … -device vfio-pci,sysfsdev=/sys/bus/mdev/devices/$uuid"
nested_start "$uuid"
sleep 5
echo "While it runs the vGPU is in use:"
trap - ERR
run mdevgpuctl destroy "$uuid" || true
trap 'echo; echo "This step failed."' ERR
echo "What the guest finds on its PCI bus:"
nested_wait >"$EVIDENCE/guest"
grep '^pci ' "$EVIDENCE/guest"

step "The guest has ended, the vGPU goes"
run mdevgpuctl destroy "$uuid"
run mdevgpuctl list
run mdevctl list
