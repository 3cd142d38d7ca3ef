# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
#
# Completion of mdevgpuctl for bash. The command itself knows what may follow; see mdevgpuctl(1).

_mdevgpuctl() {
        local line=${COMP_LINE:0:COMP_POINT} current prefix candidate
        local -a words

        # By blanks alone: readline takes addresses apart at their colons.
        read -ra words <<<"$line"
        [[ $line == *[[:space:]] ]] && words+=("")
        current=${words[-1]}

        COMPREPLY=()
        while IFS=$'\t' read -r candidate _; do
                COMPREPLY+=("$candidate")
        done < <("${words[0]}" completion -- "${words[@]:1}" 2>/dev/null)

        # Readline replaces what stands behind the last of these alone.
        prefix=${current%"${current##*[:=]}"}
        COMPREPLY=("${COMPREPLY[@]#"$prefix"}")
        [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *[=/] ]] && compopt -o nospace
        return 0
}

complete -F _mdevgpuctl mdevgpuctl
