# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the tests in Python share: a list of single tests, and TAP."""

import contextlib
import time
import traceback

TESTS = []


def test(function):
    """Its documentation says what is tested; what it returns, if anything, is said too."""
    TESTS.append(function)
    return function


def equal(found, wanted, what=""):
    if found != wanted:
        raise AssertionError(f"{what}{': ' if what else ''}{found!r}, not {wanted!r}")


def chosen(names):
    """All, or those that were asked for."""
    return [t for t in TESTS if not names or t.__name__ in names]


def run(tests):
    """Each gets a stack of what is to be undone behind it. Returns the exit status."""
    print(f"1..{len(tests)}", flush=True)
    failed = 0
    for number, function in enumerate(tests, 1):
        begin, more = time.monotonic(), ""
        try:
            with contextlib.ExitStack() as stack:
                more = function(stack)
            result = "ok"
        except Exception:  # pylint: disable=broad-exception-caught
            result, failed = "not ok", failed + 1
            print("# " + traceback.format_exc().rstrip().replace("\n", "\n# "), flush=True)
        what = " ".join(function.__doc__.split()) + (f": {more}" if more else "")
        print(f"{result} {number} {what} # {time.monotonic() - begin:.1f} s", flush=True)
    return 1 if failed else 0
