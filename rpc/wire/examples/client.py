#!/usr/bin/env python3
"""Calls a method of a server by the protocol of PROTOCOL.md: client.py [--stream] HOST PORT METHOD JSON

With --stream the method is one that streams its results: each is printed when it comes."""

import json
import socket
import struct
import sys

HEADER = struct.Struct("!IBBQ")  # length of what follows, kind, flags, id
HELLO, GOAWAY, PING, PONG, REQUEST, MESSAGE, REPLY, CANCEL, CREDIT = 1, 2, 3, 4, 0x10, 0x11, 0x12, 0x13, 0x15
NOT_RUN, METADATA, DETAILS, STREAM = 2, 4, 8, 16  # flags
MAGIC, VERSION, JSON, MAX_FRAME, NO_DEADLINE = b"\x7fRPC", 2, 1, 4 << 20, 0xFFFFFFFF
UNAVAILABLE = 14  # the code of a server that shuts down: calls up to the id of its GOAWAY are answered
STREAM_BUDGET, CONNECTION_BUDGET, REPLY_BUDGET = 256 << 10, 1 << 20, 4 << 20


class Failed(Exception):
    def __init__(self, code, message, details=None, not_run=False):
        super().__init__(f"code {code}: {message}")
        self.code, self.message, self.details, self.not_run = code, message, details, not_run


class Client:
    """A client that makes one call at a time."""

    def __init__(self, host, port, service=""):
        self.socket = socket.create_connection((host, port))
        self.stream = self.socket.makefile("rb")
        self.last_id = 0
        self.taken = 0  # bytes of messages for which the connection has not got its credit back
        hello = MAGIC + struct.pack("!HBI", VERSION, JSON, MAX_FRAME) + text8(service) + text8("python")
        self.send(HELLO, 0, hello + struct.pack("!III", STREAM_BUDGET, CONNECTION_BUDGET, REPLY_BUDGET))
        _, _, _, body = self.receive()
        self.version = struct.unpack_from("!H", body, 4)[0]
        at = 11 + 1 + body[11]
        self.service = body[12:at].decode()
        self.instance = body[at + 1 : at + 1 + body[at]].decode()

    def call(self, method, argument, timeout_ms=10_000):
        """Returns the result of a unary method."""
        call = self.open(method, argument, timeout_ms, 0)
        while True:
            kind, flags, id, body = self.receive()
            if kind == REPLY and id == call:
                return result(flags, body)

    def server_stream(self, method, argument, timeout_ms=NO_DEADLINE):
        """Yields the messages of a method that streams them; to close the generator cancels the call."""
        call, taken, is_over = self.open(method, argument, timeout_ms, STREAM), 0, False
        try:
            while True:
                kind, flags, id, body = self.receive()
                if kind == REPLY and id == call:
                    is_over = True
                    return result(flags, body)
                if kind == MESSAGE and id == call:
                    yield json.loads(body)
                    taken += HEADER.size + len(body)
                    if taken >= STREAM_BUDGET // 2:
                        self.send(CREDIT, call, struct.pack("!I", taken))
                        taken = 0
        finally:
            if not is_over:
                self.send(CANCEL, call, b"")

    def open(self, method, argument, timeout_ms, flags):
        self.last_id += 1
        fields = struct.pack("!I", timeout_ms) + text8(method) + json.dumps(argument).encode()
        self.send(REQUEST, self.last_id, fields, flags)
        return self.last_id

    def send(self, kind, id, body, flags=0):
        self.socket.sendall(HEADER.pack(10 + len(body), kind, flags, id) + body)

    def receive(self):
        while True:
            header = self.stream.read(HEADER.size)
            if len(header) < HEADER.size:
                raise ConnectionError("the server closed the connection")
            length, kind, flags, id = HEADER.unpack(header)
            body = self.stream.read(length - 10)
            if kind == PING:
                self.send(PONG, id, b"")
            elif kind == GOAWAY and (body[0] != UNAVAILABLE or id < self.last_id):
                raise Failed(body[0], body[1:].decode())
            else:
                # Messages of a cancelled call, too, return to the window of the connection.
                self.taken += HEADER.size + len(body) if kind == MESSAGE else 0
                if self.taken >= CONNECTION_BUDGET // 2:
                    self.send(CREDIT, 0, struct.pack("!I", self.taken))
                    self.taken = 0
                return kind, flags, id, body


def result(flags, body):
    """Returns the result that a REPLY carries, or raises its failure."""
    code, body = body[0], body[1:]
    if flags & METADATA:
        _, body = split16(body)
    if code == 0:
        return json.loads(body) if body else None
    details, message = split16(body) if flags & DETAILS else (b"null", body)
    raise Failed(code, message.decode(), json.loads(details), bool(flags & NOT_RUN))


def split16(body):
    end = 2 + struct.unpack_from("!H", body)[0]
    return body[2:end], body[end:]


def text8(text):
    data = text.encode()
    return struct.pack("!B", len(data)) + data


if __name__ == "__main__":
    is_stream = sys.argv[1] == "--stream"
    host, port, method, argument = sys.argv[1 + is_stream :]
    client, argument = Client(host, int(port)), json.loads(argument)
    if is_stream:
        for message in client.server_stream(method, argument):
            print(json.dumps(message), flush=True)
    else:
        print(json.dumps(client.call(method, argument)))
