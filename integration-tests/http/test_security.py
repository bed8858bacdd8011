"""Who may ask, and how errors look."""

import socket
import tempfile
import unittest

from server import PATIENCE, ServerTest


class Errors(ServerTest):
    def test_the_frameworks_own_errors_are_json_too(self):
        self.refused(404, "GET", "/v1/nothing", naming="/v1/openapi.json")
        self.refused(404, "GET", "/v1/")
        self.refused(405, "DELETE", "/v1/status", naming="DELETE")
        self.refused(405, "GET", "/v1/restart", naming="GET")
        self.refused(400, "POST", "/v1/clock", b'{"mode":', headers={"Content-Type": "application/json"})
        self.refused(400, "GET", "/v1/tree?path=%ff")
        self.refused(413, "PUT", "/v1/nodes/a", b"x" * (2 << 20))

    def test_an_answer_to_head_has_no_body(self):
        answer = self.server.send("HEAD", "/v1/status")
        self.assertEqual((answer.status, answer.body), (200, b""))

    def test_a_long_head_is_refused(self):
        answer = self.server.send("GET", "/v1/status", headers={"X-Long": "x" * (1 << 20)})
        self.assertEqual(answer.status, 431)


class WebPages(ServerTest):
    def asked(self, headers, method="GET", path="/v1/status", body=None):
        return self.server.send(method, path, body, headers).status

    def test_only_a_loopback_host_is_served(self):
        port = self.server.port
        for host in (
            f"localhost:{port}", f"127.0.0.1:{port}", "127.0.0.1", "localhost", "LOCALHOST:1", "127.0.0.1:9", f"[::1]:{port}",
        ):
            with self.subTest(host=host):
                self.assertEqual(self.asked({"Host": host}), 200)
        for host in ("example.com", f"example.com:{port}", "10.0.0.1", f"localhost.example.com:{port}", "127.0.0.1.nip.io"):
            with self.subTest(host=host):
                self.refused(403, "GET", "/v1/status", headers={"Host": host})

    def test_the_origin_must_be_the_host_with_its_port(self):
        host = f"localhost:{self.server.port}"
        for origin in (f"http://{host}", f"https://{host}"):
            self.assertEqual(self.asked({"Host": host, "Origin": origin}), 200)
        for origin in ("null", "http://localhost:3000", "http://localhost", "http://example.com", f"http://127.0.0.1:{self.server.port}"):
            with self.subTest(origin=origin):
                self.refused(403, "GET", "/v1/status", headers={"Host": host, "Origin": origin})

    def test_a_request_from_another_site_is_refused(self):
        for site in ("same-origin", "none"):
            self.assertEqual(self.asked({"Sec-Fetch-Site": site}), 200)
        for site in ("cross-site", "same-site", "else"):
            with self.subTest(site=site):
                self.refused(403, "GET", "/v1/status", headers={"Sec-Fetch-Site": site})

    def test_a_post_as_form_or_text_is_refused_with_the_remedy(self):
        for kind in ("application/x-www-form-urlencoded", "text/plain", "text/plain;charset=UTF-8", "multipart/form-data; boundary=x"):
            with self.subTest(kind=kind):
                self.refused(415, "POST", "/v1/clock", b'{"mode":"manual"}', "curl --json", {"Content-Type": kind})
        self.assertEqual(self.get("/v1/status")["clock"], "real")

    def test_a_post_without_a_body_needs_no_type(self):
        self.assertEqual(self.server.send("POST", "/v1/freeze").status, 200)

    def test_there_is_no_cross_origin_sharing(self):
        answer = self.server.send("OPTIONS", "/v1/status", headers={"Origin": f"http://{self.server.hosts}"})
        self.assertEqual(answer.status, 403)
        for headers in (answer.headers, self.server.send("GET", "/v1/status").headers):
            self.assertFalse([name for name in headers if name.startswith("access-control")])

    def test_no_get_changes_anything(self):
        self.put("/a", b"x")
        before = self.get("/v1/tree?path=/&depth=10"), self.get("/v1/status")
        calls = self.get("/v1/openapi.json")["paths"]
        for path, methods in calls.items():
            if "get" in methods and path != "/v1/events":
                self.server.send("GET", path.replace("{", "").replace("}", ""))
        self.assertEqual((self.get("/v1/tree?path=/&depth=10"), self.get("/v1/status")), before)


class Port(ServerTest):
    def test_zookeeper_and_http_share_the_port(self):
        zk = self.client()
        self.assertEqual(self.get("/v1/status")["connections"], 1, "HTTP is not counted")
        with socket.create_connection((self.server.host, self.server.port), PATIENCE) as word:
            word.sendall(b"ruok")
            self.assertEqual(word.recv(10), b"imok")
        self.assertTrue(zk.exists("/"))

    def test_http_is_answered_while_connects_are_refused(self):
        self.post("/v1/faults", {"when": {"connect": True}, "then": {"refuse": True}})
        self.assertEqual(self.get("/v1/status")["api"], 1)

    def test_the_description_names_every_call(self):
        paths = self.get("/v1/openapi.json")["paths"]
        calls = {f"{method.upper()} {path}" for path, methods in paths.items() for method in methods}
        for call in (
            "GET /v1/status", "GET /v1/tree", "GET /v1/sessions", "POST /v1/sessions/expire", "GET /v1/connections", "GET /v1/clock",
            "POST /v1/clock", "POST /v1/faults", "GET /v1/faults", "DELETE /v1/faults", "GET /v1/explain", "GET /v1/history",
            "GET /v1/events", "POST /v1/restart", "POST /v1/reset", "POST /v1/freeze", "POST /v1/thaw", "GET /v1/snapshot",
            "POST /v1/restore",
        ):
            self.assertIn(call, calls)


class OtherMachines(ServerTest):
    """A listener that other machines can reach."""

    arguments = ("--listen", "0.0.0.0:0")

    def test_http_is_off_and_says_what_turns_it_on(self):
        self.refused(403, "GET", "/v1/status", naming="--http-token-file")
        for path in ("/", "/metrics", "/commands"):
            self.assertEqual(self.server.send("GET", path).status, 403)
        self.client().create("/a")


class OpenParts(ServerTest):
    arguments = ("--listen", "0.0.0.0:0", "--http-open", "metrics,commands")

    def test_they_alone_are_open(self):
        for path in ("/metrics", "/commands", "/commands/ruok"):
            self.assertEqual(self.server.send("GET", path).status, 200)
        self.refused(403, "GET", "/v1/status")
        self.assertEqual(self.server.send("POST", "/command/RESET").status, 403)
        self.assertEqual(self.server.send("GET", "/").status, 403)


class Token(ServerTest):
    def setUp(self):
        token = tempfile.NamedTemporaryFile("w", suffix=".token")
        self.addCleanup(token.close)
        token.write("correct-horse-battery\n")
        token.flush()
        self.arguments = ("--listen", "0.0.0.0:0", "--http-token-file", token.name)
        super().setUp()

    def test_every_request_needs_it(self):
        for value in (None, "Bearer wrong-horse-battery", "correct-horse-battery", "Basic correct-horse-battery", "Bearer "):
            with self.subTest(value=value):
                headers = {"Authorization": value} if value else {}
                self.refused(401, "GET", "/v1/status", headers=headers)
                self.assertEqual(self.server.send("GET", "/metrics", headers=headers).status, 401)
                self.assertEqual(self.server.send("POST", "/command/RESET", headers=headers).status, 401)
        bearer = {"Authorization": "Bearer correct-horse-battery"}
        self.assertEqual(self.server.send("GET", "/v1/status", headers=bearer).status, 200)
        self.assertEqual(self.server.send("GET", "/metrics", headers=bearer).status, 200)
        self.assertEqual(self.server.send("POST", "/v1/freeze", headers=bearer).status, 200)


class FewConnections(ServerTest):
    arguments = ("--max-client-cnxns", "1")

    def test_the_limit_concerns_zookeeper_connections_only(self):
        zk = self.client()
        for _ in range(3):
            self.get("/v1/status")
        self.assertTrue(zk.exists("/"))


if __name__ == "__main__":
    unittest.main()
