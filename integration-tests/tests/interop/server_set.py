"""A server set as Twitter's library for Python has it: joins it, and prints its members whenever they change, one JSON list a line.

The library is twitter.common.zookeeper, which no longer installs; what it asks of names and data is asserted here.
"""

import json
import sys
import threading

from kazoo.client import KazooClient

PREFIX = "member_"


def unpack(name, data):
    """Reads a member. Its number is its name, and its name can be made of the number again."""
    number = int(name[len(PREFIX) :])
    assert f"{PREFIX}{number:010d}" == name, name
    member = json.loads(data)
    for key in ("status", "serviceEndpoint", "additionalEndpoints"):
        assert key in member, member
    endpoints = {None: member["serviceEndpoint"], **member["additionalEndpoints"]}
    assert all(isinstance(one["host"], str) and isinstance(one["port"], int) for one in endpoints.values()), member
    assert all(isinstance(value, str) for value in member.get("metadata", {}).values()), member
    return member


servers, path = sys.argv[1:]
client = KazooClient(hosts=servers)
client.start()
client.ensure_path(path)
own = {
    "serviceEndpoint": {"host": "10.0.0.9", "port": 9, "inet": "10.0.0.9"},
    "additionalEndpoints": {"http-admin": {"host": "10.0.0.9", "port": 99}},
    "status": "ALIVE",
    "shard": 5,
}
client.create(f"{path}/{PREFIX}", json.dumps(own).encode(), ephemeral=True, sequence=True)
client.create(f"{path}/vector_", b'{"vector": []}', ephemeral=True, sequence=True)


@client.ChildrenWatch(path)
def members(names):
    names = sorted(name for name in names if name.startswith(PREFIX))
    print(json.dumps([unpack(name, client.get(f"{path}/{name}")[0]) for name in names]), flush=True)


threading.Event().wait()
