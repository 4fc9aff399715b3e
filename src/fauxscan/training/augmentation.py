"""Random changes of training images, by name, on batches of float RGB in 0..255: Keras's layers, and what it lacks.

Each image has its own draw. What Keras draws once for a whole batch, or does not know at all, is written here or, where
a detector holds it too, in layers.py. Results may leave 0..255 a little: who feeds the network clips them.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import keras
from keras import layers, ops

from fauxscan.layers import (
    Moments,
    RandomBlur,
    RandomCentreCrop,
    RandomQuarterTurn,
    Sometimes,
    random_saturation,
    within,
)
from fauxscan.records import UserError

RANGE = (0, 255)


# === Where things are; `fill_mode` says what comes in from outside: reflect, constant (black), nearest or wrap ===


def zoom(factor: float, seed: int, fill_mode: str = "reflect") -> keras.Layer:
    """Return a layer that zooms in or out by up to `factor` (share of the size)."""
    return layers.RandomZoom((-factor, factor), fill_mode=fill_mode, seed=seed)


def rotation(degrees: float, seed: int, fill_mode: str = "reflect") -> keras.Layer:
    """Return a layer that turns by up to `degrees` either way."""
    return layers.RandomRotation(degrees / 360, fill_mode=fill_mode, seed=seed)


def shift(factor: float, seed: int, fill_mode: str = "reflect") -> keras.Layer:
    """Return a layer that shifts in both directions by up to `factor` (share of the size)."""
    return layers.RandomTranslation(factor, factor, fill_mode=fill_mode, seed=seed)


def shear(degrees: float, seed: int, fill_mode: str = "reflect") -> keras.Layer:
    """Return a layer that leans columns over by up to `degrees` (below 45) either way; the top row stays."""
    return layers.RandomShear(x_factor=math.tan(math.radians(degrees)), fill_mode=fill_mode, seed=seed)


def flip(seed: int) -> keras.Layer:
    """Return a layer that mirrors left and right, half of the time."""
    return layers.RandomFlip("horizontal", seed=seed)


def vertical_flip(seed: int) -> keras.Layer:
    """Return a layer that mirrors top and bottom, half of the time."""
    return layers.RandomFlip("vertical", seed=seed)  # in one layer for both, Keras does both or none


def rot90(probability: float, seed: int) -> keras.Layer:
    """Return a layer that turns by 90 degrees with a probability."""
    return RandomQuarterTurn(probability=probability, seed=seed)


def centre_crop(share: float, probability: float, seed: int) -> keras.Layer:
    """Return a layer that enlarges the middle `share` of the sides with a probability."""
    return RandomCentreCrop(share, probability=probability, seed=seed)


def random_crop(share: float, seed: int) -> keras.Layer:
    """Return a layer that enlarges a window, anywhere, whose sides are `share` to all of the image's."""
    return RandomWindow(share, seed=seed)


# === Colours ===


def brightness(factor: float, seed: int) -> keras.Layer:
    """Return a layer that adds up to `factor` (share of the range) either way."""
    return layers.RandomBrightness(factor, value_range=RANGE, seed=seed)


def contrast(factor: float, seed: int) -> keras.Layer:
    """Return a layer that multiplies the distance from the mean by 1 - `factor` to 1 + `factor`."""
    return layers.RandomContrast((factor, factor), value_range=RANGE, seed=seed)  # one number would only raise it


def saturation(low: float, high: float, seed: int) -> keras.Layer:
    """Return a layer that multiplies the saturation by `low` to `high`."""
    return random_saturation(low, high, seed)


def hue(factor: float, seed: int) -> keras.Layer:
    """Return a layer that turns the hue by up to `factor` (share of the circle, halved)."""
    return layers.RandomHue(factor, value_range=RANGE, seed=seed)


def channel_shift(levels: float, seed: int) -> keras.Layer:
    """Return a layer that adds up to `levels` (of 255) either way, as Keras 2 did it."""
    return RandomChannelShift(levels, seed=seed)


def invert(probability: float, seed: int) -> keras.Layer:
    """Return a layer that makes negatives with a probability."""
    return layers.RandomInvert((probability, probability), value_range=RANGE, seed=seed)  # one number: 0 to it


# === What cameras and networks do to images ===


def blur(sigma: Sequence[float], seed: int, probability: float = 1.0) -> keras.Layer:
    """Return a layer that blurs by a Gaussian with a probability; its width (pixels) is drawn from `sigma`."""
    return RandomBlur((sigma[0], sigma[1]), probability=probability, seed=seed)


def jpeg(quality: Sequence[int], seed: int, probability: float = 1.0) -> keras.Layer:
    """Return a layer that compresses with a probability; the quality is drawn from `quality` (lowest, highest)."""
    return RandomJpeg(quality[0], quality[1], probability=probability, seed=seed)


def downscale(sizes: Sequence[int], seed: int, probability: float = 1.0) -> keras.Layer:
    """Return a layer that makes images small, to a side drawn from `sizes` (pixels), and large again."""
    return RandomDownscale(sizes[0], sizes[1], probability=probability, seed=seed)


AUGMENTATIONS = {
    made.__name__: made
    for made in (
        zoom, rotation, shift, shear, flip, vertical_flip, rot90, centre_crop, random_crop,
        brightness, contrast, saturation, hue, channel_shift, invert, blur, jpeg, downscale,
    )
}  # fmt: skip


def pipeline(augmentation: Mapping[str, Mapping[str, Any]], seed: int) -> list[keras.Layer]:
    """Return the named layers in order, each with its own seed. Raise UserError for an unknown name or argument."""
    made = []
    for number, (name, arguments) in enumerate(augmentation.items()):
        if name not in AUGMENTATIONS:
            raise UserError(f"unknown augmentation {name!r}; there are: {', '.join(AUGMENTATIONS)}")
        try:
            made.append(AUGMENTATIONS[name](**arguments, seed=seed + number))
        except (TypeError, ValueError, NotImplementedError, IndexError) as error:
            raise UserError(f"augmentation {name!r} does not take {arguments}: {error}") from error
    return made


def moments(batches: Iterable[Any]) -> Moments:
    """Return mean and variance of each channel over batches of images: what detectors take as `featurewise`."""
    normalization = layers.Normalization(axis=-1)
    normalization.adapt(batches)
    mean, variance = (ops.convert_to_numpy(value).ravel() for value in (normalization.mean, normalization.variance))
    return {"mean": mean.tolist(), "variance": variance.tolist()}


# === By hand ===


class RandomWindow(Sometimes):
    """Enlarges a window, drawn for each image, to the whole size (bilinear)."""

    numbers = 3

    def __init__(self, share: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.share = share

    def change(self, images: keras.KerasTensor, drawn: keras.KerasTensor) -> keras.KerasTensor:
        """Return the windows."""
        scale = within(drawn[:, 0], self.share, 1.0)
        height, width = images.shape[1:3]
        left, top = drawn[:, 1] * (1 - scale) * (width - 1), drawn[:, 2] * (1 - scale) * (height - 1)
        none = ops.zeros_like(scale)
        matrix = ops.stack([scale, none, left, none, scale, top, none, none], axis=1)
        return ops.image.affine_transform(images, matrix, fill_mode="nearest")


class RandomChannelShift(Sometimes):
    """Adds one number to all channels, clipped to the image's own range: Keras 2's `channel_shift_range`."""

    numbers = 1

    def __init__(self, levels: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.levels = levels

    def change(self, images: keras.KerasTensor, drawn: keras.KerasTensor) -> keras.KerasTensor:
        """Return all images shifted."""
        added = within(drawn[:, 0], -self.levels, self.levels)[:, None, None, None]
        low, high = (bound(images, axis=(1, 2, 3), keepdims=True) for bound in (ops.min, ops.max))
        return ops.clip(images + added, low, high)


class PerImage(Sometimes):
    """Changes images one by one with TensorFlow, by a whole number between `low` and `high` drawn for each.

    For `Dataset.map`, where TensorFlow runs whatever the backend, and nothing is differentiated.
    """

    numbers = 1

    def __init__(self, low: int, high: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.low, self.high = low, high

    def change(self, images: Any, drawn: Any) -> Any:
        """Return all images changed, each by its own number."""
        import tensorflow as tf

        numbers = tf.cast(within(drawn[:, 0], self.low, self.high + 1), tf.int32)
        changed = tf.map_fn(lambda pair: self.one(*pair), (images, numbers), fn_output_signature=tf.float32)
        return tf.ensure_shape(changed, images.shape)

    def one(self, image: Any, number: Any) -> Any:
        """Return one image changed: what a subclass is there for."""
        raise NotImplementedError


class RandomJpeg(PerImage):
    """Compresses and decodes, with the decoder that reads the training images."""

    def one(self, image: Any, number: Any) -> Any:
        """Return one image at one quality."""
        import tensorflow as tf

        pixels = tf.cast(tf.round(tf.clip_by_value(image, *RANGE)), tf.uint8)
        encoded = tf.raw_ops.EncodeJpegVariableQuality(images=pixels, quality=number)
        return tf.cast(tf.io.decode_jpeg(encoded, channels=3, dct_method="INTEGER_ACCURATE"), tf.float32)


class RandomDownscale(PerImage):
    """Makes images small by averaging areas and large again (bilinear), as senders and sites do."""

    def one(self, image: Any, number: Any) -> Any:
        """Return one image at one side; never larger than it is."""
        import tensorflow as tf

        height, width = image.shape[:2]
        small = tf.image.resize(image, (tf.minimum(number, height), tf.minimum(number, width)), method="area")
        return tf.image.resize(small, (height, width))
