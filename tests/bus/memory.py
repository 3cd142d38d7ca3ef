#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Memory that runs out: the n-th allocation of the daemon, and of each of its workers, fails. Whatever was asked ends with
an error or as it should, nothing crashes, and the daemon, or the next one, shows what there is.

memory.py MDEVGPUD-SIM FAILING.SO STEP [FIRST]: every STEP-th allocation, from FIRST on.
"""

import contextlib
import os
import signal
import sys
import time
import traceback

from machine import GPU, PROFILE, TIMEOUT, TYPE, BusError, Machine, read

SIM, FAILING, STEP = sys.argv[1], sys.argv[2], int(sys.argv[3])
FIRST = int(sys.argv[4]) if len(sys.argv) > 4 else 1
UUID, OTHER = "c0ffee00-0000-4000-8000-000000000001", "c0ffee00-0000-4000-8000-000000000002"
LIBSYSTEMD = "Assertion 'node->child' failed at src/libsystemd/sd-bus/bus-match.c"
TOPOLOGY = f"""version: 1
topologies:
  t:
  - match: {{address: "{GPU}"}}
    vgpus: [{{type: {TYPE}, count: 2}}]
"""
# Allocations in a daemon that starts and does what is asked below; beyond that none fails.
LAST = 6000


def asked(machine):
    """What came of everything that is asked: only the answers of an error that has a name."""
    for member, *arguments in (("CreateVGpu", GPU, TYPE, UUID, {"persistent": True, "label": "one"}),
                               ("CreateVGpu", GPU, TYPE, OTHER, {}), ("DestroyVGpu", OTHER, {}),
                               ("ModifyVGpu", UUID, {"autostart": True, "scope": "config"}), ("DestroyVGpu", UUID, {}),
                               ("StartVGpu", UUID, {}), ("SaveState", UUID, "one", {"replace": True}),
                               ("DestroyVGpu", UUID, {}), ("RestoreState", "", "one", {}), ("DeleteSavedState", "one", {}),
                               ("QueryMigration", UUID, {}), ("Diagnose", {}), ("ApplyTopology", "t", {}),
                               ("UndefineVGpu", UUID, {}), ("Reload", {})):
        with contextlib.suppress(BusError):
            answer = machine.bus.ask(member, *arguments)
            if member in ("SaveState", "RestoreState", "ApplyTopology"):
                machine.bus.wait_for_job(answer[0])
    with contextlib.suppress(BusError):
        machine.bus.vgpus()


def settle(machine):
    """What was half done is finished or taken back, which takes a moment."""
    deadline = time.monotonic() + TIMEOUT
    while True:
        try:
            return machine.check()
        except AssertionError:
            if time.monotonic() > deadline:
                raise
        time.sleep(0.05)


def one(stack, number):
    machine = Machine(stack, SIM)
    machine.act("content-size", "65536")
    os.makedirs(machine.path("etc/mdevgpud/topologies.d"))
    for path, said in (("types.d", PROFILE.replace("2GiB", "2GiB, keep-state: yes")), ("topologies.d", TOPOLOGY)):
        with open(machine.path("etc/mdevgpud", path, "test.yaml"), "w", encoding="utf-8") as f:
            f.write(said)
    with contextlib.suppress(AssertionError): # it may not start; then it says why
        machine.start(env={"LD_PRELOAD": FAILING, "FAIL_AT": str(number)})
        asked(machine)
    if machine.daemon:
        # One that has lost its name is about to end, as its unit starts it again then.
        serves = machine.bus.has_owner()
        status, said = machine.stop(), read(machine.log)
        # A match of which libsystemd got memory for one half is one that it cannot go through.
        if status == -signal.SIGABRT and LIBSYSTEMD in said:
            print(f"# allocation {number}: {said[said.index(LIBSYSTEMD):]}", flush=True)
            os.unlink(machine.log)
        elif status not in ((0,) if serves else (0, 1)):
            raise AssertionError(f"allocation {number}: it ended with {status}: {said}")
    machine.check_log()
    machine.start()
    settle(machine)


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
