"""A dataset on disk: its media made, unpacked or linked from a local tree, and an index of them."""

import inspect
import logging
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path, PurePosixPath
from types import ModuleType
from typing import Any

from pydantic import ValidationError, validate_call

from fauxscan import datasets
from fauxscan.params import DatasetParams, faults
from fauxscan.preparing import archives, fetching, pins
from fauxscan.preparing import index as indexing
from fauxscan.records import Archive, Example, UserError

log = logging.getLogger(__name__)


def download(dataset: DatasetParams, seed: int, fetched: Path, media: Path, index: Path) -> None:
    """Fill `media` with the dataset's files and write their index; `fetched` keeps archives between runs."""
    module = datasets.get(dataset.name)
    fetched.mkdir(parents=True, exist_ok=True)
    media.mkdir(parents=True, exist_ok=True)
    examples = _provide(module, dataset, seed, fetched, media)
    indexing.write(examples, media, index, module.CARD, dataset.limit)


def _provide(module: ModuleType, dataset: DatasetParams, seed: int, fetched: Path, media: Path) -> Iterable[Example]:
    """Return the dataset's examples, whose files are in `media` by then or as they are taken."""
    examples = _examples(module, dataset, media)  # before any work: a wrong option is said at once
    if hasattr(module, "make"):
        module.make(media, seed)
        return examples
    listed = _archives(module, dataset)
    tree = fetching.local(_source(module, dataset))
    if tree and (not listed or _holds(tree, module.CARD.layout)):
        return _linked(_examples(module, dataset, tree), tree, media)
    if not listed:
        raise UserError(
            f"{dataset.name} is imported from a local folder, and none is named. {module.CARD.instructions}"
        )
    _unpack(listed, module, dataset, fetched, media)
    return examples


# === Options ===


def _examples(module: ModuleType, dataset: DatasetParams, root: Path) -> Iterator[Example]:
    return iter(_called(module.examples, dataset, root=root))


def _archives(module: ModuleType, dataset: DatasetParams) -> tuple[Archive, ...]:
    """Return the archives that the options ask for."""
    if not hasattr(module, "archives"):
        return tuple(module.CARD.archives)
    chosen = dataset.model_copy(update={"options": _taken(module.archives, dataset)})
    return tuple(_called(module.archives, chosen))


def _taken(function: Callable[..., Any], dataset: DatasetParams) -> dict[str, Any]:
    """Return those of the options that a function takes."""
    return {name: dataset.options[name] for name in inspect.signature(function).parameters if name in dataset.options}


def _called(function: Callable[..., Any], dataset: DatasetParams, **arguments: Any) -> Any:
    """Call a dataset's function with the options of params.yaml. Raise UserError that names those there are."""
    known = [name for name in inspect.signature(function).parameters if name not in arguments]
    try:
        return validate_call(function)(**arguments, **dataset.options)
    except ValidationError as error:
        raise UserError(
            f"options of the dataset {dataset.name} in params.yaml: {'; '.join(faults(error))}."
            f" The options there are: {', '.join(known) or 'none'} (see docs/datasets.md)"
        ) from error


# === Local trees ===


def _source(module: ModuleType, dataset: DatasetParams) -> fetching.Source:
    return fetching.Source(dataset.name, dataset.archives, module.CARD.instructions, module.CARD.layout)


def _holds(tree: Path, layout: Iterable[str]) -> bool:
    return any(found.is_dir() for pattern in layout for found in tree.glob(pattern))


def _linked(examples: Iterator[Example], tree: Path, media: Path) -> Iterator[Example]:
    """Give the examples whose files could be linked into `media`; the others are named in the log."""
    for example in examples:
        if PurePosixPath(example.path).is_absolute() or ".." in PurePosixPath(example.path).parts:
            raise UserError(f"{tree} names {example.path!r}, which is outside of it: correct its lists")
        try:
            _link((tree / example.path).resolve(strict=True), media / example.path)
        except OSError as error:
            log.warning("left out: %s: %s", tree / example.path, error)
            continue
        yield example


def _link(source: Path, target: Path) -> None:
    """Make `target` the same file as `source`, or a copy where the file system cannot."""
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


# === Archives ===


def _unpack(
    listed: tuple[Archive, ...], module: ModuleType, dataset: DatasetParams, fetched: Path, media: Path
) -> None:
    """Find or fetch all archives, check them, unpack what is wanted, and pin what was seen for the first time."""
    found = fetching.gather(listed, _source(module, dataset), fetched)
    seen = {archive.name: pins.check(file, archive, source, fetched) for archive, file, source in found}
    first = set(archives.first_volumes([file for _, file, _ in found]))
    for archive, file, _ in found:
        if file in first:
            archives.unpack(file, media / archive.into, partial(_wants, module, dataset, archive.into))
    pins.write(seen, fetched)  # not before it could be unpacked: a torn archive is nothing to hold later ones to


def _wants(module: ModuleType, dataset: DatasetParams, into: str, name: str) -> bool:
    """Return whether the options ask for a member, by its place in the media folder; a dataset need not tell."""
    if not hasattr(module, "wants"):
        return True
    return bool(module.wants(str(PurePosixPath(into, name)), **_taken(module.wants, dataset)))
