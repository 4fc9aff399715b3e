"""Progress of long work: a bar in a terminal, plain log lines elsewhere."""

import logging
import time
from collections.abc import Callable
from typing import Any, Self

from tqdm import tqdm

log = logging.getLogger(__name__)
SECONDS_BETWEEN_LINES = 20.0
Line = Callable[[int, int | None], str]  # the log line for a count and the total


class Progress:
    """Shows on standard error how much of some work is done, from its creation until `close`."""

    def __init__(
        self, name: str, total: int | None = None, unit: str = "files", *,
        done: int = 0, line: Line | None = None, ends: bool = True, leave: bool = True,
    ) -> None:  # fmt: skip
        """Count up to `total` (None: unknown) in `unit` ("B" for bytes); with `leave` a finished bar stays visible.

        Log lines come every `SECONDS_BETWEEN_LINES`, and with `ends` for the first and the last count. They read
        "name: 3 of 9 files" unless `line` gives another text.
        """
        self.done, self.total = done, total
        self._line = line or (lambda done, total: f"{name}: {done} of {'?' if total is None else total} {unit}")
        self._ends, self._logged = ends, time.monotonic()
        bytes_, spaced = unit == "B", unit if unit == "B" else f" {unit}"
        self._bar: tqdm[Any] = tqdm(
            desc=name, total=total, initial=done, unit=spaced, unit_scale=bytes_, disable=None, leave=leave
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop showing progress."""
        self._bar.close()

    def advance(self, count: int = 1, note: str = "") -> None:
        """Add to what is done; `note` is shown after the count."""
        self.update(self.done + count, self.total, note)

    def update(self, done: int, total: int | None, note: str = "") -> None:
        """Set how much is done, and of how much."""
        count, self.done, self.total = done - self.done, done, total
        if self._bar.disable:
            self._log(note)
            return
        self._bar.total = total
        self._bar.set_postfix_str(note, refresh=False)
        self._bar.update(count)

    def _log(self, note: str) -> None:
        now = time.monotonic()
        if now - self._logged > SECONDS_BETWEEN_LINES or (self._ends and self.done in (0, self.total)):
            self._logged = now
            log.info("%s", ", ".join(text for text in (self._line(self.done, self.total), note) if text))
