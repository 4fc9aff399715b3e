"""Training on tiny shards: it learns, in the right sense, by the recipe, and augmentation stays where it belongs."""

import csv
from pathlib import Path

import numpy as np
import pytest
from preparing_fixtures import made_faces, picture, save

from fauxscan import models
from fauxscan.judging import publishing, scoring
from fauxscan.judging.panel import Panel
from fauxscan.params import ModelParams, Params
from fauxscan.preparing import sharding, shards, splits
from fauxscan.records import FAKE, TEST, Example, Recipe, UserError, View
from fauxscan.training import fit, inputs

ARGUMENTS = {"zoom": {"factor": 0.2}, "rotation": {"degrees": 20}, "shift": {"factor": 0.1}, "flip": {}}
MEMORY = 1 << 30
ARGUMENTS |= {
    "brightness": {"factor": 0.2},
    "hue": {"factor": 0.1},
    "blur": {"sigma": [0, 2]},
    "jpeg": {"quality": [50, 90]},
}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory, settings: Params) -> Path:
    """Shards of 120 pictures whose fakes are brighter: anything that learns tells them apart."""
    folder = tmp_path_factory.mktemp("prepared")
    examples = []
    for n in range(120):
        image = picture(n, 48) // 2 + (110 if n % 2 else 0)
        save(folder / "m" / f"{n}.jpg", image.astype(np.uint8))
        examples.append(Example(f"{n}.jpg", n % 2, f"s{n}", "bright" if n % 2 else None))
    made_faces(folder, examples, "whole", settings)
    warn = settings.split.model_copy(update={"on_shortcut": "warn"})
    splits.split(folder / "faces", folder / "split.parquet", folder / "audit.json", warn, 1)
    sharding.write_shards(folder / "faces", folder / "split.parquet", folder / "shards", settings.shards)
    return folder


def params_for(settings: Params, **recipe: object) -> Params:
    model = ModelParams(detector="meso4", dataset="demo", options={"size": 32}, recipe=recipe)
    dataset = settings.datasets["demo"].model_copy(update={"faces": "whole"})
    return settings.model_copy(update={"models": {"tiny": model}, "datasets": {"demo": dataset}})


def test_a_trained_calibrated_model_calls_fakes_fake(prepared: Path, tmp_path: Path, settings: Params) -> None:
    params = params_for(settings, epochs=25, batch_size=16, learning_rate=0.01, augmentation={})
    fit.train("tiny", params, prepared / "i.parquet", prepared / "shards", tmp_path / "t", tmp_path / "plots")
    publishing.calibrate(tmp_path / "t", prepared / "shards", tmp_path / "model", params.calibrate)
    model = models.load(tmp_path / "model")
    faces = scoring.face_logits(model, prepared / "shards", TEST, View.WHOLE)
    media = scoring.media_logits(faces)
    p_fake = [Panel((model,)).judge({"tiny": logit}).p_fake for logit in media["logit"]]
    assert np.mean((np.array(p_fake) > 0.5) == (media["label"] == FAKE)) > 0.9
    assert model.card.calibration is not None and model.card.figures["epoch"] <= 25
    assert model.card.trained_on.split_digest == shards.manifest(prepared / "shards")["split_digest"]
    check_curves(tmp_path / "plots", 25)


def check_curves(plots: Path, epochs: int) -> None:
    for name in ("loss", "val_loss", "accuracy", "val_accuracy"):
        (file,) = plots.rglob(f"{name}.tsv")
        rows = list(csv.DictReader(file.open(), delimiter="\t"))
        assert len(rows) == epochs
        assert set(rows[0]) == {"step", name}, "a curve holds no time"


def test_the_same_seed_gives_the_same_weights(prepared: Path, tmp_path: Path, settings: Params) -> None:
    params = params_for(settings, epochs=2, batch_size=16, augmentation=ARGUMENTS)
    digests = []
    for run in ("one", "two"):
        fit.train(
            "tiny", params, prepared / "i.parquet", prepared / "shards", tmp_path / run, tmp_path / f"{run}-plots"
        )
        digests.append(models.read_card(tmp_path / run).model_digest)
    assert digests[0] == digests[1]


def test_the_rate_falls_in_steps_to_a_floor() -> None:
    rate = fit.StepDecay(Recipe(learning_rate=1e-3, decay_factor=0.1, decay_steps=1000, lowest_rate=1e-6))
    found = [float(rate(step)) for step in (0, 999, 1000, 2500, 3000, 9000)]
    np.testing.assert_allclose(found, [1e-3, 1e-3, 1e-4, 1e-5, 1e-6, 1e-6], rtol=1e-4)
    constant = fit.StepDecay(Recipe(learning_rate=0.002))
    assert float(constant(10**6)) == pytest.approx(0.002)


def test_losses_take_logits() -> None:
    labels, logits = np.array([[1.0], [0.0]], np.float32), np.array([[2.0], [2.0]], np.float32)
    p = 1 / (1 + np.exp(-2.0))
    np.testing.assert_allclose(fit.squared_error(labels, logits), [(1 - p) ** 2, p**2], rtol=1e-5)
    entropy = float(fit.LOSSES["binary_crossentropy"](labels, logits))
    assert entropy == pytest.approx(-(np.log(p) + np.log(1 - p)) / 2, rel=1e-5)


def test_augmentation_is_drawn_anew_each_epoch_and_only_in_training(prepared: Path) -> None:
    recipe = Recipe(batch_size=8, augmentation={"brightness": {"factor": 0.3}})
    training = inputs.training(prepared / "shards", View.WHOLE, 32, recipe, 1, MEMORY)
    epochs = [sorted(float(x) for images, _ in training for x in images.numpy().mean((1, 2, 3))) for _ in range(2)]
    assert np.abs(np.array(epochs[0]) - np.array(epochs[1])).max() > 1
    validation = inputs.validation(prepared / "shards", View.WHOLE, 32, recipe, MEMORY)
    once, again = (np.concatenate([images.numpy() for images, _ in validation]) for _ in range(2))
    np.testing.assert_array_equal(once, again)


def test_training_sees_the_pixels_that_scoring_sees(prepared: Path) -> None:
    """The same file through the training input and through the decoder and resizer of scans."""
    from fauxscan.media import images, pixels

    recipe = Recipe(batch_size=8)
    trained = np.concatenate(
        [x.numpy() for x, _ in inputs.validation(prepared / "shards", View.WHOLE, 32, recipe, MEMORY)]
    )
    scanned = np.stack(
        [
            pixels.resize(images.decode(example["image"], example["format"], 1 << 20), 32)
            for example in shards.read(prepared / "shards", "validation", View.WHOLE)
        ]
    )
    assert np.abs(trained - scanned).max() <= 1
    network = fit.build(ModelParams(detector="meso4", dataset="demo", options={"size": 32}))
    logits = [np.asarray(network(batch.astype(np.float32), training=False)) for batch in (trained, scanned)]
    np.testing.assert_allclose(logits[0], logits[1], atol=5e-3)
