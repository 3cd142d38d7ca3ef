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

# cache_lock -s|-x: shared among those that build, alone for who removes what nobody has a hold on yet.
cache_lock() {
        mkdir -p "$CACHE/log" "$CACHE/runs"
        exec {CACHE_LOCK}>"$CACHE/lock"
        flock -n "$1" "$CACHE_LOCK" && return
        say "another rig is at work in $CACHE; waiting for it (15 minutes at most)"
        flock -w 900 "$1" "$CACHE_LOCK" || die "the other rig still holds $CACHE/lock"
}

cache_unlock() {
        exec {CACHE_LOCK}>&-
}

# piece NAME KEY FUNCTION: runs FUNCTION with an empty folder to fill unless the piece exists. The piece's path is left
# in PIECE. FUNCTION's own text is a part of the key: its author need not remember to change anything else. Of each name
# one is built at a time: what a second process wants may be what the first one is making.
piece() {
        local name=$1 key log start work lock
        key=$(printf '%s\n' "$2" "$(declare -f "$3")" | digest)
        PIECE=$CACHE/$name-$key

        if [ ! -d "$PIECE" ]; then
                exec {lock}>"$CACHE/log/$name.lock"
                flock -w 1800 "$lock" || die "another rig still builds $name"
        fi
        if [ -d "$PIECE" ]; then
                touch "$PIECE"
                [ -z "${lock:-}" ] || exec {lock}>&-
                return
        fi

        say "building $name …"
        start=$SECONDS
        log=$CACHE/log/$name.log
        rm -rf "$CACHE/.new-$name".??????
        work=$(mktemp -d "$CACHE/.new-$name.XXXXXX")
        chmod 755 "$work"

        # In the background and waited for, because "set -e" is off in whatever stands left of a "||".
        ("$3" "$work") >"$log" 2>&1 {CACHE_LOCK}>&- {lock}>&- &
        if ! wait "$!"; then
                tail -n 40 "$log" >&2
                die "building $name failed; the whole log is $log"
        fi
        mv -T "$work" "$PIECE"
        exec {lock}>&-
        say "built $name in $((SECONDS - start)) s ($(du -sh "$PIECE" | cut -f1))"
}

# Of each piece the two youngest stay: the present one, and the one that a second checkout may be using by turns. Not
# while somebody builds, who may be about to use one of the others.
cache_prune() {
        local name

        exec {CACHE_LOCK}>"$CACHE/lock"
        if flock -n -x "$CACHE_LOCK"; then
                find "$CACHE" -mindepth 1 -maxdepth 1 -name '*-????????????????' -printf '%f\n' |
                        sed 's/-[^-]*$//' | sort -u | while read -r name; do
                        cache_prune_piece "$name"
                done
        fi
        cache_unlock
}

cache_prune_piece() {
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
        cache_lock -x
        ! boot_any_alive || die "a machine of $CACHE is running; not cleaning under it"
        say "removing $CACHE"
        rm -rf "$CACHE"
}
