# shellcheck shell=bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The daemon and the shim together: types that change under vGPUs, a framebuffer that is all taken, an owner that dies, a
# driver that goes and comes back.

# shellcheck source=project.sh
. /rig/guest/project.sh

GPU=1000:00:00.0
NODE=/dev/mdevgpu/gpu0

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
check_fails "one more is refused by the daemon" 'Error\.NoInstances' call CreateVGpu "$GPU" Small "" '{}'
check_fails "and by the kernel" 'No space left' \
        write "/sys/bus/pci/devices/$GPU/mdev_supported_types/mdevgpu_ref-2/create" "$(new_uuid)"

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
profile "$BIG" "id: 3, name: Third, max-instances: 1, framebuffer: 1GiB" >/dev/null
check_soon "a type more is pending" type_is 3 Registration pending
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
