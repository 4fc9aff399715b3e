"""Follow faces through a video: search whole frames now and then, near the last positions in between; number tracks."""

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from fauxscan.media.faces.finder import SAME_FACE_IOU, Face, FaceFinder, box_overlap, search_region
from fauxscan.media.images.codec import Image

PATIENCE = 5  # sampled frames that a track survives without a face
REACH = 1.0  # how far a face may move between two sampled frames, in multiples of its size
LIKE_SIZE = 1.6  # the factor by which it may grow or shrink
SOON = 0.75  # seconds after which a face has moved: a search near its position costs more than it saves
SKETCH = 64  # points across a frame that are compared with the frame before
NEWS = 8.0  # mean difference in grey levels that calls for a full search; faces that appear in real clips exceed it


class VideoFaceFinder:
    """Finds and numbers the faces of one video, frame by frame."""

    def __init__(self, finder: FaceFinder) -> None:
        self.finder, self.tracker = finder, Tracker()
        self._last: list[Face] = []
        self._sketch: NDArray[np.float32] = np.zeros((0, 0), np.float32)
        self._since = 0  # sampled frames since a whole frame was searched
        self._time_s = -SOON

    def find_faces(self, image: Image, time_s: float) -> list[Face]:
        """Return the faces of the next sampled frame, with their track numbers."""
        soon, self._time_s = time_s - self._time_s < SOON, time_s
        found = self.finder.find_faces_near(image, self._last) if soon and self._may_be_near(image) else None
        self._since = 0 if found is None else self._since + 1
        self._last = self.finder.find_faces_in_frame(image) if found is None else found
        return self.tracker.follow(self._last)

    def _may_be_near(self, image: Image) -> bool:
        """Return whether no full search is due and nothing has changed except near the last faces."""
        if self.finder.params.search_every == 1:
            return False
        before, self._sketch = self._sketch, _sketch(image)
        if not self._last or self._since + 1 >= self.finder.params.search_every or before.shape != self._sketch.shape:
            return False
        elsewhere = np.abs(self._sketch - before)[self._elsewhere(image)]
        return elsewhere.size == 0 or bool(elsewhere.mean() <= NEWS)

    def _elsewhere(self, image: Image) -> NDArray[np.bool_]:
        """Return which points of the sketch lie outside the regions in which the last faces are searched."""
        step, far = _step(image), np.ones(self._sketch.shape, bool)
        for left, top, right, bottom in (search_region(face) for face in self._last):
            far[top // step : -(-bottom // step), left // step : -(-right // step)] = False
        return far


def _sketch(image: Image) -> NDArray[np.float32]:
    """Return a grid of grey levels (rows, columns), at least SKETCH points along the longer side."""
    step = _step(image)
    return np.asarray(image[::step, ::step].mean(axis=2, dtype=np.float32))


def _step(image: Image) -> int:
    height, width = image.shape[:2]
    return max(1, int(max(height, width)) // SKETCH)


@dataclass
class Tracker:
    """Numbers faces through a video: a face that overlaps a known one, or is near one of its size, keeps its track."""

    known: dict[int, tuple[Face, int]] = field(default_factory=dict)  # track -> last face, frames since
    count: int = 0

    def follow(self, faces: list[Face]) -> list[Face]:
        """Return the faces with their track numbers; the best pairs are matched first."""
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
    """Return the negated overlap, so that the best sorts first, and the distance in face sizes; infinite if unlike."""
    shared = box_overlap(one, other)
    sizes = float(np.sqrt(one.w * one.h)), float(np.sqrt(other.w * other.h))
    if shared < SAME_FACE_IOU and max(sizes) > LIKE_SIZE * min(sizes):
        return -shared, float("inf")
    across = (one.x + one.w / 2 - other.x - other.w / 2, one.y + one.h / 2 - other.y - other.h / 2)
    return -shared, float(np.hypot(*across)) / max(sizes)
