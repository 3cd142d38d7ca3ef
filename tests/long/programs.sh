#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# programs.sh SECONDS: the programs on the simulated host, with all that every day leaves out. The last line counts.

set -euo pipefail
shopt -s inherit_errexit

cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../.."
export LC_ALL=C.UTF-8 PYTHONDONTWRITEBYTECODE=1

SECONDS_EACH=$1
PLAIN=build-long FUZZ=build-long-fuzz
PASSED=0 FAILED=0

# result STATUS WHAT
result() {
        if [ "$1" -eq 0 ]; then
                PASSED=$((PASSED + 1))
                printf 'ok      %s (%d s)\n' "$2" "$SECONDS"
        else
                FAILED=$((FAILED + 1))
                printf 'FAILED  %s (%d s)\n' "$2" "$SECONDS"
        fi
}

# build DIR CC OPTION…
build() {
        local dir=$1 cc=$2

        shift 2
        [ -e "$dir/build.ninja" ] || CC=$cc meson setup "$dir" . --werror -Dtests=true -Ddocs=disabled "$@" >"$dir.log" 2>&1 ||
                { cat "$dir.log"; return 1; }
        ninja -C "$dir" >"$dir.log" 2>&1 || { grep -v '^\[' "$dir.log"; return 1; }
}

# tap WHAT COMMAND…: a test that speaks TAP
tap() {
        local what=$1 status=0

        shift
        "$@" 2>&1 | sed -n '/^ok/!p' || status=$?
        result "$status" "$what"
}

fuzz() {
        local target name corpus status

        for target in "$FUZZ"/tests/fuzz/fuzz-*; do
                if [ ! -f "$target" ] || [ ! -x "$target" ]; then
                        continue
                fi
                name=${target##*/fuzz-} corpus=$(mktemp -d) status=0
                "$target" -max_total_time="$SECONDS_EACH" -timeout=5 -rss_limit_mb=512 -artifact_prefix="$FUZZ/broken-$name-" \
                        "$corpus" "tests/fuzz/corpus/$name" >"$FUZZ/$name.log" 2>&1 || { status=1; tail -n 40 "$FUZZ/$name.log"; }
                rm -rf "$corpus"
                result "$status" "fuzz $name"
        done
}

main() {
        local sim=$PLAIN/daemon/mdevgpud-sim

        build "$PLAIN" gcc
        tap "kill -9 before every system call" python3 tests/bus/crash.py "$PWD/$sim" --all
        tap "every 13th allocation fails" python3 tests/bus/memory.py "$PWD/$sim" "$PWD/$PLAIN/tests/bus/failing.so" 13
        MDEVGPUD_ABUSE_ROUNDS=300 tap "clients that misbehave" python3 tests/bus/abuse.py "$PWD/$sim" --all

        build "$FUZZ" clang -Dfuzz=true -Db_sanitize=address,undefined -Db_lundef=false \
                -Dc_args="-fno-sanitize-recover=all -fno-omit-frame-pointer"
        fuzz
        printf '%d passed, %d failed, 0 skipped\n' "$PASSED" "$FAILED"
        [ "$FAILED" -eq 0 ]
}

main
