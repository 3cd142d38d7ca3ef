#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Clients that misbehave: who never reads, who comes and goes, who asks for everything all the time, who sends what
nobody expects. The others are served meanwhile, and nothing grows without bound.

abuse.py MDEVGPUD-SIM [--all | TEST…]; what takes long is done only if it is asked for
"""

import collections
import contextlib
import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

from cases import TESTS, run, test
from guesser import CHANGING, SAVED, TOPOLOGY, UUID, Guesser, methods
from machine import GPU, TYPE, Machine, entries, read, until
from rawbus import CALL, ERROR, RETURN, Connection

SIM, ONLY = sys.argv[1], sys.argv[2:]
NOBODY = 65534
# What a program built with sanitizers needs says nothing.
SANITIZED = b"__asan_init" in open(SIM, "rb").read()
LONG = []


def long_test(function):
    LONG.append(function)
    return function


def connect(machine, uid=None):
    return Connection(f"{machine.dir}/bus", uid)


def memory(pid):
    """Megabytes that are resident; of one that has just ended, none."""
    found = re.search(r"^VmRSS:\s+(\d+)", read(f"/proc/{pid}/status"), re.MULTILINE)
    return int(found.group(1)) // 1024 if found else 0


def check_memory(pid, limit=64):
    if not SANITIZED and memory(pid) >= limit:
        raise AssertionError(f"the daemon has {memory(pid)} MB")


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def ok(message):
    if message.kind != RETURN:
        raise AssertionError(f"{message.error}: {message.values()}")
    return message.values()


def start(stack, without_polkit=True, **keywords):
    machine = Machine(stack, SIM, **keywords)
    os.chmod(machine.dir, 0o755)
    machine.start()
    return machine


def many_vgpus(machine, n):
    """Definitions, of which there may be any number."""
    folder = machine.path(f"etc/mdevctl.d/{GPU}")
    os.makedirs(folder, exist_ok=True)
    for i in range(n):
        with open(f"{folder}/c0ffee00-0000-4000-8000-{i:012x}", "w", encoding="utf-8") as f:
            f.write('{"mdev_type": "%s", "start": "manual"}' % TYPE)


@test
def never_reads(stack):
    """who asks for everything and never reads an answer: the daemon does not grow though the bus takes nothing more from it,
    and once that one leaves all others are answered"""
    # The bus lets one connection have so much on its way that a test gets there in seconds; it is 127 MiB.
    machine = Machine(stack, SIM, limits={"max_incoming_bytes": 8 << 20})
    many_vgpus(machine, 1000)
    machine.start()
    deaf, other = connect(machine), connect(machine)
    ok(other.manager("ListGpus", "a{sv}", [{}]))
    for _ in range(300):
        deaf.send("/org/mdevgpu1", "org.freedesktop.DBus.ObjectManager", "GetManagedObjects")
    waiting = [other.send("/org/mdevgpu1", "org.mdevgpu1.Manager", "ListGpus", "a{sv}", [{}]) for _ in range(20)]
    other.socket.settimeout(2)
    with contextlib.suppress(TimeoutError):
        other.answer(waiting[0])
        raise AssertionError("the bus has taken everything")
    for _ in range(30):
        check_memory(machine.daemon.pid)
        time.sleep(0.1)
    other.socket.settimeout(60)
    deaf.close()
    for serial in waiting:
        ok(other.answer(serial))
    machine.check_log()


def bus_stats(client, name):
    return ok(client.call("/org/freedesktop/DBus", "org.freedesktop.DBus.Debug.Stats", "GetConnectionStats", "s", [name],
                          destination="org.freedesktop.DBus"))[0]


def served(client):
    """How long that took; a bus that takes nothing more answers nobody."""
    begin = time.monotonic()
    ok(client.manager("ListGpus", "a{sv}", [{}]))
    return time.monotonic() - begin


@test
def answers_unread(stack):
    """who asks for everything and never reads, on a bus as it is by default: he is not answered any more before the bus takes
    nothing from us, all others are at once, and when he reads he gets all his answers in order"""
    machine = Machine(stack, SIM)
    many_vgpus(machine, 1000)
    machine.start()
    deaf, other = [connect(machine) for _ in range(4)], connect(machine)
    serials = [[client.send("/org/mdevgpu1", "org.freedesktop.DBus.ObjectManager", "GetManagedObjects") for _ in range(100)]
               for client in deaf]
    other.socket.settimeout(10)
    end, times = time.monotonic() + 5, []
    while time.monotonic() < end:
        times.append(served(other))
        check_memory(machine.daemon.pid)
        for client in deaf[1:]:
            client.send("/org/mdevgpu1", "org.freedesktop.DBus.ObjectManager", "GetManagedObjects")
        time.sleep(0.05)
    owner = ok(other.call("/org/freedesktop/DBus", "org.freedesktop.DBus", "GetNameOwner", "s", ["org.mdevgpu1"],
                          destination="org.freedesktop.DBus"))[0]
    if not 16 << 20 < (unread := bus_stats(other, owner)["IncomingBytes"][1]) < 64 << 20:
        raise AssertionError(f"{unread} bytes are unread")
    for serial in serials[0]:
        answer = deaf[0].receive()
        while answer.kind not in (RETURN, ERROR):
            answer = deaf[0].receive()
        if answer.serial != serial or answer.kind != RETURN or len(answer.body) < 400000:
            raise AssertionError("an answer is missing, or came in another order than the calls")
    times.append(served(other))
    print(f"# another one was answered within {max(times):.3f} s, and {sorted(times)[len(times) // 2]:.3f}", flush=True)
    if machine.daemon.poll() is not None:
        raise AssertionError("the daemon has ended")
    machine.check_log()


@test
def signals_unread(stack):
    """who subscribes to everything and never reads, on a bus as it is by default: others are answered at once though more is
    told than the bus has room for, as the daemon begins anew before that, and not again and again"""
    machine = start(stack)
    # What is wrong with the configuration is told each time that it is read: so many errors, with the name of the file in each.
    for i in range(10):
        with open(machine.path("etc/mdevgpud/types.d", f"{i}{'x' * 200}.yaml"), "w", encoding="utf-8") as f:
            f.write('version: 1\nmatch: {address: "0000:*"}\ntypes:\n' + f'  - {{id: 1, wrong: {i}}}\n' * 25)
    deaf, other, left, times, unread = connect(machine), connect(machine), 0, [], [0]
    ok(deaf.call("/org/freedesktop/DBus", "org.freedesktop.DBus", "AddMatch", "s", ["type='signal',sender='org.mdevgpu1'"],
                 destination="org.freedesktop.DBus"))
    other.socket.settimeout(10)
    # In the end the bus has no room for that one, and drops what is for him.
    while len(unread) < 20 or unread[-1] > unread[-20]:
        begin = time.monotonic()
        answer = other.manager("Reload", "a{sv}", [{}])
        if answer.error.endswith("NoReply") or answer.error.endswith("ServiceUnknown"):
            # As its unit has it.
            machine.daemon.wait(10)
            until(lambda: not machine.bus.has_owner(), "the end of its name")
            machine.start()
            left += 1
            continue
        times.append(time.monotonic() - begin)
        check_memory(machine.daemon.pid)
        unread.append(bus_stats(other, deaf.name)["OutgoingBytes"][1])
    print(f"# another one was answered within {max(times):.3f} s; {unread[-1]} bytes are unread", flush=True)
    if left != 1 or unread[-1] < 120 << 20:
        raise AssertionError(f"it left {left} times, and {unread[-1]} bytes are unread")
    if "leaving, to start anew" not in read(machine.log):
        raise AssertionError(read(machine.log)[-2000:])
    machine.check_log()


@test
def deaf_bus(stack):
    """a bus that takes nothing more: calls wait, and what waits is bounded; when it goes on, all are answered in order"""
    machine = Machine(stack, SIM)
    many_vgpus(machine, 1000)
    machine.start()
    clients = [connect(machine) for _ in range(8)]
    serials = [[] for _ in clients]
    # Their answers are half a megabyte each; the daemon's socket to the bus, which rests now and then, takes one of them.
    for _ in range(12):
        for client, own in zip(clients, serials):
            own.append(client.send("/org/mdevgpu1", "org.freedesktop.DBus.ObjectManager", "GetManagedObjects"))
        machine.dbus.send_signal(signal.SIGSTOP)
        time.sleep(0.02)
        check_memory(machine.daemon.pid)
        machine.dbus.send_signal(signal.SIGCONT)
    for client, own in zip(clients, serials):
        for serial in own:
            answer = client.receive()
            while answer.kind not in (RETURN, ERROR):
                answer = client.receive()
            if answer.serial != serial:
                raise AssertionError("answers came in another order than the calls")
            if answer.kind != RETURN or len(answer.body) < 400000:
                raise AssertionError("an answer is not whole")
    check_memory(machine.daemon.pid)
    machine.check_log()


@long_test
def subscriber_never_reads(stack):
    """who subscribes to everything and never reads: the daemon does not grow, and when the bus has no room left it begins
    anew rather than wait for ever"""
    # The bus lets one connection have so much on its way that a test gets there in seconds.
    machine = Machine(stack, SIM, limits={"max_incoming_bytes": 400000})
    machine.start()
    deaf = connect(machine)
    ok(deaf.call("/org/freedesktop/DBus", "org.freedesktop.DBus", "AddMatch", "s", ["type='signal',sender='org.mdevgpu1'"],
                 destination="org.freedesktop.DBus"))
    other = connect(machine)
    other.socket.settimeout(5)
    stopped = False
    for i in range(20000):
        uuid = f"c0ffee00-0000-4000-8000-{i % 100:012x}"
        folder = machine.path(f"etc/mdevctl.d/{GPU}")
        os.makedirs(folder, exist_ok=True)
        # What others write and remove is told, too, whether or not somebody can be answered.
        with open(f"{folder}/{uuid}", "w", encoding="utf-8") as f:
            f.write('{"mdev_type": "%s", "start": "manual"}' % TYPE)
        if i % 100 == 99:
            time.sleep(0.02)
            for name in entries(folder):
                os.unlink(f"{folder}/{name}")
            time.sleep(0.02)
            if machine.daemon.poll() is not None:
                stopped = True
                break
            check_memory(machine.daemon.pid)
    if not stopped:
        raise AssertionError("the bus took everything, or the daemon waits for ever")
    if "takes no messages any more" not in read(machine.log):
        raise AssertionError(read(machine.log)[-2000:])
    # As its unit has it.
    deaf.close()
    until(lambda: not machine.bus.has_owner(), "the end of its name")
    machine.start()
    ok(connect(machine).manager("ListGpus", "a{sv}", [{}]))
    machine.check_log()


@test
def come_and_go(stack):
    """ten thousand that come, ask and go, half of them without waiting for an answer: nothing is left of them"""
    machine = start(stack)
    ok(connect(machine).manager("ListGpus", "a{sv}", [{}]))

    def visit(n, first):
        for i in range(n):
            client = connect(machine)
            serial = client.send("/org/mdevgpu1", "org.mdevgpu1.Manager", "DestroyVGpu", "sa{sv}",
                                 [f"c0ffee00-0000-4000-8000-{first + i:012x}", {}])
            if i % 2:
                client.answer(serial)
            client.close()

    def visits(n):
        threads = [threading.Thread(target=visit, args=(n // 4, k * n)) for k in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    visits(2000)
    before, open_before = memory(machine.daemon.pid), descriptors(machine.daemon.pid)
    visits(8000)
    ok(connect(machine).manager("ListGpus", "a{sv}", [{}]))
    if not SANITIZED and memory(machine.daemon.pid) > before + 4:
        raise AssertionError(f"it grew from {before} to {memory(machine.daemon.pid)} MB")
    if descriptors(machine.daemon.pid) > open_before + 4:
        raise AssertionError("descriptors are left open")
    machine.check_log()


@test
def all_the_time(stack):
    """four that do nothing but ask for every object: others make and destroy vGPUs meanwhile"""
    machine = Machine(stack, SIM)
    many_vgpus(machine, 500)
    machine.start()
    end = threading.Event()
    asked = [0] * 4

    def ask(i):
        client = connect(machine)
        while not end.is_set():
            ok(client.call("/org/mdevgpu1", "org.freedesktop.DBus.ObjectManager", "GetManagedObjects"))
            asked[i] += 1

    threads = [threading.Thread(target=ask, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    try:
        client = connect(machine)
        for _ in range(10):
            uuid, _path = ok(client.manager("CreateVGpu", "sssa{sv}", [GPU, TYPE, "", {}]))
            ok(client.manager("DestroyVGpu", "sa{sv}", [uuid, {}]))
        if not any(asked):
            raise AssertionError("none of the four was served meanwhile")
        until(lambda: min(asked) >= 5, "that all four are served", 60)
    finally:
        end.set()
        for thread in threads:
            thread.join()
    check_memory(machine.daemon.pid)
    machine.check_log()


@test
def large_configuration(stack):
    """who has the largest configuration checked all the time does not keep the daemon from anything else"""
    machine = start(stack)
    folder = machine.path("etc/mdevgpud/topologies.d")
    os.makedirs(folder, exist_ok=True)
    topology = "".join('    - {type: Reference half, count: 1, label: "' + "x" * 30 + '"}\n' for _ in range(240))
    for k in range(4):
        with open(f"{folder}/{k}.yaml", "w", encoding="utf-8") as f:
            f.write("version: 1\ntopologies:\n" + "".join(
                f'  t{k}-{i}:\n  - match: {{address: "{GPU}"}}\n    vgpus:\n{topology}' for i in range(50)))
    client, other = connect(machine, NOBODY), connect(machine)
    begin = time.monotonic()
    ok(client.manager("CheckConfig"))
    once = time.monotonic() - begin
    if once < 0.01:
        raise AssertionError(f"the largest configuration takes {once} s")
    begin = time.monotonic()
    serials = [client.send("/org/mdevgpu1", "org.mdevgpu1.Manager", "CheckConfig") for _ in range(100)]
    ok(other.manager("ListGpus", "a{sv}", [{}]))
    for serial in serials:
        answer = client.receive()
        if answer.serial != serial:
            raise AssertionError("answers came in another order than the calls")
        ok(answer)
    if (took := time.monotonic() - begin) > 20 * once:
        raise AssertionError(f"100 times took {took} s, once {once}")
    machine.check_log()


def keep_states(machine):
    """Of the type that all tests use vGPUs keep what is in them, which is little."""
    path = machine.path("etc/mdevgpud/types.d/test.yaml")
    said = read(path)
    with open(path, "w", encoding="utf-8") as f:
        f.write(said.replace("framebuffer: 2GiB", "framebuffer: 2GiB, keep-state: yes"))
    machine.act("content-size", str(1 << 16))


def outside(machine):
    """Every file around the machine, of which none may come or go by what anybody says."""
    return sorted(name for name in os.listdir(machine.dir) if name != "daemon.log")


@test
def guessed_arguments(stack):
    """every method, found by introspection, with arguments of every kind, as root and as nobody: each call is answered, and
    no name that somebody gives becomes a path"""
    rounds = int(os.environ.get("MDEVGPUD_ABUSE_ROUNDS", "15"))
    seed, reached = int(os.environ.get("MDEVGPUD_ABUSE_SEED", str(random.randrange(1 << 32)))), collections.Counter()
    print(f"# seed {seed}", flush=True)
    guess = Guesser(seed)
    machine = Machine(stack, SIM)
    os.chmod(machine.dir, 0o755)
    keep_states(machine)
    os.makedirs(machine.path("etc/mdevgpud/topologies.d"))
    with open(machine.path("etc/mdevgpud/topologies.d/test.yaml"), "w", encoding="utf-8") as f:
        f.write(f'version: 1\ntopologies:\n  {TOPOLOGY}:\n  - match: {{address: "{GPU}"}}\n'
                f'    vgpus: [{{type: {TYPE}, uuid: {UUID}}}]\n')
    machine.start()
    pid, around = machine.daemon.pid, outside(machine)
    setup = connect(machine)
    ok(setup.manager("CreateVGpu", "sssa{sv}", [GPU, TYPE, UUID, {}]))
    ok(setup.manager("SaveState", "ssa{sv}", [UUID, SAVED, {}]))
    until(lambda: entries(machine.path("var/states")) == [f"{SAVED}.state"], "what is saved")
    with tempfile.TemporaryFile() as f, socket.socket() as s, contextlib.ExitStack() as fds:
        wrong = [f.fileno(), s.fileno(), os.open("/dev/null", os.O_RDONLY), os.open("/", os.O_RDONLY)]
        # Pipes whose other end has gone: with one that stands still a vGPU is taken for half a minute.
        (unread, nobody_reads), (nobody_writes, unwritten) = os.pipe(), os.pipe()
        os.close(unread)
        os.close(unwritten)
        wrong += [nobody_reads, nobody_writes]
        for fd in wrong[2:]:
            fds.callback(os.close, fd)
        for uid in (None, NOBODY):
            client = connect(machine, uid)
            known = methods(client)
            for _ in range(rounds):
                guess.random.shuffle(known) # what was made goes again sooner or later
                for path, interface, method, arguments in known:
                    signature, values = guess.call(method, arguments)
                    # Every h is the first of those that come along.
                    attached = [guess.random.choice(wrong)] if "h" in signature or guess.random.random() < 0.05 else []
                    if "h" not in signature and b"h" in repr(values).encode() and not attached:
                        attached = [wrong[0]]
                    try:
                        answer = client.call(path, interface, method, signature, values, fds=attached)
                    except (TimeoutError, ConnectionError) as e:
                        raise AssertionError(f"{e}: {path} {interface}.{method} {signature} {str(values)[:400]}") from e
                    if answer.kind not in (RETURN, ERROR):
                        raise AssertionError("no answer")
                    if answer.kind == ERROR and not (answer.values() and answer.values()[0]):
                        raise AssertionError(f"{method}: {answer.error} says nothing")
                    reached[method] += uid is None and answer.kind == RETURN
                    if uid and method in CHANGING and answer.kind == RETURN:
                        raise AssertionError(f"{method}: nobody may")
    if machine.daemon.poll() is not None or machine.daemon.pid != pid:
        raise AssertionError("the daemon has ended")
    if outside(machine) != around:
        raise AssertionError(f"{outside(machine)} are there")
    if never := sorted(CHANGING - {"Set", "EnableVfs", "Cancel"} - {method for method, n in reached.items() if n}):
        print(f"# never got through: {', '.join(never)}", flush=True)
    if len(never) > len(CHANGING) * 3 // 4:
        raise AssertionError("what is guessed changes hardly anything")
    for folder in ("etc/mdevctl.d", "state", "var", "etc/mdevgpud"):
        for path, folders, names in os.walk(machine.path(folder)):
            for name in folders + names:
                if not re.fullmatch(r"[A-Za-z0-9._:-]{1,255}", name):
                    raise AssertionError(f"{path}/{name}")
    ok(setup.manager("ListVGpus", "a{sv}", [{}]))
    machine.check_log()


@test
def too_many_pending(stack):
    """ten thousand calls of one user that wait for an authorization: so many wait, the others are told, and root is served"""
    machine = Machine(stack, SIM)
    os.chmod(machine.dir, 0o755)
    authority = become_authority(machine)
    machine.start(with_polkit=True)
    clients, refused = [connect(machine, NOBODY) for _ in range(20)], 0
    for client in clients:
        for _ in range(500):
            client.send("/org/mdevgpu1", "org.mdevgpu1.Manager", "CreateVGpu", "sssa{sv}", [GPU, TYPE, "", {}])
        client.call("/org/mdevgpu1", "org.freedesktop.DBus.Peer", "Ping")
    root = connect(machine)
    uuid, _ = ok(root.manager("CreateVGpu", "sssa{sv}", [GPU, TYPE, "", {}]))
    check_memory(machine.daemon.pid)
    # What the authority was asked: it never answers.
    questions = 0
    authority.socket.settimeout(1)
    with contextlib.suppress(TimeoutError):
        while True:
            message = authority.receive()
            questions += message.kind == CALL and message.member == "CheckAuthorization"
    if not 1 <= questions <= 64:
        raise AssertionError(f"{questions} wait for an authorization")
    for client in clients:
        client.close()
    ok(root.manager("DestroyVGpu", "sa{sv}", [uuid, {}]))
    if machine.devices():
        raise AssertionError("something was made that nobody was allowed to")
    machine.check_log()


def become_authority(machine):
    authority = connect(machine)
    ok(authority.call("/org/freedesktop/DBus", "org.freedesktop.DBus", "RequestName", "su",
                      ["org.freedesktop.PolicyKit1", 0], destination="org.freedesktop.DBus"))
    return authority


def await_question(authority):
    message = authority.receive()
    while message.kind != CALL or message.member != "CheckAuthorization":
        message = authority.receive()
    return message


@test
def authority_restarts(stack):
    """an authority that ends while it is asked: that call is refused, and what is asked of its successor is answered; one
    that hangs keeps nobody else from being served"""
    machine = Machine(stack, SIM)
    os.chmod(machine.dir, 0o755)
    authority = become_authority(machine)
    machine.start(with_polkit=True)
    client = connect(machine, NOBODY)

    pending = client.send("/org/mdevgpu1", "org.mdevgpu1.Manager", "CreateVGpu", "sssa{sv}", [GPU, TYPE, "", {}])
    await_question(authority)
    # It hangs: whoever needs no authorization is served.
    root = connect(machine)
    ok(root.manager("ListVGpus", "a{sv}", [{}]))
    uuid, _ = ok(root.manager("CreateVGpu", "sssa{sv}", [GPU, TYPE, "", {}]))
    authority.close()
    answer = client.answer(pending)
    if answer.kind != ERROR or not answer.error.endswith("AccessDenied"):
        raise AssertionError(f"{answer.error}: {answer.values()}")
    # It is away.
    answer = client.manager("CreateVGpu", "sssa{sv}", [GPU, TYPE, "", {}])
    if answer.kind != ERROR or not answer.error.endswith("AccessDenied"):
        raise AssertionError(f"{answer.error}: {answer.values()}")

    authority = become_authority(machine)
    pending = client.send("/org/mdevgpu1", "org.mdevgpu1.Manager", "DestroyVGpu", "sa{sv}", [uuid, {}])
    authority.reply(await_question(authority), "(bba{ss})", [(1, 0, {})])
    ok(client.answer(pending))
    machine.check_log()


@test
def asked_once(stack):
    """who is authorized while the bus takes nothing more is not asked for again, and what he asked for is done"""
    machine = Machine(stack, SIM, limits={"max_incoming_bytes": 8 << 20})
    os.chmod(machine.dir, 0o755)
    many_vgpus(machine, 1000)
    authority = become_authority(machine)
    machine.start(with_polkit=True)
    uuid, _ = ok(connect(machine).manager("CreateVGpu", "sssa{sv}", [GPU, TYPE, "", {}]))
    client, deaf, other = connect(machine, NOBODY), connect(machine), connect(machine)
    pending = client.send("/org/mdevgpu1", "org.mdevgpu1.Manager", "DestroyVGpu", "sa{sv}", [uuid, {}])
    question = await_question(authority)
    for _ in range(300):
        deaf.send("/org/mdevgpu1", "org.freedesktop.DBus.ObjectManager", "GetManagedObjects")
    other.socket.settimeout(2)
    with contextlib.suppress(TimeoutError):
        other.answer(other.send("/org/mdevgpu1", "org.mdevgpu1.Manager", "ListGpus", "a{sv}", [{}]))
        raise AssertionError("the bus has taken everything")
    authority.reply(question, "(bba{ss})", [(1, 0, {})])
    until(lambda: uuid not in machine.devices(), "what was authorized")
    deaf.close()
    ok(client.answer(pending))
    authority.socket.settimeout(0.5)
    with contextlib.suppress(TimeoutError):
        await_question(authority)
        raise AssertionError("it was asked twice")
    machine.check_log()


@test
def crowd(stack):
    """more clients than the bus lets anybody watch one by one: one of those beyond goes while an authorization is awaited,
    which is given up, and nothing is done for it"""
    machine = Machine(stack, SIM)
    os.chmod(machine.dir, 0o755)
    authority = become_authority(machine)
    machine.start(with_polkit=True)
    uuid, _ = ok(connect(machine).manager("CreateVGpu", "sssa{sv}", [GPU, TYPE, "", {}]))
    # Each is known from its first call on that changes something, or would.
    others = [connect(machine) for _ in range(400)]
    for other in others:
        ok(other.manager("ModifyVGpu", "sa{sv}", [uuid, {"label": ("s", "x")}]))

    client, stays = connect(machine, NOBODY), connect(machine, NOBODY)
    client.send("/org/mdevgpu1", "org.mdevgpu1.Manager", "DestroyVGpu", "sa{sv}", [uuid, {}])
    question = await_question(authority)
    pending = stays.send("/org/mdevgpu1", "org.mdevgpu1.Manager", "ModifyVGpu", "sa{sv}", [uuid, {"label": ("s", "mine")}])
    second = await_question(authority)
    client.close()
    message = authority.receive()
    while message.kind != CALL or message.member != "CancelCheckAuthorization":
        message = authority.receive()
    if message.values() != [question.values()[-1]]:
        raise AssertionError("it gave up another one")
    # An answer that is late changes nothing; who is still there is answered.
    authority.reply(question, "(bba{ss})", [(1, 0, {})])
    authority.reply(second, "(bba{ss})", [(1, 0, {})])
    ok(stays.answer(pending))
    if uuid not in machine.devices():
        raise AssertionError("it was done for one who had gone")
    machine.check_log()


@test
def bus_restarts(stack):
    """the bus ends and another one comes: the daemon leaves, and its successor on the new bus shows all that there was"""
    machine = start(stack)
    uuid, _ = ok(connect(machine).manager("CreateVGpu", "sssa{sv}", [GPU, TYPE, "", {}]))
    machine.dbus.kill()
    machine.dbus.wait()
    if machine.daemon.wait(20) == 0:
        raise AssertionError("it left as if nothing were wrong: its unit would not start it again")
    os.unlink(f"{machine.dir}/bus")
    machine.start_bus()
    machine.start()
    ok(connect(machine).manager("DestroyVGpu", "sa{sv}", [uuid, {}]))
    machine.check_log()


sys.exit(run(TESTS if not ONLY else [t for t in TESTS + LONG if ONLY == ["--all"] or t.__name__ in ONLY]))
