#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""States of vGPUs, saved and restored by the real daemon and its workers over the simulated machine.

states.py MDEVGPUD-SIM [TEST…]
"""

import contextlib
import fcntl
import os
import select
import signal
import socket
import stat
import struct
import threading
import time

import rawbus
from cases import equal, test
from machine import ERROR, GPU, NAME, ROOT_PATH, SECOND_GPU, BusError, entries, read, until
from saver import DENIED, FAILED, INVALID, KEPT, MIB, NOBODY, NOT_KEPT, Saver, damage, drain, hold, main, pipe, plain


@test
def there_and_back(stack):
    """what a vGPU holds is saved and restored, beside it and in its place; what is saved is listed, replaced and deleted"""
    m = Saver(stack).begin()
    uuid = m.create(label="web")
    content = m.content(uuid)
    job = m.done(m.save(uuid, "one"))
    equal(job["Operation"], "save-state", "operation")
    equal({k: job["Result"][k] for k in ("uuid", "name", "reset", "changed")},
          {"uuid": uuid, "name": "one", "reset": False, "changed": False}, "result")
    if not job["Result"]["bytes"] >= 2 * MIB or job["TotalBytes"] != job["Bytes"] or job["Progress"] != 1:
        raise AssertionError(f"it counts {job}")
    equal(job["Objects"], [m.bus.vgpus()[uuid]["path"]], "objects")
    equal(m.content(uuid), content, "what it holds")
    equal(stat.S_IMODE(os.stat(m.store("one.state")).st_mode), 0o600, "mode")
    equal(stat.S_IMODE(os.stat(m.store()).st_mode), 0o700, "folder's mode")
    row = m.saved()["one"]
    equal((row[0], row[1], row[2], row[4]["label"], row[4]["gpu"]),
          (uuid, KEPT, os.path.getsize(m.store("one.state")), "web", GPU), "what is listed")
    if abs(row[3] / 1e6 - time.time()) > 60:
        raise AssertionError(f"saved at {row[3]}")

    m.fill(uuid, 2)
    m.refused(ERROR + "AlreadyExists", lambda: m.save(uuid, "one"))
    m.fails(ERROR + "AlreadyExists", lambda: m.restore(GPU, "one"))
    job = m.done(m.restore("", "one", uuid="new", label="copy"))
    other = job["Result"]["uuid"]
    equal((m.content(other), m.bus.vgpus()[other]["label"], job["Operation"]), (content, "copy", "restore-state"), "copy")
    m.done(m.save(uuid, "one", replace=True, precopy=False))
    m.bus.manager("DestroyVGpu", uuid, {})
    m.done(m.restore(GPU, "one"))
    equal(m.content(uuid) != content, True, "the other one is back")
    equal(m.bus.vgpus()[uuid]["label"], "web", "label")
    m.delete("one")
    m.refused(ERROR + "NoSuchState", lambda: m.delete("one"))
    m.refused(ERROR + "NoSuchState", lambda: m.restore(GPU, "one"))
    equal(m.saved(), {}, "saved")
    m.end()


@test
def streams(stack):
    """through a file, a pipe and a socket, whose descriptions stay as they are, and of which nothing behind the end is read"""
    m = Saver(stack).begin()
    uuid = m.create()
    content = m.content(uuid)
    with open(os.path.join(m.dir, "image"), "w+b") as f:
        f.write(b"before")
        f.flush()
        m.done(m.export(uuid, f.fileno()))
        f.seek(0, os.SEEK_END)
        f.write(b"behind")
        f.flush()
        f.seek(6)
        other = m.done(m.import_from(GPU, f.fileno(), uuid="new"))["Result"]["uuid"]
        equal(m.content(other), content, "through a file")
        equal(os.read(f.fileno(), 100), b"behind", "what is behind it")
    for make in (os.pipe, lambda: [s.detach() for s in socket.socketpair()][::-1]):
        source, target = make()
        flags = [fcntl.fcntl(fd, fcntl.F_GETFL) for fd in (source, target)]
        save = m.export(uuid, target)
        os.set_blocking(source, True)
        job = m.done(m.import_from("", source, uuid="new"))
        m.done(save)
        equal([fcntl.fcntl(fd, fcntl.F_GETFL) for fd in (source, target)], flags, "the flags of the caller's descriptions")
        equal(m.content(job["Result"]["uuid"]), content, "through a pipe or socket")
        equal("name" in job["Result"], False, "a name")
        os.close(target)
        equal(os.read(source, 10), b"", "what is left")
        os.close(source)
    m.end()


def data_in(image):
    """Bytes of the data of all frames that an image's beginning has whole."""
    at, n = 24 + struct.unpack_from("<I", image, 12)[0], 0
    while len(image) >= at + 24:
        size = struct.unpack_from("<I", image, at + 4)[0]
        at += 24 + size
        n += size if len(image) >= at else 0
    return n


@test
def stalled(stack):
    """whoever reads stops: all that he has is told, however soon it came after what was told before, and that it stands"""
    m = Saver(stack, size=8 * MIB).begin()
    uuid = m.create()
    with pipe() as (source, target):
        path = m.export(uuid, target)
        image = b""
        while len(image) < 4 * MIB + MIB // 2:
            image += os.read(source, MIB)
        until(lambda: m.job(path)["Result"]["bytes"] >= data_in(image) >= 3 * MIB, "all is told")
        until(lambda: m.job(path)["Rate"] < 1 << 40, "a rate")
        rate = m.job(path)["Rate"]
        until(lambda: m.job(path)["Rate"] < rate, "it is less, as nothing moves")
        m.cancel(path)
        equal(m.wait(path)["State"], "cancelled", "its end")
    m.end()


@test
def wrong_descriptors(stack):
    """descriptors of every wrong kind: each an error with a sentence, and the vGPU is as it was"""
    m = Saver(stack).begin()
    uuid = m.create()
    content = m.content(uuid)
    with pipe() as closed, pipe() as writer:
        os.close(closed[0])
        epoll = select.epoll()
        wrong = {
            "directory": os.open("/", os.O_RDONLY),
            "epoll": epoll.fileno(),
            "path": os.open(m.log, os.O_PATH),
            "read-only": os.open(m.log, os.O_RDONLY),
            "full": os.open("/dev/full", os.O_WRONLY),
            "closed": closed[1],
            "reading end": writer[0],
            "listening": socket.socket(socket.AF_UNIX).detach(),
        }
        for kind, fd in wrong.items():
            said = m.fails_somehow(lambda fd=fd: m.export(uuid, fd))
            if kind in ("directory", "epoll", "path", "read-only", "reading end"):
                equal(said[:2], ("call", INVALID), kind)
            if kind == "full" and (said[1] != FAILED or "No space left" not in said[2] and "full" not in said[2]):
                raise AssertionError(said)
            if kind == "closed" and "is gone" not in said[2]:
                raise AssertionError(said)
            until(lambda: m.state(uuid) == "active", kind)
        wrong |= {"write-only": os.open(m.log, os.O_WRONLY), "zeros": os.open("/dev/zero", os.O_RDONLY),
                  "nothing": os.open("/dev/null", os.O_RDONLY), "writing end": writer[1]}
        del wrong["reading end"], wrong["closed"]
        for kind, fd in wrong.items():
            said = m.fails_somehow(lambda fd=fd: m.import_from(GPU, fd, uuid="new"))
            if kind in ("directory", "epoll", "path", "write-only", "full", "writing end"):
                equal(said[:2], ("call", INVALID), kind)
            elif kind in ("zeros", "nothing", "read-only"): # as may be long in coming
                equal(said[:2], ("failed", ERROR + "StateInvalid"), kind)
    equal((m.content(uuid), list(m.bus.vgpus())), (content, [uuid]), "what is there")
    m.end()


@test
def two_machines(stack):
    """from one machine to another through a socket, each with a daemon and a bus of its own"""
    a, b = (Saver(stack, size=4 * MIB).begin() for _ in range(2))
    uuid = a.create(label="moves")
    content = a.content(uuid)
    ends = socket.socketpair()
    there = b.import_from("", ends[1].fileno())
    equal(b.job(there)["Objects"], [], "objects of what has not come yet")
    here = a.export(uuid, ends[0].fileno(), after="destroy")
    for end in ends:
        end.close()
    b.done(there)
    a.done(here)
    equal((b.content(uuid), b.bus.vgpus()[uuid]["label"], a.bus.vgpus()), (content, "moves", {}), "what is where")
    a.end()
    b.end()


@test
def other_work(stack):
    """while a state is copied all else goes on, but nothing touches that vGPU; progress is told at most 4 times a second"""
    m = Saver(stack, size=8 * MIB, rate=4 * MIB).begin()
    uuid = m.create()
    listener = m.connect_raw()
    listener.call("/org/freedesktop/DBus", "org.freedesktop.DBus", "AddMatch", "s",
                  [f"type='signal',sender='{NAME}',path_namespace='{ROOT_PATH}/job'"], destination="org.freedesktop.DBus")
    begin = time.monotonic()
    path = m.save(uuid, "slow")
    m.phase(path, "pre-copy")
    equal((m.state(uuid), m.bus.get(m.bus.vgpus()[uuid]["path"], NAME + ".VGpu", "MigrationState")),
          ("saving", "saving"), "states")
    for member, signature, values in (("DestroyVGpu", "sa{sv}", [uuid, {}]), ("SaveState", "ssa{sv}", [uuid, "x", {}]),
                                      ("ModifyVGpu", "sa{sv}", [uuid, {"label": ("s", "x")}]),
                                      ("HoldForStart", "asa{sv}", [[uuid], {}])):
        m.refused(ERROR + "Busy", lambda c=(member, signature, values): m.manager(*c) and None)
    m.fails(ERROR + "AlreadyExists", lambda: m.import_from(GPU, os.open("/dev/null", os.O_RDONLY), uuid=uuid))
    other = m.create()
    m.bus.manager("DestroyVGpu", other, {})
    equal(m.job(path)["State"], "running", "after other work the job")
    if m.job(path)["StartTime"] / 1e6 > time.time():
        raise AssertionError("it starts in the future")
    job = m.done(path)
    seconds = time.monotonic() - begin
    if not (1 < seconds and job["Rate"] > 0 and job["Result"]["downtime"] < seconds * 1e6):
        raise AssertionError(f"{seconds} s: {job}")
    until(lambda: listener_finished(listener, path, seconds), "Finished")
    m.rate(0)
    m.done(m.restore(GPU, "slow", uuid="new"))
    m.end("slow")


def listener_finished(listener, path, seconds):
    told, bytes_seen, ended = 0, [], None
    while not ended:
        message = listener.receive()
        if message.path != path:
            continue
        if message.member == "PropertiesChanged":
            changed = plain(message.values()[1])
            told += "Bytes" in changed
            bytes_seen += [changed["Bytes"]] if "Bytes" in changed else []
        elif message.member == "Finished":
            ended = message.values()
    equal((ended[0], ended[2], ended[3]), ("done", "", ""), "Finished")
    equal(bytes_seen, sorted(bytes_seen), "progress")
    if not 2 < told <= 4 * seconds + 3:
        raise AssertionError(f"told {told} times in {seconds} s")
    return True


@test
def cancelled(stack):
    """Cancel while it runs, while it stands, while it waits for its reader, its giver, and while it is restored"""
    m = Saver(stack, size=8 * MIB, rate=2 * MIB).begin()
    uuid = m.create()
    content = m.content(uuid)

    def cancel(path, phase, least=1):
        m.phase(path, phase, least)
        m.cancel(path)
        job = m.wait(path)
        equal((job["State"], job["Error"], job["Cancelable"]), ("cancelled", ERROR + "Cancelled", False), phase)
        m.rests(states)
        return job

    states = ()
    cancel(m.save(uuid, "x"), "pre-copy")
    job = cancel(m.save(uuid, "x", precopy=False), "stop-copy")
    if job["Result"]["downtime"] <= 0:
        raise AssertionError(job)
    m.rate(0)
    with pipe() as (source, target):
        cancel(m.export(uuid, target), "pre-copy", least=0)
        cancel(m.import_from(GPU, source, uuid="new"), "resuming", least=0)
    with pipe() as (source, target):
        path = m.import_from(GPU, source, uuid="new")
        m.cancel(path)
        equal(m.wait(path)["State"], "cancelled", "without a byte")
    m.done(m.save(uuid, "x", after="destroy"))
    states = ("x",)
    m.rate(2 * MIB)
    cancel(m.restore(GPU, "x"), "resuming")
    equal(m.bus.vgpus(), {}, "half a vGPU")
    m.rate(0)
    m.done(m.restore(GPU, "x"))
    equal(m.content(uuid), content, "what it holds")
    m.end("x")


@test
def callers(stack):
    """who asked leaves before it has begun: nothing does; who leaves afterwards is not missed"""
    m = Saver(stack, size=4 * MIB, rate=4 * MIB).begin()
    uuid = m.create()
    content = m.content(uuid)
    for i in range(20):
        raw = m.connect_raw()
        raw.send(ROOT_PATH, NAME + ".Manager", "SaveState", "ssa{sv}", [uuid, f"gone-{i}", {}])
        if i % 2:
            time.sleep(0.001 * i)
        raw.close()
        until(lambda: m.state(uuid) == "active", "the end")
    until(lambda: all(j["state"] != "running" for j in jobs(m)), "all jobs' end")
    for name in m.saved():
        m.delete(name)
    raw = m.connect_raw()
    path = m.save(uuid, "stays", raw=raw)
    raw.close()
    m.done(path)
    m.bus.manager("DestroyVGpu", uuid, {})
    for i in range(6):
        raw = m.connect_raw()
        raw.send(ROOT_PATH, NAME + ".Manager", "RestoreState", "ssa{sv}", [GPU, "stays", {}])
        time.sleep(0.002 * i)
        raw.close()
        until(lambda: all(j["state"] != "running" for j in jobs(m)) and not m.transfers(), "all jobs' end")
        until(lambda: m.state(uuid) in (None, "active"), "the end")
        if m.state(uuid):
            m.bus.manager("DestroyVGpu", uuid, {})
    raw = m.connect_raw()
    path = m.restore(GPU, "stays", raw=raw)
    raw.close()
    m.done(path)
    equal(m.content(uuid), content, "what it holds")
    m.end("stays")


def jobs(machine):
    return [{"id": row[0], "operation": row[1], "state": row[2], "path": row[3]} for row in machine.manager("ListJobs")[0]]


@test
def too_many(stack):
    """17 at once: the last is refused with LimitExceeded; what was refused leaves nothing, and the others come to their end"""
    m = Saver(stack, size=MIB).begin()
    uuids = [m.create(seed=i) for i in range(17)]
    with contextlib.ExitStack() as pipes:
        ends = [pipes.enter_context(pipe()) for _ in uuids]
        paths = [m.export(uuid, end[1]) for uuid, end in zip(uuids[:16], ends)]
        m.refused(ERROR + "LimitExceeded", lambda: m.export(uuids[16], ends[16][1]))
        m.refused(ERROR + "LimitExceeded", lambda: m.import_from(GPU, ends[16][0]))
        equal(m.state(uuids[16]), "active", "that one")
        readers = [drain(end[0]) for end in ends[:16]]
        for path, end in zip(paths, ends):
            m.done(path)
            os.close(end[1])
        for thread, found in readers:
            thread.join()
            if len(found) < MIB:
                raise AssertionError(f"{len(found)} bytes")
    m.done(m.save(uuids[16], "x"))
    m.end("x")


@test
def refusals(stack):
    """what cannot be is refused before anything begins, with its reason"""
    m = Saver(stack, gpus=(GPU, SECOND_GPU), size=MIB).begin()
    uuid, other = m.create(), m.create(kind=NOT_KEPT)
    nobody = "c0ffee00-0000-4000-8000-0000000000ff"
    m.manager("DefineVGpu", "sssa{sv}", [GPU, KEPT, nobody, {}])
    with pipe() as (source, target):
        for begin in (lambda u, **o: m.save(u, "x", **o), lambda u, **o: m.export(u, target, **o)):
            m.refused(ERROR + "NotSupported", lambda b=begin: b(other), NOT_KEPT)
            m.refused(ERROR + "NoSuchVGpu", lambda b=begin: b(nobody))
            m.refused(ERROR + "NoSuchVGpu", lambda b=begin: b(nobody[:-1] + "e"))
            m.refused(INVALID, lambda b=begin: b("x"))
            m.refused(INVALID, lambda b=begin: b(uuid, after="explode"))
            m.refused(INVALID, lambda b=begin: b(uuid, nonsense=True))
        m.refused(INVALID, lambda: m.export(uuid, target, replace=True))
    for name in ("", ".", "..", "../x", ".x", "a/b", "x" * 65, "é", "a b", "x\n"):
        m.refused(INVALID, lambda n=name: m.save(uuid, n))
        m.refused(INVALID, lambda n=name: m.restore(GPU, n))
        m.refused(INVALID, lambda n=name: m.delete(n))
    name = "x" * 64
    m.done(m.save(uuid, name))
    m.delete(name)
    with contextlib.ExitStack() as held:
        hold(held, m, uuid)
        m.refused(ERROR + "InUse", lambda: m.save(uuid, "x"), str(os.getpid()))
    m.done(m.save(uuid, "x"))
    m.refused(ERROR + "NoSuchState", lambda: m.restore(GPU, "y"))
    m.refused(ERROR + "NoSuchGpu", lambda: m.restore("0000:77:00.0", "x"))
    m.refused(INVALID, lambda: m.restore(GPU, "x", uuid="x"))
    m.refused(INVALID, lambda: m.restore(GPU, "x", label="a\nb"))
    m.refused(ERROR + "NoSuchType", lambda: m.restore(GPU, "x", uuid="new", type="mdevgpu_ref-9"))
    m.refused(ERROR + "NotSupported", lambda: m.restore(GPU, "x", uuid="new", type=NOT_KEPT))
    m.refused(ERROR + "AlreadyExists", lambda: m.restore(GPU, "x"))
    m.refused(ERROR + "AlreadyExists", lambda: m.restore(SECOND_GPU, "x", uuid=nobody))
    m.manager("HoldForStart", "asa{sv}", [[uuid], {}])
    m.refused(ERROR + "Busy", lambda: m.save(uuid, "z"))
    waits = "c0ffee00-0000-4000-8000-0000000000fe"
    m.manager("PrepareIncoming", "sssa{sv}", [GPU, KEPT, waits, {}])
    m.refused(INVALID, lambda: m.restore(GPU, "x", uuid=waits, label="y"), "keeps its label")
    m.manager("HoldForStart", "asa{sv}", [[waits], {}])
    m.refused(ERROR + "Busy", lambda: m.restore(GPU, "x", uuid=waits), "being started")
    m.manager("ReleaseIncoming", "sa{sv}", [waits, {}])
    m.bus.manager("DestroyVGpu", other, {})
    equal(sorted(m.bus.vgpus()), sorted([uuid, nobody]), "what is there")
    equal(entries(m.store()), ["x.state"], "the store")


@test
def afterwards(stack):
    """after: a device that stays stopped where its driver keeps that, or is said not to; a vGPU that is destroyed"""
    m = Saver(stack, size=MIB)
    m.act("plug-mtty", "mtty")
    m.begin()
    mtty = m.create(gpu="mtty", kind="mtty-1")
    job = m.done(m.save(mtty, "stopped", after="stop"))
    equal((m.device_state(mtty), job["Result"]["changed"], m.state(mtty)), (1, True, "active"), "it stands")
    m.done(m.save(mtty, "runs"))
    equal(m.device_state(mtty), 2, "it runs")
    uuid = m.create()
    m.fails(ERROR + "NotSupported", lambda: m.save(uuid, "saved", after="stop"), "saved")
    equal("saved" in m.saved(), True, "saved all the same")
    m.rests(("stopped", "runs", "saved"))

    m.manager("DefineVGpu", "sssa{sv}", ["", "", uuid, {}])
    job = m.done(m.save(uuid, "saved", after="destroy", replace=True))
    equal((m.state(uuid), job["Result"]["changed"]), ("defined", True), "destroyed")
    m.act("mdev-create", GPU, KEPT, "c0ffee00-0000-4000-8000-000000000001")
    until(lambda: m.state("c0ffee00-0000-4000-8000-000000000001"), "another's vGPU")
    foreign = "c0ffee00-0000-4000-8000-000000000001"
    m.refused(ERROR + "NotManaged", lambda: m.save(foreign, "foreign", after="destroy"))
    m.done(m.save(foreign, "foreign", after="destroy", unmanaged=True))
    equal(m.state(foreign), None, "another's")
    m.end("stopped", "runs", "saved", "foreign")


@test
def another_s(stack):
    """of another's vGPU that is saved the label stays, also over a restart"""
    m = Saver(stack, size=MIB).begin()
    m.bus.manager("DestroyVGpu", m.create(), {}) # so that the types are there
    uuid = "c0ffee00-0000-4000-8000-000000000001"
    m.act("mdev-create", GPU, KEPT, uuid)
    until(lambda: m.state(uuid), "another's vGPU")
    m.manager("ModifyVGpu", "sa{sv}", [uuid, {"label": ("s", "mine"), "unmanaged": ("b", 1)}])
    before = entries(m.path("state"))
    m.done(m.save(uuid, "x"))
    equal(entries(m.path("state")), before, "records")
    m.stop()
    m.again()
    until(lambda: m.state(uuid), "it")
    equal(m.bus.vgpus()[uuid]["label"], "mine", "label")
    m.end("x")


@test
def into(stack):
    """into a vGPU that waits for it, and into one that is defined; each with the wrong type, and none of what fails stays"""
    m = Saver(stack, gpus=(GPU, SECOND_GPU), size=MIB).begin()
    uuid = m.create()
    content = m.content(uuid)
    m.done(m.save(uuid, "x", after="destroy"))
    m.manager("PrepareIncoming", "sssa{sv}", [GPU, KEPT, uuid, {}])
    equal(m.state(uuid), "incoming", "it waits")
    m.refused(ERROR + "Busy", lambda: m.save(uuid, "y"))
    m.refused(ERROR + "AlreadyExists", lambda: m.restore(SECOND_GPU, "x"))
    m.done(m.restore(GPU, "x"))
    equal((m.content(uuid), m.state(uuid)), (content, "active"), "into one that waited")
    m.bus.manager("DestroyVGpu", uuid, {})
    m.manager("DefineVGpu", "sssa{sv}", [GPU, KEPT, uuid, {}])
    m.done(m.restore("", "x"))
    equal((m.content(uuid), m.state(uuid)), (content, "active"), "into one that was defined")
    m.bus.manager("DestroyVGpu", uuid, {})
    damage(m.store("x.state"), -100)
    m.fails(ERROR + "StateInvalid", lambda: m.restore("", "x"))
    until(lambda: m.state(uuid) == "defined", "it is defined again")
    m.end("x")


@test
def permission(stack):
    """nobody may; a user whom polkit lets is held to the rules and limits of his"""
    m = Saver(stack, size=MIB)
    authority = m.connect_raw()
    m.values(authority.call("/org/freedesktop/DBus", "org.freedesktop.DBus", "RequestName", "su",
                            ["org.freedesktop.PolicyKit1", 0], destination="org.freedesktop.DBus"))
    asked = []

    def answer():
        with contextlib.suppress(OSError, ConnectionError):
            while True:
                message = authority.receive()
                if message.kind == rawbus.CALL and message.member == "CheckAuthorization":
                    subject, action, details = message.values()[:3]
                    asked.append((action, details))
                    authority.reply(message, "(bba{ss})", [(allowed[0], 0, {})])
                elif message.kind == rawbus.CALL:
                    authority.reply(message)
    allowed = [0]
    threading.Thread(target=answer, daemon=True).start()
    m.begin(with_polkit=True)
    uuid = m.create()
    user = m.connect_raw(NOBODY)
    with pipe() as (source, target):
        for begin in (lambda: m.save(uuid, "x", raw=user), lambda: m.export(uuid, target, raw=user),
                      lambda: m.import_from(GPU, source, raw=user), lambda: m.restore(GPU, "x", raw=user)):
            m.refused(DENIED, begin)
        try:
            m.manager("DeleteSavedState", "sa{sv}", ["x", {}], raw=user)
            raise AssertionError("deleted")
        except BusError as e:
            equal(e.name, DENIED, "deleting")
    equal({a for a, _ in asked}, {NAME + ".migrate-state"}, "what polkit was asked")
    equal(plain_details(asked[0]), {"gpu": GPU, "type": KEPT, "uuid": uuid}, "details")
    equal((entries(m.store()), m.state(uuid)), ([], "active"), "what was done")
    allowed[0] = 1
    path = m.save(uuid, "x", raw=user)
    equal(m.done(path)["StartedByUID"], NOBODY, "whose it is")
    with open(m.path("etc/mdevgpud/mdevgpud.yaml"), "w", encoding="utf-8") as f:
        f.write("version: 1\nlimits:\n  - {user: 65534, vgpus: 1}\n")
    m.manager("Reload", "a{sv}", [{}])
    m.done(m.restore(GPU, "x", raw=user, uuid="new"))
    m.fails(ERROR + "LimitExceeded", lambda: m.restore(GPU, "x", raw=user, uuid="new"))
    equal(len(m.bus.vgpus()), 2, "vGPUs")
    m.end("x")


def plain_details(asked):
    return {k: v for k, v in asked[1].items() if k in ("gpu", "type", "uuid")}


main()
