"""Forward passes: crops from many files and threads, gathered into batches of one fixed shape."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from queue import Empty, SimpleQueue
from threading import Condition, Lock

import numpy as np
from numpy.typing import NDArray

from fauxscan.media.images import Image
from fauxscan.scanning.views import Scored

Forward = Callable[[NDArray[np.uint8]], NDArray[np.float32]]  # (n, size, size, 3) -> logits (n,)


class Batch:
    """Crops that go through a model together."""

    def __init__(self, images: NDArray[np.uint8]) -> None:
        self.images, self.rows = images, list[Scored]()
        self.done: Future[None] = Future()

    def add(self, image: Image, row: Scored) -> bool:
        """Take a crop; return whether the batch is full."""
        self.images[len(self.rows)] = image
        self.rows.append(row)
        return len(self.rows) == len(self.images)


class Desk:
    """Where threads lay down crops for one model; whoever lays down the last of a batch runs it."""

    def __init__(self, forward: Forward, batch: int, size: int) -> None:
        self._forward, self._shape = forward, (batch, size, size, 3)
        self._spare: SimpleQueue[NDArray[np.uint8]] = SimpleQueue()
        self._open = Batch(self._buffer())
        self._lock = Lock()

    def add(self, image: Image, row: Scored) -> "Future[None]":
        """Take a crop (size, size, 3); return what is done when its row has its logit."""
        with self._lock:
            batch = self._open
            if full := batch.add(image, row):
                self._open = Batch(self._buffer())
        if full:
            self._run(batch)
        return batch.done

    def flush(self) -> None:
        """Run the batch that is not full."""
        with self._lock:
            batch, self._open = self._open, Batch(self._buffer())
        if batch.rows:
            self._run(batch)

    def _buffer(self) -> NDArray[np.uint8]:
        try:
            return self._spare.get_nowait()
        except Empty:
            return np.zeros(self._shape, np.uint8)

    def _run(self, batch: Batch) -> None:
        """Give each row its logit. A model's error is no file's: it goes to all who wait."""
        try:
            logits = self._forward(batch.images[: len(batch.rows)])
        except BaseException as error:
            batch.done.set_exception(error)
            raise
        for row, logit in zip(batch.rows, logits, strict=True):
            row.logit = float(logit)
        self._spare.put(batch.images)
        batch.done.set_result(None)


class Desks:
    """One desk a model, opened for the first crop. Batches of files that are read at once share batches of crops."""

    def __init__(self, opened: Callable[[], Sequence[Desk]]) -> None:
        self._opened = opened
        self._desks: Sequence[Desk] = ()
        self._opening = Lock()
        self._readers = 0
        self._changed = Condition()

    def lay(self, row: Scored, image: Image) -> "Future[None]":
        """Lay down a crop; return what is done when its row has its logit."""
        with self._opening:
            self._desks = self._desks or self._opened()
        return self._desks[row.model].add(image, row)

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Say that crops may yet come, for which others had better wait."""
        with self._changed:
            self._readers += 1
        try:
            yield
        finally:
            with self._changed:
                self._readers -= 1
                self._changed.notify_all()

    def settle(self, laid: Sequence["Future[None]"]) -> None:
        """Return when all these have their logits: in batches that others fill up, or else as they are."""
        with self._changed:
            while self._readers and not all(done.done() for done in laid):
                self._changed.wait(0.05)
        if not all(done.done() for done in laid):
            for desk in self._desks:
                desk.flush()
        for done in laid:
            done.result()
