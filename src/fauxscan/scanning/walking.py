"""What lies under a folder: every name that is asked for, in a fixed order, nothing opened."""

import os
import stat
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from fauxscan.params import Links
from fauxscan.records import Status
from fauxscan.scanning.filters import Filters, above
from fauxscan.scanning.rows import Entry

EVERYTHING = ("",)  # the root's name below itself
Identity = tuple[int, int]  # device and inode


class Folder(NamedTuple):
    """A folder to be listed: its path below the root, and what it and the folders above it are."""

    path: str
    trail: tuple[Identity, ...]


@dataclass
class Walk:
    """A walk to what is named under `root`, and to all below it, leaving out the folder `skip`.

    It notes which names are missing, and which folders it did not look into.
    """

    root: Path
    skip: Path | None = None
    names: Collection[str] = EVERYTHING  # none of them below another
    filters: Filters | None = None
    links: Links = "never"
    missing: list[str] = field(default_factory=list)
    unseen: set[str] = field(default_factory=set)

    def __iter__(self) -> Iterator[Entry]:
        """Give the files, each folder's in order of their names; links, pipes and devices come with a status."""
        self._skip = _identity(self.skip)
        for name in sorted(self.names, key=os.fsencode):
            if self.filters and not all(map(self.filters.enters, above(name))):
                continue
            found = self._look(name, self.root / name, ()) if name else self._top()
            if isinstance(found, Folder):
                yield from self._below(found)
            elif found:
                yield found
            elif self._takes(name) and not os.path.lexists(self.root / name):
                self.missing.append(name)

    def covers(self, key: bytes) -> bool:
        """Return whether the walk would have given a file of this name: what it leaves out is not known to be gone."""
        path = os.fsdecode(key)
        folders = list(above(path))
        if "" not in self.names and not any(name in self.names for name in (*folders, path)):
            return False
        return self.unseen.isdisjoint(folders) and (self.filters is None or self.filters.reach(path))

    def _top(self) -> Folder:
        info = os.stat(self.root)
        return Folder("", ((info.st_dev, info.st_ino),))

    def _below(self, top: Folder) -> Iterator[Entry]:
        waiting = [top]
        while waiting:
            folder = waiting.pop()
            found = self._list(folder.path)
            if found is None:
                yield self._not_seen(folder.path, Status.UNREADABLE, "the folder cannot be listed")
                continue
            inside = []
            prefix = f"{folder.path}/" if folder.path else ""
            for name in found:
                one = self._look(prefix + name.name, name, folder.trail)
                if isinstance(one, Entry):
                    yield one
                elif one:
                    inside.append(one)
            waiting += reversed(inside)

    def _list(self, folder: str) -> "list[os.DirEntry[str]] | None":
        try:
            with os.scandir(self.root / folder) as names:
                return sorted(names, key=_bytes)
        except OSError:
            if not folder:
                raise
            return None

    def _look(self, path: str, name: "os.DirEntry[str] | Path", trail: tuple[Identity, ...]) -> Entry | Folder | None:
        """Return what a name is; None for what is left out, and for what has vanished since it was listed."""
        try:
            info = name.stat(follow_symlinks=False)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            return Entry(path, None, None, Status.UNREADABLE, error.strerror) if self._takes(path) else None
        if stat.S_ISLNK(info.st_mode):
            return self._link(path, info, trail)
        return self._thing(path, info, trail)

    def _thing(
        self, path: str, info: os.stat_result, trail: tuple[Identity, ...], link: bool = False
    ) -> Entry | Folder | None:
        if stat.S_ISDIR(info.st_mode):
            return self._folder(path, (info.st_dev, info.st_ino), trail)
        if not self._takes(path):
            return None
        if stat.S_ISREG(info.st_mode):
            return Entry(path, info.st_size, info.st_mtime_ns, link=link)
        return Entry(path, info.st_size, info.st_mtime_ns, Status.UNSUPPORTED, "not a regular file")

    def _folder(self, path: str, identity: Identity, trail: tuple[Identity, ...]) -> Entry | Folder | None:
        if identity == self._skip or (self.filters and not self.filters.enters(path)):
            return None
        if identity in trail:
            return self._not_seen(path, Status.UNSUPPORTED, "leads back to a folder above it: not followed")
        return Folder(path, (*trail, identity))

    def _link(self, path: str, info: os.stat_result, trail: tuple[Identity, ...]) -> Entry | Folder | None:
        """Return what a link is, or what it leads to where that is allowed."""
        try:
            if self.links == "inside" and not _within(os.path.realpath(self.root / path), self.root):
                return self._closed(path, info, "a link to outside the root: not followed")
            if self.links != "never":
                return self._thing(path, os.stat(self.root / path), trail, link=True)
        except OSError as error:
            return self._closed(path, info, f"a link that leads nowhere: {error.strerror}", Status.UNREADABLE)
        return self._closed(path, info, "a link: not followed")

    def _closed(
        self, path: str, info: os.stat_result, detail: str, status: Status = Status.UNSUPPORTED
    ) -> Entry | None:
        self.unseen.add(path)
        return Entry(path, info.st_size, info.st_mtime_ns, status, detail) if self._takes(path) else None

    def _not_seen(self, folder: str, status: Status, detail: str) -> Entry:
        self.unseen.add(folder)
        return Entry(folder, None, None, status, detail)

    def _takes(self, path: str) -> bool:
        return self.filters is None or self.filters.takes(path)


def _bytes(name: "os.DirEntry[str]") -> bytes:
    """Return what names are sorted by: their bytes, so that the order is the same in every locale."""
    return os.fsencode(name.name)


def _within(path: str, root: Path) -> bool:
    return os.path.commonpath((path, root)) == str(root)


def _identity(folder: Path | None) -> Identity | None:
    """Return device and inode; None where there is nothing."""
    try:
        info = os.stat(folder) if folder else None
    except OSError:
        return None
    return (info.st_dev, info.st_ino) if info else None
