"""Which contents are being judged right now: one that occurs twice is judged once."""

from concurrent.futures import Future
from dataclasses import dataclass, field
from threading import Lock
from typing import Any


@dataclass(frozen=True, eq=False)
class Claim:
    """A content that one file is judged for, and the result when there is one."""

    sha256: str
    result: "Future[Any]" = field(default_factory=Future)


class Claims:
    """The contents being judged, by all batches under way."""

    def __init__(self) -> None:
        self._made: dict[str, Claim] = {}
        self._lock = Lock()

    def claim(self, sha256: str) -> tuple[Claim, bool]:
        """Return the claim to a content, and whether it was made now."""
        with self._lock:
            made = self._made.get(sha256)
            if made:
                return made, False
            self._made[sha256] = claim = Claim(sha256)
            return claim, True

    def settle(self, claim: Claim, result: Any) -> None:
        """Hand the result to those who wait for it; None where there is none."""
        with self._lock:
            del self._made[claim.sha256]
        claim.result.set_result(result)
