#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What ./check counts: nothing that went wrong may look as if it had passed."""

import json
import os
import subprocess
import tempfile

import repo

TALLY = os.path.join(repo.ROOT, "tests/lib/tally.py")

# What a program printed, its exit status, and what that counts for.
PROGRAMS = [
    ("all pass", "1..2\nok 1 /a\nok 2 /b\n", 0, "2 0 0"),
    ("one fails", "1..2\nok 1 /a\nnot ok 2 /b\n", 1, "1 1 0"),
    ("a failure counts whatever the status", "1..2\nok 1 /a\nnot ok 2 /b\n", 0, "1 1 0"),
    ("a skip is no pass", "1..2\nok 1 /a\nok 2 /b # SKIP no such hardware\n", 0, "1 0 1"),
    ("all skipped", "1..0 # skip no such hardware\n", 0, "0 0 1"),
    ("dies before its plan is done", "1..3\nok 1 /a\n", 134, "1 1 0"),
    ("stops short of its plan", "1..3\nok 1 /a\n", 0, "1 1 0"),
    ("leaks after its last test", "1..1\nok 1 /a\n", 1, "1 1 0"),
    ("no plan", "ok 1 /a\n", 0, "1 1 0"),
    ("plan at the end", "ok 1 /a\nok 2 /b\n1..2\n", 0, "2 0 0"),
    ("nested results count once", "1..1\n    ok 1 /a/1\n    not ok 2 /a/2\nok 1 /a\n", 0, "1 0 0"),
    ("plain success", "hello\n", 0, "1 0 0"),
    ("plain failure", "hello\n", 3, "0 1 0"),
    ("a summary", "  ok      x\n  FAILED  y\n\n1 passed, 1 failed, 0 skipped\n", 1, "1 1 0"),
    ("a summary and a crash", "  ok      x\n\n1 passed, 0 failed, 0 skipped\n", 124, "1 1 0"),
    ("no summary after a crash", "  ok      x\n", 124, "0 1 0"),
]

LOGS = [
    ("a program that crashes", {"result": "ERROR", "stdout": "1..2\nok 1 /a\n"}, "1 1 0"),
    ("a program that times out", {"result": "TIMEOUT", "stdout": ""}, "0 1 0"),
    ("a program that passes", {"result": "OK", "stdout": "1..1\nok 1 /a\n"}, "1 0 0"),
    ("a program that exits 77", {"result": "SKIP", "stdout": ""}, "0 0 1"),
]


def tally(kind, contents, *more):
    with tempfile.NamedTemporaryFile("w") as f:
        f.write(contents)
        f.flush()
        return subprocess.run([TALLY, kind, f.name, *more], capture_output=True, text=True, check=False).stdout.strip()


def complaints(got, wanted):
    return [] if got == wanted else [f"{got!r} instead of {wanted!r}"]


repo.report(
    [(f"program: {what}", complaints(tally("program", output, str(status)), wanted))
     for what, output, status, wanted in PROGRAMS] +
    [(f"log: {what}", complaints(tally("meson", json.dumps({"name": "t", **test}) + "\n"), wanted))
     for what, test, wanted in LOGS]
)
