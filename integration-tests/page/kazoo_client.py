"""A client of kazoo that does what it is told, a line of JSON at a time: `["create", "/a", "data", true]`.

    kazoo_client.py HOST:PORT TIMEOUT

Its first line is the id of its session. Each answer is `{"result": ...}` or `{"error": ...}`.
"""

import json
import sys
import threading
import time

from kazoo.client import KazooClient, KazooState


class Client:
    def __init__(self, hosts, timeout):
        self.states = []
        self.changed = threading.Condition()
        self.client = KazooClient(hosts, timeout=timeout)
        self.client.add_listener(self.hear)
        self.client.start(timeout=30)

    def hear(self, state):
        with self.changed:
            self.states.append(state)
            self.changed.notify_all()

    def session(self):
        return f"0x{self.client.client_id[0]:x}"

    def create(self, path, data="", ephemeral=False, sequence=False):
        return self.client.create(path, data.encode(), ephemeral=ephemeral, sequence=sequence, makepath=True)

    def set(self, path, data):
        return self.client.set(path, data.encode()).version

    def delete(self, path):
        self.client.delete(path)

    def exists(self, path):
        return self.client.exists(path) is not None

    def read(self, path, number):
        """Asks many times whether a node exists."""
        pending = [self.client.exists_async(path) for _ in range(number)]
        for result in pending:
            result.get(timeout=60)

    def watch(self, path):
        self.client.get(path, watch=lambda event: None)

    def watch_children(self, path):
        self.client.get_children(path, watch=lambda event: None)

    def wait_lost(self):
        """Waits until the session is reported as lost."""
        with self.changed:
            return self.changed.wait_for(lambda: KazooState.LOST in self.states, timeout=30)

    def fill(self, parent, number):
        """Creates many nodes below another."""
        self.client.ensure_path(parent)
        pending = [self.client.create_async(f"{parent}/n{index:06}", b"x") for index in range(number)]
        for result in pending:
            result.get(timeout=60)

    def storm(self, parent, number, rate, seconds):
        """Sets, deletes and creates nodes below another, about `rate` times a second. Returns how often."""
        begin = time.monotonic()
        done, pending = 0, []
        while (passed := time.monotonic() - begin) < seconds:
            while done < passed * rate:
                path = f"{parent}/n{done * 7 % number:06}"
                if done % 3 == 0:
                    pending += [self.client.delete_async(path), self.client.create_async(path, b"y")]
                    done += 2
                else:
                    pending.append(self.client.set_async(path, str(done).encode()))
                    done += 1
            for result in pending:
                result.wait(timeout=60)
            pending = []
            time.sleep(0.005)
        return done


def main():
    client = Client(sys.argv[1], float(sys.argv[2]))
    print(json.dumps({"result": client.session()}), flush=True)
    for line in sys.stdin:
        name, *arguments = json.loads(line)
        try:
            answer = {"result": getattr(client, name)(*arguments)}
        except Exception as error:
            answer = {"error": f"{name}: {error!r}"}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
