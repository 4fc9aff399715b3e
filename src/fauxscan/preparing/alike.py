"""Sources that nobody named, recovered by similarity: in the order of a folder, what looks alike is of one video."""

from collections import deque
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from numpy.typing import NDArray

from fauxscan.media.images import Image
from fauxscan.preparing.faces_table import face_files

WINDOW = 100  # files that are compared with the next one: two shots that take turns are still one video
DISTANCE = 0.3  # up to which two frames are of one shot; benchmarks/groups.py measures both
SIDE = 128  # pixels at which colours are counted
BINS, RANGES = [8, 12, 12], [0, 256, 96, 176, 96, 176]  # of L, a and b: faces and rooms lie near the grey axis
Histogram = NDArray[np.float32]


def recovered(faces: Path, files: pd.DataFrame) -> pd.Series:
    """Return the sources of `files` (columns sha256 and path, in order), each named after the first file of its run."""
    path = dict(zip(files["sha256"], files["path"], strict=True))
    seen = ((path[sha256], histogram(image)) for sha256, image in _images(faces, set(path)))
    source: dict[str, str] = {}
    for _, folder in groupby(seen, key=lambda item: item[0].rpartition("/")[0]):
        names: list[str] = []
        number = runs(_noted(folder, names))
        _, first = np.unique(number, return_index=True)
        source |= {name: f"like {names[first[run]]}" for name, run in zip(names, number, strict=True)}
    return files["path"].map(source)


def _noted(folder: Iterable[tuple[str, Histogram]], names: list[str]) -> Iterator[Histogram]:
    for name, colours in folder:
        names.append(name)
        yield colours


def runs(histograms: Iterable[Histogram], window: int = WINDOW, distance: float = DISTANCE) -> NDArray[np.int64]:
    """Return the number of the run that each histogram belongs to.

    If two files look alike, all between them are taken for the same video, since files lie in the order of videos.
    """
    last: deque[Histogram] = deque(maxlen=window)
    begins: list[bool] = []
    for place, colours in enumerate(histograms):
        begins.append(True)
        near = np.flatnonzero(_hellinger(np.stack(last), colours) <= distance) if last else np.zeros(0, int)
        if len(near):
            first = place - len(last) + int(near[0])
            begins[first + 1 :] = [False] * (place - first)
        last.append(colours)
    return np.cumsum(begins) - 1


def histogram(image: Image) -> Histogram:
    """Return the square roots of the shares of colours of an RGB image, in Lab; shape (1152,)."""
    small = cv2.resize(image, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    counts = cv2.calcHist([cv2.cvtColor(small, cv2.COLOR_RGB2LAB)], [0, 1, 2], None, BINS, RANGES).ravel()
    return np.asarray(np.sqrt(counts / max(float(counts.sum()), 1.0)), np.float32)


def _hellinger(many: Histogram, one: Histogram) -> Histogram:
    """Return the Hellinger distances (n,) of root histograms (n, bins) from one (bins,)."""
    return np.asarray(np.sqrt(np.maximum(0, 1 - many @ one)), np.float32)


def _images(faces: Path, wanted: set[str]) -> Iterator[tuple[str, Image]]:
    """Give the first image of each file wanted, in the order of the faces."""
    for file in face_files(faces):
        for batch in pq.ParquetFile(file).iter_batches(64, columns=["sha256", "image"]):
            for sha256, data in zip(batch["sha256"].to_pylist(), batch["image"], strict=True):
                if sha256 in wanted:
                    wanted.discard(sha256)
                    pixels = np.frombuffer(data.as_buffer(), np.uint8)
                    yield sha256, np.asarray(cv2.imdecode(pixels, cv2.IMREAD_COLOR_RGB), np.uint8)
