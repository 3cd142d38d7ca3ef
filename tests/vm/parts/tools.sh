# shellcheck shell=bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Small programs for the guest, linked statically: vfio-hold, and the nested guest's initramfs, whose only program prints
# what is on the PCI bus.

TOOLS_SOURCES=("$RIG_DIR/guest/pci-probe.c" "$RIG_DIR/guest/vfio-hold.c")

tool_compile() {
        gcc -std=c17 -D_GNU_SOURCE -O2 -Wall -Wextra -Werror -static -s -o "$2" "$RIG_DIR/guest/$1.c"
}

# tools/: initramfs, vfio-hold
tools_build() {
        local tree=$1/.tree

        mkdir -p "$tree/sys" "$tree/dev"
        mknod -m 600 "$tree/dev/console" c 5 1
        tool_compile pci-probe "$tree/init"
        (cd "$tree" && find . | cpio --quiet -o -H newc >"$1/initramfs")
        rm -rf "$tree"
        tool_compile vfio-hold "$1/vfio-hold"
}
