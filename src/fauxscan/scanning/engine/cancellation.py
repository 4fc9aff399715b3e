"""Cancelling one request of an engine, while other requests go on."""

from collections.abc import Collection, Sequence
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future, InvalidStateError, wait
from contextlib import suppress
from typing import Any, TypeVar

T = TypeVar("T")


class Cancellation:
    """A handle that is passed with one or more requests and cancels them, from any thread."""

    def __init__(self) -> None:
        self._signal: Future[None] = Future()

    def cancel(self) -> None:
        """Begin no more files. Files that have begun are finished if that does not take long."""
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
        """Return those that are done, waiting until one is or `cancel` is called."""
        done, _ = wait({*futures, self._signal}, return_when=FIRST_COMPLETED)
        return done - {self._signal}


def complete(results: Sequence[T | None]) -> list[T]:
    """Return the results. Raise CancelledError if one is None because the request was cancelled."""
    there = [result for result in results if result is not None]
    if len(there) < len(results):
        raise CancelledError
    return there
