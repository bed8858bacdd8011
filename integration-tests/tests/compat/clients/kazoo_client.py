"""Uses kazoo as a program does, one thing after the other; `ZK_HOSTS` names the server."""

import os

from kazoo.client import KazooClient
from kazoo.exceptions import BadVersionError, NodeExistsError, NoNodeError, NotEmptyError
from kazoo.protocol.states import WatchedEvent
from kazoo.security import make_digest_acl

PATIENCE = 10


def refused(error, call, *arguments, **named):
    try:
        call(*arguments, **named)
    except error:
        return
    raise AssertionError(f"{call} was not refused with {error}")


def connect():
    client = KazooClient(hosts=os.environ["ZK_HOSTS"], timeout=30)
    client.start(timeout=PATIENCE)
    return client


zk, other = connect(), connect()

# Nodes.
zk.create("/kazoo", b"one")
zk.create("/kazoo/ephemeral", ephemeral=True)
zk.create("/kazoo/s-", b"1", sequence=True)
zk.create("/kazoo/es-", ephemeral=True, sequence=True)
zk.create("/kazoo/with/parents", b"2", makepath=True, include_data=True)
refused(NodeExistsError, zk.create, "/kazoo")
refused(NoNodeError, zk.create, "/missing/node")
refused(NoNodeError, zk.get, "/missing")
zk.get("/kazoo")
zk.set("/kazoo", "grün".encode(), version=0)
refused(BadVersionError, zk.set, "/kazoo", b"stale", version=0)
zk.exists("/kazoo")
zk.exists("/missing")
zk.get_children("/kazoo", include_data=True)
refused(NotEmptyError, zk.delete, "/kazoo")
zk.delete("/kazoo/with", recursive=True)
zk.sync("/kazoo")

# Access.
zk.add_auth("digest", "user:password")
zk.create("/kazoo/mine", b"secret", acl=[make_digest_acl("user", "password", all=True)])
zk.get_acls("/kazoo/mine")
zk.set_acls("/kazoo/mine", [make_digest_acl("user", "password", read=True, admin=True)])
try:
    other.get("/kazoo/mine")
except Exception as error:
    assert "Auth" in type(error).__name__, error

# Transactions.
transaction = zk.transaction()
transaction.check("/kazoo", version=1)
transaction.create("/kazoo/t", b"t")
transaction.set_data("/kazoo/t", b"u")
transaction.create("/kazoo/t/e", ephemeral=True)
transaction.delete("/kazoo/t/e")
transaction.commit()
transaction = zk.transaction()
transaction.create("/kazoo/never")
transaction.check("/kazoo", version=99)
transaction.commit()

# Watches: set by one client, fired by the other.
events = []
for step in range(4):
    event = zk.handler.event_object()

    def note(seen: WatchedEvent, event=event):
        events.append((seen.type, seen.path))
        event.set()

    if step == 0:
        zk.get("/kazoo", watch=note)
        other.set("/kazoo", b"changed")
    elif step == 1:
        zk.get_children("/kazoo", watch=note)
        other.create("/kazoo/child")
    elif step == 2:
        zk.exists("/kazoo/later", watch=note)
        other.create("/kazoo/later")
    else:
        zk.get_children("/kazoo", watch=note)
        other.delete("/kazoo/later")
    assert event.wait(PATIENCE), step
assert len(events) == 4, events

# A recipe.
with zk.Lock("/kazoo/lock", "first"):
    assert other.Lock("/kazoo/lock", "second").contenders() == ["first"]
counter = zk.Counter("/kazoo/counter")
counter += 2
assert counter.value == 2

for client in (other, zk):
    client.stop()
    client.close()
