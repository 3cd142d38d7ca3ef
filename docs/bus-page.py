#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""org.mdevgpu1(5): the bus interface as a man page, made of its documented XML.

bus-page.py XML > PAGE.scd

The XML is the one place where members are documented; what is here only sets it in type. The comments' rules are those of
the test that reads them (tests/bus/test-introspection.c): "NAME: …", "@ARGUMENT: …", paragraphs.
"""

import re
import sys
import textwrap
import xml.etree.ElementTree as ElementTree

COMMENT = re.compile(r"<!--(.*?)-->\s*<(interface|method|signal|property) name=\"([^\"]+)\"", re.S)


def escape(text):
    """Letters that scdoc would take for markup; `words` in backquotes are typed as they are."""
    text = re.sub(r"([\\*_#])", r"\\\1", text)
    text = re.sub(r"`([^`]+)`", r"*\1*", text)
    return re.sub(r"^(\.|-)", r"\\\1", text, flags=re.M)


def paragraphs(comment):
    """A comment as dedented paragraphs."""
    text = textwrap.dedent(comment.strip("\n").rstrip())
    return [block for block in re.split(r"\n\s*\n", text) if block.strip()]


def print_general(comment):
    """The comment at the top of the file: paragraphs, and blocks that are tables."""
    for block in paragraphs(comment):
        if re.search(r"^ ", block, re.M):
            print("```")
            print(block.rstrip())
            print("```\n")
        else:
            print(escape(block) + "\n")


def print_block(block, indent):
    for line in textwrap.dedent(block).splitlines():
        print(indent + escape(line.strip()))
    print()


def print_member(comment, name):
    """What stands below a member's head: its arguments, then its paragraphs."""
    for block in paragraphs(comment):
        block = re.sub(rf"^\s*{re.escape(name)}:[ \n]?", "", block)
        for part in re.split(r"^\s*(?=@\w+: )", block, flags=re.M):
            if not part.strip():
                continue
            found = re.match(r"@(\w+): (.*)", part, re.S)
            if found and found.group(1) != "short_description":
                print(f"\t_{escape(found.group(1))}_: " + escape(" ".join(found.group(2).split())) + "\n")
            elif not found:
                print_block(part, "\t")


def arguments(element, direction):
    found = [a for a in element.findall("arg") if a.get("direction", "out") == direction]
    return ", ".join(f"{a.get('type')} _{escape(a.get('name'))}_" for a in found)


def head_of(kind, element):
    name = element.get("name")
    if kind == "method":
        out = arguments(element, "out")
        return f"*{name}*({arguments(element, 'in')})" + (f" → ({out})" if out else "")
    if kind == "signal":
        return f"*{name}*({arguments(element, 'out')})"
    told = {"const": ", never changes", "false": ", not signalled", "invalidates": ", invalidated"}
    annotation = element.find("annotation[@name='org.freedesktop.DBus.Property.EmitsChangedSignal']")
    return f"*{name}*: {element.get('type')}" + (told.get(annotation.get("value"), "") if annotation is not None else "")


def print_interface(element, comments):
    name = element.get("name")
    print(f"# INTERFACE {name}\n")
    for block in paragraphs(comments.get((name, "interface", name), "")):
        lines = [line for line in block.splitlines()
                 if not line.strip().startswith(("@short_description", f"{name}:"))]
        if lines:
            print(escape("\n".join(line.strip() for line in lines)) + "\n")

    for kind, title in ("method", "Methods"), ("signal", "Signals"), ("property", "Properties"):
        members = element.findall(kind)
        if members:
            print(f"## {title}\n")
        for member in members:
            print(head_of(kind, member))
            print_member(comments[(name, kind, member.get("name"))], member.get("name"))


def main():
    with open(sys.argv[1], encoding="utf-8") as f:
        text = f.read()
    comments, interface = {}, None
    for comment, kind, name in COMMENT.findall(text):
        # Only the last of several comments in a row belongs to the member.
        comment = comment.rsplit("<!--", 1)[-1]
        if kind == "interface":
            interface = name
        comments[(interface, kind, name)] = comment
    general = re.search(r"<!--\n(.*?)-->\s*<node", text, re.S).group(1).rsplit("<!--", 1)[-1]

    print("org.mdevgpu1(5)\n")
    print("; SPDX-License-Identifier: LGPL-2.1-or-later\n")
    print("# NAME\n\norg.mdevgpu1 - the D-Bus interface of mdevgpud\n")
    print("# SYNOPSIS\n\n*busctl* introspect org.mdevgpu1 /org/mdevgpu1\n")
    print("# DESCRIPTION\n")
    print_general(general)
    for element in ElementTree.fromstring(text).findall("interface"):
        print_interface(element, comments)
    print("# SEE ALSO\n\n*mdevgpud*(8), *mdevgpuctl*(1), *busctl*(1), *org.freedesktop.systemd1*(5)")


main()
