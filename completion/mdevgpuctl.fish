# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Completion of mdevgpuctl for fish. The command itself knows what may follow; see mdevgpuctl(1).

function __mdevgpuctl_complete
        set -l words (commandline -opc)
        set -l current (commandline -ct)
        $words[1] completion -- $words[2..] "$current" 2>/dev/null
end

complete -c mdevgpuctl -f -a '(__mdevgpuctl_complete)'
