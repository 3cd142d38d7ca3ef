#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The unit as installed: systemd understands all of it, it is as confined as it claims, and enable and disable mean what
# they say.
#
# units.sh BUILD-FOLDER UNIT-FOLDER

set -euo pipefail

build=$1 unitdir=$2
unit=mdevgpud.service alias=dbus-org.mdevgpu1.service
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
number=0

# result STATUS WHAT
result() {
        number=$((number + 1))
        if [ "$1" -eq 0 ]; then
                echo "ok $number $2"
        else
                echo "not ok $number $2"
        fi
}

# try WHAT COMMAND…: one test; what the command prints is shown if it fails
try() {
        local what=$1 output status=0

        shift
        output=$("$@" 2>&1) || status=$?
        [ "$status" -eq 0 ] || printf '%s\n' "$output" | sed 's/^/# /'
        result "$status" "$what"
}

# Its programs lie below $root, while the units that it refers to are this machine's.
verify() {
        local output

        sed "s,^\(Exec[A-Za-z]*=\)/,\1$root/," "$root$unitdir/$unit" >"$root/$unit"
        output=$(systemd-analyze verify --man=no "$root/$unit" 2>&1) || { echo "$output"; return 1; }
        ! grep -F "$unit" <<<"$output"
}

exposure() {
        systemd-analyze security --offline=true --threshold=30 "$root$unitdir/$unit"
}

# Whoever starts the service without being asked by a person knows it by its alias alone.
wakes_alias() {
        local file

        for file in share/dbus-1/system-services/org.mdevgpu1.service lib/udev/rules.d/60-mdevgpud.rules; do
                grep -q "$alias" "$root/usr/$file" || { echo "$file does not name $alias"; return 1; }
                ! grep "$unit" "$root/usr/$file" || return 1
        done
}

enabled() {
        systemctl --root="$root" "$1" "$unit" && [ -L "$root/etc/systemd/system/$alias" ] &&
                [ -L "$root/etc/systemd/system/multi-user.target.wants/$unit" ]
}

disabled() {
        systemctl --root="$root" disable "$unit" && [ ! -L "$root/etc/systemd/system/$alias" ] &&
                [ ! -L "$root/etc/systemd/system/multi-user.target.wants/$unit" ]
}

echo 1..7
try "meson installs into an empty folder" env DESTDIR="$root" meson install -C "$build" --no-rebuild --quiet
try "systemd-analyze verify has nothing to say" verify
try "exposure is 3.0 or better" exposure
try "activation and hardware wake the alias" wakes_alias
try "enable makes the alias" enabled enable
try "disable removes it" disabled
try "the preset enables" enabled preset
