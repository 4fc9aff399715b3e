"""Forward passes: crops from many files and threads, gathered into batches of one fixed shape."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from queue import Empty, SimpleQueue
from threading import Condition, Lock
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fauxscan.media.images.codec import Image

Logits = NDArray[np.float32]
Forward = Callable[[NDArray[np.uint8]], Logits]  # (n, size, size, 3) -> logits (n,)
POLL_S = 0.05  # how often a request that waits for others to fill its batch looks again


class PendingLogit(NamedTuple):
    """The logit of one crop, which is there once its batch has gone through the model."""

    batch: "Future[Logits]"
    position: int

    @property
    def done(self) -> bool:
        """Return whether the model has run."""
        return self.batch.done()

    def result(self) -> float:
        """Return the logit, waiting for it. Raise what the model raised."""
        return float(self.batch.result()[self.position])


class Batch:
    """Crops that go through a model together."""

    def __init__(self, images: NDArray[np.uint8]) -> None:
        self.images, self.count = images, 0
        self.logits: Future[Logits] = Future()

    def add(self, image: Image) -> PendingLogit:
        """Copy a crop into the batch and return its logit to come."""
        self.images[self.count] = image
        self.count += 1
        return PendingLogit(self.logits, self.count - 1)

    @property
    def full(self) -> bool:
        """Return whether there is no room for another crop."""
        return self.count == len(self.images)


class Batcher:
    """Collects the crops for one model from many threads; the thread that fills a batch runs it."""

    def __init__(self, forward: Forward, batch: int, size: int) -> None:
        self._forward, self._shape = forward, (batch, size, size, 3)
        self._spare: SimpleQueue[NDArray[np.uint8]] = SimpleQueue()
        self._open = Batch(self._buffer())
        self._lock = Lock()

    def submit(self, image: Image) -> PendingLogit:
        """Take a crop (size, size, 3) and return its logit to come."""
        with self._lock:
            batch = self._open
            pending = batch.add(image)
            if full := batch.full:
                self._open = Batch(self._buffer())
        if full:
            self._run(batch)
        return pending

    def flush(self) -> None:
        """Run the batch that is not full."""
        with self._lock:
            batch, self._open = self._open, Batch(self._buffer())
        if batch.count:
            self._run(batch)

    def _buffer(self) -> NDArray[np.uint8]:
        try:
            return self._spare.get_nowait()
        except Empty:
            return np.zeros(self._shape, np.uint8)

    def _run(self, batch: Batch) -> None:
        """Run the model. Its error is not the fault of one file: everyone who waits for the batch gets it."""
        try:
            logits = self._forward(batch.images[: batch.count])
        except BaseException as error:
            batch.logits.set_exception(error)
            raise
        self._spare.put(batch.images)
        batch.logits.set_result(logits)


class Batchers:
    """One batcher for each model, created for the first crop. Requests that run at once share batches."""

    def __init__(self, create: Callable[[], Mapping[str, Batcher]]) -> None:
        self._create = create
        self._by_model: Mapping[str, Batcher] = {}
        self._creating = Lock()
        self._readers = 0
        self._changed = Condition()

    def submit(self, model: str, image: Image) -> PendingLogit:
        """Take a crop for a model and return its logit to come."""
        with self._creating:
            self._by_model = self._by_model or self._create()
        return self._by_model[model].submit(image)

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Announce that more crops may come: requests that wait for a batch let it fill."""
        with self._changed:
            self._readers += 1
        try:
            yield
        finally:
            with self._changed:
                self._readers -= 1
                self._changed.notify_all()

    def wait_all(self, pending: Sequence[PendingLogit], cancelled: Callable[[], bool] = lambda: False) -> None:
        """Return when all these logits are there. Run batches that no reader will fill, once cancelled all."""
        with self._changed:
            while self._readers and not cancelled() and not all(one.done for one in pending):
                self._changed.wait(POLL_S)
        if not all(one.done for one in pending):
            for batcher in self._by_model.values():
                batcher.flush()
        for one in pending:
            one.batch.result()
