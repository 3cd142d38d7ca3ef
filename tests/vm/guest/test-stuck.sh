# shellcheck shell=bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Drivers that do not return: a removal that waits for a holder whom nobody sees, and a write that sleeps where no signal
# reaches it, with a control channel in its hands or without. Only what they touch may suffer, and the service can be
# restarted. All of it happens at once: each caller waits for as long as the daemon does.

# shellcheck source=project.sh
. /rig/guest/project.sh

SHIM_CREATE=/sys/class/mdev_bus/1000:00:00.0/mdev_supported_types/mdevgpu_ref-7/create
TYPE_CREATE=/sys/class/mdev_bus/mbochs/mdev_supported_types/mbochs-small/create

# restart_in SECONDS: and the new daemon is the one on the bus.
restart_in() {
        local start=$SECONDS before

        before=$(main_pid)
        timeout 60 systemctl restart "$UNIT" || return
        echo "took $((SECONDS - start)) s"
        [ $((SECONDS - start)) -le "$1" ] && [ "$(main_pid)" -ne "$before" ] && owns_name
}

# The workers that no signal reaches: their ids.
uninterruptible() {
        local status

        for status in /proc/[0-9]*/status; do
                grep -q '^Name:.mdevgpud-worke' "$status" && grep -q '^State:.D' "$status" && basename "${status%/status}"
        done 2>/dev/null | sort -n | grep .
}

# worker_sleeps PID
worker_sleeps() {
        uninterruptible | grep -qx "$1"
}

# only_sleep PID…: these, and no other
only_sleep() {
        [ "$(uninterruptible)" = "$(printf '%s\n' "$@" | sort -n)" ]
}

gpu_property() {
        property "$(rows ListGpus "select(.[0] == \"$1\") | .[4]")" Gpu "$2"
}

check "systemctl enable --now" systemctl enable --now "$UNIT"
mkdir -p /etc/mdevgpud/types.d
cat >/etc/mdevgpud/types.d/stuck.yaml <<'PROFILE'
version: 1
match: {vendor: 0x6d67}
types:
  - {id: 7, name: "Seven", max-instances: 4, framebuffer: 64MiB}
PROFILE
check "systemctl reload" systemctl reload "$UNIT"
drivers_load mtty mdpy mbochs mdevgpu_ref
check_soon "GPUs are there" has_row ListTypes 1 mtty-2
check_soon "all" has_row ListTypes 1 mdpy-vga
check_soon "of them" has_row ListTypes 1 mbochs-small
check_soon "with the profile's type" has_row ListTypes 1 mdevgpu_ref-7

heading "A removal that blocks"
vgpu=$(create mtty mtty-2)
check "something holds the vGPU that no /proc/PID/fd shows" hold "$vgpu" --hidden
check "so it does not" test -z "$(find "/proc/$HOLDER/fd" -lname '*vfio*')"
call DestroyVGpu "$vgpu" '{}' >"$EVIDENCE/destroy" 2>&1 &
destroyer=$!
check_soon "the removal begins" equals removing vgpu_property "$vgpu" State
check_soon "the kernel has hidden the device" test ! -e "$(mdev_path "$vgpu")"
second=$(create mtty mtty-2)
check "its GPU makes another meanwhile" test -e "$(mdev_path "$second")"
check "and removes that" call DestroyVGpu "$second" '{}'
check "other GPUs are served" create mdpy mdpy-vga

heading "A worker that sleeps for ever, and one with a control channel in its hands"
modprobe -a loop ext4
truncate -s 16M /root/disk
mkfs.ext4 -q /root/disk
mkdir /root/frozen
mount -o loop /root/disk /root/frozen
: >/root/frozen/create
mount --bind /root/frozen/create "$TYPE_CREATE"
mount --bind /root/frozen/create "$SHIM_CREATE"
fsfreeze --freeze /root/frozen
check_equal "the file's place is taken" ext2/ext3 "$(stat -f -c %T "$TYPE_CREATE")"
blocked=$(uninterruptible || echo none)

# One more than before
another_sleeps() {
        uninterruptible | grep -vxF -e "$blocked"
}

call CreateVGpu mbochs mbochs-small "" '{}' >"$EVIDENCE/create" 2>&1 &
creator=$!
check_soon "a worker is in D state" another_sleeps
worker=$(another_sleeps)
owner=$(find /proc/[0-9]*/fd -lname /dev/mdevgpu/gpu0 2>/dev/null | cut -d / -f 3 | head -n 1)
check_output "the shim's control channel is a worker's" mdevgpud-worke cat "/proc/$owner/comm"
call CreateVGpu 1000:00:00.0 mdevgpu_ref-7 "" '{}' >"$EVIDENCE/create-shim" 2>&1 &
shim_creator=$!
check_soon "that worker is in D state" worker_sleeps "$owner"
check "another GPU is served meanwhile" call DestroyVGpu "$(rows ListVGpus 'select(.[1] == "mdpy") | .[0]')" '{}'
check "lists answer" rows ListGpus

heading "Who waits is told"
wait "$destroyer"
check_output "of the removal, in time" "org\.mdevgpu1\.Error\.Timeout.*$vgpu" cat "$EVIDENCE/destroy"
wait "$creator"
check_output "of the creation, and of which process" "org\.mdevgpu1\.Error\.Timeout.*\b$worker\b" cat "$EVIDENCE/create"
wait "$shim_creator"
check_output "on the shim's GPU as well" "org\.mdevgpu1\.Error\.Timeout.*\b$owner\b" cat "$EVIDENCE/create-shim"
check_fails "the GPU is busy, and names the process" "org\.mdevgpu1\.Error\.Busy.*\b$worker\b" \
        call CreateVGpu mbochs mbochs-medium "" '{}'
check_equal "so says its state" busy "$(gpu_property mbochs State)"
check_output "and reason" "\b$worker\b" gpu_property mbochs Reason
check "the daemon itself can be asked" property /org/mdevgpu1 Manager Version

heading "A restart"
check "within 10 s" restart_in 10
check "the worker still sleeps" worker_sleeps "$worker"
check "so does the old owner" worker_sleeps "$owner"
check_soon "the new worker took the channel over" equals ready gpu_property 1000:00:00.0 State
sed -i 's/id: 7/id: 8/' /etc/mdevgpud/types.d/stuck.yaml
check "a reload goes through it" systemctl reload "$UNIT"
check_output "to the driver" mdevgpu_ref-8 ls /sys/class/mdev_bus/1000:00:00.0/mdev_supported_types
check_soon "and makes vGPUs" create 1000:00:00.0 mdevgpu_ref-8
check_soon "other GPUs are served" create mdpy mdpy-vga
check_soon "the GPU of the sleeper is listed" has_row ListGpus 0 mbochs
third=$(create mtty mtty-2)
check "the one of the removal makes a vGPU" test -e "$(mdev_path "$third")"
check_fails "whose UUID is still taken" 'org\.mdevgpu1\.Error\.' call CreateVGpu mtty mtty-2 "$vgpu" '{}'
let_go
check_soon "let go, the removal ends" not has_row ListVGpus 0 "$vgpu"
check_soon "and no process waits for it" only_sleep "$worker" "$owner"
check "then the UUID is free" create mtty mtty-2 "$vgpu"
check "and its vGPU can be destroyed" call DestroyVGpu "$vgpu" '{}'

heading "It wakes up"
fsfreeze --unfreeze /root/frozen
umount "$TYPE_CREATE"
umount --lazy "$SHIM_CREATE" 2>/dev/null
umount /root/frozen
check_soon "the old worker ends" not test -d "/proc/$worker"
check_soon "the old owner, too" not test -d "/proc/$owner"
check_soon "its GPU makes vGPUs again" create mbochs mbochs-small
check_soon "and says so" not equals busy gpu_property mbochs State
check "restart within 10 s" restart_in 10
check_equal "the bus shows what exists" "$(vgpus_of_mdevctl)" "$(vgpus_of_bus)"

finish
