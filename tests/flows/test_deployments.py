"""The deployments in prefect.yaml can be run as committed, and a scan at a terminal does not need Prefect."""

import importlib
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import yaml
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.schedules import Cron
from support import ROOT
from support.scanning import stub_cards, write_params

from fauxscan import params
from fauxscan.records import PlatformError
from fauxscan.scanning.inputs import filters
from flows import missed_runs, serve, webhook
from flows.scan import scan

COMMITTED = yaml.safe_load((ROOT / "prefect.yaml").read_text(encoding="utf-8"))
DEPLOYMENTS = {entry["name"]: entry for entry in COMMITTED["deployments"]}
SCANS = {name: entry["parameters"] for name, entry in DEPLOYMENTS.items() if entry["entrypoint"] == "flows.scan.scan"}
REFRESH_SCANS = [scan for entry in DEPLOYMENTS.values() for scan in entry["parameters"].get("scans", ())]


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_a_deployment_names_a_flow_its_parameters_and_the_pool_of_make_serve(name: str) -> None:
    entry = DEPLOYMENTS[name]
    module, _, attribute = entry["entrypoint"].rpartition(".")
    flow = getattr(importlib.import_module(module), attribute)
    flow.validate_parameters(entry["parameters"])
    assert set(entry["parameters"]) <= set(flow.parameters.properties)
    assert entry["work_pool"] == {"name": serve.POOL}
    assert entry["concurrency_limit"] == {"limit": 1, "collision_strategy": "ENQUEUE"}


def test_a_server_started_here_sends_no_telemetry() -> None:
    command = [sys.executable, "-m", "prefect", "config", "view"]
    env = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT")}
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=True)
    assert "PREFECT_SERVER_ANALYTICS_ENABLED='False' (from pyproject.toml)" in done.stdout


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_the_schedules_are_cron_in_utc(name: str) -> None:
    for schedule in DEPLOYMENTS[name]["schedules"]:
        assert Cron(schedule["cron"], timezone=schedule["timezone"]).timezone == "UTC"
        assert set(schedule) <= {"cron", "timezone", "active"}


@pytest.mark.parametrize("parameters", [*SCANS.values(), *REFRESH_SCANS], ids=str)
def test_scans_have_parameters_of_the_flow_and_known_limits(parameters: dict[str, Any]) -> None:
    scan.validate_parameters(parameters)
    assert set(parameters) <= set(scan.parameters.properties)
    numbers = params.load(ROOT / "params.yaml")
    params.limited(numbers, parameters.get("limits", {}))
    filters.add_filters(numbers, parameters.get("include"), parameters.get("exclude"), None, None)
    models = {Path(model).name for model in parameters.get("models", ())}
    assert models <= {*numbers.models, *numbers.combiners}


def test_no_two_deployments_write_to_the_same_results() -> None:
    folders = [parameters["results"] for parameters in SCANS.values()]
    assert len(set(folders)) == len(folders)


# === Missed runs ===

DUE = datetime(2026, 1, 1, 1, tzinfo=UTC)


def started_run(after_s: float, state: StateType, name: str = "", **parameters: Any) -> FlowRun:
    """Return a run that began some seconds after the missed run was due."""
    start_time = DUE + timedelta(seconds=after_s)
    return FlowRun(
        id=uuid4(), flow_id=uuid4(), name=f"{after_s}", parameters=parameters, state_type=state,
        state_name=name or state.capitalize(), expected_start_time=DUE, start_time=start_time,
    )  # fmt: skip


def replacements(run: FlowRun, *others: FlowRun) -> list[str]:
    """Return the names of the other runs that replace a run."""
    return [other.name for other in missed_runs.replacements(run, [*others, run])]


def test_a_run_is_replaced_by_a_completed_run_with_the_same_parameters() -> None:
    run = started_run(5, StateType.RUNNING, folder="a")
    assert replacements(run, started_run(1, StateType.COMPLETED, folder="a")) == ["1"]
    assert replacements(run, started_run(9, StateType.COMPLETED, folder="a")) == ["9"]
    assert replacements(run, started_run(1, StateType.COMPLETED, folder="b")) == []
    assert replacements(run, started_run(1, StateType.COMPLETED, missed_runs.SKIPPED, folder="a")) == []
    assert replacements(run) == []


def test_of_ten_runs_that_begin_at_once_all_but_the_first_are_replaced() -> None:
    ten = [started_run(number // 3, StateType.RUNNING) for number in range(10)]
    assert sum(not replacements(run, *(other for other in ten if other is not run)) for run in ten) == 1


def test_the_flow_refuses_other_systems_than_linux(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(PlatformError, match="fauxscan runs on Linux only, not on darwin"):
        scan.fn("nowhere", "nowhere")


# === Without Prefect ===


def test_a_scan_at_a_terminal_does_not_import_prefect(tmp_path: Path) -> None:
    write_params(tmp_path / "params.yaml")
    models = stub_cards(tmp_path / "models")
    for model in models:
        (model / "model.keras").touch()  # a network that no file makes the scan load
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "notes.txt").write_text("no picture")
    code = "import sys; sys.modules['prefect'] = None; from fauxscan.cli import main; main()"
    options = ["--results", "results", *(part for model in models for part in ("--models", str(model)))]
    done = subprocess.run(
        [sys.executable, "-c", code, "scan", "in", *options], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert "unsupported" in done.stdout + done.stderr, done.stderr
    assert (tmp_path / "results" / "runs").is_dir()


def test_the_webhook_is_called_at_every_end_of_a_flow() -> None:
    for event in ("completion", "failure", "crashed", "cancellation"):
        assert webhook.post_notice in getattr(scan, f"on_{event}_hooks")
