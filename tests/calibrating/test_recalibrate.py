"""`fauxscan calibrate`: on labelled files, on reals alone, and on stored logits, with an imported model."""

import csv
import io
import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image as Pillow
from scipy.special import logit
from support import ROOT
from support.preparing import picture, save
from support.scanning import tiny_params, write_params

from fauxscan import cli, models, openvino_export, params
from fauxscan.calibrating import recalibrate
from fauxscan.judging import calibration
from fauxscan.models import ModelCard
from fauxscan.scanning import settings
from fauxscan.scanning.engine.engine import check_files

pytest_plugins = ["support.scanning_models"]
REALS, FAKES = 24, 22


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, exported_models: list[Path]) -> Path:
    """Return a folder with params.yaml, an uncalibrated model, and labelled pictures, some of one source."""
    home = tmp_path_factory.mktemp("recalibrate")
    write_params(home / "params.yaml")
    shutil.copytree(exported_models[1], home / "imported")
    card = models.read_card(home / "imported")
    models.write_card(home / "imported", card.model_copy(update={"calibration": None, "name": "imported"}))
    for n in range(REALS):
        save(home / "files" / "camera" / f"{n}.png", picture(2 * n, 64) // 2)
    for n in range(FAKES):
        save(home / "files" / "made" / f"{n}.png", picture(2 * n + 1, 64) // 2 + 110)
    for n in range(3):
        save(home / "files" / "made" / "shoot" / f"{n}.png", picture(1001 + 2 * n, 64) // 2 + 110)
    near = Pillow.open(home / "files" / "camera" / "0.png")
    near.save(home / "files" / "camera" / "the first again.jpg", quality=95)
    (home / "files" / "camera" / "notes.txt").write_text("no picture")
    return home


def run(home: Path, *arguments: str) -> int:
    return cli.run(["calibrate", *arguments, "--params", str(home / "params.yaml")])


def labelled(home: Path, out: Path, *more: str) -> list[str]:
    return [str(home / "imported"), str(home / "files"), "--real", "camera", "--fake", "made", "--out", str(out), *more]


@pytest.fixture(scope="module")
def calibrated(home: Path) -> Path:
    """Return the model after `fauxscan calibrate` on both classes."""
    assert run(home, *labelled(home, home / "mine")) == 0
    return home / "mine"


def test_predict_gives_no_class_without_a_calibration(
    home: Path, exported_models: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    predicted = [str(home / "files"), "--probabilities", "--params", str(home / "params.yaml")]
    classes = {}
    for model in (home / "imported", exported_models[1]):
        capsys.readouterr()
        cli.run(["predict", str(model), *predicted])
        rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
        judged = [row for row in rows if row["p_fake"]]
        assert len(judged) > REALS + FAKES
        classes[model.name] = {row["class"] for row in judged}
        assert ("not calibrated: imported" in judged[0]["detail"]) is (model.name == "imported")
    assert classes["imported"] == {"uncertain"}
    assert classes["wholes"] <= {"real", "fake"}


def calibration_of(model: Path) -> tuple[ModelCard, models.Calibration, models.Evidence]:
    card = models.read_card(model)
    assert card.calibration is not None and card.calibration.evidence is not None
    return card, card.calibration, card.calibration.evidence


def test_an_imported_model_is_calibrated_on_files_of_the_user(home: Path, calibrated: Path) -> None:
    card, fitted, evidence = calibration_of(calibrated)
    assert (card.name, fitted.reals, fitted.fakes) == ("mine", REALS + 1, FAKES + 3)
    assert (evidence.real_sources, evidence.fake_sources) == (REALS, FAKES + 1), (
        "a copy and a shoot are one source each"
    )
    assert evidence.noise is not None and evidence.noise > 0 and evidence.auc is not None
    assert models.load(calibrated).card.model_digest == models.read_card(home / "imported").model_digest
    assert models.read_card(home / "imported").calibration is None, "the model itself is not changed"


def test_the_copy_has_openvino_files_also_of_a_model_of_an_older_version(
    home: Path, calibrated: Path, tiny_models: list[Path], tmp_path: Path
) -> None:
    files = models.read_card(home / "imported").openvino
    assert files and models.read_card(calibrated).openvino == files == openvino_export.digests(calibrated)
    shutil.copytree(tiny_models[1], tmp_path / "older")
    shutil.copy(calibrated / "validation.parquet", tmp_path / "older")
    assert run(home, str(tmp_path / "older"), "--out", str(tmp_path / "m")) == 0
    assert models.read_card(tmp_path / "m").openvino == files == openvino_export.digests(tmp_path / "m")


def test_the_logits_are_those_of_a_scan_and_are_stored(home: Path, calibrated: Path) -> None:
    stored = pd.read_parquet(calibrated / "validation.parquet")
    assert list(stored) == ["sha256", "label", "generator", "source", "dataset", "kind", "logit", "shifted"]
    assert len(stored) == REALS + FAKES + 4 and (stored["shifted"] != stored["logit"]).any()
    chosen = settings.read(tiny_params(), [home / "imported"])
    for outcome in check_files([home / "files" / "made" / "3.png", home / "files" / "camera" / "5.png"], chosen):
        (row,) = stored[stored["sha256"] == outcome.sha256].to_dict("records")
        assert row["logit"] == pytest.approx(outcome.scores[0]["logit"], abs=1e-5)


def test_stored_logits_are_judged_anew_without_the_media(
    home: Path, calibrated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recalibrate, "_judge", lambda *_: pytest.fail("media are read"))
    rates = ["--false-positives", "0.2", "--false-negatives", "0.1"]
    assert run(home, str(calibrated), *rates, "--out", str(tmp_path / "strict")) == 0
    card, fitted, _ = calibration_of(tmp_path / "strict")
    wanted = tiny_params().calibrate.model_copy(update={"false_positive_rate": 0.2, "false_negative_rate": 0.1})
    stored = pd.read_parquet(calibrated / "validation.parquet")
    assert fitted == calibration.fit_media(stored, wanted) and card.name == "strict"
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "strict" / "validation.parquet"), stored)


def test_reals_alone_set_the_upper_threshold_and_false_positives_are_printed(
    home: Path, calibrated: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    reals = ["--reals", str(home / "files" / "camera"), "--false-positives", "0.1"]
    assert run(home, str(home / "imported"), *reals, "--out", str(tmp_path / "a")) == 0
    said = capsys.readouterr().out
    assert f"Calibrated on {REALS + 1} reals of {REALS} sources. Nothing is known about fakes" in said
    assert "before: unknown, not calibrated" in said and "False positives after: 0." in said
    _, fitted, _ = calibration_of(tmp_path / "a")
    stored = pd.read_parquet(tmp_path / "a" / "validation.parquet")
    assert np.mean(1 / (1 + np.exp(-stored["logit"])) >= fitted.high) <= 0.1 and fitted.low == 0
    assert run(home, str(calibrated), *reals, "--out", str(tmp_path / "b")) == 0
    assert "False positives before: 0." in capsys.readouterr().out
    assert calibration_of(tmp_path / "b")[2].auc == calibration_of(calibrated)[2].auc
    assert run(home, str(tmp_path / "a"), "--false-positives", "0.01", "--out", str(tmp_path / "c")) == 0
    assert "No file will be likely_synthetic: this rate of false positives needs 99 reals" in capsys.readouterr().out
    assert calibration_of(tmp_path / "c")[1].high == 1


def test_folders_of_reals_are_collections(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = ("a", "b", "c", "d")
    for n in range(24):
        save(tmp_path / "reals" / names[n % 4] / f"{n}.png", picture(2 * n, 64) // 2)
    rate = ["--false-positives", "0.2"]
    reals = ["--reals", str(tmp_path / "reals"), *rate, "--worst-collection"]
    assert run(home, str(home / "imported"), *reals, "--out", str(tmp_path / "m")) == 0
    assert "the worst of 4 collections" in capsys.readouterr().out
    stored = pd.read_parquet(tmp_path / "m" / "validation.parquet")
    assert dict(stored["dataset"].value_counts()) == dict.fromkeys(names, 6)
    stored.loc[stored["dataset"] == "d", "logit"] += 5  # four of the five reals that may reach a pooled threshold
    stored.to_parquet(tmp_path / "m" / "validation.parquet", index=False)
    worst = {}
    for option in ("--all-collections", "--worst-collection"):
        assert run(home, str(tmp_path / "m"), *rate, option, "--out", str(tmp_path / option.strip("-"))) == 0
        _, fitted, _ = calibration_of(tmp_path / option.strip("-"))
        assert fitted.collections is not None
        worst[option] = max(group.error_rate for group in fitted.collections.values())
    assert worst["--all-collections"] > 0.5
    assert worst["--worst-collection"] <= 0.2


def test_a_guard_band_is_measured_on_the_files(home: Path, tmp_path: Path) -> None:
    guarded = params.changed(tiny_params(), "calibrate", {"guard_band": True})
    reals = recalibrate.LabelledFiles(home / "files" / "camera", {recalibrate.TREE: "real"})
    fitted = recalibrate.recalibrate(home / "imported", tmp_path / "m", guarded, reals).calibration
    stored = pd.read_parquet(tmp_path / "m" / "validation.parquet")
    change = np.sqrt(((stored["reencoded"] - stored["logit"]) ** 2).mean())
    assert fitted.guard == pytest.approx(change) and change > 0
    without = calibration.fit_reals(stored, None, tiny_params().calibrate)
    assert logit(fitted.high) - logit(without.high) == pytest.approx(change)


def test_a_model_that_still_knows_too_little_says_so(
    home: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    few = tmp_path / "few"
    few.mkdir()
    for n in range(6):
        shutil.copy(home / "files" / "camera" / f"{n}.png", few)
    assert run(home, str(home / "imported"), "--reals", str(few), "--out", str(tmp_path / "m")) == 0
    (said,) = [record.getMessage() for record in caplog.records if "verdict" in record.getMessage()]
    assert said.startswith("Every verdict of m is `uncertain`: calibrated on 6 sources of reals, but 20 are required.")


def test_one_subfolder_is_refused_and_few_are_warned_of_before_anything_is_written(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    photos, model = tmp_path / "photos", str(home / "imported")
    shutil.copytree(home / "files" / "camera", photos / "2024")
    assert run(home, model, "--reals", str(photos), "--out", str(tmp_path / "m")) == 3
    said = capsys.readouterr().err
    assert f"the {REALS + 1} reals in {photos} are only one source" in said and "name the subfolder itself" in said
    assert [path.name for path in tmp_path.iterdir()] == ["photos"]
    (photos / "2025").mkdir()
    for n in range(1, 12):
        (photos / "2024" / f"{n}.png").rename(photos / "2025" / f"{n}.png")
    assert run(home, model, "--reals", str(photos), "--out", str(tmp_path / "m")) == 0
    (told,) = [record.getMessage() for record in caplog.records if record.getMessage().startswith("Few sources")]
    assert " are only 2 sources. Files in one subfolder" in told


def test_without_out_the_users_own_file_is_written_and_used(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    model = home / "imported"
    content = {file: file.read_bytes() for file in model.iterdir()}
    files = [str(home / "files"), "--real", "camera", "--fake", "made"]
    assert run(home, str(model), *files) == 0
    said = capsys.readouterr().out
    card = models.read_card(model)
    file = tmp_path / "config" / "fauxscan" / "calibrations" / f"{card.model_digest}.json"
    assert f"Wrote {file}\nNext: fauxscan check FILE --models {model}\n" in said
    assert f"Delete {file} to use the calibration on the model's card again." in said
    assert {path: path.read_bytes() for path in model.iterdir()} == content, "the model folder is not changed"
    assert [path.name for path in file.parent.iterdir()] == [file.name], "written whole, with nothing beside it"
    chosen = settings.read(tiny_params(), [model])
    assert run(home, str(model), *files, "--out", str(tmp_path / "copy")) == 0
    written, told, *_ = capsys.readouterr().out.partition("Wrote ")[2].splitlines()
    assert written == str(tmp_path / "copy")
    assert told.startswith(f"Not in use yet: your own calibration {file} takes precedence over it, because")
    assert chosen.cards[0].calibration == calibration_of(tmp_path / "copy")[1]
    told = json.loads(file.read_text(encoding="utf-8"))
    assert (told["model"], told["made_from"]) == ("imported", str(home / "files"))


def test_reals_change_the_calibration_in_use(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    model, files = str(home / "imported"), str(home / "files")
    assert run(home, model, files, "--real", "camera", "--fake", "made") == 0
    (fitted,) = settings.read(tiny_params(), [home / "imported"]).user_calibrations.values()
    capsys.readouterr()
    assert run(home, model, "--reals", f"{files}/camera", "--false-positives", "0.1") == 0
    said = capsys.readouterr().out
    assert "False positives before: 0." in said and "False positives after: 0." in said
    (after,) = settings.read(tiny_params(), [home / "imported"]).user_calibrations.values()
    assert (after.temperature, after.low) == (fitted.temperature, fitted.low) and after.high != fitted.high


def test_a_configuration_that_cannot_be_written_is_named(
    home: Path, calibrated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "file"))
    assert run(home, str(calibrated), "--false-positives", "0.2") == 3
    assert "cannot be written: " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["MODEL", "--out", "mine"], "mine already exists"),
        (["MODEL", "--out", "new"], "has no validation.parquet, the logits of an earlier calibration"),
        (["MODEL", "files", "--real", "camera", "--out", "new"], "name the reals and the fakes in"),
        (["MODEL", "--real", "camera", "--out", "new"], "describe the files in FOLDER"),
        (["MODEL", "files", "--reals", "files/camera", "--out", "new"], "uses reals alone"),
        (["MODEL", "--reals", "nowhere", "--out", "new"], "there is no folder"),
        (["MODEL", "files", "--real", "camera", "--fake", "gan", "--out", "new"], "'gan', which is not a subfolder"),
        (["MODEL", "--reals", "files/camera", "--false-positives", "2", "--out", "new"], "false_positive_rate"),
        (["joint", "--out", "new"], "has no validation.parquet, the logits of an earlier calibration"),
        (["nowhere", "--out", "new"], "no model at"),
    ],
)
def test_wrong_use_says_what_to_do(
    home: Path, calibrated: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    shutil.copytree(
        ROOT / "tests" / "golden" / "b7ea7d3" / "ensembles" / "logistic", home / "joint", dirs_exist_ok=True
    )
    known = {name: str(home / name) for name in ("files", "mine", "new", "joint", "files/camera", "nowhere")}
    assert run(home, *(({"MODEL": str(home / "imported")} | known).get(word, word) for word in arguments)) == 3
    assert said in capsys.readouterr().err and not (home / "new").exists()


def test_a_pattern_names_the_source_of_a_file(home: Path, tmp_path: Path) -> None:
    source = ["--source", r"^(\d)"]  # the first digit of a name
    assert run(home, *labelled(home, tmp_path / "m", *source)) == 0
    _, _, evidence = calibration_of(tmp_path / "m")
    assert (evidence.real_sources, evidence.fake_sources) == (10, 11), "digits, and the folder `shoot`"


def test_a_class_that_cannot_be_judged_is_named(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, side in (("camera", 64), ("made", 16)):  # smaller than faces.min_size
        for n in range(2):
            save(tmp_path / "small" / name / f"{n}.png", picture(n, side))
    named = [str(tmp_path / "small"), "--real", "camera", "--fake", "made"]
    assert run(home, str(home / "imported"), *named, "--out", str(tmp_path / "m")) == 3
    assert "no fake file could be judged" in capsys.readouterr().err
    assert not list(tmp_path.glob(".calibrating-*"))
