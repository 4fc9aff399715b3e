"""Recover sources that the publisher does not name: similar images, in the order of a folder, are of one video."""

from collections import deque
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from numpy.typing import NDArray

from fauxscan.media.images.codec import Image
from fauxscan.preparing.faces.table import face_files

WINDOW = 100  # preceding files that each file is compared with: alternating shots are still one video
DISTANCE = 0.3  # largest Hellinger distance of two frames of one shot; benchmarks/groups.py measures both
SIDE = 128  # pixels: images are resized to this before colours are counted
BINS, RANGES = [8, 12, 12], [0, 256, 96, 176, 96, 176]  # of L, a and b: faces and rooms are near the grey axis
Histogram = NDArray[np.float32]


def recover_sources(faces: Path, files: pd.DataFrame) -> pd.Series:
    """Return the source of each of `files` (columns sha256 and path, in order), named after its first file."""
    path = dict(zip(files["sha256"], files["path"], strict=True))
    histograms = ((path[sha256], histogram(image)) for sha256, image in _first_images(faces, set(path)))
    source: dict[str, str] = {}
    for _, folder in groupby(histograms, key=lambda item: item[0].rpartition("/")[0]):
        names: list[str] = []
        numbers = runs(_collect_names(folder, names))
        _, first = np.unique(numbers, return_index=True)
        source |= {name: f"like {names[first[run]]}" for name, run in zip(names, numbers, strict=True)}
    return files["path"].map(source)


def _collect_names(folder: Iterable[tuple[str, Histogram]], names: list[str]) -> Iterator[Histogram]:
    """Yield the histograms, and append their names to `names`."""
    for name, colours in folder:
        names.append(name)
        yield colours


def runs(histograms: Iterable[Histogram], window: int = WINDOW, distance: float = DISTANCE) -> NDArray[np.int64]:
    """Return the number of the run that each histogram belongs to, (histograms,).

    If two files are similar, all files between them are assigned to the same run, since files are in the order of
    videos.
    """
    last: deque[Histogram] = deque(maxlen=window)
    starts_run: list[bool] = []
    for place, colours in enumerate(histograms):
        starts_run.append(True)
        near = np.flatnonzero(_hellinger(np.stack(last), colours) <= distance) if last else np.zeros(0, int)
        if len(near):
            first = place - len(last) + int(near[0])
            starts_run[first + 1 :] = [False] * (place - first)
        last.append(colours)
    return np.cumsum(starts_run) - 1


def histogram(image: Image) -> Histogram:
    """Return the Lab colour histogram of an RGB image, as square roots of shares, (1152,)."""
    small = cv2.resize(image, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    counts = cv2.calcHist([cv2.cvtColor(small, cv2.COLOR_RGB2LAB)], [0, 1, 2], None, BINS, RANGES).ravel()
    return np.asarray(np.sqrt(counts / max(float(counts.sum()), 1.0)), np.float32)


def _hellinger(many: Histogram, one: Histogram) -> Histogram:
    """Return the Hellinger distances (n,) of square-root histograms (n, bins) from another one (bins,)."""
    return np.asarray(np.sqrt(np.maximum(0, 1 - many @ one)), np.float32)


def _first_images(faces: Path, wanted: set[str]) -> Iterator[tuple[str, Image]]:
    """Yield the SHA-256 and the first image of each wanted file, in the order of the faces."""
    for file in face_files(faces):
        for batch in pq.ParquetFile(file).iter_batches(64, columns=["sha256", "image"]):
            for sha256, data in zip(batch["sha256"].to_pylist(), batch["image"], strict=True):
                if sha256 in wanted:
                    wanted.discard(sha256)
                    pixels = np.frombuffer(data.as_buffer(), np.uint8)
                    yield sha256, np.asarray(cv2.imdecode(pixels, cv2.IMREAD_COLOR_RGB), np.uint8)
