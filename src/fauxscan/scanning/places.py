"""Where files are: a folder, or a prefix in an object store. Plans and readers know no more of it than is said here."""

import os
from collections.abc import Collection, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from fauxscan.media import files
from fauxscan.media.files import Content
from fauxscan.params import MediaParams, ScanParams
from fauxscan.records import UserError
from fauxscan.scanning import addresses, filters
from fauxscan.scanning.filters import Filters
from fauxscan.scanning.objects import Store
from fauxscan.scanning.rows import Entry
from fauxscan.scanning.walking import Walk


class Listing(Protocol):
    """A walk through a place: it gives every file that is named, in a fixed order, opening none."""

    filters: Filters | None
    missing: list[str]  # names that are not there, once all is given

    def __iter__(self) -> Iterator[Entry]:
        """Give the files. Raise OSError or UserError if they cannot be listed."""

    def covers(self, key: bytes) -> bool:
        """Return whether a file of this name would have been given."""


class Place(Protocol):
    """What names in the tables are relative to. It can be pickled, and holds no secret."""

    @property
    def text(self) -> str:
        """Return how the tables spell it in the column `root`. Raise UserError if they cannot."""

    def check(self) -> None:
        """Raise UserError if it is plainly not there."""

    def walk(self, results: Path, names: Collection[str], scan: ScanParams) -> Listing:
        """Return the walk to what is named, as the parameters have it, leaving out the results."""

    def opened(self, entry: Entry, media: MediaParams) -> AbstractContextManager[Content]:
        """Give the content of a file, hashed. Raise MediaError if it cannot be read, is too large, or changes.

        Raise OSError where the fault is the place's and not the file's.
        """


@dataclass(frozen=True)
class LocalFolder:
    """A folder of this machine, or one that is mounted."""

    path: Path

    @property
    def text(self) -> str:
        """Return its path. Raise UserError for a name that tables cannot hold."""
        try:
            return os.fsencode(self.path).decode("utf-8")
        except UnicodeDecodeError as error:
            raise UserError(
                f"the folder {os.fsencode(self.path)!r} has a name that is not UTF-8: rename it, or scan the one above"
            ) from error

    def check(self) -> None:
        """Raise UserError if there is no such folder."""
        if not self.path.is_dir():
            fault = "not a folder" if self.path.exists() else "not there"
            raise UserError(f"{self.path} is {fault}: name a folder to scan")

    def walk(self, results: Path, names: Collection[str], scan: ScanParams) -> Walk:
        """Return the walk to what is named in the folder."""
        return Walk(self.path, results, names, filters.read(scan), scan.links)

    def opened(self, entry: Entry, media: MediaParams) -> AbstractContextManager[Content]:
        """Give the content of a file, hashed. Raise MediaError."""
        return files.opened(self.path / entry.path, media, entry.link)


def at(where: Place | Path | str) -> Place:
    """Return the place that a person names by a path or an address. Raise UserError for an address not allowed."""
    if isinstance(where, Path):
        return LocalFolder(where.resolve())
    if not isinstance(where, str):
        return where
    return Store(addresses.parse(where)) if addresses.is_address(where) else LocalFolder(Path(where).resolve())
