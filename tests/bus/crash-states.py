#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""crash.py for the state of vGPUs: while it is saved, and while it is restored.

crash-states.py MDEVGPUD-SIM [--all] [SCENARIO…]
"""

import hashlib
import os
import re

import crash
from crash import CREATE, Scenario, Victim
from machine import ERROR, GPU, BusError, entries, until

UUID = crash.UUID
PROFILE = """version: 1
match: {address: "0000:*"}
types:
  - {id: 1, name: "Test/Small", max-instances: 16, framebuffer: 2GiB, keep-state: yes}
"""
SAVE = ("SaveState", UUID, "x", {})
RESTORE = ("RestoreState", GPU, "x", {})
DESTROY = ("DestroyVGpu", UUID, {})
TAKEN = ERROR + "AlreadyExists"

crash.SECONDS = 30
crash.POINTS = 40
crash.FALLING = 0.5 # progress is told by the clock
crash.SCENARIOS = [
    Scenario("save", [CREATE], SAVE, TAKEN),
    Scenario("save in the place of another", [CREATE, SAVE, ("fill", "2")], (*SAVE[:3], {"replace": True}), None),
    Scenario("restore", [CREATE, SAVE, DESTROY], RESTORE, TAKEN),
    Scenario("restore into what is defined", [crash.PERSISTENT, SAVE, DESTROY], RESTORE, TAKEN),
]


def digest(path):
    with open(path, "rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


class StateVictim(Victim):
    """With types that keep their state."""

    def __init__(self, stack, sim):
        super().__init__(stack, sim)
        with open(self.path("etc/mdevgpud/types.d/test.yaml"), "w", encoding="utf-8") as f:
            f.write(PROFILE)
        self.act("content-size", "200000")

    def fill(self, seed):
        with open(self.path("content", UUID), "r+b") as f:
            f.write(seed.encode() * 200000)

    def snapshot(self):
        found = super().snapshot()
        for uuid, row in found.items():
            if row["device"] is not None:
                row["content"] = digest(self.path("content", uuid))
        # Of two that were saved at different times no byte but the header's is another: so their size is compared.
        store = self.path("var/states")
        found["store"] = {name: os.path.getsize(os.path.join(store, name)) for name in entries(store)}
        return found

    def do(self, call):
        try:
            self.do_once(call)
        except BusError as e:
            # Whose worker was killed while it read the GPU waits for the next reading, which comes by itself.
            if "cannot be used" not in str(e):
                raise
            until(lambda: self.bus.ask("ListGpus", {})[0][0][3] == "ready", "the GPU")
            self.do_once(call)

    def do_once(self, call):
        if call[0] == "fill":
            self.fill(call[1])
        elif call[0] in ("SaveState", "RestoreState"):
            self.bus.wait_for_job(self.bus.ask(*call)[0])
        else:
            super().do(call)
            if call[0] == "CreateVGpu":
                self.fill("1")

    def check(self):
        super().check()
        if sessions := entries(self.path("kernel/sessions")):
            raise AssertionError(f"a driver is still at it: {sessions}")
        for uuid in self.records():
            with open(self.path("state", uuid), encoding="utf-8") as f:
                if left := [line for line in f.read().splitlines() if line in ("saving=1", "half=1")]:
                    raise AssertionError(f"{uuid}: {left}")

    def clear(self):
        for name in entries(self.path("var/states")):
            self.bus.manager("DeleteSavedState", name.removesuffix(".state"), {})
        super().clear()


def points(trace, role, everything, original=crash.points):
    """Without what the worker does while it plays the driver, which nobody kills. Nothing is removed here, for which it would
    have to be let do all between two things of the kernel's."""
    counts, driver = {}, set()
    for line in trace.splitlines():
        if m := re.match(r"(\w+)\(", line):
            counts[m[1]] = counts.get(m[1], 0) + 1
            if m[1] in ("ftruncate", "pwrite64", "renameat") or re.search(r'"(kernel|content)/', line):
                driver.add((m[1], counts[m[1]]))
    return [p for p in original(trace, "transfer" if role == "new" else role, everything) if role != "new" or p not in driver]


crash.points = points
crash.Victim = StateVictim

if __name__ == "__main__":
    crash.main()
