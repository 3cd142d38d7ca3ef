# shellcheck shell=bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# What suites about the project share on top of lib.sh: the unit, calls over the bus, drivers, and what must hold at the
# end of each.

# shellcheck source=lib.sh
. /rig/guest/lib.sh

UNIT=mdevgpud.service
NOBODY=65534

# call METHOD [ARGUMENT…]: of the Manager. Prints the reply, or the error with its name; the message is not cut.
call() {
        local method=$1
        shift

        gdbus call --system --timeout 60 -d org.mdevgpu1 -o /org/mdevgpu1 -m "org.mdevgpu1.Manager.$method" "$@"
}

# rows METHOD [FILTER]: what one of the Manager's list methods answers, each row as one line of JSON through jq's FILTER.
rows() {
        busctl --json=short call org.mdevgpu1 /org/mdevgpu1 org.mdevgpu1.Manager "$1" 'a{sv}' 0 |
                jq -rc ".data[0][] | ${2:-.}"
}

# property PATH INTERFACE NAME, the interface without its prefix
property() {
        busctl --json=short get-property org.mdevgpu1 "$1" "org.mdevgpu1.$2" "$3" | jq -rc .data
}

vgpu_path() {
        echo "/org/mdevgpu1/vgpu/_${1//-/_}"
}

vgpu_property() {
        property "$(vgpu_path "$1")" VGpu "$2"
}

# in_state UUID STATE
in_state() {
        [ "$(busctl get-property org.mdevgpu1 "$(vgpu_path "$1")" org.mdevgpu1.VGpu State)" = "s \"$2\"" ]
}

# define GPU TYPE UUID OPTIONS
define() {
        call DefineVGpu "$@"
}

# has_row METHOD COLUMN VALUE: one of the rows has it, counted from 0.
has_row() {
        rows "$1" ".[$2]" | grep -qxF -- "$3"
}

# create GPU TYPE [UUID]: over the bus; prints the UUID, or the error.
create() {
        local reply

        reply=$(call CreateVGpu "$1" "$2" "${3:-}" '{}' 2>&1) || { echo "$reply"; return 1; }
        sed -n "s/^('\([0-9a-f-]*\)', .*/\1/p" <<<"$reply" | grep .
}

# What can be made, as "GPU ID NAME API AVAILABLE" lines, by either tool's word
types_of_mdevctl() {
        mdevctl types --dumpjson | jq -r '.[] | to_entries[] | .key as $gpu | .value[] | to_entries[] |
                [$gpu, .key, .value.name // "", .value.device_api, .value.available_instances] | @tsv' | sort
}

types_of_bus() {
        rows ListTypes '[.[0], .[1], .[2], .[3], .[5]] | @tsv' | sort
}

# What exists, as "UUID GPU TYPE" lines, by either tool's word
vgpus_of_mdevctl() {
        mdevctl list --dumpjson | jq -r '.[] | to_entries[] | .key as $gpu | .value[] | to_entries[] |
                [.key, $gpu, .value.mdev_type] | @tsv' | sort
}

vgpus_of_bus() {
        rows ListVGpus '[.[0], .[1], .[2]] | @tsv' | sort
}

main_pid() {
        systemctl show -P MainPID "$UNIT"
}

# The daemon that runs is the one that owns the name.
owns_name() {
        [ "$(busctl status org.mdevgpu1 | sed -n 's/^PID=//p')" = "$(main_pid)" ]
}

drivers_load() {
        modprobe -a vfio_iommu_type1 "$@"
        udevadm settle
}

# hold UUID [OPTION…]: has it held open by another process, whose id is then in HOLDER.
hold() {
        local uuid=$1
        shift

        "$RIG/vfio-hold" "$@" "$uuid" >"$EVIDENCE/hold" 2>&1 </dev/null &
        HOLDER=$!
        wait_for "$PATIENCE" grep -q holding "$EVIDENCE/hold" >/dev/null
}

let_go() {
        kill "$HOLDER"
        wait "$HOLDER" 2>/dev/null || true
}

# For the end of a suite in which nothing was meant to go wrong.
check_peace() {
        heading "At the end"
        check_equal "the daemon has logged no error" "" "$(journalctl -b -q -o cat -p err -u "$UNIT")"
        check_equal "the kernel has not complained" "" \
                "$(kernel_log journalctl -b -k -q -o cat | grep -E 'BUG:|WARNING:|Oops|general protection|refcount_t|Call Trace')"
        check_equal "no unit failed" "" "$(systemctl --failed --no-legend)"
}
