"""The contract of every detector found in the folder, and of the model folder it is saved to."""

import json
import math
from pathlib import Path

import keras
import numpy as np
import pytest
from conftest import ROOT
from scipy.fft import dctn

from fauxscan import detectors, layers, models
from fauxscan.media import images, pixels
from fauxscan.models import ModelCard, TrainedOn
from fauxscan.params import Params
from fauxscan.records import Recipe, UserError, View

NAMES = detectors.names()
GOLDEN = ROOT / "tests" / "golden"


def pictures(size: int, count: int = 2) -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, (count, size, size, 3)).astype(np.uint8)


def card_of(name: str, network: keras.Model, settings: Params) -> ModelCard:
    card = detectors.get(name).CARD
    return ModelCard(
        name=name, detector=name, options={}, input_size=network.input_shape[1], looks_at=card.looks_at,
        faces=settings.faces if card.looks_at is View.FACE else None, recipe=card.recipe,
        trained_on=TrainedOn(dataset="demo", faces="both", split_digest="0", proof_of_machinery=True),
        figures={}, licence="none", model_digest=models.digest(network),
    )  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_contract(name: str, tmp_path: Path, settings: Params) -> None:
    module = detectors.get(name)
    keras.utils.set_random_seed(1)
    network = module.build()
    size = module.CARD.input_size
    assert module.CARD.name == name and isinstance(module.CARD.recipe, Recipe)
    assert network.input_shape == (None, size, size, 3)
    assert network.output_shape == (None, 1)
    assert sum(math.prod(weight.shape) for weight in network.trainable_weights) == module.CARD.parameters
    assert not any(isinstance(layer, keras.layers.Lambda) for layer in network.layers)
    check_gradients(network, size)
    check_saving(name, network, tmp_path, settings)


def check_gradients(network: keras.Model, size: int) -> None:
    import tensorflow as tf

    with tf.GradientTape() as tape:
        logits = network(pictures(size).astype(np.float32), training=True)
        loss = keras.losses.binary_crossentropy([[0.0], [1.0]], logits, from_logits=True)
    assert logits.shape == (2, 1) and np.isfinite(logits.numpy()).all()
    for weight, gradient in zip(
        network.trainable_weights, tape.gradient(loss, [w.value for w in network.trainable_weights]), strict=True
    ):
        assert gradient is not None and np.isfinite(np.asarray(gradient)).all(), weight.path


def check_saving(name: str, network: keras.Model, folder: Path, settings: Params) -> None:
    models.save(folder, network, card_of(name, network, settings))
    loaded = models.load(folder)
    seen = pictures(network.input_shape[1])
    once, again = network(seen, training=False), loaded.network(seen, training=False)
    np.testing.assert_array_equal(np.asarray(once), np.asarray(again))
    assert loaded.card.model_digest == models.digest(loaded.network)


def test_black_and_white_are_finite_for_all() -> None:
    for name in NAMES:
        network = detectors.get(name).build()
        size = network.input_shape[1]
        flat = np.stack([np.zeros((size, size, 3)), np.full((size, size, 3), 255.0)]).astype(np.float32)
        assert np.isfinite(np.asarray(network(flat, training=False))).all(), name


def test_options_change_the_network_and_unknown_ones_are_refused() -> None:
    from fauxscan.params import ModelParams
    from fauxscan.training import fit

    small = fit.build(ModelParams(detector="meso4", dataset="demo", options={"size": 64, "activation": "elu"}))
    assert small.input_shape == (None, 64, 64, 3)
    with pytest.raises(UserError, match="meso4 does not take the options"):
        fit.build(ModelParams(detector="meso4", dataset="demo", options={"colour": "red"}))


def test_dct_layer_equals_scipy_and_stays_in_float32() -> None:
    image = np.random.default_rng(0).random((2, 32, 32, 3)).astype(np.float32)
    expected = np.abs(dctn(image, axes=(1, 2), norm="ortho"))
    np.testing.assert_allclose(np.exp(np.asarray(layers.LogDct()(image))), expected, rtol=1e-5, atol=1e-5)
    with_mixed = layers.LogDct(dtype="mixed_float16")
    assert with_mixed(image.astype(np.float16)).dtype == "float32"


def test_a_score_does_not_depend_on_its_batch(settings: Params) -> None:
    network = detectors.get("meso4").build(size=64)
    score = models.Model(card_of("meso4", network, settings), network).scorer(4)
    seen = pictures(64, 7)
    together = score(seen)
    alone = np.concatenate([score(seen[i : i + 1]) for i in range(7)])
    np.testing.assert_array_equal(together, alone)
    assert score(seen[:0]).shape == (0,)


def test_a_damaged_or_swapped_model_is_refused(tmp_path: Path, settings: Params) -> None:
    network = detectors.get("meso4").build(size=64)
    models.save(tmp_path, network, card_of("meso4", network, settings))
    network.layers[-1].set_weights([-w for w in network.layers[-1].get_weights()])  # the polarity, turned
    network.save(tmp_path / models.NETWORK)
    with pytest.raises(UserError, match="not the network that its card describes"):
        models.load(tmp_path)
    (tmp_path / models.NETWORK).write_bytes(b"PK\x03\x04 torn")
    with pytest.raises(UserError, match="cannot be loaded"):
        models.load(tmp_path)
    with pytest.raises(UserError, match="no model at"):
        models.load(tmp_path / "nowhere")


def test_label_sense_by_golden_files() -> None:
    """A committed model, trained to call up-sampled pictures fake, keeps its scores: p_fake means fake."""
    expected = json.loads((GOLDEN / "logits.json").read_text(encoding="utf-8"))
    model = models.load(GOLDEN / "model")
    score = model.scorer(2)
    for name, logit in expected.items():
        image = images.decode((GOLDEN / f"{name}.png").read_bytes(), "png", 1 << 20)
        found = float(score(pixels.resize(image, model.card.input_size)[None])[0])
        assert found == pytest.approx(logit, abs=1e-3), name
        assert (found > 0) == name.startswith("fake"), name
