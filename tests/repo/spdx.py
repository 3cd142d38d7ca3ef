#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Every file says its licence, and the text of every licence that is named is there."""

import fnmatch
import re

import repo

# Files that cannot carry a line of their own.
EXEMPT = [
    "LICENSES/*",          # the texts themselves
    "tests/fuzz/corpus/*",  # fed to parsers byte by byte
    "cockpit/package.json", "cockpit/package-lock.json", "cockpit/src/manifest.json",  # JSON has no comments
    "docs/cockpit/*.png",
    "tests/vm/image/etc/hostname",
    "tests/vm/image/etc/machine-id",
]

# The kernel may only load what says GPL; user space may include the interface's header.
LICENSES = {
    "shim/*.c": "GPL-2.0-only",
    "shim/*.h": "GPL-2.0-only",
    "shim/mdevgpu-shim.h": "GPL-2.0-only WITH Linux-syscall-note",
    "shim/Kbuild": "GPL-2.0-only",
    "shim/Makefile": "GPL-2.0-only",
    "tests/vm/modules/*": "GPL-2.0-only",
}
DEFAULT = "LGPL-2.1-or-later"

# Split, so that this line is not taken for one that states a licence.
LINE = re.compile("SPDX-License" + r"-Identifier: ([A-Za-z0-9.+ -]+?)\s*(?:\*/|-->)?$")


def expected(name):
    license = DEFAULT
    for pattern, special in LICENSES.items():
        if fnmatch.fnmatch(name, pattern):
            license = special
    return license


def stated(name):
    for line in (repo.text(name) or "").splitlines()[:3]:
        match = LINE.search(line)
        if match:
            return match.group(1)
    return None


names = [n for n in repo.files() if repo.text(n) != "" and not any(fnmatch.fnmatch(n, pattern) for pattern in EXEMPT)]
licenses = {name: stated(name) for name in names}

missing = [f"{name}: no SPDX line among the first three" for name, license in licenses.items() if license is None]
wrong = [f"{name}: {license}, not {expected(name)}" for name, license in licenses.items()
         if license is not None and license != expected(name)]

used = {word for license in licenses.values() if license for word in license.split(" WITH ")}
kept = {n[len("LICENSES/"):-len(".txt")] for n in repo.files() if n.startswith("LICENSES/")}
texts = [f"LICENSES/{word}.txt is missing" for word in sorted(used - kept)]
texts += [f"LICENSES/{word}.txt is the licence of nothing" for word in sorted(kept - used)]

repo.report([
    (f"each of {len(names)} files states its licence", missing),
    ("the licence is the one of its folder", wrong),
    ("LICENSES holds the texts that are named, and no others", texts),
])
