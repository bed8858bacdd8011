"""The few messages of ZooKeeper's protocol that show that a server serves."""

import socket
import struct

CREATE, GET_DATA, CLOSE = 1, 4, -11


def chunk(data):
    return struct.pack(">i", len(data)) + data


class Session:
    """A session of a client."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        self.xid = 0
        # Version of the protocol, last zxid, timeout, session, password.
        self.send(struct.pack(">iqiq", 0, 0, 10_000, 0) + chunk(bytes(16)))
        self.receive()

    def send(self, message):
        self.socket.sendall(chunk(message))

    def receive(self):
        (length,) = struct.unpack(">i", self.read(4))
        return self.read(length)

    def read(self, length):
        data = b""
        while len(data) < length:
            more = self.socket.recv(length - len(data))
            if not more:
                raise ConnectionError("the server has closed the connection")
            data += more
        return data

    def ask(self, op, body=b""):
        """Returns the body of the reply."""
        self.xid += 1
        self.send(struct.pack(">ii", self.xid, op) + body)
        reply = self.receive()
        xid, _zxid, error = struct.unpack(">iqi", reply[:16])
        if (xid, error) != (self.xid, 0):
            raise ConnectionError(f"xid {xid} instead of {self.xid}, error {error}")
        return reply[16:]

    def create(self, path, data):
        """Creates a node that everybody may use."""
        acl = struct.pack(">ii", 1, 31) + chunk(b"world") + chunk(b"anyone")
        self.ask(CREATE, chunk(path) + chunk(data) + acl + struct.pack(">i", 0))

    def get(self, path):
        reply = self.ask(GET_DATA, chunk(path) + b"\0")
        (length,) = struct.unpack(">i", reply[:4])
        return reply[4 : 4 + length]

    def close(self):
        self.ask(CLOSE)
        self.socket.close()
