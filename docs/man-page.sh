#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# man-page.sh FILE.scd: the page that scdoc makes of it, with names left whole. scdoc says so above .TH, which forgets it.
set -eu
scdoc <"$1" | sed '/^\.TH /a .nh'
