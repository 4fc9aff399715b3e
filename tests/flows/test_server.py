"""The Prefect server that is started for a scan or for `make serve`: its address, its log file, and its failures."""

import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from prefect.settings import PREFECT_HOME, temporary_settings
from support.service import environment, family, free_port, gone, interrupt, running, write_project
from support.waiting import wait_until

from flows import server

pytest_plugins = ["support.scanning_models"]
BANNER = "View the API reference documentation"  # of `prefect server start`


def without_server(home: Path) -> dict[str, str]:
    """Return the environment of a scan that has to start a server."""
    names = ("PREFECT_API_URL", "PREFECT_UI_URL")
    return {name: value for name, value in environment(home, 0).items() if name not in names}


def test_a_new_log_is_empty_and_the_one_before_is_kept(tmp_path: Path) -> None:
    with temporary_settings({PREFECT_HOME: tmp_path}):
        for text in ("first", "second", "third"):
            log = server.new_log("serve-1")
            assert log.read_text() == ""
            log.write_text(text)
    kept = {file.name: file.read_text() for file in (tmp_path / "fauxscan").iterdir()}
    assert kept == {"serve-1.log": "third", "serve-1.log.1": "second"}


@pytest.mark.slow
@pytest.mark.alone
@pytest.mark.timeout(600)
def test_a_scan_at_a_terminal_names_the_page_and_the_log_of_its_server(tmp_path: Path, tiny_models: list[Path]) -> None:
    project, home = write_project(tmp_path / "project", tiny_models, {"few": 10}, []), tmp_path / "prefect"
    command = [sys.executable, "-m", "flows", "scan", "few", "--results", "results", "--models", "models/wholes"]
    done = subprocess.run(
        command,
        cwd=project,
        env=without_server(home),
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, done.stderr
    lines, log = done.stderr.splitlines(), home / "fauxscan" / "temporary.log"
    assert lines[0] == f"Starting a Prefect server. It writes its messages to {log}"
    assert re.fullmatch(r"Until the end of this run, you can watch it at http://127\.0\.0\.1:\d+", lines[1])
    address = lines[1].rpartition(" ")[2]
    assert all(re.match(r"\d\d:\d\d:\d\d", line) for line in lines[2:]), done.stderr  # only the log of the run
    assert f"View at {address}/runs/flow-run/" in done.stderr
    assert BANNER in log.read_text() and BANNER not in done.stdout + done.stderr
    assert not server.in_use(int(address.rpartition(":")[2]))


@pytest.mark.slow
@pytest.mark.alone
@pytest.mark.timeout(600)
def test_a_server_that_does_not_start_is_reported_with_the_end_of_its_log(tmp_path: Path) -> None:
    (tmp_path / "prefect.db").write_text("This is no database. " * 100)
    for command in (["flows.serve", "--port", str(free_port())], ["flows", "scan", "in", "--results", "results"]):
        done = subprocess.run(
            [sys.executable, "-m", *command], cwd=tmp_path, env=without_server(tmp_path),
            capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        assert done.returncode == {"flows.serve": 1, "flows": 3}[command[0]]
        message = done.stderr.partition("fauxscan: the Prefect server did not start at http://127.0.0.1:")[2]
        name = "temporary" if command[0] == "flows" else f"serve-{command[2]}"
        assert f"Its log, {tmp_path / 'fauxscan' / name}.log, ends with:\n" in message
        assert "file is not a database" in message and "Traceback" not in message


@pytest.mark.slow
@pytest.mark.alone
@pytest.mark.timeout(600)
def test_a_deployment_that_is_refused_is_reported_and_the_server_stops(tmp_path: Path) -> None:
    (tmp_path / "prefect.yaml").write_text("name: tried\ndeployments:\n- {name: lost, entrypoint: nowhere.py:scan}\n")
    port, log = free_port(), tmp_path / "output.txt"
    with running(["flows.serve", "--port", str(port)], tmp_path, without_server(tmp_path / "prefect"), log) as process:
        started = wait_until(lambda: family(process.pid)[1:], "the server is starting")
        assert process.wait(300) == 1
    assert "fauxscan: `prefect --no-prompt deploy --all` ended with exit code 1. Its log, " in log.read_text()
    assert "nowhere.py" in log.read_text()
    wait_until(lambda: gone(started), "the server ends", 30)


@pytest.mark.slow
@pytest.mark.alone
@pytest.mark.timeout(600)
def test_a_scan_that_is_stopped_while_its_server_starts_stops_the_server(tmp_path: Path) -> None:
    log = tmp_path / "output.txt"
    command = ["flows", "scan", "in", "--results", "results"]
    with running(command, tmp_path, without_server(tmp_path / "prefect"), log) as process:
        started = wait_until(lambda: family(process.pid)[1:], "the server is starting")
        assert interrupt(process, signal.SIGTERM) == 128 + signal.SIGTERM
        wait_until(lambda: gone(started), "the server ends", 30)
