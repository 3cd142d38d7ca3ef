# shellcheck shell=bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# What the guest's scripts share: assertions, waiting, and the nested guest. A suite sources this, asserts, and ends with
# "finish". Each assertion prints one line; one that fails prints what was run and what came of it, too.

export LC_ALL=C
set -u

RIG=/rig
PASSED=0 FAILED=0 SKIPPED=0
# Which boot of the machine this is: see machine_reboot.
BOOT=1
# shellcheck source=/dev/null
[ ! -e "$RIG/counts" ] || . "$RIG/counts"
EVIDENCE=$(mktemp -d)

# Everything in the machine is slow, and it may be on a host that is busy: how long to wait for what should happen soon.
PATIENCE=60

# With how long the script has run until then
heading() {
        printf '\n%s (%d s)\n' "$*" "$SECONDS"
}

note() {
        printf '  (%s)\n' "$*"
}

pass() {
        PASSED=$((PASSED + 1))
        printf '  ok      %s\n' "$1"
}

# fail NAME [FILE]: the file's end is the evidence.
fail() {
        FAILED=$((FAILED + 1))
        printf '  FAILED  %s\n' "$1"
        [ $# -lt 2 ] || tail -n 30 "$2" | sed 's/^/          /'
}

skip() {
        SKIPPED=$((SKIPPED + 1))
        printf '  skipped %s: %s\n' "$1" "$2"
}

# capture COMMAND…: runs it with its output, and what it was, in $EVIDENCE/log. Returns its status.
capture() {
        local status=0

        printf '$ %s\n' "$*" >"$EVIDENCE/log"
        "$@" >"$EVIDENCE/out" 2>&1 </dev/null || status=$?
        cat "$EVIDENCE/out" >>"$EVIDENCE/log"
        echo "status $status" >>"$EVIDENCE/log"
        return "$status"
}

# check NAME COMMAND…: it succeeds.
check() {
        local name=$1
        shift

        if capture "$@"; then
                pass "$name"
        else
                fail "$name" "$EVIDENCE/log"
        fi
}

# check_fails NAME REGEX COMMAND…: it fails, and says what REGEX says.
check_fails() {
        local name=$1 regex=$2
        shift 2

        if capture "$@"; then
                fail "$name (it succeeded)" "$EVIDENCE/log"
        elif grep -qE -- "$regex" "$EVIDENCE/out"; then
                pass "$name"
        else
                fail "$name (expected: $regex)" "$EVIDENCE/log"
        fi
}

# check_output NAME REGEX COMMAND…: it succeeds, and a line of its output matches.
check_output() {
        local name=$1 regex=$2
        shift 2

        if capture "$@" && grep -qE -- "$regex" "$EVIDENCE/out"; then
                pass "$name"
        else
                fail "$name (expected: $regex)" "$EVIDENCE/log"
        fi
}

# kernel_log [COMMAND…]: the kernel's log, as the command prints it, but for one complaint that is the emulator's: a trap of a
# single step that nobody asked for, with flags that no program set (QEMU 7.2 without KVM, in a stat() of systemd's; once in
# many runs).
kernel_log() {
        "${@:-dmesg}" | awk '
                /------------\[ cut here \]/ { held = 1; text = "" }
                held { text = text $0 "\n"; if (/exc_debug_kernel/) emulator = 1 }
                !held { print }
                held && /---\[ end trace/ { if (!emulator) printf "%s", text; held = emulator = 0; text = "" }
                END { printf "%s", text }'
}

# check_equal NAME EXPECTED ACTUAL
check_equal() {
        if [ "$2" = "$3" ]; then
                pass "$1"
        else
                diff -U1 --label expected --label actual <(printf '%s\n' "$2") <(printf '%s\n' "$3") >"$EVIDENCE/log"
                fail "$1" "$EVIDENCE/log"
        fi
}

# wait_for SECONDS COMMAND…: asks again and again until it succeeds.
wait_for() {
        local end=$((SECONDS + $1))
        shift

        until "$@" >"$EVIDENCE/wait" 2>&1 </dev/null; do
                if [ "$SECONDS" -ge "$end" ]; then
                        echo "not within time: $*"
                        cat "$EVIDENCE/wait"
                        return 1
                fi
                sleep 0.2
        done
        cat "$EVIDENCE/wait"
}

# check_soon NAME COMMAND…: it succeeds before patience is at its end.
check_soon() {
        local name=$1
        shift

        check "$name" wait_for "$PATIENCE" "$@"
}

# A command that must fail, for wait_for and check.
not() {
        ! "$@"
}

# equals EXPECTED COMMAND…: that is what it prints. For check_soon, which asks again.
equals() {
        local expected=$1
        shift

        "$@" >"$EVIDENCE/equals" 2>&1
        cat "$EVIDENCE/equals"
        [ "$(cat "$EVIDENCE/equals")" = "$expected" ]
}

# write FILE VALUE, as "echo >" would, but as a command.
write() {
        printf '%s\n' "$2" >"$1"
}

new_uuid() {
        cat /proc/sys/kernel/random/uuid
}

mdev_path() {
        echo "/sys/bus/mdev/devices/$1"
}

# random_hex DIGITS: for ids that nobody can have written down before.
random_hex() {
        od -An -N8 -tx8 /dev/urandom | tr -d ' ' | cut -c1-"$1"
}

# nested [UUID…] [-- PROBE…]: a guest inside the guest with these vGPUs on its PCI bus. Prints what pci-bare.c says of it.
# What can be done meanwhile may be, see nested_start: the guest stays until nested_wait has seen it.
nested() {
        local status=0

        nested_start "$@"
        nested_wait || status=$?
        return "$status"
}

# A Linux, which takes most of a minute, and ends by itself: with NESTED_GUEST=linux. Kernel code of no use here is left
# out that takes seconds in an emulated machine that is emulated itself.
NESTED_GUEST=bare
NESTED_LEAVE_OUT=jent_mod_init,serial_pci_driver_init,load_system_certificate_list,init_kprobe_trace,trace_eval_init
NESTED_LINUX="console=ttyS0 quiet panic=-1 oops=panic tsc=reliable lpj=4000000 no_timer_check mitigations=off iomem=relaxed \
cryptomgr.notests audit=0 initcall_blacklist=$NESTED_LEAVE_OUT"

nested_start() {
        NESTED_ARGUMENTS=("$@")
        NESTED_OUTPUT=$(mktemp)
        nested_qemu "$@" >"$NESTED_OUTPUT" 2>&1 &
        NESTED_PID=$!
}

nested_qemu() {
        local devices=() payload=(-kernel "$RIG/pci-bare") append=

        while [ $# -gt 0 ] && [ "$1" != -- ]; do
                # A vGPU by its UUID, or a PCI device by its address: without its ROM, which firmware would execute.
                case $1 in
                *:*) devices+=(-device "vfio-pci,host=$1,rombar=0") ;;
                *) devices+=(-device "vfio-pci,sysfsdev=$(mdev_path "$1")") ;;
                esac
                shift
        done
        if [ "$NESTED_GUEST" = linux ]; then
                payload=(-kernel "$RIG/vmlinux" -initrd "$RIG/initramfs")
                append=$NESTED_LINUX
        fi
        exec timeout -k 5 200 qemu-system-x86_64 -accel tcg -cpu max -M pc -m 128 -smp 1 \
                -nodefaults -no-user-config -no-reboot -display none -serial stdio \
                "${payload[@]}" "${devices[@]}" -append "$append $*" </dev/null
}

# Prints what the nested guest said; fails when it did not come to its end. An emulator that runs in an emulator loses a
# flag of the processor once in a while (seen once in a dozen boots), and the guest's kernel dies of it before it has run
# anything. Then, and only then, it gets a second chance.
nested_wait() {
        if [ "$NESTED_GUEST" = bare ]; then
                wait_for 190 grep -q 'pci-probe done' "$NESTED_OUTPUT" >/dev/null
                kill "$NESTED_PID"
        fi
        wait "$NESTED_PID"
        if grep -q 'Kernel panic' "$NESTED_OUTPUT" && ! grep -q '^pci ' "$NESTED_OUTPUT"; then
                echo "(the nested guest's kernel died at boot; once more)"
                nested_start "${NESTED_ARGUMENTS[@]}"
                wait "$NESTED_PID"
        fi
        tr -d '\r' <"$NESTED_OUTPUT"
        grep -q 'pci-probe done' "$NESTED_OUTPUT"
}

# What the next boot goes on with.
machine_prepare() {
        printf 'PASSED=%d FAILED=%d SKIPPED=%d BOOT=%d\n' "$PASSED" "$FAILED" "$SKIPPED" $((BOOT + 1)) >"$RIG/counts"
        journalctl -b -o short-monotonic --no-pager --no-hostname >"$RIG/journal-$BOOT" 2>&1
        : >"$RIG/again"
}

# machine_reboot: everything ends in order, the machine boots anew, and the suite runs again from its start, with BOOT
# counted up. The suite needs "# rig: --disk", on which the root is then.
machine_reboot() {
        machine_prepare
        systemctl --no-block reboot
        sleep infinity
}

# The same without any order: the power goes. Nothing is flushed that was not flushed before.
machine_cut() {
        machine_prepare
        echo b >/proc/sysrq-trigger
        sleep infinity
}

# Ends a suite: the count, and a status for the host.
finish() {
        rm -rf "$EVIDENCE"
        printf '\n%d passed, %d failed, %d skipped\n' "$PASSED" "$FAILED" "$SKIPPED"
        [ "$FAILED" -eq 0 ] && [ "$PASSED" -gt 0 ]
        exit
}
