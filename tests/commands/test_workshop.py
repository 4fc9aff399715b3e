"""`fauxscan train` and `fauxscan predict`: a folder in, a model out, and what it says of another folder."""

import ast
import csv
import hashlib
import io
import re
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from PIL import Image as Pillow
from support import ROOT
from support.preparing import picture, save

from fauxscan import cli, detectors, models, openvino_export, workshop
from fauxscan.commands import training_options
from fauxscan.params import Params, WeightsParams
from fauxscan.records import Archive
from fauxscan.reporting import figures
from fauxscan.training import curves
from fauxscan.training.checkpoints import Checkpointer

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
    arguments = [str(tree(home / "faces", 0, 240)), *QUICK, *CLASSES, "--epochs", "15", "--activation", "elu"]
    decay = ["--decay-factor", "0.5", "--decay-steps", "0", "--lowest-rate", "0.001", "--validation", "0.2"]
    stops = ["--early-stopping", "20", "--monitor", "val_accuracy", "--loss", "binary_crossentropy"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "dvclive", None)  # which the extra `train` does not install
        assert cli.run(["train", *arguments, *decay, *stops, "--out", str(out), "--on-shortcut", "warn", *PARAMS]) == 0
    return out


@pytest.mark.slow
def test_what_was_asked_for_stands_in_the_card(trained: Path) -> None:
    card = models.read_card(trained)
    assert card.options == {"size": 32, "activation": "elu"} and card.recipe is not None
    assert (card.recipe.loss, card.recipe.decay_steps, card.recipe.augmentation) == ("binary_crossentropy", 0, {})
    assert card.recipe.monitor == "val_accuracy" and card.calibration is not None and card.name == "mine"
    assert card.openvino == openvino_export.digests(trained)


@pytest.mark.slow
def test_a_folder_is_told_apart(trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    new = tree(tmp_path, 1000, 40)
    code = cli.run(
        ["predict", str(trained), str(new), "--faces", "whole", "--probabilities", "--report", *CLASSES, *PARAMS]
    )
    table, report = capsys.readouterr().out.split("\n\n", 1)
    rows = list(csv.DictReader(io.StringIO(table)))
    right = [(row["class"] == "made") == ("made" in row["path"]) for row in rows]
    assert code == 0 and len(rows) == 40 and np.mean(right) > 0.9
    assert all((float(row["p_fake"]) >= 0.5) == (row["class"] == "made") for row in rows)
    assert "precision" in report and "f1-score" in report and "20" in report and "camera" in report


@pytest.mark.slow
def test_the_threshold_changes_the_verdicts_and_unjudged_files_are_named(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    new = tree(tmp_path, 2000, 6)
    (new / "notes.txt").write_text("no picture")
    assert cli.run(["predict", str(trained), str(new), "--faces", "whole", "--threshold", "0", *PARAMS]) == 0
    found = {row["path"]: row["class"] for row in csv.DictReader(io.StringIO(capsys.readouterr().out))}
    assert found.pop(str(new / "notes.txt")) == "unsupported" and set(found.values()) == {"made"}


def test_a_training_on_the_trap_of_portraits_is_refused(
    real_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Fakes of quality 75 and photographs of quality 90 to 95: a model would learn the quality, and nothing else."""
    for archive, label in (("sd21", "fake"), ("women_photos", "real")):
        with zipfile.ZipFile(real_data / "portraits" / f"{archive}.zip") as packed:
            names = [name for name in packed.namelist() if name.startswith(f"{label}/")][:40]
            packed.extractall(tmp_path / "faces", names)
    arguments = ["train", str(tmp_path / "faces"), *QUICK, "--real", "real", "--fake", "fake", "--epochs", "1"]
    assert cli.run([*arguments, "--out", str(tmp_path / "trapped"), *PARAMS]) == 3
    assert "jpeg_tables (AUC 1.00): set `reencode`" in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "trapped").exists()


@pytest.mark.slow
def test_a_model_from_few_sources_predicts_nothing_and_training_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    folder, out = tree(tmp_path / "faces", 0, 40), tmp_path / "weak"
    arguments = ["train", str(folder), *QUICK, *CLASSES, "--epochs", "1", "--on-shortcut", "warn", "--out", str(out)]
    assert cli.run([*arguments, *PARAMS]) == 0
    (said,) = [record.getMessage() for record in caplog.records if record.name == "fauxscan.judging.publishing"]
    assert said.startswith("Every verdict of weak is `uncertain`: calibrated on 4 sources of reals and 4 sources of")
    assert "Calibrate it on at least 20 sources of each class (`fauxscan calibrate --help`)" in said
    evidence = models.read_card(out).calibration.evidence  # type: ignore[union-attr]
    assert evidence is not None and evidence.real_sources == 4 and evidence.noise is not None and evidence.noise > 0
    capsys.readouterr()
    assert (
        cli.run(
            ["predict", str(out), str(folder), "--faces", "whole", "--probabilities", "--report", *CLASSES, *PARAMS]
        )
        == 0
    )
    table, report = capsys.readouterr().out.split("\n\n", 1)
    rows = list(csv.DictReader(io.StringIO(table)))
    assert len(rows) == 40 and {row["class"] for row in rows} == {"uncertain"} and all(row["p_fake"] for row in rows)
    assert all(row["detail"].startswith("weak gives no verdict: calibrated on 4 sources of reals") for row in rows)
    assert "precision" in report, "p_fake can be measured, and is"


@pytest.mark.slow
def test_a_report_needs_folders_that_are_there(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    new = tree(tmp_path, 3000, 4)
    assert cli.run(["predict", str(trained), str(new), "--faces", "whole", "--report", *PARAMS]) == 3
    assert "--real NAME and --fake NAME" in capsys.readouterr().err
    assert (
        cli.run(["predict", str(trained), str(new), "--faces", "whole", "--report", "--real", "cameras", *PARAMS]) == 3
    )
    assert "no folder cameras" in capsys.readouterr().err


@pytest.mark.slow
def test_it_is_tested_on_sources_that_it_never_saw(trained: Path, settings: Params) -> None:
    found = workshop.held_out_figures(trained, settings)["media"]
    assert found["auc"] > 0.9 and found["auc_low"] <= found["auc"] <= found["auc_high"]


def test_shares_of_the_split_are_what_was_asked_for(settings: Params) -> None:
    asked = training_options.shares(settings, 0.1, 0.05)
    assert asked == {"train": pytest.approx(0.85), "validation": 0.1}
    usual = training_options.shares(settings, None, None)
    assert usual == {"train": pytest.approx(settings.split.train), "validation": settings.split.validation}


@pytest.mark.slow
def test_training_may_begin_from_published_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: Params
) -> None:
    detectors.build("meso4", {"size": 32}, seed=9).save(tmp_path / "w.h5")
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
    assert trained.licence.endswith("started from w.h5: of others")
    assert (tmp_path / "m.work" / "weights" / "w.h5").is_file()


def events(folder: Path) -> list[tuple[str, str, int]]:
    """Part, name and step of each point in event files, as TensorFlow reads them; what is no scalar is not expected."""
    found = []
    for file in sorted(folder.rglob("events.out.tfevents.*")):
        for event in tf.compat.v1.train.summary_iterator(str(file)):
            for value in event.summary.value:
                assert value.metadata.plugin_data.plugin_name == "scalars" and tf.make_ndarray(value.tensor).ndim == 0
                found.append((file.parent.name, value.tag, event.step))
    return found


@pytest.mark.slow
def test_a_killed_training_goes_on_with_its_curves(
    tmp_path: Path, settings: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = {"batch_size": 16, "epochs": 4, "augmentation": {}}
    warn = settings.model_copy(update={"split": settings.split.model_copy(update={"on_shortcut": "warn"})})
    folder, out = tree(tmp_path / "faces", 0, 60), tmp_path / "m"
    labels, options = {"camera": "real", "made": "gan"}, {"size": 32, "activation": {"leaky_relu": 0.1}}

    def train() -> None:
        shown = {"tensorboard": tmp_path / "tb", "plot": tmp_path / "curves.png"}
        workshop.train(folder, labels, out, "meso4", warn, options, recipe, **shown)

    written = Checkpointer._write

    def killed_after_two(self: Checkpointer) -> None:
        written(self)
        if len(self.history) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(Checkpointer, "_write", killed_after_two)
    with pytest.raises(KeyboardInterrupt):
        train()
    assert (tmp_path / "m.work" / "checkpoint" / "progress.npz").is_file() and not (tmp_path / "curves.png").exists()
    monkeypatch.setattr(Checkpointer, "_write", written)
    train()
    names = {"train": ("loss", "accuracy", "learning_rate"), "validation": ("loss", "accuracy")}
    expected = [(part, name, step) for part in names for name in names[part] for step in range(1, 5)]
    assert sorted(events(tmp_path / "tb")) == sorted(expected)
    picture = Pillow.open(tmp_path / "curves.png")
    assert picture.format == "PNG" and len(picture.convert("RGB").getcolors(1 << 20)) > 20
    assert models.read_card(out).options["activation"] == {"leaky_relu": 0.1}


def test_curves_are_written_from_the_first_epoch_if_they_are_asked_for_later(tmp_path: Path) -> None:
    figures = {"loss": 0.5, "val_loss": 0.7}
    curves.EventFiles(tmp_path, [figures, figures])
    curves.EventFiles(tmp_path, [figures, figures])._log(figures)
    found = events(tmp_path)
    assert sorted(found) == [(part, "loss", step) for part in ("train", "validation") for step in (1, 2, 3)]


def test_the_figure_has_both_parts(tmp_path: Path) -> None:
    columns = ("loss", "val_loss", "accuracy", "val_accuracy")
    history = pd.DataFrame({name: np.linspace(place, place + 1, 7) for place, name in enumerate(columns)})
    figures.training(history, tmp_path / "one.svg")
    figures.training(history, tmp_path / "two.svg")
    text = (tmp_path / "one.svg").read_text()
    assert (tmp_path / "two.svg").read_text() == text, "the same history gives the same picture"
    assert all(text.count(f">{word}<") == 2 for word in ("training", "validation", "epoch"))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (["--imagenet"], "no ImageNet weights of meso4 are published"),
        (["--plot", "curves.gif"], "curves.gif: figures are written as .svg or .png"),
        (["--activation", "{leaky_relu"], "not a valid YAML value"),
        (["--activation", "{elu: 1}"], "leaky_relu: slope"),
        (["--real", "reals"], "labels name 'reals'"),
        (["--detector", "meso5"], "unknown detector 'meso5': did you mean 'meso4'"),
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
    if change[0] == "--real":
        assert [path.name for path in tmp_path.iterdir()] == ["faces"], "labels are checked before any work"


NO_KERAS = """
import sys
from fauxscan import cli
code = cli.run(sys.argv[1:])
sys.exit(f"{code} {sorted({'tensorflow', 'keras', 'fauxscan.workshop'} & set(sys.modules))}")
"""


@pytest.mark.parametrize(
    "command",
    [
        ["train", "nowhere", "--detector", "meso4", *CLASSES],
        ["import-weights", "nowhere.h5", "--detector", "meso4", "--fake-is", "0"],
    ],
    ids=lambda command: command[0],
)
def test_an_existing_model_folder_is_refused_before_anything_is_loaded(tmp_path: Path, command: list[str]) -> None:
    arguments = [sys.executable, "-c", NO_KERAS, *command, "--out", str(tmp_path)]
    done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    said, code = done.stderr.splitlines()
    assert said == f"fauxscan: {tmp_path} already exists: name another folder for the model, or remove it"
    assert code == "3 []"


def test_the_help_of_train_is_grouped_and_shows_no_types(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert cli.run(["train", "--help"]) == 0
    panels = capsys.readouterr().out.split("╭─ ")[1:]
    title = {option: panel.split()[0] for panel in panels for option in re.findall(r"--[a-z-]+", panel)}
    shown = [title[f"--{name}"] for name in ("real", "activation", "decay-factor", "validation", "plot")]
    assert shown == ["Data", "Network", "Training", "Split", "Output"]
    assert "..." not in "".join(panels) and not re.findall("<[a-z]+>", "".join(panels))


def library_calls(file: Path, *functions: str) -> list[str]:
    """Return the library's functions that some functions of a file call, in order, as module.function."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    modules = {
        name.asname or name.name: f"{node.module}.{name.name}"
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("fauxscan.")
        for name in node.names
    }
    bodies = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name in functions]
    calls = sorted(
        (node.lineno, node.col_offset, ast.unparse(node.func))
        for body in bodies
        for node in ast.walk(body)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name | ast.Attribute)
    )
    named = [call.partition(".") for _, _, call in calls if "(" not in call]
    return [modules[name] + dot + rest for name, dot, rest in named if name in modules]


def test_training_calls_the_functions_of_the_stages_in_their_order() -> None:
    stages = ("weights", "faces", "split", "shards", "mixture", "train", "calibrate")
    expected = [call for name in stages for call in library_calls(ROOT / "stages" / f"{name}.py", name)]
    calls = library_calls(Path(str(workshop.__file__)), "_prepare", "_train", "_publish")
    calls.remove("fauxscan.preparing.download.index.write_index")  # how the stage `download` ends
    assert calls == expected and len(expected) == 9
