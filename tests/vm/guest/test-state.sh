# shellcheck shell=bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# rig: --memory 2048 --timeout 600
#
# The state of real vGPUs, the shim's and the kernel sample's: saved and restored by the daemon, what was written by a VFIO
# client compared by it.

# shellcheck source=project.sh
. /rig/guest/project.sh

GPU=1000:00:00.0
TYPE=mdevgpu_ref-7
STORE=/var/lib/mdevgpud/states

# job PATH PROPERTY
job() {
        property "$1" Job "$2"
}

has_ended() {
        [[ "$(job "$1" State)" =~ ^(done|failed|cancelled)$ ]]
}

# begin METHOD ARGUMENT…: the job's path, or the error
begin() {
        local reply

        reply=$(call "$@" 2>&1) || { echo "$reply"; return 1; }
        sed -n "s/^(objectpath '\(.*\)',)$/\1/p" <<<"$reply" | grep .
}

# run METHOD ARGUMENT…: waits for the job's end, and says what that was
run() {
        local path

        path=$(begin "$@") || { echo "$path"; return 1; }
        wait_for "$PATIENCE" has_ended "$path" >/dev/null || { echo "it does not end"; return 1; }
        echo "$(job "$path" State) $(job "$path" Error) $(job "$path" ErrorMessage) $(job "$path" Result)"
        [ "$(job "$path" State)" = "done" ]
}

# content UUID KIND put|is SEED
content() {
        "$RIG/vfio-content" "$1" "$2" "$3" "$4" 8
}

device_state() {
        "$RIG/vfio-content" "$1" "$2" state
}

check "systemctl enable --now" systemctl enable --now "$UNIT"
drivers_load mdevgpu_ref mtty
mkdir -p /etc/mdevgpud/types.d
cat >/etc/mdevgpud/types.d/50-state.yaml <<'PROFILE'
version: 1
match: {vendor: 0x6d67}
types:
  - {id: 7, name: "Kept", max-instances: 4, framebuffer: 64MiB, keep-state: yes}
  - {id: 8, name: "Not kept", max-instances: 4, framebuffer: 64MiB}
PROFILE
check "mdevgpuctl reload" mdevgpuctl reload
check_soon "the type is there" has_row ListTypes 1 "$TYPE"

# there_and_back KIND GPU TYPE
there_and_back() {
        local kind=$1 gpu=$2 type=$3 uuid

        heading "A state of $kind's, there and back"
        uuid=$(create "$gpu" "$type")
        check "it is written to" content "$uuid" "$kind" put 41
        check_output "it is saved" '^done ' run SaveState "$uuid" "$kind" '{}'
        check "and holds what it did" content "$uuid" "$kind" is 41
        check_equal "for root alone" "600 root" "$(stat -c '%a %U' "$STORE/$kind.state")"
        check_equal "and runs" 2 "$(device_state "$uuid" "$kind")"
        check "it is changed" content "$uuid" "$kind" put 42
        check_fails "the name is taken" AlreadyExists run SaveState "$uuid" "$kind" '{}'
        check_fails "so is the UUID" AlreadyExists run RestoreState "$gpu" "$kind" '{}'
        check_output "it is restored beside it" '^done ' run RestoreState "$gpu" "$kind" '{"uuid": <"new">}'
        check_equal "there are two" 2 "$(rows ListVGpus '.[0]' | wc -l)"
        for other in $(rows ListVGpus '.[0]'); do
                [ "$other" = "$uuid" ] || check "the other is as it was" content "$other" "$kind" is 41
                check "that one is destroyed" call DestroyVGpu "$other" '{}'
        done
        check_output "it is restored where it was" '^done ' run RestoreState "" "$kind" '{}'
        check "and is as it was" content "$uuid" "$kind" is 41
        check_equal "it is active" active "$(vgpu_property "$uuid" State)"
        hold "$uuid"
        check_fails "one that is held is not saved" "InUse.*vfio-hold" run SaveState "$uuid" held '{}'
        let_go
        check_output "replaced and destroyed" '^done ' run SaveState "$uuid" "$kind" '{"replace": <true>, "after": <"destroy">}'
        check "it is gone" not has_row ListVGpus 0 "$uuid"
        check "what is saved is listed" has_row_of_state "$kind" "$uuid" "$type"
        check "and deleted" call DeleteSavedState "$kind" '{}'
        check_fails "for good" NoSuchState call DeleteSavedState "$kind" '{}'
        check_fails "and not restored" NoSuchState run RestoreState "" "$kind" '{}'
        check_equal "nothing else is in the store" "" "$(ls -A "$STORE")"
}

# has_row_of_state NAME UUID TYPE
has_row_of_state() {
        busctl --json=short call org.mdevgpu1 /org/mdevgpu1 org.mdevgpu1.Manager ListSavedStates |
                jq -e --arg n "$1" --arg u "$2" --arg t "$3" \
                        '.data[0] | any(.[0] == $n and .[1] == $u and .[2] == $t and .[3] > 0)' >/dev/null
}

# by_pipe UUID: the UUID of a second vGPU that has the state of this one
by_pipe() {
        mdevgpuctl -q export-state "$1" - | mdevgpuctl import-state - --uuid=new 2>/dev/null
}

# by_command KIND GPU TYPE
by_command() {
        local kind=$1 uuid other

        heading "A state of $kind's, by the command"
        uuid=$(create "$2" "$3")
        check "it is written to" content "$uuid" "$kind" put 43
        other=$(by_pipe "$uuid")
        check "it goes through a pipe into another" not test "$other" = "$uuid"
        check "which is as it was" content "$other" "$kind" is 43
        check "and is destroyed" mdevgpuctl destroy "$other"
        check "it goes into a file" mdevgpuctl export-state --after=destroy "$uuid" "/root/$kind"
        check_equal "for its owner alone" 600 "$(stat -c %a "/root/$kind")"
        check_equal "and out of it" "$uuid" "$(mdevgpuctl import-state "/root/$kind" 2>/dev/null)"
        check "and is as it was" content "$uuid" "$kind" is 43
        truncate -s -1 "/root/$kind"
        check_fails "what is cut off is refused" "cut off" mdevgpuctl import-state "/root/$kind" --uuid=new
        check_equal "and leaves nothing" "$uuid" "$(rows ListVGpus '.[0]')"
        check "it is destroyed" mdevgpuctl destroy "$uuid"
}

there_and_back shim "$GPU" "$TYPE"
there_and_back mtty mtty mtty-2
by_command shim "$GPU" "$TYPE"
by_command mtty mtty mtty-2

# A reader that takes so many MiB and then stands still: whoever writes is in the middle of it.
FIFO=/root/fifo
mkfifo "$FIFO"
exec 9<>"$FIFO"

drain() {
        timeout 1 cat <&9 >/dev/null
        return 0
}

# stall UUID MIB OPTION…: has it exported to there; who waits for it is $CLIENT
stall() {
        local uuid=$1 mib=$2
        shift 2

        mdevgpuctl export-state "$uuid" - "$@" >"$FIFO" 2>"$EVIDENCE/client" &
        CLIENT=$!
        dd bs=1M count="$mib" iflag=fullblock of=/dev/null status=none <&9
        wait_for "$PATIENCE" is_stalled >/dev/null
}

last_job() {
        busctl --json=short call org.mdevgpu1 /org/mdevgpu1 org.mdevgpu1.Manager ListJobs |
                jq -rc '.data[0] | max_by(.[0]) | .[3]'
}

# A worker is at it, and nothing has moved for a while.
is_stalled() {
        local before

        before=$(job "$(last_job)" Bytes)
        sleep 0.5
        [ "$before" = "$(job "$(last_job)" Bytes)" ] && transfer_pid >/dev/null
}

transfer_pid() {
        pgrep -f 'mdevgpud-worker transfer-'
}

# ended WORD: the client fails, and says this
ended() {
        ! wait "$CLIENT" && grep -q "$1" "$EVIDENCE/client"
}

# whole UUID SEED: nothing goes on with it, it runs, and holds what it did
whole() {
        wait_for "$PATIENCE" in_state "$1" active >/dev/null && [ "$(device_state "$1" shim)" = 2 ] &&
                content "$1" shim is "$2"
}

heading "A save that does not come to its end"
uuid=$(create "$GPU" "$TYPE")
check "it is written to" content "$uuid" shim put 77
for options in "" --no-precopy; do
        # shellcheck disable=SC2086
        stall "$uuid" 3 $options
        check_equal "the vGPU is told as what it is ($options)" "saving saving" \
                "$(vgpu_property "$uuid" State) $(vgpu_property "$uuid" MigrationState)"
        check_fails "and is nobody else's" 'Busy.*is being saved' call DestroyVGpu "$uuid" '{}'
        check_fails "also for a machine that starts" 'Busy.*is being saved' call HoldForStart "['$uuid']" '{}'
        check "another is made and removed meanwhile" call DestroyVGpu "$(create "$GPU" "$TYPE")" '{}'
        check "cancelled" busctl call org.mdevgpu1 "$(last_job)" org.mdevgpu1.Job Cancel 'a{sv}' 0
        check "it ends" ended ancelled
        drain
        check "and the vGPU is as it was" whole "$uuid" 77

        # shellcheck disable=SC2086
        stall "$uuid" 3 $options
        check "its worker is killed" kill -9 "$(transfer_pid)"
        check "it ends" ended 'came to no end'
        drain
        check "and the vGPU is as it was" whole "$uuid" 77

        # shellcheck disable=SC2086
        stall "$uuid" 3 $options
        check "the daemon is killed" kill -9 "$(main_pid)"
        check "it ends" ended .
        drain
        check_soon "another daemon runs" in_state "$uuid" active
        check "and the vGPU is as it was" whole "$uuid" 77
done
check "its record says nothing more of it" not grep -rq saving=1 /run/mdevgpud

heading "From one to the other through a pipe"
mdevgpuctl export-state "$uuid" - 2>/dev/null | mdevgpuctl import-state - "$GPU" --uuid=new >"$EVIDENCE/out" 2>&1
check_equal "both are done" "0 0" "${PIPESTATUS[*]}"
other=$(rows ListVGpus '.[0]' | grep -v "$uuid")
check "the other is as the one" whole "$other" 77
check "it is destroyed" call DestroyVGpu "$other" '{}'

heading "An image that is damaged, and one that does not end"
check "a good one" mdevgpuctl export-state "$uuid" /root/image
check_equal "nobody else reads it" 600 "$(stat -c %a /root/image)"
size=$(stat -c %s /root/image)
check "the vGPU goes" call DestroyVGpu "$uuid" '{}'
alone() {
        [ -z "$(rows ListVGpus '.[0]')" ] && [ "$(ls /sys/bus/mdev/devices)" = "" ]
}
for at in 3 30 5000 $((size / 2)) $((size - 5)); do
        cp /root/image /root/bad
        printf '\x5a\xa5\x77' | dd of=/root/bad bs=1 seek="$at" conv=notrunc status=none
        check_fails "altered at $at" 'StateInvalid|no image|corrupt' mdevgpuctl import-state /root/bad
        check_soon "nothing is left of it" alone
done
for n in 10 1000 $((size / 2)) $((size - 1)); do
        head -c "$n" /root/image >/root/bad
        check_fails "cut off at $n" 'cut off' mdevgpuctl import-state /root/bad
        check_soon "nothing is left of it" alone
done
feed() {
        mdevgpuctl import-state - <"$FIFO" >"$EVIDENCE/client" 2>&1 &
        CLIENT=$!
        head -c "$((size / 2))" /root/image >&9
        wait_for "$PATIENCE" in_state "$uuid" restoring >/dev/null
        sleep 0.5
}
feed
check "its worker is killed" kill -9 "$(transfer_pid)"
check "it ends" ended 'came to no end'
check_soon "nothing is left of it" alone
drain
feed
check "the daemon is killed" kill -9 "$(main_pid)"
check "it ends" ended .
check_soon "nothing is left of it" alone
drain
check "the good one fits all the same" mdevgpuctl import-state /root/image
check "and is what it was" whole "$uuid" 77

heading "No room"
check "a small disk" mount -t tmpfs -o size=4M none "$STORE"
check_fails "the state is not saved" 'No space left' run SaveState "$uuid" big '{}'
check_equal "no half of it is there" "" "$(ls -A "$STORE")"
check "and the vGPU is as it was" whole "$uuid" 77
check "umount" umount "$STORE"
mkdir -p /etc/mdevgpud
printf 'version: 1\nsaved-states-max: 8MiB\n' >/etc/mdevgpud/mdevgpud.yaml
check "mdevgpuctl reload" mdevgpuctl reload
check_fails "the quota" 'LimitExceeded' run SaveState "$uuid" big '{}'
check_equal "no half of it is there" "" "$(ls -A "$STORE")"
rm /etc/mdevgpud/mdevgpud.yaml
check "mdevgpuctl reload" mdevgpuctl reload

heading "What keeps none"
plain=$(create "$GPU" mdevgpu_ref-8)
check_fails "is not saved" 'NotSupported.*keep no state' run SaveState "$plain" none '{}'
check_fails "and not restored into" 'keep no state' mdevgpuctl import-state /root/image --uuid=new \
        --type=mdevgpu_ref-8
check_fails "nor into what is of another driver" "of driver 'mdevgpu_ref' .shim., and GPU mtty has driver ''" \
        mdevgpuctl import-state /root/image mtty --uuid=new --type=mtty-2
check "it goes" call DestroyVGpu "$plain" '{}'

heading "What becomes of the source"
check_fails "the module has it run again when it is closed" 'does not stay stopped' run SaveState "$uuid" s '{"after": <"stop">}'
check_equal "that is told, and it runs" 2 "$(device_state "$uuid" shim)"
sample=$(create mtty mtty-2)
check_output "the sample's stays stopped" '^done ' run SaveState "$sample" t '{"after": <"stop">}'
check_equal "it stands" 1 "$(device_state "$sample" mtty)"
check "it goes" call DestroyVGpu "$sample" '{}'

heading "What waits for a migration"
check "a vGPU waits" call DestroyVGpu "$uuid" '{}'
check "for it" mdevgpuctl prepare-incoming "$GPU" "$TYPE" "$uuid" --lease=3600
check_output "it comes from the store" '^done ' run RestoreState "" s '{}'
check "and is what it was" whole "$uuid" 77
check "it goes" call DestroyVGpu "$uuid" '{}'
check "one is defined" call DefineVGpu "$GPU" "$TYPE" "$uuid" '{}'
check_output "its state comes" '^done ' run RestoreState "$GPU" s '{}'
check "and is what it was" whole "$uuid" 77

heading "From one daemon to another through a socket"
cat >/root/second.conf <<'CONF'
<busconfig><type>system</type><listen>unix:path=/run/second</listen><auth>EXTERNAL</auth>
<policy context="default"><allow own="*"/><allow send_destination="*"/><allow eavesdrop="true"/></policy></busconfig>
CONF
dbus-daemon --config-file=/root/second.conf --fork
second() {
        unshare -m bash -c "mount -t tmpfs none /var/lib/mdevgpud; mount -t tmpfs none /run/mdevgpud
                DBUS_SYSTEM_BUS_ADDRESS=unix:path=/run/second exec $(command -v mdevgpud || echo /usr/sbin/mdevgpud)"
}
second >"$EVIDENCE/second" 2>&1 &
SECOND=$!
there() {
        mdevgpuctl --address=unix:path=/run/second "$@"
}
check_soon "a second daemon runs" there gpus
sample=$(create mtty mtty-2)
check "a vGPU of the first one's is written to" content "$sample" mtty put 99
check "it goes to the second" "$RIG/over-socket" "mdevgpuctl export-state $sample - --after=destroy" \
        "mdevgpuctl --address=unix:path=/run/second import-state - mtty --uuid=new"
check "and is not the first one's any more" not in_state "$sample" active
sample=$(there list --json=short | jq -r '.[] | select(.managed) | .uuid')
check "it is what it was there" content "$sample" mtty is 99
check "it goes" there destroy "$sample"
kill "$SECOND"

check_peace
finish
