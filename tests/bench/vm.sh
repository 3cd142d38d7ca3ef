#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# vm.sh BUILD ROUNDS: what is measured in a virtual machine, where a driver makes real devices: guest.sh and guest-state.sh.
#
# Under emulation everything is slow, and system calls are slower than what lies between them; so only ratios within
# one run say anything, and they are not those of hardware.

set -euo pipefail
shopt -s inherit_errexit

cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../.."
build=$1 rounds=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# The unit and its paths are those of a package.
if [ ! -e "$build-vm/build.ninja" ]; then
        CC=gcc meson setup "$build-vm" . -Dtests=true -Ddocs=disabled >"$build.log" 2>&1 || { cat "$build.log"; exit 1; }
fi
ninja -C "$build-vm" >"$build.log" 2>&1 || { grep -v '^\[' "$build.log"; exit 1; }
DESTDIR=$work meson install -C "$build-vm" --no-rebuild --quiet
tests/vm/rig run --disk --cpus 1 --timeout 900 --install "$work" --file "$build-vm/tests/bench/bench" \
        tests/bench/guest.sh "$rounds" | grep -vE '^(==|boot)'
tests/vm/rig run --memory 2560 --timeout 900 --file "$build-vm/tests/bench/bench" \
        tests/bench/guest-state.sh 256 "$((rounds < 7 ? rounds : 7))" | grep -vE '^(==|boot)'
