"""The action: installing the program, a server in the background, a command with its own server, stopping."""

import functools
import hashlib
import http.server
import threading
import unittest
import urllib.request

from support import ACTION, PROGRAM, Case, word


class Action(Case):
    def start(self, **inputs):
        return self.job.action(ACTION, {"from": str(PROGRAM), **inputs})

    def test_a_server_runs_in_the_background_until_it_is_stopped(self):
        outputs = self.start()
        self.assertFalse(self.job.failed, self.job.output)
        self.assertEqual(word(outputs["hosts"], "ruok"), "imok")
        with urllib.request.urlopen(f"{outputs['http']}/v1/status", timeout=20) as answer:
            self.assertEqual(answer.status, 200)
        self.job.steps([{"run": "zk-mini ls / && echo $ZK_HOSTS $ZK_MINI_HTTP"}], {})
        self.assertIn(f"zookeeper\n{outputs['hosts']} {outputs['http']}\n", self.job.output)
        self.job.action(ACTION / "stop", {})
        self.assertFalse(self.job.failed, self.job.output)
        self.assertIn('stopping cause="SIGTERM"', self.job.output)
        self.assertIsNone(word(outputs["hosts"], "ruok"))

    def test_options_are_lines(self):
        tree = self.write("a tree.yaml", "/a b: {data: x}\n")
        outputs = self.start(options=f"--http=off\n\n--load={tree}\n")
        self.assertFalse(self.job.failed, self.job.output)
        self.assertEqual(outputs["http"], "")
        self.job.steps([{"run": "zk-mini get '/a b'; env | grep -c ZK_MINI_HTTP || true"}], {})
        self.assertTrue(self.job.output.endswith("\nx0\n"), self.job.output)

    def test_all_servers_of_an_ensemble_are_named(self):
        for options, has_http in [("--servers=3", True), ("--servers\n3\n--http=off", False)]:
            outputs = self.start(options=options)
            self.assertFalse(self.job.failed, self.job.output)
            hosts = outputs["hosts"].split(",")
            self.assertEqual((len(hosts), len(set(hosts))), (3, 3), outputs)
            for server in hosts:
                self.assertEqual(word(server, "ruok"), "imok")
            self.assertEqual(outputs["http"], f"http://{hosts[0]}" if has_http else "")
            self.job.steps([{"run": "echo at $ZK_HOSTS"}], {})
            self.assertIn(f"at {outputs['hosts']}\n", self.job.output)
            self.job.action(ACTION / "stop", {})
            self.assertFalse(self.job.failed, self.job.output)

    def test_several_servers_in_the_background_are_all_stopped(self):
        hosts = [self.start()["hosts"], self.start()["hosts"]]
        self.assertEqual([word(server, "ruok") for server in hosts], ["imok", "imok"])
        self.assertEqual(self.job.environment["ZK_HOSTS"], hosts[1])
        self.job.action(ACTION / "stop", {})
        self.assertFalse(self.job.failed, self.job.output)
        self.assertEqual([word(server, "ruok") for server in hosts], [None, None])
        self.assertEqual(self.job.output.count("zk-mini: stopped\n"), 2)
        self.job.action(ACTION / "stop", {})
        self.assertIn("no server was started", self.job.output)

    def test_a_server_that_does_not_start_says_why(self):
        self.start(options="--no-such-option")
        self.assertTrue(self.job.failed)
        self.assertIn("--no-such-option", self.job.output)
        self.assertIn("::error::zk-mini: the server has not started", self.job.output)

    def test_stop_without_a_server_succeeds(self):
        self.job.action(ACTION / "stop", {})
        self.assertFalse(self.job.failed)
        self.assertIn("no server was started", self.job.output)

    def test_a_command_has_a_server_of_its_own(self):
        self.start(command="zk-mini create '/it''s' \"$ZK_PORT\" >/dev/null\nzk-mini get /its\n# `false` $(false)", options="--fast")
        self.assertFalse(self.job.failed, self.job.output)
        self.assertRegex(self.job.output, r"\n\d+$")
        self.assertNotIn("ZK_HOSTS", self.job.environment)

    def test_a_command_that_fails_is_explained(self):
        self.start(command="zk-mini create /left-behind x | cat\nfalse | cat\necho not reached")
        self.assertTrue(self.job.failed)
        self.assertIn("zk-mini: the command ended with status 1; the ", self.job.output)
        self.assertIn("/left-behind created by request ", self.job.output)
        self.assertNotIn("not reached", self.job.output)

    def test_the_program_comes_by_pip(self):
        outputs = self.start(**{"from": "pip:zk-mini==0.0.1", "command": "zk-mini --version"})
        self.assertFalse(self.job.failed, self.job.output)
        self.assertNotEqual(outputs["program"], str(PROGRAM))

    def test_the_path_that_the_action_has_told_can_be_given_to_it(self):
        program = self.start(command="true")["program"]
        for source in (program, str(PROGRAM)):
            outputs = self.start(**{"from": source, "command": "zk-mini --version"})
            self.assertFalse(self.job.failed, self.job.output)
            self.assertEqual(outputs["program"], program)

    def test_the_program_comes_from_an_address_if_it_is_the_right_one(self):
        handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=PROGRAM.parent)
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        address = f"http://127.0.0.1:{server.server_port}/{PROGRAM.name}"
        sha256 = hashlib.sha256(PROGRAM.read_bytes()).hexdigest()
        for right in (sha256, sha256.upper()):
            self.start(**{"from": address, "sha256": right, "command": "zk-mini --version"})
            self.assertFalse(self.job.failed, self.job.output)
        for wrong, said in [("0" * 64, f"is {sha256}, not 000"), ("", "needs the input sha256")]:
            self.job.failed = False
            self.start(**{"from": address, "sha256": wrong, "command": "echo not reached"})
            self.assertTrue(self.job.failed)
            self.assertIn(said, self.job.output)

    def test_a_program_that_is_not_there_is_named(self):
        for source, said in [
            ("no/such/program", "from: no/such/program is no program"),
            (str(self.write("plain", "", 0o644)), "plain is no program"),
            (str(self.write("broken", "#!/bin/sh\nexit 1\n")), "broken does not run here"),
            ("pip:no-such-package-of-ours", "pip cannot install no-such-package-of-ours"),
            ("http://example.com/zk-mini", "from: http://example.com/zk-mini is no program"),
        ]:
            self.job.failed = False
            self.start(**{"from": source, "command": "echo not reached"})
            self.assertTrue(self.job.failed, source)
            self.assertIn(said, self.job.output)
            self.assertNotIn("not reached\n", self.job.output)


if __name__ == "__main__":
    unittest.main()
