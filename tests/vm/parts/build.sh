# shellcheck shell=bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# All the pieces, in order. Each one's key holds the keys of those that it is made from.

build_all() {
        local start=$SECONDS

        host_check
        cache_lock
        kernel_find
        packages_find "$KERNEL_IMAGE" "${KERNEL_HEADERS[@]}" "$KERNEL_SOURCE" "${BASE_PACKAGES[@]}"

        piece kernel "$(package_versions "$KERNEL_IMAGE") $(declare -f kernel_extract)" kernel_build
        KERNEL_PIECE=$PIECE
        piece base "$(package_versions "${BASE_PACKAGES[@]}")" base_build
        BASE_PIECE=$PIECE
        piece headers "$(package_versions "${KERNEL_HEADERS[@]}")" headers_build
        HEADERS_PIECE=$PIECE
        piece samples "$(package_versions "$KERNEL_SOURCE") $HEADERS_PIECE $(declare -f modules_make)" samples_build
        SAMPLES_PIECE=$PIECE
        SHIM_PIECE=
        if [ -e "$PROJECT_DIR/shim/Makefile" ]; then
                piece shim "$(digest_of "$PROJECT_DIR/shim" "${SHIM_SOURCES[@]}") $HEADERS_PIECE $(declare -f modules_make)" \
                        shim_build
                SHIM_PIECE=$PIECE
        fi
        piece tools "$(tools_inputs)" tools_build
        TOOLS_PIECE=$PIECE
        piece root "$BASE_PIECE $KERNEL_PIECE $SAMPLES_PIECE $SHIM_PIECE $ROOT_MASKS $(digest_of "$RIG_DIR/image")" root_build
        ROOT_PIECE=$PIECE

        # Held for as long as this process lives, so that nobody prunes what it boots from.
        exec {ROOT_LOCK}<"$ROOT_PIECE" {KERNEL_LOCK}<"$KERNEL_PIECE"
        flock -s "$ROOT_LOCK"
        flock -s "$KERNEL_LOCK"
        cache_unlock
        say "kernel $KERNEL_RELEASE and its guest are ready ($((SECONDS - start)) s)"
}
