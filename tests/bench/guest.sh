# shellcheck shell=bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Making vGPUs with the kernel's mtty, which does next to nothing: what lies between is what is measured. One CPU.

# shellcheck source=../vm/guest/project.sh
. /rig/guest/project.sh

ROUNDS=$1
BENCH=/rig/bench
BUS=unix:path=/run/dbus/system_bus_socket
PARENT=mtty TYPE=mtty-1

# field NAME: of what a measurement printed into $WORK
field() {
        awk -v name="$1" '$1 == name { print $2 }' "$EVIDENCE/out"
}

say() {
        printf '  %-58s %s\n' "$@"
}

ratio() {
        awk -v a="$1" -v b="$2" 'BEGIN { printf "%.2f", a / b }'
}

measure() {
        "$BENCH" "$@" >"$EVIDENCE/out" || exit 1
}

# Another name would be taken by nobody; a policy lets only root have it.
cat >/etc/dbus-1/system.d/bench.conf <<'CONF'
<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <policy user="root"><allow own="org.mdevgpu1.Floor"/></policy>
  <policy context="default"><allow send_destination="org.mdevgpu1.Floor"/></policy>
</busconfig>
CONF
systemctl reload dbus
modprobe -a vfio_iommu_type1 mtty
udevadm settle
systemctl enable --now "$UNIT" >/dev/null 2>&1
systemctl stop systemd-journal-flush.service apt-daily.timer 2>/dev/null
call ListGpus '{}' >/dev/null
"$BENCH" floor "$BUS" &
sleep 3

types=/sys/class/mdev_bus/$PARENT/mdev_supported_types/$TYPE
echo "Making a vGPU, with mtty in an emulated machine; µs, least of $ROUNDS rounds (median)"
measure driver "$types" /sys/bus/mdev/devices "$ROUNDS" 20000
driver=$(field create.min) driver_median=$(field create.median)
say "the driver alone" "$driver ($driver_median)"
measure create "$BUS" "$PARENT" "$TYPE" "$ROUNDS" transient 20000
echo=$(field echo.min) echo_median=$(field echo.median) create=$(field create.min) create_median=$(field create.median)
say "an echo over the bus" "$echo ($echo_median)"
say "CreateVGpu, transient" "$create ($create_median)"
say "DestroyVGpu" "$(field destroy.min) ($(field destroy.median))"
say "CreateVGpu without the driver, in echoes" \
        "$(ratio "$(awk -v a="$create" -v b="$driver" 'BEGIN { print a - b }')" "$echo") ($(ratio \
        "$(awk -v a="$create_median" -v b="$driver_median" 'BEGIN { print a - b }')" "$echo_median"))"
measure run "$((ROUNDS < 31 ? ROUNDS : 31))" mdevctl start --uuid UUID --parent "$PARENT" --type "$TYPE" -- \
        mdevctl stop --uuid UUID
say "mdevctl start" "$(field run.min) ($(field run.median))"
say "mdevctl start : CreateVGpu" "$(ratio "$(field run.min)" "$create") ($(ratio "$(field run.median)" "$create_median"))"

echo "Making a vGPU that is defined: on a disk"
measure durable /etc/mdevctl.d "$ROUNDS"
durable=$(field durable.min) durable_median=$(field durable.median)
say "write, fsync, rename, fsync of the folder" "$durable ($durable_median)"
measure create "$BUS" "$PARENT" "$TYPE" "$ROUNDS" durable 20000
say "CreateVGpu, persistent" "$(field create.min) ($(field create.median))"
say "what it adds to a transient one, in files made durable" \
        "$(ratio "$(awk -v a="$(field create.min)" -v b="$create" 'BEGIN { print a - b }')" "$durable") ($(ratio \
        "$(awk -v a="$(field create.median)" -v b="$create_median" 'BEGIN { print a - b }')" "$durable_median"))"
systemctl stop "$UNIT"
