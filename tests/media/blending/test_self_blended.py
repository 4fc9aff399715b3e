"""Training on reals alone: fakes made of them, in training, in validation, and all the way from the command line."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from support import ROOT
from support.preparing import made_faces, mix, picture, save, shard_files, split_files

from fauxscan import cli, models, openvino_export
from fauxscan.datasets.making import camera, files, pictures
from fauxscan.judging import combining, evaluation, manifest, scoring
from fauxscan.media.blending import blend as blending
from fauxscan.media.blending import self_blended
from fauxscan.media.images import codec, pixels
from fauxscan.media.images.codec import Image
from fauxscan.params import CombinerParams, ModelParams, Params
from fauxscan.preparing.shards.read import Shards
from fauxscan.records import FAKE, REAL, TRAIN, VALIDATION, Example, Recipe, UserError, View
from fauxscan.training import fit
from fauxscan.training.data import inputs
from fauxscan.training.recipes import recipe_of

SIZE, MARGIN, MEMORY = 64, 0.3, 1 << 30
PARAMS = ["--params", str(ROOT / "params.yaml")]
Batches = list[tuple[NDArray[np.float32], NDArray[np.float32]]]


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


# === The blend ===


def test_a_colour_shift_changes_the_face_and_nothing_else(photograph: Image) -> None:
    shot = pixels.resize(photograph, 256).astype(np.float32)
    colour = blending.Style(np.array([15, 0, -15], np.float32), np.zeros(3, np.float32), 1.0, 1.0, 0.0)
    still = np.ones(2, np.float32), np.zeros(2, np.float32)
    blend = blending.Blend(blending.draw_mask(rng(1)), colour, True, *still)
    place = np.array([[1, 0, 28], [0, 1, 28]], np.float32)  # the portrait's 200 pixels, in the middle
    target, forged = blending.blend_face(shot, place, blend)
    mask = np.zeros((256, 256), np.float32)
    mask[28:228, 28:228] = blend.mask
    np.testing.assert_array_equal(target, shot)
    np.testing.assert_array_equal(forged[mask == 0], shot[mask == 0])
    assert 0 < (mask > 0.9).mean() < 0.5
    assert np.abs(forged - shot)[mask > 0.9].mean() > 5
    other_way = blending.blend_face(shot, place, replace(blend, restyles_source=False))
    assert np.abs(other_way[0] - shot).mean() > 5, "the real wears what the fake's target wears"
    np.testing.assert_array_equal(other_way[0][mask == 0], other_way[1][mask == 0])


@pytest.mark.parametrize("size", [64, 128])
def test_a_pair_differs_in_the_face_alone_and_is_drawn_by_its_generator(photograph: Image, size: int) -> None:
    crop = pixels.resize(photograph, size)
    untouched = 0
    for seed in range(20):
        real, fake = self_blended.blend_pair(crop, MARGIN, rng(seed))
        for made in (real, fake):
            assert made.shape == (size, size, 3) and made.dtype == np.uint8
        assert (real != fake).any()
        edge = size // 32
        np.testing.assert_array_equal(real[:edge, :edge], fake[:edge, :edge])  # compressed alike, restyled alike
        np.testing.assert_array_equal(fake, self_blended.blend_pair(crop, MARGIN, rng(seed))[1])
        untouched += (real == crop).all()
    assert (self_blended.blend_pair(crop, MARGIN, rng(1))[1] != self_blended.blend_pair(crop, MARGIN, rng(2))[1]).any()
    assert 0 < untouched < 20, "some reals are restyled or compressed, as the fakes are"


def test_the_face_lies_where_alignment_puts_it(photograph: Image) -> None:
    crop = pixels.resize(photograph, 128)

    def changed(margin: float) -> NDArray[np.float64]:
        pairs = (self_blended.blend_pair(crop, margin, rng(seed)) for seed in range(30))
        return np.mean([np.abs(real.astype(int) - fake).mean(2) for real, fake in pairs], axis=0)

    tight, wide = changed(0.0), changed(1.0)
    y, x = np.indices(wide.shape)
    assert (wide > wide.max() / 4).sum() < 0.5 * (tight > tight.max() / 4).sum()
    middle = [(axis * wide).sum() / wide.sum() for axis in (x, y)]
    np.testing.assert_allclose(middle, [64, 68], atol=6)  # eyes to mouth: a little below the middle


def test_a_fixed_blend_is_one_along_a_track(photograph: Image) -> None:
    crop = pixels.resize(photograph, SIZE)
    one = self_blended.blend_fixed_fake(crop, MARGIN, "ab" * 32, 0)
    np.testing.assert_array_equal(one, self_blended.blend_fixed_fake(crop, MARGIN, "ab" * 32, 0))
    assert (one != self_blended.blend_fixed_fake(crop, MARGIN, "ab" * 32, 1)).any()
    assert (one != self_blended.blend_fixed_fake(crop, MARGIN, "cd" * 32, 0)).any()


# === Batches ===


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory, settings: Params) -> Path:
    """Shards of 60 crops, of which a third are fakes, dark ones."""
    folder, examples = tmp_path_factory.mktemp("mixed"), []
    for n in range(60):
        save(folder / "m" / f"{n}.png", picture(n, SIZE) // (16 if n % 3 == 0 else 1))
        examples.append(Example(f"{n}.png", FAKE if n % 3 == 0 else REAL, f"s{n}", None if n % 3 else "dark"))
    made_faces(folder, examples, "whole", settings)
    split_files(folder, settings)
    shard_files(folder, folder / "shards" / "demo", settings)
    return folder / "shards" / "demo"


def trained_on(folder: Path, seed: int = 1, memory: int = MEMORY, batch: int = 7, epochs: int = 1) -> Batches:
    recipe = Recipe(batch_size=batch, self_blended=True)
    data = inputs.training(Shards(folder), View.WHOLE, SIZE, recipe, seed, memory, MARGIN)
    assert len(data) == -(-2 * reals_of(folder, TRAIN) // batch)
    return [(x.numpy(), y.numpy()) for x, y in data.repeat(epochs)]


def validated_on(folder: Path, memory: int = MEMORY) -> NDArray[np.float32]:
    data = inputs.validation(Shards(folder), View.WHOLE, SIZE, Recipe(batch_size=8, self_blended=True), memory, MARGIN)
    assert len(data) == -(-2 * reals_of(folder, VALIDATION) // 8)
    batches = [(x.numpy(), y.numpy()) for x, y in data]
    np.testing.assert_array_equal(np.concatenate([y for _, y in batches])[:, 0] == FAKE, alternating(batches))
    return np.concatenate([x for x, _ in batches])


def alternating(batches: Batches) -> NDArray[np.bool_]:
    return np.arange(sum(len(x) for x, _ in batches)) % 2 == 1


def reals_of(folder: Path, split: str) -> int:
    return Shards(folder).count_labels(split, View.WHOLE)[0]


def faces_of(batches: Batches, label: int) -> NDArray[np.float32]:
    return np.concatenate([x[y[:, 0] == label] for x, y in batches])


def test_training_batches_are_reals_and_their_fakes_half_and_half(mixed: Path) -> None:
    batches = trained_on(mixed)
    assert all(len(x) == 7 for x, _ in batches[:-1])
    assert all(abs(float((y == FAKE).sum() - (y == REAL).sum())) <= 1 for _, y in batches)
    found = {label: faces_of(batches, label) for label in (REAL, FAKE)}
    assert (
        len(found[REAL])
        == len(found[FAKE])
        == reals_of(mixed, TRAIN)
        < sum(Shards(mixed).count_labels(TRAIN, View.WHOLE))
    )
    assert min(x.mean() for x, _ in batches) > 50, "the dataset's own fakes, dark ones, are left out"
    assert all((real != fake).any() for real, fake in zip(found[REAL], found[FAKE], strict=True))


def test_blends_are_drawn_anew_each_epoch_by_the_seed_whatever_is_kept(mixed: Path) -> None:
    once = trained_on(mixed, epochs=2)
    first, second = once[: len(once) // 2], once[len(once) // 2 :]
    means = [np.sort(faces_of(epoch, FAKE).mean((1, 2, 3))) for epoch in (first, second)]
    assert np.abs(means[0] - means[1]).max() > 0.1
    for again in (trained_on(mixed, epochs=2), trained_on(mixed, memory=0, epochs=2)):
        np.testing.assert_array_equal(np.concatenate([x for x, _ in once]), np.concatenate([x for x, _ in again]))
    other = trained_on(mixed, seed=2)
    assert np.abs(np.sort(faces_of(other, FAKE).mean((1, 2, 3))) - means[0]).max() > 0.1


def test_validation_holds_untouched_reals_and_the_same_fakes_each_epoch(mixed: Path) -> None:
    once = validated_on(mixed)
    np.testing.assert_array_equal(once, validated_on(mixed, memory=0))
    read = [example for example in Shards(mixed).examples(VALIDATION, View.WHOLE) if example["label"] == REAL]
    for example, real, fake in zip(read, once[::2], once[1::2], strict=True):
        crop = codec.decode(example["image"], example["format"], 1 << 20)
        np.testing.assert_array_equal(real, crop)
        np.testing.assert_array_equal(
            fake, self_blended.blend_fixed_fake(crop, MARGIN, example["sha256"], example["track"])
        )


def test_a_detector_of_whole_images_cannot_learn_from_faces() -> None:
    with pytest.raises(UserError, match=r"dct_cnn looks at whole images.*choose one of.*meso4"):
        recipe_of(ModelParams(detector="dct_cnn", dataset="d", recipe={"self_blended": True}))


# === From a folder of reals to a model ===


@pytest.fixture(scope="module")
def reals(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Faces of the demo before photographs, all of them real."""
    tree = tmp_path_factory.mktemp("tree")
    (tree / "camera").mkdir()
    for n in range(40):
        shot = camera.face_shot(pictures.lfw_portrait(n, rng(n)), rng(n)).pixels + 2 * camera.noise(rng(n))
        (tree / "camera" / f"{n}.jpg").write_bytes(files.encode_jpeg(shot))
    return tree


@pytest.fixture(scope="module")
def trained(reals: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("models") / "mine"
    what = ["train", str(reals), "--real", "camera", "--self-blended", "--detector", "meso4", "--faces", "detect"]
    how = ["--size", "64", "--epochs", "2", "--batch-size", "8", "--loss", "binary_crossentropy", "--out", str(out)]
    assert cli.run([*what, *how, *PARAMS]) == 0
    return out


@pytest.mark.slow
def test_reals_alone_make_a_model_that_says_so(trained: Path, reals: Path, settings: Params) -> None:
    card = models.read_card(trained)
    assert card.trained_on.self_blended and card.recipe is not None and card.recipe.self_blended
    assert card.calibration is not None and card.calibration.reals == card.calibration.fakes > 0
    assert json.loads((trained / "card.json").read_text())["trained_on"]["self_blended"] is True
    assert json.loads((trained.with_name("mine.work") / "audit.json").read_text())["shortcut_auc"] == {}
    assert cli.run(["predict", str(trained), str(reals), "--faces", "detect", *PARAMS]) == 0


@pytest.mark.slow
def test_it_is_calibrated_on_what_it_was_validated_on(trained: Path) -> None:
    (folder,) = (trained.with_name("mine.work") / "shards").iterdir()
    model, shards = models.load(trained), Shards(folder)
    faces = scoring.self_blended_logits(model, shards, VALIDATION, View.FACE)
    data = inputs.validation(shards, View.FACE, 64, Recipe(self_blended=True), MEMORY, MARGIN)
    seen = np.concatenate([x.numpy() for x, _ in data]).astype(np.uint8)
    np.testing.assert_allclose(faces["logit"], model.scorer(32)(seen), atol=0.05)  # two resizers, within rounding
    assert list(faces["label"]) == [REAL, FAKE] * (len(faces) // 2)
    assert set(faces["generator"]) == {"", "self_blended"}


@pytest.mark.slow
def test_it_is_not_measured_where_there_are_no_fakes(trained: Path, tmp_path: Path, settings: Params) -> None:
    (folder,) = (trained.with_name("mine.work") / "shards").iterdir()
    with pytest.raises(UserError, match=r"[0-9]+ reals and 0 fakes.*another than the model's"):
        evaluation.evaluate("e", "mine", trained, folder, "detect", tmp_path / "e", settings.evaluate, 1)


@pytest.mark.slow
def test_self_blended_members_are_joined_and_others_refused(trained: Path, tmp_path: Path, settings: Params) -> None:
    card = models.read_card(trained)
    for name in ("a", "b", "other"):
        shutil.copytree(trained, tmp_path / name)
        on = card.trained_on.model_copy(update={"self_blended": name != "other"})
        models.write_card(tmp_path / name, card.model_copy(update={"name": name, "trained_on": on}))
    both = CombinerParams(method="mean", members=("a", "b"))
    listed = tmp_path / "members.json"
    manifest.write_manifest(both.members, tmp_path, listed)
    combining.combine("both", both, tmp_path, listed, tmp_path / "both", settings.calibrate, 1, 32)
    joint = json.loads((tmp_path / "both" / "ensemble.json").read_text())["calibration"]
    for name in ("a", "b"):  # copies with the files that OpenVINO runs
        assert openvino_export.digests(tmp_path / "both" / "members" / name) == card.openvino
    assert card.calibration is not None
    assert (joint["reals"], joint["fakes"]) == (card.calibration.reals, card.calibration.fakes)
    with pytest.raises(UserError, match="a of a, other learned from self-blended images"):
        torn = CombinerParams(method="mean", members=("a", "other"))
        manifest.write_manifest(torn.members, tmp_path, listed)
        combining.combine("torn", torn, tmp_path, listed, tmp_path / "torn", settings.calibrate, 1, 32)
    with pytest.raises(UserError, match=r"members\.json does not describe a, b in .*run the stage `members` first"):
        combining.combine("both", both, tmp_path, listed, tmp_path / "late", settings.calibrate, 1, 32)


def test_a_tree_of_reals_is_audited(reals: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["audit", str(reals), "--label", "camera=real", *PARAMS]) == 0
    assert "Not checked for shortcuts" in capsys.readouterr().out


def test_without_self_blending_fakes_are_asked_for(
    reals: Path, trained: Path, tmp_path: Path, settings: Params, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["train", str(reals), "--real", "camera", "--out", str(tmp_path / "m"), *PARAMS]
    assert cli.run([*asked, "--detector", "meso4"]) == 3
    assert "no folder of fakes is named" in capsys.readouterr().err
    assert cli.run([*asked, "--detector", "dct_cnn", "--self-blended"]) == 3
    assert "looks at whole images" in capsys.readouterr().err
    (reals / "gan").mkdir()
    assert cli.run([*asked, "--detector", "meso4", "--fake", "gan"]) == 3
    assert "none of them has any file" in capsys.readouterr().err
    work = trained.with_name("mine.work")
    model = ModelParams(detector="meso4", dataset=next((work / "shards").iterdir()).name, options={"size": 64})
    plain = settings.model_copy(update={"models": {"plain": model}})
    places = *mix(work, "plain", plain), *(tmp_path / name for name in ("weights", "checkpoint", "t", "plots"))
    with pytest.raises(UserError, match=r"reals and 0 fakes: .*self_blended"):
        fit.train("plain", plain, *places)
