# shellcheck shell=bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The guest's root: a small Debian 12 (base), and that with kernel modules and the rig's own files in it (root).

BASE_PACKAGES=(
        systemd systemd-sysv dbus udev polkitd mdevctl kmod pciutils jq procps iproute2 busybox-static strace
        qemu-system-x86 e2fsprogs util-linux libglib2.0-bin
        libvirt-daemon-system libvirt-daemon-driver-qemu libvirt-clients libxml2-utils apparmor
        libudev1 libyaml-0-2 libuuid1 libjson-c5 libsmartcols1 libsystemd0
)

# What takes time at boot and serves no test.
ROOT_MASKS="
systemd-journal-flush.service systemd-random-seed.service systemd-update-utmp.service systemd-sysusers.service
systemd-firstboot.service systemd-machine-id-commit.service systemd-hwdb-update.service
systemd-journal-catalog-update.service systemd-update-done.service systemd-binfmt.service
systemd-remount-fs.service systemd-timesyncd.service systemd-pstore.service systemd-pcrphase.service
systemd-pcrphase-sysinit.service systemd-ask-password-console.path systemd-ask-password-wall.path
systemd-boot-system-token.service systemd-network-generator.service systemd-fsck-root.service
systemd-rfkill.service systemd-udev-settle.service systemd-sysext.service systemd-initctl.socket
systemd-journald-audit.socket systemd-fsckd.socket systemd-tmpfiles-clean.timer
proc-sys-fs-binfmt_misc.automount dev-hugepages.mount dev-mqueue.mount sys-kernel-tracing.mount
modprobe@dm_mod.service modprobe@loop.service modprobe@efi_pstore.service modprobe@drm.service
modprobe@configfs.service modprobe@fuse.service
systemd-user-sessions.service systemd-update-utmp-runlevel.service
e2scrub_reap.service ldconfig.service getty.target apt-daily.timer apt-daily-upgrade.timer
"

# The host's own Debian sources, whichever way they are written down there.
base_sources() {
        # shellcheck disable=SC2016
        apt-get indextargets --format 'deb $(REPO_URI) $(RELEASE) $(COMPONENT)' \
                'Created-By: Packages' 'Origin: Debian' | grep -E ' bookworm(-updates|-security)? '
}

# base/: a root file system. The host's way to its mirror (a proxy, perhaps) is passed on, too.
base_build() {
        local packages

        packages=$(IFS=, && echo "${BASE_PACKAGES[*]}")
        apt-config dump | { grep -E '^Acquire::https?::Proxy' || true; } >"$1.apt"
        base_sources >"$1.list"
        [ -s "$1.list" ] || return 1
        mmdebstrap --mode=root --variant=minbase --include="$packages" --aptopt="$1.apt" \
                --aptopt='APT::Install-Recommends "false"' \
                --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
                --dpkgopt='path-exclude=/usr/share/locale/*' \
                bookworm "$1" "$1.list"
        rm "$1.apt" "$1.list"
        chroot "$1" systemd-hwdb update
}

# root/: base by hard links (nothing here may write into a file that exists, only replace it), modules, image/
root_build() {
        local unit generator units=$1/etc/systemd/system modules=$1/usr/lib/modules/$KERNEL_RELEASE

        cp -al "$BASE_PIECE/." "$1/"
        mkdir -p "$modules" "$1/rig" "$1/lower"
        cp -al "$KERNEL_PIECE/modules/." "$modules/"
        mkdir "$modules/extra"
        [ -z "$SAMPLES_PIECE" ] || cp "$SAMPLES_PIECE"/*.ko "$modules/extra/"
        [ -z "$SCENERY_PIECE" ] || cp "$SCENERY_PIECE"/*.ko "$modules/extra/"
        [ -z "$SHIM_PIECE" ] || cp "$SHIM_PIECE"/*.ko "$modules/extra/"
        chroot "$1" depmod "$KERNEL_RELEASE"

        rm -rf "$units"/*.target.wants/* "$1/etc/fstab" "$1/etc/hostname" "$1/etc/machine-id"
        mkdir -p "$1/etc/systemd/system-generators"
        for unit in $ROOT_MASKS; do
                ln -sfn /dev/null "$units/$unit"
        done
        for generator in "$1"/usr/lib/systemd/system-generators/*; do
                ln -sfn /dev/null "$1/etc/systemd/system-generators/${generator##*/}"
        done
        cp -rT --remove-destination --preserve=mode "$RIG_DIR/image" "$1"
        ln -sfn rig.target "$units/default.target"
}
