# shellcheck shell=bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# NVIDIA's control channel over real character devices: a model of its resource manager stands behind /dev/nvidiactl and
# /dev/nvidia0, so that open, ioctl, close and permissions are the kernel's. The card itself is made up: files over those of
# the PCI bus.

# shellcheck source=project.sh
. /rig/guest/project.sh

GPU=0000:41:00.0
VERSION=580.142
WORKER=/usr/libexec/mdevgpud/mdevgpud-worker
COMMANDS=$EVIDENCE/commands
ANSWERS=$EVIDENCE/answers

# A card with NVIDIA's driver, where sysfs has the machine's devices. Their links lead where they did: they are relative.
card_appear() {
        local bus=/sys/bus/pci/devices card=$EVIDENCE/pci/$GPU

        mkdir -p "$EVIDENCE/pci" "$card" "$EVIDENCE/drivers/nvidia" "$EVIDENCE/proc/nvidia/gpus/$GPU"
        cp -P "$bus"/* "$EVIDENCE/pci/"
        echo 0x10de >"$card/vendor"
        echo 0x20b0 >"$card/device"
        echo 0x030200 >"$card/class"
        echo 0x10de >"$card/subsystem_vendor"
        echo 0x145f >"$card/subsystem_device"
        ln -s "$EVIDENCE/drivers/nvidia" "$card/driver"
        printf 'Model: \t\t NVIDIA Model GPU\nDevice Minor: \t 0\n' >"$EVIDENCE/proc/nvidia/gpus/$GPU/information"
        mount --bind "$EVIDENCE/pci" "$bus"
        mount --bind "$EVIDENCE/proc" /proc/driver
        chmod 755 "$EVIDENCE"
}

driver_load() {
        rm -f "$COMMANDS"
        mkfifo "$COMMANDS"
        "$RIG/nvidia-cuse" "$1" <"$COMMANDS" >"$ANSWERS" 2>&1 &
        DRIVER=$!
        exec {COMMANDS_FD}>"$COMMANDS"
        wait_for "$PATIENCE" grep -q ready "$ANSWERS" >/dev/null
        wait_for "$PATIENCE" test -c /dev/nvidia0
}

driver_unload() {
        tell quit
        exec {COMMANDS_FD}>&-
        wait "$DRIVER"
        wait_for "$PATIENCE" test ! -e /dev/nvidiactl
}

tell() {
        echo "$1" >&"$COMMANDS_FD"
}

# state WORD: what the model says of it
state() {
        : >"$ANSWERS"
        tell state
        wait_for 5 grep -q '^open' "$ANSWERS" >/dev/null
        sed -n "s/.*\b$1 \([0-9]*\).*/\1/p" "$ANSWERS"
}

types() {
        : >"$ANSWERS"
        tell state
        wait_for 5 grep -q '^open' "$ANSWERS" >/dev/null
        sed -n 's/.* types//p' "$ANSWERS"
}

# registration ID: how it stands with a type, and why
registration() {
        rows ListTypes "select(.[1] == \"nvidia-$1\") | .[7].registration.data + \" \" + .[7].reason.data" | sed 's/"//g'
}

probe_as() {
        setpriv --reuid "$1" --regid "$1" --clear-groups "$WORKER" --probe
}

profile() {
        mkdir -p /etc/mdevgpud/types.d
        {
                echo 'version: 1'
                echo 'match: {vendor: 0x10de}'
                echo 'types:'
                for id; do
                        echo "  - {id: $id, name: \"Type $id\", max-instances: 2, framebuffer: 64MiB}"
                done
        } >/etc/mdevgpud/types.d/nvidia.yaml
}

heading "Without a driver"
card_appear
check_output "the probe says so" 'no-driver: .*/dev/nvidiactl' mdevgpuctl probe

heading "Real nodes"
check "modprobe cuse" modprobe cuse
check "the model has its devices" driver_load "$VERSION"
check_equal "with NVIDIA's numbers" "c3:ff c3:0" "$(stat -c %t:%T /dev/nvidiactl) $(stat -c %t:%T /dev/nvidia0)"
check_output "a driver that is a vGPU host, and no types yet" 'state: host-ready' mdevgpuctl probe
check_output "of the right layout" 'layout: L6' mdevgpuctl probe
check_output "which answers" 'virtualization-mode +0x00800289 +8 bytes +3 \(vGPU host\)' mdevgpuctl probe
check_equal "the probe has changed nothing" 0 "$(state set-info)"
check_equal "and left nothing open" "0 0" "$(state open) $(state objects)"

heading "Permissions"
chmod 0600 /dev/nvidiactl /dev/nvidia0
check_output "a user who may not open the control node is told" '/dev/nvidiactl cannot be opened: Permission denied' \
        probe_as $NOBODY
chmod 0666 /dev/nvidiactl
check_output "nor the card's" '/dev/nvidia0 cannot be opened: Permission denied' probe_as $NOBODY
chmod 0666 /dev/nvidia0
check_output "who may open both may ask" 'state: host-ready' probe_as $NOBODY
chmod 0600 /dev/nvidiactl /dev/nvidia0

heading "Registering"
# What stands in for NVIDIA's daemon, as far as it can be seen to end.
cp /usr/bin/sleep /usr/bin/nvidia-vgpud
tell vgpud
profile 1 2
check "systemctl enable --now" systemctl enable --now "$UNIT"
check_soon "the types are there" has_row ListTypes 1 nvidia-2
check_output "registered" '^registered' registration 1
check_equal "with the driver" " 100 101 1 2" "$(types)"
check_equal "whose set is ready, and always was" "2 2" "$(state state) $(state lowest)"
check_equal "nothing was discarded" 0 "$(state discards)"
check_equal "no node is held open" "" "$(find /proc/[0-9]*/fd -lname '/dev/nvidia*' 2>/dev/null)"
check_equal "nor does the model know of one" "0 0" "$(state open) $(state objects)"

heading "Refusals"
tell "refuse 3"
profile 1 2 3
check "systemctl reload" systemctl reload "$UNIT"
check_output "one that is refused says why" '^refused .*PRIV_SEC_VIOLATION' registration 3
check_output "another is still registered" '^registered' registration 1
check_equal "the set is ready again" 2 "$(state state)"
tell "refuse 0"

heading "NVIDIA's daemon runs again"
tell vgpud
check_equal "ours are gone" " 100 101" "$(types)"
check "systemctl reload" systemctl reload "$UNIT"
check_output "and registered again" '^registered' registration 2
check_output "the one that was refused, too" '^registered' registration 3
tell vgpud
check_equal "and once more" " 100 101" "$(types)"
check "its program runs" /usr/bin/nvidia-vgpud 0.1
check_soon "its end is noticed, and ours are registered again" equals " 100 101 1 2 3" types
check_soon "the set is ready" equals 2 state state

heading "Machines"
check_output "the driver says what is used, without any machine" 'Layout: +L6' mdevgpuctl usage "$GPU"
check_equal "no node is open for it" "0 0" "$(state open) $(state objects)"
function=$EVIDENCE/pci/0000:41:00.4
mkdir -p "$function/nvidia"
echo 100 >"$function/nvidia/current_vgpu_type"
ln -s ../0000:41:00.4 "$EVIDENCE/pci/$GPU/virtfn0"
gpu=$(rows ListGpus "select(.[0] == \"$GPU\") | .[4]" | tr -d '"')
check "mdevgpuctl reload" mdevgpuctl reload
check_soon "a card with a vGPU is listened to" equals 3 state open
check_equal "nothing is used" 0 "$(property "$gpu" Gpu FramebufferUsed)"
tell "guest 100"
check_soon "that a machine begins is heard" equals 3221225472 property "$gpu" Gpu FramebufferUsed
check_output "it is told whose it is" 'nvidia-100 +1 web1 +- +3 GiB +40 550.54.14 yes' mdevgpuctl usage "$GPU"
tell "guest 0"
check_soon "that it ends as well" equals 0 property "$gpu" Gpu FramebufferUsed
echo 0 >"$function/nvidia/current_vgpu_type"
check "mdevgpuctl reload" mdevgpuctl reload
check_soon "and then the nodes are closed" equals 0 state open
rm "$EVIDENCE/pci/$GPU/virtfn0"
check "mdevgpuctl reload" mdevgpuctl reload

heading "A busy driver"
tell "busy 5"
tell reload
check "systemctl reload" systemctl reload "$UNIT"
check_output "is waited for" '^registered' registration 3

heading "Without the privilege"
tell reload
mkdir -p /run/systemd/system/mdevgpud.service.d
printf '[Service]\nCapabilityBoundingSet=~CAP_SYS_ADMIN\n' >/run/systemd/system/mdevgpud.service.d/test.conf
systemctl daemon-reload
check "restart" systemctl restart "$UNIT"
check_soon "the types are there" has_row ListTypes 1 nvidia-2
check_output "the driver refuses, and it is said why" '^refused .*CAP_SYS_ADMIN' registration 1
rm -r /run/systemd/system/mdevgpud.service.d
systemctl daemon-reload
check "restart" systemctl restart "$UNIT"
check_soon "the types are there" has_row ListTypes 1 nvidia-2
check_output "with it they are registered" '^registered' registration 1

heading "A driver that does not answer"
gpu=$(rows ListGpus "select(.[0] == \"$GPU\") | .[4]")
tell hang
gdbus call --system --timeout 60 -d org.mdevgpu1 -o "$gpu" -m org.mdevgpu1.Gpu.Refresh '{}' >"$EVIDENCE/refresh" 2>&1 &
refresher=$!
check_soon "its GPU is busy" equals busy property "$gpu" Gpu State
check "the daemon answers" property /org/mdevgpu1 Manager Version
tell resume
check_soon "and then ready" equals host-ready property "$gpu" Gpu State
wait "$refresher"

heading "It goes"
check "the nodes have gone" driver_unload
check_output "the probe says so" 'no-driver: .*/dev/nvidiactl' mdevgpuctl probe
systemctl stop "$UNIT"

heading "Every layout"
while read -r version layout; do
        driver_load "$version"
        tell vgpud
        mdevgpuctl probe >"$EVIDENCE/probe" 2>&1
        check_output "$version is spoken to in $layout" "^  layout: $layout\$" cat "$EVIDENCE/probe"
        check_output "and lists its types" '2 types, the set is ready' cat "$EVIDENCE/probe"
        check_output "with their names" '"Vendor type 101" \(Quadro\), 4 instances' cat "$EVIDENCE/probe"
        driver_unload >/dev/null
done <<'VERSIONS'
530.41.03 L1
535.183.01 L1
550.163.01 L2
570.211.01 L3
575.64.05 L4
580.82.09 L5
595.45.04 L7
VERSIONS

# That of 525 does not tell its version over the node, and here is no module that would.
driver_load 525.60.11
check_output "one whose version nobody tells is left alone" 'state: layout-unknown' mdevgpuctl probe
driver_unload >/dev/null

umount /proc/driver /sys/bus/pci/devices
finish
