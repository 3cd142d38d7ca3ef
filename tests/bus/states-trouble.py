#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""States of vGPUs when something goes wrong: images that are damaged, a full store, and workers, daemons and GPUs that are lost.

states-trouble.py MDEVGPUD-SIM [TEST…]
"""

import contextlib
import os
import signal
import threading
import time

from cases import equal, test
from machine import ERROR, GPU, SECOND_GPU, entries, read, until
from saver import FAILED, KEPT, MIB, Saver, hold, main, pipe


@test
def damaged(stack):
    """images that are cut off, altered anywhere, or followed by something: refused, and nothing of them stays"""
    m = Saver(stack, size=256 * 1024).begin()
    uuid = m.create()
    m.done(m.save(uuid, "good", after="destroy"))
    with open(m.store("good.state"), "rb") as f:
        good = f.read()
    # All of the header, then here and there, and the end.
    places = sorted(set(range(0, 64, 4)) | {len(good) * i // 12 for i in range(12)} |
                    {len(good) - i for i in (1, 5, 9, 17, 30)} | {100, 300, 700})
    images = {f"altered-{at}": good[:at] + bytes([good[at] ^ 0x11]) + good[at + 1:] for at in places}
    images |= {f"cut-{at}": good[:at] for at in (0, 1, 15, 16, 200, len(good) // 2, len(good) - 1)}
    images |= {"longer": good + b"x", "twice": good + good}
    for name, image in images.items():
        with open(m.store(f"{name}.state"), "wb") as f:
            f.write(image)
        found = m.fails_somehow(lambda n=name: m.restore(GPU, n))
        # A header that tells of another version or type is as wrong, in another way.
        if found[1] not in (ERROR + "StateInvalid", ERROR + "StateIncompatible", ERROR + "NoSuchType"):
            raise AssertionError(f"{name}: {found}")
        until(lambda: m.bus.vgpus() == {} and not m.devices(), f"{name}: nothing stays")
    rows = m.saved()
    equal(set(rows), set(images) | {"good"}, "what is listed")
    if rows["cut-15"][:2] != ("", "") or not rows["cut-15"][4]["error"]:
        raise AssertionError(rows["cut-15"])
    for name in images:
        m.delete(name)
    os.mkfifo(m.store("pipe.state"))
    os.symlink("/etc/passwd", m.store("link.state"))
    os.mkdir(m.store("folder.state"))
    for name in ("pipe", "link", "folder"):
        m.fails_somehow(lambda n=name: m.restore(GPU, n))
        if not m.saved()[name][4]["error"]:
            raise AssertionError(name)
    os.rmdir(m.store("folder.state"))
    m.delete("pipe")
    m.delete("link")
    # Through a pipe what follows is nobody's business.
    with pipe() as (source, target):
        thread = threading.Thread(target=os.write, args=(target, images["longer"]))
        thread.start()
        m.done(m.import_from(GPU, source))
        thread.join()
        equal(os.read(source, 10), b"x", "what follows")
    m.end("good")


@test
def quota(stack):
    """saved states take no more than they may, and what failed by that leaves nothing"""
    m = Saver(stack, size=MIB)
    with open(m.path("etc/mdevgpud/mdevgpud.yaml"), "w", encoding="utf-8") as f:
        f.write("version: 1\nsaved-states-max: 3MiB\n")
    m.begin()
    uuid = m.create()
    m.done(m.save(uuid, "a"))
    m.done(m.save(uuid, "b"))
    m.fails(ERROR + "LimitExceeded", lambda: m.save(uuid, "c"))
    m.rests(("a", "b"))
    m.done(m.save(uuid, "b", replace=True))
    m.delete("a")
    m.done(m.save(uuid, "c"))
    m.end("b", "c")


@test
def lost_worker(stack):
    """a worker that is killed in the middle: what was saved runs, of what was restored nothing stays"""
    m = Saver(stack, size=8 * MIB, rate=2 * MIB)
    m.act("plug-mtty", "mtty")
    m.begin()
    for gpu, kind in (GPU, KEPT), ("mtty", "mtty-1"):
        m.rate(2 * MIB)
        uuid = m.create(gpu=gpu, kind=kind)
        content = m.content(uuid)
        for precopy, phase in (True, "pre-copy"), (False, "stop-copy"):
            path = m.save(uuid, "x", precopy=precopy)
            m.phase(path, phase)
            os.kill(m.worker(), signal.SIGKILL)
            job = m.wait(path)
            equal((job["State"], job["Error"]), ("failed", FAILED), phase)
            equal(entries(m.store()), [], "what the worker had begun to write")
            equal((m.content(uuid), m.state(uuid), m.device_state(uuid)), (content, "active", 2), "it")
        m.rate(0)
        m.done(m.save(uuid, "x", after="destroy"))
        m.rate(2 * MIB)
        path = m.restore(gpu, "x")
        m.phase(path, "resuming")
        os.kill(m.worker(), signal.SIGKILL)
        equal(m.wait(path)["State"], "failed", "restoring")
        equal((m.bus.vgpus(), m.devices()), ({}, []), "half a vGPU")
        with pipe() as (source, _):
            path = m.import_from(gpu, source)
            os.kill(m.worker(), signal.SIGKILL)
            equal(m.wait(path)["State"], "failed", "importing")
        m.delete("x")
    # What the one that was killed had begun to write goes with the next that is saved, or the next daemon.
    m.stop()
    m.again()
    m.end()


@test
def lost_daemon(stack):
    """the daemon is killed in the middle, alone or with its workers: its successor puts back, removes, and cleans up"""
    m = Saver(stack, size=8 * MIB)
    m.act("plug-mtty", "mtty")
    m.begin()
    uuids = {}
    for gpu, kind in (GPU, KEPT), ("mtty", "mtty-1"):
        uuids[gpu] = m.create(gpu=gpu, kind=kind)
        m.done(m.save(uuids[gpu], gpu.replace(":", "_")))
    for together in False, True:
        for gpu, uuid in uuids.items():
            content = m.content(uuid)
            m.rate(2 * MIB)
            m.phase(m.save(uuid, "x", precopy=together), "pre-copy" if together else "stop-copy")
            m.kill_all() if together else m.kill_daemon()
            m.again()
            until(lambda: m.state(uuid) == "active", "it is put back")
            equal(m.content(uuid), content, "what it holds")
            until(lambda: m.device_state(uuid) == 2 and not m.transfers(), "it runs")
            until(lambda: ".new" not in " ".join(entries(m.store())), "the store is clean")
            m.phase(m.restore(gpu, gpu.replace(":", "_"), uuid="new"), "resuming")
            m.kill_all() if together else m.kill_daemon()
            m.again()
            until(lambda: set(m.devices()) == set(uuids.values()) == set(m.bus.vgpus()), "half a vGPU is removed")
    m.rate(0)
    m.end(*(gpu.replace(":", "_") for gpu in uuids))


@test
def half_in_use(stack):
    """half of a vGPU, which a daemon that was killed left, never counts as a whole one, whoever opens it: it goes in the end"""
    m = Saver(stack, size=8 * MIB).begin()
    uuid = m.create()
    m.done(m.save(uuid, "x", after="destroy"))
    m.manager("PrepareIncoming", "sssa{sv}", [GPU, KEPT, uuid, {}])
    m.rate(2 * MIB)
    m.phase(m.restore(GPU, "x"), "resuming")
    m.kill_all()
    with contextlib.ExitStack() as held:
        hold(held, m, uuid)
        m.again()
        until(lambda: m.state(uuid), "it")
        end = time.monotonic() + 2
        while time.monotonic() < end:
            equal(m.state(uuid) in ("incoming", "removing"), True, "half of it is not")
            time.sleep(0.05)
    until(lambda: m.state(uuid) is None, "its end")
    m.end("x")


@test
def lost_gpu(stack):
    """the GPU is unplugged in the middle: the job fails and says so, and nothing stays; the GPU comes again"""
    m = Saver(stack, gpus=(GPU, SECOND_GPU), size=8 * MIB).begin()
    uuid = m.create(gpu=SECOND_GPU)
    m.done(m.save(uuid, "x", after="destroy"))
    for restores in False, True:
        m.rate(0)
        uuid = m.create()
        m.rate(2 * MIB)
        path = m.restore(GPU, "x", uuid="new") if restores else m.save(uuid, "y")
        m.phase(path, "resuming" if restores else "pre-copy")
        m.act("unplug", GPU)
        job = m.wait(path)
        equal(job["State"], "failed", "state")
        if job["Error"] not in (ERROR + "NoSuchGpu", ERROR + "NoSuchVGpu", ERROR + "DriverRejected"):
            raise AssertionError(f"{job['Error']}: {job['ErrorMessage']}")
        until(lambda: m.bus.vgpus() == {} and not m.transfers(), "all is gone")
        m.act("plug", GPU)
        until(lambda: m.gpus().get(GPU) == "ready", "the GPU")
    m.rate(0)
    m.done(m.restore(GPU, "x"))
    m.end("x")


@test
def leaves(stack):
    """a daemon that is asked to leave in the middle does, and its successor finds all in order"""
    m = Saver(stack, size=8 * MIB, rate=2 * MIB).begin()
    uuid = m.create()
    content = m.content(uuid)
    with pipe() as (source, target):
        m.phase(m.save(uuid, "x"), "pre-copy")
        m.import_from(GPU, source, uuid="new")
        equal(m.stop(), 0, "status")
    m.again()
    until(lambda: m.state(uuid) == "active" and not m.transfers(), "it is put back")
    until(lambda: not entries(m.store()), "the store is clean")
    equal(m.content(uuid), content, "what it holds")
    m.end()


main()
