"""The cost of large folders apart from judging, on generated ledgers, and whether smaller ones predict it.

`python benchmarks/ledgers.py [SMALL LARGE]`: makes tables of so many files in a temporary folder, as a first scan
leaves them. Plans, nightly runs, workers and readers then open them, each in a process of its own.
"""

import argparse
import json
import os
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import page
import pyarrow as pa
import reading
import scan_scale

from fauxscan import params
from fauxscan.params import ScanParams
from fauxscan.scanning.inputs.roots import LocalFolder
from fauxscan.scanning.rows import Entry
from fauxscan.scanning.tables import parquet, schemas
from fauxscan.scanning.tables.schemas import MEDIA, SCORES

PARAMS = params.load(Path(__file__).parents[1] / "params.yaml")
ROWS_A_PART = PARAMS.scan.batch_files * PARAMS.scan.publish_every
RUN_ID = "20260101T000000000000Z-000000"
NEW = 10_000  # files of a nightly run
LOOKED_UP = 20_000  # contents
WALKED = 100_000  # files on disk
SPREAD = 2654435761  # so that neighbours have other sizes and times
FLAT = {"looking up a content, microseconds", "committing a file, microseconds"}  # the same however many files
TEXT = """Generated tables of one root with {rows:,} rows per file, as a first scan with the committed parameters
leaves them: without any files, with {small:,}, and with {large:,}. `predicted` extends the line through the first two
measurements to the third. Seconds are processor time, because the machine does other work too. `most memory` is the
resident memory of the process without its decoders; each line with memory is a separate process. The nightly run gets
the generated files as unchanged, and walks {new:,} JPEGs of 64 px on disk, which an untrained Meso-4 judges. The
first scan has a tenth of the files and invented results. It measures the cost of
planning, committing and keeping track of known files.

{table}

On disk, a scanned file takes {disk:.0f} bytes of `media` and, with one model and whole images, {scores:.0f} of
`scores`. A walk takes {walk:.1f} microseconds per file on this disk, cached ({walked:,} files in folders of 1,000);
`os.scandir` and a stat take {bare:.1f}."""


# === Generated tables ===


def path_of(number: int) -> str:
    """Return the name of a generated file."""
    return f"{number // 1000:05d}/IMG_{number:08d}.jpg"


def entry_of(number: int) -> Entry:
    """Return the entry that a walk yields for a generated file."""
    return Entry(path_of(number), size_of(number), mtime_of(number))


def size_of(number: Any) -> Any:
    """Return the bytes of a file, or of each in an array."""
    return 10_000 + number * SPREAD % 5_000_000


def mtime_of(number: Any) -> Any:
    """Return the time of change of a file, or of each in an array."""
    return 1_780_000_000_000_000_000 + number * SPREAD % 10**15


def make(home: Path, files: int) -> None:
    """Write the tables of a first scan that found so many files."""
    import numpy as np

    results, chance, digest = results_of(home, files), np.random.default_rng(1), engine(home).settings.digest
    for schema in schemas.ALL:
        (results / schemas.name_of(schema)).mkdir(parents=True)
    for part, first in enumerate(range(0, files, ROWS_A_PART)):
        numbers = np.arange(first, min(files, first + ROWS_A_PART))
        told = reading.media(chance, RUN_ID, range(first, first + len(numbers)), "new")
        known = {"root": pa.repeat(root_of(home), len(told)), "settings": pa.repeat(digest, len(told))}
        known |= {
            "path": [path_of(n) for n in numbers.tolist()],
            "size": size_of(numbers),
            "mtime_ns": mtime_of(numbers),
        }
        rows = columns(told, MEDIA, known)
        for schema, found in ((MEDIA, rows), (SCORES, scores(rows))):
            parquet.write(found, results / schemas.name_of(schema) / f"{RUN_ID}-{part:06d}.parquet", results)


def columns(rows: pa.Table, schema: pa.Schema, others: dict[str, Any]) -> pa.Table:
    """Return rows of a table, with some columns given, some from `rows`, and the rest null."""
    known = dict(zip(rows.column_names, rows.columns, strict=True)) | others
    return pa.table([known.get(name, pa.nulls(len(rows))) for name in schema.names], schema.names).cast(schema)


def scores(rows: pa.Table) -> pa.Table:
    """Return the scores of files by one model, taken whole."""
    same = {"model": "meso4", "model_digest": "0" * 64}
    others = {name: pa.repeat(text, len(rows)) for name, text in same.items()}
    return columns(rows.select(["sha256", "settings", "p_fake"]), SCORES, others | {"logit": rows["p_fake"]})


def results_of(home: Path, files: int) -> Path:
    """Return where the tables of so many files are."""
    return home / f"results{files}"


def root_of(home: Path) -> str:
    """Return the root of all generated files."""
    return str((home / "new").resolve())


def engine(home: Path) -> Any:
    """Return an engine with the untrained model."""
    from fauxscan.scanning import settings
    from fauxscan.scanning.engine.engine import Engine

    return Engine(settings.read(PARAMS, [home / "meso4"], "whole"))


@dataclass(frozen=True)
class Grown(LocalFolder):
    """A folder that is said to have so many files more."""

    files: int = 0

    def walk(self, results: Path, names: Collection[str], scan: ScanParams) -> Any:
        """Return the walk through the generated files, then through those that are there."""
        return Listed(super().walk(results, names, scan), self.files)


@dataclass
class Listed:
    """A walk that gives generated files first."""

    there: Any
    files: int
    filters: None = None
    missing: tuple[str, ...] = ()

    def __iter__(self) -> Iterator[Entry]:
        """Give the files."""
        yield from map(entry_of, range(self.files))
        yield from self.there

    def covers(self, key: bytes) -> bool:
        """Return that it would give every file."""
        return True


# === What is measured, each in a process of its own ===


class Watch:
    """What a process has taken, by the name of each step."""

    def __init__(self) -> None:
        self.found: dict[str, float] = {}
        self._last = time.process_time()

    def step(self, name: str, factor: float = 1.0) -> None:
        """Note the processor time since the last step, in seconds times `factor`."""
        now = time.process_time()
        self.found[name], self._last = (now - self._last) * factor, now

    def memory(self, name: str) -> None:
        """Note the most memory so far, in MiB."""
        self.found[f"{name}: most memory, MiB"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def planning(home: Path, files: int, watch: Watch) -> None:
    """Open the tables as a run does, find every file unchanged, and look some contents up."""
    from fauxscan.scanning.history.ledger import Ledger

    results, digest = results_of(home, files), engine(home).settings.digest
    watch.step("imports, s")
    parquet.check(results)
    watch.step("reading the footers of all Parquet files, s")
    media = parquet.read(results, MEDIA)
    watch.step("reading `media`, s")
    ledger = Ledger(media, root_of(home), digest)
    watch.step("building the ledger, s")
    assert all(map(ledger.is_unchanged, map(entry_of, range(files))))
    watch.step("finding every file unchanged, s")
    ledger.index()
    watch.step("index by content, s")
    watch.memory("planning")
    picked = media["sha256"].take(pa.array(random.Random(1).sample(range(files), min(files, LOOKED_UP)), pa.int64()))
    wanted = [*picked.to_pylist(), *(f"{number:064x}" for number in range(LOOKED_UP))]
    watch.step("picking, s")
    found = sum(ledger.outcome(sha256) is not None for sha256 in wanted)
    watch.step("looking up a content, microseconds", 1e6 / len(wanted))
    assert found == len(picked)


def nightly(home: Path, files: int, watch: Watch) -> None:
    """Scan the folder with new files in it."""
    from fauxscan.scanning import scan

    results = Path(tempfile.mkdtemp(dir=home)) / "results"
    shutil.copytree(results_of(home, files), results, copy_function=os.link)  # no run writes into a part
    made = engine(home)
    watch.step("setting up, s")
    ended = scan.scan(Grown(Path(root_of(home)), files), results, made)
    watch.step(f"nightly run, {NEW:,} new files, s")
    watch.memory("nightly run")
    assert ended.changes == {"new": NEW} and ended.unchanged == files
    shutil.rmtree(results.parent)


def worker(home: Path, files: int, watch: Watch) -> None:
    """Open what a Dask worker opens for its first batch, besides its engine."""
    from fauxscan.scanning.batches import judge

    run = judge.RunContext(LocalFolder(Path(root_of(home))), results_of(home, files), "", engine(home).settings, "")
    watch.step("imports, s")
    judge._ledger(run)
    watch.step("building the ledger of a Dask worker, s")
    watch.memory("Dask worker")


def readers(home: Path, files: int, watch: Watch) -> None:
    """Read the current result of every file."""
    from fauxscan.cli import run

    watch.step("imports, s")
    run(["latest", "--format", "csv", "--results", str(results_of(home, files))])
    watch.step("`fauxscan latest --format csv`, s")
    watch.memory("`latest`")


def first(home: Path, files: int, watch: Watch) -> None:
    """Plan and commit a first scan of a tenth of the files, whose results are made up."""
    from fauxscan.scanning import scan
    from fauxscan.scanning.rows import Outcome

    count, results = max(1, files // 10), Path(tempfile.mkdtemp(dir=home))
    (home / "none").mkdir(exist_ok=True)
    made = engine(home)
    with parquet.locked(results):
        work = scan.prepare(Grown(home / "none", count), results, made)
        watch.step("planning, s")
        for number, batch in enumerate(work.batches):
            shas = (f"{number:032x}{place:032x}" for place in range(len(batch)))
            told = (
                (sha, *entry.looks, "image", "jpeg", 64, 64) for sha, entry in zip(shas, batch.entries, strict=True)
            )
            scan.commit(work, batch, [Outcome(*one) for one in told])
        watch.step("committing a file, microseconds", 1e6 / count)
        scan.finish(work)
    watch.memory("first scan of a tenth")
    shutil.rmtree(results)


SIDES = (planning, nightly, worker, readers, first)
HIDDEN = {"imports, s", "picking, s", "setting up, s", "planning, s"}


def report(side: str, home: str, files: int) -> None:
    """Print what a side took."""
    watch = Watch()
    globals()[side](Path(home), files, watch)
    print(json.dumps(watch.found), file=sys.stderr)


def measured(home: Path, files: int) -> dict[str, float]:
    """Return what all sides took, on tables of so many files."""
    found: dict[str, float] = {}
    for side in SIDES:
        code = f"import ledgers; ledgers.report({side.__name__!r}, {str(home)!r}, {files})"
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=Path(__file__).parent, stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE, text=True, check=True,
        )  # fmt: skip
        found |= json.loads(done.stderr.splitlines()[-1])
        print(files, side.__name__, done.stderr.splitlines()[-1], flush=True)
    return {name: value for name, value in found.items() if name not in HIDDEN}


def lines(small: int, large: int, found: dict[int, dict[str, float]]) -> list[list[object]]:
    """Return the table: of each figure what it is at each size, predicted at the largest, and the ratio."""
    rows: list[list[object]] = []
    for name, at_large in found[large].items():
        at_none, at_small = found[0][name], found[small][name]
        predicted = at_small if name in FLAT else at_none + (at_small - at_none) * large / small
        shown = [
            f"{value:,.0f}" if value >= 100 else f"{value:.1f}" for value in (at_none, at_small, predicted, at_large)
        ]
        rows.append([name, *shown, f"{predicted / at_large:.2f}"])
    return rows


def walks(home: Path) -> tuple[float, float]:
    """Return the microseconds a file of our walk, and of a bare one."""
    from fauxscan.scanning.inputs.local import Walk

    folder = home / "walked"
    for number in range(WALKED):
        (folder / path_of(number)).parent.mkdir(parents=True, exist_ok=True)
        (folder / path_of(number)).touch()
    start = time.process_time()
    scan_scale.walked(folder)
    bare = time.process_time() - start
    start = time.process_time()
    assert sum(1 for _ in Walk(folder)) == WALKED
    return 1e6 * (time.process_time() - start) / WALKED, 1e6 * bare / WALKED


def main() -> None:
    """Measure and write the section."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("counts", nargs="*", type=int, default=[1_000_000, 5_000_000])
    small, large = parser.parse_args().counts
    found = {}
    with tempfile.TemporaryDirectory() as made:
        home = Path(made)
        scan_scale.make_untrained(home)
        scan_scale.make(home / "new", NEW)
        for files in (0, small, large):
            make(home, files)
            found[files] = measured(home, files)
        disk, scored = (bytes_of(results_of(home, large) / name) / large for name in ("media", "scores"))
        walk, bare = walks(home)
    head = ["", "0", f"{small:,}", f"predicted for {large:,}", "measured", "predicted / measured"]
    body = TEXT.format(
        rows=ROWS_A_PART, small=small, large=large, new=NEW, table=page.table(head, lines(small, large, found)),
        disk=disk, scores=scored, walk=walk, bare=bare, walked=WALKED,
    )  # fmt: skip
    page.write("Large ledgers", " ".join(["python", "benchmarks/ledgers.py", *sys.argv[1:]]), body)


def bytes_of(folder: Path) -> int:
    """Return how large all files of a folder are."""
    return sum(file.stat().st_size for file in folder.iterdir())


if __name__ == "__main__":
    main()
