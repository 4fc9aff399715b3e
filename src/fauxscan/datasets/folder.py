"""Your own directory tree: folders whose names params.yaml declares, each real or made by a named generator."""

import logging
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path, PurePosixPath

from fauxscan.records import FAKE, REAL, TEST, TRAIN, VALIDATION, DatasetCard, Example, UserError

log = logging.getLogger(__name__)

CARD = DatasetCard(
    name="folder",
    title="a directory tree of the user's",
    citation="",
    licence="the user's",
    access="manual",
    instructions=(
        "In params.yaml, name the tree as `archives` of the dataset and declare its folders in `options.labels`,"
        " for example {camera: real, stylegan: stylegan}."
    ),
)


def examples(
    root: Path, labels: dict[str, str] | None = None, source: str | None = None, splits: dict[str, str] | None = None
) -> Iterator[Example]:
    """Give every file in a declared folder. Raise UserError for labels or folders that leave a doubt.

    `labels` says of each folder `real`, or what made the fakes in it. `source` is a regular expression with one group,
    which names the source (video, shoot, person: what no split divides) where it is found in the path below that
    folder, for example 'id(\\d+)_'; else what lies in one folder there is one source, and a file in none is its own.
    `splits` says of a folder that it is the train, validation or test split already, for example {held_out: test}.
    """
    declared = _declared(root, labels or {})
    expression = _expression(source)
    fixed = _fixed(root, splits or {})
    _refuse_undeclared(root, declared)
    _tell_of_loose_files(root)
    lacking = {REAL if made_by == "real" else FAKE for made_by in declared.values()}
    for name, made_by in sorted(declared.items()):
        for file in _files(root, name):
            example = _example(file.relative_to(root), name, made_by, expression)
            lacking.discard(example.label)
            yield replace(example, split=next((s for f, s in fixed.items() if f in file.parents), None))
    if lacking:
        kind = "reals" if REAL in lacking else "fakes"
        raise UserError(f"labels name folders of {kind}, and no file lies in any of them")


def _files(root: Path, name: str) -> Iterator[Path]:
    """Give the files below a folder, in order; a link to a folder is not followed, and that is said."""
    for path in sorted((root / name).rglob("*")):
        if path.is_file() and not _hidden(path.relative_to(root)):
            yield path
        elif path.is_symlink() and path.is_dir():
            log.warning("left out: %s is a link to a folder, which is not followed", path.relative_to(root))


def _example(path: Path, folder: str, made_by: str, expression: re.Pattern[str] | None) -> Example:
    below = path.relative_to(folder)
    named = expression.search(below.as_posix()) if expression else None
    unit = f"{folder}/{below.parts[0] if len(below.parts) > 1 else below.stem}"  # a folder of frames is one source
    source = named[1] if named and named[1] else unit
    if made_by == "real":
        return Example(path.as_posix(), REAL, source)
    return Example(path.as_posix(), FAKE, source, made_by)


def _declared(root: Path, labels: dict[str, str]) -> dict[str, str]:
    """Return the folders and what made their files. Raise UserError if none are declared, missing or in another."""
    if not labels:
        raise UserError(f"no labels for the folders of the tree. {CARD.instructions}")
    for name, made_by in labels.items():
        if not made_by.strip() or (made_by != "real" and made_by.strip().casefold() in ("real", "reals", "0", "1")):
            raise UserError(f"labels call {name!r} {made_by!r}: write real, or the name of what made the fakes in it")
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or not (root / name).is_dir():
            there = ", ".join(sorted(folder.name for folder in root.iterdir() if folder.is_dir()))
            raise UserError(f"labels name the folder {name!r}, which is not in the tree; it has: {there or 'none'}")
        inside = [other for other in labels if PurePosixPath(other) in path.parents]
        if inside:
            raise UserError(f"labels name both {inside[0]!r} and {name!r} in it: a file may have one label only")
    return {str(PurePosixPath(name)): made_by for name, made_by in labels.items()}


def _fixed(root: Path, splits: dict[str, str]) -> dict[Path, str]:
    """Return the folders that are a split already. Raise UserError for one that is not there, or no split's name."""
    for name, split in splits.items():
        if split not in (TRAIN, VALIDATION, TEST):
            raise UserError(f"splits call {name!r} {split!r}: write train, validation or test")
        if not (root / name).is_dir():
            raise UserError(f"splits name the folder {name!r}, which is not in the tree")
    return {root / name: split for name, split in splits.items()}


def _expression(source: str | None) -> re.Pattern[str] | None:
    try:
        expression = re.compile(source) if source else None
    except re.error as error:
        raise UserError(f"options.source {source!r} is no regular expression: {error}") from error
    if expression and expression.groups != 1:
        raise UserError(
            f"options.source {source!r} has {expression.groups} groups: put one around what names the source"
        )
    return expression


def _refuse_undeclared(root: Path, labels: dict[str, str]) -> None:
    """Raise UserError for a folder that holds files and is neither declared nor in one that is."""
    found: set[str] = set()
    for folder in (path.relative_to(root) for path in root.rglob("*") if path.is_dir()):
        declared = any(str(path) in labels for path in (PurePosixPath(folder), *PurePosixPath(folder).parents))
        if not declared and not _hidden(folder) and any(path.is_file() for path in (root / folder).iterdir()):
            found.add(folder.as_posix())
    if found:
        raise UserError(f"folders without a label: {', '.join(sorted(found))}. {CARD.instructions}")


def _tell_of_loose_files(root: Path) -> None:
    for path in sorted(root.iterdir()):
        if path.is_file() and not _hidden(path.relative_to(root)):
            log.warning("left out: %s lies in no folder that has a label", path.name)


def _hidden(path: Path) -> bool:
    """Return whether an operating system, not a person, put it there."""
    return any(part.startswith(".") or part == "__MACOSX" for part in path.parts)
