"""Cancelling one request of an engine, while other requests go on."""

from collections.abc import Collection
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future, InvalidStateError, wait
from contextlib import suppress
from typing import Any


class Cancellation:
    """A handle that is passed with one or more requests and cancels them, from any thread."""

    def __init__(self) -> None:
        self._signal: Future[None] = Future()

    def cancel(self) -> None:
        """Begin no more files. Whoever waits for a request gets CancelledError; files that have begun are finished."""
        with suppress(InvalidStateError):  # it was cancelled before
            self._signal.set_result(None)

    @property
    def cancelled(self) -> bool:
        """Return whether `cancel` was called."""
        return self._signal.done()

    def check(self) -> None:
        """Raise CancelledError if `cancel` was called."""
        if self.cancelled:
            raise CancelledError

    def wait_any(self, futures: Collection["Future[Any]"]) -> set["Future[Any]"]:
        """Return those that are done, waiting until one is. Raise CancelledError."""
        done, _ = wait({*futures, self._signal}, return_when=FIRST_COMPLETED)
        self.check()
        return done
