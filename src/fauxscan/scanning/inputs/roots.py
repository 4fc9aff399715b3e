"""The root of a scan: a folder, or a prefix in an object store. Planning and reading use only this interface."""

import os
from collections.abc import Collection, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from fauxscan.media import files
from fauxscan.media.files import Content
from fauxscan.params import MediaParams, ScanParams
from fauxscan.records import InputError
from fauxscan.scanning.inputs import addresses, filters
from fauxscan.scanning.inputs.filters import Filters
from fauxscan.scanning.inputs.local import Walk
from fauxscan.scanning.inputs.object_store import Store
from fauxscan.scanning.rows import Entry, utf8


class Listing(Protocol):
    """A walk through a root: it yields every named file in a fixed order and opens none."""

    filters: Filters | None
    missing: list[str]  # the names that do not exist, complete after the last entry
    empty: list[str]  # the folders below the root that contain nothing, complete after the last entry

    def __iter__(self) -> Iterator[Entry]:
        """Yield the files. Raise OSError or InputError if they cannot be listed."""

    def covers(self, key: bytes) -> bool:
        """Return whether the walk would have yielded a file with this name."""


class Root(Protocol):
    """What the paths in the tables are relative to. It can be pickled and contains no secrets."""

    @property
    def text(self) -> str:
        """Return the value of the column `root`. Raise InputError if the tables cannot hold it."""

    def check(self) -> None:
        """Raise InputError if the root clearly does not exist."""

    def walk(self, results: Path, names: Collection[str], scan: ScanParams) -> Listing:
        """Return the walk through the named files, filtered by the parameters and without the results folder."""

    def open_entry(self, entry: Entry, media: MediaParams) -> AbstractContextManager[Content]:
        """Yield the content of a file with its hash.

        Raise MediaError if the file cannot be read, is too large, or changes while it is read. Raise OSError if the
        root as a whole fails, not just the file.
        """


@dataclass(frozen=True)
class LocalFolder:
    """A folder of this machine, or one that is mounted."""

    path: Path

    @property
    def text(self) -> str:
        """Return the path. Raise InputError for a name that tables cannot hold."""
        text = utf8(self.path)
        if text is None:
            name = os.fsencode(self.path)
            raise InputError(f"the name of the folder {name!r} is not UTF-8: rename it, or scan its parent folder")
        return text

    def check(self) -> None:
        """Raise InputError if the folder does not exist."""
        if not self.path.is_dir():
            fault = "is not a folder" if self.path.exists() else "does not exist"
            raise InputError(f"{self.path} {fault}: name a folder to scan")

    def walk(self, results: Path, names: Collection[str], scan: ScanParams) -> Walk:
        """Return the walk through the named files of the folder."""
        return Walk(self.path, results, names, filters.read_filters(scan), scan.links)

    def open_entry(self, entry: Entry, media: MediaParams) -> AbstractContextManager[Content]:
        """Yield the content of a file with its hash. Raise MediaError."""
        return files.open_file(self.path / entry.path, media, entry.link)


def root_at(where: Root | Path | str) -> Root:
    """Return the root at a path or an address. Raise InputError for an address that is not allowed."""
    if isinstance(where, Path):
        return LocalFolder(where.resolve())
    if not isinstance(where, str):
        return where
    return Store(addresses.parse_address(where)) if addresses.is_address(where) else LocalFolder(Path(where).resolve())
