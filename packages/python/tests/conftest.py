"""What the tests share."""

from __future__ import annotations

import time
from typing import Callable

import pytest

pytest_plugins = ["pytester"]

PATIENCE = 60


@pytest.fixture
def wait_for() -> Callable[[Callable[[], object]], None]:
    """Waits until a condition holds."""

    def wait(condition: Callable[[], object]) -> None:
        deadline = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < deadline, "it did not happen in time"
            time.sleep(0.005)

    return wait
