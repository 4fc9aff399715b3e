"""Scans in processes that a test may kill: import everything once, then fork a scan for each line of input."""

import os
import sys
from pathlib import Path

from fauxscan.scanning import scan, settings
from fauxscan.scanning.engine.engine import Engine
from support.scanning import stub_engine, tiny_params

SMALL = {"batch_files": 3, "publish_every": 2}


def light_engine(models: Path) -> Engine:
    """Return an engine with stub models that decodes in this process."""
    return stub_engine(models, only="wholes", **SMALL)


def real_engine(models: Path) -> Engine:
    """Return an engine with a network in OpenVINO and decoder processes."""
    return Engine(settings.read(tiny_params(engine="openvino", **SMALL), [models / "wholes"]))


def say(text: str) -> None:
    """Write a line and flush it."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def scan_apart(folder: Path, results: Path, models: Path) -> None:
    """Scan in a forked process; print its process id when it begins, and its exit status (negative for a signal)."""
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
