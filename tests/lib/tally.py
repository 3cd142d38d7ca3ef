#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Counts single tests: "PASSED FAILED SKIPPED" on standard output; those that did not pass, on standard error.

tally.py meson TESTLOG.JSON          what "meson test" left
tally.py program FILE EXIT-STATUS    what one program printed

A program counts for as many tests as it reports, in TAP or by a last line "N passed, N failed, N skipped"; any other
for one. One that dies after its last "ok", or stops short of its plan, has failed all the same.
"""

import json
import re
import sys

LINE = re.compile(r"^(not )?ok\b\s*(\d+)?[\s-]*([^#]*)(?:#\s*(skip|todo)\b\s*(.*))?", re.IGNORECASE)
SUMMARY = re.compile(r"^(\d+) passed, (\d+) failed, (\d+) skipped$")
SUMMARY_DETAIL = re.compile(r"^\s+(FAILED|skipped) +(.*)")
PLAN = re.compile(r"^1\.\.(\d+)\s*(?:#\s*skip\b\s*(.*))?", re.IGNORECASE)


class Tally:
    def __init__(self):
        self.passed, self.failures, self.skips = 0, [], []

    def add_tap(self, name, output, ended_well):
        """Returns False if the output is no TAP at all."""
        seen, planned, bad = 0, None, 0
        for line in output.splitlines():
            plan, result = PLAN.match(line), LINE.match(line)
            if plan:
                planned = int(plan.group(1))
                if planned == 0:
                    self.skips.append(f"{name}: {plan.group(2) or 'no reason given'}")
            elif result:
                seen += 1
                negative, _, what, directive, reason = result.groups()
                where = f"{name}: {what.strip()}"
                if directive and directive.lower() == "skip":
                    self.skips.append(f"{where}: {reason or 'no reason given'}")
                elif negative:
                    bad += 1
                    self.failures.append(where)
                else:
                    self.passed += 1
        if planned is None and seen == 0:
            return False
        if planned is None or seen != planned:
            self.failures.append(f"{name}: {seen} of {planned} tests reported")
        elif not ended_well and not bad:
            self.failures.append(f"{name}: ended badly after its last test")
        return True

    def add_summary(self, name, output, ended_well):
        """Returns False if the output does not end in a summary."""
        lines = output.rstrip().splitlines()
        summary = SUMMARY.match(lines[-1]) if lines else None
        if not summary:
            return False
        passed, failed, skipped = map(int, summary.groups())
        details = [match.groups() for match in map(SUMMARY_DETAIL.match, lines) if match]
        failures = [f"{name}: {what}" for kind, what in details if kind == "FAILED"]
        skips = [f"{name}: {what}" for kind, what in details if kind == "skipped"]
        self.passed += passed
        self.failures += failures[:failed] + [f"{name}: not named"] * (failed - len(failures))
        self.skips += skips[:skipped] + [f"{name}: not named"] * (skipped - len(skips))
        if not failed and not ended_well:
            self.failures.append(f"{name}: ended badly after its last test")
        return True

    def add_plain(self, name, result):
        if result == "OK":
            self.passed += 1
        elif result == "SKIP":
            self.skips.append(f"{name}: skipped")
        else:
            self.failures.append(f"{name}: {result}")

    def print(self):
        for skip in self.skips:
            print(f"SKIPPED {skip}", file=sys.stderr)
        for failure in self.failures:
            print(f"FAILED  {failure}", file=sys.stderr)
        print(self.passed, len(self.failures), len(self.skips))


def tally_meson(tally, path):
    with open(path, encoding="utf-8") as log:
        for line in log:
            test = json.loads(line)
            name, output, well = test["name"], test.get("stdout", ""), test["result"] in ("OK", "SKIP")
            if not tally.add_tap(name, output, well):
                tally.add_plain(name, test["result"])
            if not well:
                print(f"---- {name}: {test['result']}, exit status {test.get('returncode')}", file=sys.stderr)
                print(output + test.get("stderr", ""), file=sys.stderr)


def tally_program(tally, path, status):
    name = path.rsplit("/", 1)[-1].rsplit(".", 1)[0]
    with open(path, encoding="utf-8", errors="replace") as f:
        output = f.read()
    if not tally.add_summary(name, output, status == 0) and not tally.add_tap(name, output, status == 0):
        tally.add_plain(name, "OK" if status == 0 else f"exit status {status}")


def main():
    tally = Tally()
    if len(sys.argv) == 3 and sys.argv[1] == "meson":
        tally_meson(tally, sys.argv[2])
    elif len(sys.argv) == 4 and sys.argv[1] == "program":
        tally_program(tally, sys.argv[2], int(sys.argv[3]))
    else:
        sys.exit(__doc__)
    tally.print()


main()
