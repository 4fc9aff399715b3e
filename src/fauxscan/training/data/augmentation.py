"""Augmentations of training images by name: layers of Keras, and others, for batches of float RGB in 0..255.

Random numbers are drawn for each image. Augmentations that Keras lacks, or draws once for a whole batch, are defined
here, or in layers.py if a detector contains them too. Results may lie slightly outside 0..255; the caller clips them.
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


# === Geometry; `fill_mode` fills what lies outside the image: reflect, constant (black), nearest or wrap ===


def zoom(factor: float, seed: int, fill_mode: str = "reflect") -> keras.Layer:
    """Return a layer that zooms in or out by up to `factor` (share of the size)."""
    return layers.RandomZoom((-factor, factor), fill_mode=fill_mode, seed=seed)


def rotation(degrees: float, seed: int, fill_mode: str = "reflect") -> keras.Layer:
    """Return a layer that rotates by up to `degrees` in either direction."""
    return layers.RandomRotation(degrees / 360, fill_mode=fill_mode, seed=seed)


def shift(factor: float, seed: int, fill_mode: str = "reflect") -> keras.Layer:
    """Return a layer that shifts horizontally and vertically by up to `factor` (share of the size)."""
    return layers.RandomTranslation(factor, factor, fill_mode=fill_mode, seed=seed)


def shear(degrees: float, seed: int, fill_mode: str = "reflect") -> keras.Layer:
    """Return a layer that shears horizontally by up to `degrees` (below 45); the top row stays."""
    return layers.RandomShear(x_factor=math.tan(math.radians(degrees)), fill_mode=fill_mode, seed=seed)


def flip(seed: int) -> keras.Layer:
    """Return a layer that mirrors left and right with probability 1/2."""
    return layers.RandomFlip("horizontal", seed=seed)


def vertical_flip(seed: int) -> keras.Layer:
    """Return a layer that mirrors top and bottom with probability 1/2."""
    return layers.RandomFlip("vertical", seed=seed)  # one layer for both axes would mirror both or neither


def rot90(probability: float, seed: int) -> keras.Layer:
    """Return a layer that rotates by 90 degrees with a probability."""
    return RandomQuarterTurn(probability=probability, seed=seed)


def centre_crop(share: float, probability: float, seed: int) -> keras.Layer:
    """Return a layer that enlarges the centre, with sides of `share` of the image, with a probability."""
    return RandomCentreCrop(share, probability=probability, seed=seed)


def random_crop(share: float, seed: int) -> keras.Layer:
    """Return a layer that enlarges a random window whose sides are from `share` to 1 of those of the image."""
    return RandomWindow(share, seed=seed)


# === Colours ===


def brightness(factor: float, seed: int) -> keras.Layer:
    """Return a layer that adds or subtracts up to `factor` (share of the range)."""
    return layers.RandomBrightness(factor, value_range=RANGE, seed=seed)


def contrast(factor: float, seed: int) -> keras.Layer:
    """Return a layer that multiplies the distance from the mean by 1 - `factor` to 1 + `factor`."""
    return layers.RandomContrast(
        (factor, factor), value_range=RANGE, seed=seed
    )  # a single number would only increase it


def saturation(low: float, high: float, seed: int) -> keras.Layer:
    """Return a layer that multiplies the saturation by `low` to `high`."""
    return random_saturation(low, high, seed)


def hue(factor: float, seed: int) -> keras.Layer:
    """Return a layer that rotates the hue by up to `factor` (of half the colour circle)."""
    return layers.RandomHue(factor, value_range=RANGE, seed=seed)


def channel_shift(levels: float, seed: int) -> keras.Layer:
    """Return a layer that adds or subtracts up to `levels` (of 255), as Keras 2 did."""
    return RandomChannelShift(levels, seed=seed)


def invert(probability: float, seed: int) -> keras.Layer:
    """Return a layer that inverts colours with a probability."""
    return layers.RandomInvert(
        (probability, probability), value_range=RANGE, seed=seed
    )  # a single number p would mean a range from 0 to p


# === Degradations ===


def blur(sigma: Sequence[float], seed: int, probability: float = 1.0) -> keras.Layer:
    """Return a layer that blurs with a probability; the deviation (pixels) of the Gaussian is drawn from `sigma`."""
    return RandomBlur((sigma[0], sigma[1]), probability=probability, seed=seed)


def jpeg(quality: Sequence[int], seed: int, probability: float = 1.0) -> keras.Layer:
    """Return a layer that compresses to JPEG with a probability; its quality is drawn from `quality`, a range."""
    return RandomJpeg(quality[0], quality[1], probability=probability, seed=seed)


def downscale(sizes: Sequence[int], seed: int, probability: float = 1.0) -> keras.Layer:
    """Return a layer that downscales to a side drawn from `sizes` (pixels) with a probability, and upscales again."""
    return RandomDownscale(sizes[0], sizes[1], probability=probability, seed=seed)


AUGMENTATIONS = {
    made.__name__: made
    for made in (
        zoom, rotation, shift, shear, flip, vertical_flip, rot90, centre_crop, random_crop,
        brightness, contrast, saturation, hue, channel_shift, invert, blur, jpeg, downscale,
    )
}  # fmt: skip


def pipeline(augmentation: Mapping[str, Mapping[str, Any]], seed: int, share: float = 1.0) -> list[keras.Layer]:
    """Return layers that change a share of the images: the named ones in order, each with its own seed.

    Raise UserError for an unknown name or argument.
    """
    made = []
    for number, (name, arguments) in enumerate(augmentation.items()):
        if name not in AUGMENTATIONS:
            raise UserError(f"unknown augmentation {name!r}; there are: {', '.join(AUGMENTATIONS)}")
        try:
            made.append(AUGMENTATIONS[name](**arguments, seed=seed + number))
        except (TypeError, ValueError, NotImplementedError, IndexError) as error:
            raise UserError(f"augmentation {name!r} does not accept {arguments}: {error}") from error
    return [ForShare(made, share, seed + len(made))] if made and share < 1 else made


def moments(batches: Iterable[Any]) -> Moments:
    """Return mean and variance of each channel over batches of images: the option `featurewise` of detectors."""
    normalization = layers.Normalization(axis=-1)
    normalization.adapt(batches)
    mean, variance = (ops.convert_to_numpy(value).ravel() for value in (normalization.mean, normalization.variance))
    return {"mean": mean.tolist(), "variance": variance.tolist()}


# === Layers that Keras lacks ===


class ForShare(Sometimes):
    """Applies all of several layers to a share of the images, and none of them to the others."""

    def __init__(self, several: Sequence[keras.Layer], share: float, seed: int) -> None:
        super().__init__(probability=share, seed=seed)
        self.several = list(several)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Build all layers."""
        for layer in self.several:
            layer.build(input_shape)

    def get_random_transformation(self, images: keras.KerasTensor, training: bool = True) -> tuple[Any, ...]:
        """Return the random numbers that choose the images, then what each layer draws."""
        others = (layer.get_random_transformation(images, training=training) for layer in self.several)
        return (super().get_random_transformation(images), *others)

    def transform_images(self, images: keras.KerasTensor, drawn: tuple[Any, ...], training: bool = True) -> Any:
        """Return the images, the chosen ones changed by all layers."""
        chosen, *others = drawn
        changed = images
        for layer, one in zip(self.several, others, strict=True):
            changed = layer.transform_images(changed, one, training=training)
        return ops.where((chosen[:, 0] < self.probability)[:, None, None, None], changed, images)


class RandomWindow(Sometimes):
    """Enlarges a random window of each image to its whole size (bilinear)."""

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
    """Adds one number to all channels, clipped to the range of the image, as `channel_shift_range` in Keras 2."""

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
    """Changes images one by one with TensorFlow, each by a whole number drawn between `low` and `high`.

    It is used in `Dataset.map`, where TensorFlow runs with any backend and nothing is differentiated.
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
        """Return one image changed by its number. Subclasses implement this."""
        raise NotImplementedError


class RandomJpeg(PerImage):
    """Compresses to JPEG and decodes with the decoder that reads training images."""

    def one(self, image: Any, number: Any) -> Any:
        """Return one image compressed at one quality."""
        import tensorflow as tf

        pixels = tf.cast(tf.round(tf.clip_by_value(image, *RANGE)), tf.uint8)
        encoded = tf.raw_ops.EncodeJpegVariableQuality(images=pixels, quality=number)
        return tf.cast(tf.io.decode_jpeg(encoded, channels=3, dct_method="INTEGER_ACCURATE"), tf.float32)


class RandomDownscale(PerImage):
    """Downscales images by averaging areas and upscales them (bilinear), as messengers and web sites do."""

    def one(self, image: Any, number: Any) -> Any:
        """Return one image downscaled to one side, if that is smaller than its own."""
        import tensorflow as tf

        height, width = image.shape[:2]
        small = tf.image.resize(image, (tf.minimum(number, height), tf.minimum(number, width)), method="area")
        return tf.image.resize(small, (height, width))
