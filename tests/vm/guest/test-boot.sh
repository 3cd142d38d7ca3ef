# shellcheck shell=bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# rig: --enable mdevgpud.service --append modules_load=mtty,mdevgpu_ref
#
# A boot with hardware present and the service enabled: the daemon starts while udev still replays what the kernel has
# found, and must come to the same result as in peace.

# shellcheck source=project.sh
. /rig/guest/project.sh

gpus() {
        rows ListGpus '.[0]' | sort | xargs
}

states() {
        rows ListGpus '.[3]' | sort -u
}

heading "After boot"
check_soon "the service runs" equals active systemctl is-active "$UNIT"
check "it owns the name" owns_name
check_equal "it was started once" 0 "$(systemctl show -P NRestarts "$UNIT")"
check_soon "the drivers were there before it" test -e /sys/class/mdev_bus/mtty -a -e /dev/mdevgpu/gpu0
udevadm settle
check_soon "each GPU is listed, and once" equals "1000:00:00.0 mtty" gpus
check_soon "each is ready" equals ready states
check_equal "types are what mdevctl says" "$(types_of_mdevctl)" "$(types_of_bus)"
check "a vGPU can be made" create mtty mtty-2
check_equal "and is seen" "$(vgpus_of_mdevctl)" "$(vgpus_of_bus)"

check_peace
finish
