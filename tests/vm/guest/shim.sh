# shellcheck shell=bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The kernel-side shim by itself: its control channel, and its vGPUs as VFIO and a guest see them. The programs that are
# run here are compiled on the host and lie in /rig (see shim-test.h).

# shellcheck source=lib.sh
. /rig/guest/lib.sh

# program NAME ARG…: a test program that prints its own checks; its counts are added to ours.
program() {
        local passed failed skipped status=0

        timeout 200 "$RIG/$@" >"$EVIDENCE/program" 2>&1 </dev/null || status=$?
        sed '$d' "$EVIDENCE/program"
        if read -r passed _ failed _ skipped _ < <(tail -n 1 "$EVIDENCE/program" | tr -d ,) && [[ $passed$failed$skipped =~ ^[0-9]+$ ]]; then
                PASSED=$((PASSED + passed)) FAILED=$((FAILED + failed)) SKIPPED=$((SKIPPED + skipped))
                [ "$status" -eq 0 ] || [ "$failed" -gt 0 ] || fail "$1 ends with status $status"
        else
                fail "$1 ends without a count (status $status)" "$EVIDENCE/program"
        fi
}

kernel_complains() {
        dmesg | grep -E 'WARNING|BUG|Oops|Call Trace|refcount_t|hung task|general protection|KASAN'
}

modprobe -a vfio_iommu_type1 mdev

heading "The control channel"
check "modprobe mdevgpu_ref" modprobe mdevgpu_ref ngpu=2
check_soon "its nodes" test -c /dev/mdevgpu/gpu0 -a -c /dev/mdevgpu/gpu1
program shim-types gpu0
program shim-vfio gpu0
program shim-abi gpu1

heading "The kernel's log"
check "has no complaint" not kernel_complains

finish
