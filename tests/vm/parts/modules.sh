# shellcheck shell=bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Vendor drivers: the kernel's own samples (mtty, mdpy, mbochs), which Debian does not build, and the project's shim.

# modules_make FOLDER OUT ARG…: builds the modules in FOLDER and puts them into OUT. Without pahole and a full vmlinux
# there is no BTF to be made.
modules_make() {
        local folder=$1 out=$2
        shift 2

        make -C "$folder" -j2 KDIR="$HEADERS_FOLDER" CC=gcc-12 CONFIG_DEBUG_INFO_BTF_MODULES= "$@" modules
        find "$folder" -name '*.ko' -exec cp -t "$out" {} +
        [ -n "$(find "$out" -name '*.ko')" ]
}

# samples/: *.ko
samples_build() {
        local work=$1/.work

        mkdir "$work"
        packages_fetch "$work" "$KERNEL_SOURCE"
        dpkg-deb --fsys-tarfile "$work"/*.deb | tar -xO --wildcards './usr/src/*.tar.xz' | xz -dc |
                tar -x -C "$work" --strip-components=2 --wildcards 'linux-source-*/samples/vfio-mdev'
        cat >"$work/vfio-mdev/Makefile" <<'MAKEFILE'
obj-m := mtty.o mdpy.o mbochs.o
modules:
	$(MAKE) -C $(KDIR) M=$(CURDIR) modules
MAKEFILE
        modules_make "$work/vfio-mdev" "$1"
        rm -rf "$work"
}

# scenery/: *.ko, from modules/
scenery_build() {
        local work=$1/.work

        cp -r "$RIG_DIR/modules" "$work"
        modules_make "$work" "$1"
        rm -rf "$work"
}

# The shim's sources alone: somebody may have built it where it stands, for another kernel.
SHIM_SOURCES=('(' -name '*.[ch]' -o -name Makefile -o -name Kbuild ')')

# shim/: *.ko
shim_build() {
        local work=$1/.work

        mkdir "$work"
        (cd "$PROJECT_DIR/shim" && find . -type f "${SHIM_SOURCES[@]}" -print0 | cpio -0 --quiet -pdm "$work")
        modules_make "$work" "$1"
        rm -rf "$work"
}
