# shellcheck shell=bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Programs for the guest, linked statically: one of each C file in guest/, which may take in one of tests/unit, and is for
# 32 bits if its name ends in -compat, for no system at all if in -bare. pci-probe becomes an initramfs, whose only program
# it is; all others are in the guest's /rig.

TOOLS_HEADER=$PROJECT_DIR/shim/mdevgpu-shim.h

tools_inputs() {
        digest_of "$RIG_DIR/guest" -name '*.[ch]'
        digest_of "$RIG_DIR/../unit" -name 'nvidia-model.[ch]'
        [ ! -e "$TOOLS_HEADER" ] || digest <"$TOOLS_HEADER"
}

# tools/
tools_build() {
        local source options tree=$1/.tree

        for source in "$RIG_DIR"/guest/*.c; do
                options=(-pthread -static)
                # There is no C library for 32 bits, and -m32 alone forgets where the kernel's headers are.
                [[ $source != *-compat.c && $source != *-bare.c ]] ||
                        options=(-m32 -nostdlib -static -ffreestanding -fno-pie -no-pie -fno-stack-protector
                                -isystem /usr/include/x86_64-linux-gnu)
                # Small enough that its header is where a loader looks, within the first 8 KiB of the file.
                [[ $source != *-bare.c ]] ||
                        options+=(-mgeneral-regs-only "-Wl,-N,-Ttext=0x100000,--build-id=none,--no-warn-rwx-segments")
                gcc -std=c17 -D_GNU_SOURCE -O2 -Wall -Wextra -Werror -I "$(dirname "$TOOLS_HEADER")" "${options[@]}" -s \
                        -o "$1/$(basename "$source" .c)" "$source"
        done

        mkdir -p "$tree/sys" "$tree/dev"
        mknod -m 600 "$tree/dev/console" c 5 1
        mv "$1/pci-probe" "$tree/init"
        (cd "$tree" && find . | cpio --quiet -o -H newc >"$1/initramfs")
        rm -rf "$tree"
}
