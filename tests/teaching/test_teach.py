"""A student learns what its teacher says: soft labels, and scores that follow a teacher that contradicts the labels."""

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError
from scipy.stats import spearmanr
from support.preparing import made_faces, mix, picture, save, shard_files, split_files

from fauxscan import disk, models
from fauxscan.judging import publishing, scoring
from fauxscan.params import ModelParams, Params, StudentParams
from fauxscan.preparing.mixture.read import open_mixture
from fauxscan.preparing.shards.read import Shards
from fauxscan.records import TEST, TRAIN, Example, Recipe, UserError, View
from fauxscan.teaching import kept, teach
from fauxscan.training import fit, losses
from fauxscan.training.data import inputs, phases
from fauxscan.training.data.targets import CARD, TABLE, Targets
from fauxscan.training.recipes import recipe_of

TINY = {"detector": "meso4", "options": {"size": 32}}
SHORT = {"epochs": 12, "batch_size": 16, "learning_rate": 0.01, "augmentation": {}, "keep": "last"}
TEACHER = {"kind": "model", "model": "contrary", "share": 1.0}
MEMORY = 1 << 30


def shard_pictures(home: Path, dataset: str, fakes_are: int, settings: Params) -> None:
    """Write shards of 120 pictures, of which every other one is bright; fakes are the dark (0) or the bright ones (1).

    Both ways have the same files.
    """
    examples = []
    for n in range(120):
        image = picture(n, 48) // 2 + (110 if n % 2 else 0)
        save(home / dataset / "m" / f"{n}.jpg", image.astype(np.uint8))
        fake = n % 2 == fakes_are
        examples.append(Example(f"{n}.jpg", int(fake), f"s{n}", "made" if fake else None))
    made_faces(home / dataset, examples, "whole", settings)
    split_files(home / dataset, settings)
    shard_files(home / dataset, home / "shards" / dataset, settings, 25)


def params_for(settings: Params, **student: object) -> Params:
    """Return parameters with the teacher, which takes the dark for fakes, and a student whose labels say otherwise."""
    entry = {**TINY, "dataset": "bright", "recipe": SHORT, "teacher": TEACHER, **student}
    dataset = settings.datasets["demo"].model_copy(update={"faces": "whole"})
    return settings.model_copy(
        update={
            "models": {"contrary": ModelParams(**TINY, dataset="dark", recipe=SHORT)},
            "students": {"small": StudentParams.model_validate(entry)},
            "datasets": {"bright": dataset, "dark": dataset},
        }
    )


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, settings: Params) -> Path:
    """Shards of two datasets that contradict each other, and a teacher trained on one of them."""
    home, params = tmp_path_factory.mktemp("home"), params_for(settings)
    for name, fakes_are in (("bright", 1), ("dark", 0)):
        shard_pictures(home, name, fakes_are, settings)
    mixed = mix(home, "contrary", params)
    fit.train("contrary", params, *mixed, *(home / name for name in ("w", "checkpoint", "t")))
    publishing.calibrate(home / "t", *mixed, home / "contrary", params.calibrate, params.media.max_frames)
    return home


def taught(home: Path, params: Params, out: Path, work: Path | None = None) -> tuple[Path, Path]:
    """Run the stage `teach`; return the mixture and the targets."""
    made = out / "mixture.json", out / "targets"
    teach.teach("small", params, home / "shards", home / "contrary", work or out / "logits", *made)
    return made


def trained(home: Path, params: Params, mixture: Path, targets: Path, out: Path) -> models.Model:
    made = [out / name for name in ("w", "checkpoint", "t")]
    fit.train("small", params, mixture, home / "shards", *made, targets=targets)
    return models.load(out / "t")


@pytest.mark.slow
def test_a_student_follows_a_teacher_that_contradicts_its_labels(home: Path, tmp_path: Path, settings: Params) -> None:
    params = params_for(settings)
    student = trained(home, params, *taught(home, params, tmp_path), tmp_path)
    shards = Shards(home / "shards" / "bright")
    of_student, of_teacher = (
        scoring.face_logits(model, shards, TEST, View.WHOLE) for model in (student, models.load(home / "contrary"))
    )
    correlation = spearmanr(of_student["logit"], of_teacher["logit"]).statistic
    assert correlation > 0.5, "chance is 0"
    assert spearmanr(of_student["logit"], of_student["label"]).statistic < -0.5, "labels alone would give +"
    taught_by, teacher = student.card.trained_on.teacher, models.read_card(home / "contrary")
    assert taught_by == models.Teacher(name="contrary", digest=teacher.model_digest, share=1.0)
    assert f"; taught by contrary: {teacher.licence}" in student.card.licence


@pytest.mark.slow
def test_a_small_share_leaves_the_labels_in_charge(home: Path, tmp_path: Path, settings: Params) -> None:
    params = params_for(settings, teacher={**TEACHER, "share": 0.05})
    student = trained(home, params, *taught(home, params, tmp_path), tmp_path)
    rows = scoring.face_logits(student, Shards(home / "shards" / "bright"), TEST, View.WHOLE)
    assert spearmanr(rows["logit"], rows["label"]).statistic > 0.5


def test_targets_are_the_teachers_calibrated_scores_of_all_training_images(
    home: Path, tmp_path: Path, settings: Params
) -> None:
    _, folder = taught(home, params_for(settings), tmp_path)
    shards, teacher = Shards(home / "shards" / "bright"), models.load(home / "contrary")
    expected = scoring.face_logits(teacher, shards, TRAIN, View.WHOLE).set_index("sha256")["logit"]
    assert teacher.card.calibration is not None
    p_fake = 1 / (1 + np.exp(-expected / teacher.card.calibration.temperature))
    found = pq.read_table(folder / TABLE).to_pandas().set_index("sha256")["p_fake"]
    pd.testing.assert_series_equal(
        found.sort_index(), p_fake.sort_index(), check_names=False, check_dtype=False, rtol=1e-5
    )


@pytest.mark.slow
def test_soft_labels_reach_the_loss(home: Path, tmp_path: Path, settings: Params) -> None:
    """Through the batches of training: the loss is that of (1 - share) * label + share * p_fake."""
    params = params_for(settings, teacher={**TEACHER, "share": 0.25})
    mixture, folder = taught(home, params, tmp_path)
    mixed, recipe = open_mixture(mixture, home / "shards"), recipe_of(params.student("small"))
    subset = phases.whole_mixture(mixed, View.WHOLE, recipe)

    def labels(targets: Targets | None) -> np.ndarray:
        batches = inputs.training_batches(mixed, View.WHOLE, 32, recipe, 1, MEMORY, 0.0, subset, targets=targets)
        return np.concatenate([of.numpy() for _, of in batches.after(0).take(batches.epoch)])

    hard, soft = labels(None), labels(Targets(folder, mixture, 0.25))
    p_fake = pq.read_table(folder / TABLE).to_pandas()["p_fake"]
    assert set(hard.ravel()) == {0.0, 1.0} and hard.shape == soft.shape == (len(p_fake), 1)
    teacher = (soft - 0.75 * hard) / 0.25
    np.testing.assert_allclose(np.sort(teacher.ravel()), np.sort(p_fake), atol=1e-5)
    assert np.corrcoef(teacher.ravel(), hard.ravel())[0, 1] < 0, "each image has its own target"
    cross_entropy, logits = losses.loss(Recipe(), 1, 1), np.full_like(hard, 2.0)
    assert abs(float(np.mean(cross_entropy(soft, logits))) - float(np.mean(cross_entropy(hard, logits)))) > 0.05
    accuracy = losses.accuracy()
    accuracy.update_state(np.array([[0.2], [0.8], [0.9]]), np.array([[-1.0], [3.0], [-1.0]]))
    assert float(accuracy.result()) == pytest.approx(2 / 3)


def test_a_killed_run_continues_and_gives_the_same_bytes(home: Path, tmp_path: Path, settings: Params) -> None:
    params = params_for(settings)
    _, whole = taught(home, params, tmp_path / "whole")
    work = tmp_path / "resumed" / "logits"
    _, again = taught(home, params, tmp_path / "resumed")
    first, second, *_ = files = sorted(work.rglob("*.parquet"))
    assert len(files) > 2
    first.unlink()
    second.write_bytes(second.read_bytes()[:100])
    (work / "contrary" / "gone-train.parquet").write_bytes(b"of a dataset that was removed")
    finished = {file: file.stat().st_mtime_ns for file in files[2:]}
    for file in again.iterdir():
        file.unlink()
    taught(home, params, tmp_path / "resumed")
    assert {name: disk.digest(again / name) for name in (TABLE, CARD)} == {
        name: disk.digest(whole / name) for name in (TABLE, CARD)
    }
    assert {file: file.stat().st_mtime_ns for file in finished} == finished, "finished shards are not judged again"
    assert sorted(work.rglob("*.parquet")) == files


def test_logits_of_another_teacher_are_not_taken_for_those_of_this_one(home: Path, tmp_path: Path) -> None:
    model, shards = models.load(home / "contrary"), Shards(home / "shards" / "bright")
    other = dataclasses.replace(model, card=model.card.model_copy(update={"model_digest": "another"}))
    logits = kept.KeptLogits(tmp_path)
    logits.of_training(model, "bright", shards, View.WHOLE)
    before = {file: file.stat().st_mtime_ns for file in tmp_path.rglob("*.parquet")}
    logits.of_training(other, "bright", shards, View.WHOLE)
    assert all(file.stat().st_mtime_ns > time for file, time in before.items())


def test_targets_that_do_not_fit_are_refused(home: Path, tmp_path: Path, settings: Params) -> None:
    params = params_for(settings)
    mixture, folder = taught(home, params, tmp_path)
    with pytest.raises(UserError, match=r"no targets in .*nowhere: run the stage `teach` first"):
        Targets(tmp_path / "nowhere", mixture, 0.5)
    of_others, _ = mix(home, "contrary", params)
    with pytest.raises(UserError, match="targets of other images than"):
        Targets(folder, of_others, 0.5)
    with pytest.raises(UserError, match="a student has a teacher: name the folder with its targets"):
        fit.train("small", params, mixture, home / "shards", *(tmp_path / name for name in "wct"))
    with pytest.raises(UserError, match="leave self_blended out of its recipe"):
        recipe_of(StudentParams(detector="mesoinception4", dataset="d", recipe={"self_blended": True}, teacher=TEACHER))
    with pytest.raises(ValidationError, match="share"):
        params_for(settings, teacher={**TEACHER, "share": 0})
