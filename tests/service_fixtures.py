"""What the tests of the service share: a project of its own, Prefect processes, and what is asked of the server."""

import http.server
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

import psutil
import pytest
import yaml
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.filters import (
    DeploymentFilter,
    DeploymentFilterName,
    FlowRunFilter,
    FlowRunFilterDeploymentId,
    FlowRunFilterStartTime,
)
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.states import State
from prefect.workers.process import ProcessWorker
from scanning_fixtures import REPO, write_many, write_params

from flows.serve import LEASES

DEADLINE_S = 240.0  # of a wait: what is waited for takes seconds, but a machine may be busy
POOL, NIGHTS = "fauxscan", "nights"  # work pools
SECRET = "a-secret-of-its-own"
SLOW = {"scan": {"batch_files": 1, "publish_every": 4}}  # hundreds of batches: a scan that lasts
COARSE = {"scan": {"batch_files": 20, "publish_every": 1}}
T = TypeVar("T")


def until(found: Callable[[], T | None], what: str, deadline_s: float = DEADLINE_S) -> T:
    """Return what `found` gives once it is anything; fail if it never is."""
    end = time.monotonic() + deadline_s
    while time.monotonic() < end:
        if value := found():
            return value
        time.sleep(0.2)
    pytest.fail(f"in {deadline_s:.0f} s it did not come to this: {what}")


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def write_project(home: Path, models: list[Path], folders: dict[str, int], deployments: list[dict[str, Any]]) -> Path:
    """Write a project: parameters, models, folders with so many images, and its own prefect.yaml."""
    home.mkdir(parents=True)
    (home / "models").mkdir()
    for model in models:
        (home / "models" / model.name).symlink_to(model)
    write_params(home / "params.yaml", engine="openvino")  # type: ignore[arg-type]
    for folder, count in folders.items():
        write_many(home / folder, count)
    (home / "prefect.yaml").write_text(yaml.safe_dump({"name": "tried", "deployments": deployments}))
    return home


def deployment(
    name: str, folder: str, results: str | None = None, limit: int | None = 1, **more: Any
) -> dict[str, Any]:
    """Return an entry of prefect.yaml, as the committed ones are; `limit` None: without one."""
    parameters = {"folder": folder, "results": f"results/{name}", "models": ["models/wholes"]}
    limited = {"concurrency_limit": {"limit": limit, "collision_strategy": "ENQUEUE"}} if limit else {}
    given = more.pop("parameters", {})
    return {
        "name": name, "entrypoint": "flows.scan.scan", "work_pool": {"name": POOL},
        "parameters": parameters | given, **limited, **more,
    }  # fmt: skip


def every(seconds: int) -> list[dict[str, Any]]:
    """Return a schedule."""
    return [{"interval": seconds, "anchor_date": "2020-01-01T00:00:00+00:00"}]


def ten_times(after_s: float) -> list[dict[str, Any]]:
    """Return a schedule of ten runs, a second apart, and no more."""
    begin = datetime.now(UTC) + timedelta(seconds=after_s)
    return [{"rrule": f"DTSTART:{begin:%Y%m%dT%H%M%SZ}\nRRULE:FREQ=SECONDLY;COUNT=10", "timezone": "UTC"}]


def environment(home: Path, port: int, **more: str) -> dict[str, str]:
    """Return the environment of Prefect's processes: a database of their own, nothing of this machine."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT")}
    ours = os.pathsep.join([str(REPO / "src"), str(REPO)])
    api = f"http://127.0.0.1:{port}/api"
    return kept | {
        "PYTHONPATH": ours, "PREFECT_HOME": str(home), "PREFECT_API_URL": api, "PREFECT_UI_URL": api[:-4],
        "DO_NOT_TRACK": "1", "PREFECT_SERVER_ANALYTICS_ENABLED": "false", "TF_CPP_MIN_LOG_LEVEL": "3",
        "PREFECT_WORKER_QUERY_SECONDS": "2", "PREFECT_SERVER_DEPLOYMENTS_CONCURRENCY_SLOT_WAIT_SECONDS": "3",
    } | more  # fmt: skip


@contextmanager
def running(command: list[str], cwd: Path, env: dict[str, str], log: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """Run a Python command, its output in a file; at the end whatever is left of it is killed."""
    with log.open("ab") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", *command], cwd=cwd, env=env, stdout=file, stderr=file, stdin=subprocess.DEVNULL
        )
    try:
        yield process
    finally:
        kill_all(family(process.pid))


def family(pid: int) -> list[psutil.Process]:
    """Return a process and all that descend from it."""
    try:
        first = psutil.Process(pid)
        return [first, *first.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def kill_all(processes: list[psutil.Process]) -> None:
    """Kill processes, and wait for their end."""
    for process in processes:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
    psutil.wait_procs(processes, 30)


def gone(processes: list[psutil.Process]) -> bool:
    """Return whether all have ended."""
    return not any(one.is_running() and one.status() != psutil.STATUS_ZOMBIE for one in processes)


class Service:
    """A server as a test asks it."""

    def __init__(self, port: int) -> None:
        self.client = SyncPrefectClient(f"http://127.0.0.1:{port}/api")

    def deployment(self, name: str) -> UUID:
        """Return the id of a deployment."""
        named = DeploymentFilter(name=DeploymentFilterName(any_=[name]))
        (found,) = self.client.read_deployments(deployment_filter=named)
        return found.id

    def start(self, name: str, **parameters: Any) -> UUID:
        """Return the id of a run that a person starts."""
        return self.client.create_flow_run_from_deployment(self.deployment(name), parameters=parameters).id

    def runs(self, name: str) -> list[FlowRun]:
        """Return the runs of a deployment, those to come too."""
        of = FlowRunFilter(deployment_id=FlowRunFilterDeploymentId(any_=[self.deployment(name)]))
        return self.client.read_flow_runs(flow_run_filter=of, limit=200)

    def begun(self) -> list[FlowRun]:
        """Return all runs that have begun, in their order."""
        of = FlowRunFilter(start_time=FlowRunFilterStartTime(before_=datetime.now(UTC)))  # type: ignore[arg-type]
        return sorted(self.client.read_flow_runs(flow_run_filter=of, limit=200), key=lambda run: str(run.start_time))

    def state(self, run: UUID) -> State[Any]:
        """Return how a run stands."""
        state = self.client.read_flow_run(run).state
        assert state
        return state

    def ended(self, run: UUID) -> State[Any]:
        """Return the state that a run has ended in."""
        return until(lambda: state if (state := self.state(run)).is_final() else None, "the run ends")

    def pid(self, run: UUID) -> int:
        """Return the process of a run that is under way."""

        def found() -> int | None:
            one = self.client.read_flow_run(run)
            known = one.state_type == StateType.RUNNING and one.infrastructure_pid
            return int(one.infrastructure_pid) if known and one.infrastructure_pid else None

        return until(found, "the run is under way")

    def cancel(self, run: UUID) -> None:
        """Cancel a run as the page of the server does."""
        self.client.set_flow_run_state(run, State(type=StateType.CANCELLING, name="Cancelling"))


def is_up(port: int) -> bool:
    """Return whether a server answers."""
    import urllib.error
    import urllib.request

    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/health", timeout=5) as answer:
            return bool(json.load(answer))
    except (urllib.error.URLError, OSError):
        return False


def interrupt(process: "subprocess.Popen[bytes]", number: signal.Signals) -> int:
    """Send a signal, and return the exit status."""
    process.send_signal(number)
    return process.wait(DEADLINE_S)


class Webhook(http.server.ThreadingHTTPServer):
    """A webhook on loopback, which keeps what it is told; it may answer with an error, or not at all."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Posts)
        self.told: list[dict[str, Any]] = []
        self.answer: int | None = 200  # None: it hangs until the end
        self.end = threading.Event()
        self.at = f"http://127.0.0.1:{self.server_port}/{SECRET}"

    def of(self, run: UUID) -> list[dict[str, Any]]:
        """Return what was told of a run."""
        return [notice for notice in self.told if notice["run_id"] == str(run)]


class _Posts(http.server.BaseHTTPRequestHandler):
    server: Webhook

    def do_POST(self) -> None:
        self.server.told.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        if self.server.answer is None:
            self.server.end.wait(DEADLINE_S)
        else:
            self.send_response(self.server.answer)
            self.send_header("Content-Length", "0")
            self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def webhook() -> Iterator[Webhook]:
    """Run a webhook."""
    with Webhook() as hook:
        threading.Thread(target=hook.serve_forever, args=[0.01], daemon=True).start()
        yield hook
        hook.end.set()
        hook.shutdown()


class Backend:
    """A Prefect server that may be killed and started again, with workers beside it."""

    def __init__(self, home: Path, hook: Webhook, end: ExitStack) -> None:
        self.hook, self._home, self._end, self._workers = hook, home, end, list["subprocess.Popen[bytes]"]()
        self.port, self.project, self.log = free_port(), home / "project", home / "log.txt"
        self.prefect = home / "prefect"
        more = {"FAUXSCAN_WEBHOOK": hook.at, "PREFECT_SERVER_SERVICES_REPOSSESSOR_LOOP_SECONDS": "1"}
        self.env = environment(self.prefect, self.port, PREFECT_CLIENT_MAX_RETRIES="2", **LEASES, **more)
        self.service = Service(self.port)

    def start_server(self) -> None:
        """Run the server until it is killed, or all ends."""
        command = ["prefect", "server", "start", "--host", "127.0.0.1", "--port", str(self.port)]
        self._server = self._end.enter_context(running(command, self._home, self.env, self.log))
        until(lambda: is_up(self.port), "the server answers")

    def kill_server(self) -> None:
        """Kill the server, which has no time to say anything."""
        kill_all(family(self._server.pid))

    def start_worker(self, pool: str, *options: str) -> None:
        """Run a worker, which takes all that it is given at once if no option says otherwise, until all ends."""
        command = ["prefect", "worker", "start", "--pool", pool, *options]
        self._workers.append(self._end.enter_context(running(command, self._home, self.env, self.log)))

    def kill_workers(self) -> None:
        """Kill the workers."""
        kill_all([process for worker in self._workers for process in family(worker.pid)])

    def deploy(self) -> None:
        """Make the work pools, and deploy what stands in the project's prefect.yaml."""
        template = ProcessWorker.get_default_base_job_template()
        for pool in (POOL, NIGHTS):
            self.service.client.create_work_pool(WorkPoolCreate(name=pool, type="process", base_job_template=template))
        command = [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all"]
        subprocess.run(command, cwd=self.project, env=self.env, check=True, capture_output=True, timeout=DEADLINE_S)


def let_leases_expire(home: Path) -> None:
    """Have it be as if the five minutes were over for which a slot is kept for a run that is not heard of."""
    over, leases = "2020-01-01T00:00:00+00:00", home / "concurrency_leases"
    held = json.loads((leases / "expirations.json").read_text())
    assert held
    for lease in held:
        file = leases / f"{lease}.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | {"expiration": over}))
    (leases / "expirations.json").write_text(json.dumps(dict.fromkeys(held, over)))


@contextmanager
def held(process: psutil.Process) -> Iterator[None]:
    """Hold a process, so that it cannot have ended before what a test does meanwhile."""
    process.suspend()
    try:
        yield
    finally:
        process.resume()
