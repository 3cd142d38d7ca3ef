# SPDX-License-Identifier: LGPL-2.1-or-later
"""Whatever can be called on the bus, and arguments of every kind for it."""

import random
import xml.etree.ElementTree

from machine import GPU, TYPE
from rawbus import RETURN, split

# What changes something, which nobody may who was not authorized.
CHANGING = {"CreateVGpu", "DestroyVGpu", "DefineVGpu", "UndefineVGpu", "StartVGpu", "ModifyVGpu", "PrepareIncoming",
            "ReleaseIncoming", "SaveState", "ExportState", "RestoreState", "ImportState", "DeleteSavedState", "ApplyTopology",
            "Reload", "Set", "EnableVfs", "Destroy", "Start", "HoldForStart", "EndHold", "Cancel"}

# What there is that a guess may hit: a vGPU, what was in it, and a topology.
UUID, SAVED, TOPOLOGY = "c0ffee00-0000-4000-8000-000000000001", "before", "topology"

# What does something, by an argument's name, and the options that a method takes.
RIGHT = {"gpu": [GPU], "type": [TYPE], "uuid": [UUID], "name": [SAVED, "another", TOPOLOGY], "uuids": [[UUID]],
         "format": ["qemu", "libvirt-xml"]}
TAKES = {"CreateVGpu": "persistent autostart label attrs take-display numa-node", "DestroyVGpu": "unmanaged",
         "DefineVGpu": "autostart label attrs", "UndefineVGpu": "unmanaged",
         "ModifyVGpu": "autostart label attrs scope unmanaged", "QueryMigration": "probe",
         "PrepareIncoming": "lease label attrs", "ReleaseIncoming": "keep", "SaveState": "after precopy replace unmanaged",
         "ExportState": "after precopy unmanaged", "RestoreState": "uuid type label", "ImportState": "uuid type label",
         "HoldForStart": "seconds", "GetAttachment": "display ramfb", "EnableVfs": "attrs",
         "ListVGpus": "gpu type state managed"}


class Guesser:
    """Arguments of any type, mostly of the right one: of a call as it may be meant, or of which one thing is not, or with
    contents that nobody expects."""

    TEXTS = ["", GPU, TYPE, UUID, UUID, SAVED, SAVED, TOPOLOGY, "new", "*", ".", "..", "../../../../etc/passwd", "/", "%",
             "%s%s%n%n", "\u202e\u00fc\U0001f600", "\x01\x7f", "a" * 64, "a" * 65, "a" * 255, "a" * 256, "a" * 65536,
             "C0FFEE00-0000-4000-8000-000000000001", "00000000-0000-0000-0000-000000000000", "-1", "\ufdd0", "x\ny",
             "vfio-pci", "../" * 80, "%2e%2e%2f", "active", "both", "qemu", "libvirt-xml", "run", "stop", "destroy"]
    NUMBERS = [0, 1, 2, 127, 255]
    # With the type that each has, if any has it.
    OPTIONS = {"autostart": "b", "persistent": "b", "label": "s", "attrs": "a(ss)", "placement-id": "u", "unmanaged": "b",
               "gpu": "s", "type": "s", "state": "s", "managed": "b", "scope": "s", "take-display": "b", "may-register": "b",
               "prune": "b", "numa-node": "u", "gpu-instance-id": "u", "lease": "u", "keep": "b", "probe": "b", "seconds": "u",
               "display": "b", "ramfb": "b", "after": "s", "precopy": "b", "replace": "b", "uuid": "s", "..": "s", "": "v"}
    TYPES = ["s", "u", "b", "t", "i", "as", "a{sv}", "a(ss)", "v", "ay", "(su)", "d", "g", "o", "aas", "h"]

    def __init__(self, seed):
        self.random = random.Random(seed)

    def value(self, t, depth=0):
        r, c = self.random, t[0]
        if c == "s":
            return r.choice(self.TEXTS)
        if c == "o":
            return r.choice(["/", "/org/mdevgpu1", "/a/b", "/" + "x" * 300])
        if c == "g":
            return r.choice(["", "s", "a{sv}", "a" * 32 + "u"])
        if c == "b":
            return r.randrange(2)
        if c == "d":
            return r.random()
        if c in "ynqiuxth":
            return 0 if c == "h" else r.choice(self.NUMBERS) if c == "y" else r.choice([0, 1, 2, 30000])
        if c == "v":
            inner = r.choice(self.TYPES) if depth < 40 else "s"
            if inner == "v" or r.random() < 0.05:
                return ("v", self.value("v", depth + 1))
            return (inner, self.value(inner, depth + 1))
        if c == "a":
            n = r.choice([0, 1, 1, 2, 3, 30]) if depth < 3 else 1
            if t[1] == "{":
                key, value = split(t[2:-1])
                return [self.option(depth) if key + value == "sv" else
                        (self.value(key, depth + 1), self.value(value, depth + 1)) for _ in range(n)]
            return [self.value(t[1:], depth + 1) for _ in range(n)]
        return tuple(self.value(inner, depth + 1) for inner in split(t[1:-1]))

    def option(self, depth):
        name, t = self.random.choice(list(self.OPTIONS.items()))
        if self.random.random() < 0.3:
            return (name, self.value("v", depth + 1))
        return (name, (t, self.value(t, depth + 1)))

    def meant(self, method, name, t):
        if t == "a{sv}":
            return [(o, (self.OPTIONS[o], self.value(self.OPTIONS[o]))) for o in TAKES.get(method, "").split()
                    if self.random.random() < 0.2]
        return self.random.choice(RIGHT[name]) if name in RIGHT else self.value(t)

    def call(self, method, arguments):
        """A signature and values for it."""
        if self.random.random() < 0.5:
            signature = self.signature("".join(t for _, t in arguments))
            return signature, [self.value(t) for t in split(signature)]
        values = [self.meant(method, name, t) for name, t in arguments]
        if values and self.random.random() < 0.5:
            i = self.random.randrange(len(values))
            values[i] = self.value(arguments[i][1])
        return "".join(t for _, t in arguments), values

    def signature(self, right):
        r = self.random.random()
        if r < 0.8:
            return right
        types = split(right)
        if r < 0.9 and types:
            types[self.random.randrange(len(types))] = self.random.choice(self.TYPES)
        elif r < 0.95 and types:
            types.pop()
        else:
            types.append(self.random.choice(self.TYPES))
        return "".join(types)


def methods(client):
    """(path, interface, method, [(name, type)]) of everything that can be called, the properties included."""
    found, paths = [], ["/org/mdevgpu1"]
    while paths:
        path = paths.pop()
        answer = client.call(path, "org.freedesktop.DBus.Introspectable", "Introspect")
        if answer.kind != RETURN:
            raise AssertionError(f"{path}: {answer.error}")
        tree = xml.etree.ElementTree.fromstring(answer.values()[0])
        for interface in tree.findall("interface"):
            for method in interface.findall("method"):
                arguments = [(a.get("name"), a.get("type")) for a in method.findall("arg") if a.get("direction", "in") == "in"]
                found.append((path, interface.get("name"), method.get("name"), arguments))
        paths += [f"{path}/{node.get('name')}" for node in tree.findall("node")]
    return found
