"""A dataset on disk: its media generated, unpacked or linked from a local tree, and an index of them."""

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
from fauxscan.preparing.download import checksums, sources, unpack
from fauxscan.preparing.download import index as indexing
from fauxscan.records import Archive, Example, UserError

log = logging.getLogger(__name__)


def download(dataset: DatasetParams, seed: int, downloads: Path, media: Path, index: Path) -> None:
    """Fill the folder `media` with the dataset's files and write their index.

    `downloads` keeps archives between runs. Raise UserError if archives are missing, wrong or unsafe, or if options
    are wrong.
    """
    module = datasets.get(dataset.name)
    downloads.mkdir(parents=True, exist_ok=True)
    media.mkdir(parents=True, exist_ok=True)
    examples = _provide_media(module, dataset, seed, downloads, media)
    indexing.write_index(examples, media, index, module.CARD, dataset.limit)


def refuse_without_folder(dataset: DatasetParams) -> None:
    """Raise UserError if the dataset is neither made nor downloaded, and names no local folder that exists."""
    module = datasets.get(dataset.name)
    provided = hasattr(module, "make") or _archives(module, dataset)
    if not provided and not sources.local_folder(_source(module, dataset)):
        raise UserError(
            f"{dataset.name} is imported from a local folder, and none is named. {module.CARD.instructions}"
        )


def _provide_media(
    module: ModuleType, dataset: DatasetParams, seed: int, downloads: Path, media: Path
) -> Iterable[Example]:
    """Return the dataset's examples; their files are in `media` at the latest when each example is yielded."""
    examples = _examples(module, dataset, media)  # before any work, so that a wrong option is reported at once
    if hasattr(module, "make"):
        module.make(media, seed)
        return examples
    archives = _archives(module, dataset)
    tree = sources.local_folder(_source(module, dataset))
    if tree and (not archives or _has_layout(tree, module.CARD.layout)):
        return _link_examples(_examples(module, dataset, tree), tree, media)
    refuse_without_folder(dataset)
    _unpack_archives(archives, module, dataset, downloads, media)
    return examples


# === Options ===


def _examples(module: ModuleType, dataset: DatasetParams, root: Path) -> Iterator[Example]:
    return iter(_call_with_options(module.examples, dataset, root=root))


def _archives(module: ModuleType, dataset: DatasetParams) -> tuple[Archive, ...]:
    """Return the archives that the options select."""
    if not hasattr(module, "archives"):
        return tuple(module.CARD.archives)
    selection = dataset.model_copy(update={"options": _options_of(module.archives, dataset)})
    return tuple(_call_with_options(module.archives, selection))


def _options_of(function: Callable[..., Any], dataset: DatasetParams) -> dict[str, Any]:
    """Return those of the dataset's options that `function` takes."""
    return {name: dataset.options[name] for name in inspect.signature(function).parameters if name in dataset.options}


def _call_with_options(function: Callable[..., Any], dataset: DatasetParams, **arguments: Any) -> Any:
    """Call a dataset's function with the options of params.yaml. Raise UserError that lists the valid options."""
    known = [name for name in inspect.signature(function).parameters if name not in arguments]
    try:
        return validate_call(function)(**arguments, **dataset.options)
    except ValidationError as error:
        raise UserError(
            f"wrong options of the dataset {dataset.name} in params.yaml: {'; '.join(faults(error))}."
            f" Valid options: {', '.join(known) or 'none'} (see docs/datasets.md)"
        ) from error


# === Local trees ===


def _source(module: ModuleType, dataset: DatasetParams) -> sources.Source:
    return sources.Source(dataset.name, dataset.archives, module.CARD.instructions, module.CARD.layout)


def _has_layout(tree: Path, layout: Iterable[str]) -> bool:
    return any(path.is_dir() for pattern in layout for path in tree.glob(pattern))


def _link_examples(examples: Iterator[Example], tree: Path, media: Path) -> Iterator[Example]:
    """Yield the examples whose files could be linked into `media`; log the others."""
    for example in examples:
        if PurePosixPath(example.path).is_absolute() or ".." in PurePosixPath(example.path).parts:
            raise UserError(f"{tree} lists {example.path!r}, which is outside of the tree: correct its lists")
        try:
            _link((tree / example.path).resolve(strict=True), media / example.path)
        except OSError as error:
            log.warning("Skipped %s: %s", tree / example.path, error)
            continue
        yield example


def _link(source: Path, target: Path) -> None:
    """Hard-link `target` to `source`, or copy it where the file system cannot link."""
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


# === Archives ===


def _unpack_archives(
    archives: tuple[Archive, ...], module: ModuleType, dataset: DatasetParams, downloads: Path, media: Path
) -> None:
    """Find or download all archives, verify them, unpack the selected members, and record new checksums."""
    located = sources.locate(archives, _source(module, dataset), downloads)
    verified = {one.archive.name: checksums.verify(one.file, one.archive, one.origin, downloads) for one in located}
    first = set(unpack.first_volumes([one.file for one in located]))
    for one in located:
        if one.file in first:
            into = one.archive.into
            unpack.unpack(one.file, media / into, partial(_is_selected, module, dataset, into))
    checksums.add_checksums(verified, downloads)  # only now: a damaged archive must not become the reference


def _is_selected(module: ModuleType, dataset: DatasetParams, into: str, name: str) -> bool:
    """Return whether the options select an archive's member `name`; datasets without `selects` take all."""
    if not hasattr(module, "selects"):
        return True
    return bool(module.selects(str(PurePosixPath(into, name)), **_options_of(module.selects, dataset)))
