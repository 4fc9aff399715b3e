"""A walk through a local folder: every named file in a fixed order, none of them opened; links by the chosen policy.

The details of entries are in the tables, and the ledger compares them: another wording adds a row for each such file.
"""

import os
import stat
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from fauxscan.media import files
from fauxscan.params import Links
from fauxscan.records import Status
from fauxscan.scanning.inputs.filters import Filters, parent_folders
from fauxscan.scanning.rows import Entry

EVERYTHING = ("",)  # the name of the root relative to itself
Identity = tuple[int, int]  # device and inode


class Folder(NamedTuple):
    """A folder to be listed: its path relative to the root, and the identities of it and its parent folders."""

    path: str
    trail: tuple[Identity, ...]


@dataclass
class Walk:
    """A walk through the named files under `root` and all files below named folders, except the folder `skip`.

    It records which names are missing, which folders are empty, and which folders and links it did not follow.
    """

    root: Path
    skip: Path | None = None
    names: Collection[str] = EVERYTHING  # no name is below another
    filters: Filters | None = None
    links: Links = "never"
    missing: list[str] = field(default_factory=list)
    empty: list[str] = field(default_factory=list)
    unseen: set[str] = field(default_factory=set)

    def __iter__(self) -> Iterator[Entry]:
        """Yield the files, sorted by name within each folder; links, pipes and devices have a status."""
        self._skip = _identity(self.skip)
        for name in sorted(self.names, key=os.fsencode):
            if self.filters and not all(map(self.filters.enters_folder, parent_folders(name))):
                continue
            item = self._inspect(name, self.root / name, ()) if name else self._root_folder()
            if isinstance(item, Folder):
                yield from self._walk_folder(item)
            elif item:
                yield item
            elif self._includes(name) and not os.path.lexists(self.root / name):
                self.missing.append(name)

    def covers(self, key: bytes) -> bool:
        """Return whether the walk would have yielded a file with this name, so that its absence shows a removal."""
        path = os.fsdecode(key)
        folders = list(parent_folders(path))
        if "" not in self.names and not any(name in self.names for name in (*folders, path)):
            return False
        return self.unseen.isdisjoint(folders) and (self.filters is None or self.filters.reaches_file(path))

    def _root_folder(self) -> Folder:
        info = os.stat(self.root)
        return Folder("", ((info.st_dev, info.st_ino),))

    def _walk_folder(self, top: Folder) -> Iterator[Entry]:
        waiting = [top]
        while waiting:
            folder = waiting.pop()
            listed = self._list_folder(folder.path)
            if listed is None:
                yield self._skipped_folder(folder.path, Status.UNREADABLE, "the folder cannot be listed")
                continue
            if not listed and folder.path:
                self.empty.append(folder.path)
            subfolders = []
            prefix = f"{folder.path}/" if folder.path else ""
            for name in listed:
                item = self._inspect(prefix + name.name, name, folder.trail)
                if isinstance(item, Entry):
                    yield item
                elif item:
                    subfolders.append(item)
            waiting += reversed(subfolders)

    def _list_folder(self, folder: str) -> "list[os.DirEntry[str]] | None":
        try:
            with os.scandir(self.root / folder) as names:
                return sorted(names, key=_name_bytes)
        except OSError:
            if not folder:
                raise
            return None

    def _inspect(
        self, path: str, name: "os.DirEntry[str] | Path", trail: tuple[Identity, ...]
    ) -> Entry | Folder | None:
        """Return the file or folder with a name, or None if it is left out or has vanished since it was listed."""
        try:
            info = name.stat(follow_symlinks=False)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            return Entry(path, None, None, Status.UNREADABLE, error.strerror) if self._includes(path) else None
        if stat.S_ISLNK(info.st_mode):
            return self._link(path, info, trail)
        return self._file_or_folder(path, info, trail)

    def _file_or_folder(
        self, path: str, info: os.stat_result, trail: tuple[Identity, ...], link: bool = False
    ) -> Entry | Folder | None:
        if stat.S_ISDIR(info.st_mode):
            return self._folder(path, (info.st_dev, info.st_ino), trail)
        if not self._includes(path):
            return None
        if stat.S_ISREG(info.st_mode):
            return Entry(path, info.st_size, files.mtime_ns(info), link=link)
        return Entry(path, info.st_size, files.mtime_ns(info), Status.UNSUPPORTED, "not a regular file")

    def _folder(self, path: str, identity: Identity, trail: tuple[Identity, ...]) -> Entry | Folder | None:
        if identity == self._skip or (self.filters and not self.filters.enters_folder(path)):
            return None
        if identity in trail:
            return self._skipped_folder(path, Status.UNSUPPORTED, "leads back to a folder above it: not followed")
        return Folder(path, (*trail, identity))

    def _link(self, path: str, info: os.stat_result, trail: tuple[Identity, ...]) -> Entry | Folder | None:
        """Return the target of a link where the policy allows it, and otherwise the link itself."""
        try:
            if self.links == "inside" and not _is_within(os.path.realpath(self.root / path), self.root):
                return self._unfollowed_link(path, info, "a link to outside the root: not followed")
            if self.links != "never":
                return self._file_or_folder(path, os.stat(self.root / path), trail, link=True)
        except OSError as error:
            detail = f"a link that leads nowhere: {error.strerror}"
            return self._unfollowed_link(path, info, detail, Status.UNREADABLE)
        return self._unfollowed_link(path, info, "a link: not followed")

    def _unfollowed_link(
        self, path: str, info: os.stat_result, detail: str, status: Status = Status.UNSUPPORTED
    ) -> Entry | None:
        self.unseen.add(path)
        return Entry(path, info.st_size, files.mtime_ns(info), status, detail) if self._includes(path) else None

    def _skipped_folder(self, folder: str, status: Status, detail: str) -> Entry:
        self.unseen.add(folder)
        return Entry(folder, None, None, status, detail)

    def _includes(self, path: str) -> bool:
        return self.filters is None or self.filters.includes_file(path)


def _name_bytes(name: "os.DirEntry[str]") -> bytes:
    """Return the bytes of a name, by which names are sorted: the order is then the same in every locale."""
    return os.fsencode(name.name)


def _is_within(path: str, root: Path) -> bool:
    return os.path.commonpath((path, root)) == str(root)


def _identity(folder: Path | None) -> Identity | None:
    """Return the device and inode of a folder, or None if it does not exist."""
    try:
        info = os.stat(folder) if folder else None
    except OSError:
        return None
    return (info.st_dev, info.st_ino) if info else None
