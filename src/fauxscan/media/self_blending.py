"""Fakes made of reals: self-blended images of face crops, after Shiohara and Yamasaki, CVPR 2022.

Unlike the paper's they need no landmarks. A crop is aligned (media/faces.py), so the average face stands in for its
own, where alignment with this margin puts it (in the middle, 1 / (1 + 2 margin) of the crop wide), moved, turned and
deformed at random. A crop that came as an image is taken as if it were cut so.
"""

import cv2
import numpy as np

from fauxscan.media import blending
from fauxscan.media.blending import CANVAS, CELL, EYES, MOUTH, Pose
from fauxscan.media.faces import TEMPLATE, similarity
from fauxscan.media.images import Image, compressed

GENERATOR = "self_blended"
QUALITIES = (40, 100)  # of the JPEG that both of a pair become half of the time: the paper's


def pair(image: Image, margin: float, rng: np.random.Generator) -> tuple[Image, Image]:
    """Return a real and the fake made of it, both RGB (n, n, 3), of a face crop (n, n, 3) with this margin.

    The real is what the fake shows outside the face: restyled where the fake's target is, and compressed as the fake
    is. So neither resampling nor compression of the whole tells the two apart.
    """
    found = blending.blended(image.astype(np.float32), _pose(len(image), margin, rng), blending.draw(rng))
    real, fake = (np.rint(pixels).astype(np.uint8) for pixels in found)
    if rng.integers(2):
        quality = int(rng.integers(QUALITIES[0], QUALITIES[1] + 1))
        return compressed(real, quality), compressed(fake, quality)
    return real, fake


def fixed(image: Image, margin: float, sha256: str, track: int) -> Image:
    """Return a fake made of a face crop, blended in the same manner each time and all along the track of a file."""
    return pair(image, margin, np.random.default_rng([int(sha256[:16], 16), track]))[1]


def _pose(size: int, margin: float, rng: np.random.Generator) -> Pose:
    """Return where the average face's portrait lies in a crop: as `faces.align` has it, and a little off at random."""
    corners = MOUTH[0], MOUTH[2]
    known = np.array(EYES + corners, np.float32) * CANVAS / CELL
    target = (TEMPLATE[[0, 1, 3, 4]] + margin) / (1 + 2 * margin) * size
    placed = similarity(known, target)
    off = cv2.getRotationMatrix2D((size / 2, size / 2), rng.normal(0, 4), rng.uniform(0.9, 1.1))
    off[:, 2] += rng.normal(0, 0.015 * size, 2)
    return np.asarray(off @ np.vstack([placed, [0, 0, 1]]), np.float32)
