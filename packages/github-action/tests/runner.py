"""A small runner of composite actions and of steps of workflows: what GitHub's runner does with steps of the shell bash.

Expressions are names, such as `inputs.from`, and comparisons of a name with a text; everything else is an error.
"""

import os
import re
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from ruamel.yaml import YAML

LIMIT = 120
EXPRESSION = re.compile(r"\$\{\{\s*(.*?)\s*\}\}")


def read(path):
    return YAML(typ="safe", pure=True).load(Path(path))


@dataclass
class Job:
    """Files and variables that the steps of a job share."""

    folder: Path
    environment: dict
    failed: bool = False
    output: str = ""
    actions: dict = field(default_factory=dict)

    def __post_init__(self):
        self.temp = self.folder / "temp"
        self.temp.mkdir(exist_ok=True)

    def steps(self, steps, names, action_path=None):
        """Runs steps, and returns their outputs by id. A step after a failure needs a condition that says so."""
        outputs = {}
        for step in steps:
            scope = {**names, **{f"steps.{id}.outputs.{name}": value for id, found in outputs.items() for name, value in found.items()}}
            if self.holds(step.get("if"), scope):
                outputs[step.get("id", "")] = self.step(step, scope, action_path)
        return outputs

    def holds(self, condition, scope):
        """Says whether a step is run."""
        if condition is None or condition == "success()":
            return not self.failed
        if condition in ("always()", "failure()"):
            return condition == "always()" or self.failed
        name, operator, text = re.fullmatch(r"([a-z][\w.-]*) (==|!=) '(.*)'", condition).groups()
        return not self.failed and (value(name, scope) == text) == (operator == "==")

    def step(self, step, scope, action_path):
        if "uses" in step:
            return self.use(step, scope)
        assert set(step) <= {"id", "if", "name", "shell", "run", "env"}, step
        assert step.get("shell", "bash") == "bash", step
        return self.bash(filled(step["run"], scope), {name: filled(text, scope) for name, text in step.get("env", {}).items()}, action_path)

    def use(self, step, scope):
        """Runs an action of this repository; those of others only prepare a machine."""
        name = step["uses"]
        if not name.startswith("./"):
            assert name.startswith("actions/"), f"{name} is run by nobody here"
            return {}
        return self.action(self.actions[name], {key: filled(text, scope) for key, text in step.get("with", {}).items()})

    def action(self, folder, given):
        """Runs a composite action, and returns its outputs."""
        action = read(Path(folder) / "action.yml")
        inputs = action.get("inputs", {})
        assert set(given) <= set(inputs), f"{set(given) - set(inputs)} are no inputs of {folder}"
        names = {f"inputs.{name}": given.get(name, about.get("default", "")) for name, about in inputs.items()}
        assert action["runs"]["using"] == "composite"
        steps = action["runs"]["steps"]
        assert all("shell" in step for step in steps if "run" in step), "a composite action names its shells"
        # Success is that of the action's own steps.
        before, self.failed = self.failed, False
        found = self.steps(steps, names, action_path=folder)
        self.failed = self.failed or before
        scope = {f"steps.{id}.outputs.{name}": text for id, outputs in found.items() for name, text in outputs.items()}
        return {name: filled(about["value"], scope, missing="") for name, about in action.get("outputs", {}).items()}

    def bash(self, script, environment, action_path):
        """Runs a script as the runner does, and returns its outputs."""
        files = {name: self.folder / name.lower() for name in ("GITHUB_OUTPUT", "GITHUB_ENV", "GITHUB_PATH")}
        for file in files.values():
            file.write_text("")
        (self.folder / "step.sh").write_text(script)
        variables = {**self.environment, **environment, "RUNNER_TEMP": str(self.temp), **{name: str(file) for name, file in files.items()}}
        if action_path:
            variables["GITHUB_ACTION_PATH"] = str(action_path)
        command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", str(self.folder / "step.sh")]
        with open(self.folder / "output", "wb") as output:
            # A server in the background keeps its own files, so this ends with the shell.
            done = subprocess.run(command, env=variables, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=output, stderr=output, timeout=LIMIT)
        self.output += (self.folder / "output").read_text()
        self.failed = self.failed or done.returncode != 0
        self.environment.update(pairs(files["GITHUB_ENV"]))
        for folder in files["GITHUB_PATH"].read_text().split():
            self.environment["PATH"] = f"{folder}{os.pathsep}{self.environment['PATH']}"
        return dict(pairs(files["GITHUB_OUTPUT"]))


def pairs(file):
    return [line.split("=", 1) for line in file.read_text().splitlines() if line]


def value(name, scope, missing=None):
    """Returns what a name stands for. An output of a step that was not run is empty, as is one that a step has not set."""
    if name in scope or missing is None:
        return scope.get(name, "") if name.startswith("steps.") else scope[name]
    return missing


def filled(text, scope, missing=None):
    return EXPRESSION.sub(lambda found: value(found[1], scope, missing), str(text))
