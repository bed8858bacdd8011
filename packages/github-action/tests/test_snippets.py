"""The snippets for three systems: their lines are run as these systems run them, with a wheel in the place of the index of PyPI."""

import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

from runner import read
from support import SNIPPETS, Case, word

RUN_TESTS = "#!/bin/sh\necho tests at $ZK_HOSTS\nzk-mini create --parents /tests/ran yes\n"


class Snippets(Case):
    @classmethod
    def setUpClass(cls):
        # Images have a Python into which one may install.
        folder = tempfile.TemporaryDirectory(prefix="zk-mini-snippets-")
        cls.addClassCleanup(folder.cleanup)
        cls.python = Path(folder.name)
        subprocess.run([sys.executable, "-m", "venv", cls.python], check=True)

    def setUp(self):
        super().setUp()
        self.job.environment["PATH"] = f"{self.python / 'bin'}:{self.job.environment['PATH']}"
        subprocess.run([self.python / "bin/pip", "uninstall", "--quiet", "--yes", "zk-mini"], check=True, stderr=subprocess.DEVNULL)
        self.tests = self.write("run-tests", RUN_TESTS)

    def lines(self, lines):
        self.job.steps([{"run": line} for line in lines], {})

    def check(self):
        self.assertFalse(self.job.failed, self.job.output)
        self.assertRegex(self.job.output, r"tests at 127\.0\.0\.1:\d+\n")

    def check_failure(self, run):
        self.job.output = ""
        self.tests.write_text(RUN_TESTS + "exit 3\n")
        run()
        self.assertTrue(self.job.failed)
        self.assertIn("/tests/ran created by request ", self.job.output)

    def test_github_actions_one_command(self):
        job = read(SNIPPETS / "github-actions.yml")["jobs"]["one-command"]
        self.job.steps(job["steps"], {})
        self.check()
        self.check_failure(lambda: self.job.steps(job["steps"], {}))

    def test_github_actions_several_steps(self):
        job = read(SNIPPETS / "github-actions.yml")["jobs"]["several-steps"]
        hosts = self.job.steps(job["steps"], {})["zk"]["hosts"]
        self.check()
        self.assertIn("\n/tests/ran\n", self.job.output)
        self.assertIn("zk-mini: stopped", self.job.output)
        self.assertIsNone(word(hosts, "ruok"))
        self.check_failure(lambda: self.job.steps(job["steps"], {}))
        self.assertIn("zk-mini: stopped", self.job.output)

    def test_gitlab_ci(self):
        job = read(SNIPPETS / "gitlab-ci.yml")["test"]
        self.lines(job["before_script"] + job["script"])
        self.check()
        self.check_failure(lambda: self.lines(job["script"]))

    def test_circleci(self):
        steps = read(SNIPPETS / "circleci.yml")["jobs"]["test"]["steps"]
        runs = [step["run"] for step in steps if step != "checkout"]
        lines = [run if isinstance(run, str) else run["command"] for run in runs]
        self.lines(lines)
        self.check()
        self.check_failure(lambda: self.lines(lines))


if __name__ == "__main__":
    unittest.main()
