#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Runs clang-tidy over the C files of daemon/ and ctl/ that a build folder knows, as TAP.

tidy.py BUILD-FOLDER CACHE-FOLDER

What was found clean is remembered by a hash of all that the answer depends on, so that a second run costs seconds.
"""

import hashlib
import json
import os
import shlex
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

ROOT = os.path.realpath(os.path.join(os.path.dirname(__file__), "..", ".."))
FOLDERS = ("daemon/", "ctl/")


def compilations(build):
    """Yields (name, folder, arguments) once for each file, however many targets it is compiled for."""
    seen = set()
    with open(os.path.join(build, "compile_commands.json"), encoding="utf-8") as f:
        for entry in json.load(f):
            path = os.path.realpath(os.path.join(entry["directory"], entry["file"]))
            name = os.path.relpath(path, ROOT)
            if name.startswith(FOLDERS) and name not in seen:
                seen.add(name)
                yield name, entry["directory"], clean(shlex.split(entry["command"])[1:])


def clean(arguments):
    """Drops what names inputs and outputs, and the sanitizers, which only make the analysis slower."""
    kept, skip = [], False
    for argument in arguments:
        if skip:
            skip = False
        elif argument in ("-o", "-MF", "-MQ", "-c"):
            skip = True
        elif not argument.startswith(("-fsanitize", "-fno-sanitize", "-MD", "-Werror", "-fcolor")):
            kept.append(argument)
    return kept


def digest(name, folder, arguments, salt):
    source = os.path.join(ROOT, name)
    expanded = subprocess.run(["clang", "-E", "-fdirectives-only", "-P", *arguments, source], cwd=folder,
                              capture_output=True, check=False).stdout
    with open(source, "rb") as f:
        # The text itself too: NOLINT stands in comments.
        return hashlib.sha256(b"\0".join([salt, expanded, f.read()])).hexdigest()


def tidy(compilation, cache, salt):
    name, folder, arguments = compilation
    stamp = os.path.join(cache, digest(name, folder, arguments, salt))
    if os.path.exists(stamp):
        return name, []
    command = ["clang-tidy", "--quiet", os.path.join(ROOT, name), "--", *arguments]
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if result.returncode == 0:
        with open(stamp, "w", encoding="utf-8"):
            return name, []
    return name, (result.stdout or result.stderr).splitlines()


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    build, cache = sys.argv[1:]
    os.makedirs(cache, exist_ok=True)
    with open(os.path.join(ROOT, ".clang-tidy"), "rb") as f:
        salt = f.read() + subprocess.run(["clang-tidy", "--version"], capture_output=True, check=True).stdout

    found = list(compilations(build))
    print(f"1..{len(found)}" if found else "1..1\nnot ok 1 there are files to check")
    bad = not found
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        results = pool.map(lambda compilation: tidy(compilation, cache, salt), found)
        for number, (name, complaints) in enumerate(results, 1):
            print(f"{'not ok' if complaints else 'ok'} {number} {name}", *[f"# {c}" for c in complaints], sep="\n")
            bad = bad or bool(complaints)
    sys.exit(1 if bad else 0)


main()
