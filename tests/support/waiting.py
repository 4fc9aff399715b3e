"""Wait for other processes, which signal no event: the only place in the tests that polls."""

import time
from collections.abc import Callable
from typing import TypeVar

import pytest

DEADLINE_S = 240.0  # what is waited for takes seconds, but a machine may be busy
T = TypeVar("T")


def wait_until(
    condition: Callable[[], T | None], what: str, deadline_s: float = DEADLINE_S, every_s: float = 0.05
) -> T:
    """Return the condition's result as soon as it is true. Fail after the deadline, naming what was awaited."""
    end = time.monotonic() + deadline_s
    while not (value := condition()):
        if time.monotonic() > end:
            pytest.fail(f"after {deadline_s:.0f} s it is still not so: {what}")
        time.sleep(every_s)
    return value
