"""What a person names to scan: folders, files and lists of them, as names below one root."""

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

from fauxscan.records import UserError
from fauxscan.scanning.filters import above
from fauxscan.scanning.walking import EVERYTHING

BOM = b"\xef\xbb\xbf"  # some editors write it before UTF-8


@dataclass(frozen=True)
class Selection:
    """The folder that paths in the tables are relative to, and what is scanned of it."""

    root: Path
    names: frozenset[str] = frozenset(EVERYTHING)


def select(paths: Sequence[str], root: Path | None = None) -> Selection:
    """Return the selection of paths, below `root` or else the deepest folder that holds them all.

    Raise UserError if none is there, or one lies outside the root.
    """
    _check_there(paths)
    if root is None and len(paths) == 1 and os.path.isdir(paths[0]):
        return Selection(Path(paths[0]).resolve())
    place = _placing()
    places = {place(path): path for path in paths}
    top = _shared(places) if root is None else os.path.realpath(root)
    if not os.path.isdir(top):
        raise UserError(f"{root or top} is not a folder: name one that holds all that is scanned")
    return Selection(Path(top), _outermost({_below(found, top, path) for found, path in places.items()}))


def read_list(source: BinaryIO) -> list[str]:
    """Return the paths in a list: one a line, or each ended by NUL as `find -print0` has them; their bytes are kept."""
    text = source.read()
    if b"\0" in text:
        return [os.fsdecode(path) for path in text.split(b"\0") if path]
    lines = text.removeprefix(BOM).split(b"\n")
    return [os.fsdecode(path) for line in lines if (path := line.removesuffix(b"\r"))]


def _check_there(paths: Sequence[str]) -> None:
    if not paths:
        raise UserError("nothing is named to scan: name a folder, files, or --list FILE with at least one path")
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
