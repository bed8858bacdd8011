"""Sessions, connections, watches: what they are, and what is done to them."""

import queue
import socket
import time
import unittest

from server import PATIENCE, ServerTest


class Sessions(ServerTest):
    def test_a_session_is_listed_with_all_that_it_has(self):
        self.assertEqual(self.get("/v1/sessions"), [])
        zk = self.client(timeout=8.0)
        zk.create("/e", ephemeral=True)
        zk.exists("/e", watch=lambda event: None)
        session, = self.get("/v1/sessions")
        self.assertLessEqual(
            {"id", "timeout_ms", "connected", "client", "last_heard_ms", "expires_in_ms", "ephemerals", "watches"}, set(session)
        )
        self.assertEqual((session["id"], session["timeout_ms"], session["connected"]), (self.session_of(zk), 8000, True))
        self.assertEqual((session["ephemerals"], session["watches"]), (["/e"], 1))
        self.assertRegex(session["client"], r"^127\.0\.0\.1:\d+$")
        self.assertGreaterEqual(session["last_heard_ms"], 0)
        self.assertLessEqual(session["expires_in_ms"], 8400)

    def test_a_session_that_is_expired_is_lost_for_its_client(self):
        zk, other, events = self.client(), self.client(), queue.Queue()
        zk.create("/e", ephemeral=True)
        other.exists("/e", watch=events.put)
        session = self.session_of(zk)
        self.assertEqual(self.post(f"/v1/sessions/{session}/expire"), {"sessions": [session]})
        self.assertFalse(self.exists("/e"), "all of it has happened")
        self.assertEqual(events.get(timeout=PATIENCE).type, "DELETED")
        while (state := self.state(zk)) != "LOST":
            self.assertEqual(state, "SUSPENDED")
        self.assertEqual(self.state(zk), "CONNECTED")
        self.assertNotEqual(self.session_of(zk), session, "a new session")
        self.assertNotIn("LOST", other.states.queue)

    def test_the_owner_of_a_node_is_expired(self):
        zk = self.client()
        zk.create("/e", ephemeral=True)
        session = self.session_of(zk)
        self.assertEqual(self.post("/v1/sessions/expire", {"owner_of": "/e"}), {"sessions": [session]})
        self.assertFalse(self.exists("/e"))
        self.put("/kept")
        self.refused(404, "POST", "/v1/sessions/expire", {"owner_of": "/none"}, naming="/none")
        self.refused(404, "POST", "/v1/sessions/expire", {"owner_of": "/kept"}, naming="/kept")
        self.refused(400, "POST", "/v1/sessions/expire", {"owner_of": "none"})

    def test_all_sessions_are_expired(self):
        clients = [self.client(), self.client()]
        before = {self.session_of(zk) for zk in clients}
        ended = self.post("/v1/sessions/expire", {"all": True})
        self.assertEqual(set(ended["sessions"]), before)
        for zk in clients:
            self.eventually("LOST", lambda zk=zk: self.state(zk) == "LOST")

    def test_what_to_expire_must_be_said(self):
        for body in ({}, {"all": False}, {"all": True, "owner_of": "/a"}, {"everything": True}, [], "all"):
            with self.subTest(body=body):
                self.refused(400, "POST", "/v1/sessions/expire", body)
        self.refused(400, "POST", "/v1/sessions/expire")

    def test_a_disconnected_session_lives_on(self):
        zk = self.client()
        session = self.session_of(zk)
        answer = self.post(f"/v1/sessions/{session}/disconnect")
        self.assertEqual(answer, {"sessions": [session]})
        self.assertEqual(self.state(zk), "SUSPENDED")
        self.assertEqual(self.state(zk), "CONNECTED")
        self.assertEqual(self.session_of(zk), session)

    def test_a_frozen_session_is_silent_until_it_is_thawed(self):
        zk, other = self.client(timeout=30.0), self.client()
        session = self.session_of(zk)
        self.assertEqual(self.post(f"/v1/sessions/{session}/freeze"), {"sessions": [session]})
        pending = zk.create_async("/late")
        self.assertTrue(self.get("/v1/connections"))
        other.create("/other")
        self.assertFalse(pending.ready())
        self.assertEqual([c["frozen"] for c in self.get("/v1/connections") if c["session"] == session], [True])
        self.assertEqual([c["frozen"] for c in self.get("/v1/connections") if c["session"] != session], [False])
        self.assertEqual(self.post(f"/v1/sessions/{session}/thaw"), {"sessions": [session]})
        self.assertEqual(pending.get(timeout=PATIENCE), "/late")

    def test_a_frozen_session_expires_as_time_goes(self):
        zk = self.client(timeout=30.0)
        zk.create("/e", ephemeral=True)
        session = self.session_of(zk)
        self.post("/v1/clock", {"mode": "manual"})
        self.post(f"/v1/sessions/{session}/freeze")
        self.post("/v1/clock", {"advance_ms": 31_000})
        self.assertFalse(self.exists("/e"))
        self.assertNotIn(session, [other["id"] for other in self.get("/v1/sessions")])
        self.assertTrue(zk.states.empty(), "nothing is sent to it")
        self.post(f"/v1/sessions/{session}/thaw")
        self.assertEqual([self.state(zk), self.state(zk), self.state(zk)], ["SUSPENDED", "LOST", "CONNECTED"])

    def test_freezing_silences_later_connections_too(self):
        zk = self.client(timeout=20.0)
        session = self.session_of(zk)
        first, = self.get("/v1/connections")
        self.post(f"/v1/sessions/{session}/freeze")
        zk._connection._socket.shutdown(socket.SHUT_RDWR)
        self.assertEqual(self.state(zk), "SUSPENDED")
        # It comes back, and is not answered.
        self.eventually("a connection", lambda: any(c["frozen"] and c["id"] != first["id"] for c in self.get("/v1/connections")))
        self.assertTrue(zk.states.empty())
        self.post(f"/v1/sessions/{session}/thaw")
        self.assertEqual(self.state(zk), "CONNECTED")
        self.assertEqual(self.session_of(zk), session)

    def test_an_unknown_session_is_not_found_and_a_malformed_id_is_refused(self):
        for action in ("expire", "disconnect", "freeze", "thaw"):
            with self.subTest(action=action):
                self.refused(404, "POST", f"/v1/sessions/0x1234/{action}", naming="0x1234")
                self.refused(400, "POST", f"/v1/sessions/me/{action}", naming="me")

    def test_an_id_is_read_in_any_case_with_zeros(self):
        zk = self.client()
        self.post(f"/v1/sessions/0x{zk.client_id[0]:016X}/disconnect")
        self.assertEqual(self.state(zk), "SUSPENDED")


class Connections(ServerTest):
    def test_a_connection_is_listed(self):
        self.assertEqual(self.get("/v1/connections"), [])
        zk = self.client()
        connection, = self.get("/v1/connections")
        self.assertLessEqual({"id", "client", "session", "since_ms", "frozen"}, set(connection))
        self.assertEqual((connection["session"], connection["frozen"]), (self.session_of(zk), False))
        self.assertRegex(connection["client"], r"^127\.0\.0\.1:\d+$")
        self.assertGreaterEqual(connection["since_ms"], 0)
        zk.stop()
        self.eventually("no connection", lambda: self.get("/v1/connections") == [])


class Server(ServerTest):
    def test_a_frozen_server_stalls_and_nobody_expires(self):
        zk = self.client(timeout=1.0)
        zk.create("/e", ephemeral=True)
        session = self.session_of(zk)
        self.post("/v1/freeze")
        begin = time.monotonic()
        # The client's own timeout is over when it gives the connection up.
        self.assertEqual(self.state(zk), "SUSPENDED")
        self.assertTrue(self.exists("/e"))
        self.eventually("longer than the timeout", lambda: time.monotonic() > begin + 2)
        self.assertEqual(self.get("/v1/sessions")[0]["id"], session)
        self.post("/v1/thaw")
        self.assertEqual(self.state(zk), "CONNECTED")
        self.assertEqual(self.session_of(zk), session)
        self.assertTrue(zk.exists("/e"))

    def test_what_was_sent_meanwhile_is_handled_at_the_thaw(self):
        zk = self.client(timeout=30.0)
        self.post("/v1/freeze")
        pending = zk.create_async("/late")
        self.assertFalse(self.exists("/late"))
        self.post("/v1/thaw")
        self.assertEqual(pending.get(timeout=PATIENCE), "/late")

    def test_at_the_thaw_what_was_sent_comes_before_what_is_due(self):
        zk = self.client(timeout=20.0)
        zk.create("/e", ephemeral=True)
        session = self.session_of(zk)
        self.post("/v1/clock", {"mode": "manual"})
        self.post("/v1/freeze")
        pending = zk.create_async("/late")
        self.post("/v1/clock", {"advance_ms": 60_000})
        self.assertTrue(self.exists("/e"), "nobody expires until the thaw")
        self.post("/v1/thaw")
        self.assertEqual(pending.get(timeout=PATIENCE), "/late")
        self.assertEqual(self.session(zk)["id"], session)


class Clock(ServerTest):
    def test_it_is_real_and_can_be_made_manual(self):
        self.assertEqual(self.get("/v1/clock")["mode"], "real")
        self.assertEqual(self.post("/v1/clock", {"mode": "manual"})["mode"], "manual")
        self.assertEqual(self.get("/v1/status")["clock"], "manual")
        self.assertEqual(self.post("/v1/clock", {"mode": "real"})["mode"], "real")
        self.assertEqual(self.get("/v1/status")["clock"], "real")

    def test_time_stands_still_and_goes_on_by_steps(self):
        self.post("/v1/clock", {"mode": "manual"})
        first = self.put("/a")["stat"]["ctime"]
        self.assertLess(abs(first - time.time() * 1000), PATIENCE * 1000, "it goes on from the present time")
        self.assertEqual(self.put("/b")["stat"]["ctime"], first)
        self.post("/v1/clock", {"advance_ms": 5000})
        self.assertEqual(self.put("/c")["stat"]["ctime"], first + 5000)

    def test_what_a_step_causes_has_been_performed_when_it_answers(self):
        zk, other, events = self.client(timeout=5.0), self.client(timeout=50.0), queue.Queue()
        zk.create("/e", ephemeral=True)
        other.exists("/e", watch=events.put)
        self.post("/v1/clock", {"mode": "manual"})
        self.post(f"/v1/sessions/{self.session_of(zk)}/freeze")
        self.post("/v1/clock", {"advance_ms": 4000})
        self.assertTrue(self.exists("/e"))
        self.post("/v1/clock", {"advance_ms": 2000})
        self.assertFalse(self.exists("/e"))
        self.assertEqual(events.get(timeout=PATIENCE).type, "DELETED")

    def test_a_real_clock_cannot_be_advanced_and_no_clock_turned_back(self):
        self.refused(409, "POST", "/v1/clock", {"advance_ms": 1}, naming="manual")
        self.post("/v1/clock", {"mode": "manual"})
        self.refused(400, "POST", "/v1/clock", {"advance_ms": -1}, naming="-1")
        for body in ({}, {"mode": "slow"}, {"advance": 1}, {"advance_ms": "1"}, {"mode": "manual", "advance_ms": 1, "x": 1}):
            with self.subTest(body=body):
                self.refused(400, "POST", "/v1/clock", body)


if __name__ == "__main__":
    unittest.main()
