# shellcheck shell=bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# What becomes of vGPUs when others make and remove them, when the daemon is killed, when a driver or a card goes, and
# when events are lost or forged: in the end the bus shows what the kernel has.

# shellcheck source=project.sh
. /rig/guest/project.sh

GPU=1000:00:00.0
OTHER=1000:00:01.0
TYPE=mdevgpu_ref-7
MTTY_TYPE=/sys/class/mdev_bus/mtty/mdev_supported_types/mtty-2

refresh() {
        gdbus call --system -d org.mdevgpu1 -o "$(rows ListGpus "select(.[0] == \"$1\") | .[4]")" -m org.mdevgpu1.Gpu.Refresh '{}'
}

# What is active by the bus' word; defined ones that are not do not count.
active_of_bus() {
        rows ListVGpus 'select(.[3] == "active") | [.[0], .[1], .[2]] | @tsv' | sort
}

# The model equals sysfs.
agrees() {
        vgpus_of_mdevctl >"$EVIDENCE/theirs"
        active_of_bus >"$EVIDENCE/ours"
        diff "$EVIDENCE/theirs" "$EVIDENCE/ours" &&
                types_of_mdevctl >"$EVIDENCE/theirs" && types_of_bus >"$EVIDENCE/ours" && diff "$EVIDENCE/theirs" "$EVIDENCE/ours"
}

n_mdevs() {
        find /sys/bus/mdev/devices -mindepth 1 | wc -l
}

# make UUID: as anybody may, past the daemon
make() {
        write "$MTTY_TYPE/create" "$1"
}

profile_write() {
        mkdir -p /etc/mdevgpud/types.d
        cat >/etc/mdevgpud/types.d/life.yaml <<PROFILE
version: 1
match: {vendor: 0x6d67}
types:
  - {id: 7, name: "Seven", max-instances: 4, framebuffer: $1MiB}
PROFILE
}

heading "Made by others, before the daemon ran"
drivers_load mtty mdpy
early=$(new_uuid)
make "$early"
check "systemctl enable --now" systemctl enable --now "$UNIT"
check "it is there" in_state "$early" active
check_equal "and not ours" false "$(vgpu_property "$early" Managed)"
ours=$(create mtty mtty-2)
check "systemctl restart" systemctl restart "$UNIT"
check_equal "still not ours" false "$(vgpu_property "$early" Managed)"
check_equal "ours still is" true "$(vgpu_property "$ours" Managed)"
check "systemctl stop" systemctl stop "$UNIT"
check_equal "both are there without the daemon" 2 "$(n_mdevs)"
late=$(new_uuid)
make "$late"
write "$(mdev_path "$ours")/remove" 1
make "$ours"
check "systemctl start" systemctl start "$UNIT"
check "it agrees with sysfs" agrees
check "systemctl stop, with a reset" systemctl stop "$UNIT"
for uuid in "$early" "$late" "$ours"; do
        write "$(mdev_path "$uuid")/remove" 1
done
systemctl start "$UNIT"
check_equal "what went meanwhile is not shown" "" "$(rows ListVGpus)"

heading "Killed in the middle"
shopt -s nullglob
# killed_while NAME N WHO COMMAND…: calls it with each of UUIDS while there are N devices, and kills WHO when the first
# of them has been done. The shell alone does that: any other program would be too late.
killed_while() {
        local name=$1 n=$2 who=$3 before devices
        shift 3

        before=$(main_pid)
        for uuid in "${UUIDS[@]}"; do
                "$@" "$uuid" '{}' >/dev/null 2>&1 &
        done
        while :; do
                devices=(/sys/bus/mdev/devices/*)
                [ ${#devices[@]} -eq "$n" ] || break
        done
        if [ "$who" = main ]; then
                kill -KILL "$before"
        else
                # shellcheck disable=SC2046
                kill -KILL $(<"/sys/fs/cgroup/system.slice/$UNIT/cgroup.procs")
        fi
        wait
        systemctl reset-failed "$UNIT"
        check_soon "$name: systemd starts it again" another_runs "$before"
        check_soon "it agrees with sysfs" agrees
        check_equal "all are ours" "" "$(rows ListVGpus 'select(.[6].managed.data | not)')"
        note "$(n_mdevs) of ${#UUIDS[@]} exist"
}

another_runs() {
        [ "$(systemctl is-active "$UNIT")" = active ] && [ "$(main_pid)" -ne "$1" ] && owns_name
}

for who in main all; do
        UUIDS=()
        for _ in 1 2 3 4 5 6; do
                UUIDS+=("$(new_uuid)")
        done
        killed_while "creation, $who" 0 "$who" call CreateVGpu mtty mtty-2
        for uuid in "${UUIDS[@]}"; do
                test -e "$(mdev_path "$uuid")" || create mtty mtty-2 "$uuid" >/dev/null
        done
        check_equal "the rest can be made" 6 "$(n_mdevs)"
        killed_while "removal, $who" 6 "$who" call DestroyVGpu
        for uuid in "${UUIDS[@]}"; do
                ! test -e "$(mdev_path "$uuid")" || call DestroyVGpu "$uuid" '{}' >/dev/null
        done
        check_equal "the rest can be removed" 0 "$(n_mdevs)"
done

heading "Removed by somebody else while it is held"
held=$(new_uuid)
check "defined" define mtty mtty-2 "$held" "{'autostart': <true>}"
check "and started" call StartVGpu "$held" '{}'
check "held" hold "$held"
write "$(mdev_path "$held")/remove" 1 &
check_soon "the kernel has hidden it" test ! -e "$(mdev_path "$held")"
check "but keeps it in its group, which tells that it is held" test -e /sys/kernel/iommu_groups/*/devices/"$held"
check "nobody has said so" in_state "$held" active
forge() {
        "$@" /rig/udev-forge /devices/virtual/mtty/mtty mtty MDEV_STATE=registered
}
check_fails "a user cannot say so" 'Operation not permitted' forge setpriv --reuid $NOBODY --clear-groups
check "nor, if the kernel lets him" forge setpriv --reuid $NOBODY --clear-groups --inh-caps +net_admin --ambient-caps +net_admin
sleep 1
check "is he believed" in_state "$held" active
check "root is" forge env
check_soon "what is read then is that it is on its way out" in_state "$held" removing
check_output "with the reason" 'somebody else removes it' vgpu_property "$held" LastError
check_output "GetUsers names who holds it" "'pid': <uint32 $HOLDER>.*'vfio-hold'" call GetUsers "$held" '{}'
check_fails "its UUID is taken" 'org\.mdevgpu1\.Error\.AlreadyExists' call CreateVGpu mdpy mdpy-vga "$held" '{}'
check_fails "it cannot be started" 'org\.mdevgpu1\.Error\.Busy' call StartVGpu "$held" '{}'
check "another can be made" create mtty mtty-2
check "systemctl restart" systemctl restart "$UNIT"
check "it is still on its way out" in_state "$held" removing
check_fails "its UUID still taken" 'org\.mdevgpu1\.Error\.(AlreadyExists|Busy)' call StartVGpu "$held" '{}'
let_go
check_soon "let go, it is defined" in_state "$held" defined
sleep 3
check "and stays so: somebody removed it" in_state "$held" defined
check "it can be started" call StartVGpu "$held" '{}'

heading "Removed by us while it is held"
check "by something that no /proc/PID/fd shows" hold "$held" --hidden
call DestroyVGpu "$held" '{}' >"$EVIDENCE/destroy" 2>&1 &
destroyer=$!
check_soon "the kernel has hidden it" test ! -e "$(mdev_path "$held")"
systemctl restart "$UNIT"
wait "$destroyer"
check "after a restart it is on its way out" in_state "$held" removing
check_fails "its UUID is taken" 'org\.mdevgpu1\.Error\.AlreadyExists' call CreateVGpu mdpy mdpy-vga "$held" '{}'
let_go
check_soon "let go, it is defined" in_state "$held" defined
check "it can be started" call StartVGpu "$held" '{}'

heading "Who uses it"
check "a service holds it" systemd-run -q --unit=holder.service "$RIG/vfio-hold" --uid $NOBODY "$held"
users() {
        busctl --json=short call org.mdevgpu1 /org/mdevgpu1 org.mdevgpu1.Manager GetUsers 'sa{sv}' "$1" 0 |
                jq -rc '.data[0][] | [.pid.data, .uid.data, .comm.data, .unit.data, .vm.data]'
}
check_soon "GetUsers has process, user and unit" \
        equals "[$(systemctl show -P MainPID holder.service),$NOBODY,\"vfio-hold\",\"holder.service\",\"\"]" users "$held"
systemctl stop holder.service
check_soon "nobody" equals "" users "$held"
check "a virtual machine" systemd-run -q --unit=machine.service qemu-system-x86_64 -name guest=web1,debug-threads=on -accel tcg \
        -M pc -m 64 -nodefaults -no-user-config -display none -S -device "vfio-pci,sysfsdev=$(mdev_path "$held")"
check_soon "GetUsers has its name" \
        equals "[$(systemctl show -P MainPID machine.service),0,\"qemu-system-x86\",\"machine.service\",\"web1\"]" users "$held"
check_fails "so has the refusal to destroy it" 'org\.mdevgpu1\.Error\.InUse.*web1.*machine\.service' call DestroyVGpu "$held" '{}'
systemctl stop machine.service
check "destroyed" call DestroyVGpu "$held" '{}'
check "undefined" call UndefineVGpu "$held" '{}'

heading "One that never comes"
uuids=()
for _ in $(seq "$(rows ListTypes 'select(.[1] == "mdpy-vga") | .[5]')"); do
        uuids+=("$(create mdpy mdpy-vga)")
done
never=$(new_uuid)
check_fails "the driver refuses one too many" . write /sys/class/mdev_bus/mdpy/mdev_supported_types/mdpy-vga/create "$never"
udevadm settle
check "it is not on the bus" not has_row ListVGpus 0 "$never"
for uuid in "${uuids[@]}"; do
        call DestroyVGpu "$uuid" '{}' >/dev/null
done

heading "A card that goes and comes"
auto=$(new_uuid) manual=$(new_uuid)
check "defined for a card that is not there" define $OTHER $TYPE "$auto" "{'autostart': <true>}"
check "one more" define $OTHER $TYPE "$manual" '{}'
modprobe mdevgpu_ref ngpu=2
check_soon "the card is there" has_row ListGpus 0 $OTHER
check_soon "ready" equals '["mdevgpu_ref","ready"]' rows ListGpus "select(.[0] == \"$OTHER\") | [.[2], .[3]]"
check "without types" in_state "$auto" defined
profile_write 64
check "a profile brings the type" systemctl reload "$UNIT"
check_soon "its vGPU is started" in_state "$auto" active
live=$(create $OTHER $TYPE)
check "a driver's card is unbound" write /sys/bus/pci/drivers/mdevgpu_ref/unbind $OTHER
check_soon "what lived is gone" not has_row ListVGpus 0 "$live"
check_soon "what is defined is" in_state "$auto" defined
check_soon "the card is there without driver" equals no-driver rows ListGpus "select(.[0] == \"$OTHER\") | .[3]"
check "bound again" write /sys/bus/pci/drivers/mdevgpu_ref/bind $OTHER
check_soon "it is started again" in_state "$auto" active
check "stopped by a person" call DestroyVGpu "$auto" '{}'
profile_write 128
check "the type is registered anew" systemctl reload "$UNIT"
check_soon "as stated" equals 134217728 property "$(rows ListTypes "select(.[0] == \"$OTHER\") | .[6]")" Type Framebuffer
sleep 3
check "what was stopped is not started" in_state "$auto" defined
live=$(create $OTHER $TYPE)
check "the card is pulled" write /sys/bus/pci/drivers/mdevgpu_ref/unplug 1
check_soon "it is gone" not has_row ListGpus 0 $OTHER
check "what lived is, too" not has_row ListVGpus 0 "$live"
check "what is defined is there" in_state "$manual" defined
check_equal "for no GPU" / "$(vgpu_property "$auto" Gpu)"
check "plugged again" write /sys/bus/pci/drivers/mdevgpu_ref/plug 1
check_soon "what starts by itself does" in_state "$auto" active
check "the other does not" in_state "$manual" defined

heading "A driver is unbound while a vGPU is held"
live=$(create $OTHER $TYPE)
check "held" hold "$live"
write /sys/bus/pci/drivers/mdevgpu_ref/unbind $OTHER &
unbind=$!
check_soon "the kernel has hidden it" test ! -e "$(mdev_path "$live")"
refresh $OTHER >/dev/null
check_soon "it is on its way out" in_state "$live" removing
check "other cards are served" call DestroyVGpu "$(create $GPU $TYPE)" '{}'
let_go
wait "$unbind"
check_soon "let go, it is gone" not has_row ListVGpus 0 "$live"
check_soon "so is the driver" equals no-driver rows ListGpus "select(.[0] == \"$OTHER\") | .[3]"
check_soon "what is defined is" in_state "$auto" defined
check "rmmod" rmmod mdevgpu_ref
check_soon "no card is left" not has_row ListGpus 0 $GPU
check "it agrees with sysfs" agrees

heading "Events are lost"
# The smallest buffer that there is holds few: the kernel's, not the daemon's, as systemd gives it no CAP_NET_ADMIN.
sysctl -q -w net.core.rmem_max=4096
systemctl restart "$UNIT"
going=$(create mtty mtty-2)
coming=$(new_uuid)
check "the daemon stands still" systemctl kill --signal=STOP --kill-who=main "$UNIT"
for _ in {1..60}; do
        echo change >/sys/class/net/lo/uevent
done
udevadm settle
write "$(mdev_path "$going")/remove" 1
make "$coming"
rmmod mdpy
modprobe mbochs
udevadm settle
check "and goes on" systemctl kill --signal=CONT --kill-who=main "$UNIT"
check_soon "it has noticed" journalctl -b -q -u "$UNIT" -g 'Device events were lost'
check_soon "it agrees with sysfs" agrees
check "the one that came is there" in_state "$coming" active
check_equal "the driver's as well" "mbochs mtty" "$(rows ListGpus '.[0]' | sort | xargs)"
check "an event of now is seen" rmmod mbochs
check_soon "at once" not has_row ListGpus 0 mbochs

check_peace
finish
