# shellcheck shell=bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# rig: --memory 3072 --timeout 900 --append apparmor=1
#
# libvirt with our command in mdevctl's place, confined by AppArmor as Debian ships it: what virsh does to node devices is
# done by the daemon, after either was restarted, with a hundred vGPUs; and by the real mdevctl when the daemon is stopped.

# shellcheck source=libvirt.sh
. /rig/guest/libvirt.sh

# A vGPU that mdevctl made by itself is not the daemon's.
managed() {
        equals "$2" vgpu_property "$1" Managed
}

devices_many() {
        [ "$(nodes --cap mdev | wc -l)" -ge 100 ]
}

vgpus_many() {
        [ "$(rows ListVGpus .[0] | wc -l)" -ge 100 ]
}

doctor_finds() {
        virsh -q uri && call Diagnose '{}' | grep -F "'$1'"
}

# metadata_write UUID TYPE: what a domain asks the hook for
metadata_write() {
        echo "<metadata><m:vgpus xmlns:m='urn:org.mdevgpu1:domain:1'><m:vgpu uuid='$1' type='$2'/></m:vgpus></metadata>"
}

# What the PATH of libvirtd leads to
mdevctl_of_libvirt() {
        local path

        path=$(tr '\0' '\n' <"/proc/$(systemctl show -P MainPID libvirtd)/environ" | sed -n 's/^PATH=//p')
        readlink -f "$(PATH=$path command -v mdevctl)"
}

# Another libvirt with a domain, as if on another host: it has its own name and folders, no bus, and the kernel in common.
# virt-aa-helper knows one domain of a UUID, so its is not confined.
source_start() {
        printf '%s\n' "127.0.1.1 $(hostname)" "127.0.1.2 source" >>/etc/hosts
        cat >"$EVIDENCE/source" <<'SCRIPT'
hostname source
for folder in /run/dbus /run/libvirt /var/lib/libvirt /var/cache/libvirt /etc/libvirt; do
        mount -t tmpfs none "$folder"
done
cat >/etc/libvirt/libvirtd.conf <<CONF
host_uuid = "00000000-1111-4222-8333-00000000cafe"
unix_sock_dir = "/root/source"
auth_unix_rw = "none"
CONF
printf '%s\n' 'security_driver = "none"' 'stdio_handler = "file"' 'cgroup_controllers = []' 'user = "root"' \
        >/etc/libvirt/qemu.conf
exec /usr/sbin/libvirtd --pid-file /root/source/pid
SCRIPT
        mkdir -p /root/source
        unshare --mount --uts sh -e "$EVIDENCE/source" >"$EVIDENCE/source.log" 2>&1 &
        SOURCE=$!
}

source_virsh() {
        virsh -c "qemu+unix:///system?socket=/root/source/libvirt-sock" "$@"
}

# source_migrate NAME: from there to here
source_migrate() {
        source_virsh migrate --live "$1" qemu:///system tcp://127.0.0.1:49200 tcp://127.0.0.1:49200
}

# empty_write NAME METADATA: a domain without a vGPU, that asks for one: QEMU 7.2 migrates none
empty_write() {
        cat <<XML
<domain type='qemu'>
  <name>$1</name>
  $2
  <memory unit='MiB'>64</memory>
  <os><type arch='x86_64' machine='pc'>hvm</type></os>
  <cpu mode='custom'><model>qemu64</model></cpu>
  <on_reboot>destroy</on_reboot>
  <devices><controller type='usb' model='none'/><memballoon model='none'/></devices>
</domain>
XML
}

# The same as with one daemon or the other: defined, changed, started, stopped and no more, by libvirt
definition_lives() {
        local uuid=$1 node
        node=$(node "$uuid")

        check "virsh nodedev-define" virsh nodedev-define "$(device_write "$uuid")"
        check_soon "libvirt has it among the inactive" listed "$uuid" --inactive
        check "nodedev-autostart" virsh nodedev-autostart "$node"
        check_soon "it is to be started" equals yes node_info "$uuid" Autostart
        check "nodedev-autostart --disable" virsh nodedev-autostart --disable "$node"
        check_soon "it is not" equals no node_info "$uuid" Autostart
        check "nodedev-start" virsh nodedev-start "$node"
        check_soon "it is active" equals yes node_info "$uuid" Active
        check "it is there" test -e "$(mdev_path "$uuid")"
}

definition_ends() {
        local uuid=$1 node
        node=$(node "$uuid")

        check "nodedev-destroy" virsh nodedev-destroy "$node"
        check_soon "libvirt has it among the inactive" listed "$uuid" --inactive
        check "nodedev-undefine" virsh nodedev-undefine "$node"
        check_soon "it is gone" not listed "$uuid" --all
        check_equal "so is its file" "" "$(find /etc/mdevctl.d -name "$uuid")"
}

project_start
libvirt_check
check_equal "it finds ours" /usr/bin/mdevgpud-mdevctl "$(mdevctl_of_libvirt)"

heading "virsh nodedev-create"
check_soon "libvirt lists the card among those with types" grep -qx "$NODE" <(nodes --cap mdev_types)
check "and a vGPU that was there before libvirt" listed "$FIRST"
second=$(new_uuid)
check "it makes one" virsh nodedev-create "$(device_write "$second")"
check_soon "which is on the bus" in_state "$second" active
check "made by the daemon" managed "$second" true
check_equal "nodedev-info has it active" yes "$(node_info "$second" Active)"
check_equal "nodedev-dumpxml has its type" "$TYPE" "$(node_xml "$(node "$second")" "//capability/type/@id")"
check_equal "and its parent" "$NODE" "$(node_xml "$(node "$second")" "//parent")"
check_fails "one more with that UUID is refused" 'is taken by a vGPU' virsh nodedev-create "$(device_write "$second")"
hold "$second"
check_fails "nodedev-destroy of one in use is refused" 'device in use' virsh nodedev-destroy "$(node "$second")"
let_go
check "nodedev-destroy" virsh nodedev-destroy "$(node "$second")"
check_soon "it is gone" not has_row ListVGpus 0 "$second"
check_output "one without a UUID" 'Node device .*created' virsh nodedev-create "$(device_write)"
check_soon "is ours as well" equals "true true" sh -c "busctl --json=short call org.mdevgpu1 /org/mdevgpu1 \
        org.mdevgpu1.Manager ListVGpus 'a{sv}' 0 | jq -r '[.data[0][][6].managed.data] | join(\" \")'"
check_fails "a type that is not there is refused" 'mdevgpu_ref-99' \
        virsh nodedev-create <(sed s/ref-7/ref-99/ "$(device_write)")

heading "Defined through libvirt"
# Says where others' callouts find themselves, and that they are for nothing.
cat >/etc/mdevctl.d/scripts.d/callouts/10-where <<'CALLOUT'
#!/bin/sh
echo "$6 $(tr -d '\0' </proc/self/attr/current) $(cat /proc/self/cgroup)" >>/root/where
exit 2
CALLOUT
chmod +x /etc/mdevctl.d/scripts.d/callouts/10-where
definition_lives "$second"
rm /etc/mdevctl.d/scripts.d/callouts/10-where
check_equal "others' callouts were run for it, outside of the daemon's unit, and of AppArmor's profile" \
        "define modify start" "$(sed -n 's|^\([a-z]*\) unconfined 0::/system.slice/libvirtd.service$|\1|p' /root/where |
                grep -v capabilities | sort -u | paste -sd ' ')"
check_soon "the bus has it" vgpu_is "$second" active true false
check "made by the daemon" managed "$second" true

heading "A restart of either"
check "of the daemon" systemctl restart "$UNIT"
check_soon "libvirt has it" listed "$second"
check "nodedev-autostart" virsh nodedev-autostart "$(node "$second")"
check_soon "goes through it" vgpu_is "$second" active true true
kill "$EVENTS"
check "of libvirtd" systemctl restart libvirtd.service
check_soon "libvirt has it" listed "$second"
virsh nodedev-event --event lifecycle --loop --timestamp >>"$EVIDENCE/events" 2>&1 &
check_equal "as what starts by itself" yes "$(node_info "$second" Autostart)"
definition_ends "$second"
check_soon "the bus has forgotten it" not has_row ListVGpus 0 "$second"
for event in Created Deleted Defined Undefined; do
        check_soon "libvirt told of $event" grep -q "$event" "$EVIDENCE/events"
done

heading "Defined and started on our side"
check "DefineVGpu" define "$GPU" "$TYPE" "$second" "{}"
check_soon "libvirt has it among the inactive" listed "$second" --inactive
check "StartVGpu" call StartVGpu "$second" '{}'
check_soon "it is active for libvirt" listed "$second"
definition_ends "$second"

heading "A domain"
cp "$RIG/pci-bare" "$IMAGES"
picture=$(create mdpy mdpy-vga)
wished=$(new_uuid)
mdevgpuctl attachment "$picture" --display --ramfb >"$EVIDENCE/elements.xml"
sed "s/$FIRST/$wished/" <(mdevgpuctl attachment "$FIRST") >>"$EVIDENCE/elements.xml"
METADATA=$(metadata_write "$wished" Fourth)
check "libvirt takes it" virsh define "$(domain_write picture "$EVIDENCE/elements.xml")"
check "mdevgpuctl attachment --domain" mdevgpuctl attachment "$FIRST" --domain picture --config
check_equal "libvirt has it in the definition" 3 "$(virsh dumpxml --inactive picture | xmllint --xpath 'count(//hostdev)' -)"
check_fails "a domain that is not there is libvirt's to refuse" "failed to get domain '-x'" \
        mdevgpuctl attachment "$FIRST" --domain -x
check "virsh start" virsh start picture
check_soon "what its metadata asks for is there" in_state "$wished" active
check_equal "labelled" "libvirt:$(virsh domuuid picture | grep .)" "$(vgpu_property "$wished" Label)"
check "libvirtd is started anew" systemctl restart libvirtd.service
check_equal "the domain runs" running "$(virsh domstate picture | grep .)"
check "the guest comes up" wait_for 190 grep -q 'pci-probe done' /var/log/libvirt/qemu/picture.console
check_output "it sees the picture's device" '^pci .* id=1b36:000f' cat /var/log/libvirt/qemu/picture.console
check_equal "and both others" 2 "$(grep -c '^pci .* id=6d67:c0de' /var/log/libvirt/qemu/picture.console)"
plugged=$(create "$GPU" "$TYPE")
check "mdevgpuctl attachment --live, while it runs" mdevgpuctl attachment "$plugged" --domain picture --live
check_equal "it has it, and its definition has not" "4 3" "$(for option in "" --inactive; do
        virsh dumpxml $option picture | xmllint --xpath 'count(//hostdev)' -; done | paste -sd ' ')"
check_fails "QEMU has it open" "InUse" call DestroyVGpu "$plugged" '{}'
check "virsh destroy" virsh destroy picture
check "DestroyVGpu of that" call DestroyVGpu "$plugged" '{}'
check_soon "what was made for it is gone" not has_row ListVGpus 0 "$wished"
check "nothing else is" in_state "$FIRST" active
METADATA=$(metadata_write "$wished" Nothing)
check "a domain that asks for what is not there" virsh define "$(domain_write nothing /dev/null)"
check_fails "does not start, and says why" "vGPU $wished: .*Nothing" virsh start nothing
METADATA=
check "modprobe mbochs" modprobe mbochs
check_soon "its types are there" has_row ListTypes 1 mbochs-small
mdevgpuctl attachment "$(create mbochs mbochs-small)" --display >"$EVIDENCE/mbochs.xml"
check "a picture that needs a graphics card" virsh define "$(domain_write mbochs "$EVIDENCE/mbochs.xml")"
check_fails "is refused without one" 'opengl' virsh start mbochs

heading "A domain that comes from another host"
source_start
check "the other host's libvirt" wait_for "$PATIENCE" source_virsh -q uri
empty_write moves "$(metadata_write "$wished" Nothing)" >/root/moves.xml
check "a domain there" source_virsh create /root/moves.xml
check_fails "what there is no vGPU for does not come, and says why" "vGPU $wished: .*Nothing" source_migrate moves
check_equal "and runs where it was" running "$(source_virsh domstate moves | grep .)"
check "virsh metadata" source_virsh metadata moves urn:org.mdevgpu1:domain:1 --live --key m \
        --set "<vgpus><vgpu uuid='$wished' type='Fourth'/></vgpus>"
check "then it does" source_migrate moves
check_equal "it runs here" running "$(virsh domstate moves | grep .)"
check "with the vGPU that it asks for, which waits to be opened" in_state "$wished" incoming
check_equal "made before it came" "libvirt:$(virsh domuuid moves | grep .)" "$(vgpu_property "$wished" Label)"
check "virsh destroy" virsh destroy moves
check_soon "then it is gone" not has_row ListVGpus 0 "$wished"
kill "$SOURCE"

heading "virtnodedevd"
# Debian 12 has none: a unit of that name, and what it would run.
cat >/run/systemd/system/virtnodedevd.service <<'SERVICE'
[Service]
Type=oneshot
ExecStart=/bin/sh -c 'readlink -f "$(command -v mdevctl)" >/root/virtnodedevd'
SERVICE
systemctl daemon-reload
check "a daemon of its own for node devices" systemctl start virtnodedevd.service
check_equal "finds ours, too" /usr/bin/mdevgpud-mdevctl "$(cat /root/virtnodedevd)"

heading "A hundred vGPUs"
mkdir -p /etc/mdevgpud/topologies.d
cat >/etc/mdevgpud/topologies.d/50-hundred.yaml <<TOPOLOGY
version: 1
topologies:
  hundred:
    - match: {address: "$GPU"}
      vgpus:
        - {type: Hundredth, count: 100}
policy: {prune: managed}
TOPOLOGY
for uuid in $(rows ListVGpus .[0]); do
        check "DestroyVGpu" call DestroyVGpu "$uuid" '{}'
done
check "mdevgpuctl reload" mdevgpuctl reload
check "mdevgpuctl topology apply" mdevgpuctl topology apply hundred
third=$(new_uuid)
check "nodedev-create of one more" virsh nodedev-create <(sed s/ref-7/ref-8/ "$(device_write "$third")")
check "they are on the bus" vgpus_many
check_soon "libvirt lists them" devices_many
note "nodedev-list took $( { TIMEFORMAT=%R; time nodes --cap mdev >/dev/null; } 2>&1) s"
check "nodedev-destroy of it" virsh nodedev-destroy "$(node "$third")"

heading "The daemon stopped"
check "systemctl stop" systemctl stop "$UNIT"
definition_lives "$second"
check "nodedev-list goes on" listed "$second"
check_fails "it was not started for that" 'inactive' systemctl is-active "$UNIT"
check "systemctl start" systemctl start "$UNIT"
check_soon "it has what the real mdevctl made" vgpu_is "$second" active true false
check "which is not ours" managed "$second" false
definition_ends "$second"
check "systemctl stop" systemctl stop "$UNIT"
for file in /usr/sbin/mdevctl /usr/bin/mdevctl; do
        [ ! -e "$file" ] || mv "$file" "$file.away"
done
check_fails "without the real one a change is refused, and says why" 'mdevgpud does not answer' \
        virsh nodedev-define "$(device_write "$second")"
check "what is there is listed" devices_many

heading "A libvirtd that looks away"
check "systemctl start" systemctl start "$UNIT"
check "one that watches is not spoken of" not doctor_finds libvirt-blind
rm -r /etc/mdevctl.d
systemctl restart libvirtd.service
# It has looked for the folder when it lists anything.
check_soon "libvirtd starts without /etc/mdevctl.d" devices_many
mkdir /etc/mdevctl.d
check_soon "one that was there before /etc/mdevctl.d is" doctor_finds libvirt-blind

heading "AppArmor"
check_equal "it has refused our command nothing" "" "$(journalctl -b -k -q -o cat -g 'DENIED.*mdevctl')"

check_peace
finish
