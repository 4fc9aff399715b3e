"""The service as people run it: a real server, workers, schedules; what is missed, cancelled, killed and told of."""

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
from loopback import Server
from prefect.client.schemas.objects import StateType
from scanning_fixtures import union
from service_fixtures import (
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
    held,
    interrupt,
    is_up,
    kill_all,
    let_leases_expire,
    running,
    ten_times,
    until,
    webhook,
    write_project,
)

from fauxscan import params
from fauxscan.scanning import scan, settings, tables
from fauxscan.scanning.engine import Engine

pytest_plugins = ["scanning_models"]
pytestmark = [pytest.mark.slow, pytest.mark.alone, pytest.mark.timeout(600)]
MANY = 300
INTERVAL_S = 20


def media(results: Path) -> list[str]:
    """Return the paths in the tables, which must be readable whenever they are asked."""
    tables.check(results)
    return sorted(tables.read(results, tables.MEDIA)["path"].to_pylist())


def runs(results: Path) -> list[dict[str, Any]]:
    """Return the rows of the table `runs`, in their order."""
    found: list[dict[str, Any]] = tables.read(results, tables.RUNS).sort_by("run_id").to_pylist()
    return found


def committed(results: Path) -> bool:
    """Return whether some of a scan is in the tables."""
    return (results / "media").is_dir() and bool(media(results))


# === make serve ===


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, tiny_models: list[Path]) -> Path:
    """Return a project with two scans that are due every few seconds, each with what is its own."""
    own = {"models": ["models/faces", "models/wholes"], "limits": {"scan": {"batch_files": 50}}}
    entries = [
        deployment("few", "few", schedules=every(INTERVAL_S)),
        deployment("many", "many", schedules=every(INTERVAL_S), parameters=own),
    ]
    return write_project(tmp_path_factory.mktemp("served") / "project", tiny_models, {"few": 10, "many": MANY}, entries)


def test_make_serve_scans_by_itself_and_ends_with_all_it_started(served: Path) -> None:
    port, results = free_port(), served / "results"
    env, log = environment(served.parent / "prefect", port), served.parent / "serve.log"
    command, service = ["flows.serve", "--port", str(port)], Service(port)
    with running(command, served, env, log) as process:
        until(lambda: committed(results / "few") and committed(results / "many"), "both schedules fire")
        until(lambda: {run.name for run in service.begun()} >= {"scan few", "scan many"}, "runs say their folders")
        assert f"http://127.0.0.1:{port}" in log.read_text().partition("Schedules are on.")[2]
        service.start("many", results="results/cut", limits=SLOW)
        until(lambda: committed(results / "cut"), "a scan is under way")
        started = family(process.pid)
        assert any("decoding" in " ".join(one.cmdline()) for one in started)
        assert interrupt(process, signal.SIGTERM) == 0
        until(lambda: gone(started), "all that it started ends", 30)
    assert 0 < len(media(results / "cut")) < MANY
    before = len(runs(results / "many"))
    let_leases_expire(served.parent / "prefect")
    time.sleep(2 * INTERVAL_S)  # so that each schedule has missed two runs
    with running(command, served, env, log) as process:
        until(lambda: is_up(port), "it is there again")
        rest = service.start("many", results="results/cut")
        until(lambda: len(runs(results / "many")) > before, "a schedule fires again")
        assert service.ended(rest).name == "Completed"
        until(lambda: "Skipped" in {run.state_name for run in service.runs("few")}, "one run makes up for others")
        ran = [run for run in service.begun() if run.start_time]  # the others were skipped where they waited
        for one, after in pairwise(ran):  # one run at a time, whatever the deployment
            assert one.end_time is None or one.end_time <= after.start_time
        started = family(process.pid)
        assert interrupt(process, signal.SIGINT) == 0
        until(lambda: gone(started), "all that it started ends", 30)
    for name, folder in {"few": "few", "many": "many", "cut": "many"}.items():
        assert media(results / name) == sorted(os.listdir(served / folder))
    models = {name: [model["name"] for model in runs(results / name)[0]["models"]] for name in ("few", "many")}
    assert models == {"few": ["wholes"], "many": ["faces", "wholes"]}


def test_make_serve_says_that_its_port_is_taken(tmp_path: Path, server: Server) -> None:
    command = [sys.executable, "-m", "flows.serve", "--port", str(server.server_port)]
    env = environment(tmp_path / "prefect", server.server_port)
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert f"port {server.server_port} is taken" in done.stderr
    assert "make serve" in done.stderr


# === A server and a worker of their own ===


@pytest.fixture(scope="module")
def backend(tmp_path_factory: pytest.TempPathFactory, tiny_models: list[Path]) -> Iterator[Backend]:
    """Run a server that knows some deployments, and a worker that takes all that it is given at once."""
    slow = {"folder": "many", "limits": SLOW}
    with webhook() as hook, ExitStack() as end:
        backend = Backend(tmp_path_factory.mktemp("backend"), hook, end)
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
    """Return what an uninterrupted scan of the many finds, judged in this process."""
    numbers, results = params.load(backend.project / "params.yaml"), tmp_path_factory.mktemp("whole")
    engine = Engine(settings.read(numbers, [backend.project / "models" / "wholes"]))
    scan.scan(backend.project / "many", results, engine)
    return union(results)


def begun(backend: Backend, name: str, results: str, **more: Any) -> tuple[UUID, list[psutil.Process]]:
    """Return a run that has some files in the tables and many to go, and its processes."""
    run = backend.service.start(name, results=results, **more)
    processes = family(backend.service.pid(run))
    until(lambda: committed(backend.project / results), "some files are in the tables")
    return run, [*processes, *family(processes[0].pid)]


def finished(backend: Backend, name: str, results: str) -> UUID:
    """Return the next run, which has completed."""
    run = backend.service.start(name, results=results, limits={})
    assert backend.service.ended(run).name == "Completed"
    return run


def told(backend: Backend, run: UUID, state: str) -> bool:
    """Return whether the webhook was told of a run once, and rightly."""
    until(lambda: backend.hook.of(run), "the webhook is told")
    (notice,) = backend.hook.of(run)
    return bool(notice["state"] == state and notice["flow"] == "scan" and notice["page"].endswith(f"/{run}"))


def test_a_run_that_is_cancelled_ends_cleanly_and_the_next_finishes_the_rest(backend: Backend, expected: Any) -> None:
    run, processes = begun(backend, "many", "results/cancelled")
    results = backend.project / "results" / "cancelled"
    backend.service.cancel(run)
    until(lambda: bool(media(results)) and gone(processes), "the run's processes end, its tables readable", 30)
    assert backend.service.ended(run).name == "Cancelled"
    assert told(backend, run, "Cancelled")
    assert len(media(results)) < MANY
    assert told(backend, finished(backend, "many", "results/cancelled"), "Completed")
    assert union(results) == expected


def test_a_run_that_is_killed_has_crashed_and_the_next_finishes_the_rest(backend: Backend, expected: Any) -> None:
    run, processes = begun(backend, "many", "results/killed")
    processes[0].kill()
    assert backend.service.ended(run).type == StateType.CRASHED
    until(lambda: gone(processes), "its decoders end", 30)
    assert told(backend, run, "Crashed")
    finished(backend, "many", "results/killed")
    assert union(backend.project / "results" / "killed") == expected


def test_of_two_scans_into_one_place_the_second_waits_or_says_why_it_cannot(backend: Backend, expected: Any) -> None:
    # Few batches: while Prefect's SQLite writes down hundreds that ended together, the next run may not get its slot.
    first, processes = begun(backend, "many", "results/shared", limits=COARSE)
    with held(processes[0]):
        same = backend.service.start("many", results="results/shared")
        other = backend.service.start("other", results="results/shared")
        refused = backend.service.ended(other)
        assert refused.type == StateType.FAILED
        assert "another scan is writing to" in str(refused.message)
        assert told(backend, other, "Failed")
        until(lambda: backend.service.state(same).name == "AwaitingConcurrencySlot", "the second waits")
    assert backend.service.ended(first).name == backend.service.ended(same).name == "Completed"
    before, after = (backend.service.client.read_flow_run(run) for run in (first, same))
    assert before.end_time and after.start_time and before.end_time <= after.start_time
    assert union(backend.project / "results" / "shared") == expected


def test_ten_missed_runs_are_caught_up_by_one(backend: Backend) -> None:
    service, results = backend.service, backend.project / "results" / "missed"

    def late() -> bool:
        due = [run.expected_start_time for run in service.runs("missed")]
        return len(due) == 10 and all(time and time < datetime.now(UTC) for time in due)

    until(late, "ten runs are late")
    backend.start_worker(NIGHTS, "--limit", "1")  # as `make serve` has it
    until(lambda: all(run.state and run.state.is_final() for run in service.runs("missed")), "all have ended")
    states = sorted(str(run.state_name) for run in service.runs("missed"))
    assert states == ["Completed"] + 9 * ["Skipped"]
    assert [run["status_ok"] for run in runs(results)] == [10]
    assert [run.name for run in service.runs("missed")].count("scan few") == 1  # the others took no process
    assert service.ended(service.start("missed")).name == "Completed"  # a person's run is never skipped
    assert [run["status_ok"] for run in runs(results)] == [10, 10]


def test_without_a_server_no_scan_is_begun(backend: Backend, tmp_path: Path) -> None:
    results = tmp_path / "results"
    code = f"from flows.scan import scan; scan('few', {str(results)!r}, ['models/wholes'])"
    env = environment(tmp_path / "prefect", free_port(), PREFECT_CLIENT_MAX_RETRIES="0")
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=backend.project, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "Failed to reach API" in done.stderr
    assert not results.exists()


def test_a_scan_outlives_its_server_and_after_a_power_cut_the_next_run_gets_its_slot(
    backend: Backend, expected: Any
) -> None:
    results = backend.project / "results" / "outlived"
    run, processes = begun(backend, "many", "results/outlived")
    backend.kill_server()
    until(lambda: len(media(results)) == MANY and runs(results), "the scan ends without it, its tables readable")
    assert union(results) == expected
    backend.kill_workers()
    kill_all(processes)
    backend.start_server()
    assert backend.service.state(run).name == "Running"  # nobody was left to say that it is over
    let_leases_expire(backend.prefect)
    backend.start_worker(POOL)
    finished(backend, "many", "results/outlived")
    assert union(results) == expected
