"""The one resizer, in OpenCV for scanning and in TensorFlow for training: the same pixels within rounding."""

from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from fauxscan.media.images import Image

if TYPE_CHECKING:
    Tensor = Any


def resize(image: Image, size: int) -> Image:
    """Return the RGB image as a square (size, size, 3): area averages when it shrinks, bilinear when it grows."""
    height, width = image.shape[:2]
    if (height, width) == (size, size):
        return image
    shrinks = height >= size and width >= size
    how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR_EXACT
    return np.asarray(cv2.resize(image, (size, size), interpolation=how))


def shrink_to(image: Image, longer: int) -> tuple[Image, float]:
    """Return the image with its longer side at most `longer` pixels, and the scale applied (1 if none)."""
    height, width = image.shape[:2]
    scale = min(1.0, longer / max(height, width))
    if scale == 1.0:
        return image, 1.0
    shape = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(cv2.resize(image, shape, interpolation=cv2.INTER_AREA)), scale


def decode_tensor(data: "Tensor", is_png: "Tensor") -> "Tensor":
    """Return uint8 RGB (height, width, 3) of an encoded image, equal to what `images.decode` gives."""
    import tensorflow as tf

    # TensorFlow's default JPEG transform differs from libjpeg's accurate one by up to 16 levels.
    jpeg = lambda: tf.io.decode_jpeg(data, channels=3, dct_method="INTEGER_ACCURATE")
    return tf.cond(is_png, lambda: tf.io.decode_png(data, channels=3), jpeg)


def resize_tensor(image: "Tensor", size: int) -> "Tensor":
    """Return float32 RGB (size, size, 3) in 0..255 as `resize` would, rounded to whole levels."""
    import tensorflow as tf

    shape = tf.shape(image)
    target = (size, size)
    image = tf.cast(image, tf.float32)
    shrinks = tf.logical_and(shape[0] >= size, shape[1] >= size)
    area = lambda: tf.image.resize(image[None], target, method="area")[0]
    grown = tf.cond(shrinks, area, lambda: tf.image.resize(image, target, method="bilinear"))
    return tf.ensure_shape(tf.floor(grown + 0.5), (size, size, 3))  # halves go up, as in OpenCV
