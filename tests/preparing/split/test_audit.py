"""`fauxscan audit`: of what the pipeline prepared, and of a tree with or without a split of its own."""

import json
import shutil
from pathlib import Path

import pytest
from support import ROOT
from support.preparing import made_faces, picture, save

from fauxscan import cli
from fauxscan.params import Params
from fauxscan.preparing.split import assign
from fauxscan.records import Example

PARAMS = ["--params", str(ROOT / "params.yaml")]
LABELS = ["--label", "real=real", "--label", "fake=stylegan"]


def tree(folder: Path, quality: int = 90) -> Path:
    """Forty reals and forty fakes, the fakes of another JPEG quality if it is not 90."""
    for n in range(80):
        kind = "fake" if n % 2 else "real"
        save(folder / kind / f"{n:03d}.jpg", picture(n, 48), quality if n % 2 else 90)
    return folder


def audited(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, dict]:
    code = cli.run(["audit", *arguments, "--format", "json", *PARAMS])
    return code, json.loads(capsys.readouterr().out)


def test_a_clean_tree_passes_and_one_that_tells_does_not(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, found = audited(capsys, str(tree(tmp_path / "clean")), *LABELS)
    assert (code, found["leaking"]) == (0, {"exact_copies": 0}) and found["by"] is None
    assert cli.run(["audit", str(tmp_path / "clean"), *LABELS, *PARAMS]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("no split: fake 40, real 40;") and "in several splits" not in shown
    assert max(auc for name, auc in found["shortcut_auc"].items() if name != "name") <= 0.6
    code, found = audited(capsys, str(tree(tmp_path / "telling", quality=60)), *LABELS)
    assert code == 2 and found["shortcut_auc"]["jpeg_tables"] == 1.0
    assert cli.run(["audit", str(tmp_path / "telling"), *LABELS, *PARAMS]) == 2
    shown = capsys.readouterr().out
    assert "jpeg tables" in shown and "FAILS" in shown and "reencode" in shown


def test_the_split_that_a_tree_has_is_judged(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    labels = []
    for part, kind, first in (("train", "real", 0), ("train", "fake", 40), ("test", "real", 80), ("test", "fake", 120)):
        labels.append(f"--label={part}/{kind}={'real' if kind == 'real' else 'stylegan'}")
        for n in range(first, first + 40):
            save(tmp_path / part / kind / f"{n:03d}.jpg", picture(n, 48))
    save(tmp_path / "test" / "real" / "again.jpg", picture(3, 48), 88)  # 003.jpg of the training part, saved anew
    shutil.copy(tmp_path / "train" / "fake" / "050.jpg", tmp_path / "test" / "fake" / "copy.jpg")
    code, found = audited(capsys, str(tmp_path), *labels, "--split", "train=train", "--split", "test=test")
    assert code == 2 and found["leaking"] == {"sources": 0, "identities": 0, "near_duplicates": 1, "exact_copies": 1}
    assert found["leaks"]["exact_copies"] == ["train/fake/050.jpg = test/fake/copy.jpg"]
    assert set(found["leaks"]["near_duplicates"][0].split(" ~ ")) == {"test/real/again.jpg", "train/real/003.jpg"}
    assert found["by"] == "folders"
    assert found["files"] == {"test-fake": 41, "test-real": 41, "train-fake": 39, "train-real": 40}


def test_a_prepared_dataset_is_audited_as_the_stage_left_it(
    tmp_path: Path, settings: Params, capsys: pytest.CaptureFixture[str]
) -> None:
    examples = []
    for n in range(60):
        save(tmp_path / "m" / f"{n:03d}.jpg", picture(n, 48))
        examples.append(Example(f"{n:03d}.jpg", n % 2, f"s{n // 2}", "g" if n % 2 else None))
    made_faces(tmp_path, examples, "whole", settings)
    assign.split(tmp_path / "faces", tmp_path / "split.parquet", tmp_path / "audit.json", settings.split, 7)
    code, found = audited(capsys, str(tmp_path))
    assert code == 0 and found == json.loads((tmp_path / "audit.json").read_text())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "has no audit.json"),
        (["--label", "real"], "not have the form FOLDER=VALUE"),
        (["--label", "surreal=real"], "which is not a subfolder"),
        ([*LABELS, "--split", "real=holdout"], "train, validation or test"),
    ],
)
def test_wrong_use_says_what_to_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert cli.run(["audit", str(tree(tmp_path)), *arguments, *PARAMS]) == 3
    assert message in capsys.readouterr().err
