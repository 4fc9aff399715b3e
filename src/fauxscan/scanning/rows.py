"""What a scan speaks of: directory entries, outcomes of files, and the rows that they become."""

import os
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from operator import attrgetter
from typing import Any, NamedTuple

from fauxscan.records import Status

Row = dict[str, Any]

# What may be otherwise next time although the file is the same: tried again by every run.
TRANSIENT = frozenset({Status.UNREADABLE, Status.TIMEOUT, Status.CHANGED_DURING_READ})


class Change(StrEnum):
    """Why a file has a row in a run."""

    NEW = "new"
    CHANGED = "changed"
    RESCORED = "rescored"
    MOVED = "moved"
    COPIED = "copied"
    REMOVED = "removed"


class Looks(NamedTuple):
    """What tells without reading it whether a file is the same."""

    size: int | None
    mtime_ns: int | None  # null for an object that has an etag: the same bytes may be put there again
    etag: str | None  # null for a file


LOOKS = Looks._fields


@dataclass(frozen=True, slots=True)
class Entry:
    """A name under the root, as the file system spells it, and what it says of it without opening it."""

    path: str  # relative, with /; bytes that are no UTF-8 are surrogates
    size: int | None
    mtime_ns: int | None
    status: Status | None = None  # set where there is nothing to open
    detail: str | None = None
    link: bool = False  # it may be opened although it is a link
    etag: str | None = None

    @property
    def key(self) -> bytes:
        """Return the name's bytes, which tell it from every other."""
        return os.fsencode(self.path)

    @property
    def looks(self) -> Looks:
        """Return what tells whether it is the same."""
        return Looks(self.size, self.mtime_ns, self.etag)

    @property
    def outcome(self) -> "Outcome":
        """Return what is known of it while it is not read."""
        return Outcome(None, *self.looks)


@dataclass(slots=True)
class Outcome:
    """What is known of one file's content: the part of its row that a copy of the file shares."""

    sha256: str | None = None
    size: int | None = None
    mtime_ns: int | None = None
    etag: str | None = None
    kind: str | None = None
    format: str | None = None
    width: int | None = None
    height: int | None = None
    duration_s: float | None = None
    status: str = Status.OK
    detail: str | None = None
    faces: int | None = None
    p_fake: float | None = None
    verdict: str | None = None

    def at(self, file: "Outcome") -> "Outcome":
        """Return this outcome for another file of the same content."""
        return replace(self, size=file.size, mtime_ns=file.mtime_ns, etag=file.etag)


OUTCOME = tuple(field.name for field in fields(Outcome))
VALUES = attrgetter(*OUTCOME)


def media_row(run_id: str, root: str, key: bytes, change: Change, settings: str, outcome: Outcome) -> Row:
    """Return the row of the table `media` for the file named `key`."""
    name = {"path": key.decode("utf-8", "replace"), "path_bytes": None if _is_utf8(key) else key}
    known = dict(zip(OUTCOME, VALUES(outcome), strict=True))
    return {"run_id": run_id, "root": root, **name, "change": str(change), **known, "settings": settings}


def outcome_of(row: Row) -> Outcome:
    """Return the outcome that a row of `media` tells."""
    return Outcome(**{name: row[name] for name in OUTCOME})


def key_of(row: Row) -> bytes:
    """Return the bytes of the name that a row of `media` is about."""
    return row["path_bytes"] if row["path_bytes"] is not None else str(row["path"]).encode()


def _is_utf8(key: bytes) -> bool:
    try:
        key.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True
