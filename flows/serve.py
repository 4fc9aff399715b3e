"""`make serve`: run a Prefect server and a worker with the deployments of prefect.yaml on this machine until Ctrl-C."""

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
# Keep leases of concurrency slots on disk: with the default, in memory, a server that was killed never frees a slot.
LEASES = {"PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.filesystem"}


def serve(
    port: Annotated[int, typer.Option(help="Port of the server, which only this machine can reach.")] = 4200,
    at_once: Annotated[int, typer.Option(help="Maximum number of runs at once; each uses the GPU or all cores.")] = 1,
) -> None:
    """Run the schedules of prefect.yaml on this machine."""
    address = f"http://127.0.0.1:{port}"
    env = LEASES | os.environ | {"PREFECT_API_URL": f"{address}/api", "PREFECT_SERVER_UI_API_URL": f"{address}/api"}
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's `&` ignores it, and the worker would not stop
    _check_free(port)
    with ExitStack() as stack:  # the worker stops first, then the server
        server = stack.enter_context(_running(["server", "start", "--host", "127.0.0.1", "--port", str(port)], env))
        _wait_until_up(f"{address}/api/health", server)
        subprocess.run([*PREFECT, "work-pool", "create", POOL, "--type", "process", "--overwrite"], env=env, check=True)
        subprocess.run([*PREFECT, "--no-prompt", "deploy", "--all"], env=env, check=True)
        worker = stack.enter_context(_running(["worker", "start", "--pool", POOL, "--limit", str(at_once)], env))
        typer.echo(f"\nThe schedules are active. Watch them at {address} ; Ctrl-C stops the server and the worker.\n")
        raise typer.Exit(_wait_for_exit(server, worker))


@contextmanager
def _running(command: list[str], env: dict[str, str]) -> Iterator["subprocess.Popen[bytes]"]:
    """Run a Prefect process for the block, in its own process group, so that Ctrl-C stops processes in order."""
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
    """Exit if the port is in use: otherwise another server would receive the deployments."""
    with socket.socket() as probe:
        if probe.connect_ex(("127.0.0.1", port)) == 0:
            raise typer.Exit(
                _fail(
                    f"port {port} is in use: stop the other `make serve`, or choose another port with PORT={port + 1}"
                )
            )


def _wait_until_up(health: str, server: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and server.poll() is None:
        try:
            with urllib.request.urlopen(health, timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(POLL_S)
    raise typer.Exit(_fail(f"the Prefect server did not start at {health}; see its output above"))


def _wait_for_exit(*processes: "subprocess.Popen[bytes]") -> int:
    """Wait until a process ends unexpectedly or Ctrl-C is pressed, and return the exit code."""
    try:
        while all(process.poll() is None for process in processes):
            time.sleep(POLL_S)
    except KeyboardInterrupt:
        return 0
    return _fail("the Prefect server or its worker has stopped; see its output above")


def _fail(message: str) -> int:
    """Print an error message and return the exit code."""
    typer.echo(f"fauxscan: {message}", err=True)
    return 1


if __name__ == "__main__":
    typer.run(serve)
