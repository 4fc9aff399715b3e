"""Co-occurrences of pixel differences against a count in plain NumPy, and the network through OpenVINO."""

from pathlib import Path

import keras
import numpy as np
import pytest
import skimage.data

from fauxscan import detectors, layers, openvino_export

SIZE = 256
NETWORK = openvino_export.NETWORK


def photographs() -> np.ndarray:
    """Two parts of a photograph, at the pixels it was published with."""
    whole = skimage.data.astronaut()
    return np.stack([whole[:SIZE, :SIZE], whole[-SIZE:, -SIZE:]])


def noise(height: int = 40, width: int = 30) -> np.ndarray:
    """Values that differ by a few levels, so that all bins occur."""
    return np.random.default_rng(4).integers(100, 108, (3, height, width, 3)).astype(np.uint8)


def counted(images: np.ndarray, truncation: int = 3) -> np.ndarray:
    """The layer's counts: (batch, 16 bins)."""
    found = np.asarray(layers.Cooccurrences(truncation)(images.astype(np.float32)))
    counts = np.round(found.astype(np.float64) ** 2)
    np.testing.assert_allclose(found, np.sqrt(counts), rtol=1e-6)
    return counts


def expected(image: np.ndarray, truncation: int = 3) -> np.ndarray:
    """The same of one image, counted by NumPy."""
    levels, found = 2 * truncation + 1, []
    for axis in (0, 1):
        for order in (1, 2):
            d = np.clip(np.diff(image.astype(int), order, axis), -truncation, truncation)
            lines = np.moveaxis(d, axis, -1)  # (other axis, channel, along)
            triples = np.lib.stride_tricks.sliding_window_view(lines, 3, axis=-1)
            found += [triples[:, channel].reshape(-1, 3) for channel in range(3)] + [d.reshape(-1, 3)]
    bins = [np.ravel_multi_index((triples + truncation).T, (levels,) * 3) for triples in found]
    return np.concatenate([np.bincount(each, minlength=levels**3) for each in bins])


@pytest.mark.parametrize("truncation", [1, 2, 3])
@pytest.mark.parametrize("images", [noise(), photographs()], ids=["noise", "photographs"])
def test_counts_are_numpys(images: np.ndarray, truncation: int) -> None:
    np.testing.assert_array_equal(counted(images, truncation), [expected(image, truncation) for image in images])


def test_differences_do_not_see_brightness_and_are_those_of_whole_levels() -> None:
    images = noise()
    np.testing.assert_array_equal(counted(images + np.uint8(90)), counted(images))
    np.testing.assert_array_equal(counted(images + 0.4), counted(images))
    assert (counted(images) != counted(images[::-1])).any()


def test_turning_an_image_exchanges_rows_and_columns() -> None:
    rows, columns = np.split(counted(noise()), 2, axis=1)
    turned_rows, turned_columns = np.split(counted(noise().swapaxes(1, 2)), 2, axis=1)
    np.testing.assert_array_equal(turned_rows, columns)
    np.testing.assert_array_equal(turned_columns, rows)
    assert (rows != columns).any()


def test_a_mirror_reverses_neighbours_and_signs_of_first_differences() -> None:
    def parts(images: np.ndarray) -> np.ndarray:
        return counted(images).reshape(-1, 2, 2, 4, 7, 7, 7)[:, 1]  # along rows: batch, order, histogram, triple

    plain, mirrored = parts(noise()), parts(noise()[:, :, ::-1])
    first, second = plain[:, 0], plain[:, 1]
    np.testing.assert_array_equal(mirrored[:, 0, :3], np.flip(first[:, :3], (2, 3, 4)).transpose(0, 1, 4, 3, 2))
    np.testing.assert_array_equal(mirrored[:, 0, 3], np.flip(first[:, 3], (1, 2, 3)))
    np.testing.assert_array_equal(mirrored[:, 1, :3], second[:, :3].transpose(0, 1, 4, 3, 2))
    np.testing.assert_array_equal(mirrored[:, 1, 3], second[:, 3])


def test_each_place_is_counted_once() -> None:
    totals = counted(noise(20, 30)).reshape(3, 2, 2, 4, -1).sum(-1)[0]
    along = [[(side - order - 2) * other for order in (1, 2)] for side, other in ((20, 30), (30, 20))]
    across = [[(side - order) * other for order in (1, 2)] for side, other in ((20, 30), (30, 20))]
    np.testing.assert_array_equal(totals[..., :3], np.repeat(np.array(along)[..., None], 3, -1))
    np.testing.assert_array_equal(totals[..., 3], across)


@pytest.mark.slow
def test_openvino_gives_the_logits_of_keras(tmp_path: Path) -> None:
    import openvino

    network = detectors.build("residual_statistics", {"size": SIZE})
    images = photographs().astype(np.float32)
    normalised = next(layer for layer in network.layers if isinstance(layer, keras.layers.BatchNormalization))
    normalised.moving_mean.assign(np.sqrt(expected(images[0])))  # what training would leave there
    normalised.moving_variance.assign(np.full(normalised.moving_variance.shape, 0.25))
    kernel = network.layers[-1].kernel
    kernel.assign(np.random.default_rng(5).normal(0, 0.05, kernel.shape))
    openvino_export.export(network, tmp_path / NETWORK)
    run = openvino.Core().compile_model(tmp_path / NETWORK, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    ours = np.asarray(network(images, training=False))
    assert np.ptp(ours) > 0.5, ours
    for count in (1, 2):
        np.testing.assert_allclose(run(images[:count])[0], ours[:count], atol=1e-3)
