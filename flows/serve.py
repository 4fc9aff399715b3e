"""`make serve`: run a Prefect server and a worker with the deployments of prefect.yaml on this machine until Ctrl-C."""

import signal
import subprocess
import time
from typing import Annotated

import typer

from fauxscan.records import UserError

from . import server

POOL = "fauxscan"


def serve(
    port: Annotated[int, typer.Option(help="Port of the server, which only this machine can reach.")] = 4200,
    at_once: Annotated[int, typer.Option(help="Maximum number of runs at once; each uses the GPU or all cores.")] = 1,
) -> None:
    """Run the schedules of prefect.yaml on this machine."""
    server.stop_on_sigterm(0)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's `&` ignores it, and the worker would not stop
    try:
        _serve(port, at_once)
    except KeyboardInterrupt:
        return
    except UserError as error:
        typer.echo(f"fauxscan: {error}", err=True)
        raise typer.Exit(1) from error


def _serve(port: int, at_once: int) -> None:
    """Serve until the server or the worker ends. Raise UserError if one of them ends or does not start."""
    _check_free(port)
    with server.started(port, f"serve-{port}") as (running, process):
        running.run("work-pool", "create", POOL, "--type", "process", "--overwrite")
        running.run("--no-prompt", "deploy", "--all")
        with running.running("worker", "start", "--pool", POOL, "--limit", str(at_once)) as worker:
            typer.echo(f"The schedules are active. Watch them at {running.page}")
            typer.echo("Ctrl-C stops the server and the worker.")
            _wait_for_end(process, worker)
            raise running.failure("the Prefect server or its worker has stopped")


def _check_free(port: int) -> None:
    """Raise UserError if the port is in use: otherwise another server would receive the deployments."""
    if server.in_use(port):
        raise UserError(
            f"port {port} is in use: stop the other `make serve`, or choose another port with PORT={port + 1}"
        )


def _wait_for_end(*processes: "subprocess.Popen[bytes]") -> None:
    """Wait until one of the processes ends."""
    while all(process.poll() is None for process in processes):
        time.sleep(server.POLL_S)


if __name__ == "__main__":
    typer.run(serve)
