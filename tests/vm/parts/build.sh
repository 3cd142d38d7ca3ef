# shellcheck shell=bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# All the pieces, in order. Each one's key holds the keys of those that it is made from.

# Debian's kernel, and the sample drivers for the one that all suites but a few run on
build_debian() {
        piece "kernel$KERNEL_SUFFIX" "$(package_versions "$KERNEL_IMAGE") $(declare -f kernel_extract)" kernel_build
        KERNEL_PIECE=$PIECE
        piece "headers$KERNEL_SUFFIX" "$(package_versions "${KERNEL_HEADERS[@]}")" headers_build
        HEADERS_FOLDER=$PIECE/usr/src/linux-headers-$KERNEL_RELEASE
        if [ "$BOOT_KERNEL" != 6.1 ]; then
                piece samples "$(package_versions "$KERNEL_SOURCE") $HEADERS_FOLDER $(declare -f modules_make)" samples_build
                SAMPLES_PIECE=$PIECE
                piece scenery "$(digest_of "$RIG_DIR/modules") $HEADERS_FOLDER $(declare -f modules_make)" scenery_build
                SCENERY_PIECE=$PIECE
        fi
}

build_own() {
        piece own "$(package_versions "$KERNEL_SOURCE") $(digest <"$OWN_CONFIG") $(declare -f own_configure)" own_build
        KERNEL_PIECE=$PIECE
        HEADERS_FOLDER=$PIECE/headers
        KERNEL_RELEASE=$(cat "$PIECE/release")
}

# What takes longest beside the kernel's share, and depends on nothing of it
build_base() {
        piece base "$(package_versions "${BASE_PACKAGES[@]}")" base_build
        BASE_PIECE=$PIECE
}

# For as long as this process lives nobody prunes what it boots from.
build_hold() {
        exec {ROOT_LOCK}<"$ROOT_PIECE" {KERNEL_LOCK}<"$KERNEL_PIECE"
        flock -s "$ROOT_LOCK"
        flock -s "$KERNEL_LOCK"
}

# What a boot needs to know, for "run --pieces": whoever boots often need not ask apt each time what there is.
build_tell() {
        printf '%s_PIECE=%q\n' KERNEL "$KERNEL_PIECE" INITRD "$INITRD_PIECE" TOOLS "$TOOLS_PIECE" ROOT "$ROOT_PIECE"
}

build_take() {
        # shellcheck source=/dev/null
        . "$BOOT_TOLD"
        host_check
        build_hold
}

build_all() {
        local start=$SECONDS base modules

        host_check
        cache_lock -s
        kernel_find
        packages_find "$KERNEL_IMAGE" "${KERNEL_HEADERS[@]}" "$KERNEL_SOURCE" "${BASE_PACKAGES[@]}"

        (build_base) &
        base=$!
        INITRD_PIECE='' SAMPLES_PIECE='' SCENERY_PIECE='' SHIM_PIECE=''
        if [ "$BOOT_KERNEL" = own ]; then
                build_own
        else
                build_debian
        fi
        if [ -e "$PROJECT_DIR/shim/Makefile" ]; then
                piece "shim$KERNEL_SUFFIX" \
                        "$(digest_of "$PROJECT_DIR/shim" "${SHIM_SOURCES[@]}") $HEADERS_FOLDER $(declare -f modules_make)" \
                        shim_build
                SHIM_PIECE=$PIECE
        fi
        piece tools "$(tools_inputs)" tools_build
        TOOLS_PIECE=$PIECE
        wait "$base"
        build_base
        if [ "$BOOT_KERNEL" = 6.1 ]; then
                piece "initrd$KERNEL_SUFFIX" "$KERNEL_PIECE $BASE_PIECE ${INITRD_MODULES[*]}" initrd_build
                INITRD_PIECE=$PIECE
        fi
        modules="$SAMPLES_PIECE $SCENERY_PIECE $SHIM_PIECE"
        piece "root$KERNEL_SUFFIX" "$BASE_PIECE $KERNEL_PIECE $modules $ROOT_MASKS $(digest_of "$RIG_DIR/image")" root_build
        ROOT_PIECE=$PIECE

        build_hold
        cache_unlock
        cache_prune
        say "kernel $KERNEL_RELEASE and its guest are ready ($((SECONDS - start)) s)"
}
