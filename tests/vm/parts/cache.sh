# shellcheck shell=bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The cache: pieces, each a folder $CACHE/NAME-KEY where KEY is a hash of everything that the piece is made from. A
# piece is built beside its place and renamed into it, so one that exists is whole and never changes again.

say() {
        printf 'rig: %s\n' "$*" >&2
}

die() {
        say "$*"
        exit 1
}

die_usage() {
        say "$*"
        exit 2
}

# The digest of what comes on standard input, as short as a folder's name can bear.
digest() {
        sha256sum | cut -c1-16
}

# The digest of a folder: names, modes, targets of links and contents. Further arguments choose files, as find's do.
digest_of() {
        local folder=$1
        shift

        (cd "$folder" || exit
         find . ! -type d "$@" -printf '%p %m %l\n' | sort
         find . -type f "$@" -print0 | sort -z | xargs -0r sha256sum) | digest
}

# Only one process builds or cleans at a time: what the second one wants may be what the first one is making.
cache_lock() {
        mkdir -p "$CACHE/log" "$CACHE/runs"
        exec {CACHE_LOCK}>"$CACHE/lock"
        flock -n "$CACHE_LOCK" && return
        say "another rig is building in $CACHE; waiting for it (15 minutes at most)"
        flock -w 900 "$CACHE_LOCK" || die "the other rig still holds $CACHE/lock"
}

cache_unlock() {
        exec {CACHE_LOCK}>&-
}

# piece NAME KEY FUNCTION: runs FUNCTION with an empty folder to fill unless the piece exists. The piece's path is left
# in PIECE. FUNCTION's own text is a part of the key: its author need not remember to change anything else.
piece() {
        local name=$1 key log start work
        key=$(printf '%s\n' "$2" "$(declare -f "$3")" | digest)
        PIECE=$CACHE/$name-$key

        if [ -d "$PIECE" ]; then
                touch "$PIECE"
                return
        fi

        say "building $name …"
        start=$SECONDS
        log=$CACHE/log/$name.log
        rm -rf "$CACHE/.new-$name"*
        work=$(mktemp -d "$CACHE/.new-$name.XXXXXX")
        chmod 755 "$work"

        # In the background and waited for, because "set -e" is off in whatever stands left of a "||".
        ("$3" "$work") >"$log" 2>&1 {CACHE_LOCK}>&- &
        if ! wait "$!"; then
                tail -n 40 "$log" >&2
                die "building $name failed; the whole log is $log"
        fi
        mv -T "$work" "$PIECE"
        say "built $name in $((SECONDS - start)) s ($(du -sh "$PIECE" | cut -f1))"
        cache_prune "$name"
}

# Of each piece the two youngest stay: the present one, and the one that a second checkout may be using by turns.
cache_prune() {
        local old fd

        find "$CACHE" -mindepth 1 -maxdepth 1 -name "$1-????????????????" -printf '%T@ %p\n' |
                sort -rn | cut -d' ' -f2- | tail -n +3 | while read -r old; do
                exec {fd}<"$old"
                if flock -n "$fd"; then
                        rm -rf "$old"
                fi
                exec {fd}<&-
        done
}

cache_clean() {
        [ -d "$CACHE" ] || return 0
        cache_lock
        ! boot_any_alive || die "a machine of $CACHE is running; not cleaning under it"
        say "removing $CACHE"
        rm -rf "$CACHE"
}
