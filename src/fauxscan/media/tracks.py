"""Faces followed through a clip: found everywhere now and then, in between near where they were, numbered as tracks."""

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from fauxscan.media.faces import SAME_FACE_IOU, Face, FaceFinder, overlap
from fauxscan.media.images import Image

PATIENCE = 5  # sampled frames that a track survives without its face
REACH = 1.0  # faces' sizes that a head may move between two sampled frames
LIKE_SIZE = 1.6  # and how much it may grow or shrink
SKETCH = 64  # points across the frame that tell a new scene ...
NEW_SCENE = 8.0  # ... by this mean difference of grey levels: on real clips faces come and go at cuts of 11 and more


class Watcher:
    """Finds and numbers the faces of one video, frame by frame."""

    def __init__(self, finder: FaceFinder) -> None:
        self.finder, self.tracker = finder, Tracker()
        self._last: list[Face] = []
        self._sketch = np.zeros((0, 0))
        self._since = 0  # sampled frames since the last search of a whole frame

    def find(self, image: Image) -> list[Face]:
        """Return the faces of the next sampled frame, with their tracks."""
        near = self.finder.find_near(image, self._last) if self._may_be_near(image) else None
        self._since = 0 if near is None else self._since + 1
        self._last = self.finder.find(image) if near is None else near
        return self.tracker.follow(self._last)

    def _may_be_near(self, image: Image) -> bool:
        """Return whether this is no frame for a full search, and shows the scene of the frame before."""
        if self.finder.params.search_every == 1:
            return False
        before, self._sketch = self._sketch, _sketch(image)
        due = not self._last or self._since + 1 >= self.finder.params.search_every
        return not due and before.shape == self._sketch.shape and np.abs(self._sketch - before).mean() <= NEW_SCENE


def _sketch(image: Image) -> NDArray[np.float64]:
    """Return a grid of grey levels, about SKETCH points across."""
    step = max(1, max(image.shape[:2]) // SKETCH)
    return np.asarray(image[::step, ::step].mean(axis=2))


@dataclass
class Tracker:
    """Numbers faces through a clip: one that overlaps a known face, or is near one of its size, keeps its track."""

    known: dict[int, tuple[Face, int]] = field(default_factory=dict)  # track -> last face, frames since
    count: int = 0

    def follow(self, faces: list[Face]) -> list[Face]:
        """Return the faces with their track numbers; pairs are matched best first."""
        pairs = [(*_apart(face, last), n, track) for n, face in enumerate(faces) for track, (last, _) in self.known.items()]
        tracks: dict[int, int] = {}
        for _, distance, n, track in sorted(pairs):
            if distance <= REACH and n not in tracks and track not in tracks.values():
                tracks[n] = track
        for n in range(len(faces)):
            if n not in tracks:
                tracks[n], self.count = self.count, self.count + 1
        followed = [replace(face, track=tracks[n]) for n, face in enumerate(faces)]
        self._remember(followed)
        return followed

    def _remember(self, faces: list[Face]) -> None:
        waiting = {track: (face, missed + 1) for track, (face, missed) in self.known.items() if missed < PATIENCE}
        self.known = waiting | {face.track: (face, 0) for face in faces}


def _apart(one: Face, other: Face) -> tuple[float, float]:
    """Return the overlap, negated so that the best sorts first, and the distance in sizes; infinite if unlike."""
    shared = overlap(one, other)
    sizes = float(np.sqrt(one.w * one.h)), float(np.sqrt(other.w * other.h))
    if shared < SAME_FACE_IOU and max(sizes) > LIKE_SIZE * min(sizes):
        return -shared, float("inf")
    across = (one.x + one.w / 2 - other.x - other.w / 2, one.y + one.h / 2 - other.y - other.h / 2)
    return -shared, float(np.hypot(*across)) / max(sizes)
