"""The name, progress, log and artifacts of a scan in Prefect, read back from the server."""

import json
import os
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId, LogFilter, LogFilterFlowRunId
from prefect.client.schemas.objects import Artifact, FlowRun
from prefect.client.schemas.sorting import FlowRunSort, LogSort
from skimage import data
from support.scanning import encoded, stub_cards, stub_ensemble, write_evaluations, write_many, write_params

from fauxscan.scanning.engine.engine import Engine
from fauxscan.scanning.tables import evaluations
from flows import artifacts
from flows import scan as scanning

pytest_plugins = ["support.prefect_harness"]
HOSTILE = [b"=cmd|' C'!A0.png", b"<img src=x onerror=alert(1)>.png", b"[click](javascript:alert(1)).png",
           b"a`b``c.png", b"new\nline.png", b"not-utf8-\xff.png"]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "shown"),
    [("a b.png", "`a b.png`"), ("`", "`` ` ``"), ("a``b", "``` a``b ```"), ("a\nb", "`a\\nb`"), (" a", "`  a `")],
)
def test_a_name_is_shown_character_by_character(name: str, shown: str) -> None:
    assert artifacts.code_span(name) == shown


def test_keys_are_valid_and_distinguish_folders_and_results() -> None:
    results = Path("/r")
    keys = [artifacts.artifact_key(root, results) for root in ("/a-b", "/a/b", "s3://a/b", "/a/B", "/日本語", "/")]
    keys += [artifacts.artifact_key("/a/b", Path("/other"))]
    assert len(set(keys)) == len(keys)
    assert all(set(key) <= set("abcdefghijklmnopqrstuvwxyz0123456789-") for key in keys)
    assert artifacts.artifact_key("/srv/Fall (Müller)/", results).startswith("scan-fall-muller-")


@pytest.mark.parametrize(
    ("root", "shown"),
    [
        ("/srv/a/b/c", "b/c"),
        ("/srv/", "/srv"),
        ("/", "/"),
        ("s3://a", "a"),
        ("s3://a/b/", "a/b"),
        ("gs://a/b/c", "b/c"),
    ],
)
def test_a_heading_has_the_last_two_names_of_a_folder(root: str, shown: str) -> None:
    assert artifacts.short(root) == shown


def test_paths_that_a_web_server_serves_are_linked(monkeypatch: pytest.MonkeyPatch) -> None:
    assert artifacts.path_link(Path("/srv/a (b)")) == "`/srv/a (b)`"
    monkeypatch.setenv(artifacts.VARIABLE, "/srv=https://files.example.org/x/")
    assert artifacts.path_link(Path("/srv/a (b)")) == "[`/srv/a (b)`](https://files.example.org/x/a%20%28b%29)"
    assert artifacts.path_link(Path("/elsewhere")) == "`/elsewhere`"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a project with stub models, ten images without a face, a face under hostile names, and broken images."""
    write_params(tmp_path / "params.yaml")
    stub_cards(tmp_path / "models")
    folder = write_many(tmp_path / "in", 10)
    for name in HOSTILE:
        Path(os.fsdecode(os.path.join(os.fsencode(folder), name))).write_bytes(encoded(data.astronaut(), "PNG"))
    for number in range(8):
        (folder / f"broken{number}.jpg").write_bytes(b"\xff\xd8\xff no more")
    monkeypatch.setattr(scanning, "Engine", lambda chosen: Engine(chosen, stub_ensemble))
    return tmp_path


def scan_home(home: Path) -> tuple[FlowRun, list[str], dict[str, Artifact]]:
    """Scan the folder, and return the run, the lines of its log, and its artifacts by type."""
    models = [str(home / "models" / name) for name in ("faces", "wholes")]
    scanning.scan(str(home / "in"), str(home / "results"), models, params_file=str(home / "params.yaml"))
    with get_client(sync_client=True) as client:
        (run,) = client.read_flow_runs(sort=FlowRunSort.START_TIME_DESC, limit=1)
        listed = client.read_artifacts(
            artifact_filter=ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[run.id]))
        )
    return run, log_lines(run.id), {str(artifact.type): artifact for artifact in listed}


def log_lines(run: UUID) -> list[str]:
    """Return the lines of a run's log on the server."""
    from prefect.logging.handlers import APILogHandler

    APILogHandler().flush()
    mine = LogFilter(flow_run_id=LogFilterFlowRunId(any_=[run]))
    with get_client(sync_client=True) as client:
        return [line.message for line in client.read_logs(mine, sort=LogSort.TIMESTAMP_ASC, limit=200)]


@pytest.mark.slow
@pytest.mark.alone
@pytest.mark.usefixtures("prefect_server")
def test_reports_of_a_scan_and_of_one_that_finds_nothing_new(home: Path) -> None:
    write_evaluations(home, {"faces": "a" * 64})
    (home / "reports" / "report.html").touch()
    evaluations.publish(home, home / "results", None)
    run, log, kept = scan_home(home)
    assert run.name == f"scan {home / 'in'}"
    assert f"{home / 'in'}: 24 new or changed files to scan; 0 skipped" in "\n".join(log)
    _check_log(log)
    _check_top(json.loads(str(kept["table"].data)))
    page = str(kept["markdown"].data)
    assert "| ok | 16 |" in page and "| corrupt | 8 |" in page and "| new | " in page
    assert page.startswith(f"# `{home.name}/in`\n\nFolder: `{home / 'in'}`\n")
    assert "| faces | aaaaaaaa | 16 | twins | 0.875 (0.750 to 1.000) |" in page
    assert "| wholes | bbbbbbbb | 16 | none published |" in page
    unpublished = (
        "No evaluation is published for: `wholes`. If their project has not evaluated them, run `make repro` there. "
    )
    unpublished += f"Then run `fauxscan publish --project {home} --results {home / 'results'}`."
    assert unpublished in page and unpublished in "\n".join(log)
    assert f"- report on the models: `{home / 'reports' / 'report.html'}`" in page
    assert f"fauxscan latest --status corrupt --results {home / 'results'}" in page
    assert kept["progress"].data == 100.0 and "Scanned 24 of 24 new or changed files in" in str(
        kept["progress"].description
    )

    write_evaluations(home, {"faces": "a" * 64, "wholes": "b" * 64})
    evaluations.publish(home, home / "results", None)
    _, log, kept = scan_home(home)
    assert "0 new or changed files to scan; 24 skipped, unchanged since" in "\n".join(log)
    assert "No evaluation is published" not in "\n".join(log) + str(kept["markdown"].data)
    assert kept["progress"].data == 100.0
    assert kept["progress"].description == "Nothing to scan: 24 files are unchanged"
    assert "| unchanged, so skipped | 24 |" in str(kept["markdown"].data)


def _check_log(log: list[str]) -> None:
    named = [line for line in log if line.endswith(": corrupt: the jpeg header cannot be read")]
    assert len(named) == 5
    assert any(
        line.startswith("corrupt: 8 files, of which 5 are named above; list all: fauxscan latest") for line in log
    )
    assert log.count("Finished in state Completed()") == 3  # for `prepare`, `finish` and the flow, not for every batch


def _check_top(rows: list[dict[str, Any]]) -> None:
    assert list(rows[0]) == ["p_fake", "verdict", "kind", "faces", "pixels", "path", "detail"]
    assert [row["p_fake"] for row in rows] == sorted((row["p_fake"] for row in rows), reverse=True)
    assert all(len(row["p_fake"]) == len("0.9731") for row in rows)
    assert {row["faces"] for row in rows} == {"1"}  # the images without a face are left out
    paths = {row["path"] for row in rows}
    assert len(paths) == len(rows) == len(HOSTILE)
    assert paths >= {"`<img src=x onerror=alert(1)>.png`", "``` a`b``c.png ```", "`new\\nline.png`"}
    assert "`not-utf8-\\udcff.png`" in paths
    assert all(path.startswith("`") and path.endswith("`") and "\n" not in path for path in paths)
