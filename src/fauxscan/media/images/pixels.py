"""The one resizer, in OpenCV for scanning and in TensorFlow for training: equal pixels within rounding."""

from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from fauxscan.media.images.codec import Image

if TYPE_CHECKING:
    Tensor = Any


def resize(image: Image, size: int) -> Image:
    """Return the RGB image as a square (size, size, 3): area averaging to shrink it, bilinear to enlarge it."""
    height, width = image.shape[:2]
    if (height, width) == (size, size):
        return image
    shrinks = height >= size and width >= size
    how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR_EXACT
    return np.asarray(cv2.resize(image, (size, size), interpolation=how))


def shrink_to(image: Image, longer: int) -> tuple[Image, float]:
    """Return the image with its longer side at most `longer` pixels, and the scale applied (1.0 if unchanged)."""
    height, width = image.shape[:2]
    scale = min(1.0, longer / max(height, width))
    if scale == 1.0:
        return image, 1.0
    shape = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(cv2.resize(image, shape, interpolation=cv2.INTER_AREA)), scale


def halve_to(image: Image, longer: int) -> tuple[Image, float]:
    """Return what `shrink_to` does, several times as fast and less exact: for finding faces, never for judging them.

    The image is halved by averaging as often as possible and then interpolated. An odd last row or column is left out.
    """
    target, height, width, factor = longer, *image.shape[:2], 1
    while max(height, width) >= 2 * target and min(height, width) >= 2:
        height, width, factor = height // 2, width // 2, factor * 2
        image = np.asarray(cv2.resize(image[: height * 2, : width * 2], (width, height), interpolation=cv2.INTER_AREA))
    scale = min(1.0, target / max(height, width))
    if scale < 1.0:
        shape = (max(1, round(width * scale)), max(1, round(height * scale)))
        image = np.asarray(cv2.resize(image, shape, interpolation=cv2.INTER_LINEAR))
    return image, scale / factor


def decode_tensor(data: "Tensor") -> "Tensor":
    """Return uint8 RGB (height, width, 3) of an encoded JPEG or PNG, equal to what `images.decode` gives."""
    import tensorflow as tf

    # TensorFlow's default JPEG transform differs from libjpeg's accurate one by up to 16 levels. The operation also
    # decodes PNG.
    return tf.io.decode_jpeg(data, channels=3, dct_method="INTEGER_ACCURATE")


def resize_tensor(image: "Tensor", size: int) -> "Tensor":
    """Return uint8 RGB (size, size, 3) as `resize` would, of uint8 RGB (height, width, 3)."""
    import tensorflow as tf

    shape, target = tf.shape(image)[:2], (size, size)
    way = tf.where(tf.reduce_all(shape == size), 0, tf.where(tf.reduce_min(shape) >= size, 1, 2))
    area = lambda: _whole_levels(tf.image.resize(image[None], target, method="area")[0])
    bilinear = lambda: _whole_levels(tf.image.resize(image, target, method="bilinear"))
    return tf.ensure_shape(tf.switch_case(way, [lambda: image, area, bilinear]), (size, size, 3))


def _whole_levels(image: "Tensor") -> "Tensor":
    import tensorflow as tf

    return tf.cast(image + 0.5, tf.uint8)  # halves are rounded up, as in OpenCV
