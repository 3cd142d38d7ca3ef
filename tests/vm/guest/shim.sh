# shellcheck shell=bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# What the suites about the shim share, on top of lib.sh.

# program NAME ARG…: a test program that prints its own checks; its counts are added to ours.
program() {
        local name=$1 passed failed skipped status=0
        shift

        timeout "${PROGRAM_TIMEOUT:-200}" "$RIG/$name" "$@" >"$EVIDENCE/program" 2>&1 </dev/null || status=$?
        sed '$d' "$EVIDENCE/program"
        if read -r passed _ failed _ skipped _ < <(tail -n 1 "$EVIDENCE/program" | tr -d ,) && [[ $passed$failed$skipped =~ ^[0-9]+$ ]]; then
                PASSED=$((PASSED + passed)) FAILED=$((FAILED + failed)) SKIPPED=$((SKIPPED + skipped))
                [ "$status" -eq 0 ] || [ "$failed" -gt 0 ] || fail "$name ends with status $status"
        else
                fail "$name ends without a count (status $status)" "$EVIDENCE/program"
        fi
}

# What a kernel says when something is wrong, with what it says around it
kernel_complains() {
        kernel_log | grep -E -B 2 -A 40 'WARNING|BUG|INFO: |Oops|Call Trace|refcount_t|hung task|general protection|KASAN|ODEBUG|corruption' |
                head -n 200 | grep .
}

# Memory that nobody points to any more, where the kernel can tell. The first scan finds what is in flight, too.
kernel_leaks() {
        local file=/sys/kernel/debug/kmemleak

        echo scan >$file
        sleep 6
        echo scan >$file
        grep . $file
}
