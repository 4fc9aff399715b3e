"""Scans a folder with stand-ins for models, in a process of its own whose memory can be measured."""

import json
import resource
import sys
import time
from pathlib import Path

from scanning_fixtures import stub_engine

from fauxscan.scanning.engine import Forgetful
from fauxscan.scanning.places import LocalFolder
from fauxscan.scanning.rows import Entry


def peak() -> float:
    """Return the most memory that this process had so far, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main(folder: Path, home: Path) -> None:
    """Print each file's status, how much memory the scan took, and how long it took."""
    names = sorted(str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file())
    engine, before, start = stub_engine(home), peak(), time.monotonic()
    results = engine.score(LocalFolder(folder), [Entry(name, None, None) for name in names], Forgetful())
    statuses = {name: str(result.outcome.status) for name, result in zip(names, results, strict=True)}
    found = {"statuses": statuses, "grown_mib": peak() - before, "seconds": time.monotonic() - start}
    print(json.dumps(found))  # noqa: T201


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
