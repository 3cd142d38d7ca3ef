#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""How long functions are, in lines from the name to the closing brace. None is over 100."""

import re

import repo

LIMIT = 100

# A definition begins in column 0 with a word and opens its body at the end of a line (or, in kernel style, alone on
# the next one); it ends with the first brace in column 0.
HEAD = re.compile(r"^[A-Za-z_]")
NAME = re.compile(r"(\w+)\s*\(")
NOT_FUNCTIONS = re.compile(r"^(struct|enum|union|typedef|extern)\b[^()]*\{?$|^(static\s+)?(const\s+)?[\w\s*]+\[?[^()]*=")


def functions(name):
    """Yields (function, first line, lines) for each function that a C file defines."""
    head, start = "", 0
    lines = (repo.text(name) or "").splitlines()
    in_body = False
    for number, line in enumerate(lines, 1):
        if in_body:
            if line.startswith("}"):
                yield NAME.search(head).group(1), start, number - start + 1
                in_body, head = False, ""
            continue
        if HEAD.match(line) and not head:
            head, start = line, number
        elif head:
            head += " " + line.strip()
        if not head:
            continue
        if re.search(r"\)\s*(\w+\s*)?\{$", head) and not NOT_FUNCTIONS.match(head):
            in_body = True
        elif head.rstrip().endswith((";", "}", ":")) or not line.strip():
            head = ""


def percentile(values, share):
    return values[min(len(values) - 1, int(len(values) * share))] if values else 0


sizes = []
for name in repo.files():
    if name.endswith((".c", ".h")):
        sizes += [(length, f"{name}:{line}", function) for function, line, length in functions(name)]

# What a user runs is measured apart from what tests it.
product = sorted(length for length, where, _ in sizes if not where.startswith("tests/"))
print(f"# {len(product)} functions: median {percentile(product, .5)}, 95th percentile {percentile(product, .95)}, "
      f"longest {product[-1] if product else 0} lines")

repo.report([
    ("there are functions to measure", [] if len(product) > 50 else [f"only {len(product)} found"]),
    (f"no function is over {LIMIT} lines",
     [f"{where}: {function}() has {length} lines" for length, where, function in sorted(sizes) if length > LIMIT]),
])
