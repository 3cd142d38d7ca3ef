#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""crash.py for virtual functions: while their number is changed, and while one is provisioned, taken and given back.

crash-vfs.py MDEVGPUD-SIM [--all] [SCENARIO…]
"""

import contextlib
import os

import crash
from crash import Scenario, Victim
from machine import ERROR, NAME, BusError, Machine, entries, read, until

CARD = "0000:51:00.0"
PATH = "/org/mdevgpu1/gpu/_30000_3a51_3a00_2e0"
FUNCTION = "0000:51:01.0"
UUID = "c0ffee00-0000-4000-8000-000000000001"
PROFILE = """version: 1
match: {vendor: any, address: "0000:51:*"}
types:
  - {id: 7, name: "Test/Xe", max-instances: 2, framebuffer: 2GiB, xe: {exec-quantum-ms: 20, priority: high}}
"""
ENABLE = ("EnableVfs", 4)
CREATE = ("CreateVGpu", CARD, "xe-7", UUID, {})
TAKEN, GONE = ERROR + "AlreadyExists", ERROR + "NoSuchVGpu"

crash.SECONDS = 40
crash.POINTS = 16
crash.SCENARIOS = [
    Scenario("enable", [], ENABLE, None),
    Scenario("enable others", [ENABLE], ("EnableVfs", 2), None),
    Scenario("disable", [ENABLE], ("EnableVfs", 0), None),
    Scenario("create", [ENABLE], CREATE, TAKEN),
    Scenario("destroy", [ENABLE, CREATE], ("DestroyVGpu", UUID, {}), GONE),
]


class VfsVictim(Victim):
    """With a card of Intel's."""

    ROLES = ("daemon", "gpu", "new")
    N_WORKERS = 1

    def __init__(self, stack, sim):
        Machine.__init__(self, stack, sim, ()) # pylint: disable=non-parent-init-called,super-init-not-called
        self.program = os.path.join(self.dir, "mdevgpud-sim")
        with open(self.path("etc/mdevgpud/types.d/test.yaml"), "w", encoding="utf-8") as f:
            f.write(PROFILE)
        self.act("plug-xe", CARD)

    def targets(self):
        return {"daemon": self.daemon.pid, "gpu": until(lambda: self.workers().get(CARD), "the card's worker")[0]}

    def attributes(self, address, *names):
        """What they say, and the driver."""
        folder = self.path("sys/bus/pci/devices", address)
        found = {name: read(os.path.join(folder, name)).strip()
                 for name in names if os.path.exists(os.path.join(folder, name))}
        driver = os.path.join(folder, "driver")
        return {**found, "driver": os.path.basename(os.readlink(driver)) if os.path.islink(driver) else ""}

    def snapshot(self):
        profile = [f"sriov_admin/vf1/profile/{name}" for name in
                   ("vram_quota", "exec_quantum_ms", "preempt_timeout_us", "sched_priority")]
        vgpus = {uuid: {key: row[key] for key in ("state", "managed", "type", "gpu")}
                 for uuid, row in self.bus.vgpus().items()}
        function = self.attributes(FUNCTION, "driver_override")
        if function["driver"] == "vfio-pci": # then it does not matter
            del function["driver_override"]
        return {
            "bus": {"NumVfs": self.bus.get(PATH, NAME + ".Gpu.Sriov", "NumVfs")},
            "card": self.attributes(CARD, "sriov_numvfs", "sriov_drivers_autoprobe", *profile),
            "function": function,
            **vgpus,
        }

    def check(self):
        shown = self.bus.vgpus()
        if other := {uuid: row["state"] for uuid, row in shown.items() if row["state"] != "active"}:
            raise AssertionError(f"{other}")
        # What begins with a dot is what nobody came to rename, and the next one writes over.
        claims, undo = ([name for name in entries(self.path("run", folder)) if name[0] != "."]
                        for folder in ("claims", "vfs"))
        if set(self.records()) != set(shown) or len(claims) != len(shown) or undo:
            raise AssertionError(f"shown: {shown}; records: {self.records()}; claims: {claims}; to be undone: {undo}")

    def prepare(self, scenario):
        for call in scenario.prepare:
            self.do(call)

    def do(self, call):
        if call[0] == "EnableVfs":
            path = self.bus.ask(call[0], call[1], {}, path=PATH, interface=NAME + ".Gpu.Sriov")[0]
            self.bus.wait_for_job(path)
            return
        try:
            self.bus.manager(*call)
        except BusError as e:
            # Whose worker was killed while it read the card waits for the next reading, which comes by itself.
            if "cannot be used" not in str(e):
                raise
            until(lambda: self.bus.ask("ListGpus", {})[0][0][3] == "ready", "the card")
            self.bus.manager(*call)

    def clear(self):
        for uuid in self.bus.vgpus():
            with contextlib.suppress(BusError):
                self.bus.manager("DestroyVGpu", uuid, {"unmanaged": True})
        self.do(("EnableVfs", 0))
        self.check()


crash.Victim = VfsVictim

if __name__ == "__main__":
    crash.main()
