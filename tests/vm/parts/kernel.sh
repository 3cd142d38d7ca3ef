# shellcheck shell=bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The kernel, one of three. Debian's 6.12 for Debian 12, not its cloud flavour, which lacks VFIO_MDEV; its virtiofs and
# virtio_pci are built in, so it boots from a shared folder without an initrd. Debian 12's own 6.1, which needs one. And
# one of our own, see own.sh.

# Sets KERNEL_RELEASE (as "uname -r" says) and the names of its packages from what apt offers today. What is made for
# another kernel than the usual one has KERNEL_SUFFIX in its name.
kernel_find() {
        local meta=linux-image-6.12-amd64 series=6.12 kbuild

        KERNEL_SUFFIX=
        if [ "$BOOT_KERNEL" = 6.1 ]; then
                meta=linux-image-amd64 series=6.1
        fi
        [ "$BOOT_KERNEL" = 6.12 ] || KERNEL_SUFFIX=-$BOOT_KERNEL

        KERNEL_IMAGE=$(package_depends "$meta" | grep "^linux-image-${series/./\\.}\\.") ||
                die "apt does not know $meta $series. $HOST_ADVICE"
        KERNEL_RELEASE=${KERNEL_IMAGE#linux-image-}
        kbuild=linux-kbuild-${KERNEL_RELEASE%-amd64}
        [ "$series" = 6.12 ] || kbuild=linux-kbuild-$series
        KERNEL_HEADERS=("linux-headers-$KERNEL_RELEASE" "linux-headers-${KERNEL_RELEASE%-amd64}-common" "$kbuild")
        KERNEL_SOURCE=linux-source-$series
}

# The ELF image in a bzImage, found as the boot protocol says: booted as such (by PVH) the machine spends no time on
# decompressing itself.
kernel_extract() {
        local image=$1 setup_sects offset length

        setup_sects=$(od -An -tu1 -j $((0x1f1)) -N1 "$image")
        offset=$(od -An -tu4 -j $((0x248)) -N4 "$image")
        length=$(od -An -tu4 -j $((0x24c)) -N4 "$image")

        # The last four bytes are the uncompressed size, which is no part of the stream.
        length=$((length - 4))
        head -c $(((setup_sects + 1) * 512 + offset + length)) "$image" | tail -c "$length" >"$2.packed"
        case $(od -An -tx1 -N4 "$2.packed" | tr -d ' ') in
        28b52ffd) zstd -dc <"$2.packed" >"$2" ;;
        fd377a58) xz -dc <"$2.packed" >"$2" ;;
        1f8b*) gzip -dc <"$2.packed" >"$2" ;;
        *) echo "$image is compressed in a way that is not known here"; return 1 ;;
        esac
        rm "$2.packed"
        [ "$(head -c 4 "$2" | tail -c 3)" = ELF ]
}

# kernel/: modules/, vmlinux
kernel_build() {
        local fetched=$1/.fetched

        mkdir "$fetched"
        packages_fetch "$fetched" "$KERNEL_IMAGE"
        dpkg-deb -x "$fetched"/*.deb "$fetched"
        kernel_extract "$fetched/boot/vmlinuz-$KERNEL_RELEASE" "$1/vmlinux"
        mv "$fetched/lib/modules/$KERNEL_RELEASE" "$1/modules"
        rm -rf "$fetched"
}

# What 6.1 has as modules and must have before it sees its root, in an order in which they load
INITRD_MODULES=(virtio_ring virtio virtio_pci_legacy_dev virtio_pci_modern_dev virtio_pci fuse virtiofs)

# initrd/: initrd
initrd_build() {
        local module tree=$1/.tree

        mkdir -p "$tree/bin" "$tree/modules" "$tree/root" "$tree/dev" "$tree/proc"
        cp "$BASE_PIECE/bin/busybox" "$tree/bin/"
        for module in "${INITRD_MODULES[@]}"; do
                find "$KERNEL_PIECE/modules" -name "$module.ko" -exec cp -t "$tree/modules" {} +
                [ -e "$tree/modules/$module.ko" ]
        done
        cat >"$tree/init" <<INIT
#!/bin/busybox sh
for module in ${INITRD_MODULES[*]}; do
        /bin/busybox insmod /modules/\$module.ko
done
/bin/busybox mount -t virtiofs -o ro root /root || exit 1
exec /bin/busybox switch_root /root /usr/lib/rig/init
INIT
        chmod 755 "$tree/init"
        mknod -m 600 "$tree/dev/console" c 5 1
        (cd "$tree" && find . | cpio --quiet -o -H newc >"$1/initrd")
        rm -rf "$tree"
}

# headers/: usr/, as the packages have it. The build tree includes its other half by an absolute path, which is made
# relative to itself, so that nothing need be installed.
headers_build() {
        local deb makefile

        mkdir "$1/.fetched"
        packages_fetch "$1/.fetched" "${KERNEL_HEADERS[@]}"
        for deb in "$1"/.fetched/*.deb; do
                dpkg-deb -x "$deb" "$1"
        done
        rm -rf "$1/.fetched"
        makefile=$1/usr/src/linux-headers-$KERNEL_RELEASE/Makefile
        # shellcheck disable=SC2016
        sed -i 's,^include /usr/src/,include $(dir $(lastword $(MAKEFILE_LIST)))../,' "$makefile"
        grep -q MAKEFILE_LIST "$makefile"
}
