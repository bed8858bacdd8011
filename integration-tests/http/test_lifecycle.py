"""Restart, reset, snapshot, restore."""

import http.client
import tempfile
import unittest

from server import ServerTest

YAML = {"Accept": "application/yaml"}


class Restart(ServerTest):
    def test_clients_come_back_with_their_sessions_and_http_goes_on(self):
        zk = self.client(timeout=30.0)
        zk.create("/e", b"mine", ephemeral=True)
        session = self.session_of(zk)
        kept = http.client.HTTPConnection(self.server.host, self.server.port, timeout=20)
        self.addCleanup(kept.close)
        for method, path in (("GET", "/v1/status"), ("POST", "/v1/restart"), ("GET", "/v1/status")):
            kept.request(method, path)
            answer = kept.getresponse()
            answer.read()
            self.assertEqual((answer.status, bool(kept.sock)), (200, True), "the connection is kept")
        self.assertEqual([self.state(zk), self.state(zk)], ["SUSPENDED", "CONNECTED"])
        self.assertEqual(self.session_of(zk), session)
        self.assertEqual(zk.get("/e")[0], b"mine")

    def test_what_is_in_memory_only_can_be_lost(self):
        self.put("/a")
        self.post("/v1/restart?lose_unsynced=true")
        self.assertFalse(self.exists("/a"))
        self.refused(400, "POST", "/v1/restart?lose_unsynced=perhaps", naming="lose_unsynced")

    def test_a_reset_leaves_no_node_and_no_session(self):
        zk = self.client(timeout=30.0)
        zk.create("/a")
        before = self.session_of(zk)
        fault = self.post("/v1/faults", {"when": {"op": "create", "path": "/none"}, "then": {"fail": "NONODE"}})
        self.post("/v1/reset")
        self.assertFalse(self.exists("/a"))
        self.assertNotIn(before, [session["id"] for session in self.get("/v1/sessions")])
        self.eventually("LOST", lambda: self.state(zk) == "LOST")
        self.assertEqual(self.state(zk), "CONNECTED")
        self.assertTrue(zk.create("/a"))
        self.assertEqual([rule["id"] for rule in self.get("/v1/faults")], [fault["id"]], "rules stay until they are removed")


class RestartWithDirectory(ServerTest):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.arguments = ("--data-dir", folder.name)
        super().setUp()

    def test_what_is_on_disk_is_there_after_a_restart(self):
        self.put("/a", b"kept")
        for path in ("/v1/restart", "/v1/restart?lose_unsynced=true"):
            self.post(path)
            self.assertEqual(self.get("/v1/tree?path=/a")["data"], "kept", "it was synced")


class Snapshots(ServerTest):
    def restore(self, body, kind):
        return self.server.send("POST", "/v1/restore", body, {"Content-Type": kind})

    def test_a_snapshot_has_the_format_of_zookeeper_and_can_be_restored(self):
        zk = self.client()
        zk.create("/a", b"one")
        answer = self.server.send("GET", "/v1/snapshot")
        self.assertEqual((answer.status, answer.headers["content-type"]), (200, "application/octet-stream"))
        self.assertTrue(answer.body.startswith(b"ZKSN"))
        zk.set("/a", b"two")
        zk.create("/b")
        restored = self.restore(answer.body, "application/octet-stream")
        self.assertEqual(restored.status, 200, restored)
        self.assertEqual(self.get("/v1/tree?path=/a")["data"], "one")
        self.assertFalse(self.exists("/b"))

    def test_a_snapshot_can_be_read_and_restored_as_yaml(self):
        self.put("/a/b", b"text")
        answer = self.server.send("GET", "/v1/snapshot", headers=YAML)
        self.assertEqual((answer.status, answer.headers["content-type"].partition(";")[0]), (200, "application/yaml"))
        self.assertIn("text", answer.text)
        self.ok("DELETE", "/v1/nodes/a?recursive=true")
        restored = self.restore(answer.body, "application/yaml")
        self.assertEqual(restored.status, 200, restored)
        self.assertEqual(self.get("/v1/tree?path=/a/b")["data"], "text")

    def test_a_written_tree_is_restored(self):
        restored = self.restore(b"/services: {}\n/services/echo: {data: hello}\n", "application/yaml")
        self.assertEqual(restored.status, 200, restored)
        self.assertEqual(self.client().get("/services/echo")[0], b"hello")

    def test_nothing_changes_if_it_is_refused(self):
        self.put("/a", b"kept")
        zk = self.client()
        snapshot = self.server.send("GET", "/v1/snapshot").body
        before = self.get("/v1/status")
        for body, kind in [
            (b"no snapshot", "application/octet-stream"),
            (snapshot[:-5], "application/octet-stream"),
            (b"ZKSN", "application/octet-stream"),
            (b"", "application/octet-stream"),
            (b"/a: [", "application/yaml"),
            (b"a: b", "application/yaml"),
            (b"/a: {}", "text/html"),
        ]:
            with self.subTest(body=body[:20], kind=kind):
                answer = self.restore(body, kind)
                self.assertIn(answer.status, (400, 415, 422), answer)
                self.assertEqual(set(answer.json["error"]), {"code", "message"})
        self.assertEqual(self.get("/v1/status"), before)
        self.assertEqual(self.get("/v1/tree?path=/a")["data"], "kept")
        self.assertTrue(zk.states.empty())

    def test_clients_learn_of_a_restored_tree(self):
        zk = self.client(timeout=30.0)
        snapshot = self.server.send("GET", "/v1/snapshot").body
        zk.create("/a")
        self.assertEqual(self.restore(snapshot, "application/octet-stream").status, 200)
        self.eventually("it can go on", lambda: zk.retry(zk.exists, "/a") is None)


if __name__ == "__main__":
    unittest.main()
