"""kazoo's rows: `resolve HOSTS PATH TIMES COUNT` prints milliseconds, `subscribe HOSTS PATH COUNT` prints when
subscribers have seen a change, in nanoseconds since 1970."""

import sys
import threading
import time

from kazoo.client import KazooClient

printing = threading.Lock()


def connect(hosts):
    client = KazooClient(hosts=hosts, timeout=40)
    client.start()
    return client


def resolve(hosts, path, times, count):
    client = connect(hosts)
    for _ in range(int(times)):
        begun = time.monotonic()
        found = {name: client.get(f"{path}/{name}")[0] for name in client.get_children(path)}
        millis = (time.monotonic() - begun) * 1e3
        assert len(found) == int(count)
        print(millis, flush=True)
    client.stop()


class View:
    """What one subscriber knows: a ChildrenWatch, and a DataWatch for each child."""

    def __init__(self, hosts, path):
        self.client, self.path, self.data, self.began = connect(hosts), path, {}, threading.Event()
        self.client.ChildrenWatch(path, self.listed)

    def listed(self, names):
        for name in names:
            if name not in self.data:
                self.data[name] = None
                self.client.DataWatch(f"{self.path}/{name}", self.reader(name))

    def reader(self, name):
        def read(data, stat):
            self.data[name] = data
            if self.began.is_set():
                with printing:
                    print(time.time_ns(), flush=True)

        return read


def subscribe(hosts, path, count):
    views = [View(hosts, path) for _ in range(int(count))]
    for view in views:
        assert len(view.data) == 1
        view.began.set()
    print("ready", flush=True)
    threading.Event().wait()


{"resolve": resolve, "subscribe": subscribe}[sys.argv[1]](*sys.argv[2:])
