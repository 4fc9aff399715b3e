"""What earlier scans know: the last row of each path, and the outcome of each content under the present settings."""

import importlib.util
from bisect import bisect_right
from collections.abc import Callable
from functools import cached_property
from itertools import accumulate

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fauxscan.records import Status
from fauxscan.scanning import tables
from fauxscan.scanning.by_hash import ByHash
from fauxscan.scanning.decoding import Faces
from fauxscan.scanning.rows import TRANSIENT, Change, Entry, Outcome, Row, key_of, outcome_of


class Ledger:
    """The table `media` indexed for one root and one settings digest, and what the run adds to it.

    `rows` are the last rows of the files that were there when the run began; `remembered` gives the faces of a content.
    """

    def __init__(
        self, media: pa.Table, root: str, settings: str, remembered: Callable[[str], Faces | None] = lambda sha: None
    ) -> None:
        self.root, self.settings, self._remembered = root, settings, remembered
        self._media = media
        self.rows = tables.present(tables.last(media.filter(pc.equal(media["root"], root))))
        self._at = {key: i for i, key in enumerate(tables.keys(self.rows))}
        self._size = _integers(self.rows["size"])
        self._mtime = _integers(self.rows["mtime_ns"])
        self._etag = self.rows["etag"].combine_chunks()
        self._lasting = _lasting(self.rows).to_numpy()
        self._current = pc.equal(self.rows["settings"], settings).to_numpy()
        self._seen = np.zeros(len(self.rows), bool)
        self._added: dict[str, Outcome] = {}

    def see(self, entry: Entry) -> bool:
        """Note that a file is there; return whether its row still says all about it."""
        i = self._at.get(entry.key)
        if i is None:
            return False
        self._seen[i] = True
        if entry.status is not None and (entry.status, entry.detail) != self._state(i):
            return False
        return self._same(i, entry) and bool(self._current[i])

    def _state(self, i: int) -> tuple[str, str | None]:
        return self.rows["status"][i].as_py(), self.rows["detail"][i].as_py()

    def content(self, entry: Entry) -> str | None:
        """Return the hash of a file that looks unchanged, so that it need not be read to be found in the ledger."""
        i = self._at.get(entry.key)
        return self.rows["sha256"][i].as_py() if i is not None and self._same(i, entry) else None

    def at(self, key: bytes) -> Row | None:
        """Return the last row of the file of this name that was there."""
        i = self._at.get(key)
        return None if i is None else self._row(i)

    def index(self) -> None:
        """Build what is looked up by content, before many threads ask for it at once."""
        self._judged, self._contents, self._gone, self._parts  # noqa: B018

    def outcome(self, sha256: str) -> Outcome | None:
        """Return what is known of a content under the present settings; None where it must be judged."""
        if sha256 in self._added:
            return self._added[sha256]
        last = self._judged.rows(sha256)[-1:]
        return outcome_of(self._told(last[0])) if last else None

    def faces(self, sha256: str) -> Faces | None:
        """Return the faces that were found in a content; None where they were not looked for in this way."""
        return self._remembered(sha256) if self._contents.rows(sha256) else None

    def knows(self, sha256: str) -> bool:
        """Return whether any file of this content was ever seen."""
        return sha256 in self._added or bool(self._contents.rows(sha256))

    def gone_with(self, sha256: str) -> list[Row]:
        """Return the last rows of files of this content that are no longer there."""
        rows = [self._row(i) for i in self._gone.rows(sha256) if not self._seen[i]]
        return sorted(rows, key=key_of)

    def gone(self) -> list[Row]:
        """Return the last rows of all files that are no longer there."""
        rows: list[Row] = self.rows.filter(pa.array(~self._seen)).to_pylist()
        return rows

    def keep(self, unknown: Callable[[bytes], bool]) -> None:
        """Do not count as gone the files of which it is not known."""
        if self._seen.all():
            return
        for key, i in self._at.items():
            if not self._seen[i]:
                self._seen[i] = unknown(key)

    def add(self, rows: list[Row]) -> None:
        """Take in the rows of a batch."""
        for row in rows:
            i = self._at.get(key_of(row))
            if row["change"] == Change.REMOVED and i is not None:
                self._seen[i] = True
            elif row["sha256"] is not None and row["status"] not in TRANSIENT:
                self._added[row["sha256"]] = outcome_of(row)

    def _same(self, i: int, entry: Entry) -> bool:
        size, mtime_ns = _integer(entry.size), _integer(entry.mtime_ns)
        alike = bool(self._lasting[i] and self._size[i] == size and self._mtime[i] == mtime_ns)
        return alike and (entry.etag is None or self._etag[i].as_py() == entry.etag)

    def _row(self, i: int) -> Row:
        row: Row = self.rows.slice(i, 1).to_pylist()[0]
        return row

    def _told(self, number: int) -> Row:
        """Return a row of `media`. A slice of the table itself would take as long as it has parts."""
        parts, starts = self._parts
        part = bisect_right(starts, number) - 1
        row: Row = parts[part].slice(number - starts[part], 1).to_pylist()[0]
        return row

    @cached_property
    def _parts(self) -> tuple[list[pa.RecordBatch], list[int]]:
        """Return the parts that `media` was read from, and the number of the first row of each."""
        parts = self._media.to_batches()
        return parts, list(accumulate(map(len, parts), initial=0))

    @cached_property
    def _contents(self) -> ByHash:
        return ByHash(self._media["sha256"])

    @cached_property
    def _judged(self) -> ByHash:
        mask = pc.and_(_lasting(self._media), pc.equal(self._media["settings"], self.settings))
        return ByHash(self._media["sha256"], np.flatnonzero(mask.to_numpy()))

    @cached_property
    def _gone(self) -> ByHash:
        return ByHash(self.rows["sha256"], np.flatnonzero(~self._seen))


def _lasting(media: pa.Table) -> pa.ChunkedArray:
    """Return which rows tell what holds as long as the file is the same."""
    passing = pc.is_in(media["status"], pa.array(sorted(TRANSIENT)))
    if importlib.util.find_spec("pi_heif"):  # it may have been installed since
        unread = pc.and_(pc.equal(media["status"], Status.UNSUPPORTED), pc.equal(media["format"], "heic"))
        passing = pc.or_(passing, pc.fill_null(unread, False))
    return pc.invert(passing)


def _integer(value: int | None) -> int:
    return -1 if value is None else value


def _integers(column: pa.ChunkedArray) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return np.asarray(pc.fill_null(column, -1).to_numpy(), np.int64)
