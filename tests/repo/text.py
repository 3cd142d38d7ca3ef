#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Plain hygiene of text: what .editorconfig says, and nothing left unfinished."""

import re

import repo

# Not ours to reformat, or not text for people.
VERBATIM = ("LICENSES/", "tests/fuzz/corpus/")
# Kernel style, scdoc and make want tabs.
TABS = re.compile(r"(^shim/.*|^tests/vm/modules/.*|.*\.scd|.*Makefile|.*\.mk|.*Kbuild.*)$")
CODE = re.compile(r".*\.(c|h|py|sh|build|service|rules)$")
# clang-format breaks code at 120; a comment or a shell line may run a little over.
MAX_WIDTH = 130

# Put together, so that this file does not find itself.
UNFINISHED = re.compile(r"\b(" + "|".join(["TO" + "DO", "FIX" + "ME", "X" * 3, "HA" + "CK"]) + r")\b")


def lines():
    for name in repo.files():
        if not name.startswith(VERBATIM):
            for number, line in enumerate((repo.text(name) or "").splitlines(), 1):
                yield name, number, line


def check_whitespace():
    for name, number, line in lines():
        if line != line.rstrip():
            yield f"{name}:{number}: blanks at the end of the line"
        # A make recipe within a shell script is one, too.
        if "\t" in line and not TABS.match(name) and not line.startswith("\t$(MAKE)"):
            yield f"{name}:{number}: a tab"


def check_ends():
    for name in repo.files():
        text = repo.text(name)
        if text and not name.startswith(VERBATIM) and (not text.endswith("\n") or text.endswith("\n\n")):
            yield f"{name}: does not end in one newline"


def check_width():
    for name, number, line in lines():
        if CODE.match(name) and len(line.expandtabs(8)) > MAX_WIDTH and "http" not in line and "|" not in line:
            yield f"{name}:{number}: {len(line.expandtabs(8))} columns"


def check_unfinished():
    for name, number, line in lines():
        match = UNFINISHED.search(line)
        if match:
            yield f"{name}:{number}: {match.group(1)}"


repo.report([
    ("no stray blanks or tabs", list(check_whitespace())),
    ("every text file ends in one newline", list(check_ends())),
    (f"lines of code fit {MAX_WIDTH} columns", list(check_width())),
    ("nothing is marked as unfinished", list(check_unfinished())),
])
