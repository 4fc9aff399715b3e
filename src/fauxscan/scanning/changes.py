"""What is new about each file of a batch: the rows of the table `media` that it gets, if any."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from fauxscan.scanning.ledger import Ledger
from fauxscan.scanning.rows import LOOKS, OUTCOME, Change, Entry, Outcome, Row, key_of, media_row, outcome_of


@dataclass
class Changes:
    """The rows of one batch in the making. The ledger learns of them only when they are durable."""

    run_id: str
    root: str
    ledger: Ledger
    rows: list[Row] = field(default_factory=list)
    _contents: set[str] = field(default_factory=set)
    _moved: set[bytes] = field(default_factory=set)

    def decide(self, entry: Entry, outcome: Outcome) -> None:
        """Add the row of a file that is there; none if its last row says the same."""
        before = self.ledger.at(entry.key)
        change = self._arrived(outcome.sha256) if before is None else difference(before, outcome, self.ledger.settings)
        if change:
            self._tell(change, entry.key, outcome)
        if outcome.sha256:
            self._contents.add(outcome.sha256)

    def remove(self, rows: Sequence[Row]) -> None:
        """Add rows for files that are gone; each tells once more what it said of the file."""
        for row in rows:
            self._tell(Change.REMOVED, key_of(row), outcome_of(row), row["settings"])

    def _arrived(self, sha256: str | None) -> Change:
        """Return what a name is that was not there: new, or the place of a content seen before."""
        if sha256 is None:
            return Change.NEW
        gone = [row for row in self.ledger.gone_with(sha256) if key_of(row) not in self._moved]
        if gone:  # its old name is told of in the same batch: both rows are durable, or neither
            self._moved.add(key_of(gone[0]))
            self.remove(gone[:1])
            return Change.MOVED
        return Change.COPIED if sha256 in self._contents or self.ledger.knows(sha256) else Change.NEW

    def _tell(self, change: Change, key: bytes, outcome: Outcome, settings: str | None = None) -> None:
        row = media_row(self.run_id, self.root, key, change, settings or self.ledger.settings, outcome)
        self.rows.append(row)


def difference(before: Row, outcome: Outcome, settings: str) -> Change | None:
    """Return what is new about a file since its last row; None if nothing is."""
    if before["settings"] == settings and all(before[name] == getattr(outcome, name) for name in OUTCOME):
        return None
    same = all(before[name] == getattr(outcome, name) for name in ("sha256", *LOOKS))
    return Change.RESCORED if same else Change.CHANGED
