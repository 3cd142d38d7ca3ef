# shellcheck shell=bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Programs for the guest, linked statically: one of each C file in guest/, which may take in one of tests/unit. pci-probe
# becomes the nested guest's initramfs, whose only program it is; all others are in the guest's /rig.

TOOLS_HEADER=$PROJECT_DIR/shim/mdevgpu-shim.h

tools_inputs() {
        digest_of "$RIG_DIR/guest" -name '*.[ch]'
        digest_of "$RIG_DIR/../unit" -name 'nvidia-model.[ch]'
        [ ! -e "$TOOLS_HEADER" ] || digest <"$TOOLS_HEADER"
}

# tools/
tools_build() {
        local source tree=$1/.tree

        for source in "$RIG_DIR"/guest/*.c; do
                gcc -std=c17 -D_GNU_SOURCE -O2 -Wall -Wextra -Werror -I "$(dirname "$TOOLS_HEADER")" -pthread -static -s \
                        -o "$1/$(basename "$source" .c)" "$source"
        done

        mkdir -p "$tree/sys" "$tree/dev"
        mknod -m 600 "$tree/dev/console" c 5 1
        mv "$1/pci-probe" "$tree/init"
        (cd "$tree" && find . | cpio --quiet -o -H newc >"$1/initramfs")
        rm -rf "$tree"
}
