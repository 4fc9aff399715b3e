"""Weights in 16 bits: half the bytes, and logits that agree with Keras to 1e-3."""

from pathlib import Path

import keras
import numpy as np
import openvino
import pytest
from numpy.typing import NDArray

from fauxscan import detectors, openvino_export
from fauxscan.shipping import half

LOGIT_TOLERANCE = 1e-3
MEGABYTES = 4


@pytest.fixture(scope="module")
def head() -> keras.Model:
    """Return a head of full size whose logits are about as large as those of a trained one."""
    keras.utils.set_random_seed(3)
    network = detectors.get("clip_vit_b16").head()
    network.predict(features(1), verbose=0)
    for layer in network.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.moving_variance.assign(np.full(layer.moving_variance.shape, 1e-3, np.float32))
    network.layers[-2].set_weights([30 * weights for weights in network.layers[-2].get_weights()])
    return network


def features(count: int) -> NDArray[np.float32]:
    """Return features (count, blocks, width) with a few large numbers, as CLIP's have."""
    rng = np.random.default_rng(2)
    shared = rng.normal(0, 1, (1, 12, 768)) * rng.gamma(0.3, 3.0, (1, 1, 768))
    return (shared + rng.normal(0, 0.7, (count, 12, 768))).astype(np.float32)


def logits(file: Path, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
    compiled = openvino.Core().compile_model(file, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return np.array(compiled.create_infer_request().infer([inputs])[0])


def test_a_head_takes_at_most_four_megabytes_and_agrees_with_keras(head: keras.Model, tmp_path: Path) -> None:
    openvino_export.add(tmp_path, head)
    exported, inputs = tmp_path / openvino_export.NETWORK, features(32)
    expected = head.predict(inputs, verbose=0)
    assert np.ptp(expected) > 1
    for name in ("first", "second"):
        half._save_in_16_bits(exported, tmp_path / f"{name}.xml")
        assert np.abs(logits(tmp_path / f"{name}.xml", inputs) - expected).max() < LOGIT_TOLERANCE
    sizes = {file.name: file.stat().st_size for file in tmp_path.iterdir()}
    assert sizes["first.bin"] < 0.52 * sizes["openvino.bin"]
    assert sizes["first.bin"] + sizes["first.xml"] < MEGABYTES * 1e6
    for suffix in half.SUFFIXES:
        one, other = ((tmp_path / name).with_suffix(suffix).read_bytes() for name in ("first", "second"))
        assert one == other, "the same network always gives the same bytes"


def test_outputs_without_weights_stay_zero_and_others_come_close() -> None:
    weights = np.random.default_rng(0).normal(0, 1, (4, 3, 2)).astype(np.float32)
    weights[2], weights[3] = 0, weights[3] * 1e-6
    made = half._of_integers(weights, "a")
    image = openvino.opset13.parameter([1], openvino.Type.f32)
    network = openvino.Model([openvino.opset13.add(made, image)], [image])
    found = openvino.Core().compile_model(network, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})([np.zeros(1)])[0]
    largest = np.abs(weights).max(axis=(1, 2), keepdims=True)
    assert (np.abs(found - weights) <= largest / half.LARGEST * 0.51).all()
