"""Training on tiny shards: it learns, in the right sense, by the recipe, and augmentation stays where it belongs."""

import csv
import json
import runpy
import subprocess
import sys
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import yaml
from pydantic import ValidationError
from support import ROOT
from support.preparing import mix, shard_bright_fakes

from fauxscan import detectors, models, openvino_export
from fauxscan.judging import publishing, scoring
from fauxscan.judging.ensemble import Ensemble
from fauxscan.media.images import codec as media_images
from fauxscan.media.images import pixels
from fauxscan.params import ModelParams, Params, RandomReencodeParams, ReencodeParams
from fauxscan.preparing.shards.read import Shards
from fauxscan.records import FAKE, TEST, Archive, Phase, Plateau, Recipe, UserError, View
from fauxscan.training import devices, fit, losses, schedules
from fauxscan.training.checkpoints import Checkpointer, ProgressBar
from fauxscan.training.data import inputs
from fauxscan.training.recipes import recipe_of

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
    shard_bright_fakes(folder, settings)
    return folder


def params_for(settings: Params, **recipe: object) -> Params:
    model = ModelParams(detector="meso4", dataset="demo", options={"size": 32}, recipe=recipe)
    dataset = settings.datasets["demo"].model_copy(update={"faces": "whole"})
    return settings.model_copy(update={"models": {"tiny": model}, "datasets": {"demo": dataset}})


def trained(params: Params, prepared: Path, home: Path) -> None:
    """What the stage leaves in `home`: checkpoint, t (the model) and plots."""
    made = [home / name for name in ("w", "checkpoint", "t", "plots")]
    fit.train("tiny", params, *mix(prepared, "tiny", params), *made)


@pytest.mark.slow
def test_a_trained_calibrated_model_calls_fakes_fake(prepared: Path, tmp_path: Path, settings: Params) -> None:
    params = params_for(settings, epochs=25, batch_size=16, learning_rate=0.01, augmentation={})
    trained(params, prepared, tmp_path)
    publishing.calibrate(tmp_path / "t", *mix(prepared, "tiny", params), tmp_path / "model", params.calibrate, 32)
    model = models.load(tmp_path / "model")
    faces = scoring.face_logits(model, Shards(prepared / "shards" / "demo"), TEST, View.WHOLE)
    media = scoring.media_logits(faces)
    p_fake = [Ensemble((model,)).judge({"tiny": logit}).p_fake for logit in media["logit"]]
    assert np.mean((np.array(p_fake) > 0.5) == (media["label"] == FAKE)) > 0.9
    assert model.card.calibration is not None and model.card.figures["epoch"] <= 25
    assert model.card.openvino == openvino_export.digests(tmp_path / "model")
    assert model.card.trained_on.split_digest == Shards(prepared / "shards" / "demo").manifest.split_digest
    check_curves(tmp_path / "plots", 25)


@pytest.mark.slow
def test_a_card_asks_a_scan_for_one_fixed_format_but_not_for_a_random_one(
    prepared: Path, tmp_path: Path, settings: Params
) -> None:
    params = params_for(settings, epochs=1, batch_size=16, augmentation={})
    mixture, shards = mix(prepared, "tiny", params)
    fixed, ranges = ReencodeParams(size=48, jpeg_quality=75), RandomReencodeParams(size=(40, 48), jpeg_quality=(60, 95))
    for name, reencode, of_scans, of_training in (("f", fixed, fixed, None), ("r", ranges, None, ranges)):
        written = json.loads(mixture.read_text(encoding="utf-8"))
        written["framing"]["reencode"] = reencode.model_dump(mode="json")
        mixture.write_text(json.dumps(written), encoding="utf-8")
        fit.train(
            "tiny", params, mixture, shards, *(tmp_path / name / part for part in ("w", "checkpoint", "t", "plots"))
        )
        card = models.read_card(tmp_path / name / "t")
        assert (card.reencode, card.trained_on.reencoded_at_random) == (of_scans, of_training)


@pytest.mark.slow
def test_training_begins_from_published_weights(
    prepared: Path, tmp_path: Path, settings: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Through both stages; the rate is zero, so that what comes out is what went in."""
    published = detectors.build("meso4", {"size": 32}, seed=9)
    published.save(tmp_path / "w.h5")
    file, module = Archive("w.h5", sha256=sha256((tmp_path / "w.h5").read_bytes()).hexdigest()), detectors.get("meso4")
    monkeypatch.setattr(module, "CARD", replace(module.CARD, weights=file, weights_licence="of others"))
    params = params_for(settings, epochs=1, learning_rate=0.0, lowest_rate=0.0, augmentation={})
    mixture, declared = mix(prepared, "tiny", params), params.model_dump(mode="json")
    declared["models"]["tiny"]["weights"] = "meso4"
    declared["weights"]["meso4"] = {"archives": str(tmp_path)}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(declared), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    weights, train = (runpy.run_path(str(ROOT / "stages" / f"{name}.py"))[name] for name in ("weights", "train"))
    made = [tmp_path / name for name in ("w", "checkpoint", "t", "plots")]
    with pytest.raises(UserError, match=r"w holds no published weights of meso4: run the stage `weights` first"):
        train("tiny", *mixture, *made)
    weights("meso4", tmp_path / "fetched", tmp_path / "w")
    train("tiny", *mixture, *made)
    network = models.load(tmp_path / "t").network
    pairs = list(zip(network.layers, published.layers, strict=True))
    kernels = [(ours.kernel, theirs.kernel) for ours, theirs in pairs if hasattr(ours, "kernel")]
    same = [bool(np.array_equal(ours, theirs)) for ours, theirs in kernels]
    assert same == [True] * 4 + [False] * 2  # the dense layers are of this training
    assert models.read_card(tmp_path / "t").licence.endswith("started from w.h5: of others")


def check_curves(plots: Path, epochs: int) -> None:
    for name in ("loss", "val_loss", "accuracy", "val_accuracy"):
        (file,) = plots.rglob(f"{name}.tsv")
        rows = list(csv.DictReader(file.read_text().splitlines(), delimiter="\t"))
        assert len(rows) == epochs
        assert set(rows[0]) == {"step", name}, "a curve holds no time"


@pytest.mark.slow
def test_the_same_seed_gives_the_same_weights(prepared: Path, tmp_path: Path, settings: Params) -> None:
    params = params_for(settings, epochs=2, batch_size=16, augmentation=ARGUMENTS)
    digests = []
    for run in ("one", "two"):
        trained(params, prepared, tmp_path / run)
        digests.append(models.read_card(tmp_path / run / "t").model_digest)
    assert digests[0] == digests[1]


def test_the_rate_falls_in_steps_to_a_floor() -> None:
    phase = Phase(epochs=1, learning_rate=1e-3)
    rate = schedules.rate(Recipe(decay_factor=0.1, decay_steps=1000, lowest_rate=1e-6), phase, 9999)
    found = [float(rate(step)) for step in (0, 999, 1000, 2500, 3000, 9000)]
    np.testing.assert_allclose(found, [1e-3, 1e-3, 1e-4, 1e-5, 1e-6, 1e-6], rtol=1e-4)
    constant = schedules.rate(Recipe(), Phase(epochs=1, learning_rate=0.002), 10)
    assert float(constant(10**6)) == pytest.approx(0.002)
    assert schedules.rate(Recipe(reduce_on_plateau=Plateau(patience=1, factor=0.1, lowest_rate=0)), phase, 9) == 1e-3


def test_the_decay_is_computed_from_the_lowest_rate() -> None:
    recipe = Recipe(decay_factor=0.1, decay_steps=0, lowest_rate=1e-6)
    rate = schedules.rate(recipe, Phase(epochs=1, learning_rate=1e-3), 800)
    found = [float(rate(step)) for step in (0, 199, 200, 400, 599, 600, 799)]
    np.testing.assert_allclose(found, [1e-3, 1e-3, 1e-4, 1e-5, 1e-5, 1e-6, 1e-6], rtol=1e-4)


def test_one_cycle_rises_and_falls() -> None:
    rate = schedules.rate(Recipe(one_cycle=True), Phase(epochs=1, learning_rate=1e-3), 100)
    found = [float(rate(step)) for step in range(100)]
    assert np.argmax(found) == 30 and max(found) == pytest.approx(1e-3, rel=1e-3)
    assert found[0] < 1e-4 and found[-1] < 1e-5


def test_losses_take_logits() -> None:
    labels, logits = np.array([[1.0], [0.0]], np.float32), np.array([[2.0], [2.0]], np.float32)
    p = 1 / (1 + np.exp(-2.0))
    np.testing.assert_allclose(losses.squared_error(labels, logits), [(1 - p) ** 2, p**2], rtol=1e-5)
    np.testing.assert_allclose(losses.cross_entropy(labels, logits), [-np.log(p), -np.log(1 - p)], rtol=1e-5)
    smooth = losses.loss(Recipe(label_smoothing=0.2), 1, 1)
    expected = [-0.9 * np.log(p) - 0.1 * np.log(1 - p), -0.1 * np.log(p) - 0.9 * np.log(1 - p)]
    np.testing.assert_allclose(smooth(labels, logits), expected, rtol=1e-5)
    balanced = losses.loss(Recipe(class_weights="balanced"), 30, 10)
    np.testing.assert_allclose(balanced(labels, logits), [-np.log(p) * 2, -np.log(1 - p) * 2 / 3], rtol=1e-5)


@pytest.mark.slow
def test_training_goes_on_after_a_kill_at_an_epochs_end(
    prepared: Path, tmp_path: Path, settings: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    phases = [{"epochs": 2, "learning_rate": 0.01}, {"epochs": 2, "learning_rate": 0.001, "unfrozen": True}]
    params = params_for(settings, batch_size=16, augmentation={}, phases=phases)
    written = Checkpointer._write

    def killed_after_three(self: Checkpointer) -> None:
        written(self)
        if len(self.history) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(Checkpointer, "_write", killed_after_three)
    with pytest.raises(KeyboardInterrupt):
        trained(params, prepared, tmp_path)
    monkeypatch.setattr(Checkpointer, "_write", written)
    begun: list[int] = []
    monkeypatch.setattr(ProgressBar, "on_epoch_begin", lambda self, epoch, logs=None: begun.append(epoch))
    monkeypatch.setattr(ProgressBar, "on_train_batch_end", lambda self, batch, logs=None: None)
    monkeypatch.setattr(ProgressBar, "on_epoch_end", lambda self, epoch, logs=None: None)
    trained(params, prepared, tmp_path)
    assert begun == [1]  # of the second phase's two
    check_curves(tmp_path / "plots", 4)
    (tmp_path / "checkpoint" / "progress.npz").write_bytes(b"torn")
    trained(params, prepared, tmp_path)
    assert begun == [1, 0, 1, 0, 1]


@pytest.mark.slow
def test_the_best_epoch_is_kept_and_training_stops_early(prepared: Path, tmp_path: Path, settings: Params) -> None:
    params = params_for(settings, batch_size=16, augmentation={}, epochs=30, learning_rate=0.5, early_stopping=2)
    trained(params, prepared, tmp_path)
    (file,) = (tmp_path / "plots").rglob("val_loss.tsv")
    found = [float(row["val_loss"]) for row in csv.DictReader(file.read_text().splitlines(), delimiter="\t")]
    card = models.read_card(tmp_path / "t")
    assert len(found) < 30 and len(found) == int(np.argmin(found)) + 3
    assert card.figures["epoch"] == np.argmin(found) + 1 and card.figures["val_loss"] == pytest.approx(min(found))


@pytest.mark.slow
def test_validation_comes_every_so_many_batches(prepared: Path, tmp_path: Path, settings: Params) -> None:
    trained(params_for(settings, batch_size=8, augmentation={}, epochs=2, validate_every=3), prepared, tmp_path)
    batches = -(-Shards(prepared / "shards" / "demo").size("train", View.WHOLE)[0] // 8)
    check_curves(tmp_path / "plots", -(-2 * batches // 3))


@pytest.mark.slow
def test_featurewise_moments_are_those_of_the_training_part(prepared: Path, tmp_path: Path, settings: Params) -> None:
    trained(params_for(settings, batch_size=16, augmentation={}, epochs=1, featurewise=True), prepared, tmp_path)
    card = models.read_card(tmp_path / "t")
    images = [
        media_images.decode(example["image"], example["format"], 1 << 20)
        for example in Shards(prepared / "shards" / "demo").examples("train", View.WHOLE)
    ]
    small = np.stack([pixels.resize(image, 32) for image in images]).astype(np.float64)
    np.testing.assert_allclose(card.options["featurewise"]["mean"], small.mean((0, 1, 2)), atol=0.5)
    assert models.load(tmp_path / "t").card == card


def test_too_little_memory_names_the_batch_to_try(
    prepared: Path, tmp_path: Path, settings: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor")

    monkeypatch.setattr(fit, "fit", full)
    with pytest.raises(UserError, match=r"batch_size in the recipe of tiny to 8"):
        trained(params_for(settings, batch_size=16, augmentation={}, epochs=1), prepared, tmp_path)


@pytest.mark.slow
def test_networks_are_mirrored_on_several_devices() -> None:
    """Two logical CPUs stand for two GPUs; in a process of its own, since devices are made before TensorFlow starts."""
    code = """
import tensorflow as tf
(cpu,) = tf.config.list_physical_devices("CPU")
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
import numpy as np
from fauxscan import detectors
from fauxscan.records import Recipe
from fauxscan.training import devices, losses
with devices.prepare("float32", ["CPU:0", "CPU:1"]):
    network = detectors.build("meso4", {"size": 32}, mirrored=True)
    network.compile(optimizer="adam", loss=losses.loss(Recipe(), 1, 1), metrics=[losses.accuracy()])
    images, labels = np.random.default_rng(0).random((32, 32, 32, 3)) * 255, np.tile([[0.0], [1.0]], (16, 1))
    found = network.fit(images, labels, batch_size=16, epochs=2, verbose=0).history
    assert tf.distribute.get_strategy().num_replicas_in_sync == 2
    assert np.isfinite(found["loss"]).all(), found
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.slow
def test_on_a_cpu_training_is_not_compiled_and_half_precision_leaves_float32(
    prepared: Path, tmp_path: Path, settings: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    params = params_for(settings, batch_size=16, augmentation={}, epochs=2)
    params = params.model_copy(update={"train": params.train.model_copy(update={"precision": "mixed_float16"})})
    found: set[tuple[bool, str]] = set()
    monkeypatch.setattr(
        ProgressBar,
        "on_train_begin",
        lambda self, logs=None: found.add((self.model.jit_compile, self.model.layers[2].compute_dtype)),
    )
    trained(params, prepared, tmp_path)
    assert found == {(False, "float16")}
    model, figures = models.load(tmp_path / "t"), models.read_card(tmp_path / "t").figures
    assert np.isfinite(list(figures.values())).all()
    assert {str(weight.dtype) for weight in model.network.weights} == {"float32"}
    assert model.network.layers[2].compute_dtype == "float32"


def test_one_gpu_compiles_and_several_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not devices.compiles()
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [f"{kind}:0"])
    assert devices.compiles()
    with tf.distribute.MirroredStrategy(["CPU:0"]).scope():
        assert not devices.compiles()


def test_augmentation_is_drawn_anew_each_epoch_and_only_in_training(prepared: Path) -> None:
    recipe = Recipe(batch_size=8, augmentation={"brightness": {"factor": 0.3}})
    training = inputs.training(Shards(prepared / "shards" / "demo"), View.WHOLE, 32, recipe, 1, MEMORY)
    epochs = [sorted(float(x) for images, _ in training for x in images.numpy().mean((1, 2, 3))) for _ in range(2)]
    assert np.abs(np.array(epochs[0]) - np.array(epochs[1])).max() > 1
    validation = inputs.validation(Shards(prepared / "shards" / "demo"), View.WHOLE, 32, recipe, MEMORY)
    once, again = (np.concatenate([images.numpy() for images, _ in validation]) for _ in range(2))
    np.testing.assert_array_equal(once, again)


def test_training_sees_the_pixels_that_scoring_sees(prepared: Path) -> None:
    """The same file through the training input and through the decoder and resizer of scans."""
    recipe = Recipe(batch_size=8)
    trained = np.concatenate(
        [x.numpy() for x, _ in inputs.validation(Shards(prepared / "shards" / "demo"), View.WHOLE, 32, recipe, MEMORY)]
    )
    scanned = np.stack(
        [
            pixels.resize(media_images.decode(example["image"], example["format"], 1 << 20), 32)
            for example in Shards(prepared / "shards" / "demo").examples("validation", View.WHOLE)
        ]
    )
    assert np.abs(trained - scanned).max() <= 1
    network = detectors.build("meso4", {"size": 32})
    logits = [np.asarray(network(batch.astype(np.float32), training=False)) for batch in (trained, scanned)]
    np.testing.assert_allclose(logits[0], logits[1], atol=5e-3)


def test_what_is_asked_of_a_recipe_is_not_overruled_by_its_card() -> None:
    def of(detector: str, **recipe: object) -> Recipe:
        return recipe_of(ModelParams(detector=detector, dataset="d", recipe=recipe))

    assert len(of("xception").phases) == 2 and not of("xception", epochs=3).phases
    assert of("cross_domain").reduce_on_plateau and not of("cross_domain", decay_factor=0.5).reduce_on_plateau
    assert of("efficientnet_lite0").one_cycle and not of("efficientnet_lite0", decay_steps=10).one_cycle
    with pytest.raises(UserError, match="with decay_steps 0 the steps are computed from lowest_rate"):
        of("dct_cnn", decay_factor=0.1, decay_steps=0)


@pytest.mark.parametrize(
    "wrong", [{"learning_rate": -1}, {"decay_factor": 0}, {"early_stopping": -3}, {"batch_size": 0}, {"min_delta": -1}]
)
def test_numbers_that_no_recipe_can_have_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        ModelParams(detector="meso4", dataset="d", recipe=wrong)


@pytest.mark.parametrize(("keep", "chosen"), [("best", 1), ("last", 2)])
def test_the_best_weights_are_kept_or_the_last(tmp_path: Path, keep: str, chosen: int) -> None:
    keeper = Checkpointer(tmp_path / "kept.npz", "key", Recipe(keep=keep))
    keeper.history = [{"val_loss": 3.0}, {"val_loss": 1.0}, {"val_loss": 2.0}]
    assert keeper.chosen == chosen
