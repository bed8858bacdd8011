"""`GET /v1/status`, `GET /v1/tree`, `PUT` and `DELETE /v1/nodes`."""

import base64
import queue
import unittest

from server import PATIENCE, ServerTest

STAT = {
    "czxid", "mzxid", "ctime", "mtime", "version", "cversion", "aversion", "ephemeralOwner", "dataLength", "numChildren", "pzxid",
}
NODE = {"path", "name", "data", "encoding", "stat", "children"}


class Status(ServerTest):
    def test_it_has_figures_of_the_server(self):
        status = self.get("/v1/status")
        self.assertLessEqual(
            {
                "api", "version", "compat", "last_zxid", "nodes", "sessions", "connections", "watches", "clock", "servers",
            },
            set(status),
        )
        self.assertEqual(status["api"], 1)
        self.assertEqual((status["clock"], status["servers"]), ("real", 1))
        self.assertRegex(status["last_zxid"], "^0x(0|[1-9a-f][0-9a-f]*)$")
        self.assertEqual((status["sessions"], status["connections"], status["watches"]), (0, 0, 0))
        self.assertIsInstance(status["version"], str)
        self.assertRegex(status["compat"], r"^3\.[89]")

    def test_it_counts_what_clients_do(self):
        before = self.get("/v1/status")
        zk = self.client()
        zk.create("/a")
        zk.exists("/a", watch=lambda event: None)
        status = self.get("/v1/status")
        self.assertEqual(status["nodes"], before["nodes"] + 1)
        self.assertEqual((status["sessions"], status["connections"], status["watches"]), (1, 1, 1))
        self.assertEqual(status["last_zxid"], hex(zk.last_zxid))


class Tree(ServerTest):
    def test_it_begins_at_the_root_with_its_children(self):
        self.put("/a/b", b"deep")
        root = self.get("/v1/tree")
        self.assertLessEqual(NODE, set(root))
        self.assertEqual((root["path"], root["name"]), ("/", "/"))
        self.assertEqual(sorted(child["name"] for child in root["children"]), ["a", "zookeeper"])
        a = next(child for child in root["children"] if child["name"] == "a")
        self.assertEqual((a["path"], a["children"], a["stat"]["numChildren"]), ("/a", [], 1))

    def test_depth_says_how_far_down_it_goes(self):
        self.put("/a/b/c", b"x")
        self.assertEqual(self.get("/v1/tree?path=/a&depth=0")["children"], [])
        one = self.get("/v1/tree?path=/a&depth=1")["children"]
        self.assertEqual(([child["path"] for child in one], one[0]["children"]), (["/a/b"], []))
        two = self.get("/v1/tree?path=/a&depth=2")["children"][0]["children"]
        self.assertEqual([(child["path"], child["name"], child["data"]) for child in two], [("/a/b/c", "c", "x")])
        self.refused(400, "GET", "/v1/tree?depth=-1")
        self.refused(400, "GET", "/v1/tree?depth=deep")

    def test_the_stat_has_the_fields_of_zookeeper(self):
        zk = self.client()
        zk.create("/a", b"data", ephemeral=True)
        _, real = zk.get("/a")
        stat = self.get("/v1/tree?path=/a")["stat"]
        self.assertEqual(set(stat), STAT)
        for name in STAT - {"czxid", "mzxid", "pzxid", "ephemeralOwner"}:
            self.assertEqual(stat[name], getattr(real, name), name)
        for name in ("czxid", "mzxid", "pzxid"):
            self.assertEqual(stat[name], hex(getattr(real, name)), name)
        self.assertEqual(stat["ephemeralOwner"], self.session_of(zk))
        zk.create("/kept")
        self.assertEqual(self.get("/v1/tree?path=/kept")["stat"]["ephemeralOwner"], "0x0")

    def test_data_is_text_or_base64_or_null(self):
        zk = self.client()
        for path, data in (("/text", "grün".encode()), ("/empty", b""), ("/binary", b"\xff\x00")):
            zk.create(path, data)
        node = self.get("/v1/tree?path=/text")
        self.assertEqual((node["data"], node["encoding"]), ("grün", "utf8"))
        node = self.get("/v1/tree?path=/empty")
        self.assertEqual((node["data"], node["encoding"]), ("", "utf8"))
        node = self.get("/v1/tree?path=/binary")
        self.assertEqual((base64.b64decode(node["data"]), node["encoding"]), (b"\xff\x00", "base64"))

    def test_null_data_is_null(self):
        self.ok("POST", "/v1/restore", b"/n: {data: null}\n", headers={"Content-Type": "application/yaml"})
        node = self.get("/v1/tree?path=/n")
        self.assertEqual((node["data"], node["encoding"]), (None, "null"))

    def test_the_past_is_shown_by_zxid(self):
        zk = self.client()
        zk.create("/a", b"one")
        then = zk.last_zxid
        zk.set("/a", b"two")
        zk.delete("/a")
        for text in (hex(then), f"0x{then:016X}"):
            self.assertEqual(self.get(f"/v1/tree?path=/a&zxid={text}")["data"], "one")
        self.refused(404, "GET", "/v1/tree?path=/a")
        self.refused(404, "GET", f"/v1/tree?path=/a&zxid={hex(then - 1)}")
        self.refused(400, "GET", "/v1/tree?path=/a&zxid=five")

    def test_an_unknown_path_is_not_found_and_a_malformed_one_is_refused(self):
        self.refused(404, "GET", "/v1/tree?path=/none", naming="/none")
        self.refused(400, "GET", "/v1/tree?path=none", naming="none")
        self.refused(400, "GET", "/v1/tree?path=/a/")


class Nodes(ServerTest):
    def test_a_node_is_created_with_its_parents_and_then_set(self):
        made = self.put("/a/b/c", b"one", status=201)
        self.assertEqual((made["path"], set(made["stat"])), ("/a/b/c", STAT))
        again = self.put("/a/b/c", b"two", status=200)
        self.assertEqual((again["path"], again["stat"]["version"]), ("/a/b/c", 1))
        zk = self.client()
        self.assertEqual(zk.get("/a/b/c")[0], b"two")
        self.assertEqual(zk.get("/a/b")[0], b"")

    def test_a_body_of_any_type_is_data(self):
        for kind in (None, "application/x-www-form-urlencoded", "text/plain", "application/octet-stream"):
            answer = self.server.send("PUT", "/v1/nodes/a", b"\x00\xff", {"Content-Type": kind} if kind else {})
            self.assertIn(answer.status, (200, 201), answer)
        self.assertEqual(self.client().get("/a")[0], b"\x00\xff")

    def test_a_path_may_have_any_characters(self):
        made = self.put("/gr%C3%BCn%20und/a%2Bb", b"x")
        self.assertEqual(made["path"], "/grün und/a+b")
        self.assertTrue(self.client().exists("/grün und/a+b"))

    def test_a_write_has_a_zxid_and_its_watches_fire(self):
        zk, events = self.client(), queue.Queue()
        zk.exists("/a", watch=events.put)
        made = self.put("/a")
        event = events.get(timeout=PATIENCE)
        self.assertEqual((event.type, event.path), ("CREATED", "/a"))
        self.assertEqual(made["stat"]["czxid"], self.get("/v1/status")["last_zxid"])
        zk.exists("/a", watch=events.put)
        self.put("/a", b"new", status=200)
        self.assertEqual(events.get(timeout=PATIENCE).type, "CHANGED")
        zk.exists("/a", watch=events.put)
        self.ok("DELETE", "/v1/nodes/a")
        self.assertEqual(events.get(timeout=PATIENCE).type, "DELETED")

    def test_an_ephemeral_node_belongs_to_the_named_session(self):
        zk = self.client()
        owner = self.session_of(zk)
        made = self.ok("PUT", f"/v1/nodes/a/e?ephemeral_owner={owner.upper().replace('X', 'x')}", b"", 201)
        self.assertEqual(made["stat"]["ephemeralOwner"], owner)
        self.assertEqual(self.session(zk)["ephemerals"], ["/a/e"])
        zk.stop()
        self.assertFalse(self.exists("/a/e"))
        self.refused(404, "PUT", "/v1/nodes/f?ephemeral_owner=0x1234", b"", naming="0x1234")
        self.refused(400, "PUT", "/v1/nodes/f?ephemeral_owner=me", b"")

    def test_a_sequential_node_gets_a_number(self):
        self.assertEqual(self.put("/q/n-?sequential=true")["path"], "/q/n-0000000000")
        self.assertEqual(self.put("/q/n-?sequential=true")["path"], "/q/n-0000000001")

    def test_a_node_with_children_is_deleted_recursively_only(self):
        self.put("/a/b/c")
        self.refused(409, "DELETE", "/v1/nodes/a", naming="recursive")
        self.assertTrue(self.exists("/a/b/c"))
        deleted = self.ok("DELETE", "/v1/nodes/a?recursive=true")
        self.assertEqual(deleted["path"], "/a")
        self.assertFalse(self.exists("/a"))
        self.refused(404, "DELETE", "/v1/nodes/a", naming="/a")

    def test_a_malformed_path_is_refused(self):
        before = self.get("/v1/status")
        for path in ("/v1/nodes/a//b", "/v1/nodes/a/./b", "/v1/nodes/a%00"):
            self.refused(400, "PUT", path, b"")
        self.refused(400, "PUT", "/v1/nodes/a?sequentiell=true", b"", naming="sequential")
        self.assertEqual(self.get("/v1/status"), before, "nothing was written")


class SmallRing(ServerTest):
    """The history is a ring of bounded size."""

    arguments = ("--history", "100")

    def test_a_zxid_older_than_the_ring_is_gone(self):
        first = self.put("/a")["stat"]["czxid"]
        self.overflow(first)
        self.refused(410, "GET", f"/v1/tree?path=/&zxid={first}", naming=first)


if __name__ == "__main__":
    unittest.main()
