"""`make serve`: a Prefect server and a worker on this machine, with the deployments of prefect.yaml, until Ctrl-C."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Annotated

import typer

POOL = "fauxscan"
START_S, STOP_S, POLL_S = 180.0, 40.0, 0.5
PREFECT = [sys.executable, "-m", "prefect"]
# Who holds a deployment's slot is kept on disk: in memory, as by default, a server that was killed never frees it.
LEASES = {"PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.filesystem"}


def serve(
    port: Annotated[int, typer.Option(help="Of the server, on this machine alone.")] = 4200,
    at_once: Annotated[int, typer.Option(help="Runs at once: one, since each takes the GPU, or all cores.")] = 1,
) -> None:
    """Run what prefect.yaml schedules, on this machine."""
    address = f"http://127.0.0.1:{port}"
    env = LEASES | os.environ | {"PREFECT_API_URL": f"{address}/api", "PREFECT_SERVER_UI_API_URL": f"{address}/api"}
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's `&` has it ignored: the worker would not end
    _check_free(port)
    with ExitStack() as end:  # the worker ends first, then the server
        server = end.enter_context(_running(["server", "start", "--host", "127.0.0.1", "--port", str(port)], env))
        _wait_until_up(f"{address}/api/health", server)
        subprocess.run([*PREFECT, "work-pool", "create", POOL, "--type", "process", "--overwrite"], env=env, check=True)
        subprocess.run([*PREFECT, "--no-prompt", "deploy", "--all"], env=env, check=True)
        worker = end.enter_context(_running(["worker", "start", "--pool", POOL, "--limit", str(at_once)], env))
        typer.echo(f"\nSchedules are on. Watch them at {address} ; Ctrl-C ends server and worker.\n")
        raise typer.Exit(_first_to_end(server, worker))


@contextmanager
def _running(command: list[str], env: dict[str, str]) -> Iterator["subprocess.Popen[bytes]"]:
    """Run a Prefect process until the end of the block, in a group of its own: Ctrl-C is ours to pass on, in order."""
    process = subprocess.Popen([*PREFECT, *command], env=env, process_group=0)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()


def _check_free(port: int) -> None:
    """Exit if something listens on the port: another server would be handed our deployments."""
    with socket.socket() as probe:
        if probe.connect_ex(("127.0.0.1", port)) == 0:
            raise typer.Exit(
                _say(f"port {port} is taken: is `make serve` running already? Else name another, PORT={port + 1}")
            )


def _wait_until_up(health: str, server: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and server.poll() is None:
        try:
            with urllib.request.urlopen(health, timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(POLL_S)
    raise typer.Exit(_say(f"the Prefect server did not come up at {health}, see above"))


def _first_to_end(*processes: "subprocess.Popen[bytes]") -> int:
    """Return when a process ends, which none should, or at Ctrl-C."""
    try:
        while all(process.poll() is None for process in processes):
            time.sleep(POLL_S)
    except KeyboardInterrupt:
        return 0
    return _say("the Prefect server or its worker has ended, see above")


def _say(fault: str) -> int:
    typer.echo(f"fauxscan: {fault}", err=True)
    return 1


if __name__ == "__main__":
    typer.run(serve)
