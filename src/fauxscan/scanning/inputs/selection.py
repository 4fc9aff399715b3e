"""The selection that a user names: folders, files, addresses and lists of them, as names relative to one root."""

import os
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import takewhile
from pathlib import Path
from typing import BinaryIO

from fauxscan.records import InputError
from fauxscan.scanning.inputs import addresses, fsspec_store, roots
from fauxscan.scanning.inputs.addresses import Address, path_of_key
from fauxscan.scanning.inputs.filters import parent_folders
from fauxscan.scanning.inputs.local import EVERYTHING
from fauxscan.scanning.inputs.object_store import Store
from fauxscan.scanning.inputs.roots import LocalFolder, Root

NOTHING = "nothing to scan: name a folder, files, or --list FILE with at least one path"
BOM = b"\xef\xbb\xbf"  # some editors write it at the start of a UTF-8 file


@dataclass(frozen=True)
class Selection:
    """The root that paths in the tables are relative to, and the names below it that are scanned."""

    root: Root
    names: frozenset[str] = frozenset(EVERYTHING)


def select(paths: Sequence[str], root: str | Path | None = None) -> Selection:
    """Return the selection of paths or addresses, below `root` or else below their deepest common parent.

    Raise InputError if none of them exists, or if one lies outside the root.
    """
    if any(map(addresses.is_address, (*paths, str(root)))):
        return _select_in_store(paths, addresses.parse_address(str(root)) if root else None)
    _check_any_exists(paths)
    if root is None and len(paths) == 1 and os.path.isdir(paths[0]):
        return Selection(roots.root_at(Path(paths[0])))
    resolve = _parent_resolver()
    resolved = {resolve(path): path for path in paths}
    top = _common_folder(resolved) if root is None else os.path.realpath(root)
    if not os.path.isdir(top):
        raise InputError(f"{root or top} is not a folder: name one that contains everything to be scanned")
    names = {_name_below(real, top, path) for real, path in resolved.items()}
    return Selection(LocalFolder(Path(top)), _outermost(names))


def select_below(folder: str, paths: Sequence[str] = ()) -> Selection:
    """Return the selection of paths relative to a folder or address, which becomes the root; without paths, all."""
    join = "{}/{}".format if addresses.is_address(folder) else os.path.join
    return select([join(folder.rstrip("/") or "/", path) for path in paths] or [folder], folder)


def read_list(source: BinaryIO) -> list[str]:
    """Return the paths in a list, one per line or NUL-terminated as `find -print0` writes them; bytes are kept."""
    text = source.read()
    if b"\0" in text:
        return [os.fsdecode(path) for path in text.split(b"\0") if path]
    lines = text.removeprefix(BOM).split(b"\n")
    return [os.fsdecode(path) for line in lines if (path := line.removesuffix(b"\r"))]


def _check_any_exists(paths: Sequence[str]) -> None:
    if not paths:
        raise InputError(NOTHING)
    if any(map(os.path.lexists, paths)):
        return
    if len(paths) == 1:
        raise InputError(f"{paths[0]} does not exist: name a folder or files to scan")
    # The usual cause is a share that is not mounted, not that all files were removed.
    raise InputError(f"none of the {len(paths)} paths exists, for example {paths[0]}: check that their disk is mounted")


def _parent_resolver() -> Callable[[str], str]:
    """Return a function that resolves the links in a path's parent folders and keeps its last name."""
    real_path = lru_cache(maxsize=4096)(os.path.realpath)

    def resolve(path: str) -> str:
        folder, name = os.path.split(path.rstrip("/"))
        return os.path.realpath(path) if name in ("", ".", "..") else os.path.join(real_path(folder), name)

    return resolve


def _common_folder(paths: Iterable[str]) -> str:
    """Return the deepest folder that contains all paths; a path that does not exist counts as a file."""
    return os.path.commonpath({path if os.path.isdir(path) else os.path.dirname(path) for path in paths})


def _name_below(resolved: str, top: str, path: str) -> str:
    """Return the name of a path relative to `top`. Raise InputError if it lies elsewhere."""
    if resolved == top:
        return ""
    prefix = top.rstrip("/") + "/"
    if not resolved.startswith(prefix):
        message = f"{path} lies outside the root {top} (its real path is {resolved})"
        raise InputError(f"{message}: scan it separately, or name a wider --root")
    return resolved.removeprefix(prefix)


def _outermost(names: set[str]) -> frozenset[str]:
    """Return the names that are not below another of them."""
    if "" in names:
        return frozenset(EVERYTHING)
    return frozenset(name for name in names if names.isdisjoint(parent_folders(name)))


def _select_in_store(paths: Sequence[str], root: Address | None) -> Selection:
    named = {addresses.parse_address(path) for path in paths}
    if not named:
        raise InputError(NOTHING)
    top = root or _common_prefix(named, paths[0].endswith("/"))
    return Selection(Store(top), _outermost({_key_below(address, top) for address in named}))


def _common_prefix(named: Collection[Address], is_folder: bool) -> Address:
    """Return the deepest prefix that contains all addresses; the parent of an address that is an object."""
    first = next(iter(named))
    if len(named) == 1:
        return first if is_folder or not first.key or not fsspec_store.is_object(first) else first.parent
    if len({(address.scheme, address.bucket) for address in named}) > 1:
        raise InputError("the addresses are in several buckets: scan each bucket separately")
    levels = zip(*(address.key.split("/") for address in named), strict=False)
    shared = (level[0] for level in takewhile(lambda level: len(set(level)) == 1, levels))
    return replace(first, key="/".join(shared).rstrip("/"))


def _key_below(address: Address, top: Address) -> str:
    """Return the name of an address relative to `top`. Raise InputError if it lies elsewhere."""
    if address == top:
        return ""
    prefix = f"{top.text}/"
    if not address.text.startswith(prefix):
        message = f"{address.text} lies outside the root {top.text}"
        raise InputError(f"{message}: scan it separately, or name a wider --root")
    return path_of_key(address.text.removeprefix(prefix))
