# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the repository tests share: the list of files, and TAP."""

import os
import subprocess
import sys

ROOT = os.path.realpath(os.path.join(os.path.dirname(__file__), "..", ".."))


def _git_files():
    # The clone may belong to another user than the one who tests it.
    git = ["git", "-c", "safe.directory=*", "-C", ROOT]
    command = git + ["ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        out = subprocess.run(command, check=True, capture_output=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return None
    return [name for name in out.decode().split("\0") if name]


def _walked_files():
    """For an unpacked release, where there is no git to ask."""
    found = []
    for folder, dirs, names in os.walk(ROOT):
        dirs[:] = [d for d in dirs if not d.startswith("build") and d not in (".git", "__pycache__", "node_modules", "dist")]
        found += [os.path.relpath(os.path.join(folder, name), ROOT) for name in names]
    return found


def files():
    """Every file of the project, relative to its root, sorted; no links, nothing that git ignores."""
    names = _git_files() if os.path.exists(os.path.join(ROOT, ".git")) else _walked_files()
    if names is None:
        sys.exit("the repository is a git work tree, but git cannot list its files")
    return sorted({n for n in names if os.path.isfile(os.path.join(ROOT, n))
                   and not os.path.islink(os.path.join(ROOT, n))})


def text(name):
    """The file's text, or None if it is not UTF-8 text."""
    with open(os.path.join(ROOT, name), "rb") as f:
        data = f.read()
    if b"\0" in data:
        return None
    try:
        return data.decode()
    except UnicodeDecodeError:
        return None


def report(results):
    """Prints (name, complaints) pairs as TAP; exits 1 if there was a complaint."""
    bad = False
    print(f"1..{len(results)}")
    for number, (name, complaints) in enumerate(results, 1):
        print(f"{'not ok' if complaints else 'ok'} {number} {name}")
        for complaint in complaints:
            print(f"# {complaint}")
        bad = bad or bool(complaints)
    sys.exit(1 if bad else 0)
