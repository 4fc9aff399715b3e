"""The Prefect flows on a temporary server: retries of I/O errors, the webhook, refreshes, and light imports."""

import shutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import httpx
import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowFilter, FlowFilterName, FlowRunFilter, FlowRunFilterId
from prefect.client.schemas.objects import TaskRun
from prefect.client.schemas.sorting import FlowRunSort
from support import ROOT
from support.scanning import stub_cards, stub_ensemble, write_evaluations, write_many, write_params
from support.service import SECRET, free_port, webhook

from fauxscan.records import UserError
from fauxscan.scanning.batches.judge import BatchJudge
from fauxscan.scanning.engine.engine import Engine
from fauxscan.scanning.engine.reader import Reader
from fauxscan.scanning.tables import parquet, queries, schemas
from fauxscan.scanning.tables.commits import Commits
from flows import progress
from flows import refresh as refreshing
from flows import scan as scanning
from flows import webhook as webhook_flow

pytest_plugins = ["support.prefect_harness"]
# A new temporary server takes at least 20 s to start.
pytestmark = [pytest.mark.slow, pytest.mark.alone, pytest.mark.usefixtures("prefect_server")]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Return a folder with parameters, stub models and images."""
    write_params(tmp_path / "params.yaml")
    stub_cards(tmp_path / "models")
    write_many(tmp_path / "in", 10)
    return tmp_path


@pytest.fixture
def flow(home: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function that runs the flow `scan` with stub models and without waits between retries."""
    monkeypatch.setattr(scanning, "Engine", lambda chosen: Engine(chosen, stub_ensemble))
    monkeypatch.setattr(scanning, "judge", scanning.judge.with_options(retry_delay_seconds=0))
    monkeypatch.setattr(scanning, "commit", scanning.commit.with_options(retry_delay_seconds=0))

    def run(**more: Any) -> Any:
        models, numbers = [str(home / "models" / name) for name in ("faces", "wholes")], str(home / "params.yaml")
        return scanning.scan(str(home / "in"), str(home / "results"), models, params_file=numbers, **more)

    return run


def test_the_flow_scans_and_a_second_run_finds_nothing_new(home: Path, flow: Any) -> None:
    assert flow()["ok"] == 10
    before = parquet.read(home / "results", schemas.MEDIA)
    assert flow()["ok"] == 10
    assert parquet.read(home / "results", schemas.MEDIA).equals(before)
    runs = parquet.read(home / "results", schemas.RUNS)["run_id"].to_pylist()
    assert len(runs) == 2
    pages = sorted((home / "results" / "reports").iterdir())
    assert [page.name for page in pages] == sorted(f"{run}{end}" for run in runs for end in (".html", ".json"))


def test_the_flow_scans_a_selection_with_filters(home: Path, flow: Any) -> None:
    (home / "in" / "link.png").symlink_to("000.png")
    names = ["000.png", "001.png", "002.png", "link.png"]
    assert flow(paths=names, include=["*.png"], exclude=["001.*"], hidden=False, links="inside")["ok"] == 3
    assert sorted(queries.latest(home / "results")["path"].to_pylist()) == ["000.png", "002.png", "link.png"]
    assert flow()["ok"] == 10


def test_each_scan_writes_its_page_into_the_results(home: Path, flow: Any) -> None:
    for _ in range(2):
        assert flow()["ok"] == 10
    runs = parquet.read(home / "results", schemas.RUNS)["run_id"].to_pylist()
    names = {file.name for file in (home / "results" / "reports").iterdir()}
    assert names == {f"{run_id}.{suffix}" for run_id in runs for suffix in ("html", "json")}
    assert "no result changed" in (home / "results" / "reports" / f"{runs[-1]}.html").read_text(encoding="utf-8")


def test_a_page_that_cannot_be_written_does_not_fail_the_scan(
    home: Path, flow: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (home / "results").mkdir()
    flow()
    shutil.rmtree(home / "results" / "reports")
    (home / "results" / "reports").write_text("a file in the way", encoding="utf-8")
    assert flow()["ok"] == 10
    assert "The tables are complete, but no page was written" in caplog.text


@pytest.mark.parametrize("step", ["judge", "commit"])
def test_an_io_error_is_retried(home: Path, flow: Any, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    owner: Any = {"judge": BatchJudge, "commit": Commits}[step]
    name = {"judge": "judge", "commit": "stage"}[step]
    real_method, calls = getattr(owner, name), []

    def flaky(*arguments: Any) -> Any:
        calls.append(arguments)
        if len(calls) == 2:
            raise OSError(5, "Input/output error")
        return real_method(*arguments)

    monkeypatch.setattr(owner, name, flaky)
    assert flow()["ok"] == 10
    assert len(calls) == {"judge": 4, "commit": 5}[step]  # three batches (and the end for `commit`), one of them twice
    assert len(queries.latest(home / "results")) == 10


def break_batches(monkeypatch: pytest.MonkeyPatch, error: Exception) -> list[Any]:
    """Let every batch fail with an error, and return the list that will contain the calls."""
    calls: list[Any] = []

    def judge(*arguments: Any) -> None:
        calls.append(arguments)
        raise error

    monkeypatch.setattr(BatchJudge, "judge", judge)
    return calls


def test_another_error_is_not_retried_and_fails_the_flow(
    home: Path, flow: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = break_batches(monkeypatch, ValueError("a model is broken"))
    with pytest.raises(ValueError, match="a model is broken"):
        flow(limits={"scan": {"batch_files": 10}})
    assert len(calls) == 1
    with parquet.locked(home / "results"):
        pass  # the lock was released


def test_an_io_error_in_a_thread_of_the_engine_is_retried(
    home: Path, flow: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    real_read, calls = Reader.read, []

    def flaky(*arguments: Any) -> Any:
        calls.append(threading.current_thread().name)
        if len(calls) == 1:
            raise OSError(5, "Input/output error")
        return real_read(*arguments)

    monkeypatch.setattr(Reader, "read", flaky)
    assert flow()["ok"] == 10
    assert all("fauxscan-reader" in name for name in calls)
    assert len(parquet.read(home / "results", schemas.MEDIA)) == 10


def test_a_lasting_io_error_fails_the_flow_after_its_retries(
    home: Path, flow: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = break_batches(monkeypatch, OSError(5, "Input/output error"))
    with pytest.raises(OSError, match="Input/output error"):
        flow(limits={"scan": {"batch_files": 10, "max_retries": 2}})
    assert len(calls) == 3
    with parquet.locked(home / "results"):
        pass


def test_a_user_error_is_never_retried(flow: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = break_batches(monkeypatch, UserError("decoders do not start"))
    with pytest.raises(UserError, match="decoders do not start"):
        flow(limits={"scan": {"batch_files": 10}})
    assert len(calls) == 1


def test_the_scan_continues_without_a_server_that_fails(
    home: Path, flow: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    requests = []

    def fail(*arguments: Any, **named: Any) -> None:
        requests.append(arguments)
        raise httpx.ConnectError("All connection attempts failed")

    monkeypatch.setattr(progress, "create_progress_artifact", fail)
    monkeypatch.setattr(progress, "create_table_artifact", fail)
    assert flow()["ok"] == 10
    assert len(requests) == 1
    assert "continues without reports to the Prefect server" in caplog.text


# === The webhook ===


@pytest.mark.parametrize("answer", [200, 500, None, "nobody"])
def test_a_webhook_that_fails_is_a_warning_without_the_secret(
    flow: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, answer: Any
) -> None:
    monkeypatch.setattr(webhook_flow, "TIMEOUT_S", 1.0)
    with webhook() as hook:
        hook.answer = answer
        at = f"http://127.0.0.1:{free_port()}/{SECRET}" if answer == "nobody" else hook.at
        monkeypatch.setenv(webhook_flow.VARIABLE, at)
        assert flow(return_state=True).name == "Completed"
    assert ("did not accept the notice" in caplog.text) == (answer != 200)
    assert ("from 127.0.0.1" in caplog.text) == (answer != 200)
    assert SECRET not in caplog.text
    if answer != "nobody":
        (notice,) = hook.notices
        assert notice["state"] == "Completed"
        assert notice["parameters"]["folder"] == notice["run"].removeprefix("scan ")


def test_limits_are_checked_like_parameters(flow: Any) -> None:
    with pytest.raises(UserError, match=r"scan.batch_files: .*greater than 0"):
        flow(limits={"scan": {"batch_files": 0}})
    with pytest.raises(UserError, match="cannot override values of 'models', only of: media, faces, scan"):
        flow(limits={"models": {}})


def test_refresh_raises_with_the_end_of_dvcs_output(tmp_path: Path) -> None:
    shutil.copy(ROOT / "params.yaml", tmp_path)
    with pytest.raises(RuntimeError, match=r"(?s)`dvc stage list`.*ended with.*not inside of a DVC repository"):
        refreshing.refresh(str(tmp_path))


def test_refresh_lists_wrong_parameters_before_dvc_is_run(tmp_path: Path) -> None:
    text = (ROOT / "params.yaml").read_text(encoding="utf-8")
    (tmp_path / "params.yaml").write_text(text.replace("detector: meso4", "detector: meso5"), encoding="utf-8")
    with pytest.raises(UserError, match=r"models\.meso4\.detector: unknown detector 'meso5': did you mean 'meso4'"):
        refreshing.refresh(str(tmp_path))


STAGES = """stages:
  one:
    cmd: echo made > one.txt
    outs: [one.txt]
  each:
    foreach: [b, a]
    do:
      cmd: test ! -e broken && cp one.txt ${item}.txt
      deps: [one.txt, params.yaml]
      outs: ["${item}.txt"]
"""


@pytest.fixture
def project(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a project with stages that DVC runs, and evaluations of an earlier run."""
    monkeypatch.setattr(scanning, "Engine", lambda chosen: Engine(chosen, stub_ensemble))
    (home / "dvc.yaml").write_text(STAGES)
    subprocess.run([sys.executable, "-m", "dvc", "init", "--no-scm", "-q"], cwd=home, check=True)
    write_evaluations(home, {"faces": "f" * 64})
    return home


def test_refresh_runs_the_stages_in_dvc_yamls_order_publishes_and_scans(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scans = [{"folder": str(project / "in"), "results": str(project / name)} for name in ("results", "others")]
    refreshing.refresh(str(project), scans)
    assert (project / "a.txt").read_text() == (project / "b.txt").read_text() == "made\n"
    for name in ("results", "others"):
        assert len(queries.latest(project / name)) == 10
        assert len(parquet.read(project / name, schemas.EVALUATIONS)) > 0
    assert [run.state_name for run in stage_runs()] == ["Completed"] * 3
    assert [run.name for run in stage_runs()] == ["one", "each@b", "each@a"]
    monkeypatch.chdir(project)
    refreshing.refresh()
    assert [run.state_name for run in stage_runs()] == ["Unchanged"] * 3


def test_refresh_publishes_the_evaluations_of_all_models_that_a_scan_uses(project: Path) -> None:
    other = write_evaluations(project / "other", {"wholes": "b" * 64})
    write_evaluations(project, {"faces": "a" * 64})
    stub_cards(other / "models")
    models = [str(project / "models" / "faces"), str(other / "models" / "wholes")]
    scans = [{"folder": str(project / "in"), "results": str(project / "results"), "models": models}]
    for _ in range(2):  # the second time no stage is stale
        refreshing.refresh(str(project), scans)
        with queries.open_tables(project / "results") as tables:
            rows = tables.models().read_all().to_pylist()
        assert {row["model"]: row["auc"] for row in rows} == {"faces": 0.875, "wholes": 0.875}
        assert len(parquet.parts(project / "results", schemas.EVALUATIONS)) == 2


def test_a_stage_that_fails_ends_the_refresh_with_its_output(project: Path) -> None:
    (project / "broken").touch()
    with pytest.raises(RuntimeError, match=r"(?s)`dvc repro each@b`.*failed to run"):
        refreshing.refresh(str(project), [{"folder": str(project / "in"), "results": str(project / "results")}])
    assert not (project / "results").exists()


def test_a_scan_that_fails_does_not_prevent_the_others(project: Path) -> None:
    scans = [{"folder": str(project / name), "results": str(project / f"of-{name}")} for name in ("none", "in")]
    with pytest.raises(UserError, match="none does not exist"):
        refreshing.refresh(str(project), scans)
    assert len(queries.latest(project / "of-in")) == 10


def stage_runs() -> list[TaskRun]:
    """Return the stage runs of the newest refresh, in order."""
    with get_client(sync_client=True) as client:
        (newest,) = client.read_flow_runs(
            flow_filter=FlowFilter(name=FlowFilterName(any_=["refresh"])), sort=FlowRunSort.START_TIME_DESC, limit=1
        )
        mine = FlowRunFilter(id=FlowRunFilterId(any_=[newest.id]))
        runs = client.read_task_runs(flow_run_filter=mine)
    assert newest.name.startswith("refresh /")  # the absolute path, even for the folder `.`
    stages = [run for run in runs if run.task_key.startswith("reproduce")]
    return sorted(stages, key=lambda run: str(run.start_time))


def test_flows_import_neither_tensorflow_nor_stages() -> None:
    code = (
        "import sys, importlib\n"
        "for name in sys.argv[1:]: importlib.import_module(name)\n"
        "heavy = {'tensorflow', 'keras', 'dvc', 'stages', 'fauxscan.training', 'fauxscan.preparing'}\n"
        "sys.exit(str(sorted(heavy & set(sys.modules))))\n"
    )
    names = [f"flows.{file.stem}" for file in (ROOT / "flows").glob("*.py")]
    done = subprocess.run([sys.executable, "-c", code, *names], capture_output=True, text=True, check=False)
    assert done.stderr.splitlines()[-1] == "[]"
