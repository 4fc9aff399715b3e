"""The contents that are being judged at this moment: a content that occurs twice is judged once."""

from concurrent.futures import Future
from threading import Lock

from fauxscan.scanning.rows import Outcome

Judgement = Future[Outcome | None]  # the outcome to come of a content; None if its file failed for a reason of its own


class InFlight:
    """The contents being judged, over all requests of an engine."""

    def __init__(self) -> None:
        self._judgements: dict[str, Judgement] = {}
        self._lock = Lock()

    def begin(self, sha256: str) -> Judgement | None:
        """Begin to judge a content and return None, or return the judgement that has begun already."""
        with self._lock:
            judgement = self._judgements.get(sha256)
            if judgement is None:
                self._judgements[sha256] = Future()
            return judgement

    def end(self, sha256: str, outcome: Outcome | None) -> None:
        """End a judgement that this request began, and pass the outcome to everyone who waits for it."""
        with self._lock:
            judgement = self._judgements.pop(sha256)
        judgement.set_result(outcome)
