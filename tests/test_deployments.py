"""What prefect.yaml schedules can be run as it stands, and a scan at a terminal needs nothing of Prefect."""

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
from conftest import ROOT
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.schedules import Cron
from scanning_fixtures import stub_cards, write_params

from fauxscan import params
from fauxscan.scanning import filters
from flows import catching_up, notices, serve
from flows.scan import scan

COMMITTED = yaml.safe_load((ROOT / "prefect.yaml").read_text(encoding="utf-8"))
DEPLOYMENTS = {one["name"]: one for one in COMMITTED["deployments"]}
SCANS = {name: one["parameters"] for name, one in DEPLOYMENTS.items() if one["entrypoint"] == "flows.scan.scan"}
WITHIN = [one for each in DEPLOYMENTS.values() for one in each["parameters"].get("scans", ())]


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_a_deployment_names_a_flow_its_parameters_and_the_pool_of_make_serve(name: str) -> None:
    entry = DEPLOYMENTS[name]
    module, _, attribute = entry["entrypoint"].rpartition(".")
    flow = getattr(importlib.import_module(module), attribute)
    flow.validate_parameters(entry["parameters"])
    assert set(entry["parameters"]) <= set(flow.parameters.properties)
    assert entry["work_pool"] == {"name": serve.POOL}
    assert entry["concurrency_limit"] == {"limit": 1, "collision_strategy": "ENQUEUE"}


def test_a_server_started_here_tells_nobody_of_it() -> None:
    command = [sys.executable, "-m", "prefect", "config", "view"]
    env = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT")}
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=True)
    assert "PREFECT_SERVER_ANALYTICS_ENABLED='False' (from pyproject.toml)" in done.stdout


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_its_schedules_are_cron_in_utc(name: str) -> None:
    for schedule in DEPLOYMENTS[name]["schedules"]:
        assert Cron(schedule["cron"], timezone=schedule["timezone"]).timezone == "UTC"
        assert set(schedule) <= {"cron", "timezone", "active"}


@pytest.mark.parametrize("parameters", [*SCANS.values(), *WITHIN], ids=str)
def test_a_scan_has_what_the_flow_takes_and_limits_that_params_know(parameters: dict[str, Any]) -> None:
    scan.validate_parameters(parameters)
    assert set(parameters) <= set(scan.parameters.properties)
    numbers = params.load(ROOT / "params.yaml")
    params.limited(numbers, parameters.get("limits", {}))
    filters.given(numbers, parameters.get("include"), parameters.get("exclude"), None, None)
    models = {Path(model).name for model in parameters.get("models", ())}
    assert models <= {*numbers.models, *numbers.combiners}


def test_scans_of_several_deployments_write_to_results_of_their_own() -> None:
    places = [parameters["results"] for parameters in SCANS.values()]
    assert len(set(places)) == len(places)


# === What was missed ===

DUE = datetime(2026, 1, 1, 1, tzinfo=UTC)


def begun(after_s: float, state: StateType, name: str = "", **parameters: Any) -> FlowRun:
    """Return a run that began some seconds after the missed one was due."""
    started = DUE + timedelta(seconds=after_s)
    return FlowRun(
        id=uuid4(), flow_id=uuid4(), name=f"{after_s}", parameters=parameters, state_type=state,
        state_name=name or state.capitalize(), expected_start_time=DUE, start_time=started,
    )  # fmt: skip


def makes_up(run: FlowRun, *others: FlowRun) -> list[str]:
    """Return the names of those that make up for a run that is beginning."""
    return [one.name for one in catching_up.made_up_for(run, [*others, run])]


def test_a_run_is_made_up_for_by_one_that_has_completed_with_its_parameters() -> None:
    run = begun(5, StateType.RUNNING, folder="a")
    assert makes_up(run, begun(1, StateType.COMPLETED, folder="a")) == ["1"]
    assert makes_up(run, begun(9, StateType.COMPLETED, folder="a")) == ["9"]
    assert makes_up(run, begun(1, StateType.COMPLETED, folder="b")) == []
    assert makes_up(run, begun(1, StateType.COMPLETED, catching_up.SKIPPED, folder="a")) == []
    assert makes_up(run) == []


def test_of_ten_that_begin_at_once_all_but_the_first_are_made_up_for() -> None:
    ten = [begun(number // 3, StateType.RUNNING) for number in range(10)]
    assert sum(not makes_up(run, *(one for one in ten if one is not run)) for run in ten) == 1


# === Without Prefect ===


def test_a_scan_at_a_terminal_imports_nothing_of_prefect(tmp_path: Path) -> None:
    write_params(tmp_path / "params.yaml")
    models = stub_cards(tmp_path / "models")
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "notes.txt").write_text("no picture")
    code = "import sys; sys.modules['prefect'] = None; from fauxscan.cli import main; main()"
    options = ["--results", "results", *(part for model in models for part in ("--models", str(model)))]
    done = subprocess.run(
        [sys.executable, "-c", code, "scan", "in", *options], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert "unsupported" in done.stdout + done.stderr, done.stderr
    assert (tmp_path / "results" / "runs").is_dir()


def test_every_end_of_a_flow_is_told_of() -> None:
    for when in ("completion", "failure", "crashed", "cancellation"):
        assert notices.post in getattr(scan, f"on_{when}_hooks")
