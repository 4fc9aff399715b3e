"""What lies under a folder: every name, in a fixed order, nothing opened and no link followed."""

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from fauxscan.records import Status
from fauxscan.scanning.rows import Entry


@dataclass
class Walk:
    """A walk over the files under `root`, leaving out the folder `skip`; it notes which folders it could not list."""

    root: Path
    skip: Path | None = None
    unlisted: list[bytes] = field(default_factory=list)

    def __iter__(self) -> Iterator[Entry]:
        """Give the files, each folder's in order of their names; links, pipes and devices come with a status."""
        skip = _identity(self.skip)
        waiting = [""]
        while waiting:
            folder = waiting.pop()
            found = self._list(folder)
            if found is None:
                yield _unreadable(folder, self.unlisted)
                continue
            inside = [name for name in found if name.is_dir(follow_symlinks=False)]
            waiting += [_join(folder, name.name) for name in reversed(inside) if _identity(Path(name.path)) != skip]
            for name in found:
                if entry := _entry(folder, name):
                    yield entry

    def could_list(self, key: bytes) -> bool:
        """Return whether the folder of this name was listed: what is missing from another is not known to be gone."""
        return not any(key.startswith(folder) for folder in self.unlisted)

    def _list(self, folder: str) -> list[os.DirEntry[str]] | None:
        try:
            with os.scandir(self.root / folder) as names:
                return sorted(names, key=lambda name: name.name)
        except OSError:
            if not folder:
                raise
            return None


def _unreadable(folder: str, unlisted: list[bytes]) -> Entry:
    unlisted.append(os.fsencode(folder) + b"/")
    return Entry(folder, None, None, Status.UNREADABLE, "the folder cannot be listed")


def _entry(folder: str, name: "os.DirEntry[str]") -> Entry | None:
    """Return the entry; None for a folder, and for what has vanished since it was listed."""
    path = _join(folder, name.name)
    try:
        info = name.stat(follow_symlinks=False)
    except FileNotFoundError:
        return None
    except OSError as error:
        return Entry(path, None, None, Status.UNREADABLE, error.strerror)
    if stat.S_ISDIR(info.st_mode):
        return None
    if stat.S_ISREG(info.st_mode):
        return Entry(path, info.st_size, info.st_mtime_ns)
    detail = "a link: not followed" if stat.S_ISLNK(info.st_mode) else "not a regular file"
    return Entry(path, info.st_size, info.st_mtime_ns, Status.UNSUPPORTED, detail)


def _join(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name


def _identity(folder: Path | None) -> tuple[int, int] | None:
    """Return device and inode; None where there is nothing."""
    try:
        info = os.stat(folder) if folder else None
    except OSError:
        return None
    return (info.st_dev, info.st_ino) if info else None
