"""The service with a real server, workers and schedules: missed, cancelled and killed runs, and their notices."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any
from uuid import UUID

import psutil
import pytest
from prefect.client.schemas.objects import StateType
from support.loopback import Server
from support.scanning import union
from support.service import (
    COARSE,
    NIGHTS,
    POOL,
    SLOW,
    Backend,
    Service,
    deployment,
    environment,
    every,
    family,
    free_port,
    gone,
    interrupt,
    is_up,
    kill_all,
    let_leases_expire,
    running,
    suspended,
    ten_times,
    webhook,
    write_project,
)
from support.waiting import wait_until

from fauxscan import params
from fauxscan.scanning import scan, settings
from fauxscan.scanning.engine.engine import Engine
from fauxscan.scanning.tables import parquet, schemas

pytest_plugins = ["support.scanning_models"]
pytestmark = [pytest.mark.slow, pytest.mark.alone, pytest.mark.timeout(600)]
MANY = 300
INTERVAL_S = 20


def media(results: Path) -> list[str]:
    """Return the paths in the tables, which must be readable at any time."""
    parquet.check(results)
    return sorted(parquet.read(results, schemas.MEDIA)["path"].to_pylist())


def runs(results: Path) -> list[dict[str, Any]]:
    """Return the rows of the table `runs`, sorted by run."""
    rows: list[dict[str, Any]] = parquet.read(results, schemas.RUNS).sort_by("run_id").to_pylist()
    return rows


def has_commits(results: Path) -> bool:
    """Return whether the tables contain any files."""
    return (results / "media").is_dir() and bool(media(results))


# === make serve ===


@pytest.fixture
def service() -> Iterator[Service]:
    """Yield the client of a server that a test starts on a free port."""
    with Service(free_port()) as client:
        yield client


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, tiny_models: list[Path]) -> Path:
    """Return a project with two scans that are due every few seconds, with different models and limits."""
    own = {"models": ["models/faces", "models/wholes"], "limits": {"scan": {"batch_files": 50}}}
    entries = [
        deployment("few", "few", schedules=every(INTERVAL_S)),
        deployment("many", "many", schedules=every(INTERVAL_S), parameters=own),
    ]
    return write_project(tmp_path_factory.mktemp("served") / "project", tiny_models, {"few": 10, "many": MANY}, entries)


def test_make_serve_runs_schedules_and_stops_everything_it_started(served: Path, service: Service) -> None:
    port, results = service.port, served / "results"
    env, log = environment(served.parent / "prefect", port), served.parent / "serve.log"
    command = ["flows.serve", "--port", str(port)]
    with running(command, served, env, log) as process:
        wait_until(lambda: has_commits(results / "few") and has_commits(results / "many"), "both schedules start runs")
        wait_until(
            lambda: {run.name for run in service.started()} >= {"scan few", "scan many"},
            "runs have names",
        )
        messages = served.parent / "prefect" / "fauxscan" / f"serve-{port}.log"
        assert log.read_text() == (
            f"Starting a Prefect server. It writes its messages to {messages}\n"
            f"The schedules are active. Watch them at http://127.0.0.1:{port}\n"
            "Ctrl-C stops the server and the worker.\n"
        )
        assert "Deployment 'scan/many' successfully created" in messages.read_text()
        service.start("many", results="results/cut", limits=SLOW)
        wait_until(lambda: has_commits(results / "cut"), "a scan is running")
        started = family(process.pid)
        assert any("decoding" in " ".join(one.cmdline()) for one in started)
        assert interrupt(process, signal.SIGTERM) == 0
        wait_until(lambda: gone(started), "all its processes end", 30)
    assert 0 < len(media(results / "cut")) < MANY
    before = len(runs(results / "many"))
    let_leases_expire(served.parent / "prefect")
    time.sleep(2 * INTERVAL_S)  # both schedules miss two runs: there is no event to wait for
    with running(command, served, env, log) as process:
        wait_until(lambda: is_up(port), "the server responds again")
        rest = service.start("many", results="results/cut")
        wait_until(lambda: len(runs(results / "many")) > before, "a schedule starts a run again")
        assert service.ended(rest).name == "Completed"
        wait_until(lambda: "Skipped" in {run.state_name for run in service.runs("few")}, "one run replaces the others")
        ran = [run for run in service.started() if run.start_time]  # the others were skipped before they started
        for one, after in pairwise(ran):  # one run at a time, across deployments
            assert one.end_time is None or one.end_time <= after.start_time
        started = family(process.pid)
        assert interrupt(process, signal.SIGINT) == 0
        wait_until(lambda: gone(started), "all its processes end", 30)
    for name, folder in {"few": "few", "many": "many", "cut": "many"}.items():
        assert media(results / name) == sorted(os.listdir(served / folder))
    models = {name: [model["name"] for model in runs(results / name)[0]["models"]] for name in ("few", "many")}
    assert models == {"few": ["wholes"], "many": ["faces", "wholes"]}


def test_make_serve_reports_that_its_port_is_in_use(tmp_path: Path, server: Server) -> None:
    command = [sys.executable, "-m", "flows.serve", "--port", str(server.server_port)]
    env = environment(tmp_path / "prefect", server.server_port)
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert f"port {server.server_port} is in use" in done.stderr
    assert "make serve" in done.stderr


# === A separate server and worker ===


@pytest.fixture(scope="module")
def backend(tmp_path_factory: pytest.TempPathFactory, tiny_models: list[Path]) -> Iterator[Backend]:
    """Run a server with some deployments, and a worker without a limit on runs at once."""
    slow = {"folder": "many", "limits": SLOW}
    with webhook() as hook, ExitStack() as stack:
        backend = Backend(tmp_path_factory.mktemp("backend"), hook, stack)
        backend.start_server()
        entries = [
            deployment("many", "many", parameters=slow),
            deployment("other", "many", limit=None, parameters=slow),
            deployment("missed", "few", schedules=ten_times(40), work_pool={"name": NIGHTS}),
        ]
        write_project(backend.project, tiny_models, {"few": 10, "many": MANY}, entries)
        backend.deploy()
        backend.start_worker(POOL)
        yield backend


@pytest.fixture(scope="module")
def expected(backend: Backend, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Return the tables of an uninterrupted scan of the folder `many` in this process."""
    numbers, results = params.load(backend.project / "params.yaml"), tmp_path_factory.mktemp("whole")
    engine = Engine(settings.read(numbers, [backend.project / "models" / "wholes"]))
    scan.scan(backend.project / "many", results, engine)
    return union(results)


def start_run(backend: Backend, name: str, results: str, **more: Any) -> tuple[UUID, list[psutil.Process]]:
    """Start a run, wait until some of its files are in the tables, and return it with its processes."""
    run = backend.service.start(name, results=results, **more)
    processes = family(backend.service.pid(run))
    wait_until(lambda: has_commits(backend.project / results), "some files are in the tables")
    return run, [*processes, *family(processes[0].pid)]


def complete_run(backend: Backend, name: str, results: str) -> UUID:
    """Run a deployment to its end and return the run."""
    run = backend.service.start(name, results=results, limits={})
    assert backend.service.ended(run).name == "Completed"
    return run


def is_notified(backend: Backend, run: UUID, state: str) -> bool:
    """Return whether the webhook has received one notice of a run, with the right content."""
    wait_until(lambda: backend.hook.notices_of(run), "the webhook receives a notice")
    (notice,) = backend.hook.notices_of(run)
    return bool(notice["state"] == state and notice["flow"] == "scan" and notice["page"].endswith(f"/{run}"))


def test_a_cancelled_run_ends_cleanly_and_the_next_run_finishes_the_rest(backend: Backend, expected: Any) -> None:
    run, processes = start_run(backend, "many", "results/cancelled")
    results = backend.project / "results" / "cancelled"
    backend.service.cancel(run)
    wait_until(lambda: bool(media(results)) and gone(processes), "the run's processes end, its tables readable", 30)
    assert backend.service.ended(run).name == "Cancelled"
    assert is_notified(backend, run, "Cancelled")
    assert len(media(results)) < MANY
    assert is_notified(backend, complete_run(backend, "many", "results/cancelled"), "Completed")
    assert union(results) == expected


def test_a_killed_run_has_crashed_and_the_next_run_finishes_the_rest(backend: Backend, expected: Any) -> None:
    run, processes = start_run(backend, "many", "results/killed")
    processes[0].kill()
    assert backend.service.ended(run).type == StateType.CRASHED
    wait_until(lambda: gone(processes), "its decoders end", 30)
    assert is_notified(backend, run, "Crashed")
    complete_run(backend, "many", "results/killed")
    assert union(backend.project / "results" / "killed") == expected


def test_of_two_scans_into_the_same_results_the_second_waits_or_is_refused(backend: Backend, expected: Any) -> None:
    # Few batches: while SQLite records hundreds of batches that ended together, the next run may not get its slot.
    first, processes = start_run(backend, "many", "results/shared", limits=COARSE)
    with suspended(processes[0]):
        same = backend.service.start("many", results="results/shared")
        other = backend.service.start("other", results="results/shared")
        refused = backend.service.ended(other)
        assert refused.type == StateType.FAILED
        assert "another scan is writing to" in str(refused.message)
        assert is_notified(backend, other, "Failed")
        wait_until(lambda: backend.service.state(same).name == "AwaitingConcurrencySlot", "the second waits")
    assert backend.service.ended(first).name == backend.service.ended(same).name == "Completed"
    before, after = (backend.service.client.read_flow_run(run) for run in (first, same))
    assert before.end_time and after.start_time and before.end_time <= after.start_time
    assert union(backend.project / "results" / "shared") == expected


def test_ten_missed_runs_are_replaced_by_one(backend: Backend) -> None:
    service, results = backend.service, backend.project / "results" / "missed"

    def all_late() -> bool:
        due = [run.expected_start_time for run in service.runs("missed")]
        return len(due) == 10 and all(time and time < datetime.now(UTC) for time in due)

    wait_until(all_late, "ten runs are late")
    backend.start_worker(NIGHTS, "--limit", "1")  # as in `make serve`
    wait_until(lambda: all(run.state and run.state.is_final() for run in service.runs("missed")), "all have ended")
    states = sorted(str(run.state_name) for run in service.runs("missed"))
    assert states == ["Completed"] + 9 * ["Skipped"]
    assert [run["status_ok"] for run in runs(results)] == [10]
    assert [run.name for run in service.runs("missed")].count("scan few") == 1  # the others started no process
    assert service.ended(service.start("missed")).name == "Completed"  # a run that a person starts is never skipped
    assert [run["status_ok"] for run in runs(results)] == [10, 10]


def test_without_a_server_no_scan_starts(backend: Backend, tmp_path: Path) -> None:
    results = tmp_path / "results"
    code = f"from flows.scan import scan; scan('few', {str(results)!r}, ['models/wholes'])"
    env = environment(tmp_path / "prefect", free_port(), PREFECT_CLIENT_MAX_RETRIES="0")
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=backend.project, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "Failed to reach API" in done.stderr
    assert not results.exists()


def test_a_scan_outlives_its_server_and_after_a_power_cut_the_next_run_starts(backend: Backend, expected: Any) -> None:
    results = backend.project / "results" / "outlived"
    run, processes = start_run(backend, "many", "results/outlived")
    backend.kill_server()
    wait_until(lambda: len(media(results)) == MANY and runs(results), "the scan ends without the server")
    assert union(results) == expected
    backend.kill_workers()
    kill_all(processes)
    backend.start_server()
    assert backend.service.state(run).name == "Running"  # no process was left to report its end
    let_leases_expire(backend.prefect)
    backend.start_worker(POOL)
    complete_run(backend, "many", "results/outlived")
    assert union(results) == expected
