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
        [ "$(job "$path" State)" = done ]
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

check_peace
finish
