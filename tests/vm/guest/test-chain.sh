# shellcheck shell=bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The whole chain: a profile in /etc becomes types on a GPU of the reference vendor module, one of them a vGPU, and that
# a device on the bus of a guest. Its ids are drawn anew each time: nobody can have written them down before.

# shellcheck source=project.sh
. /rig/guest/project.sh

# The whole of it, with a guest that people run
NESTED_GUEST=linux

GPU=1000:00:00.0
OTHER=1000:00:01.0

random_decimal() {
        echo $((0x$(random_hex 6) % $1 + 1))
}

draw() {
        TYPE=$(random_decimal 900000)
        SECOND=$((TYPE + 1))
        DEVICE=$(random_hex 4)
        SUBSYSTEM=$(random_hex 4)
        NAME="Drawn $(random_hex 6)"
        FRAMEBUFFER=$(($(random_decimal 16) * 64))
        WORD=$(random_hex 8)
        HEADS=$((RANDOM % 2))
}

profile_write() {
        mkdir -p /etc/mdevgpud/types.d
        cat >/etc/mdevgpud/types.d/50-drawn.yaml <<PROFILE
version: 1
match: {vendor: 0x6d67, device: 0x0001}
types:
  - {id: $TYPE, name: "$NAME", class: Compute, max-instances: 3,
     framebuffer: ${FRAMEBUFFER}MiB, bar1: 1MiB, vdev-id: 0x$DEVICE$SUBSYSTEM, displays: {heads: $HEADS}}
  - {id: $SECOND, name: "$NAME, twice", class: Compute, max-instances: 1, framebuffer: 2048MiB}
PROFILE
}

# The type's folder in sysfs, found by its number; the prefix is the driver's affair.
type_id() {
        rows ListTypes "select(.[0] == \"$1\") | .[1]" | grep -E "(^|-)$2\$"
}

as_nobody() {
        setpriv --reuid "$NOBODY" --regid "$NOBODY" --clear-groups "$@"
}

draw
note "type $TYPE \"$NAME\", $FRAMEBUFFER MiB, device $DEVICE, subsystem $SUBSYSTEM, $HEADS displays"
check "systemctl enable --now" systemctl enable --now "$UNIT"
check "the reference module loads" modprobe mdevgpu_ref ngpu=2
modprobe vfio_iommu_type1
udevadm settle

heading "From profile to types"
check_soon "its GPUs are on the bus" has_row ListGpus 0 "$GPU"
check_soon "both" has_row ListGpus 0 "$OTHER"
check_equal "and have no types" "" "$(rows ListTypes)"
check_equal "mdevctl agrees" "[]" "$(mdevctl types --dumpjson)"
profile_write
check "mdevgpuctl reload" mdevgpuctl reload
check_soon "the type is on the bus" type_id "$GPU" "$TYPE"
id=$(type_id "$GPU" "$TYPE")
check_output "mdevctl types has it" "^ +$id\$" mdevctl types
check_output "by its name" "Name: $NAME\$" mdevctl types
check_equal "on both GPUs, both types" 4 "$(rows ListTypes | wc -l)"
check_output "mdevgpuctl types has it" "$NAME" mdevgpuctl types
path=$(rows ListTypes "select(.[0] == \"$GPU\" and .[1] == \"$id\") | .[6]")
check_equal "it comes from a profile" profile "$(property "$path" Type Source)"
check_equal "and is registered" registered "$(property "$path" Type Registration)"
check_equal "the framebuffer is in bytes" $((FRAMEBUFFER * 1048576)) "$(property "$path" Type Framebuffer)"

heading "An unprivileged user"
check "may look" as_nobody mdevgpuctl types
refused='org\.freedesktop\.DBus\.Error\.(AccessDenied|InteractiveAuthorizationRequired)'
call_as_nobody() {
        local method=$1
        shift

        as_nobody gdbus call --system --timeout 60 -d org.mdevgpu1 -o /org/mdevgpu1 -m "org.mdevgpu1.Manager.$method" "$@"
}

check_fails "may not create" "$refused" call_as_nobody CreateVGpu "$GPU" "$id" "" '{}'
check_fails "may not reload" "$refused" call_as_nobody Reload '{}'
as_nobody mdevgpuctl create "$GPU" "$id" >"$EVIDENCE/create" 2>&1
check_equal "mdevgpuctl's status says so" 4 $?
check_equal "nothing came of it" "" "$(rows ListVGpus)"
mkdir -p /etc/polkit-1/rules.d
cat >/etc/polkit-1/rules.d/10-nobody.rules <<RULE
polkit.addRule(function(action, subject) {
        if (action.id == "org.mdevgpu1.manage-vgpus" && subject.user == "nobody" && action.lookup("gpu") == "$GPU")
                return polkit.Result.YES;
});
RULE
check_soon "may where a rule of polkit's allows it" call_as_nobody CreateVGpu "$GPU" "$id" "" '{}'
check_fails "and not on another GPU" "$refused" call_as_nobody CreateVGpu "$OTHER" "$id" "" '{}'
vgpu=$(rows ListVGpus '.[0]')
check "may destroy it" call_as_nobody DestroyVGpu "$vgpu" '{}'
rm /etc/polkit-1/rules.d/10-nobody.rules
check_equal "nothing is left" "" "$(rows ListVGpus)"

heading "A vGPU in a guest"
vgpu=$(create "$GPU" "$NAME")
check_output "CreateVGpu by the type's name" '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' echo "$vgpu"
check_output "mdevctl lists it" "^$vgpu $GPU $id" mdevctl list
check_output "mdevgpuctl lists it" "$vgpu" mdevgpuctl list
nested_start "$vgpu" -- "peek=6d67:$DEVICE:0:0" "peek=6d67:$DEVICE:0:8" "peek=6d67:$DEVICE:0:c" "poke=6d67:$DEVICE:1:ff0:$WORD"

# QEMU is timeout's child.
held_by_guest() {
        call DestroyVGpu "$vgpu" '{}' 2>&1 | grep -E "org\.mdevgpu1\.Error\.InUse.*\b$(pgrep -P "$NESTED_PID")\b"
}

held_by_anybody() {
        find /proc/[0-9]*/fd -lname '/dev/vfio/[0-9]*' 2>/dev/null | grep .
}

check_soon "QEMU opens it" held_by_anybody
check "while it runs DestroyVGpu is refused, and names it" held_by_guest
mine=$(as_nobody mdevgpuctl list --json | jq -r '.[].uuid')
check_equal "anybody may see it" "$vgpu" "$mine"
check "the guest comes up" nested_wait
guest=$(tr -d '\r' <"$NESTED_OUTPUT")
# A 3D controller, or with displays a VGA controller
class=$([ "$HEADS" -eq 0 ] && echo 0302 || echo 0300)
check_output "it sees the ids that were drawn" "^pci .* id=6d67:$DEVICE subsystem=6d67:$SUBSYSTEM class=$class" echo "$guest"
check_output "registers of 4 KiB, memory of 1 MiB" "id=6d67:$DEVICE .*bars=0:mem:0x1000,1:mem:0x100000" echo "$guest"
check_output "the registers are a vGPU's" "^peek 6d67:$DEVICE bar0\+0x0 0x5550474d" echo "$guest"
check_output "of the type" "^peek 6d67:$DEVICE bar0\+0x8 $(printf '0x%08x' "$TYPE")" echo "$guest"
check_output "with its framebuffer" "^peek 6d67:$DEVICE bar0\+0xc $(printf '0x%08x' "$FRAMEBUFFER")" echo "$guest"
check_output "its memory remembers" "^poke 6d67:$DEVICE bar1\+0xff0 0x$WORD" echo "$guest"
check_soon "then it can be destroyed" call DestroyVGpu "$vgpu" '{}'
check "it is gone" test ! -e "$(mdev_path "$vgpu")"
check_equal "for mdevctl as well" "" "$(mdevctl list)"

heading "Types change under vGPUs"
vgpu=$(create "$GPU" "$id")
cp /etc/mdevgpud/types.d/50-drawn.yaml "$EVIDENCE/profile"
sed -i "/id: $SECOND/d" /etc/mdevgpud/types.d/50-drawn.yaml
check "reload while one lives" mdevgpuctl reload
check "it lives on" test -e "$(mdev_path "$vgpu")"
check_soon "the free GPU has one type" equals "$(type_id "$OTHER" "$TYPE")" rows ListTypes "select(.[0] == \"$OTHER\") | .[1]"
check "destroyed" call DestroyVGpu "$vgpu" '{}'

heading "Plugged and unplugged"
cp "$EVIDENCE/profile" /etc/mdevgpud/types.d/50-drawn.yaml
check "reload" mdevgpuctl reload
check "unplug" write /sys/bus/pci/drivers/mdevgpu_ref/unplug 1
check_soon "it is gone from the bus" not has_row ListGpus 0 "$OTHER"
check "the other is there" has_row ListGpus 0 "$GPU"
check "plug" write /sys/bus/pci/drivers/mdevgpu_ref/plug 1
check_soon "it is back" has_row ListGpus 0 "$OTHER"
check_soon "with the profile's type" type_id "$OTHER" "$TYPE"
check "a third one" write /sys/bus/pci/drivers/mdevgpu_ref/plug 5
check_soon "appears" has_row ListGpus 0 1000:00:05.0
check_soon "with types" type_id 1000:00:05.0 "$SECOND"

heading "A restart"
vgpu=$(create "$OTHER" "$id")
check "systemctl restart" systemctl restart "$UNIT"
check "as soon as it is ready the vGPU is on the bus" has_row ListVGpus 0 "$vgpu"
check_equal "the types as well" "$id" "$(type_id "$GPU" "$TYPE")"
check "and the GPU is ours: reload works" mdevgpuctl reload
check "rmmod takes it all" rmmod mdevgpu_ref
check_soon "no GPU is left" not has_row ListGpus 0 "$GPU"

check_peace
finish
