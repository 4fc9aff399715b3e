"""How far a scan is: a bar in a terminal, plain log lines elsewhere."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from fauxscan.scanning.scan import Tell

log = logging.getLogger(__name__)
SECONDS_BETWEEN_LINES = 10.0


@contextmanager
def shown(console: Console) -> Iterator[Tell]:
    """Give the function to tell of files done and files to do."""
    if not console.is_terminal:
        yield _Lines()
        return
    columns = (TextColumn("scanning"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as progress:
        bar = progress.add_task("scanning", total=None)
        yield lambda done, todo: progress.update(bar, completed=done, total=todo)


class _Lines:
    """Log lines, the first and the last and some in between."""

    def __init__(self) -> None:
        self.last = 0.0

    def __call__(self, done: int, todo: int) -> None:
        now = time.monotonic()
        if done in (0, todo) or now - self.last > SECONDS_BETWEEN_LINES:
            self.last = now
            log.info("%d of %d files that look new are scanned", done, todo)
