"""A small client and a small server of our RPC protocol (rpc/wire/PROTOCOL.md): JSON, no streams."""

import contextlib
import json
import socketserver
import struct

HELLO, GOAWAY, PING, PONG, REQUEST, REPLY, CANCEL = 1, 2, 3, 4, 0x10, 0x12, 0x13
OK, INVALID_ARGUMENT, UNIMPLEMENTED = 0, 3, 12
MAGIC, VERSION, JSON, MAX_FRAME = b"\x7fRPC", 1, 1, 4 << 20
NO_DEADLINE = 0xFFFFFFFF


class RpcError(Exception):
    """A reply other than OK: its code (gRPC's) and its message."""


class FrameStream:
    """Frames over a connected socket."""

    def __init__(self, sock):
        self.sock = sock
        self.stream = sock.makefile("rb")

    def send(self, kind, call=0, fields=b""):
        self.sock.sendall(struct.pack(">IBBQ", 10 + len(fields), kind, 0, call) + fields)

    def receive(self):
        """Returns the next frame as (kind, call, fields), or None at the end of the connection. Answers pings by itself."""
        while head := self.stream.read(14):
            length, kind, _flags, call = struct.unpack(">IBBQ", head)
            if not 10 <= length <= MAX_FRAME:
                raise RpcError(INVALID_ARGUMENT, f"a frame of {length} bytes")
            fields = self.stream.read(length - 10)
            if kind == PING:
                self.send(PONG, call)
            else:
                return kind, call, fields
        return None

    def send_hello(self, service, instance=""):
        fields = MAGIC + struct.pack(">HBI", VERSION, JSON, MAX_FRAME)
        self.send(HELLO, 0, fields + text8(service) + text8(instance))


class Client:
    """A client that makes one call at a time over one connection."""

    def __init__(self, sock, service):
        self.connection = FrameStream(sock)
        self.calls = 0
        self.connection.send_hello(service)
        kind, _, fields = self.connection.receive()
        if kind == GOAWAY:
            raise RpcError(fields[0], fields[1:].decode())

    def call(self, method, request, milliseconds=NO_DEADLINE):
        self.calls += 1
        fields = struct.pack(">I", milliseconds) + text8(method) + json.dumps(request).encode()
        self.connection.send(REQUEST, self.calls, fields)
        while frame := self.connection.receive():
            kind, call, fields = frame
            if kind == REPLY and call == self.calls:
                if fields[0] != OK:
                    raise RpcError(fields[0], fields[1:].decode())
                return json.loads(fields[1:])
        raise ConnectionError("the server has closed the connection")


class Server(socketserver.ThreadingTCPServer):
    """Serves methods: functions from a request to a reply, by name."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, address, service, instance, methods, listener=None):
        """Listens at an address, or takes a listener that other processes have, too."""
        super().__init__(address, Handler, bind_and_activate=listener is None)
        if listener:
            self.socket.close()
            self.socket = listener
        self.service, self.instance, self.methods = service, instance, methods


class Handler(socketserver.BaseRequestHandler):
    """One connection of a client."""

    def handle(self):
        # A client that is killed resets its connection.
        with contextlib.suppress(ConnectionResetError):
            self.answer_calls()

    def answer_calls(self):
        connection, server = FrameStream(self.request), self.server
        while frame := connection.receive():
            kind, call, fields = frame
            if kind == HELLO:
                connection.send_hello(server.service, server.instance)
            elif kind == REQUEST:
                end = 5 + fields[4]
                code, payload = answer(server.methods, fields[5:end].decode(), fields[end:])
                connection.send(REPLY, call, bytes([code]) + payload)


def answer(methods, method, payload):
    """Returns the code and the payload (or the message) of a reply."""
    if method not in methods:
        return UNIMPLEMENTED, f"no method {method}".encode()
    try:
        return OK, json.dumps(methods[method](json.loads(payload))).encode()
    except (ValueError, KeyError, TypeError) as error:
        return INVALID_ARGUMENT, str(error).encode()


def text8(text):
    data = text.encode()
    return bytes([len(data)]) + data
