# shellcheck shell=bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The host: what the rig needs of it, and the packages that its apt knows.

# command and the Debian package that has it
HOST_COMMANDS="
qemu-system-x86_64      qemu-system-x86
/usr/lib/qemu/virtiofsd qemu-system-common
mmdebstrap              mmdebstrap
apt-get                 apt
dpkg-deb                dpkg
gcc-12                  gcc-12
gcc                     gcc
make                    make
cpio                    cpio
xz                      xz-utils
zstd                    zstd
flock                   util-linux
"

host_check() {
        local command package missing=

        [ "$(id -u)" -eq 0 ] || die "the rig must run as root: it makes a root file system and serves it"
        while read -r command package; do
                [ -z "$command" ] || type -P "$command" >/dev/null || missing+=" $package"
        done <<<"$HOST_COMMANDS"
        [ -e /usr/lib/x86_64-linux-gnu/libc.a ] || missing+=" libc6-dev"
        [ -z "$missing" ] || die "missing on this host: apt-get install --no-install-recommends$missing"
}

HOST_ADVICE="Has \"apt-get update\" run, with Debian 12 and its security suite among the sources?"

# The packages that a package needs by name, without alternatives and version bounds.
package_depends() {
        apt-cache show --no-all-versions "$1" 2>/dev/null | sed -n 's/^Depends: //p' | tr ',' '\n' |
                sed 's/|.*//; s/(.*//; s/ //g' | grep .
}

# Fills PACKAGE_VERSIONS ("name version" lines) with what apt would take now. One call for all packages, because each
# takes apt half a second.
packages_find() {
        local missing

        PACKAGE_VERSIONS=$(apt-cache show --no-all-versions "$@" 2>/dev/null |
                awk '$1 == "Package:" { name = $2 } $1 == "Version:" { print name, $2 }' | sort -u) || true
        missing=$(comm -23 <(printf '%s\n' "$@" | sort -u) <(cut -d' ' -f1 <<<"$PACKAGE_VERSIONS" | sort -u) | xargs)
        [ -z "$missing" ] || die "apt does not know: $missing. $HOST_ADVICE"
}

# The lines of PACKAGE_VERSIONS about these packages.
package_versions() {
        printf '%s\n' "$@" | sort -u | join - <(echo "$PACKAGE_VERSIONS")
}

# packages_fetch FOLDER PACKAGE…: leaves their .deb files in FOLDER.
packages_fetch() {
        local folder=$1 wanted
        shift

        mapfile -t wanted < <(package_versions "$@" | tr ' ' '=')
        (cd "$folder" && apt-get -o APT::Sandbox::User=root download "${wanted[@]}")
}
