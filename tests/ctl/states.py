#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""mdevgpuctl and the states of vGPUs: what is asked for, what is printed where, and what stays of a file.

states.py MDEVGPUCTL FAKE-DAEMON MAN-PAGE
"""

import contextlib
import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import threading
import time

from rig import CTL, TIMEOUT, Result, Rig, equal, run, test, true

UUID = "c0ffee00-0000-4000-8000-000000000001"
FAILED = "00000000-0000-4000-8000-000000000002"
ECHO = "c0ffee00-0000-4000-8000-00000000ec40"
GPU = "0000:41:00.0"
STATE = "state of a vGPU\n"
UNSAFE = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\U000e0000-\U000e007f]")


def folder(rig: Rig):
    path = os.path.join(rig.dir, "files")
    os.mkdir(path)
    return path


def begin(rig: Rig, *arguments, **streams):
    """The command, still at it."""
    process = subprocess.Popen([CTL, *arguments], env=rig.env, stderr=subprocess.PIPE,
                               **{"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, **streams})
    rig.stack.callback(process.kill)
    return process


def end(process):
    out, err = process.communicate(timeout=TIMEOUT)
    return Result(process.returncode, (out or b"").decode(), err.decode())


def until(condition, why):
    deadline = time.monotonic() + 20
    while not condition():
        true(time.monotonic() < deadline, why)
        time.sleep(0.02)


def begun(path):
    """The temporary file beside what is going to be there, once the daemon has written half of the state into it."""
    def found():
        return [name for name in os.listdir(path) if os.path.getsize(os.path.join(path, name)) == len(STATE) // 2]
    until(found, "nothing is written")
    return os.path.join(path, found()[0])


def on_terminal(rig: Rig, *arguments, columns):
    """The command with stderr on a terminal, and what is on that once it shows something."""
    master, slave = pty.openpty()
    rig.stack.callback(os.close, master)
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    process = subprocess.Popen([CTL, *arguments], env=rig.env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=slave)
    os.close(slave)
    rig.stack.callback(process.kill)
    return process, master


def screen_of(master, wanted):
    seen = ""
    deadline = time.monotonic() + 20
    with contextlib.suppress(OSError):  # the end of a terminal is EIO
        while not wanted(seen) and time.monotonic() < deadline:
            if select.select([master], [], [], 0.2)[0]:
                seen += os.read(master, 4096).decode(errors="surrogateescape")
    return seen


@test
def asked(rig: Rig):
    """what is given is what the daemon is asked for, and an open file goes along"""
    rig.daemon("good")
    for command, told in {
            ("save", ECHO, "n"): f"SaveState '{ECHO}' 'n' []",
            ("save", ECHO, "n", "--after=stop", "--no-precopy", "--replace", "--no-wait"):
            f"SaveState '{ECHO}' 'n' [('replace' (true)) ('precopy' (false)) ('after' ('stop'))]",
            ("export-state", ECHO, "FILE", "--after=destroy", "--unmanaged"):
            f"ExportState '{ECHO}' file [('unmanaged' (true)) ('after' ('destroy'))]",
            ("export-state", ECHO, "-", "--no-precopy"): f"ExportState '{ECHO}' file [('precopy' (false))]",
            ("restore", "n", f"--uuid={ECHO}"): f"RestoreState '' 'n' [('uuid' ('{ECHO}'))]",
            ("restore", "n", "41:00.0", f"--uuid={ECHO}", "--type=t", "--label=a b"):
            f"RestoreState '{GPU}' 'n' [('label' ('a b')) ('type' ('t')) ('uuid' ('{ECHO}'))]",
            ("import-state", "-", f"--uuid={ECHO}"): f"ImportState '' file [('uuid' ('{ECHO}'))]",
            ("import-state", "/dev/null", "41:00.0", f"--uuid={ECHO}", "--type=t"):
            f"ImportState '{GPU}' file [('type' ('t')) ('uuid' ('{ECHO}'))]"}.items():
        result = rig.ctl(*(word.replace("FILE", f"{rig.dir}/file") for word in command))
        equal((result.status, result.out, result.err), (1, "", f"mdevgpuctl: {told}\n"), command)
    true(not os.path.exists(f"{rig.dir}/file"), "a file stays of what was refused")


@test
def wrong_usage(rig: Rig):
    """wrong usage is status 2; another machine's daemon, and a terminal, get no state"""
    rig.daemon("good")
    for command in (["save", UUID], ["save"], ["save", UUID, "n", "x"], ["restore"], ["restore", "n", GPU, "x"],
                    ["export-state", UUID], ["import-state"], ["states", "x"], ["delete-state"],
                    ["save", UUID, "n", "--label=x"], ["restore", "n", "--after=run"], ["restore", "n", "--replace"],
                    ["restore", "n", "--unmanaged"],
                    ["export-state", UUID, "-", "--replace"], ["export-state", UUID, "-", "--no-wait"],
                    ["import-state", "-", "--no-wait"], ["export-state", UUID, ""],
                    ["export-state", UUID, f"{rig.dir}/no/"]):
        result = rig.ctl(*command)
        equal((result.status, result.out), (2, ""), f"{command} {result}")
    for verb in "export-state", "import-state":
        result = rig.ctl("-H", "there", verb, *([UUID] if verb == "export-state" else []), "-")
        equal((result.status, result.err),
              (2, "mdevgpuctl: An open file cannot be handed to another machine: it is done there.\n"
                  f"  'ssh there mdevgpuctl {verb} …' does it.\n"), result)
    result = rig.terminal("export-state", UUID, "-")
    true(result.status == 2 and result.out == "" and "is a terminal" in result.err, result)
    result = rig.terminal("import-state", "-")
    true(result.status == 2 and result.out == "" and "is a terminal" in result.err, result)


@test
def save_and_restore(rig: Rig):
    """what is done is said on stderr, what is wanted printed on stdout, and -q silences both"""
    rig.daemon("good")
    done = f"Saved vGPU {UUID} as web: 400 MiB; it stood still for 83 ms.\n"
    result = rig.ctl("save", UUID, "web")
    equal((result.status, result.out, result.err), (0, "", done))
    equal(rig.ctl("save", "web 1", "web").err, done) # its label
    for quiet in ["save", UUID, "web"], ["restore", "web"]:
        result = rig.ctl("-q", *quiet)
        equal((result.status, result.out, result.err), (0, "", ""))
    true("it was reset, and is as new" in rig.ctl("save", UUID, "reset").err, "a reset is not told")
    equal(rig.ctl("save", UUID, "early").status, 0)
    result = rig.ctl("restore", "web", GPU)
    equal((result.status, result.out, result.err),
          (0, UUID + "\n", f"Restored vGPU {UUID} from web: 400 MiB.\n"))

    equal(json.loads(rig.ctl("--json", "save", UUID, "web").out),
          {"uuid": UUID, "bytes": 400 << 20, "name": "web", "downtime": 82500, "reset": False, "changed": True,
           "job": "/org/mdevgpu1/job/7"})
    equal(json.loads(rig.ctl("--json", "restore", "web").out)["uuid"], UUID)
    equal(rig.ctl("save", UUID, "wait", "--no-wait").out, "7\n")
    equal(rig.ctl("save", UUID, "wait", "--no-wait", "--json=short").out, '{"job":"/org/mdevgpu1/job/7"}\n')
    equal(rig.ctl("restore", "wait", "--no-wait", "-q").out, "")


@test
def failures(rig: Rig):
    """a job that fails, is refused or has nobody left to do it is told in the daemon's words, with its status"""
    rig.daemon("good")
    result = rig.ctl("save", UUID, "fail")
    equal((result.status, result.out, result.err), (1, "", "mdevgpuctl: The image is cut off.\n"))
    equal(rig.ctl("--json", "restore", "fail").out, "")
    error = "!org.mdevgpu1.Error."
    result = rig.ctl("save", UUID, error + "AlreadyExists=There is one.")
    equal((result.status, result.err), (1, "mdevgpuctl: There is one.\n  With --replace it is replaced.\n"))
    equal(rig.ctl("save", UUID, "--replace", error + "AlreadyExists=There is one.").err, "mdevgpuctl: There is one.\n")
    result = rig.ctl("restore", error + "NoSuchState=There is none.")
    equal((result.status, result.err), (3, "mdevgpuctl: There is none.\n  'mdevgpuctl states' lists the saved states.\n"))
    result = rig.ctl("save", UUID, "drop")
    equal((result.status, result.err), (6, "mdevgpuctl: mdevgpud has gone: nobody can say what came of it.\n"))


@test
def cancelled(rig: Rig):
    """Ctrl-C cancels the job and waits for its end"""
    rig.daemon("good")
    for command in (["save", UUID, "wait", "--after=stop"], ["restore", "wait"], ["export-state", UUID, "-", "--after=wait"],
                    ["import-state", "/dev/zero", "--label=wait"]):
        process, master = on_terminal(rig, *command, columns=80)
        seen = screen_of(master, lambda seen: "50 %" in seen)
        process.send_signal(signal.SIGINT)
        seen = screen_of(master, lambda seen: False)
        process.communicate(timeout=TIMEOUT)
        true(process.returncode == 1 and "mdevgpuctl: It was cancelled.\r\n" in seen, f"{command} {seen!r}")


@test
def file_is_whole(rig: Rig):
    """a state is in a file that only its owner may read, under its name when all of it is there"""
    rig.daemon("good")
    path = os.path.join(folder(rig), "state")
    result = rig.ctl("export-state", UUID, path)
    equal((result.status, result.out, result.err),
          (0, "", f"Exported vGPU {UUID} to {path}: 16 B; it stood still for 83 ms.\n"))
    equal((open(path, encoding="utf-8").read(), os.stat(path).st_mode & 0o777), (STATE, 0o600))
    equal(os.listdir(os.path.dirname(path)), ["state"])
    equal(json.loads(rig.ctl("--json", "export-state", UUID, path + "2").out)["file"], path + "2")

    with open(path, "w", encoding="utf-8") as f:
        f.write("another")
    os.symlink("nowhere", path + "3")
    for taken in path, path + "3":
        result = rig.ctl("export-state", UUID, taken)
        true(result.status == 1 and "is there already" in result.err, result)
    equal(open(path, encoding="utf-8").read(), "another")
    result = rig.ctl("export-state", UUID, f"{rig.dir}/no/state")
    true(result.status == 1 and "No such file" in result.err, result)
    equal(sorted(os.listdir(os.path.dirname(path))), ["state", "state2", "state3"])


@test
def no_half_file(rig: Rig):
    """of a state that did not get whole nothing stays, whoever ended it"""
    daemon = rig.daemon("good")
    path = folder(rig)
    name = os.path.join(path, "state")
    result = rig.ctl("export-state", UUID, name, "--after=fail")
    equal((result.status, result.err, os.listdir(path)), (1, "mdevgpuctl: The image is cut off.\n", []))
    result = rig.ctl("export-state", "!org.mdevgpu1.Error.InUse=It is used.", name)
    equal((result.status, os.listdir(path)), (1, []), result)

    for number in signal.SIGINT, signal.SIGTERM, signal.SIGHUP:
        process = begin(rig, "export-state", UUID, name, "--after=wait")
        equal(os.stat(begun(path)).st_mode & 0o777, 0o600)
        true(not os.path.exists(name), "it is there too early")
        process.send_signal(number)
        result = end(process)
        equal((result.status, result.err, os.listdir(path)), (1, "mdevgpuctl: It was cancelled.\n", []), number)

    # The daemon does not answer any more: the second Ctrl-C ends the command.
    process = begin(rig, "export-state", UUID, name, "--after=wait")
    begun(path)
    daemon.send_signal(signal.SIGSTOP)
    process.send_signal(signal.SIGINT)
    time.sleep(0.5)
    equal((process.poll(), len(os.listdir(path))), (None, 1))
    while process.poll() is None:  # one that comes while the first is on its way is the same one
        process.send_signal(signal.SIGINT)
        time.sleep(0.2)
    equal((end(process).status, os.listdir(path)), (-signal.SIGINT, []))
    daemon.kill()
    daemon.wait()

    rig.daemon("good")
    result = rig.ctl("export-state", UUID, name, "--after=drop")
    equal((result.status, os.listdir(path)), (6, []), result)


@test
def name_is_taken_meanwhile(rig: Rig):
    """a state whose name somebody else took in the meantime replaces nothing, and is kept under another one"""
    daemon = rig.daemon("good")
    path = folder(rig)
    name = os.path.join(path, "state")
    daemon.send_signal(signal.SIGSTOP)
    process = begin(rig, "export-state", UUID, name)
    until(lambda: os.listdir(path), "nothing is there")
    with open(name, "w", encoding="utf-8") as f:
        f.write("another")
    daemon.send_signal(signal.SIGCONT)
    result = end(process)
    kept = [os.path.join(path, other) for other in os.listdir(path) if other != "state"]
    equal((result.status, open(name, encoding="utf-8").read(), len(kept)), (1, "another", 1), result)
    equal(open(kept[0], encoding="utf-8").read(), STATE)
    equal(result.err, f"mdevgpuctl: Cannot put the state into {name}: File exists.\n"
                      f"mdevgpuctl: What there is of the state stands in {kept[0]}.\n")


@test
def last_copy(rig: Rig):
    """where nobody can say whether the vGPU was destroyed, what there is of its state is not thrown away"""
    daemon = rig.daemon("good")
    path = folder(rig)
    daemon.send_signal(signal.SIGSTOP)
    process = begin(rig, "export-state", UUID, os.path.join(path, "state"), "--after=destroy")
    until(lambda: os.listdir(path), "nothing is there")
    daemon.kill()
    result = end(process)
    left = os.listdir(path)
    equal((result.status, len(left)), (6, 1), result)
    true(left[0].startswith(".state.") and f"stands in {path}/{left[0]}.\n" in result.err, result)

    rig.daemon("good")
    result = rig.ctl("export-state", FAILED, os.path.join(path, "other"), "--after=destroy")
    left = [name for name in os.listdir(path) if name not in left]
    equal((result.status, len(left)), (1, 1), result)
    equal(open(os.path.join(path, left[0]), encoding="utf-8").read(), STATE)
    true("is not destroyed.\n" in result.err and f"stands in {path}/{left[0]}.\n" in result.err, result)
    result = rig.ctl("export-state", FAILED, os.path.join(path, "other"), "--after=stop")
    equal((result.status, len(os.listdir(path))), (1, 2), result)


@test
def pipes(rig: Rig):
    """where stdout carries the state nothing else is in it, and a pipe moves a vGPU"""
    rig.daemon("good")
    for form in [], ["--json"], ["-q"]:
        result = rig.ctl("export-state", UUID, "-", *form)
        equal((result.status, result.out), (0, STATE), result)
        equal(result.err == "", form == ["-q"], result)
    equal(json.loads(rig.ctl("export-state", UUID, "-", "--json").err)["uuid"], UUID)
    result = rig.ctl("export-state", UUID, "-", "--after=fail")
    equal((result.status, result.out), (1, STATE[:len(STATE) // 2]), result)

    for after, status in ("run", 0), ("fail", 1):
        source = begin(rig, "export-state", UUID, "-", f"--after={after}")
        select.select([source.stdout], [], [], 20)  # the stand-in does one thing at a time
        target = begin(rig, "import-state", "-", "41:00.0", stdin=source.stdout)
        result = end(target)
        equal((result.status, end(source).status), (status, status), result)
        equal(result.out, "" if status else UUID + "\n", result)
        equal(result.err, "mdevgpuctl: Standard input: The image is cut off.\n" if status else
              f"Imported vGPU {UUID}: 16 B.\n", result)

    fifo = os.path.join(rig.dir, "fifo")
    os.mkfifo(fifo)
    read = []
    thread = threading.Thread(target=lambda: read.append(open(fifo, encoding="utf-8").read()))
    thread.start()
    equal(rig.ctl("export-state", UUID, fifo).status, 0)
    thread.join(TIMEOUT)
    equal(read, [STATE])
    with open(os.path.join(rig.dir, "state"), "w", encoding="utf-8") as f:
        f.write(STATE)
    result = rig.ctl("import-state", f.name)
    equal((result.status, result.out, result.err),
          (0, UUID + "\n", f"Imported vGPU {UUID} from {f.name}: 16 B.\n"))
    equal(rig.ctl("import-state", f.name + "2").status, 1)


@test
def pipe_ends_with_the_job(rig: Rig):
    """whoever reads what is exported sees its end, though the command still waits"""
    rig.daemon("good")
    process = begin(rig, "export-state", UUID, "-", "--after=wait")
    seen = b""
    while not seen.endswith(b"EOF"):
        true(select.select([process.stdout], [], [], 20)[0], f"no end after {seen}")
        seen += os.read(process.stdout.fileno(), 4096) or b"EOF"
    equal(seen.decode(), STATE[:len(STATE) // 2] + "EOF")
    equal(process.poll(), None)
    process.send_signal(signal.SIGINT)
    equal(end(process).status, 1)


@test
def progress(rig: Rig):
    """a terminal shows how far it is, in one line that goes again; -q shows none"""
    rig.daemon("good")
    process, master = on_terminal(rig, "save", UUID, "wait", columns=120)
    line = "[##########..........]  50 %  250 MiB of 400 MiB  50 MiB/s  3 s left  pre-copy, 12 MiB changed since"
    seen = screen_of(master, lambda seen: line in seen)
    true(line in seen, seen)
    process.send_signal(signal.SIGINT)
    seen = screen_of(master, lambda seen: False)
    equal(process.wait(TIMEOUT), 1)
    true(seen.endswith(" \rmdevgpuctl: It was cancelled.\r\n"), repr(seen))
    process.stdout.close()

    process, master = on_terminal(rig, "save", UUID, "wait", columns=40)
    seen = screen_of(master, lambda seen: "…" in seen)
    true(all(len(part.rstrip(" ")) < 40 for part in seen.split("\r")), repr(seen))
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=TIMEOUT)
    process, master = on_terminal(rig, "save", UUID, "web", "-q", columns=80)
    equal((screen_of(master, lambda seen: False), process.wait(TIMEOUT)), ("", 0))
    process.stdout.close()


@test
def states(rig: Rig):
    """states lists what is saved by name, and below it what cannot be read"""
    rig.daemon("good")
    result = rig.ctl("states")
    lines = [line.split() for line in result.out.splitlines()]
    equal(lines[0], ["NAME", "VGPU", "TYPE", "SIZE", "CREATED", "LABEL"], result)
    equal(lines[1][:5], ["broken", "-", "-", "512", "B"], result)
    equal(lines[2], ["db", "c0ffee00-0000-4000-8000-000000000003", "nvidia-54", "-", "-", "-"], result)
    equal(lines[3][:5] + lines[3][-2:], ["web-1", UUID, "nvidia-530", "3", "GiB", "web", "1"], result)
    true(re.fullmatch(r"2025-11-\d\d", lines[3][5]), result)
    equal(result.out.splitlines()[4:], ["", "broken: It is no image of a state."], result)
    equal(len(rig.ctl("--no-legend", "states").out.splitlines()), 3)
    rows = json.loads(rig.ctl("--json", "states").out)
    equal(rows[2], {"name": "web-1", "uuid": UUID, "type": "nvidia-530", "size": 3 << 30,
                    "created": 1764100000 * 1000000, "label": "web 1", "host": "here", "gpu": "0000:42:00.0",
                    "driver": "nvidia", "driver_version": "535.54.06", "error": None})
    equal((rows[0]["uuid"], rows[0]["error"], rows[1]["size"]), (None, "It is no image of a state.", None))
    equal(rig.ctl("completion", "--", "restore", "").out.splitlines(),
          [f"web-1\t{UUID}", "broken\t", "db\tc0ffee00-0000-4000-8000-000000000003"])
    equal(rig.ctl("completion", "--", "save", UUID, "x", "--after=s").out, "--after=stop\tIt stands still\n")


@test
def no_states(rig: Rig):
    """no saved states are said to be none"""
    rig.daemon("empty")
    equal(rig.ctl("states").out, "No saved states.\n")
    equal(rig.ctl("--json=short", "states").out, "[]\n")


@test
def delete_state(rig: Rig):
    """delete-state goes on past a failure, whose status it then has"""
    rig.daemon("good")
    result = rig.ctl("delete-state", "a", "b")
    equal((result.status, result.out, result.err), (0, "", ""))
    result = rig.ctl("delete-state", "--json", "!org.mdevgpu1.Error.NoSuchState=There is none.", "b")
    equal(result.status, 3, result)
    equal(json.loads(result.out),
          {"changed": True, "states": [{"name": "!org.mdevgpu1.Error.NoSuchState=There is none.", "changed": False,
                                        "error": "org.mdevgpu1.Error.NoSuchState", "message": "There is none."},
                                       {"name": "b", "changed": True}]})


@test
def hostile(rig: Rig):
    """nothing that a terminal obeys comes through, nor a UUID that is none"""
    rig.daemon("hostile")
    for command in ["states"], ["save", UUID, "web"], ["restore", "web"], ["states", "--json"]:
        result = rig.ctl(*command)
        true(not UNSAFE.search(result.out) and not UNSAFE.search(result.err), f"{command} {result}")
    result = rig.ctl("restore", "web")
    equal((result.status, result.out), (1, ""), result)
    process, master = on_terminal(rig, "save", UUID, "wait", columns=200)
    seen = screen_of(master, lambda seen: "u001b[31m" in seen)
    process.send_signal(signal.SIGINT)
    seen += screen_of(master, lambda seen: False)
    true("u001b[31m" in seen and not UNSAFE.search(seen.replace("\r", "")), repr(seen))
    process.communicate(timeout=TIMEOUT)


run()
