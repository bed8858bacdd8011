"""A server of the tests' own, a client of its HTTP side by Python's standard library, and clients of ZooKeeper by kazoo."""

import faulthandler
import http.client
import json
import logging
import os
import queue
import re
import subprocess
import tempfile
import time
import unittest
import urllib.parse

from kazoo.client import KazooClient

# It tells of each lost connection, and here they are lost on purpose.
logging.getLogger("kazoo").addHandler(logging.NullHandler())

PATIENCE = 20
ZK_MINI = os.environ["ZK_MINI"]


class Answer:
    def __init__(self, what, response, body):
        self.what, self.status, self.body = what, response.status, body
        self.headers = {name.lower(): value for name, value in response.getheaders()}

    @property
    def text(self):
        return self.body.decode()

    @property
    def json(self):
        assert self.headers.get("content-type", "").startswith("application/json"), f"{self}: {self.headers}"
        return json.loads(self.body)

    def __repr__(self):
        return f"{self.what}: {self.status} {self.body[:500]!r}"


class Server:
    """A running `zk-mini serve`."""

    def __init__(self, *arguments):
        # Short ticks: the shortest session timeout is 400 ms.
        port = () if "--listen" in arguments else ("--port", "0")
        command = [ZK_MINI, "serve", *port, "--tick-ms", "200", "--max-session-timeout-ms", "60000", *arguments]
        self.log = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=self.log, text=True)
        line = self.process.stdout.readline()
        found = re.fullmatch(r"listening on (\S+):(\d+)\n", line)
        if not found:
            raise AssertionError(f"it does not listen: {line!r} {self.stop()}")
        # A server on every address is on this one, too.
        self.host, self.port = found.group(1).strip("[]").replace("0.0.0.0", "127.0.0.1"), int(found.group(2))
        self.hosts = f"{self.host}:{self.port}"

    def stop(self):
        """Ends it. Returns its log."""
        self.process.terminate()
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()
        with self.log:
            self.log.seek(0)
            return self.log.read()

    def send(self, method, path, body=None, headers=None, port=None):
        """Sends a request; `body` is bytes, or anything else as JSON."""
        headers = dict(headers or {})
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
            headers.setdefault("Content-Type", "application/json")
        connection = http.client.HTTPConnection(self.host, port or self.port, timeout=PATIENCE)
        try:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            return Answer(f"{method} {path}", response, response.read())
        finally:
            connection.close()

    def events(self, path="/v1/events", headers=None):
        return Events(self, path, headers or {})


class Events:
    """A stream of server-sent events."""

    def __init__(self, server, path, headers):
        self.connection = http.client.HTTPConnection(server.host, server.port, timeout=PATIENCE)
        self.connection.request("GET", path, headers=headers)
        self.response = self.connection.getresponse()
        assert self.response.status == 200, self.response.read()

    def next(self):
        """Returns the next event, as its fields."""
        fields = {}
        while True:
            line = self.response.readline().decode()
            if not line:
                raise AssertionError(f"the stream has ended: {fields}")
            if line == "\n":
                if "data" in fields:
                    return fields
                fields = {}
                continue
            name, _, value = line.rstrip("\n").partition(":")
            if name:
                fields[name] = fields[name] + "\n" + value.removeprefix(" ") if name in fields else value.removeprefix(" ")

    def until(self, wanted):
        """Returns the first event whose data `wanted` accepts."""
        while True:
            event = self.next()
            if event.get("event") != "missed" and wanted(json.loads(event["data"])):
                return event

    def close(self):
        self.connection.close()
        self.response.close()


class ServerTest(unittest.TestCase):
    """Tests with a server for each."""

    arguments = ()
    maxDiff = None

    def setUp(self):
        # A call of kazoo has no bound of its own.
        faulthandler.dump_traceback_later(2 * PATIENCE, exit=True)
        self.addCleanup(faulthandler.cancel_dump_traceback_later)
        self.server, self.clients = Server(*self.arguments), []
        self.addCleanup(self.end)

    def end(self):
        # First, so that no client waits for the answer to its goodbye.
        log = self.server.stop()
        for zk in self.clients:
            zk.stop()
            zk.close()
        self.assertNotIn("panic", log)

    def client(self, timeout=10.0, **options):
        """Returns a connected client of kazoo; `states` is the queue of its later states."""
        # Quick reconnects: kazoo's own pauses grow.
        options.setdefault("connection_retry", {"max_tries": -1, "delay": 0.02, "backoff": 1, "max_delay": 0.05})
        zk = KazooClient(hosts=self.server.hosts, timeout=timeout, **options)
        self.clients.append(zk)
        zk.states = queue.Queue()
        zk.start(timeout=PATIENCE)
        zk.add_listener(zk.states.put)
        return zk

    def state(self, zk):
        return zk.states.get(timeout=PATIENCE)

    def eventually(self, what, condition):
        """Waits for a condition, with a bound. Returns its value."""
        end = time.monotonic() + PATIENCE
        while not (value := condition()):
            self.assertLess(time.monotonic(), end, f"it did not become true: {what}")
            time.sleep(0.01)
        return value

    def ok(self, method, path, body=None, status=200, **options):
        """Returns the JSON of an answer with this status."""
        answer = self.server.send(method, path, body, **options)
        self.assertEqual(answer.status, status, answer)
        return answer.json

    def get(self, path):
        return self.ok("GET", path)

    def post(self, path, body=None):
        return self.ok("POST", path, body)

    def put(self, path, data=b"", status=201):
        return self.ok("PUT", f"/v1/nodes{path}", data, status)

    def refused(self, status, method, path, body=None, naming=(), headers=None):
        """Checks that an answer is an error as all errors are. Returns its message."""
        answer = self.server.send(method, path, body, headers)
        self.assertEqual(answer.status, status, answer)
        self.assertEqual(list(answer.json), ["error"], answer)
        error = answer.json["error"]
        self.assertEqual(set(error), {"code", "message"}, answer)
        self.assertIsInstance(error["code"], str)
        for word in [naming] if isinstance(naming, str) else naming:
            self.assertIn(word, error["message"], answer)
        return error["message"]

    def session_of(self, zk):
        # While kazoo tells of a new session it still has none.
        return hex(self.eventually("a session", lambda: zk.client_id)[0])

    def session(self, zk):
        """Returns the session of a client as `GET /v1/sessions` shows it, or `None`."""
        wanted = self.session_of(zk)
        return next((session for session in self.get("/v1/sessions") if session["id"] == wanted), None)

    def exists(self, path):
        answer = self.server.send("GET", f"/v1/tree?path={urllib.parse.quote(path)}&depth=0")
        self.assertIn(answer.status, (200, 404), answer)
        return answer.status == 200

    def overflow(self, zxid):
        """Writes until the history has forgotten this zxid."""
        connection = http.client.HTTPConnection(self.server.host, self.server.port, timeout=PATIENCE)
        try:
            for number in range(100_000):
                connection.request("PUT", "/v1/nodes/overflow", b"%d" % number)
                connection.getresponse().read()
                if number % 500 == 0 and self.server.send("GET", f"/v1/tree?path=/&depth=0&zxid={zxid}").status == 410:
                    return
        finally:
            connection.close()
        self.fail("the history has no end")
