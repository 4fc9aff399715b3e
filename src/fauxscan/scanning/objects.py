"""A prefix in an object store as a place to scan: its walk, in the order that folders would be walked in."""

from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

from fauxscan.media.files import Content
from fauxscan.params import MediaParams, ScanParams
from fauxscan.records import Status
from fauxscan.scanning import filters, stores
from fauxscan.scanning.addresses import Address, key_of, spelled
from fauxscan.scanning.filters import Filters, above
from fauxscan.scanning.rows import Entry
from fauxscan.scanning.stores import Info
from fauxscan.scanning.walking import EVERYTHING

UNREADABLE_NAME = "fsspec cannot ask for an object of such a name"
AT_ONCE = 16  # names that a store is asked for


@dataclass(frozen=True)
class Store:
    """All objects below an address."""

    address: Address

    @property
    def text(self) -> str:
        """Return the address."""
        return self.address.text

    def check(self) -> None:
        """Do nothing: there are no empty prefixes, and the walk says what is wrong."""

    def walk(self, results: Path, names: Collection[str], scan: ScanParams) -> "Objects":
        """Return the walk to what is named; results are never in a store, and it has no links."""
        return Objects(self.address, names, filters.read(scan))

    def opened(self, entry: Entry, media: MediaParams) -> AbstractContextManager[Content]:
        """Give the content of an object, hashed. Raise MediaError."""
        return stores.opened(self.address.at(key_of(entry.path)), media)


@dataclass
class Objects:
    """A walk to what is named in a store. A name is that of an object, or else of all that is below it."""

    address: Address
    names: Collection[str] = EVERYTHING
    filters: Filters | None = None
    missing: list[str] = field(default_factory=list)
    _objects: set[str] = field(default_factory=set)  # names that are no folders

    def __iter__(self) -> Iterator[Entry]:
        """Give the objects, as the folders that their names would make would be walked. Raise UserError."""
        names = sorted(filter(self._enters, self.names), key=key_of)
        with ThreadPoolExecutor(AT_ONCE) as pool:
            for name, found in zip(names, pool.map(self._named, names), strict=True):
                if not found and name and self._takes(name):
                    self.missing.append(name)
                yield from (entry for entry in found if self._takes(entry.path))

    def covers(self, key: bytes) -> bool:
        """Return whether the walk would have given an object of this name."""
        path = spelled(key.decode("utf-8"))
        folders = set(above(path)) - self._objects
        named = "" in self.names or path in self.names or not folders.isdisjoint(self.names)
        return named and self._takes(path)

    def _named(self, name: str) -> list[Entry]:
        """Return the object of a name, or else those below it."""
        try:
            info = stores.lookup(self.address.at(key_of(name))) if name else None
        except PermissionError:
            self._objects.add(name)
            return [Entry(name, None, None, Status.UNREADABLE, "permission denied")]
        if info:
            self._objects.add(name)
            return [self._entry(name, info)]
        return self._below(name)

    def _below(self, name: str) -> list[Entry]:
        address = self.address.at(key_of(name)) if name else self.address
        start = len(self.address.path) + 1
        found = ((spelled(info["name"][start:]), info) for info in stores.below(address) if not _is_placeholder(info))
        return sorted((self._entry(path, info) for path, info in found), key=_place)

    def _entry(self, path: str, info: Info) -> Entry:
        size, mtime_ns, etag = stores.looks(info)
        if self.address.at(key_of(path)).readable:
            return Entry(path, size, mtime_ns, etag=etag)
        return Entry(path, size, mtime_ns, Status.UNSUPPORTED, UNREADABLE_NAME, etag=etag)

    def _enters(self, name: str) -> bool:
        return self.filters is None or all(map(self.filters.enters, above(name)))

    def _takes(self, path: str) -> bool:
        return self.filters is None or self.filters.reach(path)


def _is_placeholder(info: Info) -> bool:
    """Return whether this is how tools write an empty folder."""
    return info["type"] == "directory" or (info["name"].endswith("/") and not info["size"])


def _place(entry: Entry) -> bytes:
    """Return what objects are sorted by: bytes of names, what lies in a folder before what lies in those below it."""
    *folders, name = entry.key.split(b"/")
    return b"".join(b"\1" + folder + b"\0" for folder in folders) + b"\0" + name
