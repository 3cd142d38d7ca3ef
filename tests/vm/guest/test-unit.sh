# shellcheck shell=bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The service as installed: what enable, disable, the bus and hardware do to it, and that it comes back.

# shellcheck source=project.sh
. /rig/guest/project.sh

heading "Installed, not enabled"
check_equal "it is disabled" disabled "$(systemctl is-enabled "$UNIT")"
check_equal "it does not run" inactive "$(systemctl is-active "$UNIT")"
check_equal "its unit has no mistakes" "" "$(systemd-analyze --man=no verify "/usr/lib/systemd/system/$UNIT" 2>&1)"
check "hardware appears" modprobe mtty
udevadm settle
check_fails "a call does not start it" 'NoSuchUnit|not found|ServiceUnknown' call ListGpus '{}'
check_equal "neither has the hardware" inactive "$(systemctl is-active "$UNIT")"
check_fails "doctor says why" '^error mdevgpud: daemon-disabled' mdevgpuctl doctor
check "the unit is masked" systemctl mask --quiet "$UNIT"
check_fails "doctor says that" '^error mdevgpud: daemon-masked' mdevgpuctl doctor
systemctl unmask --quiet "$UNIT"
rmmod mtty

heading "Enabled"
check "systemctl enable" systemctl enable "$UNIT"
check_equal "it still does not run" inactive "$(systemctl is-active "$UNIT")"
check "a call starts it" call ListGpus '{}'
check_equal "it runs" active "$(systemctl is-active "$UNIT")"
check "the main process owns the name" owns_name
check_output "it says how it is" . systemctl show -P StatusText "$UNIT"
check_equal "it is the only owner" 1 "$(busctl --no-legend list | grep -c '^org\.mdevgpu1 ')"
check "systemctl stop" systemctl stop "$UNIT"
check_equal "it has ended" inactive "$(systemctl is-active "$UNIT")"

check "hardware appears" modprobe mtty
check_soon "that starts it" systemctl is-active "$UNIT"
check_soon "with the hardware on the bus" has_row ListGpus 0 mtty
rmmod mtty
check_soon "which goes with its driver" not has_row ListGpus 0 mtty

heading "Reload"
check "with a good configuration" systemctl reload "$UNIT"
mkdir -p /etc/mdevgpud/types.d
printf 'version: 1\nmatsch: {}\n' >/etc/mdevgpud/types.d/50-bad.yaml
check_fails "with a bad one it fails" . systemctl reload "$UNIT"
check_equal "and goes on" active "$(systemctl is-active "$UNIT")"
check_output "the journal has the place of the mistake" '50-bad\.yaml:2:1: error:' journalctl -b -q -o cat -u "$UNIT"
refused=$(grep -B 1 '^Subject: The configuration' /usr/lib/systemd/catalog/mdevgpud.catalog | head -n 1)
check "the catalog is taken up" journalctl --update-catalog
check_output "and explains what the journal says of it" '-- Subject: The configuration of mdevgpud is not in force' \
        journalctl -b -q -x -u "$UNIT" "MESSAGE_ID=${refused#-- }"
check_fails "so has the answer" '50-bad\.yaml:2:1: error: .*matsch' call Reload '{}'
check_fails "which has its name" 'org\.mdevgpu1\.Error\.ConfigInvalid' call Reload '{}'
check_fails "--check-config finds it, too" '50-bad\.yaml:2:1: error' mdevgpud --check-config
rm /etc/mdevgpud/types.d/50-bad.yaml
check "mended, it loads" systemctl reload "$UNIT"

heading "It comes back"
before=$(main_pid)
check "systemctl restart" systemctl restart "$UNIT"
check "the new one owns the name" owns_name
check "and is a new one" test "$(main_pid)" -ne "$before"

another_runs() {
        [ "$(systemctl is-active "$UNIT")" = active ] && [ "$(main_pid)" -ne "$1" ] && owns_name
}

before=$(main_pid)
check "it is killed" kill -KILL "$before"
check_soon "systemd starts it again" another_runs "$before"

mkdir -p "/run/systemd/system/$UNIT.d"
printf '[Service]\nWatchdogSec=6s\nLimitCORE=0\n' >"/run/systemd/system/$UNIT.d/watchdog.conf"
systemctl daemon-reload
systemctl restart "$UNIT"
before=$(main_pid)
sleep 13
check_equal "it keeps its watchdog content" "$before" "$(main_pid)"
check "it hangs" kill -STOP "$before"
check_soon "the watchdog ends it and systemd starts it again" another_runs "$before"
check_output "for that reason" 'watchdog' journalctl -b -q -o cat -u "$UNIT"
rm -r "/run/systemd/system/$UNIT.d"
systemctl daemon-reload

heading "Disabled"
check "systemctl disable --now" systemctl disable --now "$UNIT"
check_fails "a call does not start it" 'NoSuchUnit|not found|ServiceUnknown' call ListGpus '{}'
check "hardware appears" modprobe mtty
udevadm settle
check_equal "and it stays off" inactive "$(systemctl is-active "$UNIT")"

finish
