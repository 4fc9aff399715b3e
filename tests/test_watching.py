"""What is seen of a scan in Prefect: its name, progress, log and artifacts, read back from the server."""

import json
import os
import shutil
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId, LogFilter, LogFilterFlowRunId
from prefect.client.schemas.objects import Artifact, FlowRun
from prefect.client.schemas.sorting import FlowRunSort, LogSort
from scanning_fixtures import stub_cards, stub_panel, write_evaluations, write_many, write_params

from fauxscan.scanning import evaluations
from fauxscan.scanning.engine import Engine
from flows import pages
from flows import scan as scanning

pytest_plugins = ["prefect_fixtures"]
HOSTILE = [b"=cmd|' C'!A0.png", b"<img src=x onerror=alert(1)>.png", b"[click](javascript:alert(1)).png",
           b"a`b``c.png", b"new\nline.png", b"not-utf8-\xff.png"]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "shown"),
    [("a b.png", "`a b.png`"), ("`", "`` ` ``"), ("a``b", "``` a``b ```"), ("a\nb", "`a\\nb`"), (" a", "`  a `")],
)
def test_a_name_is_shown_letter_by_letter(name: str, shown: str) -> None:
    assert pages.code(name) == shown


def test_keys_are_what_the_server_takes_and_tell_folders_and_results_apart() -> None:
    results = Path("/r")
    keys = [pages.key(root, results) for root in ("/a-b", "/a/b", "s3://a/b", "/a/B", "/日本語", "/")]
    keys += [pages.key("/a/b", Path("/other"))]
    assert len(set(keys)) == len(keys)
    assert all(set(key) <= set("abcdefghijklmnopqrstuvwxyz0123456789-") for key in keys)
    assert pages.key("/srv/Fall (Müller)/", results).startswith("scan-fall-muller-")


def test_what_is_served_is_linked(monkeypatch: pytest.MonkeyPatch) -> None:
    assert pages.link(Path("/srv/a (b)")) == "`/srv/a (b)`"
    monkeypatch.setenv(pages.VARIABLE, "/srv=https://files.example.org/x/")
    assert pages.link(Path("/srv/a (b)")) == "[`/srv/a (b)`](https://files.example.org/x/a%20%28b%29)"
    assert pages.link(Path("/elsewhere")) == "`/elsewhere`"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a project with stand-in models, images of hostile names, and eight broken ones."""
    write_params(tmp_path / "params.yaml")
    stub_cards(tmp_path / "models")
    folder = write_many(tmp_path / "in", 10)
    for number, name in enumerate(HOSTILE):
        shutil.copy(folder / f"00{number}.png", os.path.join(os.fsencode(folder), name))
    for number in range(8):
        (folder / f"broken{number}.jpg").write_bytes(b"\xff\xd8\xff no more")
    monkeypatch.setattr(scanning, "Engine", lambda chosen: Engine(chosen, stub_panel))
    return tmp_path


def scanned(home: Path) -> tuple[FlowRun, list[str], dict[str, Artifact]]:
    """Scan, and return the run, its log's lines, and its artifacts by type."""
    models = [str(home / "models" / name) for name in ("faces", "wholes")]
    scanning.scan(str(home / "in"), str(home / "results"), models, params_file=str(home / "params.yaml"))
    with get_client(sync_client=True) as client:
        (run,) = client.read_flow_runs(sort=FlowRunSort.START_TIME_DESC, limit=1)
        found = client.read_artifacts(
            artifact_filter=ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[run.id]))
        )
    return run, lines_of(run.id), {str(artifact.type): artifact for artifact in found}


def lines_of(run: UUID) -> list[str]:
    """Return the lines of a run's log that the server has."""
    from prefect.logging.handlers import APILogHandler

    APILogHandler().flush()
    mine = LogFilter(flow_run_id=LogFilterFlowRunId(any_=[run]))
    with get_client(sync_client=True) as client:
        return [line.message for line in client.read_logs(mine, sort=LogSort.TIMESTAMP_ASC, limit=200)]


@pytest.mark.slow
@pytest.mark.alone
@pytest.mark.usefixtures("prefect_server")
def test_a_scan_and_one_that_finds_nothing_new_can_be_watched(home: Path) -> None:
    write_evaluations(home, {"faces": "a" * 64})
    (home / "reports" / "report.html").touch()
    evaluations.publish(home, home / "results", None)
    run, log, kept = scanned(home)
    assert run.name == f"scan {home / 'in'}"
    assert f"{home / 'in'}: 24 files to look at, 0 skipped" in "\n".join(log)
    _check_log(log)
    _check_top(json.loads(str(kept["table"].data)))
    page = str(kept["markdown"].data)
    assert "| ok | 16 |" in page and "| corrupt | 8 |" in page and "| new | " in page
    assert "| faces | aaaaaaaa | 16 | twins | 0.875 (0.750 to 1.000) |" in page
    assert f"- how good the models are: `{home / 'reports' / 'report.html'}`" in page
    assert f"fauxscan latest --status corrupt --results {home / 'results'}" in page
    assert kept["progress"].data == 100.0 and "24 of 24 files looked at in" in str(kept["progress"].description)

    _, log, kept = scanned(home)
    assert "0 files to look at, 24 skipped: they have not changed" in "\n".join(log)
    assert kept["progress"].data == 100.0
    assert kept["progress"].description == "nothing to look at: 24 files are unchanged"
    assert "| unchanged, so skipped | 24 |" in str(kept["markdown"].data)


def _check_log(log: list[str]) -> None:
    named = [line for line in log if line.endswith(": corrupt: the jpeg header cannot be read")]
    assert len(named) == 5
    assert any(line.startswith("corrupt: 8 files, of which 5 are named above; all: fauxscan latest") for line in log)
    assert log.count("Finished in state Completed()") == 3  # of `prepare`, `finish` and the flow, not of every batch


def _check_top(rows: list[dict[str, Any]]) -> None:
    assert list(rows[0]) == ["p_fake", "verdict", "kind", "faces", "pixels", "path", "detail"]
    assert [row["p_fake"] for row in rows] == sorted((row["p_fake"] for row in rows), reverse=True)
    assert all(len(row["p_fake"]) == len("0.9731") for row in rows)
    paths = {row["path"] for row in rows}
    assert paths >= {"`<img src=x onerror=alert(1)>.png`", "``` a`b``c.png ```", "`new\\nline.png`"}
    assert "`not-utf8-\\udcff.png`" in paths
    assert all(path.startswith("`") and path.endswith("`") and "\n" not in path for path in paths)
