#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# run-fuzzer.sh TARGET FOUND CORPUS SECONDS ARGUMENT…: a libFuzzer target, over its corpus and on from it. What is new
# goes to the folder FOUND, as does an input that breaks the target.
#
# libFuzzer's own exit status for a broken target, 77, is what meson takes for a skipped test.

set -euo pipefail

target=$1 found=$2 corpus=$3 seconds=$4
shift 4

# What is freed is kept for long, which is most of a long run's memory otherwise.
export ASAN_OPTIONS="${ASAN_OPTIONS:+$ASAN_OPTIONS:}quarantine_size_mb=32"

mkdir -p "$found"
"$target" "$@" -error_exitcode=1 -timeout=5 -rss_limit_mb=512 -print_final_stats=1 \
        -artifact_prefix="$found/broken-" -max_total_time="$seconds" "$found" "$corpus"
