"""Time and memory of queries on the tables, compared with reading their columns alone.

`python benchmarks/reading.py`: makes ledgers of a million and ten million rows in a temporary folder.
"""

import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import page
import pyarrow as pa
import pyarrow.parquet as pq

from fauxscan.scanning.tables import parquet, queries, schemas

ROUNDS = 3
ROOT = "/data/incoming"
KEY = ["run_id", "root", "path", "path_bytes", "change"]
LEDGERS = {  # description: number of runs, rows per run, whether each run has other files
    "a million rows, 10,000 files recorded in each of 100 runs": (100, 10_000, False),
    "a million rows, a million files": (100, 10_000, True),
    "ten million rows, 10,000 files recorded in each of 1,000 runs": (1000, 10_000, False),
    "ten million rows, ten million files": (1000, 10_000, True),
}


def make(results: Path, runs: int, rows: int, others: bool) -> None:
    """Write a ledger as scans do: one file per run, sorted by path, zstd, with checksums."""
    random = np.random.default_rng(1)
    for name in ("media", "runs"):
        (results / name).mkdir(parents=True)
    for run in range(runs):
        started = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(hours=run)
        run_id = f"{started:%Y%m%dT%H%M%S%f}Z-{run:06x}"
        first = run * rows if others else 0
        rows_of_run = media(random, run_id, range(first, first + rows), "new" if others or not run else "changed")
        parquet.write(rows_of_run, results / "media" / f"{run_id}-000000.parquet", results)
        row = pa.Table.from_pylist([{"run_id": run_id, "root": ROOT, "started_at": started}], schemas.RUNS)
        parquet.write(row, results / "runs" / f"{run_id}.parquet", results)


def media(random: np.random.Generator, run_id: str, files: range, change: str) -> pa.Table:
    """Return the rows of a run, one per file."""
    count, hashes = len(files), random.bytes(32 * len(files)).hex()
    p_fake, failed = random.random(count), random.random(count) > 0.97
    verdict = np.where(p_fake > 0.8, "likely_synthetic", np.where(p_fake < 0.2, "no_indication", "uncertain"))
    same = {"run_id": run_id, "root": ROOT, "change": change, "kind": "image", "format": "jpeg", "settings": "0" * 16}
    columns: dict[str, Any] = {name: pa.repeat(value, count) for name, value in same.items()} | {
        "path": [f"{number // 1000:05d}/IMG_{number:08d}.jpg" for number in files],
        "sha256": [hashes[at : at + 64] for at in range(0, len(hashes), 64)],
        "size": random.integers(10_000, 5_000_000, count),
        "mtime_ns": 1_780_000_000_000_000_000 + random.integers(0, 10**15, count),
        "width": random.choice([640, 1024, 1920, 4000], count).astype(np.int32),
        "height": random.choice([480, 768, 1080, 3000], count).astype(np.int32),
        "status": np.where(failed, "no_face", "ok"),
        "faces": random.integers(0, 3, count).astype(np.int32),
        "p_fake": pa.array(p_fake, mask=failed),
        "verdict": pa.array(verdict, mask=failed),
    }
    return pa.table([columns.get(name, pa.nulls(count)) for name in schemas.MEDIA.names], schemas.MEDIA.names).cast(
        schemas.MEDIA
    )


# === The sides ===


def ours(question: Callable[[Any], Any]) -> Callable[[Path], int]:
    """Return a side that asks our tables, and counts the rows of the answer."""

    def ask(results: Path) -> int:

        with queries.open_tables(results) as asked:
            return sum(len(batch) for batch in question(asked))

    return ask


def reading(columns: list[str] | None) -> Callable[[Path], int]:
    """Return the limit: all files read once, file by file, their pages checked; columns, or all of them."""

    def read(results: Path) -> int:
        count = 0
        for part in sorted((results / "media").glob("*.parquet")):
            with pq.ParquetFile(part, page_checksum_verification=True) as file:
                count += len(file.read(columns=columns))
        return count

    return read


def by_pandas(results: Path) -> int:
    """The peer: `latest` as one writes it with pandas."""
    import pandas as pd

    media = pd.read_parquet(results / "media").sort_values("run_id")
    media = media.groupby(["root", "path"], sort=False).tail(1)
    return len(media[media["change"] != "removed"].sort_values(["root", "path"]))


FILE = f"{ROOT}/00005/IMG_00005500.jpg"
SIDES: dict[str, Callable[[Path], int]] = {
    "latest": ours(lambda asked: asked.latest()),
    "top": ours(lambda asked: asked.top(20)),
    "history": ours(lambda asked: asked.history(FILE)),
    "diff": ours(lambda asked: asked.differences("previous", "latest")),
    "reading the names": reading(KEY),
    "reading all columns": reading(None),
    "pandas": by_pandas,
}


class Cost(NamedTuple):
    """What a side took, with the imports of its own (DuckDB, pandas)."""

    seconds: float
    cpu: float
    peak: float  # MiB resident
    rows: int


def measured(side: str, results: Path) -> Cost:
    """Return what a side takes in a process of its own."""
    code = "import sys, pathlib, reading; reading.report(sys.argv[1], pathlib.Path(sys.argv[2]))"
    command = [sys.executable, "-c", code, side, str(results)]
    done = subprocess.run(command, cwd=Path(__file__).parent, stdout=subprocess.PIPE, text=True, check=True)
    return Cost(*json.loads(done.stdout.splitlines()[-1]))


def report(side: str, results: Path) -> None:
    """Run a side and print its cost."""
    start, used = time.perf_counter(), time.process_time()
    rows = SIDES[side](results)
    seconds, cpu = time.perf_counter() - start, time.process_time() - used
    print(json.dumps([seconds, cpu, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, rows]))


def compare(results: Path) -> list[list[object]]:
    """Return the lines of a ledger's table: the sides in turn, medians of all rounds."""
    costs: dict[str, list[Cost]] = {side: [] for side in SIDES}
    for _ in range(ROUNDS):
        for side, found in costs.items():
            found.append(measured(side, results))
            print(results.name, side, found[-1], flush=True)
    middle = {side: [statistics.median(column) for column in zip(*found, strict=True)] for side, found in costs.items()}
    names, whole = (middle[side][1] for side in ("reading the names", "reading all columns"))
    return [
        [
            side,
            f"{rows:,.0f}",
            f"{seconds:.1f}",
            f"{cpu:.1f}",
            f"{cpu / names:.1f}",
            f"{cpu / whole:.1f}",
            f"{peak:.0f}",
        ]
        for side, (seconds, cpu, peak, rows) in middle.items()
    ]


def main() -> None:
    """Measure each ledger and write the section."""
    head = ["", "rows", "seconds", "seconds of CPU", "to the names", "to all columns", "peak MiB"]
    parts = []
    for title, shape in LEDGERS.items():
        with tempfile.TemporaryDirectory() as folder:
            make(Path(folder), *shape)
            parts.append(f"{title[0].upper()}{title[1:]}:\n\n{page.table(head, compare(Path(folder)))}")
    text = f"""Medians of {ROUNDS} rounds in which the sides take turns, each in a process of its own, including the
imports that PyArrow alone does not need. Every row of the answer is fetched. The limits read either run, root, name
and change of all rows, or all columns, with PyArrow, file by file, verifying pages. Ratios are of processor time. The
peer is `latest` with pandas, which verifies no pages. `history` is for one file, `diff` for the last two runs, and
`top` for 20 files. DuckDB may use 1 GB of memory, and sorts larger data in a temporary folder."""
    page.write("Reading the tables", "python benchmarks/reading.py", "\n\n".join([text, *parts]))


if __name__ == "__main__":
    main()
