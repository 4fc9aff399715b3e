"""`fauxscan calibrate` of an ensemble: its own temperature and thresholds change, its members and combiner do not."""

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
from support.model_sets import write_ensemble
from support.preparing import picture, save
from support.scanning import tiny_params, write_params

from fauxscan import Detector, cli
from fauxscan.judging import calibration, ensemble
from fauxscan.judging.ensemble import CARD_FILE, EnsembleCard
from fauxscan.params import Params
from fauxscan.scanning import dry_run, scan, score_folder, settings, user_calibrations
from fauxscan.scanning.engine.engine import Engine, check_files
from fauxscan.scanning.tables import queries

pytest_plugins = ["support.scanning_models"]
FILES = 22  # of each class
WHOLE = ["--faces", "whole"]  # or the member that looks at faces would have nothing to judge


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, exported_models: list[Path]) -> Path:
    """Return a folder with params.yaml, an ensemble of two real networks, and labelled pictures."""
    home = tmp_path_factory.mktemp("ensembles")
    write_params(home / "params.yaml", engine="openvino")
    write_ensemble(home / "joint", exported_models)
    for n in range(FILES):
        save(home / "files" / "camera" / f"{n}.png", picture(2 * n, 64) // 2)
        save(home / "files" / "made" / f"{n}.png", picture(2 * n + 1, 64) // 2 + 110)
    return home


@pytest.fixture(autouse=True)
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of the user's own calibrations."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return tmp_path / "config" / "fauxscan" / "calibrations"


@pytest.fixture
def joint(home: Path) -> Path:
    return home / "joint"


def numbers() -> Params:
    return tiny_params(engine="openvino")


def run(home: Path, model: Path, *arguments: str) -> int:
    return cli.run(["calibrate", str(model), *arguments, *WHOLE, "--params", str(home / "params.yaml")])


def on_both(home: Path) -> list[str]:
    return [str(home / "files"), "--real", "camera", "--fake", "made"]


def card_of(folder: Path) -> EnsembleCard:
    return ensemble.read_ensemble_card(folder)


def calibrate(home: Path, joint: Path) -> settings.Settings:
    """Calibrate the ensemble for this user on reals and fakes; return the settings of a scan after that."""
    assert run(home, joint, *on_both(home)) == 0
    return settings.read(numbers(), [joint], "whole")


def test_the_users_own_file_has_the_ensembles_digest_and_replaces_its_calibration_alone(
    home: Path, joint: Path, config: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    content = {file: file.read_bytes() for file in joint.rglob("*") if file.is_file()}
    before = settings.read(numbers(), [joint], "whole")
    after = calibrate(home, joint)
    file = config / f"{card_of(joint).model_digest}.json"
    assert f"Wrote {file}\n" in capsys.readouterr().out and list(config.iterdir()) == [file]
    assert {path: path.read_bytes() for path in joint.rglob("*") if path.is_file()} == content
    assert after.ensemble and before.ensemble and after.cards == before.cards
    fitted = after.ensemble.calibration
    assert after.ensemble == card_of(joint).model_copy(update={"calibration": fitted}) != before.ensemble
    assert (fitted.reals, fitted.fakes) == (FILES, FILES) and fitted.evidence and fitted.evidence.real_sources == FILES
    assert fitted.evidence.noise is not None and fitted.evidence.noise > 0
    caplog.clear()
    with caplog.at_level("INFO", "fauxscan"):
        settings.read(numbers(), [joint])
    assert caplog.messages == [
        f"joint is calibrated by {file}, not by its card. Delete this file to use the card again."
    ]
    assert after.models == before.models, "figures and results name the ensemble as before"
    assert settings.read(numbers(), [joint], "whole", cards_alone=True) == before
    file.unlink()
    assert settings.read(numbers(), [joint], "whole") == before


def test_the_settings_are_those_of_a_card_with_the_same_calibration(home: Path, tmp_path: Path, joint: Path) -> None:
    by_the_user = calibrate(home, joint)
    shutil.copytree(joint, tmp_path / "joint")
    assert by_the_user.ensemble
    ensemble.write_ensemble_card(tmp_path / "joint", by_the_user.ensemble)
    assert settings.read(numbers(), [tmp_path / "joint"], "whole").digest == by_the_user.digest
    before = settings.read(numbers(), [joint], "whole", cards_alone=True)
    assert by_the_user.logits_digest == before.logits_digest and by_the_user.digest != before.digest


def test_check_predict_and_python_judge_by_it_and_the_stage_score_does_not(
    home: Path, joint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = sorted((home / "files" / "made").iterdir())[:3]
    score_folder.score_folder(files[0].parent, [joint], numbers(), tmp_path / "before", "whole")
    before = [one.p_fake for one in check_files(files, settings.read(numbers(), [joint], "whole"))]
    chosen = calibrate(home, joint)
    after = [one.p_fake for one in check_files(files, chosen)]
    assert chosen.ensemble and None not in before and None not in after
    was, now = card_of(joint).calibration.temperature, chosen.ensemble.calibration.temperature
    for old, new in zip(before, after, strict=True):
        assert old and new and ensemble.logit(new) * now == pytest.approx(ensemble.logit(old) * was, rel=1e-4)
    with Detector(joint, params=numbers(), faces="whole") as detector:
        assert [detector.judge(file).p_fake for file in files] == pytest.approx(after, abs=1e-6)
    capsys.readouterr()
    assert cli.run(["predict", str(joint), str(files[0]), "--probabilities", *WHOLE]) == 0
    assert f"{after[0]:.3f}" in capsys.readouterr().out
    score_folder.score_folder(files[0].parent, [joint], numbers(), tmp_path / "after", "whole")
    for table in ("media.parquet", "scores.parquet"):
        assert (tmp_path / "after" / table).read_bytes() == (tmp_path / "before" / table).read_bytes()


def refuse(chosen: settings.Settings) -> ensemble.Ensemble:
    pytest.fail("the models were loaded")


@pytest.mark.parametrize("recorded", ["now", "by an older version"])
def test_an_unchanged_folder_is_rescored_without_any_network(
    home: Path, joint: Path, tmp_path: Path, recorded: str
) -> None:
    root, results = home / "files" / "made", tmp_path / "results"
    before = settings.read(numbers(), [joint], "whole")
    scan.scan(root, results, Engine(before))
    if recorded != "now":
        file = results / "settings" / f"{before.digest}.json"
        known = json.loads(file.read_text(encoding="utf-8"))
        assert known["calibrations"].pop("")
        file.write_text(json.dumps(known), encoding="utf-8")
    after = calibrate(home, joint)
    forecast = dry_run.forecast(root, results, after)
    assert (forecast.other_settings, forecast.files_to_read) == (FILES, 0)
    assert scan.scan(root, results, Engine(after, refuse)).changes == {"rescored": FILES}
    scan.scan(root, tmp_path / "fresh", Engine(after))
    unlike = {"run_id": 0, "change": 0}
    new, fresh = (
        {row["path"]: row | unlike for row in queries.latest(folder).to_pylist()}
        for folder in (results, tmp_path / "fresh")
    )
    assert new == fresh and {row["settings"] for row in new.values()} == {after.digest}
    assert scan.scan(root, results, Engine(after, refuse)).changes == {}
    user_calibrations.file_of(card_of(joint).model_digest).unlink()
    assert scan.scan(root, results, Engine(before, refuse)).changes == {"rescored": FILES}


def test_reals_alone_set_the_upper_threshold(
    home: Path, joint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(home, joint, "--reals", str(home / "files" / "camera"), "--false-positives", "0.1") == 0
    said = capsys.readouterr().out
    assert "False positives before: 0." in said and "False positives after: 0." in said
    chosen, card = settings.read(numbers(), [joint], "whole"), card_of(joint).calibration
    assert chosen.ensemble
    fitted = chosen.ensemble.calibration
    assert (fitted.temperature, fitted.low) == (
        card.temperature,
        min(card.low, fitted.low),
    ) and fitted.high != card.high
    reals = check_files(sorted((home / "files" / "camera").iterdir()), chosen)
    assert sum(one.p_fake is not None and one.p_fake >= fitted.high for one in reals) <= 0.1 * FILES


def test_out_writes_a_copy_which_stored_logits_calibrate_again(
    home: Path, joint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    calibrate(home, joint)
    copy = tmp_path / "here"
    assert run(home, joint, *on_both(home), "--out", str(copy)) == 0
    assert "Not in use yet" not in capsys.readouterr().out, "the copy has a digest of its own"
    card = card_of(copy)
    assert card == card_of(joint).model_copy(update={"name": "here", "calibration": card.calibration})
    for name in card.digests:
        for file in (joint / "members" / name).iterdir():
            assert (copy / "members" / name / file.name).read_bytes() == file.read_bytes()
    stored = pd.read_parquet(copy / "validation.parquet")
    assert card.calibration == calibration.fit_media(stored, numbers().calibrate) and len(stored) == 2 * FILES
    assert run(home, copy, "--false-positives", "0.3", "--out", str(tmp_path / "loose")) == 0
    assert card_of(tmp_path / "loose").calibration.false_positive_rate == 0.3
    assert settings.read(numbers(), [copy]).ensemble == card


def test_the_doctor_names_the_file_and_a_damaged_one_is_an_error(
    home: Path, joint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    doctor = ["doctor", "--models", str(joint), "--params", str(home / "params.yaml")]
    calibrate(home, joint)
    file = user_calibrations.file_of(card_of(joint).model_digest)
    capsys.readouterr()
    cli.run(doctor)
    assert (
        f"faces, wholes, joined by joint (calibrated by {file}) (no thresholds for videos: they are uncertain), run by"
        in " ".join(capsys.readouterr().out.split())
    )
    file.write_text("{}")
    assert cli.run(doctor) == 2
    assert f"{file} is not a calibration of this version" in " ".join(capsys.readouterr().out.split())


def test_an_ensemble_of_other_weights_is_refused(home: Path, joint: Path, tmp_path: Path) -> None:
    shutil.copytree(joint, tmp_path / "joint")
    card = json.loads((tmp_path / "joint" / CARD_FILE).read_text(encoding="utf-8"))
    card["digests"]["wholes"] = "0" * 64
    (tmp_path / "joint" / CARD_FILE).write_text(json.dumps(card), encoding="utf-8")
    assert run(home, tmp_path / "joint", *on_both(home)) == 3
