# shellcheck shell=bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# What is defined survives a reboot and a power cut, and is started by itself: with a driver that is there before the
# daemon, one that comes right after it, and one that is loaded late, while mdevctl starts the same definitions.
# rig: --disk

# shellcheck source=project.sh
. /rig/guest/project.sh

# The vGPUs, each with a name in the root, which survives.
keep() {
        new_uuid >"/root/$1"
        cat "/root/$1"
}

uuid() {
        cat "/root/$1"
}

# is NAME STATE
is() {
        in_state "$(uuid "$1")" "$2"
}

# keep_defined NAME GPU TYPE OPTIONS
keep_defined() {
        define "$2" "$3" "$(keep "$1")" "$4"
}

problems() {
        property /org/mdevgpu1 Manager ConfigErrors
}

reload_and_restart() {
        systemctl reload "$UNIT" && systemctl restart "$UNIT"
}

# A stand-in for libvirtd, which starts virtual machines at boot: it notes which vGPUs it finds. And a driver that comes
# when the daemon is ready.
units_write() {
        cat >/etc/systemd/system/libvirtd.service <<'UNIT'
[Service]
Type=oneshot
ExecStart=/bin/sh -c 'ls /sys/bus/mdev/devices >/run/found-by-libvirtd'
[Install]
WantedBy=multi-user.target
UNIT
        cat >/etc/systemd/system/driver.service <<'UNIT'
[Unit]
After=mdevgpud.service
[Service]
Type=oneshot
ExecStart=modprobe mdpy
[Install]
WantedBy=multi-user.target
UNIT
        echo mtty >/etc/modules-load.d/driver.conf
        systemctl enable libvirtd.service driver.service
}

# Debian's rule for udev names a program in /usr/sbin that Debian does not have. Here it has: mdevctl starts what is
# defined, too.
mdevctl_write() {
        cat >/usr/sbin/mdevctl <<'WRAPPER'
#!/bin/sh
echo "$*" >>/run/started-by-mdevctl
exec /usr/bin/mdevctl "$@"
WRAPPER
        chmod +x /usr/sbin/mdevctl
}

before_reboot() {
        heading "Before any boot that has them"
        check "systemctl enable --now" systemctl enable --now "$UNIT"
        drivers_load mtty
        check_soon "a type is there" has_row ListTypes 1 mtty-2
        check "defined with its type there" keep_defined first mtty mtty-2 \
                "{'autostart': <true>, 'label': <'first'>, 'attrs': <[('power/control', 'on')]>}"
        check "defined for a driver that is not there" keep_defined after mdpy mdpy-vga "{'autostart': <true>}"
        check "and one more" keep_defined late mbochs mbochs-small "{'autostart': <true>}"
        check "not to be started" keep_defined manual mtty mtty-2 '{}'
        check "made, with a definition" create_persistent stopped
        check "stopped by a person" call DestroyVGpu "$(uuid stopped)" '{}'
        check "defined by mdevctl" mdevctl define -u "$(keep theirs)" -p mtty --type mtty-1 --auto
        check_soon "which is seen" is theirs defined
        check_equal "nothing has been started" "" "$(ls /sys/bus/mdev/devices)"
        units_write
        machine_reboot
}

create_persistent() {
        call CreateVGpu mtty mtty-2 "$(keep "$1")" "{'autostart': <true>, 'label': <'$1'>}"
}

after_reboot() {
        local expected

        heading "A driver that was there first"
        check_soon "the service runs" equals active systemctl is-active "$UNIT"
        check_soon "the stand-in for libvirtd has run" test -e /run/found-by-libvirtd
        expected=$(for name in first stopped theirs; do uuid $name; done | sort)
        check_equal "and found what starts by itself, that alone" "$expected" "$(cat /run/found-by-libvirtd)"
        check_equal "before the daemon was ready" 3 "$(journalctl -b -q -o cat -u "$UNIT" | sed '/^Ready:/q' | grep -c '^Started vGPU')"
        check "it is active" is first active
        check_equal "with its attribute" on "$(cat "$(mdev_path "$(uuid first)")/power/control")"
        check_equal "its label" first "$(vgpu_property "$(uuid first)" Label)"
        check_equal "and is ours" true "$(vgpu_property "$(uuid first)" Managed)"
        check "what is not to be started is not" is manual defined

        heading "A driver that came after the daemon"
        check_soon "its vGPU is started" is after active

        heading "A driver that comes late, while mdevctl starts the same"
        mdevctl_write
        check "its vGPU waits" is late defined
        check_equal "for a GPU that is not there" / "$(vgpu_property "$(uuid late)" Gpu)"
        for _ in 1 2; do
                modprobe mbochs
                check_soon "it is started when the driver comes" is late active
                check_equal "and is ours, whoever was first" true "$(vgpu_property "$(uuid late)" Managed)"
                udevadm settle
                rmmod mbochs
                check_soon "and waits again when that goes" is late defined
        done
        check_output "mdevctl was there as well" '^start-parent-mdevs mbochs$' cat /run/started-by-mdevctl

        heading "What is stopped stays so"
        check "by a person" call DestroyVGpu "$(uuid first)" '{}'
        check "by mdevctl" mdevctl stop -u "$(uuid theirs)"
        check_soon "which is seen" is theirs defined
        # Two seconds after which it is clear that the driver has not gone.
        sleep 3
        check "reload and restart" reload_and_restart
        check "the one is stopped" is first defined
        check "the other, too" is theirs defined
        check "a vGPU that goes" call DestroyVGpu "$(uuid stopped)" '{}'
        check "with its driver" rmmod mtty
        check_soon "which is gone" not has_row ListGpus 0 mtty
        check "that comes again" modprobe mtty
        for name in first theirs stopped; do
                check_soon "starts $name" is $name active
        done

        heading "The power goes"
        check "made, with a definition, just before" create_persistent cut
        check "changed" call ModifyVGpu "$(uuid manual)" "{'autostart': <true>, 'label': <'changed'>}"
        rm /usr/sbin/mdevctl
        check "undefined" call UndefineVGpu "$(uuid after)" '{}'
        machine_cut
}

after_cut() {
        heading "After the power cut"
        check_soon "the service runs" equals active systemctl is-active "$UNIT"
        check "what was made is started" is cut active
        check_equal "it is ours" true "$(vgpu_property "$(uuid cut)" Managed)"
        check_equal "with its label" cut "$(vgpu_property "$(uuid cut)" Label)"
        check "what was changed is so" is manual active
        check_equal "with its label" changed "$(vgpu_property "$(uuid manual)" Label)"
        check "what was undefined is" not has_row ListVGpus 0 "$(uuid after)"
        check_equal "no file is broken" "[]" "$(problems)"
        check_equal "mdevctl says the same" "$(vgpus_of_mdevctl)" \
                "$(rows ListVGpus 'select(.[3] == "active") | [.[0], .[1], .[2]] | @tsv' | sort)"
        check_peace
        finish
}

case $BOOT in
1) before_reboot ;;
2) after_reboot ;;
*) after_cut ;;
esac
