"""Faces followed through a clip: found everywhere now and then, in between near where they were, numbered as tracks."""

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from fauxscan.media.faces import SAME_FACE_IOU, Face, FaceFinder, near, overlap
from fauxscan.media.images import Image

PATIENCE = 5  # sampled frames that a track survives without its face
REACH = 1.0  # faces' sizes that a head may move between two sampled frames
LIKE_SIZE = 1.6  # and how much it may grow or shrink
SOON = 0.75  # seconds after which a face is elsewhere: to look near its place first costs more than it saves
SKETCH = 64  # points across the frame that tell whether something new shows ...
NEWS = 8.0  # ... by their mean difference in grey levels: where faces come and go unseen in real clips it is more


class Watcher:
    """Finds and numbers the faces of one video, frame by frame."""

    def __init__(self, finder: FaceFinder) -> None:
        self.finder, self.tracker = finder, Tracker()
        self._last: list[Face] = []
        self._sketch: NDArray[np.float32] = np.zeros((0, 0), np.float32)
        self._since = 0  # sampled frames since the last search of a whole frame
        self._time_s = -SOON

    def find(self, image: Image, time_s: float) -> list[Face]:
        """Return the faces of the next sampled frame, with their tracks."""
        soon, self._time_s = time_s - self._time_s < SOON, time_s
        found = self.finder.find_near(image, self._last) if soon and self._may_be_near(image) else None
        self._since = 0 if found is None else self._since + 1
        self._last = self.finder.find(image) if found is None else found
        return self.tracker.follow(self._last)

    def _may_be_near(self, image: Image) -> bool:
        """Return whether this is no frame for a full search, and nothing new shows but near the last faces."""
        if self.finder.params.search_every == 1:
            return False
        before, self._sketch = self._sketch, _sketch(image)
        if not self._last or self._since + 1 >= self.finder.params.search_every or before.shape != self._sketch.shape:
            return False
        elsewhere = np.abs(self._sketch - before)[self._elsewhere(image)]
        return elsewhere.size == 0 or bool(elsewhere.mean() <= NEWS)

    def _elsewhere(self, image: Image) -> NDArray[np.bool_]:
        """Return which points of the sketch are in no region where the last faces will be looked for."""
        step, far = _step(image), np.ones(self._sketch.shape, bool)
        for left, top, right, bottom in (near(face) for face in self._last):
            far[top // step : -(-bottom // step), left // step : -(-right // step)] = False
        return far


def _sketch(image: Image) -> NDArray[np.float32]:
    """Return a grid of grey levels, SKETCH points across or a few more."""
    step = _step(image)
    return np.asarray(image[::step, ::step].mean(axis=2, dtype=np.float32))


def _step(image: Image) -> int:
    height, width = image.shape[:2]
    return max(1, int(max(height, width)) // SKETCH)


@dataclass
class Tracker:
    """Numbers faces through a clip: one that overlaps a known face, or is near one of its size, keeps its track."""

    known: dict[int, tuple[Face, int]] = field(default_factory=dict)  # track -> last face, frames since
    count: int = 0

    def follow(self, faces: list[Face]) -> list[Face]:
        """Return the faces with their track numbers; pairs are matched best first."""
        known = [(track, last) for track, (last, _) in self.known.items()]
        pairs = sorted((*_apart(face, last), n, track) for n, face in enumerate(faces) for track, last in known)
        tracks: dict[int, int] = {}
        for _, distance, n, track in pairs:
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
