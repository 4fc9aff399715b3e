"""Forward passes: crops from many files and threads, gathered into batches of one fixed shape."""

from collections.abc import Callable
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from fauxscan.media.images import Image
from fauxscan.scanning.views import Scored

Forward = Callable[[NDArray[np.uint8]], NDArray[np.float32]]


class Desk:
    """Where threads lay down crops for one model; whoever lays down the last of a batch runs it."""

    def __init__(self, forward: Forward, batch: int, size: int) -> None:
        self._forward = forward
        self._images = np.zeros((batch, size, size, 3), np.uint8)
        self._rows: list[Scored] = []
        self._lock = Lock()

    def add(self, image: Image, row: Scored) -> None:
        """Take a crop (size, size, 3). The lock holds back the threads that decode, so memory does not grow."""
        with self._lock:
            self._images[len(self._rows)] = image
            self._rows.append(row)
            if len(self._rows) == len(self._images):
                self._run()

    def flush(self) -> None:
        """Run what is left; from now on every row handed in has its logit."""
        with self._lock:
            if self._rows:
                self._run()

    def _run(self) -> None:
        rows, self._rows = self._rows, []
        for row, logit in zip(rows, self._forward(self._images[: len(rows)]), strict=True):
            row.logit = float(logit)
