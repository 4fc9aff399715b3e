"""Scan a folder with stub models, in a process of its own whose memory can be measured."""

import json
import resource
import sys
import time
from pathlib import Path

from fauxscan.scanning.inputs.roots import LocalFolder
from fauxscan.scanning.rows import Entry
from support.scanning import stub_engine


def peak() -> float:
    """Return the peak memory of this process so far, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main(folder: Path, home: Path) -> None:
    """Print each file's status, and the memory and time that the scan took."""
    names = sorted(str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file())
    engine, before, start = stub_engine(home), peak(), time.monotonic()
    with engine:
        outcomes = engine.judge(LocalFolder(folder), [Entry(name, None, None) for name in names])
    statuses = {name: str(outcome.status) for name, outcome in zip(names, outcomes, strict=True)}
    found = {"statuses": statuses, "grown_mib": peak() - before, "seconds": time.monotonic() - start}
    print(json.dumps(found))  # noqa: T201


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
