#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Memory that runs out: the n-th allocation of the daemon, and of each of its workers, fails. Whatever was asked ends with
an error or as it should, nothing crashes, and the daemon, or the next one, shows what there is.

memory.py MDEVGPUD-SIM FAILING.SO STEP [FIRST]: every STEP-th allocation, from FIRST on.
"""

import contextlib
import sys
import traceback

from machine import GPU, TYPE, BusError, Machine, read

SIM, FAILING, STEP = sys.argv[1], sys.argv[2], int(sys.argv[3])
FIRST = int(sys.argv[4]) if len(sys.argv) > 4 else 1
UUID, OTHER = "c0ffee00-0000-4000-8000-000000000001", "c0ffee00-0000-4000-8000-000000000002"
# Allocations in a daemon that starts and does what is asked below; beyond that none fails.
LAST = 6000


def asked(machine):
    """What came of everything that is asked: only the answers of an error that has a name."""
    for member, *arguments in (("CreateVGpu", GPU, TYPE, UUID, {"persistent": True, "label": "one"}),
                               ("CreateVGpu", GPU, TYPE, OTHER, {}), ("DestroyVGpu", OTHER, {}),
                               ("ModifyVGpu", UUID, {"autostart": True, "scope": "config"}), ("DestroyVGpu", UUID, {}),
                               ("UndefineVGpu", UUID, {}), ("Reload", {})):
        with contextlib.suppress(BusError):
            machine.bus.manager(member, *arguments)
    with contextlib.suppress(BusError):
        machine.bus.vgpus()


def one(stack, number):
    machine = Machine(stack, SIM)
    with contextlib.suppress(AssertionError): # it may not start; then it says why
        machine.start(env={"LD_PRELOAD": FAILING, "FAIL_AT": str(number)})
        asked(machine)
    if machine.daemon and machine.daemon.poll() is None:
        if machine.stop() != 0:
            raise AssertionError(f"allocation {number}: {read(machine.log)}")
    elif machine.daemon and machine.daemon.returncode != 1:
        raise AssertionError(f"allocation {number}: it ended with {machine.daemon.returncode}: {read(machine.log)}")
    machine.daemon = None
    machine.check_log()
    machine.start()
    machine.check()


def main():
    print("1..1", flush=True)
    failed = False
    for number in range(FIRST, LAST, STEP):
        try:
            with contextlib.ExitStack() as stack:
                one(stack, number)
        except Exception: # pylint: disable=broad-exception-caught
            failed = True
            print(f"# allocation {number}\n# " + traceback.format_exc().replace("\n", "\n# "), flush=True)
    print(f"{'not ok' if failed else 'ok'} 1 every {STEP}th allocation of {LAST} fails, and nothing but what was asked")
    sys.exit(1 if failed else 0)


main()
