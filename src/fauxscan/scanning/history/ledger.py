"""The ledger: the last row of each file, and the outcome of each content under the current settings."""

import importlib.util
from bisect import bisect_right
from collections.abc import Callable, Sequence
from functools import cached_property
from itertools import accumulate
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fauxscan.records import Status
from fauxscan.scanning.history.hash_index import HashIndex
from fauxscan.scanning.rows import TRANSIENT, Change, Entry, Faces, FileBatch, Outcome, Row, key_of, outcome_of
from fauxscan.scanning.tables import parquet


class EarlierLogits(Protocol):
    """The logits of earlier scans, which other calibrations have judged: `StoredLogits`."""

    @property
    def digests(self) -> frozenset[str]:
        """Return the digests of the settings under which they were judged."""

    def judge(self, row: Row) -> Outcome | None:
        """Return the outcome of a content with a row of `media` under one of these settings, or None if not known."""


class Ledger:
    """The table `media` indexed for one root and one settings digest, and the rows that the run adds to it.

    `rows` are the last rows of the files that existed when the run began; `known_faces` returns the faces of a content,
    and `earlier` judges logits that earlier scans have stored.
    Of each file a scan asks `is_unchanged` when it plans, `look_up` when its batch begins, `recall` when it is hashed,
    and `last_rows` and `seen_before` when it is committed: each at most once.
    """

    def __init__(
        self,
        media: pa.Table,
        root: str,
        settings: str,
        known_faces: Callable[[str], Faces | None] = lambda sha: None,
        earlier: EarlierLogits | None = None,
    ) -> None:
        self.root, self.settings, self._known_faces, self._earlier = root, settings, known_faces, earlier
        self._media = media
        self.rows = parquet.present(parquet.last(media.filter(pc.equal(media["root"], root))))
        self._at = {key: i for i, key in enumerate(parquet.keys(self.rows))}
        self._size = _integers(self.rows["size"])
        self._mtime = _integers(self.rows["mtime_ns"])
        self._etag = self.rows["etag"].combine_chunks()
        self._lasting = _lasting(self.rows).to_numpy()
        self._current = pc.equal(self.rows["settings"], settings).to_numpy()
        self._seen = np.zeros(len(self.rows), bool)
        self._added: dict[str, Outcome] = {}
        self.judged_otherwise = 0  # files that look unchanged and were judged with other settings

    def is_unchanged(self, entry: Entry) -> bool:
        """Return whether the last row of a file still holds. From now on the file does not count as gone."""
        i = self._at.get(entry.key)
        if i is None:
            return False
        self._seen[i] = True
        if entry.status is not None and (entry.status, entry.detail) != self._state(i):
            return False
        same, current = self._same(i, entry), bool(self._current[i])
        self.judged_otherwise += same and not current
        return same and current

    def _state(self, i: int) -> tuple[str, str | None]:
        return self.rows["status"][i].as_py(), self.rows["detail"][i].as_py()

    def look_up(self, entries: Sequence[Entry]) -> FileBatch:
        """Return the files with the numbers of their last rows and, for unchanged files, the known outcomes."""
        hashes = [self.content(entry) for entry in entries]
        outcomes = [self.outcome(sha256) if sha256 else None for sha256 in hashes]
        known = [one and one.at(entry.outcome) for entry, one in zip(entries, outcomes, strict=True)]
        return FileBatch(entries, [self._at.get(entry.key) for entry in entries], known)

    def content(self, entry: Entry) -> str | None:
        """Return the hash of a file that looks unchanged, so that it need not be read; None for any other file."""
        i = self._at.get(entry.key)
        return self.rows["sha256"][i].as_py() if i is not None and self._same(i, entry) else None

    def __contains__(self, key: bytes) -> bool:
        """Return whether a file with this name existed when the run began."""
        return key in self._at

    def last_rows(self, numbers: Sequence[int | None]) -> list[Row | None]:
        """Return the last rows with these numbers; None for each None."""
        known = self.rows.take(pa.array([number for number in numbers if number is not None], pa.int64()))
        rows = iter(known.to_pylist())
        return [None if number is None else next(rows) for number in numbers]

    def index(self) -> None:
        """Build the indexes by content, before many threads ask for them at once."""
        self._judged, self._judged_earlier, self._contents, self._gone, self._parts  # noqa: B018

    def outcome(self, sha256: str) -> Outcome | None:
        """Return the outcome of a content under the current settings; None if it must be judged."""
        if sha256 in self._added:
            return self._added[sha256]
        if last := self._judged.rows(sha256)[-1:]:
            return outcome_of(self._media_row(last[0]))
        last = self._judged_earlier.rows(sha256)[-1:]
        return self._earlier.judge(self._media_row(last[0])) if last and self._earlier else None

    def recall(self, sha256: str) -> tuple[Outcome | None, Faces | None]:
        """Return the outcome of a content, or None if it must be judged; then also its faces, if they are known."""
        outcome = self.outcome(sha256)
        if outcome or not self._contents.rows(sha256):
            return outcome, None
        return None, self._known_faces(sha256)

    def is_judged(self, sha256: str) -> bool:
        """Return whether the tables or the rows of this run have the outcome of a content."""
        return sha256 in self._added or bool(self._judged.rows(sha256))

    def seen_before(self, sha256: str) -> tuple[bool, list[Row]]:
        """Return whether any file with this content was ever seen, and the last rows of those that are gone."""
        rows = [self._row(i) for i in self._gone.rows(sha256) if not self._seen[i]]
        seen = sha256 in self._added or bool(self._contents.rows(sha256))
        return seen, sorted(rows, key=key_of)

    def gone(self) -> list[Row]:
        """Return the last rows of all files that are gone."""
        rows: list[Row] = self.rows.filter(pa.array(~self._seen)).to_pylist()
        return rows

    def detail(self, key: bytes) -> str | None:
        """Return the detail in the last row of a file or folder; None if it has no row."""
        i = self._at.get(key)
        return None if i is None else self._state(i)[1]

    def unseen(self) -> list[bytes]:
        """Return the names of the files that count as gone so far."""
        return [key for key, i in self._at.items() if not self._seen[i]]

    def keep(self, unknown: Callable[[bytes], bool]) -> None:
        """Do not count as gone the files for which `unknown` is true."""
        if self._seen.all():
            return
        for key, i in self._at.items():
            if not self._seen[i]:
                self._seen[i] = unknown(key)

    def add(self, rows: list[Row]) -> None:
        """Add the durable rows of a batch."""
        for row in rows:
            i = self._at.get(key_of(row))
            if row["change"] == Change.REMOVED and i is not None:
                self._seen[i] = True
            elif row["sha256"] is not None and row["status"] not in TRANSIENT:
                self._added[row["sha256"]] = outcome_of(row)

    def _same(self, i: int, entry: Entry) -> bool:
        if entry.status is None and entry.mtime_ns is None and entry.etag is None:
            return False  # nothing tells whether it has changed
        size, mtime_ns = _integer(entry.size), _integer(entry.mtime_ns)
        alike = bool(self._lasting[i] and self._size[i] == size and self._mtime[i] == mtime_ns)
        return alike and (entry.etag is None or self._etag[i].as_py() == entry.etag)

    def _row(self, i: int) -> Row:
        row: Row = self.rows.slice(i, 1).to_pylist()[0]
        return row

    def _media_row(self, number: int) -> Row:
        """Return a row of `media`. Slicing the table itself would take longer the more parts it has."""
        parts, starts = self._parts
        part = bisect_right(starts, number) - 1
        row: Row = parts[part].slice(number - starts[part], 1).to_pylist()[0]
        return row

    @cached_property
    def _parts(self) -> tuple[list[pa.RecordBatch], list[int]]:
        """Return the parts of `media` and the number of the first row of each."""
        parts = self._media.to_batches()
        return parts, list(accumulate(map(len, parts), initial=0))

    @cached_property
    def _contents(self) -> HashIndex:
        return HashIndex(self._media["sha256"])

    @cached_property
    def _judged(self) -> HashIndex:
        return self._judged_with([self.settings])

    @cached_property
    def _judged_earlier(self) -> HashIndex:
        return self._judged_with(sorted(self._earlier.digests) if self._earlier else [])

    def _judged_with(self, settings: Sequence[str]) -> HashIndex:
        mask = pc.and_(_lasting(self._media), pc.is_in(self._media["settings"], pa.array(settings, pa.string())))
        return HashIndex(self._media["sha256"], np.flatnonzero(mask.to_numpy()))

    @cached_property
    def _gone(self) -> HashIndex:
        return HashIndex(self.rows["sha256"], np.flatnonzero(~self._seen))


def _lasting(media: pa.Table) -> pa.ChunkedArray:
    """Return which rows hold as long as the file stays the same."""
    transient = pc.is_in(media["status"], pa.array(sorted(TRANSIENT)))
    if importlib.util.find_spec("pi_heif"):  # it may have been installed since then
        unread = pc.and_(pc.equal(media["status"], Status.UNSUPPORTED), pc.equal(media["format"], "heic"))
        transient = pc.or_(transient, pc.fill_null(unread, False))
    return pc.invert(transient)


def _integer(value: int | None) -> int:
    return -1 if value is None else value


def _integers(column: pa.ChunkedArray) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return np.asarray(pc.fill_null(column, -1).to_numpy(), np.int64)
