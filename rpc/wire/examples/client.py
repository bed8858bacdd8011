#!/usr/bin/env python3
"""Calls a method of a server by the protocol of PROTOCOL.md: client.py HOST PORT METHOD JSON"""

import json
import socket
import struct
import sys

HEADER = struct.Struct("!IBBQ")  # length of what follows, kind, flags, id
HELLO, GOAWAY, PING, PONG, REQUEST, REPLY = 0x01, 0x02, 0x03, 0x04, 0x10, 0x12
MAGIC, VERSION, JSON, MAX_FRAME = b"\x7fRPC", 1, 1, 4 << 20


class Failed(Exception):
    def __init__(self, code, message):
        super().__init__(f"code {code}: {message}")
        self.code = code


class Client:
    def __init__(self, host, port, service=""):
        self.socket = socket.create_connection((host, port))
        self.stream = self.socket.makefile("rb")
        self.last_id = 0
        hello = MAGIC + struct.pack("!HBI", VERSION, JSON, MAX_FRAME) + text8(service) + text8("python")
        self.send(HELLO, 0, hello)
        kind, _, body = self.receive()
        if kind != HELLO:
            raise Failed(body[0], body[1:].decode())
        at = 11 + 1 + body[11]
        self.service = body[12:at].decode()
        self.instance = body[at + 1 : at + 1 + body[at]].decode()

    def call(self, method, argument, timeout_ms=10_000):
        self.last_id += 1
        payload = json.dumps(argument).encode()
        self.send(REQUEST, self.last_id, struct.pack("!I", timeout_ms) + text8(method) + payload)
        while True:
            kind, call, body = self.receive()
            if kind == PING:
                self.send(PONG, call, b"")
            if kind == REPLY and call == self.last_id:
                if body[0] != 0:
                    raise Failed(body[0], body[1:].decode())
                return json.loads(body[1:])

    def send(self, kind, call, body):
        self.socket.sendall(HEADER.pack(10 + len(body), kind, 0, call) + body)

    def receive(self):
        header = self.stream.read(HEADER.size)
        if len(header) < HEADER.size:
            raise ConnectionError("the server closed the connection")
        length, kind, _flags, call = HEADER.unpack(header)
        return kind, call, self.stream.read(length - 10)


def text8(text):
    data = text.encode()
    return struct.pack("!B", len(data)) + data


if __name__ == "__main__":
    host, port, method, argument = sys.argv[1:]
    print(json.dumps(Client(host, int(port)).call(method, json.loads(argument))))
