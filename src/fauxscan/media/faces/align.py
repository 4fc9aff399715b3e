"""Turn a face upright by its five landmarks, and crop it with a margin."""

import cv2
import numpy as np
from numpy.typing import NDArray

from fauxscan.media.images.codec import Image
from fauxscan.media.images.pixels import shrink_to

# Eyes, nose tip and mouth corners of an upright face in a unit square, in YuNet's order: the eye on the left of the
# image first. This is the ArcFace template of 112 px (Deng et al. 2019).
TEMPLATE = (
    np.array([[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]])
    / 112.0
)


def align_face(image: Image, landmarks: NDArray[np.float32], margin: float, size: int) -> Image:
    """Return the face upright in a square RGB crop (size, size, 3); `margin` is the share added on each side.

    The crop is a similarity transform of the image (least squares over the five landmarks). Beyond the edge of the
    image its last pixels are repeated.
    """
    target = (TEMPLATE + margin) / (1 + 2 * margin) * size
    matrix = similarity_transform(landmarks, target)
    scale = float(np.hypot(matrix[0, 0], matrix[1, 0]))
    if scale < 0.5:  # bilinear sampling alone would skip pixels of a large face
        image, shrunk = shrink_to(image, max(1, round(max(image.shape[:2]) * scale * 2)))
        matrix[:, :2] /= shrunk
    warped = cv2.warpAffine(image, matrix, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(warped, np.uint8)


def crop_side(landmarks: NDArray[np.float32], margin: float) -> float:
    """Return the side of the square that `align_face` cuts out, in pixels of the image."""
    matrix = similarity_transform(landmarks, (TEMPLATE + margin) / (1 + 2 * margin))
    return float(1 / np.hypot(matrix[0, 0], matrix[1, 0]))


def similarity_transform(points: NDArray[np.floating], target: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the (2, 3) matrix of rotation, scale and shift that best maps points (n, 2) to target (n, 2)."""
    x, y = points[:, 0].astype(np.float64), points[:, 1].astype(np.float64)
    zero, one = np.zeros_like(x), np.ones_like(x)
    rows = np.concatenate([np.stack([x, -y, one, zero], 1), np.stack([y, x, zero, one], 1)])
    (a, b, shift_x, shift_y), *_ = np.linalg.lstsq(rows, target.T.ravel(), rcond=None)
    return np.array([[a, -b, shift_x], [b, a, shift_y]])
