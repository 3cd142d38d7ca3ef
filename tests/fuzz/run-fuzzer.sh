#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# run-fuzzer.sh TARGET FOUND CORPUS SECONDS ARGUMENT…: a libFuzzer target, over its corpus and on from it. What is new
# goes to the folder FOUND, as does an input that breaks the target.

set -euo pipefail

target=$1 found=$2 corpus=$3 seconds=$4
shift 4

mkdir -p "$found"
"$target" "$@" -timeout=5 -rss_limit_mb=512 -print_final_stats=1 -artifact_prefix="$found/broken-" -max_total_time="$seconds" \
        "$found" "$corpus"
