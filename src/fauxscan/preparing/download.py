"""A dataset on disk: its media made or unpacked, and an index of them."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from fauxscan import datasets
from fauxscan.params import DatasetParams
from fauxscan.preparing import archives
from fauxscan.preparing import index as indexing
from fauxscan.records import Archive, Example, UserError


def download(dataset: DatasetParams, seed: int, fetched: Path, media: Path, index: Path) -> None:
    """Fill `media` with the dataset's files and write their index; `fetched` keeps archives between runs."""
    module = datasets.get(dataset.name)
    fetched.mkdir(parents=True, exist_ok=True)
    media.mkdir(parents=True, exist_ok=True)
    sources = _provide(module, dataset, seed, fetched, media)
    (fetched / "sources.json").write_text(json.dumps(sources, indent=2) + "\n", encoding="utf-8")
    indexing.write(_examples(module, dataset, media), media, index, module.CARD, dataset.limit)


def _provide(module: ModuleType, dataset: DatasetParams, seed: int, fetched: Path, media: Path) -> list[dict[str, Any]]:
    if hasattr(module, "make"):
        module.make(media, seed)
        return []
    if not module.CARD.archives:
        _copy_tree(dataset, module.CARD.instructions, media)
        return []
    found = [
        (archive, _locate(archive, dataset, module.CARD.instructions, fetched)) for archive in module.CARD.archives
    ]
    sums = [{"name": archive.name, "sha256": archives.check(file, archive)} for archive, file in found]
    for _, file in found:
        archives.unpack(file, media)
    return sums


def _locate(archive: Archive, dataset: DatasetParams, instructions: str, fetched: Path) -> Path:
    """Return the archive's file: from a local folder, or fetched. Raise UserError with what to do."""
    place = dataset.archives
    if place and not place.startswith("https://"):
        file = Path(place).expanduser() / archive.name
        if not file.parent.is_dir():
            raise UserError(f"there is no folder {place} to find {archive.name} in. {instructions}")
        if not file.is_file():
            raise UserError(f"{archive.name} is not in {place}. {instructions}")
        return file
    address = f"{place.rstrip('/')}/{archive.name}" if place else archive.address
    if address is None:
        raise UserError(f"{archive.name} of {dataset.name} must be fetched by hand. {instructions}")
    return archives.fetch(archive, address, fetched)


def _copy_tree(dataset: DatasetParams, instructions: str, media: Path) -> None:
    if not dataset.archives:
        raise UserError(f"no directory tree is named. {instructions}")
    tree = Path(dataset.archives).expanduser()
    if not tree.is_dir():
        raise UserError(f"there is no folder {tree}. {instructions}")
    shutil.copytree(tree, media, dirs_exist_ok=True)


def _examples(module: ModuleType, dataset: DatasetParams, media: Path) -> Iterator[Example]:
    return iter(module.examples(media, **dataset.options))
