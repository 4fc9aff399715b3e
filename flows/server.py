"""A Prefect server on this machine for a block of code; what it prints goes to a log file."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import typer
from prefect.events.worker import EventsWorker
from prefect.logging.handlers import APILogHandler
from prefect.settings import PREFECT_API_URL, PREFECT_HOME, temporary_settings

from fauxscan.records import UserError

START_S, STOP_S, SEND_S, POLL_S = 180.0, 40.0, 5.0, 0.5
TAIL = 15  # lines of the log in an error message
# Keep leases of concurrency slots on disk: with the default, in memory, a server that was killed never frees a slot.
LEASES = {"PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.filesystem"}
DEFAULTS = LEASES | {"PREFECT_SERVER_ANALYTICS_ENABLED": "false"}  # nothing of a scan is told to anybody
# Two servers may share a database. The one that ends with a scan leaves the schedules to the other.
NO_SCHEDULES = {
    "PREFECT_SERVER_SERVICES_SCHEDULER_ENABLED": "false",
    "PREFECT_SERVER_SERVICES_LATE_RUNS_ENABLED": "false",
}


@dataclass(frozen=True)
class Server:
    """A server that is running: its page, and the environment and the log file of the processes that belong to it."""

    page: str
    env: dict[str, str]
    log: Path

    def run(self, *command: str) -> None:
        """Run a Prefect command to its end. Raise UserError if it fails."""
        with self.running(*command) as process:
            code = process.wait()
        if code:
            raise self.failure(f"`prefect {' '.join(command)}` ended with exit code {code}")

    @contextmanager
    def running(self, *command: str) -> Iterator["subprocess.Popen[bytes]"]:
        """Run a Prefect process for the block, in its own process group, so that Ctrl-C stops processes in order."""
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "prefect", *command],
                env=self.env, stdin=subprocess.DEVNULL, stdout=log, stderr=log, process_group=0,
            )  # fmt: skip
        try:
            yield process
        finally:
            _stop(process)

    def failure(self, message: str) -> UserError:
        """Return an error with the end of the log."""
        with self.log.open(errors="replace") as lines:
            tail = "".join(deque((line for line in lines if line.strip()), TAIL)).rstrip()
        return UserError(f"{message}. Its log, {self.log}, ends with:\n{tail}")


@contextmanager
def started(port: int, log: str, **settings: str) -> Iterator[tuple[Server, "subprocess.Popen[bytes]"]]:
    """Run a server that only this machine can reach for the block, and yield it with its process.

    `log` is the name of its log file, and `settings` are further settings of Prefect. Raise UserError if it does not
    start.
    """
    page = f"http://127.0.0.1:{port}"
    addresses = {"PREFECT_API_URL": f"{page}/api", "PREFECT_SERVER_UI_API_URL": f"{page}/api"}
    server = Server(page, DEFAULTS | os.environ | settings | addresses, new_log(log))
    typer.echo(f"Starting a Prefect server. It writes its messages to {server.log}", err=True)
    with server.running("server", "start", "--host", "127.0.0.1", "--port", str(port)) as process:
        _wait_until_up(server, process)
        yield server, process


@contextmanager
def found_or_started() -> Iterator[None]:
    """Use the server that PREFECT_API_URL names for the block, or run one until the end of the block."""
    if PREFECT_API_URL.value():
        yield
        return
    stop_on_sigterm(128 + signal.SIGTERM)
    with started(_free_port(), "temporary", **NO_SCHEDULES) as (server, _):
        typer.echo(f"Until the end of this run, you can watch it at {server.page}", err=True)
        with temporary_settings({PREFECT_API_URL: f"{server.page}/api"}):
            yield
            _send_rest()


def stop_on_sigterm(code: int) -> None:
    """Let SIGTERM end this process with an exit code, after it has stopped the processes that it runs."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(code))


def new_log(name: str) -> Path:
    """Return an empty log file in Prefect's folder. The log of the start before is kept beside it, as NAME.log.1."""
    home: Path = PREFECT_HOME.value()
    log = home / "fauxscan" / f"{name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    if log.exists():
        log.replace(log.with_name(f"{log.name}.1"))
    log.touch(mode=0o600)
    return log


def in_use(port: int) -> bool:
    """Return whether something on this machine listens on a port."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _send_rest() -> None:
    """Send the log lines and events that are still queued in this process, before the server stops."""
    APILogHandler().flush()
    EventsWorker.drain_all(timeout=SEND_S)


def _wait_until_up(server: Server, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(f"{server.page}/api/health", timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(POLL_S)
    raise server.failure(f"the Prefect server did not start at {server.page}")


def _stop(process: "subprocess.Popen[bytes]") -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
