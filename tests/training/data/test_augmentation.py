"""Each augmentation does what its name says, to the extent its arguments say, eagerly and inside Dataset.map."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter
from skimage import color
from support.preparing import picture

from fauxscan.layers import random_saturation
from fauxscan.records import UserError
from fauxscan.training.data import augmentation

Images = NDArray[np.float32]
COUNT, SIZE = 256, 32
NAMES = list(augmentation.AUGMENTATIONS)
ARGUMENTS: dict[str, dict[str, Any]] = {
    "zoom": {"factor": 0.2},
    "rotation": {"degrees": 20},
    "shift": {"factor": 0.1},
    "shear": {"degrees": 20},
    "flip": {},
    "vertical_flip": {},
    "rot90": {"probability": 0.5},
    "centre_crop": {"share": 0.5, "probability": 0.5},
    "random_crop": {"share": 0.5},
    "brightness": {"factor": 0.2},
    "contrast": {"factor": 0.4},
    "saturation": {"low": 0.5, "high": 1.5},
    "hue": {"factor": 0.4},
    "channel_shift": {"levels": 20},
    "invert": {"probability": 0.5},
    "blur": {"sigma": [0.0, 3.0], "probability": 0.5},
    "jpeg": {"quality": [30, 90], "probability": 0.5},
    "downscale": {"sizes": [8, 16], "probability": 0.5},
}


def made(name: str, seed: int = 4, **arguments: Any) -> Any:
    return augmentation.AUGMENTATIONS[name](**{**ARGUMENTS[name], **arguments}, seed=seed)


def eagerly(layer: Any, images: Images) -> Images:
    return np.asarray(layer(images, training=True))


def mapped(layer: Any, images: Images) -> Images:
    batches = tf.data.Dataset.from_tensor_slices(images).batch(
        len(images)
    )  # the batch's size is unknown, as in training
    return np.asarray(next(iter(batches.map(lambda batch: layer(batch, training=True)))))


@pytest.fixture(params=[eagerly, mapped])
def run(request: pytest.FixtureRequest) -> Callable[[Any, Images], Images]:
    return request.param  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def pictures() -> Images:
    return np.stack([picture(n, SIZE) for n in range(COUNT)]).astype(np.float32)


@pytest.fixture(scope="module")
def photographs(photograph: NDArray[np.uint8]) -> Images:
    small = np.asarray(Image.fromarray(photograph).resize((SIZE, SIZE)), np.float32)
    return np.repeat(small[None], COUNT, 0)


def spots(x: float, y: float) -> Images:
    """Black images with a soft bright spot at x and y pixels from the middle."""
    middle = (SIZE - 1) / 2
    rows, columns = np.mgrid[:SIZE, :SIZE]
    spot = 255 * np.exp(-((columns - middle - x) ** 2 + (rows - middle - y) ** 2) / (2 * 1.5**2))
    return np.repeat(np.repeat(spot[None, :, :, None], COUNT, 0), 3, 3).astype(np.float32)


def places(images: Images) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Where the spots are: x and y from the middle, each (COUNT,)."""
    weight = images[..., 0].astype(np.float64)
    rows, columns = np.mgrid[:SIZE, :SIZE] - (SIZE - 1) / 2
    return tuple((weight * axis).sum((1, 2)) / weight.sum((1, 2)) for axis in (columns, rows))  # type: ignore[return-value]


def check_uniform(values: NDArray[Any], low: float, high: float, tolerance: float = 0.0) -> None:
    """All in low..high, their mean and spread those of a uniform draw."""
    assert values.min() >= low - tolerance and values.max() <= high + tolerance
    assert values.mean() == pytest.approx((low + high) / 2, abs=(high - low) * 0.08 + tolerance)
    assert values.std() == pytest.approx((high - low) / 12**0.5, abs=(high - low) * 0.06 + tolerance)


def check_share(chosen: NDArray[Any], probability: float) -> None:
    assert len(chosen) == COUNT and chosen.mean() == pytest.approx(probability, abs=0.12)


def unchanged(out: Images, images: Images, tolerance: float = 1e-3) -> NDArray[np.bool_]:
    return np.asarray(np.abs(out - images).max((1, 2, 3)) <= tolerance)


# === All of them ===


@pytest.mark.parametrize("name", NAMES)
def test_each_is_drawn_anew_repeats_by_its_seed_and_rests_outside_training(
    name: str, run: Callable[[Any, Images], Images], pictures: Images
) -> None:
    images = pictures[:32]
    layer = made(name)
    first, second = run(layer, images), run(layer, images)
    assert first.shape == images.shape and first.dtype == np.float32 and np.isfinite(first).all()
    assert np.abs(first - images).mean() > 1
    assert np.abs(first - second).mean() > 1, "two draws are alike"
    changes = first - images
    assert len({change.tobytes() for change in changes}) > 2, "one draw for the whole batch"
    np.testing.assert_array_equal(run(made(name), images), first)
    assert np.abs(run(made(name, seed=5), images) - first).mean() > 1
    np.testing.assert_allclose(np.asarray(layer(images, training=False)), images, atol=1e-3)


def test_a_seed_draws_the_same_eagerly_and_in_a_map(pictures: Images) -> None:
    for name in ("rotation", "blur", "jpeg", "rot90"):
        np.testing.assert_allclose(eagerly(made(name), pictures), mapped(made(name), pictures), atol=0.1, err_msg=name)


def test_a_share_of_the_images_is_changed_by_all_layers_and_the_others_by_none() -> None:
    images = np.random.default_rng(3).uniform(0, 255, (COUNT, SIZE, SIZE, 3)).astype(np.float32)
    named = {"brightness": {"factor": 0.2}, "invert": {"probability": 1.0}}
    (half,) = augmentation.pipeline(named, 5, 0.5)
    for changed in (eagerly(half, images), mapped(half, images)):
        same = (changed == images).all((1, 2, 3))
        assert 0.4 < same.mean() < 0.6
        assert np.abs(changed[~same] + images[~same] - 255).mean((1, 2, 3)).max() <= 0.2 * 255 + 1  # inverted, all
    assert len(augmentation.pipeline(named, 5)) == 2


def test_unknown_augmentations_and_arguments_are_refused() -> None:
    with pytest.raises(UserError, match=r"unknown augmentation 'mosaic'; there are: zoom"):
        augmentation.pipeline({"mosaic": {}}, 1)
    for name, arguments in (("zoom", {"strength": 1}), ("shift", {"factor": 0.1, "fill_mode": "void"}), ("blur", {})):
        with pytest.raises(UserError, match=f"augmentation '{name}' does not accept"):
            augmentation.pipeline({name: arguments}, 1)


def test_the_recipes_of_all_cards_can_be_made(pictures: Images) -> None:
    from fauxscan import detectors

    for name in detectors.names():
        images = pictures[:4]
        for layer in augmentation.pipeline(detectors.get(name).CARD.recipe.augmentation, 3):
            images = eagerly(layer, images)
        assert np.isfinite(images).all() and images.shape == (4, SIZE, SIZE, 3), name


# === Where things are ===


def test_shift(run: Callable[[Any, Images], Images]) -> None:
    for moved in places(run(made("shift", fill_mode="constant"), spots(0, 0))):
        check_uniform(moved, -0.1 * SIZE, 0.1 * SIZE, 0.1)


def test_rotation(run: Callable[[Any, Images], Images]) -> None:
    x, y = places(run(made("rotation", fill_mode="constant"), spots(9, 0)))
    np.testing.assert_allclose(np.hypot(x, y), 9, atol=0.2)
    check_uniform(np.degrees(np.arctan2(y, x)), -20, 20, 0.5)


def test_zoom(run: Callable[[Any, Images], Images]) -> None:
    x, y = places(run(made("zoom", fill_mode="constant"), spots(8, 4)))
    check_uniform(8 / x, 0.8, 1.2, 0.02)
    np.testing.assert_allclose(x / y, 2, atol=0.05)


def test_shear(run: Callable[[Any, Images], Images]) -> None:
    slope = np.tan(np.radians(20))
    for y in (-8, 4):
        x, stays = places(run(made("shear", fill_mode="constant"), spots(0, y)))
        np.testing.assert_allclose(stays, y, atol=0.2)
        depth = (SIZE - 1) / 2 + y  # below the top row
        check_uniform(x / depth, -slope, slope, 0.05)


def test_fill_modes(run: Callable[[Any, Images], Images]) -> None:
    white = np.full((COUNT, SIZE, SIZE, 3), 255, np.float32)
    for name in ("shift", "rotation", "shear", "zoom"):
        assert run(made(name, fill_mode="constant"), white).min() == 0, name
        assert run(made(name, fill_mode="reflect"), white).min() > 254, name


def test_flip(run: Callable[[Any, Images], Images]) -> None:
    x, y = places(run(made("flip"), spots(6, 4)))
    check_share(x < 0, 0.5)
    assert (y > 0).all()
    x, y = places(run(made("vertical_flip"), spots(6, 4)))
    check_share(y < 0, 0.5)
    assert (x > 0).all()


def test_rot90(run: Callable[[Any, Images], Images], pictures: Images) -> None:
    out = run(made("rot90", probability=0.25), pictures)
    rest = unchanged(out, pictures)
    check_share(~rest, 0.25)
    np.testing.assert_array_equal(out[~rest], np.rot90(pictures[~rest], axes=(1, 2)))


def test_centre_crop(run: Callable[[Any, Images], Images], pictures: Images) -> None:
    out = run(made("centre_crop"), pictures)
    rest = unchanged(out, pictures)
    check_share(~rest, 0.5)
    expected = tf.image.resize(tf.image.central_crop(pictures, 0.5), (SIZE, SIZE)).numpy()  # the write-up's words
    np.testing.assert_allclose(out[~rest], expected[~rest], atol=1e-2)


def test_random_crop(run: Callable[[Any, Images], Images]) -> None:
    rows, columns = np.mgrid[:SIZE, :SIZE].astype(np.float32)
    ramps = np.repeat(np.stack([columns, rows, rows], -1)[None], COUNT, 0)  # each pixel says where it comes from
    out = run(made("random_crop"), ramps)
    for channel, axis in ((0, 1), (1, 0)):
        line = np.moveaxis(out[..., channel], axis + 1, 1).mean(2)
        check_uniform((line[:, -1] - line[:, 0]) / (SIZE - 1), 0.5, 1.0, 0.01)
        assert line.min() >= 0 and line.max() <= SIZE - 1
        assert np.abs(line.mean(1) - (SIZE - 1) / 2).max() > 4, "always the middle"


# === Colours ===


def test_brightness(run: Callable[[Any, Images], Images]) -> None:
    grey = np.full((COUNT, SIZE, SIZE, 3), 128, np.float32)
    out = run(made("brightness"), grey)
    assert np.ptp(out, axis=(1, 2, 3)).max() < 1e-3
    check_uniform(out.mean((1, 2, 3)) - 128, -0.2 * 255, 0.2 * 255)


def test_contrast(run: Callable[[Any, Images], Images]) -> None:
    images = 128 + (spots(0, 0) - 128) * 0.2
    out = run(made("contrast"), images)
    check_uniform(out.std((1, 2, 3)) / images.std((1, 2, 3)), 0.6, 1.4, 0.01)
    np.testing.assert_allclose(out.mean((1, 2)), images.mean((1, 2)), atol=0.5)


def test_saturation(run: Callable[[Any, Images], Images]) -> None:
    dull = np.repeat(np.full((1, SIZE, SIZE, 3), (150.0, 120.0, 100.0), np.float32), COUNT, 0)
    out = run(made("saturation"), dull)
    before, after = (color.rgb2hsv(images / 255) for images in (dull, out))
    ratio = (after[..., 1] / before[..., 1]).mean((1, 2))
    assert ratio.min() == pytest.approx(0.5, abs=0.05) and ratio.max() == pytest.approx(1.5, abs=0.05)
    np.testing.assert_allclose(after[..., ::2], before[..., ::2], atol=1e-3)  # hue and value stay
    grey = np.full_like(dull, 90)
    np.testing.assert_allclose(run(made("saturation"), grey), grey, atol=1e-2)
    loud = np.repeat(np.full((1, SIZE, SIZE, 3), (250.0, 60.0, 10.0), np.float32), COUNT, 0)
    bounded = run(random_saturation(2.0, 2.0), loud)
    assert bounded.min() >= 0 and bounded.max() <= 255, "no colour is more than saturated"


def test_hue(run: Callable[[Any, Images], Images]) -> None:
    red = np.repeat(np.full((1, SIZE, SIZE, 3), (200.0, 50.0, 50.0), np.float32), COUNT, 0)
    hsv = color.rgb2hsv(np.clip(run(made("hue"), red), 0, 255) / 255)[:, 0, 0]
    check_uniform((hsv[:, 0] + 0.5) % 1 - 0.5, -0.2, 0.2, 0.01)
    np.testing.assert_allclose(hsv[:, 1:], [[0.75, 200 / 255]] * COUNT, atol=1e-3)


def test_channel_shift(run: Callable[[Any, Images], Images], photographs: Images) -> None:
    out = run(made("channel_shift"), photographs)
    inside = (photographs > 60) & (photographs < 190)
    added = np.array([(a - b)[where] for a, b, where in zip(out, photographs, inside, strict=True)])
    assert np.ptp(added, axis=1).max() < 1e-3, "one number for all channels and pixels"
    check_uniform(added.mean(1), -20, 20)
    assert out.min() >= photographs.min() and out.max() <= photographs.max()


def test_invert(run: Callable[[Any, Images], Images], pictures: Images) -> None:
    out = run(made("invert"), pictures)
    rest = unchanged(out, pictures)
    check_share(~rest, 0.5)
    np.testing.assert_allclose(out[~rest], 255 - pictures[~rest], atol=1e-3)


# === Blur, JPEG, down-scaling ===


def test_blur_equals_scipy_and_leaves_the_borders_bright(
    run: Callable[[Any, Images], Images], photographs: Images
) -> None:
    out = run(made("blur", sigma=[1.5, 1.5], probability=1.0), photographs)
    expected = gaussian_filter(photographs[0].astype(np.float64), (1.5, 1.5, 0), mode="reflect", truncate=8)
    np.testing.assert_allclose(out[0], expected, atol=1e-2)
    white = np.full((COUNT, SIZE, SIZE, 3), 255, np.float32)
    np.testing.assert_allclose(run(made("blur", probability=1.0), white), white, atol=0.01)


@pytest.mark.parametrize("probability", [0.5, 0.1])
def test_blur_as_wang_et_al_draw_it(run: Callable[[Any, Images], Images], probability: float) -> None:
    """Sigma uniform in 0..3 with a probability: a spot's variance grows by sigma squared."""
    images = spots(0, 0)
    weight = run(made("blur", probability=probability), images)[..., 0].astype(np.float64)
    columns = np.mgrid[:SIZE, :SIZE][1] - (SIZE - 1) / 2
    grown = (weight * columns**2).sum((1, 2)) / weight.sum((1, 2)) - 1.5**2
    check_share(grown > 1e-4, probability)
    if probability == 0.5:
        check_uniform(np.sqrt(np.maximum(grown[grown > 1e-4], 0)), 0, 3, 0.2)


def test_jpeg_quality(run: Callable[[Any, Images], Images], photographs: Images) -> None:
    out = run(made("jpeg", quality=[30, 100], probability=0.5), photographs)
    rest = unchanged(out, photographs)
    check_share(~rest, 0.5)
    qualities = np.array([closest_quality(photographs[0], image) for image in out[~rest]])
    check_uniform(qualities, 30, 100, 5)


def closest_quality(image: Images, found: Images) -> int:
    """The quality at which Pillow makes the same picture."""
    return min(range(28, 103, 3), key=lambda quality: float(np.abs(compressed(image, quality) - found).mean()))


def compressed(image: Images, quality: int) -> Images:
    file = io.BytesIO()
    Image.fromarray(image.round().astype(np.uint8)).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file), np.float32)


def test_downscale(run: Callable[[Any, Images], Images], pictures: Images) -> None:
    out = run(made("downscale"), pictures)
    rest = unchanged(out, pictures)
    check_share(~rest, 0.5)
    detail = [np.abs(np.diff(images[~rest], axis=2)).mean() for images in (out, pictures)]
    assert detail[0] < 0.7 * detail[1]
    np.testing.assert_allclose(out.mean((1, 2)), pictures.mean((1, 2)), atol=6)


# === Featurewise centring and scaling ===


def test_featurewise_moments_centre_and_scale_the_training_set(pictures: Images, tmp_path: Path) -> None:
    import keras

    from fauxscan import detectors

    batches = tf.data.Dataset.from_tensor_slices(pictures).batch(30)
    found = augmentation.moments(batches)
    np.testing.assert_allclose(found["mean"], pictures.mean((0, 1, 2)), rtol=1e-4)
    np.testing.assert_allclose(found["variance"], pictures.var((0, 1, 2)), rtol=1e-3)
    for name in ("meso4", "mesoinception4", "inception_v3"):
        network = detectors.get(name).build(size=96, featurewise=found)
        (layer,) = [layer for layer in network.layers if isinstance(layer, keras.layers.Normalization)]
        scaled = np.asarray(layer(pictures))
        np.testing.assert_allclose([scaled.mean(), scaled.std()], [0, 1], atol=1e-3)
    assert not layer.weights, "the moments are the network's configuration: a new network of this card has them too"
