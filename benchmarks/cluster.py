"""Images per second of the flow `scan` on one and two Dask workers, against threads of one process.

`FAUXSCAN_TEST_DATA=... python benchmarks/cluster.py [--rounds N] [--images N]`: the validation part of the MesoNet
faces through the authors' Meso-4, taken whole. All sides use one Prefect server. Clusters are started and models
loaded before the clock starts, and the time for that is reported separately.
"""

import argparse
import os
import shutil
import socket
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

import page
import scan as alone

BATCH_FILES = 64  # a scan of few images must have many batches
START_S, POLL_S = 180.0, 0.2
CORES = sorted(os.sched_getaffinity(0))
TEXT = """Images per second from files to Parquet, {count} crops of faces, batches of {batch}, medians of {rounds}
rounds in which the sides take turns. Everything runs on one machine. Workers that may use all cores cannot be faster
than threads, so their ratio shows the cost of Prefect, Dask and the shared folder. Workers with one core each
represent machines. `decoders` is the total number of decoder processes.

{table}

Time to start the workers, and for their first scan, which loads the models: {starts}. Prefect costs {overhead:.0f} ms
per batch in a flow with threads, and {fixed:.1f} s per scan, the additional time that a flow takes for the unchanged
folder. Its database grew by {database:.1f} KiB per batch."""


class Side(NamedTuple):
    """A way to scan: by a flow, unless it has no workers; each worker on so many cores; decoders a worker, or null."""

    name: str
    workers: int | None  # None: threads of one process; 0: those, without a flow
    cores: int = len(CORES)
    decoders: int | None = None

    @property
    def decoders_in_all(self) -> int:
        """Return the number of decoder processes."""
        return (self.decoders or self.cores + 2) * (self.workers or 1)


SIDES = (
    Side("no flow: threads, all cores", 0),
    Side("threads, all cores", None),
    Side("1 worker, all cores", 1),
    Side("2 workers, all cores each", 2),
    Side("2 workers, all cores each", 2, decoders=len(CORES) // 2 + 1),
    Side("1 worker, one core", 1, cores=1),
    Side("2 workers, one core each", 2, cores=1),
)
THREADS = SIDES[1]


# === Servers, schedulers, workers ===


@contextmanager
def running(command: list[str], home: Path) -> Iterator[None]:
    """Run a Python module until the end of the block."""
    process = subprocess.Popen([sys.executable, "-m", *command], stdout=subprocess.DEVNULL, cwd=home)
    try:
        yield
    finally:
        process.terminate()
        process.wait()


@contextmanager
def prefect(home: Path) -> Iterator[Path]:
    """Run a Prefect server for this process and its children; give its database."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    os.environ |= {
        "PREFECT_HOME": str(home / "prefect"), "PREFECT_API_URL": f"http://127.0.0.1:{port}/api",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false", "DO_NOT_TRACK": "1",
    }  # fmt: skip
    with running(["prefect", "server", "start", "--host", "127.0.0.1", "--port", port], home):
        deadline = time.monotonic() + START_S
        while not answers(f"http://127.0.0.1:{port}/api/health"):
            if time.monotonic() > deadline:
                raise SystemExit("the Prefect server did not come up, see above")
            time.sleep(POLL_S)
        yield home / "prefect" / "prefect.db"


def answers(address: str) -> bool:
    """Return whether a server does."""
    try:
        with urllib.request.urlopen(address, timeout=5):
            return True
    except OSError:
        return False


@contextmanager
def cluster(side: Side, home: Path) -> Iterator[str]:
    """Run a Dask scheduler and the workers of a side; give its address."""
    from distributed import Client

    told = home / f"scheduler{SIDES.index(side)}.json"
    common = ["--scheduler-file", str(told), "--dashboard-address", "127.0.0.1:0"]
    with ExitStack() as stack:
        stack.enter_context(running(["dask", "scheduler", "--host", "127.0.0.1", "--port", "0", *common], home))
        for number in range(side.workers or 0):
            with on(CORES if side.cores == len(CORES) else [CORES[number]]):
                stack.enter_context(running(["dask", "worker", "--nthreads", "2", *common], home))
        with Client(scheduler_file=str(told)) as client:
            client.wait_for_workers(side.workers, timeout=START_S)
            address = client.scheduler.address
        yield address


@contextmanager
def on(cores: list[int]) -> Iterator[None]:
    """Have processes that are started in the block on these cores alone."""
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, CORES)


# === Scans ===


def write_params(home: Path) -> None:
    """Write the parameters of all scans."""
    from fauxscan import params

    changed = params.changed(params.load(alone.ROOT / "params.yaml"), "scan", {"batch_files": BATCH_FILES})
    (home / "params.yaml").write_text(changed.model_dump_json(), encoding="utf-8")  # JSON is YAML


def scanned(home: Path, side: Side, address: str | None, results: Path) -> float:
    """Return the seconds that a scan takes."""
    from fauxscan import params
    from fauxscan.scanning import scan, settings
    from fauxscan.scanning.engine.engine import Engine
    from flows import scan as flow

    models, limits = [home / "meso4"], {"scan": {"workers": side.decoders}}
    start = time.perf_counter()
    if side.workers == 0:
        chosen = settings.read(params.load(home / "params.yaml"), models, "whole")
        scan.scan(home / "crops", results, engine(chosen))
    else:
        opening = engine if address is None else Engine  # a patched flow could not be sent to a cluster
        with patch.object(flow, "Engine", opening):
            flow.scan(
                str(home / "crops"), str(results), list(map(str, models)), "whole", str(home / "params.yaml"),
                limits=limits, cluster=address,
            )  # fmt: skip
    return time.perf_counter() - start


@lru_cache
def engine(chosen: Any) -> Any:
    """Return the engine of this process for some settings: warm after its first scan, as those of workers are."""
    from fauxscan.scanning.engine.engine import Engine

    return Engine(chosen).__enter__()  # open until the process ends


class Found:
    """What was measured."""

    def __init__(self) -> None:
        self.seconds: dict[Side, list[float]] = {side: [] for side in SIDES}
        self.unchanged: dict[Side, list[float]] = {SIDES[0]: [], THREADS: []}
        self.starts: list[str] = []
        self.kib_a_batch = 0.0

    def middle(self, side: Side) -> float:
        """Return the seconds of a side."""
        return statistics.median(self.seconds[side])

    def fixed(self) -> float:
        """Return by how many seconds a flow that finds nothing new takes longer than a scan that does."""
        plain, flow = (statistics.median(self.unchanged[side]) for side in (SIDES[0], THREADS))
        return flow - plain


def measured(home: Path, rounds: int, count: int) -> Found:
    """Return what the sides take, in turns."""
    found = Found()
    with ExitStack() as stack:
        database = stack.enter_context(prefect(home))
        addresses = {side: opened(home, side, stack, found) for side in SIDES}
        before = size_of(database)
        for _ in range(rounds):
            for side, address in addresses.items():
                once(home, side, address, found)
        batches = rounds * -(-count // BATCH_FILES) * (len(SIDES) - 1)
        found.kib_a_batch = (size_of(database) - before) / 1024 / batches
    return found


def opened(home: Path, side: Side, stack: ExitStack, found: Found) -> str | None:
    """Return the address of a side's cluster, its models loaded; None for one without."""
    start = time.perf_counter()
    address = stack.enter_context(cluster(side, home)) if side.workers else None
    up = time.perf_counter() - start
    first = scanned(home, side, address, home / "warm")
    shutil.rmtree(home / "warm")
    if address:
        found.starts.append(f"{side.name} {up:.0f} s and {first:.0f} s")
    print("up", side, up, first, flush=True)
    return address


def once(home: Path, side: Side, address: str | None, found: Found) -> None:
    """Run one side's scan. The sides that show the cost of a flow scan again with nothing new."""
    results = Path(tempfile.mkdtemp(dir=home))
    found.seconds[side].append(scanned(home, side, address, results))
    if side in found.unchanged:
        found.unchanged[side].append(scanned(home, side, address, results))
    shutil.rmtree(results)
    print(side, found.seconds[side], flush=True)


def size_of(database: Path) -> int:
    """Return the bytes that a database has in use."""
    with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as open_one:
        (pages,), (bytes_each,) = (
            open_one.execute(f"PRAGMA {name}").fetchone() for name in ("page_count", "page_size")
        )
    return int(pages * bytes_each)


def report(found: Found, rounds: int, count: int) -> str:
    """Return the section."""
    rows: list[list[object]] = []
    for side in SIDES:
        to_threads = found.middle(THREADS) / found.middle(side)
        (one,) = (one for one in SIDES if (one.workers, one.cores) == (1, side.cores))
        to_one = f"{found.middle(one) / found.middle(side):.2f}" if side.workers == 2 else ""
        rate = count / found.middle(side)
        rows.append([side.name, side.decoders_in_all, f"{rate:.0f}", f"{to_threads:.2f}", to_one])
    head = ["side", "decoders", "images per second", "relative to threads", "2 workers relative to 1"]
    batches = -(-count // BATCH_FILES)
    more = found.middle(THREADS) - found.middle(SIDES[0]) - found.fixed()
    return TEXT.format(
        count=count, batch=BATCH_FILES, rounds=rounds, table=page.table(head, rows), starts="; ".join(found.starts),
        overhead=1000 * more / batches, fixed=found.fixed(), database=found.kib_a_batch,
    )  # fmt: skip


def main() -> None:
    """Measure and write the section."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--images", type=int, default=1779)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        home = Path(made).resolve()
        alone.prepare(home, given.images)
        write_params(home)
        count = len(alone.files_of(home / "crops"))
        found = measured(home, given.rounds, count)
    command = " ".join(["python", "benchmarks/cluster.py", *sys.argv[1:]])
    page.write("Scans on a cluster", command, report(found, given.rounds, count))


if __name__ == "__main__":
    main()
