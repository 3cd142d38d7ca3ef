# shellcheck shell=bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The kernel: Debian's 6.12 for Debian 12, not its cloud flavour, which lacks VFIO_MDEV. Its virtiofs and virtio_pci
# are built in, so it boots from a shared folder without an initrd.

KERNEL_META=linux-image-6.12-amd64

# Sets KERNEL_RELEASE (as "uname -r" says) and the names of its packages from what apt offers today.
kernel_find() {
        KERNEL_IMAGE=$(package_depends "$KERNEL_META" | grep '^linux-image-6\.12') ||
                die "apt does not know $KERNEL_META. $HOST_ADVICE"
        KERNEL_RELEASE=${KERNEL_IMAGE#linux-image-}
        KERNEL_HEADERS=(
                "linux-headers-$KERNEL_RELEASE"
                "linux-headers-${KERNEL_RELEASE%-amd64}-common"
                "linux-kbuild-${KERNEL_RELEASE%-amd64}"
        )
        KERNEL_SOURCE=linux-source-6.12
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
