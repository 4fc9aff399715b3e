"""What a person names to scan: folders, files and lists of them, as names below one root."""

import os
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import takewhile
from pathlib import Path
from typing import BinaryIO

from fauxscan.records import UserError
from fauxscan.scanning import addresses, places, stores
from fauxscan.scanning.addresses import Address, spelled
from fauxscan.scanning.filters import above
from fauxscan.scanning.objects import Store
from fauxscan.scanning.places import LocalFolder, Place
from fauxscan.scanning.walking import EVERYTHING

NOTHING = "nothing is named to scan: name a folder, files, or --list FILE with at least one path"
BOM = b"\xef\xbb\xbf"  # some editors write it before UTF-8


@dataclass(frozen=True)
class Selection:
    """The folder that paths in the tables are relative to, and what is scanned of it."""

    root: Place
    names: frozenset[str] = frozenset(EVERYTHING)


def select(paths: Sequence[str], root: str | Path | None = None) -> Selection:
    """Return the selection of paths or addresses, below `root` or else the deepest folder that holds them all.

    Raise UserError if none is there, or one lies outside the root.
    """
    if any(map(addresses.is_address, (*paths, str(root)))):
        return _in_store(paths, addresses.parse(str(root)) if root else None)
    _check_there(paths)
    if root is None and len(paths) == 1 and os.path.isdir(paths[0]):
        return Selection(places.at(Path(paths[0])))
    place = _placing()
    found = {place(path): path for path in paths}
    top = _shared(found) if root is None else os.path.realpath(root)
    if not os.path.isdir(top):
        raise UserError(f"{root or top} is not a folder: name one that holds all that is scanned")
    return Selection(LocalFolder(Path(top)), _outermost({_below(at, top, path) for at, path in found.items()}))


def below(folder: str, paths: Sequence[str] = ()) -> Selection:
    """Return the selection of paths relative to a folder or address, which is the root; all of it if there are none."""
    join = "{}/{}".format if addresses.is_address(folder) else os.path.join
    return select([join(folder.rstrip("/") or "/", path) for path in paths] or [folder], folder)


def read_list(source: BinaryIO) -> list[str]:
    """Return the paths in a list: one a line, or each ended by NUL as `find -print0` has them; their bytes are kept."""
    text = source.read()
    if b"\0" in text:
        return [os.fsdecode(path) for path in text.split(b"\0") if path]
    lines = text.removeprefix(BOM).split(b"\n")
    return [os.fsdecode(path) for line in lines if (path := line.removesuffix(b"\r"))]


def _check_there(paths: Sequence[str]) -> None:
    if not paths:
        raise UserError(NOTHING)
    if any(map(os.path.lexists, paths)):
        return
    if len(paths) == 1:
        raise UserError(f"{paths[0]} is not there: name a folder or files to scan")
    # More often a share that is not mounted than files that were all removed.
    raise UserError(f"none of the {len(paths)} paths is there, as {paths[0]}: see whether their disk is mounted")


def _placing() -> Callable[[str], str]:
    """Return the function that gives a path's place: absolute, no link on the way, the last name as it is."""
    real = lru_cache(maxsize=4096)(os.path.realpath)

    def place(path: str) -> str:
        folder, name = os.path.split(path.rstrip("/"))
        return os.path.realpath(path) if name in ("", ".", "..") else os.path.join(real(folder), name)

    return place


def _shared(places: Iterable[str]) -> str:
    """Return the deepest folder that holds all; what is missing is taken for a file."""
    return os.path.commonpath({place if os.path.isdir(place) else os.path.dirname(place) for place in places})


def _below(place: str, top: str, path: str) -> str:
    """Return the name below `top`. Raise UserError if it is not there."""
    if place == top:
        return ""
    prefix = top.rstrip("/") + "/"
    if not place.startswith(prefix):
        raise UserError(f"{path} lies outside the root {top} (it is {place}): scan it apart, or name a wider --root")
    return place.removeprefix(prefix)


def _outermost(names: set[str]) -> frozenset[str]:
    """Return the names without those that lie below another."""
    if "" in names:
        return frozenset(EVERYTHING)
    return frozenset(name for name in names if names.isdisjoint(above(name)))


def _in_store(paths: Sequence[str], root: Address | None) -> Selection:
    named = {addresses.parse(path) for path in paths}
    if not named:
        raise UserError(NOTHING)
    top = root or _deepest(named, paths[0].endswith("/"))
    return Selection(Store(top), _outermost({_name(address, top) for address in named}))


def _deepest(named: Collection[Address], folder: bool) -> Address:
    """Return the deepest prefix that holds all. One alone is an object where there is one, if it is no `folder`."""
    first = next(iter(named))
    if len(named) == 1:
        return first if folder or not first.key or not stores.is_object(first) else first.above
    if len({(address.scheme, address.bucket) for address in named}) > 1:
        raise UserError("what is named lies in several buckets: scan each apart")
    levels = zip(*(address.key.split("/") for address in named), strict=False)
    shared = (level[0] for level in takewhile(lambda level: len(set(level)) == 1, levels))
    return replace(first, key="/".join(shared).rstrip("/"))


def _name(address: Address, top: Address) -> str:
    """Return the name below `top`. Raise UserError if it is not there."""
    if address == top:
        return ""
    prefix = f"{top.text}/"
    if not address.text.startswith(prefix):
        raise UserError(f"{address.text} lies outside the root {top.text}: scan it apart, or name a wider --root")
    return spelled(address.text.removeprefix(prefix))
