# shellcheck shell=bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Programs for the guest, linked statically: one of each C file in guest/, which may take in one of tests/unit, and is for
# 32 bits if its name ends in -compat, for no system at all if in -bare. pci-probe becomes an initramfs, whose only program
# it is; all others are in the guest's /rig. Those whose names begin with state- have the daemon's code for states in them.

TOOLS_HEADER=$PROJECT_DIR/shim/mdevgpu-shim.h
TOOLS_STATE=(core/attributes.c core/backend.c core/facts.c core/host.c core/image-header.c core/saved-state.c
             util/error.c util/file.c util/text.c)

tools_inputs() {
        digest_of "$RIG_DIR/guest" -name '*.[ch]'
        digest_of "$RIG_DIR/../unit" -name 'nvidia-model.[ch]'
        digest_of "$PROJECT_DIR/daemon/state"
        (cd "$PROJECT_DIR/daemon" && cat "${TOOLS_STATE[@]}" core/*.h util/*.h) | digest
        [ ! -e "$TOOLS_HEADER" ] || digest <"$TOOLS_HEADER"
}

# tools/
tools_build() {
        local source options more daemon=$PROJECT_DIR/daemon tree=$1/.tree

        for source in "$RIG_DIR"/guest/*.c; do
                options=(-pthread -static)
                more=()
                [[ $source != */state-* ]] || {
                        options+=(-Wno-unused-parameter -I "$daemon" -I /usr/include/uuid)
                        more=("$daemon"/state/*.c "${TOOLS_STATE[@]/#/$daemon/}" -ljson-c -lxxhash -luuid)
                }
                # There is no C library for 32 bits, and -m32 alone forgets where the kernel's headers are.
                [[ $source != *-compat.c && $source != *-bare.c ]] ||
                        options=(-m32 -nostdlib -static -ffreestanding -fno-pie -no-pie -fno-stack-protector
                                -isystem /usr/include/x86_64-linux-gnu)
                # Small enough that its header is where a loader looks, within the first 8 KiB of the file.
                [[ $source != *-bare.c ]] ||
                        options+=(-mgeneral-regs-only "-Wl,-N,-Ttext=0x100000,--build-id=none,--no-warn-rwx-segments")
                gcc -std=c17 -D_GNU_SOURCE -O2 -Wall -Wextra -Werror -I "$(dirname "$TOOLS_HEADER")" "${options[@]}" -s \
                        -o "$1/$(basename "$source" .c)" "$source" "${more[@]}"
        done

        mkdir -p "$tree/sys" "$tree/dev"
        mknod -m 600 "$tree/dev/console" c 5 1
        mv "$1/pci-probe" "$tree/init"
        (cd "$tree" && find . | cpio --quiet -o -H newc >"$1/initramfs")
        rm -rf "$tree"
}
