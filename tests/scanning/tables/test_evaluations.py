"""Evaluations beside the scans: published once, under the digests that scans tell, with what git says."""

import csv
import io
import json
import os
import signal
import subprocess
import sys
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from support.scanning import (
    MediaDecoder,
    stub_cards,
    stub_engine,
    stub_ensemble,
    tiny_params,
    write_evaluations,
    write_many,
)

from fauxscan import cli, models
from fauxscan.judging.ensemble import CARD_FILE, MEMBERS_FOLDER, Dense, EnsembleCard
from fauxscan.records import UserError
from fauxscan.reporting import page
from fauxscan.scanning import scan, settings
from fauxscan.scanning.engine.engine import Engine
from fauxscan.scanning.tables import commits, evaluations, parquet, queries, schemas

FACES, WHOLES = {"faces": "a" * 64}, {"wholes": "b" * 64}
GIT = ["git", "-c", "user.name=test", "-c", "user.email=test@localhost"]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return write_evaluations(tmp_path / "project", FACES | WHOLES)


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """Return the folder of a scan that has recorded nothing yet."""
    with parquet.locked(tmp_path / "results"):
        return tmp_path / "results"


def files(results: Path) -> list[Path]:
    return parquet.parts(results, schemas.EVALUATIONS)


def asked(results: Path) -> list[dict[str, Any]]:
    """Return the answer of `fauxscan models`."""
    with queries.open_tables(results) as opened:
        rows: list[dict[str, Any]] = opened.models().read_all().to_pylist()
        return rows


# === Publishing ===


def test_the_reports_columns_are_those_published_and_the_verdicts() -> None:
    verdicts = {f"{name}{end}" for name in ("coverage", "risk") for end in ("", "_low", "_high")}
    assert set(page.COLUMNS) == {*evaluations.FIGURES.names, *verdicts}


def test_what_is_published_is_the_reports_table_with_run_time_and_revision(project: Path, results: Path) -> None:
    before = datetime.now(UTC)
    assert evaluations.publish(project, results, "c0ffee") == 8
    (file,) = files(results)
    part = pq.ParquetFile(file)
    assert part.schema_arrow.equals(schemas.EVALUATIONS, check_metadata=True)
    rows, reported = part.read().to_pylist(), pq.read_table(project / "reports" / page.TABLE).to_pylist()
    names = evaluations.FIGURES.names
    assert [{name: row[name] for name in names} for row in rows] == [
        {name: row[name] for name in names} for row in reported
    ]
    assert {(row["run_id"], row["revision"]) for row in rows} == {(file.stem, "c0ffee")}
    assert commits.RUN_ID.fullmatch(file.stem) and before <= rows[0]["published_at"] <= datetime.now(UTC)
    assert not list(commits.staging(results).iterdir())


def test_a_folder_that_is_not_of_results_is_refused_and_nothing_is_made(
    project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(tmp_path.rglob("*"))
    for folder in (tmp_path / "typo", project):
        assert cli.run(["publish", "--results", str(folder), "--project", str(project)]) == 3
        assert f"no results at {folder}" in capsys.readouterr().err
    assert sorted(tmp_path.rglob("*")) == before


def test_the_same_is_published_once(project: Path, results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["publish", "--results", str(results), "--project", str(project)]
    assert cli.run(command) == 0 and "Published 8 rows" in capsys.readouterr().out
    assert cli.run(command) == 0 and "Nothing new" in capsys.readouterr().out
    assert len(files(results)) == 1
    assert evaluations.publish(project, results, "another revision") == 8
    assert evaluations.publish(project, results, "another revision") == 0
    write_evaluations(project, FACES | WHOLES, auc=0.9)
    assert evaluations.publish(project, results, "another revision") == 8
    assert len(files(results)) == 3


def test_two_projects_publish_into_the_same_results_once_each(tmp_path: Path, results: Path) -> None:
    one, other = (write_evaluations(tmp_path / name, of) for name, of in {"one": FACES, "other": WHOLES}.items())
    rows = [evaluations.publish(project, results, None) for project in (one, other, one, other)]
    assert rows == [4, 4, 0, 0]
    write_evaluations(one, FACES, auc=0.9)
    assert [evaluations.publish(project, results, None) for project in (one, other)] == [4, 0]


def test_the_projects_of_models_are_those_above_them_that_have_evaluations(project: Path, tmp_path: Path) -> None:
    models = [project / "models" / "faces", project / "ensembles" / "both", tmp_path / "elsewhere" / "wholes"]
    assert evaluations.projects(models) == [project]


def test_a_figure_that_could_not_be_told_is_published_once(project: Path, results: Path) -> None:
    write_evaluations(project, FACES, auc_low=float("nan"), auc_high=None)
    assert [evaluations.publish(project, results, None) for _ in range(2)] == [4, 0]
    assert set(parquet.read(results, schemas.EVALUATIONS)["auc_low"].to_pylist()) == {None}


def test_publications_and_scans_sort_as_they_came_whatever_the_clock_says(project: Path, results: Path) -> None:
    evaluations.publish(project, results, None)
    (file,) = files(results)
    later = file.with_name(f"2999{file.name[4:]}")
    file.rename(later)
    write_evaluations(project, WHOLES)
    assert evaluations.publish(project, results, None) == 4
    assert files(results)[0] == later
    assert commits.new_run_id(results, datetime.now(UTC)) > files(results)[1].stem


def test_a_publication_waits_for_no_scan_and_says_so(
    project: Path, results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet, "LOCK_WAIT_S", 0.1)
    with parquet.locked(results), pytest.raises(UserError, match="is writing to"):
        evaluations.publish(project, results, None)


KILLED = """
import os, signal, sys
from pathlib import Path
from fauxscan.scanning.tables import evaluations
os.replace = lambda *names: os.kill(os.getpid(), signal.SIGKILL)
evaluations.publish(Path(sys.argv[1]), Path(sys.argv[2]), None)
"""


def test_a_publication_that_is_killed_leaves_nothing(project: Path, results: Path, tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", KILLED, project, results], check=False)
    assert done.returncode == -signal.SIGKILL
    assert not files(results) and list(commits.staging(results).rglob("*.tmp"))
    scan.scan(write_many(tmp_path / "in", 6), results, stub_engine(tmp_path / "models"))
    assert not list(commits.staging(results).iterdir())
    assert len(parquet.read(results, schemas.RUNS)) == 1
    assert evaluations.publish(project, results, None) == 8


# === What is wrong ===


def test_without_evaluations_it_says_what_to_do(
    tmp_path: Path, results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(["publish", "--results", str(results), "--project", str(tmp_path)]) == 3
    said = capsys.readouterr().err
    assert str(Path("reports", "evaluation.parquet")) in said and "make repro" in said
    assert not files(results)


@pytest.mark.parametrize("content", [b"", b"PAR1", b"PAR1" + b"\0" * 100 + b"PAR1"])
def test_a_damaged_report_is_named(project: Path, results: Path, content: bytes) -> None:
    (project / "reports" / page.TABLE).write_bytes(content)
    with pytest.raises(UserError, match=r"evaluation\.parquet is damaged .*make repro"):
        evaluations.publish(project, results, None)


def test_a_report_of_an_older_version_is_refused_by_what_it_lacks(project: Path, results: Path) -> None:
    file = project / "reports" / page.TABLE
    pq.write_table(pq.read_table(file).drop_columns(["model_digest", "dataset"]), file)
    with pytest.raises(UserError, match=r"lacks model_digest, dataset, .*make repro"):
        evaluations.publish(project, results, None)


@pytest.mark.parametrize("at", [40, -40])
def test_a_damaged_table_is_named_and_stays(project: Path, results: Path, at: int) -> None:
    evaluations.publish(project, results, None)
    (file,) = files(results)
    content = bytearray(file.read_bytes())
    content[at] ^= 0xFF
    file.write_bytes(content)
    for ask in (lambda: evaluations.publish(project, results, None), lambda: asked(results)):
        with pytest.raises(UserError, match=rf"{file.name} .*(publish again|out of the results)"):
            ask()
    assert file.read_bytes() == content and len(files(results)) == 1


# === Results without the table ===


def test_results_without_the_table_are_read_as_before(
    results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    engine, root = stub_engine(tmp_path / "models"), write_many(tmp_path / "in", 6)
    scan.scan(root, results, engine)
    (results / "evaluations").rmdir()
    parquet.check(results)
    for command in ("latest", "top", "runs", "models"):
        assert cli.run([command, "--results", str(results)]) == 0
    assert capsys.readouterr().out.count("none published") == 2
    cli.run(["doctor", "--results", str(results)])
    assert "none damaged" in capsys.readouterr().out
    assert scan.scan(root, results, engine).unchanged == 6


# === Which model judged what ===


def counted(results: Path) -> Counter[tuple[str, str]]:
    """Return how many files each model's scores stand for, by root and digest, from a plain reading."""
    scored: dict[tuple[str, str], set[str]] = {}
    for row in parquet.read(results, schemas.SCORES).to_pylist():
        scored.setdefault((row["sha256"], row["settings"]), set()).add(row["model_digest"])
    latest = queries.latest(results).to_pylist()
    return Counter((row["root"], one) for row in latest for one in scored.get((row["sha256"], row["settings"]), ()))


def test_models_are_told_with_their_files_and_figures(project: Path, results: Path, tmp_path: Path) -> None:
    one, two = write_many(tmp_path / "one", 12), write_many(tmp_path / "two", 7)
    scan.scan(one, results, stub_engine(tmp_path / "models", "whole"))
    scan.scan(two, results, stub_engine(tmp_path / "models", "whole", only="wholes"))
    write_evaluations(project, WHOLES)
    evaluations.publish(project, results, "first")
    write_evaluations(project, WHOLES, auc=0.5)
    evaluations.publish(project, results, "second")
    found = asked(results)
    assert {(row["root"], row["model_digest"]): row["files"] for row in found} == counted(results)
    recorded = [(row["model"], row["root"], row["files"], row["revision"], row["auc"], row["dataset"]) for row in found]
    assert recorded == [
        ("faces", str(one), 12, None, None, None),
        ("wholes", str(one), 12, "second", 0.5, "twins"),
        ("wholes", str(two), 7, "second", 0.5, "twins"),
    ]


def test_a_model_is_told_as_long_as_files_stand_by_it(results: Path, tmp_path: Path) -> None:
    root = write_many(tmp_path / "in", 12)
    faces, wholes = (stub_engine(tmp_path / "models", "whole", only=name) for name in ("faces", "wholes"))
    scan.scan(root, results, faces)
    scan.scan(root, results, wholes, names=[f"{number:03d}.png" for number in range(5)])
    assert {row["model"]: row["files"] for row in asked(results)} == {"faces": 7, "wholes": 5}
    scan.scan(root, results, wholes)
    for file in root.iterdir():
        file.write_bytes(b"no picture")
    scan.scan(root, results, wholes)
    assert {row["model"]: row["files"] for row in asked(results)} == {"wholes": 0}


def test_a_row_for_each_dataset_and_none_for_other_weights(project: Path, results: Path, tmp_path: Path) -> None:
    scan.scan(write_many(tmp_path / "in", 6), results, stub_engine(tmp_path / "models", only="wholes"))
    evaluations.publish(write_evaluations(project, {"wholes": "f" * 64}), results, None)
    assert [row["dataset"] for row in asked(results)] == [None]
    for dataset in ("twins", "strangers"):
        evaluations.publish(write_evaluations(project, WHOLES, dataset), results, None)
    assert [(row["model"], row["dataset"]) for row in asked(results)] == [("wholes", "strangers"), ("wholes", "twins")]


def ensemble(home: Path) -> EnsembleCard:
    """Write an ensemble of the stand-ins and return its card."""
    cards = [models.read_card(folder) for folder in stub_cards(home / MEMBERS_FOLDER)]
    card = EnsembleCard(
        name="both", method="mean", dataset="none", layers=(Dense(kernel=((0.5,), (0.5,)), bias=(0,)),),
        digests={one.name: one.model_digest for one in cards}, proof_of_machinery=False,
        calibration=cards[0].calibration or pytest.fail("the stand-ins are calibrated"),
    )  # fmt: skip
    (home / CARD_FILE).write_text(card.model_dump_json(), encoding="utf-8")
    return card


def test_an_ensembles_figures_are_found_by_its_digest(project: Path, results: Path, tmp_path: Path) -> None:
    card = ensemble(tmp_path / "both")
    chosen = settings.read(tiny_params(), [tmp_path / "both"])
    scan.scan(write_many(tmp_path / "in", 6), results, Engine(chosen, stub_ensemble, MediaDecoder))
    evaluations.publish(write_evaluations(project, {"both": card.model_digest}), results, None)
    assert [(row["model"], row["auc"]) for row in asked(results)] == [
        ("both", 0.875),
        ("faces", None),
        ("wholes", None),
    ]
    (run,) = parquet.read(results, schemas.RUNS).to_pylist()
    assert run["models"][-1] == {"name": "both", "model_digest": card.model_digest}


# === At a terminal ===


def test_a_line_tells_figures_revision_and_time(
    project: Path, results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scan.scan(write_many(tmp_path / "in", 6), results, stub_engine(tmp_path / "models"))
    evaluations.publish(write_evaluations(project, WHOLES), results, f"{'5ca1ab1e' * 5}-dirty")
    assert cli.run(["models", "--results", str(results)]) == 0
    _, faces, wholes = capsys.readouterr().out.splitlines()
    assert faces.split() == ["faces", "a" * 8, str(tmp_path / "in"), "6", "none", "published"]
    for word in ("b" * 8, "twins", "0.875 (0.750 to 1.000)", "5ca1ab1e-dirty", f"{datetime.now(UTC):%Y-%m-%d}"):
        assert word in wholes


NASTY = ["=1+1", "+1", "-1", "@x", "\x1b[31mred", "new\nline", "\u202egpj", "\tx", "'; DROP TABLE runs; --"]


def test_no_name_is_run_in_any_form(
    project: Path, results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scan.scan(write_many(tmp_path / "in", 6), results, stub_engine(tmp_path / "models", only="wholes"))
    for name in NASTY:
        evaluations.publish(write_evaluations(project, WHOLES, name, evaluation=name, trained_on=name), results, name)
    printed = {}
    for form in ("table", "csv", "json"):
        assert cli.run(["models", "--results", str(results), "--format", form]) == 0
        printed[form] = capsys.readouterr().out
    sheet = list(csv.DictReader(io.StringIO(printed["csv"])))
    assert {row["dataset"] for row in json.loads(printed["json"])} == set(NASTY)
    assert {row["dataset"].removeprefix("'") for row in sheet} == {name.removeprefix("'") for name in NASTY}
    assert not [cell for row in sheet for cell in row.values() if cell.startswith(("=", "+", "-", "@", "\t", "\n"))]
    assert all(c.isprintable() or c == "\n" for c in printed["table"] + printed["json"])
    assert len(printed["table"].splitlines()) == len(NASTY) + 1


def test_neither_command_loads_a_framework(project: Path, results: Path) -> None:
    code = (
        "import sys; from fauxscan import cli; r = sys.argv[2];"
        "assert cli.run(['publish', '--results', r, '--project', sys.argv[1]]) == 0;"
        "assert cli.run(['models', '--results', r]) == 0;"
        "sys.exit(str(sorted({'tensorflow', 'keras', 'sklearn', 'cv2'} & set(sys.modules))))"
    )
    done = subprocess.run([sys.executable, "-c", code, project, results], capture_output=True, text=True, check=False)
    assert done.stderr.strip() == "[]"


# === Revisions ===


@pytest.fixture
def repository(project: Path) -> Path:
    (project / "dvc.yaml").write_text("stages: {}\n", encoding="utf-8")
    for command in (["init", "-q"], ["add", "dvc.yaml"], ["commit", "-qm", "one"], ["tag", "v1"]):
        subprocess.run([*GIT, *command], cwd=project, check=True)
    return project


def head(repository: Path) -> str:
    asked = ["git", "rev-parse", "HEAD"]
    return subprocess.run(asked, cwd=repository, capture_output=True, text=True, check=True).stdout.strip()


def test_the_revision_is_the_commit_and_says_if_tracked_files_were_changed(repository: Path, results: Path) -> None:
    assert evaluations.revision(repository) == head(repository)  # reports/ is not tracked
    (repository / "dvc.yaml").write_text("stages:\n", encoding="utf-8")
    assert evaluations.revision(repository) == f"{head(repository)}-dirty"
    command = ["publish", "--results", str(results), "--project", str(repository)]
    assert cli.run(command) == 0
    assert set(parquet.read(results, schemas.EVALUATIONS)["revision"].to_pylist()) == {f"{head(repository)}-dirty"}
    subprocess.run([*GIT, "commit", "-qam", "two"], cwd=repository, check=True)
    assert evaluations.revision(repository) == head(repository)
    assert cli.run(command) == 0 and len(files(results)) == 2


def test_a_project_that_git_does_not_track_has_no_revision(
    repository: Path, results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inner = write_evaluations(repository / "unpacked", FACES)
    (inner / "dvc.yaml").write_text("stages: {}\n", encoding="utf-8")
    assert evaluations.revision(inner) is None
    assert evaluations.revision(results.parent) is None
    monkeypatch.setenv("PATH", os.devnull)
    assert evaluations.revision(repository) is None
    assert cli.run(["publish", "--results", str(results), "--project", str(repository)]) == 0
    assert set(parquet.read(results, schemas.EVALUATIONS)["revision"].to_pylist()) == {None}
