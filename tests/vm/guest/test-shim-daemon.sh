# shellcheck shell=bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The daemon and the shim together: types that change under vGPUs, a framebuffer that is all taken, an owner that dies, a
# driver that goes and comes back.

# shellcheck source=project.sh
. /rig/guest/project.sh

GPU=1000:00:00.0
NODE=/dev/mdevgpu/gpu0
DRIVER=/sys/bus/pci/drivers/mdevgpu_ref

# profile TYPE…: the types that the GPU shall have, each the inside of a YAML mapping
profile() {
        local type

        mkdir -p /etc/mdevgpud/types.d
        {
                printf 'version: 1\nmatch: {vendor: 0x6d67}\ntypes:\n'
                for type; do
                        printf '  - {%s}\n' "$type"
                done
        } >/etc/mdevgpud/types.d/50-shim.yaml
        mdevgpuctl reload
}

type_row() {
        rows ListTypes "select(.[0] == \"$GPU\" and .[1] == \"mdevgpu_ref-$1\") | .[6]"
}

# type_is ID PROPERTY VALUE
type_is() {
        [ "$(property "$(type_row "$1")" Type "$2")" = "$3" ]
}

owner() {
        find /proc/[0-9]*/fd -lname "$NODE" 2>/dev/null | cut -d / -f 3 | head -n 1
}

owner_there() {
        [ -n "$(owner)" ]
}

owned_by_another_than() {
        local now

        now=$(owner)
        [ -n "$now" ] && [ "$now" != "$1" ]
}

# The kernel's log has a line about each mdev that its driver refused.
refused_by_kernel() {
        journalctl -b -k -q -o cat -g 'probe with driver mdevgpu_ref failed with error -28'
}

BIG="id: 1, name: Big, max-instances: 4, framebuffer: 20GiB"
SMALL="id: 2, name: Small, max-instances: 40, framebuffer: 1GiB"

drivers_load mdevgpu_ref
profile "$BIG" "$SMALL" >/dev/null 2>&1
check "systemctl enable --now" systemctl enable --now "$UNIT"
check_soon "the types are there" type_is 2 Registration registered

heading "All of the framebuffer"
first=$(create "$GPU" Big)
check "half of it" test -e "$(mdev_path "$first")"
check_soon "leaves half of what there was" type_is 2 AvailableInstances 20
second=$(create "$GPU" Big)
check_soon "the other half leaves nothing of either type" type_is 2 AvailableInstances 0
check_fails "one more is refused by the daemon, with numbers" \
        'Error\.NoInstances.*has 0 MiB of framebuffer left, and a vGPU of type mdevgpu_ref-2 needs 1024 MiB' \
        call CreateVGpu "$GPU" Small "" '{}'
check "which does not ask the driver" not refused_by_kernel
check_fails "and by the kernel" 'No space left' \
        write "/sys/bus/pci/devices/$GPU/mdev_supported_types/mdevgpu_ref-2/create" "$(new_uuid)"
check "which says so in its log" refused_by_kernel

heading "Types change under vGPUs"
profile "${BIG/Big/Grown}" "${SMALL/1GiB/2GiB}" >/dev/null
check_soon "a name and a size, at once" type_is 2 Framebuffer $((2 << 30))
check_equal "in sysfs as well" Grown "$(cat "/sys/bus/pci/devices/$GPU/mdev_supported_types/mdevgpu_ref-1/name")"
check "vGPUs live on" test -e "$(mdev_path "$first")" -a -e "$(mdev_path "$second")"
check "destroy one" call DestroyVGpu "$second" '{}'
check_soon "what it took is free" type_is 2 AvailableInstances 10
profile "$BIG" >/dev/null
check_soon "a type less is retired" type_is 2 Registration retired
check_equal "nothing is available of it" 0 "$(property "$(type_row 2)" Type AvailableInstances)"
profile "${BIG/Big/Other}" "id: 3, name: Third, max-instances: 1, framebuffer: 1GiB" >/dev/null
check_soon "a type more is pending" type_is 3 Registration pending
check_output "with the reason" 'only while no vGPU exists; done when the last one goes' \
        property "$(type_row 3)" Type Reason
check_equal "an edit beside it is none" "Other registered" \
        "$(property "$(type_row 1)" Type Name) $(property "$(type_row 1)" Type Registration)"
check_equal "but made at once" Other "$(cat "/sys/bus/pci/devices/$GPU/mdev_supported_types/mdevgpu_ref-1/name")"
check "vGPUs live on" test -e "$(mdev_path "$first")"
check "the last one goes" call DestroyVGpu "$first" '{}'
check_soon "and what waited is done" type_is 3 Registration registered
check_equal "what was retired is gone" "" "$(type_row 2)"

heading "An owner that dies"
profile "$BIG" "$SMALL" >/dev/null
check_soon "types" type_is 2 Registration registered
vgpu=$(create "$GPU" Small)
before=$(owner)
check_output "a worker owns the GPU" mdevgpud-worke cat "/proc/$before/comm"
kill -9 "$before"
profile "$BIG" "${SMALL/1GiB/3GiB}" >/dev/null
check_soon "another owns it after kill -9" owned_by_another_than "$before"
check_soon "and changes its types" type_is 2 Framebuffer $((3 << 30))
kill -9 "$(main_pid)"
check_soon "a daemon comes after kill -9 of the daemon" systemctl is-active "$UNIT"
check_soon "with the types" type_is 2 Registration registered
check_soon "and the vGPU" has_row ListVGpus 0 "$vgpu"

heading "A removal that waits, and a daemon that goes meanwhile"
held=$(create "$GPU" Small)
check "something holds a vGPU that no /proc/PID/fd shows" hold "$held" --hidden
check_fails "its driver tells, and DestroyVGpu is refused" 'InUse.*its driver says' call DestroyVGpu "$held" '{}'
check "nothing has begun" test -e "$(mdev_path "$held")"
write "$(mdev_path "$held")/remove" 1 &
remover=$!
check_soon "somebody else removes it, and waits" test ! -e "$(mdev_path "$held")"
check "restart" timeout 10 systemctl restart "$UNIT"
check_soon "the GPU is served" type_is 2 Registration registered
check "vGPUs are made" create "$GPU" Small
let_go
wait "$remover"
check_soon "let go, it is gone" not has_row ListVGpus 0 "$held"
check "and its UUID is free" create "$GPU" Small "$held"
check "for others, too" call DestroyVGpu "$held" '{}'

heading "A GPU that is plugged in and out"
check "plug" write "$DRIVER/plug" 5
check_soon "it has the profile's types" has_row ListTypes 0 1000:00:05.0
plugged=$(create 1000:00:05.0 Small)
check "a vGPU of it" test -e "$(mdev_path "$plugged")"
check "unplug" write "$DRIVER/unplug" 5
check_soon "it is gone" not has_row ListGpus 0 1000:00:05.0
check_soon "and the vGPU with it" not has_row ListVGpus 0 "$plugged"
check "the other GPU's vGPUs are not" has_row ListVGpus 0 "$vgpu"

heading "Two daemons"
second_start() {
        mkdir -p /run/second
        cat >/run/second/bus.conf <<'CONF'
<busconfig>
  <type>system</type>
  <listen>unix:path=/run/second/bus</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow own="*"/>
    <allow send_destination="*"/>
    <allow receive_sender="*"/>
  </policy>
</busconfig>
CONF
        dbus-daemon --config-file=/run/second/bus.conf --nofork --nopidfile >/dev/null 2>&1 &
        SECOND_BUS=$!
        wait_for "$PATIENCE" test -S /run/second/bus
        # With folders of its own, so that nothing but the GPU is common to both
        DBUS_SYSTEM_BUS_ADDRESS=unix:path=/run/second/bus unshare -m sh -c '
                mount -t tmpfs none /run/mdevgpud && mount -t tmpfs none /var/lib/mdevgpud && exec mdevgpud' \
                >"$EVIDENCE/second" 2>&1 &
        SECOND=$!
        wait_for "$PATIENCE" second busctl status org.mdevgpu1
}

# second COMMAND…: with the other daemon's bus
second() {
        DBUS_SYSTEM_BUS_ADDRESS=unix:path=/run/second/bus "$@"
}

second_gpu() {
        second busctl --json=short get-property org.mdevgpu1 \
                "$(second busctl --json=short call org.mdevgpu1 /org/mdevgpu1 org.mdevgpu1.Manager ListGpus 'a{sv}' 0 |
                        jq -rc ".data[0][] | select(.[0] == \"$GPU\") | .[4]")" org.mdevgpu1.Gpu "$1" | jq -rc .data
}

owner=$(owner)
check "a second daemon starts, on a bus of its own" second_start
check_soon "it cannot have the GPU" equals failed second_gpu State
check_output "and says who has it" "/dev/mdevgpu/gpu0 is owned by process $owner \(mdevgpud-worke" second_gpu Reason
check_fails "nor make a vGPU on it" 'cannot be used: its control channel' second gdbus call --system -d org.mdevgpu1 \
        -o /org/mdevgpu1 -m org.mdevgpu1.Manager.CreateVGpu "$GPU" mdevgpu_ref-2 "" '{}'
check_equal "the first one has lost nothing" "$owner registered" "$(owner) $(property "$(type_row 2)" Type Registration)"
check "its vGPU neither" has_row ListVGpus 0 "$vgpu"
check "and it can change types" profile "$BIG" "${SMALL/1GiB/4GiB}"
check "it ends" systemctl stop "$UNIT"
check_soon "and the second one has the GPU" equals ready second_gpu State
check_output "with the vGPU" "$vgpu" second gdbus call --system -d org.mdevgpu1 -o /org/mdevgpu1 \
        -m org.mdevgpu1.Manager.ListVGpus '{}'
kill "$SECOND"
wait "$SECOND"
kill "$SECOND_BUS"
check "the first one starts" systemctl start "$UNIT"
check_soon "and has it again" type_is 2 Framebuffer $((4 << 30))
check "with the vGPU" has_row ListVGpus 0 "$vgpu"

heading "A driver that goes and comes back"
check "the vendor module unloads under the daemon, idle vGPU and all" modprobe -r mdevgpu_ref
check_soon "the GPU is gone" not has_row ListGpus 0 "$GPU"
check_soon "and nobody holds the node" not owner_there
modprobe mdevgpu_ref
check_soon "it is back" has_row ListGpus 0 "$GPU"
check_soon "with types" type_is 2 Registration registered
vgpu=$(create "$GPU" Small)
hold "$vgpu"
check_fails "it does not unload under an open vGPU" 'in use' rmmod mdevgpu_ref
let_go
check "then it does" modprobe -r mdevgpu_ref

heading "At the end"
check_equal "the kernel has not complained" "" \
        "$(journalctl -b -k -q -o cat -g 'BUG:|WARNING:|Oops|general protection|refcount_t|Call Trace')"
finish
