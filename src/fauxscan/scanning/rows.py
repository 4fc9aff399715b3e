"""The plain values of a scan: entries of a listing, outcomes of files, rows of tables. Imports nothing heavy."""

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from enum import StrEnum
from itertools import compress
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from fauxscan.records import Status

if TYPE_CHECKING:
    from fauxscan.media.faces.finder import Face

Row = dict[str, Any]  # one row of a table, by column; never changed once it is made
Faces = dict[int, tuple["Face", ...]]  # the faces of a file, by frame

# Statuses that may change although the file stays the same: every run tries these files again.
TRANSIENT = frozenset({Status.UNREADABLE, Status.TIMEOUT, Status.CHANGED_DURING_READ})
# Statuses that are never failures: a folder may also contain files that are neither images nor videos.
HARMLESS = frozenset({Status.OK, Status.UNSUPPORTED})


def failures(statuses: Mapping[str, int], ignored: Collection[str] = ()) -> int:
    """Return the number of files with a status that is a failure and is not ignored."""
    return sum(count for status, count in statuses.items() if status not in HARMLESS and status not in ignored)


def utf8(path: Path) -> str | None:
    """Return a path as tables hold it, or None if its bytes are not UTF-8."""
    try:
        return os.fsencode(path).decode("utf-8")
    except UnicodeDecodeError:
        return None


class Change(StrEnum):
    """Why a file has a row in a run."""

    NEW = "new"
    CHANGED = "changed"
    TOUCHED = "touched"
    RESCORED = "rescored"
    MOVED = "moved"
    COPIED = "copied"
    REMOVED = "removed"


class Looks(NamedTuple):
    """What shows, without opening a file, whether it is still the same."""

    size: int | None
    mtime_ns: int | None  # null for an object that has an etag: the same bytes may be uploaded again
    etag: str | None  # null for a file


LOOKS = Looks._fields


@dataclass(frozen=True, slots=True)
class Entry:
    """A file as the listing of the root describes it, before it is opened."""

    path: str  # relative, with /; bytes that are not UTF-8 are surrogates
    size: int | None
    mtime_ns: int | None
    status: Status | None = None  # set if there is nothing to open
    detail: str | None = None
    link: bool = False  # it may be opened although it is a symbolic link
    etag: str | None = None

    @property
    def key(self) -> bytes:
        """Return the bytes of the name, which are unique under the root."""
        return os.fsencode(self.path)

    @property
    def looks(self) -> Looks:
        """Return what shows whether the file is still the same."""
        return Looks(self.size, self.mtime_ns, self.etag)

    @property
    def outcome(self) -> "Outcome":
        """Return the outcome of the file before it is read: its looks alone."""
        return Outcome(None, *self.looks)


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result for one file: its columns of the table `media`, its rows of `scores`, and the faces found in it."""

    sha256: str | None = None
    size: int | None = None
    mtime_ns: int | None = None
    etag: str | None = None
    kind: str | None = None
    format: str | None = None
    width: int | None = None
    height: int | None = None
    duration_s: float | None = None
    seconds_seen: float | None = None
    status: str = Status.OK
    detail: str | None = None
    faces: int | None = None
    p_fake: float | None = None
    verdict: str | None = None
    scores: Sequence[Row] = ()  # empty if the content was judged earlier
    face_boxes: Faces | None = field(default=None, compare=False)  # None if no faces were searched for

    def at(self, file: "Outcome") -> "Outcome":
        """Return this outcome for another file with the same content."""
        return replace(self, size=file.size, mtime_ns=file.mtime_ns, etag=file.etag)

    def failed(self, status: Status, detail: str) -> "Outcome":
        """Return the outcome of a file that failed: without scores, and without a hash if it changed while read."""
        sha256 = None if status is Status.CHANGED_DURING_READ else self.sha256
        unjudged: dict[str, Any] = {"p_fake": None, "verdict": None, "scores": (), "face_boxes": None}
        return replace(self, sha256=sha256, status=status, detail=detail, seconds_seen=None, **unjudged)

    @property
    def columns(self) -> Row:
        """Return the columns of the table `media` that copies of a file share."""
        return dict(zip(OUTCOME, COLUMNS(self), strict=True))


OUTCOME = tuple(field.name for field in fields(Outcome) if field.name not in ("scores", "face_boxes"))
COLUMNS = attrgetter(*OUTCOME)


def media_row(run_id: str, root: str, key: bytes, change: Change, settings: str, outcome: Outcome) -> Row:
    """Return the row of the table `media` for the file named `key`."""
    known = {"change": str(change), **outcome.columns, "settings": settings}
    return {"run_id": run_id, "root": root, **name_columns(key), **known}


def name_columns(key: bytes) -> Row:
    """Return the columns `path` and `path_bytes` of the file named `key`."""
    return {"path": key.decode("utf-8", "replace"), "path_bytes": None if _is_utf8(key) else key}


def outcome_of(row: Row) -> Outcome:
    """Return the outcome that a row of `media` records."""
    return Outcome(**{name: row[name] for name in OUTCOME})


def key_of(row: Row) -> bytes:
    """Return the bytes of the file name in a row of `media`."""
    return row["path_bytes"] if row["path_bytes"] is not None else str(row["path"]).encode()


def _is_utf8(key: bytes) -> bool:
    try:
        key.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


@dataclass(frozen=True, slots=True)
class FileBatch:
    """Files that are judged and committed together, with what the history knows of each."""

    entries: Sequence[Entry]
    last_rows: Sequence[int | None]  # the numbers of the files' last rows in the ledger
    known: Sequence[Outcome | None]  # the outcomes of unchanged files whose content is judged: they are not read

    def __len__(self) -> int:
        """Return the number of files."""
        return len(self.entries)

    def only(self, chosen: Sequence[bool]) -> "FileBatch":
        """Return the batch of the chosen files."""
        entries, last_rows, known = compress(self.entries, chosen), compress(self.last_rows, chosen), self.known
        return FileBatch(list(entries), list(last_rows), list(compress(known, chosen)))
