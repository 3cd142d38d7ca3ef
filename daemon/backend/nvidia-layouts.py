#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Makes C tables of nvidia-layouts.txt: one dialect for every driver from which on something is different.

nvidia-layouts.py SPECIFICATION OUTPUT
"""

import os
import re
import sys


class Mistake(Exception):
    pass


def version(text):
    """570.86.15 or 565.77 as a number that compares as drivers do."""
    if not re.fullmatch(r"\d{3}(\.\d{1,3}){1,2}", text):
        raise Mistake(f"'{text}' is no driver version")
    parts = [int(part) for part in text.split(".")] + [0]
    return parts[0] << 20 | parts[1] << 10 | parts[2]


def steps(words, parse):
    """'525.47.04 4:32 | 580.65.06 4:64' as [(version, value)], ascending."""
    found = []
    for step in " ".join(words).split("|"):
        try:
            start, value = step.split()
        except ValueError as error:
            raise Mistake(f"'{step.strip()}' is not 'FROM VALUE'") from error
        found.append((version(start), None if value == "-" else parse(value)))
    if found != sorted(found, key=lambda s: s[0]) or len({s[0] for s in found}) != len(found):
        raise Mistake("the drivers do not ascend")
    return found


def parse_place(text):
    offset, size = text.split(":")
    return int(offset), int(size)


def parse_number(text):
    return int(text, 0)


class Specification:
    def __init__(self):
        self.drivers = []  # (layout, first, last, expert)
        self.numbers, self.places, self.controls = {}, {}, {}

    def add(self, words):
        kind, name, rest = words[0], words[1], words[2:]
        if kind == "drivers":
            first, last = version(rest[0]), version(rest[1])
            if first > last or (self.drivers and first <= self.drivers[-1][2]):
                raise Mistake("drivers do not ascend")
            if rest[2:] not in ([], ["expert"]):
                raise Mistake(f"'{' '.join(rest[2:])}' is not 'expert'")
            self.drivers.append((name, first, last, bool(rest[2:])))
            return
        table = {"number": self.numbers, "place": self.places, "control": self.controls}.get(kind)
        if table is None:
            raise Mistake(f"'{kind}' is not known")
        if name in table:
            raise Mistake(f"{kind} {name} stands twice")
        if kind == "number":
            table[name] = steps(rest, parse_number)
        elif kind == "place":
            table[name] = steps(rest, parse_place)
        else:
            if rest[1] not in ("r", "w"):
                raise Mistake("access is r or w")
            table[name] = (int(rest[0], 16), rest[1] == "w", steps(rest[2:], parse_number))

    def epochs(self):
        """Every driver from which on something is different."""
        found = {first for _, first, _, _ in self.drivers}
        for table in (self.numbers, self.places):
            found |= {start for rows in table.values() for start, _ in rows}
        found |= {start for _, _, rows in self.controls.values() for start, _ in rows}
        return sorted(found)

    def layout_at(self, epoch):
        for name, first, last, expert in self.drivers:
            if first <= epoch <= last:
                return name, last, expert
        raise Mistake(f"something changes at a driver ({epoch:#x}) that is in no range")


def at(rows, epoch):
    value = None
    for start, here in rows:
        if start <= epoch:
            value = here
    return value


def check(spec, epoch):
    """No two members of one struct overlap, and all lie within it."""
    sizes = {
        "info-": (at(spec.controls["set-info"][2], epoch) or 0) - at(spec.numbers["set-info-at"], epoch),
        "set-info-": at(spec.controls["set-info"][2], epoch),
        "types-": at(spec.controls["supported-types"][2], epoch),
        "placements-": at(spec.controls["placements"][2], epoch),
        "guests-": at(spec.controls["guests"][2], epoch),
        "guest-": at(spec.numbers["guest-size"], epoch),
    }
    for prefix, size in sizes.items():
        members = sorted((at(rows, epoch), name) for name, rows in spec.places.items()
                         if name.startswith(prefix) and at(rows, epoch))
        end, last = 0, ""
        for (offset, length), name in members:
            if offset < end:
                raise Mistake(f"{name} overlaps {last}")
            end, last = offset + length, name
        if members and (size is None or end > size):
            raise Mistake(f"{last} lies outside of its struct")


def constant(prefix, name):
    return prefix + name.upper().replace("-", "_")


def write(spec, out):
    put = out.write
    put("/* Made by nvidia-layouts.py of nvidia-layouts.txt. */\n\n#include \"backend/nvidia-layout.h\"\n\n")
    for prefix, table in (("NVIDIA_AT_", spec.places), ("NVIDIA_CONTROL_", spec.controls)):
        put(f"static_assert({prefix}MAX == {len(table)}, \"nvidia-layout.h and nvidia-layouts.txt differ\");\n")

    put("\nconst NvidiaControlInfo nvidia_controls[NVIDIA_CONTROL_MAX] = {\n")
    for name, (command, writes, _) in spec.controls.items():
        put(f"        [{constant('NVIDIA_CONTROL_', name)}] = {{ \"{name}\", 0x{command:08x}U, "
            f"{'true' if writes else 'false'} }},\n")
    put("};\n")

    put("\nconst NvidiaRange nvidia_ranges[] = {\n")
    for name, first, last, expert in spec.drivers:
        put(f"        {{ \"{name}\", {first}U, {last}U, {'true' if expert else 'false'} }},\n")
    put(f"}};\nconst size_t nvidia_n_ranges = {len(spec.drivers)};\n")

    epochs = spec.epochs()
    put("\nconst NvidiaDialect nvidia_dialects[] = {\n")
    for epoch in epochs:
        check(spec, epoch)
        name, _, expert = spec.layout_at(epoch)
        put(f"        {{\n                .layout = \"{name}\",\n                .first = {epoch}U,\n"
            f"                .expert = {'true' if expert else 'false'},\n")
        for number, rows in spec.numbers.items():
            put(f"                .{number.replace('-', '_')} = {at(rows, epoch) or 0},\n")
        put("                .places = {\n")
        for place, rows in spec.places.items():
            if at(rows, epoch):
                offset, size = at(rows, epoch)
                put(f"                        [{constant('NVIDIA_AT_', place)}] = {{ {offset}, {size}, true }},\n")
        put("                },\n                .controls = {\n")
        for control, (_, _, rows) in spec.controls.items():
            if at(rows, epoch) is not None:
                put(f"                        [{constant('NVIDIA_CONTROL_', control)}] = {{ {at(rows, epoch)}, true }},\n")
        put("                },\n        },\n")
    put(f"}};\nconst size_t nvidia_n_dialects = {len(epochs)};\n")


def main():
    source, target = sys.argv[1:]
    spec = Specification()
    with open(source, encoding="utf-8") as f:
        for number, line in enumerate(f, 1):
            words = line.split("#")[0].split()
            try:
                if words:
                    spec.add(words)
            except (Mistake, IndexError, ValueError) as error:
                sys.exit(f"{source}:{number}: {error}")
    try:
        with open(target, "w", encoding="utf-8") as out:
            write(spec, out)
    except Mistake as error:
        os.unlink(target)
        sys.exit(f"{source}: {error}")


main()
