"""Reals and the fakes that are made of them in training, so that reals are enough (media/blending/self_blended.py)."""

from typing import Any

import numpy as np
import tensorflow as tf

from fauxscan.media.blending import self_blended
from fauxscan.media.images.codec import Image
from fauxscan.records import FAKE, REAL

Pair = tuple[Any, Any]  # uint8 images (2, size, size, 3) and float32 labels (2, 1), of the real first


def drawn(reals: tf.data.Dataset, margin: float, seed: int) -> tf.data.Dataset:
    """Return (image, label) of reals and fakes in turn from (image, label) of reals, with new blends each epoch."""

    def blended(image: Image, number: np.int64) -> Image:
        return np.stack(self_blended.blend_pair(image, margin, np.random.default_rng(number)))

    numbers = tf.data.Dataset.random(seed, rerandomize_each_iteration=True)  # the same in each run
    data = tf.data.Dataset.zip(reals, numbers)
    data = data.map(lambda real, number: _pair(blended, real[0], number), tf.data.AUTOTUNE)
    return data.unbatch()


def fixed(image: Any, sha256: Any, track: Any, margin: float) -> Pair:
    """Return the pair of an unchanged real and the fake that is always made of it."""

    def blended(image: Image, sha256: bytes, track: np.int64) -> Image:
        return np.stack([image, self_blended.blend_fixed_fake(image, margin, sha256.decode(), int(track))])

    return _pair(blended, image, sha256, track)


def _pair(blended: Any, image: Any, *drawn_by: Any) -> Pair:
    images = tf.numpy_function(blended, (image, *drawn_by), tf.uint8)
    return tf.ensure_shape(images, (2, *image.shape)), tf.constant([[REAL], [FAKE]], tf.float32)
