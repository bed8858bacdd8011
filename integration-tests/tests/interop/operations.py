"""Tests of every basic operation of a ZooKeeper server, by kazoo; `ZK_HOSTS` is the address of the server.

The Rust tests run them on zk-mini and on Apache ZooKeeper.
"""

import os
import queue
import socket
import unittest

from kazoo.client import KazooClient
from kazoo.exceptions import (
    BadVersionError,
    NoChildrenForEphemeralsError,
    NodeExistsError,
    NoNodeError,
    NotEmptyError,
)
from kazoo.protocol.states import EventType

PATIENCE = 10


class Operations(unittest.TestCase):
    def setUp(self):
        self.root = f"/{self.id()}"
        self.zk = self.connect()
        self.zk.create(self.root)

    def connect(self, **options):
        zk = KazooClient(hosts=os.environ["ZK_HOSTS"], **options)
        zk.start(timeout=PATIENCE)
        self.addCleanup(zk.close)
        self.addCleanup(zk.stop)
        return zk

    def path(self, name):
        return f"{self.root}/{name}"

    def test_a_node_is_created_read_changed_and_deleted(self):
        zk, path = self.zk, self.path("node")
        self.assertEqual(zk.create(path, b"one"), path)
        data, created = zk.get(path)
        self.assertEqual((data, created.version, created.dataLength), (b"one", 0, 3))
        self.assertEqual((created.czxid, created.ephemeralOwner), (created.mzxid, 0))
        changed = zk.set(path, b"three", version=0)
        self.assertEqual((changed.version, changed.czxid), (1, created.czxid))
        self.assertGreater(changed.mzxid, created.mzxid)
        self.assertEqual(zk.exists(path), changed)
        zk.delete(path, version=1)
        self.assertIsNone(zk.exists(path))

    def test_create2_returns_the_stat_too(self):
        path, stat = self.zk.create(self.path("node"), b"data", include_data=True)
        self.assertEqual(stat, self.zk.exists(path))

    def test_each_refusal_has_its_error(self):
        zk = self.zk
        with self.assertRaises(NoNodeError):
            zk.get(self.path("none"))
        with self.assertRaises(NoNodeError):
            zk.create(self.path("none/child"))
        with self.assertRaises(NodeExistsError):
            zk.create(self.root)
        zk.create(self.path("node"))
        with self.assertRaises(NotEmptyError):
            zk.delete(self.root)
        with self.assertRaises(BadVersionError):
            zk.set(self.path("node"), b"", version=7)
        with self.assertRaises(BadVersionError):
            zk.delete(self.path("node"), version=7)
        zk.create(self.path("ephemeral"), ephemeral=True)
        with self.assertRaises(NoChildrenForEphemeralsError):
            zk.create(self.path("ephemeral/child"))

    def test_sequence_numbers_count_the_children_ever_created(self):
        zk = self.zk
        zk.create(self.path("first"))
        self.assertEqual(zk.create(self.path("n-"), sequence=True), self.path("n-0000000001"))
        zk.delete(self.path("n-0000000001"))
        self.assertEqual(zk.create(self.path("n-"), sequence=True, ephemeral=True), self.path("n-0000000002"))

    def test_children_come_with_the_stat_of_their_parent(self):
        zk = self.zk
        for name in ("b", "a", "c"):
            zk.create(self.path(name))
        zk.delete(self.path("b"))
        children, stat = zk.get_children(self.root, include_data=True)
        self.assertEqual(sorted(children), ["a", "c"])
        self.assertEqual((stat.numChildren, stat.cversion), (2, 4))
        self.assertEqual(sorted(zk.get_children(self.root)), ["a", "c"])

    def test_sync_answers_with_its_path(self):
        self.assertEqual(self.zk.sync(self.root), self.root)

    def test_each_watch_fires_once(self):
        zk, other, events = self.zk, self.connect(), queue.Queue()
        path = self.path("node")
        zk.exists(path, watch=events.put)
        other.create(path)
        self.assertEqual(self.next_event(events), (EventType.CREATED, path))
        zk.get(path, watch=events.put)
        other.set(path, b"new")
        self.assertEqual(self.next_event(events), (EventType.CHANGED, path))
        other.set(path, b"not watched")
        zk.get_children(path, watch=events.put)
        other.create(f"{path}/child")
        self.assertEqual(self.next_event(events), (EventType.CHILD, path))
        other.delete(f"{path}/child")
        zk.exists(path, watch=events.put)
        other.delete(path)
        self.assertEqual(self.next_event(events), (EventType.DELETED, path))
        zk.sync("/")
        self.assertTrue(events.empty())

    def test_ephemeral_nodes_go_when_their_session_is_closed(self):
        owner, events = self.connect(), queue.Queue()
        path = owner.create(self.path("e"), ephemeral=True)
        self.assertEqual(self.zk.exists(path, watch=events.put).ephemeralOwner, owner.client_id[0])
        owner.stop()
        self.assertEqual(self.next_event(events), (EventType.DELETED, path))
        self.assertIsNone(self.zk.exists(path))

    def test_a_session_and_its_nodes_outlive_the_connection(self):
        owner, states = self.connect(timeout=PATIENCE), queue.Queue()
        session = owner.client_id
        path = owner.create(self.path("e"), b"before", ephemeral=True)
        created, seen = self.zk.exists(path), queue.Queue()
        owner.DataWatch(path, lambda data, stat: seen.put(data))
        self.assertEqual(seen.get(timeout=PATIENCE), b"before")
        owner.add_listener(states.put)
        owner._connection._socket.shutdown(socket.SHUT_RDWR)
        self.assertEqual(states.get(timeout=PATIENCE), "SUSPENDED")
        self.assertEqual(states.get(timeout=PATIENCE), "CONNECTED")
        self.assertEqual(owner.client_id, session)
        self.assertEqual(self.zk.exists(path), created)
        self.zk.set(path, b"after")
        self.assertEqual(seen.get(timeout=PATIENCE), b"after")

    def test_a_closed_session_cannot_be_resumed(self):
        owner = self.connect()
        session = owner.client_id
        owner.stop()
        self.assertNotEqual(self.connect(client_id=session).client_id[0], session[0])

    def test_a_session_needs_its_password(self):
        owner = self.connect()
        session = owner.client_id[0]
        path = owner.create(self.path("e"), ephemeral=True)
        stranger = self.connect(client_id=(session, b"wrong password.."))
        self.assertNotEqual(stranger.client_id[0], session)
        self.assertEqual(self.zk.exists(path).ephemeralOwner, session)

    def next_event(self, events):
        event = events.get(timeout=PATIENCE)
        return event.type, event.path


if __name__ == "__main__":
    unittest.main()
