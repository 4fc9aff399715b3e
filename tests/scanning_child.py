"""Scans in processes that a test may kill: imports everything once, then forks a scan for each line it reads."""

import os
import sys
from pathlib import Path

from scanning_fixtures import stub_engine, tiny_params

from fauxscan.scanning import scan, settings
from fauxscan.scanning.engine import Engine

SMALL = {"batch_files": 3, "publish_every": 2}


def light_engine(models: Path) -> Engine:
    """Return an engine with a stand-in for the model, which decodes in its own process."""
    return stub_engine(models, only="wholes", **SMALL)


def real_engine(models: Path) -> Engine:
    """Return an engine with a network that OpenVINO runs, and decoders of their own."""
    return Engine(settings.read(tiny_params(engine="openvino", **SMALL), [models / "wholes"]))


def say(text: str) -> None:
    """Write a line at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def scan_apart(folder: Path, results: Path, models: Path) -> None:
    """Scan in a fork; say its number when it begins, and how it ended (0, or minus the signal)."""
    child = os.fork()
    if child == 0:
        scan.scan(folder, results, globals()[sys.argv[1]](models))
        os._exit(0)
    say(str(child))
    say(str(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])))


if __name__ == "__main__":
    for line in sys.stdin:
        folder, results, models = map(Path, line.rstrip("\n").split("\t"))
        scan_apart(folder, results, models)
