"""The decoders of an engine: started when they are needed, lent to one thread at a time, ended together."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from queue import Empty, SimpleQueue
from typing import Protocol

from fauxscan.scanning.decoding.views import OnCrop
from fauxscan.scanning.decoding.worker import FileToDecode
from fauxscan.scanning.rows import Outcome


class MediaDecoder(Protocol):
    """Decodes files: a `Decoder`, which is a process."""

    def decode(self, files: Sequence[FileToDecode], on_crop: OnCrop) -> list[Outcome]:
        """Return what decoding shows of each file, after passing its crops to `on_crop`. Raise DecoderLost."""

    def interrupt(self) -> None:
        """Let `decode`, which another thread has called, raise DecoderLost; it may do so only at the next call."""

    def close(self) -> None:
        """End what was started."""


class DecoderPool:
    """As many decoders as threads ask for one at the same time."""

    def __init__(self, create: Callable[[], MediaDecoder]) -> None:
        self._create = create
        self._idle: SimpleQueue[MediaDecoder] = SimpleQueue()

    @contextmanager
    def borrow(self, lent: set[MediaDecoder]) -> Iterator[MediaDecoder]:
        """Lend a decoder to one thread; it is in `lent` until it comes back."""
        try:
            decoder = self._idle.get_nowait()
        except Empty:
            decoder = self._create()
        lent.add(decoder)
        try:
            yield decoder
        finally:
            lent.discard(decoder)
            self._idle.put(decoder)

    def close(self) -> None:
        """End all decoders; none may be lent."""
        while not self._idle.empty():
            self._idle.get_nowait().close()
