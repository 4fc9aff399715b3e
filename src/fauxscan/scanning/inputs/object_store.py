"""A prefix in an object store as the root of a scan; its objects come in the order of a walk through folders."""

from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

from fauxscan.media.files import Content
from fauxscan.params import MediaParams, ScanParams
from fauxscan.records import Status
from fauxscan.scanning.inputs import filters, fsspec_store
from fauxscan.scanning.inputs.addresses import Address, key_of_path, path_of_key
from fauxscan.scanning.inputs.filters import Filters, parent_folders
from fauxscan.scanning.inputs.fsspec_store import Info
from fauxscan.scanning.inputs.local import EVERYTHING
from fauxscan.scanning.rows import Entry

# A detail in the tables, which the ledger compares: another wording would add a row for each of these objects.
UNREADABLE_NAME = "fsspec cannot ask for an object of such a name"
PARALLEL_LOOKUPS = 16  # names that are looked up in a store at once


@dataclass(frozen=True)
class Store:
    """All objects below an address."""

    address: Address

    @property
    def text(self) -> str:
        """Return the address."""
        return self.address.text

    def check(self) -> None:
        """Do nothing: empty prefixes do not exist, and the walk reports errors."""

    def walk(self, results: Path, names: Collection[str], scan: ScanParams) -> "StoreWalk":
        """Return the walk through the named objects; a store contains neither results nor links."""
        return StoreWalk(self.address, names, filters.read_filters(scan))

    def open_entry(self, entry: Entry, media: MediaParams) -> AbstractContextManager[Content]:
        """Yield the content of an object with its hash. Raise MediaError."""
        return fsspec_store.open_object(self.address.child(key_of_path(entry.path)), media)


@dataclass
class StoreWalk:
    """A walk through the named objects of a store. A name stands for one object, or else for all objects below it."""

    address: Address
    names: Collection[str] = EVERYTHING
    filters: Filters | None = None
    missing: list[str] = field(default_factory=list)
    empty: list[str] = field(default_factory=list)  # a store has no folders: none is ever empty
    _objects: set[str] = field(default_factory=set)  # the names that stand for one object

    def __iter__(self) -> Iterator[Entry]:
        """Yield the objects in the order of a walk through the folders that their keys describe. Raise InputError."""
        names = sorted(filter(self._enters_parents, self.names), key=key_of_path)
        with ThreadPoolExecutor(PARALLEL_LOOKUPS) as pool:
            for name, entries in zip(names, pool.map(self._look_up, names), strict=True):
                if not entries and name and self._includes(name):
                    self.missing.append(name)
                yield from (entry for entry in entries if self._includes(entry.path))

    def covers(self, key: bytes) -> bool:
        """Return whether the walk would have yielded an object with this name."""
        path = path_of_key(key.decode("utf-8"))
        folders = set(parent_folders(path)) - self._objects
        named = "" in self.names or path in self.names or not folders.isdisjoint(self.names)
        return named and self._includes(path)

    def _look_up(self, name: str) -> list[Entry]:
        """Return the object with a name, or else the objects below it."""
        try:
            info = fsspec_store.find_object(self.address.child(key_of_path(name))) if name else None
        except PermissionError:
            self._objects.add(name)
            return [Entry(name, None, None, Status.UNREADABLE, "permission denied")]
        if info:
            self._objects.add(name)
            return [self._entry(name, info)]
        return self._list_below(name)

    def _list_below(self, name: str) -> list[Entry]:
        address = self.address.child(key_of_path(name)) if name else self.address
        start = len(self.address.path) + 1
        listed = (
            (path_of_key(info["name"][start:]), info)
            for info in fsspec_store.list_objects(address)
            if not _is_placeholder(info)
        )
        return sorted((self._entry(path, info) for path, info in listed), key=_walk_order)

    def _entry(self, path: str, info: Info) -> Entry:
        size, mtime_ns, etag = fsspec_store.looks_of(info)
        if self.address.child(key_of_path(path)).is_readable:
            return Entry(path, size, mtime_ns, etag=etag)
        return Entry(path, size, mtime_ns, Status.UNSUPPORTED, UNREADABLE_NAME, etag=etag)

    def _enters_parents(self, name: str) -> bool:
        return self.filters is None or all(map(self.filters.enters_folder, parent_folders(name)))

    def _includes(self, path: str) -> bool:
        return self.filters is None or self.filters.reaches_file(path)


def _is_placeholder(info: Info) -> bool:
    """Return whether an object stands for an empty folder, as some tools write one."""
    return info["type"] == "directory" or (info["name"].endswith("/") and not info["size"])


def _walk_order(entry: Entry) -> bytes:
    """Return the sort key of an object: by the bytes of names, and the files of a folder before its subfolders."""
    *folders, name = entry.key.split(b"/")
    return b"".join(b"\1" + folder + b"\0" for folder in folders) + b"\0" + name
