"""Scans in processes that a test may kill: imports everything once, then forks a scan for each line it reads."""

import os
import sys
from pathlib import Path

from scanning_fixtures import stub_engine

from fauxscan.scanning import scan


def say(text: str) -> None:
    """Write a line at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def scan_apart(folder: Path, results: Path, models: Path) -> None:
    """Scan in a fork; say its number when it begins, and how it ended (0, or minus the signal)."""
    child = os.fork()
    if child == 0:
        scan.scan(folder, results, stub_engine(models, only="wholes", batch_files=3, publish_every=2))
        os._exit(0)
    say(str(child))
    say(str(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])))


if __name__ == "__main__":
    for line in sys.stdin:
        folder, results, models = map(Path, line.rstrip("\n").split("\t"))
        scan_apart(folder, results, models)
