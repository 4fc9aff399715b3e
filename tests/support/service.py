"""Helpers for tests of the service: a project, Prefect processes, and requests to the server."""

import http.server
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import psutil
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

from flows.server import LEASES
from support import ROOT
from support.scanning import write_many, write_params
from support.waiting import DEADLINE_S, wait_until

POOL, NIGHTS = "fauxscan", "nights"  # work pools
SECRET = "a-secret-of-its-own"
SLOW = {"scan": {"batch_files": 1, "publish_every": 4}}  # hundreds of batches: a long scan
COARSE = {"scan": {"batch_files": 20, "publish_every": 1}}


def free_port() -> int:
    """Return a port that is not in use."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def write_project(home: Path, models: list[Path], folders: dict[str, int], deployments: list[dict[str, Any]]) -> Path:
    """Write a project: parameters, models, folders with the given numbers of images, and a prefect.yaml."""
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
    """Return an entry of prefect.yaml like the committed ones; with `limit` None it has no limit."""
    parameters = {"folder": folder, "results": f"results/{name}", "models": ["models/wholes"]}
    limited = {"concurrency_limit": {"limit": limit, "collision_strategy": "ENQUEUE"}} if limit else {}
    given = more.pop("parameters", {})
    return {
        "name": name, "entrypoint": "flows.scan.scan", "work_pool": {"name": POOL},
        "parameters": parameters | given, **limited, **more,
    }  # fmt: skip


def every(seconds: int) -> list[dict[str, Any]]:
    """Return a schedule with an interval in seconds."""
    return [{"interval": seconds, "anchor_date": "2020-01-01T00:00:00+00:00"}]


def ten_times(after_s: float) -> list[dict[str, Any]]:
    """Return a schedule of exactly ten runs, a second apart."""
    begin = datetime.now(UTC) + timedelta(seconds=after_s)
    return [{"rrule": f"DTSTART:{begin:%Y%m%dT%H%M%SZ}\nRRULE:FREQ=SECONDLY;COUNT=10", "timezone": "UTC"}]


def environment(home: Path, port: int, **more: str) -> dict[str, str]:
    """Return the environment of Prefect's processes: a separate database, and no settings of this machine."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT")}
    python_path = os.pathsep.join([str(ROOT / "src"), str(ROOT)])
    api = f"http://127.0.0.1:{port}/api"
    return inherited | {
        "PYTHONPATH": python_path, "PREFECT_HOME": str(home), "PREFECT_API_URL": api, "PREFECT_UI_URL": api[:-4],
        "DO_NOT_TRACK": "1", "PREFECT_SERVER_ANALYTICS_ENABLED": "false", "TF_CPP_MIN_LOG_LEVEL": "3",
        "PREFECT_WORKER_QUERY_SECONDS": "2", "PREFECT_SERVER_DEPLOYMENTS_CONCURRENCY_SLOT_WAIT_SECONDS": "3",
    } | more  # fmt: skip


@contextmanager
def running(command: list[str], cwd: Path, env: dict[str, str], log: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """Run a Python command with its output in a file; at the end, kill the processes that are left."""
    with log.open("ab") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", *command], cwd=cwd, env=env, stdout=file, stderr=file, stdin=subprocess.DEVNULL
        )
    try:
        yield process
    finally:
        kill_all(family(process.pid))
        process.wait()


def family(pid: int) -> list[psutil.Process]:
    """Return a process and all its descendants."""
    try:
        first = psutil.Process(pid)
        return [first, *first.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def kill_all(processes: list[psutil.Process]) -> None:
    """Kill processes and wait for their end."""
    for process in processes:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
    psutil.wait_procs(processes, 30)


def gone(processes: list[psutil.Process]) -> bool:
    """Return whether all processes have ended."""
    return not any(process.is_running() and process.status() != psutil.STATUS_ZOMBIE for process in processes)


class Service:
    """The client of a Prefect server. Use it as a context manager, so that its connections are closed."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.client = SyncPrefectClient(f"http://127.0.0.1:{port}/api")

    def __enter__(self) -> "Service":
        self.client.__enter__()
        return self

    def __exit__(self, *raised: Any) -> None:
        self.client.__exit__(*raised)

    def deployment(self, name: str) -> UUID:
        """Return the id of a deployment."""
        named = DeploymentFilter(name=DeploymentFilterName(any_=[name]))
        (deployment,) = self.client.read_deployments(deployment_filter=named)
        return deployment.id

    def start(self, name: str, **parameters: Any) -> UUID:
        """Start a run as a person does, and return its id."""
        return self.client.create_flow_run_from_deployment(self.deployment(name), parameters=parameters).id

    def runs(self, name: str) -> list[FlowRun]:
        """Return the runs of a deployment, including scheduled ones."""
        of = FlowRunFilter(deployment_id=FlowRunFilterDeploymentId(any_=[self.deployment(name)]))
        return self.client.read_flow_runs(flow_run_filter=of, limit=200)

    def started(self) -> list[FlowRun]:
        """Return all runs that have started, in order."""
        of = FlowRunFilter(start_time=FlowRunFilterStartTime(before_=datetime.now(UTC)))  # type: ignore[arg-type]
        return sorted(self.client.read_flow_runs(flow_run_filter=of, limit=200), key=lambda run: str(run.start_time))

    def state(self, run: UUID) -> State[Any]:
        """Return the present state of a run."""
        state = self.client.read_flow_run(run).state
        assert state
        return state

    def ended(self, run: UUID) -> State[Any]:
        """Wait for the end of a run and return its state."""
        return wait_until(lambda: state if (state := self.state(run)).is_final() else None, "the run ends")

    def pid(self, run: UUID) -> int:
        """Wait until a run is running and return the id of its process."""

        def running_pid() -> int | None:
            flow_run = self.client.read_flow_run(run)
            pid = flow_run.infrastructure_pid
            return int(pid) if flow_run.state_type == StateType.RUNNING and pid else None

        return wait_until(running_pid, "the run is running")

    def cancel(self, run: UUID) -> None:
        """Cancel a run as the web page of the server does."""
        self.client.set_flow_run_state(run, State(type=StateType.CANCELLING, name="Cancelling"))


def is_up(port: int) -> bool:
    """Return whether a server responds."""
    import urllib.error
    import urllib.request

    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/health", timeout=5) as answer:
            return bool(json.load(answer))
    except (urllib.error.URLError, OSError):
        return False


def interrupt(process: "subprocess.Popen[bytes]", number: signal.Signals) -> int:
    """Send a signal and return the exit code."""
    process.send_signal(number)
    return process.wait(DEADLINE_S)


class Webhook(http.server.ThreadingHTTPServer):
    """A webhook on loopback that keeps its notices; it can respond with an error, or not at all."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Posts)
        self.notices: list[dict[str, Any]] = []
        self.answer: int | None = 200  # None: no response until the end
        self.end = threading.Event()
        self.at = f"http://127.0.0.1:{self.server_port}/{SECRET}"

    def notices_of(self, run: UUID) -> list[dict[str, Any]]:
        """Return the notices of a run."""
        return [notice for notice in self.notices if notice["run_id"] == str(run)]


class _Posts(http.server.BaseHTTPRequestHandler):
    server: Webhook

    def do_POST(self) -> None:
        self.server.notices.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
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
    """Run a webhook for the block."""
    with Webhook() as hook:
        threading.Thread(target=hook.serve_forever, args=[0.01], daemon=True).start()
        yield hook
        hook.end.set()
        hook.shutdown()


class Backend:
    """A Prefect server that can be killed and started again, and its workers."""

    def __init__(self, home: Path, hook: Webhook, end: ExitStack) -> None:
        self.hook, self._home, self._end, self._workers = hook, home, end, list["subprocess.Popen[bytes]"]()
        self.port, self.project, self.log = free_port(), home / "project", home / "log.txt"
        self.prefect = home / "prefect"
        more = {"FAUXSCAN_WEBHOOK": hook.at, "PREFECT_SERVER_SERVICES_REPOSSESSOR_LOOP_SECONDS": "1"}
        self.env = environment(self.prefect, self.port, PREFECT_CLIENT_MAX_RETRIES="2", **LEASES, **more)
        self.service = end.enter_context(Service(self.port))

    def start_server(self) -> None:
        """Run the server until it is killed or the test module ends."""
        command = ["prefect", "server", "start", "--host", "127.0.0.1", "--port", str(self.port)]
        self._server = self._end.enter_context(running(command, self._home, self.env, self.log))
        wait_until(lambda: is_up(self.port), "the server responds")

    def kill_server(self) -> None:
        """Kill the server without a chance to clean up."""
        kill_all(family(self._server.pid))

    def start_worker(self, pool: str, *options: str) -> None:
        """Run a worker until it is killed or the test module ends; by default it runs all flows at once."""
        command = ["prefect", "worker", "start", "--pool", pool, *options]
        self._workers.append(self._end.enter_context(running(command, self._home, self.env, self.log)))

    def kill_workers(self) -> None:
        """Kill the workers."""
        kill_all([process for worker in self._workers for process in family(worker.pid)])

    def deploy(self) -> None:
        """Create the work pools, and deploy the project's prefect.yaml."""
        template = ProcessWorker.get_default_base_job_template()
        for pool in (POOL, NIGHTS):
            self.service.client.create_work_pool(WorkPoolCreate(name=pool, type="process", base_job_template=template))
        command = [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all"]
        subprocess.run(command, cwd=self.project, env=self.env, check=True, capture_output=True, timeout=DEADLINE_S)


def let_leases_expire(home: Path) -> None:
    """Let the leases of concurrency slots expire, which Prefect otherwise keeps for five minutes."""
    past, leases = "2020-01-01T00:00:00+00:00", home / "concurrency_leases"
    held = json.loads((leases / "expirations.json").read_text())
    assert held
    for lease in held:
        file = leases / f"{lease}.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | {"expiration": past}))
    (leases / "expirations.json").write_text(json.dumps(dict.fromkeys(held, past)))


@contextmanager
def suspended(process: psutil.Process) -> Iterator[None]:
    """Suspend a process for the block, so that it cannot end."""
    process.suspend()
    try:
        yield
    finally:
        process.resume()
