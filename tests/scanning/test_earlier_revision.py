"""Models and results that revision b7ea7d3 wrote (tests/golden/b7ea7d3) are loaded, read and continued."""

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml
from pydantic import BaseModel
from support import ROOT
from support.scanning import tiny_params

from fauxscan import cli, layers, models, wire
from fauxscan.judging import ensemble
from fauxscan.judging.ensemble import Dense, EnsembleCard
from fauxscan.models import Calibration, ModelCard
from fauxscan.params import FaceParams, MediaParams, Params, ReencodeParams
from fauxscan.scanning import scan, settings
from fauxscan.scanning.engine.engine import Engine
from fauxscan.scanning.inputs.roots import LocalFolder
from fauxscan.scanning.settings import Settings
from fauxscan.scanning.tables import schemas

GOLDEN = ROOT / "tests" / "golden" / "b7ea7d3"
NAMES = ("cross_domain", "dct_cnn", "meso4")
# The logarithm of a DCT coefficient near zero magnifies rounding: 3.5e-4 between two processors, with that revision's
# own code too. One grey level in one pixel of that picture moves the logit by 1.6e-2 of its size, so 1e-3 sees it.
LOGIT_ROUNDING = 1e-3
PICTURES = LocalFolder(Path("pictures"))  # a relative path: the root in the tables is the same wherever a copy lies


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a copy of the folder as that revision left it, in which the test runs."""
    home = tmp_path / "project"
    shutil.copytree(GOLDEN, home)
    for name, mtime_ns in json.loads((home / "mtimes.json").read_text(encoding="utf-8")).items():
        os.utime(home / name, ns=(mtime_ns, mtime_ns))
    monkeypatch.chdir(home)
    return home


def parameters() -> Params:
    """Return today's parameters with that revision's numbers where they change a judgement."""
    kept = yaml.safe_load((GOLDEN / "params.yaml").read_text(encoding="utf-8"))
    numbers = tiny_params(engine="tensorflow", batch_faces=kept["scan"]["batch_faces"])
    media, faces = MediaParams.model_validate(kept["media"]), FaceParams.model_validate(kept["faces"])
    return numbers.model_copy(update={"media": media, "faces": faces})


def folders(results: str) -> list[Path]:
    """Return the models that wrote a results folder."""
    return [GOLDEN / "models" / name for name in NAMES] if results == "models" else [GOLDEN / "ensembles" / "logistic"]


def settings_of(results: str) -> Settings:
    """Return the settings with which a results folder was written."""
    return settings.read(parameters(), folders(results), "detect")


def rows(results: Path, table: str) -> list[dict[str, Any]]:
    """Return all rows of a table."""
    return [row for file in sorted((results / table).glob("*.parquet")) for row in pq.read_table(file).to_pylist()]


@pytest.mark.parametrize("name", NAMES)
def test_a_model_loads_with_its_digest_unchanged(name: str) -> None:
    written = json.loads((GOLDEN / "models" / name / "card.json").read_text(encoding="utf-8"))
    model = models.load(GOLDEN / "models" / name)
    assert models.digest(model.network) == model.card.model_digest == written["model_digest"]
    assert written["align"] and model.card.reencode == ReencodeParams(**written["align"])
    assert model.card.calibration and model.card.calibration.eer_threshold == written["calibration"]["even"]


def test_a_card_is_written_again_with_the_new_keys(tmp_path: Path) -> None:
    card = models.read_card(GOLDEN / "models" / "meso4")  # whose equal-error threshold is not the default
    models.write_card(tmp_path, card)
    written = json.loads((tmp_path / "card.json").read_text(encoding="utf-8"))
    assert written["reencode"] == {"size": 64, "jpeg_quality": 75} and written["calibration"]["eer_threshold"] != 0.5
    assert "align" not in written and "even" not in written["calibration"]
    assert models.read_card(tmp_path) == card


def test_the_ensemble_keeps_its_digest_and_its_settings() -> None:
    (run,) = rows(GOLDEN / "results" / "ensemble", "runs")
    card = ensemble.read_ensemble_card(GOLDEN / "ensembles" / "logistic")
    assert {"name": "logistic", "model_digest": card.model_digest} in run["models"]
    assert settings_of("ensemble").models == run["models"]


@pytest.fixture
def versions_of_that_revision(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let scores and faces have the version numbers of that revision, since which they have been raised."""
    monkeypatch.setattr(settings, "SCORING", 3)
    monkeypatch.setattr(settings, "FINDING", 2)


@pytest.mark.usefixtures("versions_of_that_revision")
@pytest.mark.parametrize("results", ["models", "ensemble"])
def test_settings_have_the_digest_of_that_revision(results: str) -> None:
    assert {row["settings"] for row in rows(GOLDEN / "results" / results, "runs")} == {settings_of(results).digest}
    assert {row["found_with"] for row in rows(GOLDEN / "results" / results, "faces")} == {
        settings_of(results).faces_digest
    }


@pytest.fixture
def moved_layers(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let the layers lie in another module, under other class names."""
    moved = (layers.LogDct, layers.RandomBlur, layers.RandomCentreCrop, layers.RandomQuarterTurn)
    names = [layer.__name__ for layer in moved]
    for layer in moved:
        monkeypatch.setattr(layer, "__module__", "fauxscan.elsewhere")
        layer.__name__ = f"Renamed{layer.__name__}"  # which monkeypatch cannot undo
    yield
    for layer, name in zip(moved, names, strict=True):
        layer.__name__ = name


@pytest.mark.usefixtures("moved_layers")
def test_digests_hold_when_layers_move_and_are_renamed() -> None:
    model = models.load(GOLDEN / "models" / "cross_domain")
    config = str(model.network.get_config())
    assert "fauxscan.elsewhere" in config and "RenamedLogDct" in config
    assert models.digest(model.network) == model.card.model_digest


@pytest.mark.parametrize(
    ("record", "names"),
    [
        (MediaParams, wire.MEDIA),
        (FaceParams, wire.FACES),
        (FaceParams, wire.FACE_SEARCH),
        (ReencodeParams, wire.REENCODE),
        (Calibration, wire.CALIBRATION),
        (ModelCard, wire.MODEL),
        (Dense, wire.DENSE),
        (EnsembleCard, wire.ENSEMBLE),
    ],
)
def test_every_field_of_a_hashed_record_is_hashed_or_left_out_on_purpose(
    record: type[BaseModel], names: Mapping[str, str | None]
) -> None:
    assert set(names) == set(record.model_fields), "decide in wire.py whether the field changes a judgement"


def test_exactly_the_parts_of_a_card_that_the_table_names_are_hashed() -> None:
    card = models.read_card(GOLDEN / "models" / "dct_cnn")
    assert set(settings._judging_parts(card)) == {key for key in wire.MODEL.values() if key is not None}


def test_results_are_read(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["latest", "--results", "results/models", "--format", "json"]) == 0
    latest = {row["path"]: row for row in json.loads(capsys.readouterr().out)}
    assert len(latest) == 12 and latest["more/copy of portrait.jpg"]["change"] == "copied"
    assert {row["verdict"] for row in latest.values()} == {"likely_synthetic", "uncertain", "no_indication", None}
    assert cli.run(["history", "portrait.jpg", "--results", "results/models", "--format", "json"]) == 0
    (only,) = json.loads(capsys.readouterr().out)
    assert only["sha256"] == latest["portrait.jpg"]["sha256"]


@pytest.mark.usefixtures("versions_of_that_revision")
@pytest.mark.parametrize("results", ["models", "ensemble"])
def test_a_scan_of_the_unchanged_folder_adds_no_row(project: Path, results: str) -> None:
    home = project / "results" / results
    before = {table: rows(home, table) for table in ("media", "scores", "faces")}
    assert len(before["media"]) == 12
    summary = scan.scan(PICTURES, home, Engine(settings_of(results)))
    assert summary.unchanged == 12 and not summary.changes
    assert {table: rows(home, table) for table in before} == before
    assert len({row["settings"] for row in rows(home, "runs")}) == 1


def test_the_first_scan_since_then_rescores_every_file_and_says_so(
    project: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "fauxscan")
    home = project / "results" / "models"
    before = {row["path"]: row for row in rows(home, "media") if row["change"] != "removed"}
    summary = scan.scan(PICTURES, home, Engine(settings_of("models")))
    assert summary.changes == {"rescored": 12}
    assert any(record.getMessage().startswith("12 unchanged files are judged again") for record in caplog.records)
    for row in (row for row in rows(home, "media") if row["change"] == "rescored"):
        earlier = before[row["path"]]
        assert [row[name] for name in ("sha256", "status", "verdict")] == [
            earlier[name] for name in ("sha256", "status", "verdict")
        ]
    assert scan.scan(PICTURES, home, Engine(settings_of("models"))).changes == {}


@pytest.mark.usefixtures("versions_of_that_revision")
@pytest.mark.parametrize("results", ["models", "ensemble"])
def test_a_fresh_scan_gives_the_scores_of_that_revision(project: Path, results: str) -> None:
    """On one processor both revisions give the same bits. Another one rounds differently, by up to LOGIT_ROUNDING."""
    scan.scan(PICTURES, project / "fresh", Engine(settings_of(results)))
    for table, number in (("media", "p_fake"), ("scores", "p_fake"), ("scores", "logit")):
        keys = ("path",) if table == "media" else ("sha256", "model", "frame", "track", "face")
        expected, found = (
            {tuple(row[key] for key in keys): row for row in rows(home, table)}
            for home in (project / "results" / results, project / "fresh")
        )
        assert found.keys() == expected.keys() and len(found) > 8
        judged = [key for key, row in expected.items() if row[number] is not None]
        assert [key for key, row in found.items() if row[number] is not None and key not in judged] == []
        numbers = ([one[key][number] for key in judged] for one in (found, expected))
        assert next(numbers) == pytest.approx(next(numbers), rel=LOGIT_ROUNDING if number == "logit" else 0, abs=1e-6)
        same = ("status", "verdict", "faces") if table == "media" else ("model_digest", "settings")
        assert all(found[key][column] == expected[key][column] for key in found for column in same)


def test_every_row_of_a_fresh_scan_has_the_columns_of_that_revision() -> None:
    for schema in (schemas.RUNS, schemas.MEDIA, schemas.SCORES, schemas.FACES):
        (file, *_) = sorted((GOLDEN / "results" / "models" / schemas.name_of(schema)).glob("*.parquet"))
        assert set(pq.read_schema(file).names) <= set(schema.names)
