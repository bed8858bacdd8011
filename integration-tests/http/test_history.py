"""What has happened: the explanation of a node, the history, the stream of events."""

import json
import unittest

from server import ServerTest

ENTRY = {"seq", "zxid", "time", "kind", "session", "path", "what", "because"}


class Explain(ServerTest):
    def test_it_tells_the_changes_of_a_node_with_who_made_them(self):
        zk = self.client()
        zk.create("/x", b"1")
        zk.set("/x", b"2")
        zk.create("/x/child")
        explained = self.get("/v1/explain?path=/x")
        self.assertEqual((explained["path"], explained["exists"]), ("/x", True))
        history = explained["history"]
        self.assertEqual([change["what"] for change in history], ["created", "changed"], "only changes of that node")
        for change in history:
            self.assertLessEqual({"zxid", "time", "what", "session", "client", "xid", "because"}, set(change))
            self.assertEqual(change["session"], self.session_of(zk))
            self.assertRegex(change["client"], r"127\.0\.0\.1:\d+")
            self.assertIsInstance(change["because"], str)
        stat = self.get("/v1/tree?path=/x")["stat"]
        self.assertEqual([change["zxid"] for change in history], [stat["czxid"], stat["mzxid"]])
        zk.delete("/x/child")
        zk.delete("/x")
        explained = self.get("/v1/explain?path=/x")
        self.assertEqual((explained["exists"], explained["history"][-1]["what"]), (False, "deleted"))

    def test_a_deletion_by_expiry_names_the_session_that_ended(self):
        zk = self.client()
        zk.create("/e", ephemeral=True)
        session = self.session_of(zk)
        self.post("/v1/clock", {"mode": "manual"})
        self.post(f"/v1/sessions/{session}/freeze")
        self.post("/v1/clock", {"advance_ms": 60_000})
        deletion = self.get("/v1/explain?path=/e")["history"][-1]
        self.assertEqual((deletion["what"], deletion["session"]), ("deleted", session))
        self.assertIn(session, deletion["because"])
        self.assertIn("expired", deletion["because"])

    def test_a_deletion_by_a_test_that_expires_the_session_says_so_too(self):
        zk = self.client()
        zk.create("/e", ephemeral=True)
        session, = self.post("/v1/sessions/expire", {"owner_of": "/e"})["sessions"]
        deletion = self.get("/v1/explain?path=/e")["history"][-1]
        self.assertEqual((deletion["what"], deletion["session"]), ("deleted", session))
        self.assertIn(session, deletion["because"])
        self.assertIn("expired", deletion["because"])

    def test_what_was_written_by_http_has_no_session(self):
        self.put("/x")
        change, = self.get("/v1/explain?path=/x")["history"]
        self.assertEqual((change["what"], change["session"]), ("created", None))

    def test_an_unknown_path_has_no_history(self):
        unknown = {"path": "/none", "exists": False, "history": []}
        self.assertLessEqual(unknown.items(), self.get("/v1/explain?path=/none").items())
        self.refused(400, "GET", "/v1/explain?path=none", naming="none")
        self.refused(400, "GET", "/v1/explain")


class History(ServerTest):
    def test_entries_are_listed_in_order(self):
        zk = self.client()
        zk.create("/a")
        zk.set("/a", b"2")
        entries = self.get("/v1/history")
        for entry in entries:
            self.assertLessEqual(ENTRY, set(entry))
            self.assertIsInstance(entry["seq"], int)
        seqs = [entry["seq"] for entry in entries]
        self.assertEqual(seqs, sorted(set(seqs)))
        about = [entry for entry in entries if entry["path"] == "/a" and entry["zxid"]]
        self.assertEqual(about[-1]["zxid"], self.get("/v1/status")["last_zxid"])
        self.assertTrue(all(entry["session"] == self.session_of(zk) for entry in about))

    def test_it_can_be_asked_for_a_part(self):
        zk, other = self.client(), self.client()
        zk.create("/a")
        since = zk.last_zxid
        zk.create("/a/b")
        other.create("/c")
        self.assertEqual({entry["path"] for entry in self.get("/v1/history?path=/a/**")}, {"/a/b"})
        self.assertEqual({entry["session"] for entry in self.get(f"/v1/history?session={self.session_of(other)}")}, {self.session_of(other)})
        later = [entry for entry in self.get(f"/v1/history?since={hex(since)}") if entry["zxid"]]
        self.assertTrue(later)
        self.assertTrue(all(int(entry["zxid"], 16) > since for entry in later), later)
        self.assertEqual(len(self.get("/v1/history?limit=2")), 2)
        for query in ("since=first", "session=me", "limit=-1", "limit=all", "path=a", "pth=/a", "story=yes"):
            with self.subTest(query=query):
                self.refused(400, "GET", f"/v1/history?{query}")

    def test_the_story_is_all_but_requests_that_went_well(self):
        zk = self.client()
        zk.create("/a")
        for read in [zk.get_async("/a") for _ in range(2000)]:
            read.get()
        self.assertIsNone(zk.exists("/none"))
        story = [(entry["kind"], entry["what"], entry["error"]) for entry in self.get("/v1/history?story=true&limit=3")]
        self.assertEqual(story, [("connect", "opened", None), ("transaction", "created", None), ("request", "exists", "NONODE")])
        self.assertEqual({entry["kind"] for entry in self.get("/v1/history?story=false&limit=3")}, {"request"})


class Events(ServerTest):
    def test_entries_come_as_they_happen(self):
        stream = self.server.events()
        self.addCleanup(stream.close)
        self.assertEqual(stream.response.getheader("content-type").partition(";")[0], "text/event-stream")
        zk = self.client()
        zk.create("/a")
        event = stream.until(lambda entry: entry["path"] == "/a" and entry["zxid"])
        entry = json.loads(event["data"])
        self.assertEqual((event["id"].partition("-")[0], event["event"]), (str(entry["seq"]), entry["kind"]))
        self.assertIn(entry, self.get("/v1/history"))
        self.assertEqual(entry["session"], self.session_of(zk))

    def test_headers_are_sent_at_once(self):
        stream = self.server.events()  # returns when they have come, while nothing happens
        stream.close()

    def test_a_stream_goes_on_behind_the_last_event(self):
        for path in ("/a", "/b", "/c"):
            self.put(path)
        first = self.get("/v1/history")[0]["seq"]
        stream = self.server.events(headers={"Last-Event-ID": str(first)})
        self.addCleanup(stream.close)
        self.assertEqual(int(stream.next()["id"].partition("-")[0]), first + 1)
        stream.until(lambda entry: entry["path"] == "/c")
        self.refused(400, "GET", "/v1/events", headers={"Last-Event-ID": "last"})

    def test_streams_go_on_through_a_restart_and_a_reset(self):
        stream = self.server.events()
        self.addCleanup(stream.close)
        self.post("/v1/restart")
        self.put("/after-restart")
        stream.until(lambda entry: entry["path"] == "/after-restart")
        self.post("/v1/reset")
        self.put("/after-reset")
        stream.until(lambda entry: entry["path"] == "/after-reset")

    def test_they_come_from_a_frozen_server_too(self):
        self.post("/v1/freeze")
        stream = self.server.events()
        self.addCleanup(stream.close)
        self.put("/a")
        stream.until(lambda entry: entry["path"] == "/a")


class ShortHistory(ServerTest):
    arguments = ("--history", "100")

    def test_a_stream_says_how_many_it_has_missed(self):
        stream = self.server.events(headers={"Last-Event-ID": "0"})
        self.put("/a")
        stream.until(lambda entry: entry["path"] == "/a")
        stream.close()
        self.overflow(self.get("/v1/tree?path=/a&depth=0")["stat"]["czxid"])
        stream = self.server.events(headers={"Last-Event-ID": "1"})
        self.addCleanup(stream.close)
        event = stream.next()
        self.assertEqual(event["event"], "missed")
        self.assertRegex(event["data"], r"\d+")


if __name__ == "__main__":
    unittest.main()
