"""Changes: the rows of the table `media` that the files of one batch get, if anything about them is new."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from fauxscan.scanning.history.ledger import Ledger
from fauxscan.scanning.rows import LOOKS, OUTCOME, Change, Outcome, Row, key_of, media_row, outcome_of

JUDGEMENT = [name for name in OUTCOME if name not in LOOKS]


@dataclass
class Changes:
    """The new rows of one batch. The ledger learns of them only when they are durable."""

    run_id: str
    root: str
    ledger: Ledger
    rows: list[Row] = field(default_factory=list)
    before: list[Row | None] = field(default_factory=list)  # for each row, the last row of that file until now
    _contents: set[str] = field(default_factory=set)
    _moved: set[bytes] = field(default_factory=set)

    @property
    def counts(self) -> Counter[str]:
        """Return the number of files with each change. A file that moved counts once, and not as removed too."""
        found = Counter(row["change"] for row in self.rows)
        found[Change.REMOVED] -= found[Change.MOVED]  # the rows of the old names
        return +found

    def decide(self, key: bytes, before: Row | None, outcome: Outcome) -> None:
        """Add the row of a file that exists, unless its last row says the same."""
        change = self._arrived(outcome.sha256) if before is None else difference(before, outcome, self.ledger.settings)
        if change:
            self._add(change, key, outcome, before, self.ledger.settings)
        if outcome.sha256:
            self._contents.add(outcome.sha256)

    def remove(self, rows: Sequence[Row]) -> None:
        """Add rows for files that are gone, with the columns of their last rows."""
        for row in rows:
            self._add(Change.REMOVED, key_of(row), outcome_of(row), row, row["settings"])

    def _arrived(self, sha256: str | None) -> Change:
        """Return why a name is there that was not: a new content, or one that moved or was copied."""
        if sha256 is None:
            return Change.NEW
        seen, gone = self.ledger.seen_before(sha256)
        left = [row for row in gone if key_of(row) not in self._moved]
        if left:  # the row of the old name is in the same batch: both become durable, or neither
            self._moved.add(key_of(left[0]))
            self.remove(left[:1])
            return Change.MOVED
        return Change.COPIED if seen or sha256 in self._contents else Change.NEW

    def _add(self, change: Change, key: bytes, outcome: Outcome, before: Row | None, settings: str) -> None:
        self.rows.append(media_row(self.run_id, self.root, key, change, settings, outcome))
        self.before.append(before)


def difference(before: Row, outcome: Outcome, settings: str) -> Change | None:
    """Return what changed about a file since its last row; None if nothing did."""
    if before["settings"] == settings and all(before[name] == getattr(outcome, name) for name in OUTCOME):
        return None
    looks_alike = all(before[name] == getattr(outcome, name) for name in LOOKS)
    if before["sha256"] != outcome.sha256 or not (looks_alike or outcome.sha256):
        return Change.CHANGED
    judged_alike = before["settings"] == settings and all(before[name] == getattr(outcome, name) for name in JUDGEMENT)
    return Change.TOUCHED if judged_alike else Change.RESCORED
