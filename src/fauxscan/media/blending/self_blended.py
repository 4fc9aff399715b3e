"""Make fakes from reals: self-blended images of face crops, after Shiohara and Yamasaki, CVPR 2022.

Unlike the paper's they need no landmarks. A crop is aligned (media/faces/align.py), so the landmarks of the average
face are used where alignment with this margin puts them (centred, 1 / (1 + 2 margin) of the crop wide), moved, rotated
and deformed at random. A crop that came as an image is assumed to be framed in the same way.
"""

import cv2
import numpy as np

from fauxscan.media.blending import blend
from fauxscan.media.blending.blend import CANVAS, CELL, EYES, MOUTH, Pose
from fauxscan.media.faces.align import TEMPLATE, similarity_transform
from fauxscan.media.images.codec import Image, jpeg_compressed

GENERATOR = "self_blended"
QUALITIES = (40, 100)  # of the JPEG that both images of a pair become half of the time, as in the paper


def blend_pair(image: Image, margin: float, rng: np.random.Generator) -> tuple[Image, Image]:
    """Return a real and the fake made from it, both RGB (n, n, 3), for a face crop (n, n, 3) with this margin.

    Outside the face the two are equal: the real is changed as the target of the fake is, and compressed as the fake is.
    So neither resampling nor compression of the whole image gives the class away.
    """
    blended = blend.blend_face(image.astype(np.float32), _pose(len(image), margin, rng), blend.draw_blend(rng))
    real, fake = (np.rint(pixels).astype(np.uint8) for pixels in blended)
    if rng.integers(2):
        quality = int(rng.integers(QUALITIES[0], QUALITIES[1] + 1))
        return jpeg_compressed(real, quality), jpeg_compressed(fake, quality)
    return real, fake


def blend_fixed_fake(image: Image, margin: float, sha256: str, track: int) -> Image:
    """Return the fake of a face crop that is blended in the same way each time, throughout a track of a file."""
    return blend_pair(image, margin, np.random.default_rng([int(sha256[:16], 16), track]))[1]


def _pose(size: int, margin: float, rng: np.random.Generator) -> Pose:
    """Return where the portrait of the average face lies in a crop: as `align_face` puts it, with a random offset."""
    corners = MOUTH[0], MOUTH[2]
    known = np.array(EYES + corners, np.float32) * CANVAS / CELL
    target = (TEMPLATE[[0, 1, 3, 4]] + margin) / (1 + 2 * margin) * size
    placed = similarity_transform(known, target)
    off = cv2.getRotationMatrix2D((size / 2, size / 2), rng.normal(0, 4), rng.uniform(0.9, 1.1))
    off[:, 2] += rng.normal(0, 0.015 * size, 2)
    return np.asarray(off @ np.vstack([placed, [0, 0, 1]]), np.float32)
