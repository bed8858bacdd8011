"""A server for each test of `unittest`."""

from __future__ import annotations

import sys
import unittest
from collections.abc import Mapping
from typing import Any, ClassVar, Optional

from ._server import ZkMini


class ZkMiniTestCase(unittest.TestCase):
    """Base of test cases that have a server each, ``self.zk``: also in ``setUp``. A failed test shows what happened last in it."""

    zk: ZkMini
    # Options of `ZkMini.start`.
    zk_options: ClassVar[Mapping[str, Any]] = {}

    def run(self, result: Optional[unittest.TestResult] = None) -> Optional[unittest.TestResult]:
        """Runs the test with a server."""
        if result is None:
            return super().run()
        try:
            self.zk = ZkMini.start(**self.zk_options)
        except Exception:
            result.startTest(self)
            result.addError(self, sys.exc_info())
            result.stopTest(self)
            return result
        with self.zk:
            reports = [getattr(result, "failures", []), getattr(result, "errors", [])]
            before = [len(report) for report in reports]
            super().run(result)
            for report, count in zip(reports, before):
                if len(report) > count:
                    case, text = report[-1]
                    report[-1] = (case, f"{text}\nzk-mini, what happened last:\n{self.zk.story()}\n")
        return result
