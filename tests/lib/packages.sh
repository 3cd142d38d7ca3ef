# shellcheck shell=bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Packages: what ./check and ./demo need of Debian. Installs what is missing and starts no service.

PACKAGES_BUILD="gcc libc6-dev meson ninja-build pkg-config
        libjson-c-dev libsmartcols-dev libsystemd-dev libudev-dev libxml2-dev libxxhash-dev libyaml-dev
        uuid-dev"
PACKAGES_CLANG="clang libclang-rt-dev llvm"
PACKAGES_UNIT="clang-tidy dbus git shellcheck systemd"
PACKAGES_BUS="dbus-daemon fish libvirt-clients libxml2-utils mdevctl procps python3-jsonschema
        python3-prometheus-client strace systemd util-linux zsh"
PACKAGES_BROWSER="appstream chromium cockpit-bridge cockpit-system cockpit-ws git polkitd util-linux"
PACKAGES_VM="qemu-system-x86 qemu-system-common mmdebstrap apt dpkg gcc-12 make cpio xz-utils zstd util-linux libc6-dev"

# A kernel is built.
PACKAGES_LONG="bc bison flex kmod libelf-dev"

# packages_node: what brings node and npm, where neither Debian's nor anybody else's packages have
packages_node() {
        type -P node >/dev/null && type -P npm >/dev/null || echo "nodejs npm"
}

# packages_missing NAME…: the ones that are not installed, one on each line
packages_missing() {
        local name

        for name; do
                [ "$(dpkg-query -W -f '${db:Status-Status}' "$name" 2>/dev/null)" = installed ] || echo "$name"
        done
}

# packages_ensure NAME…: returns only when all are installed
packages_ensure() {
        local missing install

        type -P dpkg-query apt-get >/dev/null || packages_die "this needs Debian: there is no dpkg or no apt-get"

        missing=$(packages_missing "$@" | sort -u | paste -sd ' ')
        [ -n "$missing" ] || return 0

        install="apt-get install --no-install-recommends -y $missing"
        if [ "$(id -u)" -ne 0 ]; then
                packages_die "packages are missing; install them with" \
                        "    sudo apt-get update && sudo $install"
        fi

        echo "+ apt-get update && $install"
        packages_confirm || packages_die "nothing was installed"
        # shellcheck disable=SC2086
        packages_install $missing || packages_die "apt-get failed: see above"

        # shellcheck disable=SC2086
        missing=$(packages_missing $missing | paste -sd ' ')
        [ -z "$missing" ] || packages_die "apt-get succeeded, but these are not installed: $missing"
}

packages_confirm() {
        local answer=

        [ -t 0 ] && [ -z "${CI:-}" ] || return 0
        read -r -p "Install these packages? [Y/n] " answer || return 1
        [[ $answer =~ ^([Yy].*)?$ ]]
}

# In a subshell, so that its trap is nobody else's. Maintainer scripts ask policy-rc.d before they start a service; 101
# forbids it.
packages_install() (
        policy=/usr/sbin/policy-rc.d kept=

        if [ -e "$policy" ] || [ -L "$policy" ]; then
                kept=$(mktemp "$policy.XXXXXX") && mv "$policy" "$kept" || exit 1
        fi
        trap 'rm -f "$policy"; [ -z "$kept" ] || mv "$kept" "$policy"' EXIT
        trap 'exit 1' INT TERM HUP
        printf '#!/bin/sh\nexit 101\n' >"$policy" && chmod 755 "$policy" || exit 1

        export DEBIAN_FRONTEND=noninteractive
        apt=(apt-get -q -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0)
        "${apt[@]}" update </dev/null && "${apt[@]}" install --no-install-recommends -y "$@" </dev/null
)

packages_die() {
        printf '%s\n' "$@" >&2
        exit 1
}
