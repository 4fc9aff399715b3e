"""Scans on a Dask cluster with real schedulers and workers, some of them killed; each file is in the tables once."""

import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from distributed import Client
from support.scanning import tiny_params, write_many
from support.waiting import wait_until

from fauxscan.records import UserError
from fauxscan.scanning.tables import parquet, schemas
from flows import scan as scanning
from flows import task_runners

pytest_plugins = ["support.prefect_harness", "support.scanning_models"]
# The imports of each process take seconds.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.alone,
    pytest.mark.timeout(600),  # the first test waits for the scan that all are compared with
    pytest.mark.usefixtures("prefect_server"),
]
DASK = [sys.executable, "-m", "dask"]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with parameters and a hundred images, four of them copies, and a broken image."""
    folder = tmp_path_factory.mktemp("home")
    params = tiny_params(engine="openvino", batch_files=4, publish_every=8)
    (folder / "params.yaml").write_text(params.model_dump_json(), encoding="utf-8")
    write_many(folder / "in", 100)
    (folder / "in" / "broken.jpg").write_bytes(b"\xff\xd8\xff no more")
    return folder


@pytest.fixture(scope="module")
def alone(home: Path, tiny_models: list[Path], prefect_server: None) -> tuple[pa.Table, pa.Table]:
    """Return the sorted tables of a scan with threads, without a cluster."""
    return scan(home, "alone", tiny_models)


def scan(home: Path, results: str, models: list[Path], **more: Any) -> tuple[pa.Table, pa.Table]:
    """Run the flow and return the sorted tables, without the columns that differ between runs."""
    named = [str(model) for model in models]
    scanning.scan(str(home / "in"), str(home / results), named, params_file=str(home / "params.yaml"), **more)
    return content(home / results)


def content(results: Path) -> tuple[pa.Table, pa.Table]:
    """Return the sorted tables `media`, without run ids, and `scores`."""
    media = parquet.read(results, schemas.MEDIA).drop_columns(["run_id"]).sort_by("path")
    order = [(name, "ascending") for name in ("sha256", "model", "frame", "face")]
    return media, parquet.read(results, schemas.SCORES).sort_by(order)


@contextmanager
def running(*command: str) -> Iterator["subprocess.Popen[bytes]"]:
    """Run a Dask process for the block."""
    process = subprocess.Popen([*DASK, *command], stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@contextmanager
def cluster(folder: Path, workers: int = 2) -> Iterator[tuple[str, list["subprocess.Popen[bytes]"]]]:
    """Yield the address of a scheduler and the processes of its workers. No other cluster may have used `folder`."""
    scheduler_file = folder / "scheduler.json"
    with ExitStack() as stack:
        shared = ["--scheduler-file", str(scheduler_file), "--no-dashboard"]
        stack.enter_context(running("scheduler", "--port", "0", *shared))
        options = [*shared, "--nthreads", "2", "--no-nanny", "--local-directory", str(folder)]
        processes = [stack.enter_context(running("worker", *options)) for _ in range(workers)]
        wait_until(scheduler_file.exists, "the scheduler writes its address")
        with Client(scheduler_file=str(scheduler_file)) as client:
            client.wait_for_workers(workers, timeout=120)
            address = client.scheduler.address
        yield address, processes


def test_a_cluster_gives_the_same_tables_as_threads(
    home: Path, tmp_path: Path, tiny_models: list[Path], alone: tuple[pa.Table, pa.Table]
) -> None:
    with cluster(tmp_path) as (address, _):
        assert scan(home, "spread", tiny_models, cluster=address) == alone
        before = content(home / "spread")
        assert scan(home, "spread", tiny_models, cluster=address) == before  # nothing new


def test_a_worker_killed_in_a_batch_costs_a_retry_and_no_file(
    home: Path, tmp_path: Path, tiny_models: list[Path], alone: tuple[pa.Table, pa.Table]
) -> None:
    with cluster(tmp_path) as (address, workers):
        lost: list[Any] = []
        killer = threading.Thread(target=lambda: lost.extend(kill_in_a_batch(home, address, workers[0].pid)))
        killer.start()
        media, _ = scan(home, "killed", tiny_models, cluster=address)
        killer.join()
        assert lost
        assert workers[0].wait(5) == -signal.SIGKILL
        assert workers[1].poll() is None
    assert Counter(media["path"].to_pylist()) == Counter(os.listdir(home / "in"))
    assert content(home / "killed") == alone
    assert list((home / "killed" / "staging").iterdir()) == []


def kill_in_a_batch(home: Path, address: str, pid: int) -> list[Any]:
    """Kill a worker that holds batches after some were judged, and return the batches that it held."""
    with Client(address) as client:
        (worker,) = (name for name, worker_pid in client.run(os.getpid).items() if worker_pid == pid)
        staged = home / "killed" / "staging"
        wait_until(lambda: list(staged.glob("*/*-outcomes.parquet")), "a batch is judged")

        def batches_held() -> list[Any]:
            os.kill(pid, signal.SIGSTOP)  # so that it finishes none of the batches that it holds
            held = [task for task in client.processing()[worker] if str(task).startswith("judge")]
            os.kill(pid, signal.SIGKILL if held else signal.SIGCONT)
            return held

        return wait_until(batches_held, "the worker holds a batch")


def test_processes_of_this_machine_are_a_cluster_too(
    home: Path, tiny_models: list[Path], alone: tuple[pa.Table, pa.Table]
) -> None:
    assert scan(home, "two", tiny_models, cluster=2) == alone


def test_a_scheduler_that_does_not_respond_is_an_error(
    home: Path, tiny_models: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(task_runners, "CONNECT_TIMEOUT", "1s")
    with pytest.raises(UserError, match=r"no Dask scheduler responds at tcp://127.0.0.1:9"):
        scan(home, "none", tiny_models, cluster="tcp://127.0.0.1:9")


def test_a_cluster_that_loses_all_workers_ends_the_scan(
    home: Path, tmp_path: Path, tiny_models: list[Path], alone: tuple[pa.Table, pa.Table],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(task_runners, "POLL_S", 0.5)
    monkeypatch.setattr(task_runners, "NO_WORKERS_S", 2.0)
    with cluster(tmp_path, workers=1) as (address, (worker,)):
        killer = threading.Thread(
            target=lambda: (wait_until(lambda: decoders(worker.pid), "decoders run"), worker.kill())
        )
        killer.start()
        with pytest.raises(UserError, match="the cluster has had no worker for 2 s"):
            scan(home, "ended", tiny_models, cluster=address)
        killer.join()
    assert scan(home, "ended", tiny_models) == alone


def decoders(pid: int) -> list[str]:
    """Return the ids of the child processes of a worker."""
    return [child for task in Path(f"/proc/{pid}/task").glob("*/children") for child in task.read_text().split()]
