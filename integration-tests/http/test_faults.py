"""Fault rules, as real clients meet them."""

import queue
import time
import unittest

from kazoo.client import KazooClient
from kazoo.exceptions import ConnectionLoss, NoNodeError
from kazoo.handlers.threading import KazooTimeoutError

from server import PATIENCE, ServerTest


class Rules(ServerTest):
    def add(self, when, then):
        rule = self.post("/v1/faults", {"when": when, "then": then})
        self.assertEqual(rule["fired"], 0)
        return rule["id"]

    def fired(self, fault):
        return next(rule["fired"] for rule in self.get("/v1/faults") if rule["id"] == fault)

    def test_rules_are_added_listed_and_removed(self):
        self.assertEqual(self.get("/v1/faults"), [])
        first = self.add({"op": "create", "path": "/services/**", "nth": 2}, {"fail": "NONODE"})
        second = self.add({"connect": True}, {"refuse": True})
        listed = self.get("/v1/faults")
        self.assertEqual([(rule["id"], rule["fired"]) for rule in listed], [(first, 0), (second, 0)])
        self.assertEqual(self.server.send("DELETE", f"/v1/faults/{first}").status // 100, 2)
        self.assertEqual([rule["id"] for rule in self.get("/v1/faults")], [second])
        self.refused(404, "DELETE", f"/v1/faults/{first}", naming=str(first))
        self.refused(400, "DELETE", "/v1/faults/first", naming="first")
        self.assertEqual(self.server.send("DELETE", "/v1/faults").status // 100, 2)
        self.assertEqual(self.get("/v1/faults"), [])

    def test_the_list_shows_the_rule_as_it_was_given(self):
        rules = [
            ({"op": "create", "path": "/services/**", "nth": 2}, {"fail": "NONODE"}),
            ({"op": ["create", "create2"], "every": 3, "times": 1}, {"delay_ms": 500}),
            ({"op": "*", "probability": 0.1, "seed": 7}, {"drop": "after_apply"}),
            ({"event": "NodeDeleted", "path": "/a"}, {"drop_event": True}),
            ({"reattach": True}, {"refuse": True}),
            ({"expiry": True}, {"hold_ephemerals_ms": 30000}),
            ({"op": "setData"}, {"silent": "before_apply"}),
        ]
        for when, then in rules:
            self.add(when, then)
        for (when, then), listed in zip(rules, self.get("/v1/faults"), strict=True):
            with self.subTest(when=when):
                self.assertLessEqual(when.items(), listed["when"].items())
                self.assertEqual(then, listed["then"])

    def test_a_request_fails_with_a_named_code(self):
        zk = self.client()
        zk.create("/services")
        fault = self.add({"op": "create", "path": "/services/**", "nth": 2}, {"fail": "NONODE"})
        zk.create("/services/1")
        with self.assertRaises(NoNodeError):
            zk.create("/services/2")
        zk.create("/services/3")
        self.assertEqual(self.fired(fault), 1)
        self.assertEqual(sorted(zk.get_children("/services")), ["1", "3"])

    def test_the_session_of_a_rule_is_the_only_one_that_meets_it(self):
        zk, other = self.client(), self.client()
        fault = self.add({"op": "*", "session": self.session_of(zk), "path": "/a"}, {"fail": "NONODE"})
        other.create("/a")
        with self.assertRaises(NoNodeError):
            zk.get("/a")
        self.assertEqual(other.get("/a")[0], b"")
        self.assertEqual(self.fired(fault), 1)

    def test_several_operations_and_every_and_times(self):
        zk = self.client()
        zk.create("/a")
        self.add({"op": ["getData", "exists"], "path": "/a", "every": 2, "times": 2}, {"fail": "NONODE"})
        seen = []
        for call in (zk.get, zk.exists, zk.get, zk.exists, zk.get, zk.exists):
            try:
                seen.append(call("/a") is not None)
            except NoNodeError:
                seen.append(False)
        self.assertEqual(seen, [True, False, True, False, True, True])

    def test_a_probability_with_a_seed_is_the_same_each_time(self):
        zk = self.client()
        zk.create("/a")
        runs = []
        for _ in range(2):
            fault = self.add({"op": "getData", "probability": 0.5, "seed": 7}, {"fail": "NONODE"})
            run = []
            for _ in range(20):
                try:
                    run.append(bool(zk.get("/a")))
                except NoNodeError:
                    run.append(False)
            runs.append(run)
            self.assertEqual(self.fired(fault), run.count(False))
            self.server.send("DELETE", f"/v1/faults/{fault}")
        self.assertEqual(runs[0], runs[1])
        self.assertEqual(len(set(runs[0])), 2)

    def test_a_reply_is_lost_after_the_write_was_done(self):
        zk = self.client()
        fault = self.add({"op": "create", "path": "/a", "times": 1}, {"drop": "after_apply"})
        with self.assertRaises(ConnectionLoss):
            zk.create("/a")
        self.assertEqual(self.fired(fault), 1)
        self.assertTrue(self.exists("/a"))
        self.assertEqual([self.state(zk), self.state(zk)], ["SUSPENDED", "CONNECTED"])

    def test_a_request_is_lost_before_it_was_done(self):
        zk = self.client()
        self.add({"op": "create", "path": "/a", "times": 1}, {"drop": "before_apply"})
        with self.assertRaises(ConnectionLoss):
            zk.create("/a")
        self.assertFalse(self.exists("/a"))

    def test_a_silent_server_keeps_the_connection(self):
        zk = self.client(timeout=30.0)
        before = self.get("/v1/connections")
        self.add({"op": "create", "path": "/done"}, {"silent": "after_apply"})
        self.add({"op": "create", "path": "/ignored"}, {"silent": "before_apply"})
        done, ignored = zk.create_async("/done"), None
        self.eventually("it is applied", lambda: self.exists("/done"))
        ignored = zk.create_async("/ignored")
        self.eventually("both fired", lambda: [rule["fired"] for rule in self.get("/v1/faults")] == [1, 1])
        self.assertFalse(self.exists("/ignored"))
        self.assertFalse(done.ready() or ignored.ready())
        self.assertEqual([c["id"] for c in self.get("/v1/connections")], [c["id"] for c in before])

    def test_a_request_is_delayed(self):
        zk = self.client()
        zk.create("/a")
        self.add({"op": "getData", "path": "/a", "times": 1}, {"delay_ms": 500})
        begin = time.monotonic()
        zk.get("/a")
        self.assertGreaterEqual(time.monotonic() - begin, 0.5)

    def test_an_event_is_dropped(self):
        zk, events = self.client(), queue.Queue()
        zk.create("/a")
        zk.create("/b")
        fault = self.add({"event": "NodeDeleted", "path": "/a"}, {"drop_event": True})
        zk.exists("/a", watch=events.put)
        zk.exists("/b", watch=events.put)
        self.ok("DELETE", "/v1/nodes/a")
        self.ok("DELETE", "/v1/nodes/b")
        self.assertEqual(events.get(timeout=PATIENCE).path, "/b")
        zk.sync("/")
        self.assertTrue(events.empty())
        self.assertEqual(self.fired(fault), 1)

    def test_every_handshake_is_refused(self):
        zk = self.client(timeout=30.0)
        session = self.session_of(zk)
        fault = self.add({"connect": True}, {"refuse": True})
        self.post(f"/v1/sessions/{session}/disconnect")
        self.assertEqual(self.state(zk), "SUSPENDED")
        self.eventually("it tries again", lambda: self.fired(fault) >= 2)
        with self.assertRaises(KazooTimeoutError):
            self.client_within(1.0)
        self.assertTrue(zk.states.empty())
        self.server.send("DELETE", f"/v1/faults/{fault}")
        self.assertEqual(self.state(zk), "CONNECTED")
        self.assertEqual(self.session_of(zk), session)

    def client_within(self, seconds):
        zk = KazooClient(hosts=self.server.hosts)
        try:
            zk.start(timeout=seconds)
        finally:
            zk.stop()
            zk.close()

    def test_a_client_that_comes_back_is_told_that_it_has_expired(self):
        zk = self.client(timeout=30.0)
        zk.create("/e", ephemeral=True)
        session = self.session_of(zk)
        self.add({"reattach": True, "times": 1}, {"refuse": True})
        self.post(f"/v1/sessions/{session}/disconnect")
        self.assertEqual([self.state(zk), self.state(zk), self.state(zk)], ["SUSPENDED", "LOST", "CONNECTED"])
        self.assertNotEqual(self.session_of(zk), session)
        self.assertIn(session, [other["id"] for other in self.get("/v1/sessions")], "the session itself stays")
        self.assertTrue(self.exists("/e"))

    def test_ephemerals_are_held_after_the_end_of_their_session(self):
        zk = self.client()
        zk.create("/e", ephemeral=True)
        session = self.session_of(zk)
        self.post("/v1/clock", {"mode": "manual"})
        self.add({"expiry": True}, {"hold_ephemerals_ms": 30000})
        self.assertEqual(self.post(f"/v1/sessions/{session}/expire"), {"sessions": [session]})
        self.assertNotIn(session, [other["id"] for other in self.get("/v1/sessions")])
        self.assertTrue(self.exists("/e"), "held nodes go later")
        self.post("/v1/clock", {"advance_ms": 29000})
        self.assertTrue(self.exists("/e"))
        self.post("/v1/clock", {"advance_ms": 1000})
        self.assertFalse(self.exists("/e"))

    def test_the_cases_of_every_kind_can_be_narrowed(self):
        zk = self.client()
        cases = {"session": self.session_of(zk), "nth": 1, "times": 1, "probability": 1.0, "seed": 7}
        for when, then in [
            ({"op": "create", "path": "/a"}, {"fail": "NONODE"}),
            ({"event": "NodeCreated", "path": "/a"}, {"drop_event": True}),
            ({"connect": True}, {"refuse": True}),
            ({"reattach": True}, {"refuse": True}),
            ({"expiry": True}, {"hold_ephemerals_ms": 1}),
        ]:
            for narrowed in (cases, {"every": 2}):
                with self.subTest(when=when, narrowed=narrowed):
                    self.add({**when, **narrowed}, then)

    def test_a_star_without_a_path_means_all_but_pings(self):
        zk = self.client(timeout=1.0)
        fault = self.add({"op": "*"}, {"fail": "NONODE"})
        # It pings three times within its timeout, and lives on.
        self.eventually(
            "longer than its timeout, by pings",
            lambda: self.session(zk)["expires_in_ms"] > 0 and self.get("/v1/connections")[0]["since_ms"] > 2500,
        )
        self.assertEqual(self.fired(fault), 0)
        with self.assertRaises(NoNodeError):
            zk.sync("/")
        self.assertEqual(self.fired(fault), 1)

    def test_a_star_with_a_path_means_requests_that_have_one(self):
        zk = self.client()
        fault = self.add({"op": "*", "path": "/a/**"}, {"fail": "NONODE"})
        zk.create("/a")
        for call in (zk.create, zk.get, zk.get_children):
            with self.assertRaises(NoNodeError):
                call("/a/b")
        self.assertEqual(self.fired(fault), 3)

    def test_what_is_no_rule_is_refused_with_the_reason(self):
        good, then = {"op": "create"}, {"fail": "NONODE"}
        for body, naming in [
            ({}, "when"),
            ({"when": good}, "then"),
            ({"when": good, "then": then, "name": "x"}, "name"),
            ({"when": {**good, "pth": "/a"}, "then": then}, "pth"),
            ({"when": {"op": "creat"}, "then": then}, "creat"),
            ({"when": {"op": []}, "then": then}, "op"),
            ({"when": {"op": "create", "event": "NodeDeleted"}, "then": then}, "event"),
            ({"when": {"event": "NodeGone"}, "then": {"drop_event": True}}, "NodeGone"),
            ({"when": {"connect": False}, "then": {"refuse": True}}, "connect"),
            ({"when": {"connect": True, "path": "/a"}, "then": {"refuse": True}}, "path"),
            ({"when": {}, "then": then}, "op"),
            ({"when": {**good, "path": "a"}, "then": then}, "a"),
            ({"when": {**good, "path": "/**/a"}, "then": then}, "**"),
            ({"when": {**good, "nth": 0}, "then": then}, "nth"),
            ({"when": {**good, "nth": -1}, "then": then}, "nth"),
            ({"when": {**good, "probability": 1.5}, "then": then}, "probability"),
            ({"when": {**good, "session": "me"}, "then": then}, "me"),
            ({"when": good, "then": {"fail": "NO_NODE"}}, "NONODE"),
            ({"when": good, "then": {"drop": "sometimes"}}, "before_apply"),
            ({"when": good, "then": {"drop": "after_apply", "delay_ms": 1}}, "delay_ms"),
            ({"when": good, "then": {}}, "fail"),
            ({"when": good, "then": {"drop_event": True}}, ""),
            ({"when": good, "then": {"delay_ms": -1}}, "-1"),
            ({"when": {"expiry": True}, "then": then}, ""),
        ]:
            with self.subTest(body=body):
                self.refused(400, "POST", "/v1/faults", body, naming=naming)
        self.assertEqual(self.get("/v1/faults"), [])


if __name__ == "__main__":
    unittest.main()
