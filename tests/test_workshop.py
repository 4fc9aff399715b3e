"""`fauxscan train` and `fauxscan predict`: a folder in, a model out, and what it says of another folder."""

import csv
import hashlib
import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT
from preparing_fixtures import picture, save

from fauxscan import cli, detectors, models, workshop
from fauxscan.params import Params, WeightsParams
from fauxscan.records import Archive

PARAMS = ["--params", str(ROOT / "params.yaml")]
QUICK = ["--detector", "meso4", "--size", "32", "--batch-size", "16", "--learning-rate", "0.01", "--no-augmentation"]
CLASSES = ["--real", "camera", "--fake", "made"]


def tree(folder: Path, first: int, count: int) -> Path:
    """Pictures, those in `made` brighter."""
    for n in range(first, first + count):
        image = picture(n, 48) // 2 + (110 if n % 2 else 0)
        save(folder / ("made" if n % 2 else "camera") / f"{n}.jpg", image.astype(np.uint8))
    return folder


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("workshop")
    out = home / "models" / "mine"
    arguments = [str(tree(home / "faces", 0, 120)), *QUICK, *CLASSES, "--epochs", "25", "--activation", "elu"]
    decay = ["--decay-factor", "0.5", "--decay-steps", "0", "--lowest-rate", "0.001", "--validation", "0.2"]
    stops = ["--early-stopping", "20", "--monitor", "val_accuracy", "--loss", "binary_crossentropy"]
    assert cli.run(["train", *arguments, *decay, *stops, "--out", str(out), "--on-shortcut", "warn", *PARAMS]) == 0
    return out


def test_what_was_asked_for_stands_in_the_card(trained: Path) -> None:
    card = models.read_card(trained)
    assert card.options == {"size": 32, "activation": "elu"} and card.recipe is not None
    assert (card.recipe.loss, card.recipe.decay_steps, card.recipe.augmentation) == ("binary_crossentropy", 0, {})
    assert card.recipe.monitor == "val_accuracy" and card.calibration is not None and card.name == "mine"


def test_a_folder_is_told_apart(trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    new = tree(tmp_path, 1000, 40)
    code = cli.run(["predict", str(trained), str(new), "--probabilities", "--report", *CLASSES, *PARAMS])
    table, report = capsys.readouterr().out.split("\n\n", 1)
    rows = list(csv.DictReader(io.StringIO(table)))
    right = [(row["class"] == "fake") == ("made" in row["path"]) for row in rows]
    assert code == 0 and len(rows) == 40 and np.mean(right) > 0.9
    assert all((float(row["p_fake"]) >= 0.5) == (row["class"] == "fake") for row in rows)
    assert "precision" in report and "f1-score" in report and "20" in report


def test_the_threshold_moves_the_cut_and_what_cannot_be_judged_is_said(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    new = tree(tmp_path, 2000, 6)
    (new / "notes.txt").write_text("no picture")
    assert cli.run(["predict", str(trained), str(new), "--threshold", "0", *PARAMS]) == 2
    found = {row["path"]: row["class"] for row in csv.DictReader(io.StringIO(capsys.readouterr().out))}
    assert found.pop(str(new / "notes.txt")) == "unsupported" and set(found.values()) == {"fake"}


def test_training_may_begin_from_published_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: Params
) -> None:
    models.build("meso4", {"size": 32}, seed=9).save(tmp_path / "w.h5")
    card = detectors.get("meso4").CARD
    file = Archive("w.h5", md5=hashlib.md5((tmp_path / "w.h5").read_bytes()).hexdigest())
    monkeypatch.setattr(detectors.get("meso4"), "CARD", replace(card, weights=file, weights_licence="of others"))
    given = {
        "split": settings.split.model_copy(update={"on_shortcut": "warn"}),
        "weights": {"meso4": WeightsParams(archives=str(tmp_path))},
    }
    trained = workshop.train(
        tree(tmp_path / "faces", 0, 60), {"camera": "real", "made": "made"}, tmp_path / "m", "meso4",
        settings.model_copy(update=given), {"size": 32}, {"epochs": 1, "augmentation": {}}, imagenet=True,
    )  # fmt: skip
    assert trained.licence.endswith("begun from w.h5: of others")
    assert (tmp_path / "m.work" / "weights" / "w.h5").is_file()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (["--imagenet"], "no ImageNet weights of meso4 are published"),
        (["--real", "reals"], "labels name the folder 'reals'"),
        (["--detector", "meso5"], "unknown detector"),
        (["--loss", "hinge"], "loss"),
        (["--validation", "1.5"], "validation"),
    ],
)
def test_wrong_use_says_what_to_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], change: list[str], said: str
) -> None:
    arguments = ["train", str(tree(tmp_path / "faces", 0, 8)), *QUICK, *CLASSES, *change]
    assert cli.run([*arguments, "--out", str(tmp_path / "m"), *PARAMS]) == 3
    assert said in capsys.readouterr().err
