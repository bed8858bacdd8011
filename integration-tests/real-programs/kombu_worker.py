"""A process that uses kombu's SimpleQueue: an order a line on standard input, an answer a line on standard output, both JSON."""

import json
import sys
import time
from queue import Empty

from kazoo.exceptions import SessionExpiredError
from kombu import Connection


def main(url):
    """Obeys until standard input ends."""
    connection = Connection(url)
    queue = connection.SimpleQueue("orders")

    def get():
        try:
            message = queue.get(timeout=2)
        except Empty:
            return "empty"
        message.ack()
        return message.payload

    def put(text, priority):
        while True:
            try:
                queue.put(text, priority=priority)
                return "done"
            except SessionExpiredError:
                # A slow start of the server has cost the session before the put was sent; kazoo makes a new one.
                time.sleep(0.1)

    def disconnected():
        while queue.producer.channel.client.connected:
            time.sleep(0.02)

    orders = {
        "put": put,
        "get": get,
        "disconnected": disconnected,
        "delete": queue.queue.delete,
    }
    for line in sys.stdin:
        order, *words = json.loads(line)
        print(json.dumps(orders[order](*words)), flush=True)


main(sys.argv[1])
