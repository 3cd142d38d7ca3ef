# shellcheck shell=bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The nested guest: an initramfs whose only program prints what is on the PCI bus, see guest/pci-probe.c.

# nested/: initramfs
nested_build() {
        mkdir -p "$1/.tree/proc" "$1/.tree/sys"
        gcc -std=c17 -D_GNU_SOURCE -O2 -Wall -Wextra -Werror -static -s -o "$1/.tree/init" "$RIG_DIR/guest/pci-probe.c"
        mkdir "$1/.tree/dev"
        mknod -m 600 "$1/.tree/dev/console" c 5 1
        (cd "$1/.tree" && find . | cpio --quiet -o -H newc >"$1/initramfs")
        rm -rf "$1/.tree"
}
