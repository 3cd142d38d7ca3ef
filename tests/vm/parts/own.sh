# shellcheck shell=bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# A kernel of our own, from Debian's source of the one that all else is tested on: with every check that finds a driver's
# mistakes, and with what Debian leaves out. It takes a quarter of an hour, once.

OWN_CONFIG=$PROJECT_DIR/tests/long/kernel.config

# The source, and a configuration that has all that was asked for: an option whose dependency is missing goes silently.
own_configure() {
        local source=$1 line

        make -C "$source" -s CC=gcc-12 HOSTCC=gcc-12 tinyconfig
        (cd "$source" && scripts/kconfig/merge_config.sh -m .config "$OWN_CONFIG")
        make -C "$source" -s CC=gcc-12 HOSTCC=gcc-12 olddefconfig
        while read -r line; do
                [[ $line == CONFIG_* && $line != *=n ]] || continue
                grep -qxF -- "$line" "$source/.config" || { echo "the kernel does not take $line"; return 1; }
        done <"$OWN_CONFIG"
}

# own/: vmlinux, modules/, headers/ (what external modules are built against), release
own_build() {
        local work=$1/.work make

        mkdir "$work"
        packages_fetch "$work" "$KERNEL_SOURCE"
        dpkg-deb --fsys-tarfile "$work"/*.deb | tar -xO --wildcards './usr/src/*.tar.xz' | xz -dc |
                tar -x -C "$work" --strip-components=1
        rm "$work"/*.deb
        own_configure "$work"
        make=(nice make -C "$work" -s -j"$(nproc)" CC=gcc-12 HOSTCC=gcc-12)
        "${make[@]}" vmlinux modules
        "${make[@]}" INSTALL_MOD_PATH="$1/.installed" modules_install
        "${make[@]}" run-command KBUILD_RUN_COMMAND="\$(srctree)/scripts/package/install-extmod-build $1/headers"
        make -C "$work" -s kernelrelease >"$1/release"
        mv "$1/.installed/lib/modules/$(cat "$1/release")" "$1/modules"
        rm -f "$1/modules/build" "$1/modules/source"
        strip -g -o "$1/vmlinux" "$work/vmlinux"
        rm -rf "$work" "$1/.installed"
}
