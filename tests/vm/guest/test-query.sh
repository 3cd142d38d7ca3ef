# shellcheck shell=bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# rig: --memory 2048 --timeout 600
#
# What is known of moving a vGPU: a probe of real drivers, one that races a QEMU which starts, the vGPU that a migration goes
# to, and libvirt, which refuses what was said before that it would.

# shellcheck source=project.sh
. /rig/guest/project.sh

GPU=1000:00:00.0
TYPE=mdevgpu_ref-7

# probe UUID: its answer, as one line of JSON
probe() {
        mdevgpuctl migration "$1" --probe --json=short
}

# answered FILTER: what the last answer says to it
answered() {
        jq -rc "$1" "$EVIDENCE/out"
}

held_by_qemu() {
        call GetUsers "$1" '{}' | grep -q qemu
}

# As libvirt's hook asks, before a machine starts and when it has.
hold_for_start() {
        call HoldForStart "['$1']" '{}'
}

end_hold() {
        call EndHold "['$1']" '{}'
}

# hammer UUID: probes without a pause, and writes down each answer or error
hammer() {
        while :; do
                busctl call org.mdevgpu1 /org/mdevgpu1 org.mdevgpu1.Manager QueryMigration 'sa{sv}' "$1" 1 probe b true
        done 2>&1
}

machine_start() {
        exec qemu-system-x86_64 -accel tcg -M pc -m 64 -nodefaults -no-user-config -display none -S \
                -device "vfio-pci,sysfsdev=$(mdev_path "$1")" </dev/null
}

check "systemctl enable --now" systemctl enable --now "$UNIT"
drivers_load mdevgpu_ref mtty
mkdir -p /etc/mdevgpud/types.d
cat >/etc/mdevgpud/types.d/50-query.yaml <<'PROFILE'
version: 1
match: {vendor: 0x6d67}
types:
  - {id: 7, name: "Moved", max-instances: 4, framebuffer: 64MiB}
PROFILE
check "mdevgpuctl reload" mdevgpuctl reload
check_soon "the type is there" has_row ListTypes 1 "$TYPE"

heading "What two hosts compare"
check "of the shim's" mdevgpuctl migration "$GPU" "$TYPE" --json
check_equal "with the word of its module" 'true MGPUSTAT-1' "$(answered '"\(.migration) \(.migration_metadata)"')"
cp "$EVIDENCE/out" /root/there.json
check_output "another host with the same" '^compatible$' mdevgpuctl compat "$GPU" /root/there.json

heading "A probe"
uuid=$(create "$GPU" "$TYPE")
sample=$(create mtty mtty-2)
check "of the shim's" probe "$uuid"
check_equal "has what the module offers" "true true true true false running" \
        "$(answered '"\(.probed) \(.stop_copy) \(.p2p) \(.pre_copy) \(.dirty_tracking) \(.device_state)"')"
check_equal "and could be moved" "yes []" "$(answered '"\(.migratable) \(.reasons)"')"
check "how much it is" test "$(answered .data_size)" -gt 0
check "of mtty's" probe "$sample"
check_equal "has what the sample offers" "true true running yes" \
        "$(answered '"\(.stop_copy) \(.pre_copy) \(.device_state) \(.migratable)"')"
hold "$uuid"
check_fails "one that is held is not opened" 'in use by' probe "$uuid"
let_go
check_equal "nothing of it stays" "none" "$(vgpu_property "$uuid" MigrationState)"

# While somebody probes as fast as he can: QEMU never finds it open.
heading "A QEMU that starts"
hammers=()
for round in 1 2 3; do
        hammer "$uuid" >"/root/hammer-$round" &
        hammers+=($!)
done
check_soon "it is probed" grep -q '"probed" b true' /root/hammer-1 /root/hammer-2 /root/hammer-3
failed=0
for round in 1 2; do
        check "round $round: held" hold_for_start "$uuid"
        machine_start "$uuid" >"/root/qemu-$round" 2>&1 &
        qemu=$!
        wait_for "$PATIENCE" held_by_qemu "$uuid" >/dev/null || failed=$((failed + 1))
        kill "$qemu" 2>/dev/null || failed=$((failed + 1))
        wait "$qemu" 2>/dev/null
        end_hold "$uuid" >/dev/null
        sleep 0.3
done
check_equal "it started each time" "0" "$failed"
check_equal "and found nothing busy" "" "$(grep -hi busy /root/qemu-*)"
kill "${hammers[@]}"
wait "${hammers[@]}" 2>/dev/null
check_equal "or refused for these reasons alone" "" "$(grep -hv '"probed" b true' /root/hammer-* |
        grep -vE 'is in use|being (asked|changed)|asked already|being started|VFIO device is open already' | head -n 3)"
check "the lock kept some away" grep -q 'A virtual machine is being started' /root/hammer-1 /root/hammer-2 /root/hammer-3

heading "The destination's vGPU"
came=$(mdevgpuctl prepare-incoming "$GPU" "$TYPE" --lease=3600)
machine_start "$came" >/root/qemu-came 2>&1 &
qemu=$!
check_soon "a machine comes" held_by_qemu "$came"
check_fails "then it is not released" 'in use by .*qemu' call ReleaseIncoming "$came" '{}'
incoming=$(mdevgpuctl prepare-incoming "$GPU" "$TYPE" --lease=20)
check "for another none comes" in_state "$incoming" incoming
check "kill -9" kill -9 "$(main_pid)"
check_soon "its successor knows of the first" in_state "$came" incoming
check_soon "and removes the other when its time has come" not has_row ListVGpus 0 "$incoming"
check "what has come is kept" call ReleaseIncoming "$came" "{'keep': <true>}"
check "and is as any other" in_state "$came" active
kill "$qemu"
wait "$qemu" 2>/dev/null
check "it is destroyed as any other" call DestroyVGpu "$came" '{}'

heading "libvirt"
cat >/root/moved.xml <<XML
<domain type='qemu'>
  <name>moved</name><memory unit='MiB'>64</memory><vcpu>1</vcpu>
  <os><type arch='x86_64' machine='pc'>hvm</type></os>
  <devices>
    <controller type='usb' model='none'/><memballoon model='none'/>
$(mdevgpuctl attachment "$uuid")
  </devices>
</domain>
XML
check "libvirtd starts" systemctl start libvirtd.service
check_soon "and answers" virsh -q uri
check "virsh create" virsh create --paused /root/moved.xml
check_output "whose QEMU is too old, we say" "'migratable': <'no'>.*QEMU 7\.[0-9.]* runs with it" \
        call QueryMigration "$uuid" '{}'
check_fails "and libvirt refuses" "VFIO device doesn't support migration" virsh migrate --live moved qemu+unix:///system
check "virsh destroy" virsh destroy moved
check "DestroyVGpu" call DestroyVGpu "$uuid" '{}'
check "and the sample's" call DestroyVGpu "$sample" '{}'

check_peace
finish
