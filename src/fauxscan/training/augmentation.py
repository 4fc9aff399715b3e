"""Random changes of training images, by name: Keras's layers, on batches of float RGB in 0..255."""

from collections.abc import Mapping
from typing import Any

import keras
from keras import layers

from fauxscan.records import UserError

RANGE = (0, 255)


def zoom(factor: float, seed: int) -> keras.Layer:
    """Return a layer that zooms in or out by up to `factor` (share of the size)."""
    return layers.RandomZoom((-factor, factor), fill_mode="reflect", seed=seed)


def rotation(degrees: float, seed: int) -> keras.Layer:
    """Return a layer that turns by up to `degrees` either way."""
    return layers.RandomRotation(degrees / 360, fill_mode="reflect", seed=seed)


def shift(factor: float, seed: int) -> keras.Layer:
    """Return a layer that shifts in both directions by up to `factor` (share of the size)."""
    return layers.RandomTranslation(factor, factor, fill_mode="reflect", seed=seed)


def flip(seed: int) -> keras.Layer:
    """Return a layer that mirrors left and right, half of the time."""
    return layers.RandomFlip("horizontal", seed=seed)


def brightness(factor: float, seed: int) -> keras.Layer:
    """Return a layer that adds up to `factor` (share of the range) either way."""
    return layers.RandomBrightness(factor, value_range=RANGE, seed=seed)


def hue(factor: float, seed: int) -> keras.Layer:
    """Return a layer that turns the hue by up to `factor` (share of the circle, halved)."""
    return layers.RandomHue(factor, value_range=RANGE, seed=seed)


AUGMENTATIONS = {made.__name__: made for made in (zoom, rotation, shift, flip, brightness, hue)}


def pipeline(augmentation: Mapping[str, Mapping[str, Any]], seed: int) -> list[keras.Layer]:
    """Return the named layers in order, each with its own seed. Raise UserError for an unknown name or argument."""
    made = []
    for number, (name, arguments) in enumerate(augmentation.items()):
        if name not in AUGMENTATIONS:
            raise UserError(f"unknown augmentation {name!r}; there are: {', '.join(AUGMENTATIONS)}")
        try:
            made.append(AUGMENTATIONS[name](**arguments, seed=seed + number))
        except TypeError as error:
            raise UserError(f"augmentation {name!r} does not take {dict(arguments)}: {error}") from error
    return made
