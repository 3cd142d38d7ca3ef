# shellcheck shell=bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Definitions: the real mdevctl and the daemon, under its unit's sandbox, work on the same files and agree on all of them.

# shellcheck source=project.sh
. /rig/guest/project.sh

FOLDER=/etc/mdevctl.d
NOTES=/var/lib/mdevgpud/vgpus

# The definitions by mdevctl's word, or of one UUID, without that
dump() {
        mdevctl list -d --dumpjson "$@"
}

dump_of() {
        dump -u "$1" | sed "s/$1/UUID/"
}

problems() {
        property /org/mdevgpu1 Manager ConfigErrors | jq -r '.[] | "\(.[3]) \(.[0])"' | sort
}

heading "No folder"
mv $FOLDER /root/mdevctl.d
check "systemctl enable --now" systemctl enable --now "$UNIT"
check_equal "it has made one, that everybody may read" "directory 755 root" "$(stat -c '%F %a %U' $FOLDER)"
# Without these mdevctl does nothing.
mv /root/mdevctl.d/scripts.d $FOLDER
drivers_load mtty mdpy
check_soon "types are there" has_row ListTypes 1 mtty-2

heading "To the byte what mdevctl writes"
# A name and values that JSON, or a careless writer of it, would trip over.
attributes="[('power/control', 'on'), ('uevent', 'a \"b\" \\\\c é'), ('power/control', 'auto')]"
json='{"mdev_type": "mtty-2", "start": "auto", "attrs": [
        {"power/control": "on"}, {"uevent": "a \"b\" \\c é"}, {"power/control": "auto"}]}'
a=$(new_uuid) b=$(new_uuid)
check "define, manual" define mtty mtty-2 "$a" '{}'
check "mdevctl define" mdevctl define -u "$b" -p mtty --type mtty-2
check "the same" cmp "$FOLDER/mtty/$a" "$FOLDER/mtty/$b"
check_equal "and of the same mode" "$(stat -c '%a %U' "$FOLDER/mtty/$b")" "$(stat -c '%a %U' "$FOLDER/mtty/$a")"
check_output "mdevctl lists ours" "^$a mtty mtty-2 manual\$" mdevctl list -d
check_equal "and in JSON as its own" "$(dump_of "$b")" "$(dump_of "$a")"
c=$(new_uuid) d=$(new_uuid)
check "define, with attributes and autostart" define mtty mtty-2 "$c" "{'autostart': <true>, 'attrs': <$attributes>}"
echo "$json" >"$EVIDENCE/json"
check "mdevctl define" mdevctl define -u "$d" -p mtty --jsonfile "$EVIDENCE/json"
check "the same" cmp "$FOLDER/mtty/$c" "$FOLDER/mtty/$d"
check_equal "and in JSON" "$(dump_of "$d")" "$(dump_of "$c")"
check_equal "nothing else is left there" 4 "$(find $FOLDER -type f | wc -l)"
check_equal "nor in the way" "mtty scripts.d" "$(find $FOLDER -mindepth 1 -maxdepth 1 -printf '%f\n' | sort | xargs)"
check "they go" call UndefineVGpu "$c" '{}'
check "by either hand" mdevctl undefine -u "$d"
check_soon "from the bus as well" not has_row ListVGpus 0 "$d"

heading "Defined by us"
ours=$(new_uuid)
check "define" define mtty mtty-2 "$ours" "{'label': <'web'>, 'attrs': <[('power/control', 'on')]>}"
check "mdevctl starts it" mdevctl start -u "$ours"
check_soon "it is active" in_state "$ours" active
check_equal "and ours" true "$(vgpu_property "$ours" Managed)"
check_equal "the driver has its attribute" on "$(cat "$(mdev_path "$ours")/power/control")"
check "mdevctl stops it" mdevctl stop -u "$ours"
check_soon "it is defined" in_state "$ours" defined
check "we start it" call StartVGpu "$ours" '{}'
check_equal "the driver has its attribute" on "$(cat "$(mdev_path "$ours")/power/control")"
check_output "mdevctl knows that it is defined" "^$ours mtty mtty-2 .*\(defined\)" mdevctl list
check "mdevctl changes it" mdevctl modify -u "$ours" --auto
check_soon "we see that" equals true vgpu_property "$ours" Autostart
check_equal "its label stays" web "$(vgpu_property "$ours" Label)"
check_equal "it stays ours" true "$(vgpu_property "$ours" Managed)"
check "mdevctl undefines it" mdevctl undefine -u "$ours"
check_soon "we see that" equals false vgpu_property "$ours" Persistent
check_equal "it keeps its label" web "$(vgpu_property "$ours" Label)"
check "and our note" test ! -e "$NOTES/$ours"
check "it lives on" test -e "$(mdev_path "$ours")"
check "we define it as it is" define "" "" "$ours" '{}'
check_output "mdevctl sees that" "^$ours mtty mtty-2 manual \(active\)" mdevctl list -d
check "it is destroyed" call DestroyVGpu "$ours" '{}'
check "and stays defined" in_state "$ours" defined

heading "Defined by mdevctl"
check "with an attribute" mdevctl modify -u "$b" --addattr=power/control --value=on
check_soon "it is defined" in_state "$b" defined
check_equal "and not ours" false "$(vgpu_property "$b" Managed)"
check "we start it" call StartVGpu "$b" '{}'
check_equal "the driver has its attribute" on "$(cat "$(mdev_path "$b")/power/control")"
check_fails "UndefineVGpu is refused" 'org\.mdevgpu1\.Error\.NotManaged' call UndefineVGpu "$b" '{}'
check_fails "ModifyVGpu as well" 'org\.mdevgpu1\.Error\.NotManaged' call ModifyVGpu "$b" "{'autostart': <true>}"
check "unless told to: both, the file and the vGPU" call ModifyVGpu "$b" \
        "{'unmanaged': <true>, 'scope': <'both'>, 'autostart': <true>, 'attrs': <[('power/control', 'auto')]>}"
check_equal "the driver has the new value" auto "$(cat "$(mdev_path "$b")/power/control")"
check_output "so has mdevctl" '"power/control": "auto"' dump -u "$b"
check_output "and what is started by itself" "^$b mtty mtty-2 auto \(active\)" mdevctl list -d
check_equal "what we have started is ours" true "$(vgpu_property "$b" Managed)"
check "undefine, when told to" call UndefineVGpu "$b" "{'unmanaged': <true>}"
check "the file is gone" test ! -e "$FOLDER/mtty/$b"
check "the vGPU is there" test -e "$(mdev_path "$b")"
check "until it is destroyed" call DestroyVGpu "$b" '{}'

heading "An attribute that the driver refuses"
refused=$(new_uuid)
check "define" define mdpy mdpy-vga "$refused" "{'attrs': <[('power/control', 'neither')]>}"
check_fails "StartVGpu fails, and says which" "org\.mdevgpu1\.Error\.DriverRejected.*power/control" call StartVGpu "$refused" '{}'
check "nothing is left of it" test ! -e "$(mdev_path "$refused")"
check_fails "as with mdevctl" . mdevctl start -u "$refused"
check "which leaves nothing, either" test ! -e "$(mdev_path "$refused")"
check_soon "it is defined" in_state "$refused" defined
check "undefine" call UndefineVGpu "$refused" '{}'

heading "Broken files"
broken=()
# broken: makes up a UUID and a file's path for it.
broken() {
        BROKEN=$FOLDER/mtty/$(new_uuid)
        broken+=("$BROKEN")
}

broken && : >"$BROKEN"
broken && printf '{\n  "mdev_type": "mtty-2",\n' >"$BROKEN"
broken && echo '{"name": "somebody else'"'"'s"}' >"$BROKEN"
broken && truncate -s 2M "$BROKEN"
broken && mkfifo "$BROKEN"
broken && mkdir "$BROKEN"
broken && ln -s /dev/zero "$BROKEN"
broken && cp "$FOLDER/mtty/$a" "$BROKEN" && chmod o+w "$BROKEN"
: >$FOLDER/mtty/README
: >$FOLDER/stray
check_soon "each is an error" equals "$(printf 'error %s\n' "${broken[@]}" | sort)" problems
check_equal "which is a defect" true "$(property /org/mdevgpu1 Manager Degraded)"
check "is in state failed" in_state "$(basename "${broken[0]}")" failed
check_fails "and cannot be started" 'org\.mdevgpu1\.Error\.ConfigInvalid' call StartVGpu "$(basename "${broken[0]}")" '{}'
check "another is started beside them" call StartVGpu "$a" '{}'
check "and defined" define mtty mtty-2 "$(new_uuid)" '{}'
check "a restart goes through them" systemctl restart "$UNIT"
check_soon "which are still what they were" equals "$(printf 'error %s\n' "${broken[@]}" | sort)" problems
check "the good one is active" in_state "$a" active
check "undefine removes a broken one" call UndefineVGpu "$(basename "${broken[0]}")" "{'unmanaged': <true>}"
check "its file is gone" test ! -e "${broken[0]}"
chmod o-w "${broken[-1]}"
check_soon "one is mended" in_state "$(basename "${broken[-1]}")" defined
rm -r "${broken[@]:1}"
check_soon "the others gone, all is well" equals "" problems
check_soon "which is said" equals false property /org/mdevgpu1 Manager Degraded

heading "Twice defined"
twice=$(new_uuid)
mdevctl define -u "$twice" -p mtty --type mtty-2
mdevctl define -u "$twice" -p mdpy --type mdpy-vga
check_soon "the first counts, the other is said" equals "warning $FOLDER/mtty/$twice" problems
check_equal "by name" mdpy "$(vgpu_property "$twice" Parent)"
check "mdevctl starts the other" mdevctl start -u "$twice" -p mtty
check_soon "then that counts" equals "warning $FOLDER/mdpy/$twice" problems
check "undefine removes both" call UndefineVGpu "$twice" "{'unmanaged': <true>}"
check_equal "they are gone" "" "$(find $FOLDER -name "$twice")"
check_soon "and no problem is left" equals "" problems
mdevctl stop -u "$twice"

heading "The folder is removed, and made again"
mv $FOLDER/scripts.d /root/mdevctl.d
rm -r $FOLDER
check_soon "what was defined is not" equals false vgpu_property "$a" Persistent
check "what is active is" in_state "$a" active
mkdir $FOLDER
mv /root/mdevctl.d/scripts.d $FOLDER
check "mdevctl defines one" mdevctl define -u "$b" -p mtty --type mtty-2
check_soon "which is seen" in_state "$b" defined
check "after a restart" systemctl restart "$UNIT"
check "we write there again" define mtty mtty-2 "$c" '{}'

heading "A read-only /etc"
# etc_freeze IMAGE: what is in /etc now is all that there can be.
etc_freeze() {
        truncate -s 64M "$1"
        mkfs.ext4 -q -d /etc "$1"
        mount -o loop,ro "$1" /etc
}

modprobe -a loop ext4
etc_freeze /root/etc
check_fails "it is" 'Read-only file system' touch /etc/file
check "systemctl restart" systemctl restart "$UNIT"
check "what is defined is there" in_state "$c" defined
check "and started" call StartVGpu "$c" '{}'
check_fails "defining is refused, with the reason" "$FOLDER/mtty/$d.*Read-only file system" define mtty mtty-2 "$d" '{}'
check_fails "so is making one that is to be defined" 'Read-only file system' \
        call CreateVGpu mtty mtty-2 "$d" "{'persistent': <true>}"
check "nothing is left of it" test ! -e "$(mdev_path "$d")"
check_fails "and undefining" "$FOLDER/mtty/$c.*Read-only file system" call UndefineVGpu "$c" '{}'

heading "A read-only /etc without the folder"
systemctl stop "$UNIT"
umount --lazy /etc
rm -r $FOLDER
etc_freeze /root/etc-without
check "systemctl start" systemctl start "$UNIT"
check "vGPUs are made" create mtty mtty-2
check_fails "defining is refused, with the reason" "$FOLDER/mtty/$d.*Read-only file system" define mtty mtty-2 "$d" '{}'

check_peace
finish
