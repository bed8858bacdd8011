"""A member of a serverset: answers Prometheus, and has an ephemeral node that it makes again with each new session."""

import json
import signal
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from kazoo.client import KazooClient, KazooState


class Metrics(BaseHTTPRequestHandler):
    """One metric."""

    def do_GET(self):
        """Answers each path alike."""
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.end_headers()
        self.wfile.write(b"answers 1\n")

    def log_message(self, *_words):
        """Says nothing."""


def main(hosts, path, port):
    """Serves until SIGTERM, which also removes the node."""
    zk = KazooClient(hosts, timeout=1.5)
    endpoint = {"host": "127.0.0.1", "port": int(port)}
    data = json.dumps({"serviceEndpoint": endpoint, "additionalEndpoints": {}, "status": "ALIVE", "shard": 0}).encode()
    lost, ends = threading.Event(), threading.Event()
    due = threading.Event()

    def changed(state):
        if state == KazooState.LOST:
            lost.set()
        elif state == KazooState.CONNECTED and lost.is_set():
            lost.clear()
            due.set()

    def end(*_words):
        ends.set()
        due.set()

    zk.add_listener(changed)
    signal.signal(signal.SIGTERM, end)
    server = ThreadingHTTPServer(("127.0.0.1", int(port)), Metrics)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    zk.start()
    due.set()
    while True:
        due.wait()
        due.clear()
        if ends.is_set():
            break
        zk.retry(zk.create, f"{path}/member_", data, ephemeral=True, sequence=True)
    zk.stop()


main(*sys.argv[1:])
