#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""shellcheck finds nothing in any shell script, whatever the script is called."""

import re
import subprocess

import repo

SHEBANG = re.compile(r"#!\s*/(usr/)?bin/(env )?(ba|da)?sh\b")


def is_shell(name):
    text = repo.text(name) or ""
    return bool(SHEBANG.match(text)) or name.endswith((".sh", ".bash"))


def check(name):
    command = ["shellcheck", "--external-sources", "--source-path=SCRIPTDIR", "--format=gcc"]
    if not SHEBANG.match(repo.text(name)):
        # Part of another script: who uses or sets its variables cannot be seen here.
        command += ["--shell=bash", "--exclude=SC2034,SC2154"]
    command.append(name)
    result = subprocess.run(command, cwd=repo.ROOT, capture_output=True, text=True)
    return (result.stdout + result.stderr).splitlines() if result.returncode else []


repo.report([(name, check(name)) for name in repo.files() if is_shell(name)])
