# SPDX-License-Identifier: LGPL-2.1-or-later
"""A D-Bus connection without a library: it sends what it likes, and reads when it likes."""

import os
import socket
import struct

CALL, RETURN, ERROR, SIGNAL = 1, 2, 3, 4
ALIGN = {"y": 1, "b": 4, "n": 2, "q": 2, "i": 4, "u": 4, "x": 8, "t": 8, "d": 8, "s": 4, "o": 4, "g": 1, "a": 4, "(": 8,
         "{": 8, "v": 1, "h": 4}
NUMBER = {"y": "B", "b": "I", "n": "h", "q": "H", "i": "i", "u": "I", "x": "q", "t": "Q", "d": "d", "h": "I"}


def split(signature):
    """The complete types of a signature."""
    types, i = [], 0
    while i < len(signature):
        begin = i
        while signature[i] == "a":
            i += 1
        depth = 0
        while True:
            depth += (signature[i] in "({") - (signature[i] in ")}")
            i += 1
            if depth == 0:
                break
        types.append(signature[begin:i])
    return types


class Writer:
    def __init__(self):
        self.data = bytearray()

    def pad(self, n):
        self.data += b"\0" * (-len(self.data) % n)

    def value(self, t, v):
        c = t[0]
        self.pad(ALIGN[c])
        if c in NUMBER:
            self.data += struct.pack("<" + NUMBER[c], v)
        elif c in "so":
            raw = v if isinstance(v, bytes) else v.encode()
            self.data += struct.pack("<I", len(raw)) + raw + b"\0"
        elif c == "g":
            self.data += bytes([len(v)]) + v.encode() + b"\0"
        elif c == "v":
            self.value("g", v[0])
            self.value(v[0], v[1])
        elif c == "a":
            at = len(self.data)
            self.data += b"\0\0\0\0"
            self.pad(ALIGN[t[1]])
            begin = len(self.data)
            for item in v.items() if isinstance(v, dict) else v:
                self.value(t[1:], item)
            struct.pack_into("<I", self.data, at, len(self.data) - begin)
        else:
            for inner, item in zip(split(t[1:-1]), v):
                self.value(inner, item)


class Reader:
    def __init__(self, data, at=0):
        self.data, self.at = data, at

    def pad(self, n):
        self.at += -self.at % n

    def take(self, n):
        self.at += n
        return self.data[self.at - n:self.at]

    def value(self, t):
        c = t[0]
        self.pad(ALIGN[c])
        if c in NUMBER:
            return struct.unpack("<" + NUMBER[c], self.take(struct.calcsize(NUMBER[c])))[0]
        if c in "so":
            return self.take(struct.unpack("<I", self.take(4))[0] + 1)[:-1].decode()
        if c == "g":
            return self.take(self.take(1)[0] + 1)[:-1].decode()
        if c == "v":
            inner = self.value("g")
            return (inner, self.value(inner))
        if c == "a":
            size = struct.unpack("<I", self.take(4))[0]
            self.pad(ALIGN[t[1]])
            end, items = self.at + size, []
            while self.at < end:
                items.append(self.value(t[1:]))
            return dict(items) if t[1] == "{" else items
        return tuple(self.value(inner) for inner in split(t[1:-1]))


class Message:
    def __init__(self, kind, number, fields, body):
        self.kind, self.number, self.fields, self.body = kind, number, fields, body

    serial = property(lambda self: self.fields.get(5, ("u", 0))[1])
    error = property(lambda self: self.fields.get(4, ("s", ""))[1])
    member = property(lambda self: self.fields.get(3, ("s", ""))[1])
    path = property(lambda self: self.fields.get(1, ("o", ""))[1])

    def values(self):
        reader = Reader(self.body)
        return [reader.value(t) for t in split(self.fields.get(8, ("g", ""))[1])]


class Connection:
    def __init__(self, path, uid=None, timeout=60):
        self.serial, self.input = 0, b""
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(timeout)
        before = os.geteuid()
        # The bus asks the kernel who it was that connected.
        if uid is not None:
            os.seteuid(uid)
        try:
            self.socket.connect(path)
            self.socket.sendall(b"\0AUTH EXTERNAL " + str(os.geteuid()).encode().hex().encode() + b"\r\n")
            if not self.socket.recv(256).startswith(b"OK"):
                raise ConnectionError("the bus does not know us")
            self.socket.sendall(b"NEGOTIATE_UNIX_FD\r\n")
            self.socket.recv(256)
            self.socket.sendall(b"BEGIN\r\n")
        finally:
            if uid is not None:
                os.seteuid(before)
        self.name = self.call("/org/freedesktop/DBus", "org.freedesktop.DBus", "Hello",
                              destination="org.freedesktop.DBus").values()[0]

    def close(self):
        self.socket.close()

    def send(self, path, interface, member, signature="", values=(), destination="org.mdevgpu1", fds=(), flags=0):
        """Sends a call and returns its serial, without looking for an answer."""
        fields = [(1, ("o", path)), (3, ("s", member)), (6, ("s", destination))]
        if interface:
            fields.append((2, ("s", interface)))
        return self.post(CALL, fields, signature, values, fds, flags)

    def reply(self, message, signature="", values=()):
        """Answers a call."""
        self.post(RETURN, [(5, ("u", message.number)), (6, message.fields[7])], signature, values)

    def post(self, kind, fields, signature, values, fds=(), flags=0):
        body = Writer()
        for t, v in zip(split(signature), values):
            body.value(t, v)
        if signature:
            fields.append((8, ("g", signature)))
        if fds:
            fields.append((9, ("u", len(fds))))
        self.serial += 1
        head = Writer()
        head.data += struct.pack("<cBBBII", b"l", kind, flags, 1, len(body.data), self.serial)
        head.value("a(yv)", fields)
        head.pad(8)
        data = bytes(head.data + body.data)
        if fds:
            sent = socket.send_fds(self.socket, [data], list(fds))
            self.socket.sendall(data[sent:])
        else:
            self.socket.sendall(data)
        return self.serial

    def receive(self):
        while True:
            if len(self.input) >= 16:
                body, number, fields = struct.unpack("<III", self.input[4:16])
                at = 16 + fields + (-fields % 8)
                if len(self.input) >= at + body:
                    data, self.input = self.input[:at + body], self.input[at + body:]
                    reader = Reader(data, 12)
                    return Message(data[1], number, {k: v for k, v in reader.value("a(yv)")}, data[at:])
            more = self.socket.recv(1 << 20)
            if not more:
                raise ConnectionError("the bus has closed the connection")
            self.input += more

    def answer(self, serial):
        while True:
            message = self.receive()
            if message.kind in (RETURN, ERROR) and message.serial == serial:
                return message

    def call(self, *arguments, **keywords):
        return self.answer(self.send(*arguments, **keywords))

    def manager(self, member, signature="", values=(), **keywords):
        return self.call("/org/mdevgpu1", "org.mdevgpu1.Manager", member, signature, values, **keywords)
