#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Who may include whom: the layers of docs/architecture.md, read from the #include lines."""

import os
import re

import repo

# A layer of daemon/ and the layers whose headers it may use, itself included. Files directly in daemon/ are layers of
# their own, named without their suffix (config-types.c belongs to config).
MAY_INCLUDE = {
    "util": {"util"},
    "core": {"util", "core"},
    "backend": {"util", "core", "backend"},
    "state": {"util", "core", "state"},
    "worker": {"util", "core", "backend", "state", "worker"},
    "bus": {"util", "core", "bus"},
    "monitor": {"util", "core", "monitor"},
    "config": {"util", "core", "config"},
    "import": {"util", "core", "config", "import"},
    "sim": {"util", "core", "backend", "worker", "sim"},
}
# The programs' wiring: argv, the loop, and the daemon as a whole, which the simulated host has in common with the real.
SEES_ALL = {"main", "daemon"}

# Libraries and the layers that may know of them; any other library's header is refused too, so that a new dependency is
# a decision somebody wrote down here.
LIBRARIES = {
    r"systemd/sd-bus.*\.h": {"bus", "main", "daemon"},
    r"systemd/sd-event\.h": {"core", "worker", "bus", "monitor", "main", "daemon"},
    r"systemd/sd-daemon\.h": {"main", "daemon"},
    r"systemd/sd-journal\.h": {"util"},
    r"systemd/sd-id128\.h": {"util"},
    r"libudev\.h": {"monitor"},
    r"yaml\.h": {"config"},
    r"libxml/.*": {"import"},
    r"uuid(/uuid)?\.h": {"util", "core", "sim"},
    r"json-c/.*": {"core", "state"},
    r"xxhash\.h": {"state", "sim"},
    r"xxh_x86dispatch\.h": {"state"},
}
LIBC = re.compile(r"(sys|linux|asm|netinet|arpa|sanitizer)/.*\.h|[a-z0-9]+\.h")

INCLUDE = re.compile(r'^\s*#\s*include\s*(["<])([^">]+)[">]', re.MULTILINE)


def layer_of(name):
    parts = name.split("/")
    if name in ("daemon/sim/main.c", "daemon/import/main.c"):
        return "main"
    if len(parts) > 2:
        return parts[1]
    return re.split(r"[-.]", parts[1])[0]


def includes():
    for name in repo.files():
        if name.endswith((".c", ".h")):
            for kind, target in INCLUDE.findall(repo.text(name) or ""):
                yield name, kind, target


def in_project(target):
    """The file of daemon/ that an include means, as seen from daemon/, or None."""
    return f"daemon/{target}" if os.path.exists(os.path.join(repo.ROOT, "daemon", target)) else None


def check_layers():
    for name, kind, target in includes():
        if not name.startswith("daemon/"):
            continue
        layer, header = layer_of(name), in_project(target)
        if kind == '"' and not header:
            if not target.startswith("shim/") and target != "config.h":
                yield f'{name}: "{target}" is no header below daemon/: write the path from there'
        elif header and layer not in SEES_ALL and layer_of(header) not in MAY_INCLUDE.get(layer, set()):
            yield f'{name}: {layer} may not include "{target}"'


def check_libraries():
    for name, kind, target in includes():
        if not name.startswith("daemon/") or kind != "<" or in_project(target):
            continue
        layer = layer_of(name)
        owners = [users for pattern, users in LIBRARIES.items() if re.fullmatch(pattern, target)]
        if owners:
            if layer not in owners[0]:
                yield f"{name}: {layer} may not include <{target}>"
        elif not LIBC.fullmatch(target):
            yield f"{name}: <{target}> belongs to no library that this test knows"


def check_outside():
    """Other folders reach the daemon by D-Bus alone; its tests are part of it."""
    for name, kind, target in includes():
        if name.startswith(("daemon/", "tests/")):
            continue
        if kind == '"' and in_project(target) and not os.path.exists(
                os.path.join(repo.ROOT, os.path.dirname(name), target)):
            yield f'{name}: "{target}" is the daemon\'s'
        elif "daemon/" in target:
            yield f"{name}: {target} is the daemon's"


def check_data():
    for name in repo.files():
        if name.split("/")[0] in ("dbus", "policy", "units", "etc") and name.endswith((".c", ".h")):
            yield f"{name}: the data folders hold no C"


def check_layers_known():
    for name in repo.files():
        if name.startswith("daemon/") and name.endswith((".c", ".h")):
            if layer_of(name) not in MAY_INCLUDE.keys() | SEES_ALL:
                yield f"{name}: {layer_of(name)} is no layer of the architecture"


repo.report([
    ("every file of the daemon belongs to a layer", list(check_layers_known())),
    ("layers include only downwards", list(check_layers())),
    ("libraries are seen only by the layers that own them", list(check_libraries())),
    ("nothing outside includes the daemon's headers", list(check_outside())),
    ("data folders hold no C", list(check_data())),
])
