"""Scans on a Dask cluster: real schedulers and workers, one of which is killed; each file is in the tables once."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from distributed import Client
from scanning_fixtures import tiny_params, write_many

from fauxscan.records import UserError
from fauxscan.scanning import tables
from flows import clusters
from flows import scan as scanning

pytest_plugins = ["prefect_fixtures", "scanning_models"]
# Each process imports for seconds.
pytestmark = [pytest.mark.slow, pytest.mark.alone, pytest.mark.usefixtures("prefect_server")]
DASK = [sys.executable, "-m", "dask"]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Return a folder with parameters and a hundred images, four of which are copies and one broken."""
    params = tiny_params(engine="openvino", batch_files=4, publish_every=8)
    (tmp_path / "params.yaml").write_text(params.model_dump_json(), encoding="utf-8")
    write_many(tmp_path / "in", 100)
    (tmp_path / "in" / "broken.jpg").write_bytes(b"\xff\xd8\xff no more")
    return tmp_path


def scan(home: Path, results: str, models: list[Path], **more: Any) -> tuple[pa.Table, pa.Table]:
    """Run the flow, and return the tables it leaves in an order of their own, without what differs between runs."""
    named = [str(model) for model in models]
    scanning.scan(str(home / "in"), str(home / results), named, params_file=str(home / "params.yaml"), **more)
    return content(home / results)


def content(results: Path) -> tuple[pa.Table, pa.Table]:
    """Return what a scan found, without its run's name: all of `media` and of `scores`."""
    media = tables.read(results, tables.MEDIA).drop_columns(["run_id"]).sort_by("path")
    order = [(name, "ascending") for name in ("sha256", "model", "frame", "face")]
    return media, tables.read(results, tables.SCORES).sort_by(order)


@contextmanager
def running(*command: str) -> Iterator["subprocess.Popen[bytes]"]:
    """Run a process until the end of the block."""
    process = subprocess.Popen([*DASK, *command], stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@contextmanager
def cluster(folder: Path, workers: int = 2) -> Iterator[tuple[str, list["subprocess.Popen[bytes]"]]]:
    """Give the address of a scheduler, and its workers' processes."""
    told = folder / "scheduler.json"
    with ExitStack() as end:
        end.enter_context(running("scheduler", "--port", "0", "--no-dashboard", "--scheduler-file", str(told)))
        options = ["--scheduler-file", str(told), "--nthreads", "2", "--no-nanny", "--no-dashboard"]
        options += ["--local-directory", str(folder)]
        made = [end.enter_context(running("worker", *options)) for _ in range(workers)]
        wait_until(told.exists)
        with Client(scheduler_file=str(told)) as client:
            client.wait_for_workers(workers, timeout=120)
            address = client.scheduler.address
        yield address, made


def wait_until(true: Any) -> None:
    """Return when it is. Fail after two minutes."""
    deadline = time.monotonic() + 120
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_cluster_gives_the_same_tables_as_threads(home: Path, tiny_models: list[Path]) -> None:
    alone = scan(home, "alone", tiny_models)
    with cluster(home) as (address, _):
        assert scan(home, "spread", tiny_models, cluster=address) == alone
        before = content(home / "spread")
        assert scan(home, "spread", tiny_models, cluster=address) == before  # nothing new


def test_a_worker_killed_in_a_batch_costs_a_retry_and_no_file(home: Path, tiny_models: list[Path]) -> None:
    with cluster(home) as (address, workers):
        taken: list[Any] = []
        killer = threading.Thread(target=lambda: taken.extend(killed_in_a_batch(home, address, workers[0].pid)))
        killer.start()
        media, _ = scan(home, "killed", tiny_models, cluster=address)
        killer.join()
        assert taken
        assert workers[0].wait(5) == -signal.SIGKILL
        assert workers[1].poll() is None
    assert Counter(media["path"].to_pylist()) == Counter(os.listdir(home / "in"))
    assert content(home / "killed") == scan(home, "alone", tiny_models)
    assert list((home / "killed" / "staging").iterdir()) == []


def killed_in_a_batch(home: Path, address: str, pid: int) -> list[Any]:
    """Kill a worker that holds batches, once some were handed over; return the batches that it held."""
    with Client(address) as client:
        (worker,) = (name for name, found in client.run(os.getpid).items() if found == pid)
        wait_until(lambda: list((home / "killed" / "staging").glob("*/*-outcomes.parquet")))
        while True:
            os.kill(pid, signal.SIGSTOP)  # it ends none that it holds now
            if held := [task for task in client.processing()[worker] if str(task).startswith("judge")]:
                os.kill(pid, signal.SIGKILL)
                return held
            os.kill(pid, signal.SIGCONT)
            time.sleep(0.05)


def test_processes_of_this_machine_are_a_cluster_too(home: Path, tiny_models: list[Path]) -> None:
    assert scan(home, "two", tiny_models, cluster=2) == scan(home, "alone", tiny_models)


def test_a_cluster_that_does_not_answer_is_told_of(home: Path, tiny_models: list[Path]) -> None:
    with pytest.raises(UserError, match=r"no Dask scheduler answers at tcp://127.0.0.1:9"):
        scan(home, "none", tiny_models, cluster="tcp://127.0.0.1:9")


def test_a_cluster_that_loses_all_workers_ends_the_scan(
    home: Path, tiny_models: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clusters, "WAIT_S", 0.5)
    monkeypatch.setattr(clusters, "ALONE_S", 2.0)
    with cluster(home, workers=1) as (address, (worker,)):
        killer = threading.Thread(target=lambda: (wait_until(lambda: decoders(worker.pid)), worker.kill()))
        killer.start()
        with pytest.raises(UserError, match="the cluster has had no worker for 2 s"):
            scan(home, "ended", tiny_models, cluster=address)
        killer.join()
    assert scan(home, "ended", tiny_models) == scan(home, "alone", tiny_models)


def decoders(pid: int) -> list[str]:
    """Return the child processes of a worker."""
    return [child for task in Path(f"/proc/{pid}/task").glob("*/children") for child in task.read_text().split()]
