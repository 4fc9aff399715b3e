"""Your own folder: subfolders that params.yaml labels as real or with the name of the generator of their fakes."""

import logging
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path, PurePosixPath

from fauxscan.records import FAKE, REAL, TEST, TRAIN, VALIDATION, DatasetCard, Example, UserError

log = logging.getLogger(__name__)

CARD = DatasetCard(
    name="folder",
    title="Your own folder of images",
    citation="",
    licence="the user's own",
    access="manual",
    instructions=(
        "In params.yaml, set `archives` of the dataset to your folder, and label its subfolders in"
        " `options.labels`, for example {camera: real, stylegan: stylegan}."
    ),
)


def examples(
    root: Path, labels: dict[str, str] | None = None, source: str | None = None, splits: dict[str, str] | None = None
) -> Iterator[Example]:
    """Yield every file in a labelled folder. Raise UserError for labels or folders that are ambiguous.

    `labels` gives each folder the label `real`, or the name of what made its fakes; "." is the whole tree. `source` is
    a regular expression with one group, which captures the source (the video, shoot or person that no split divides)
    from the path below that folder, for example 'id(\\d+)_'. Without a match, all files of one subfolder are one
    source, and each other file is a source of its own. `splits` names folders that already are the train, validation or
    test split, for example {held_out: test}.
    """
    labelled = _checked_labels(root, labels or {})
    expression = _expression(source)
    fixed = _fixed(root, splits or {})
    _refuse_unlabelled_folders(root, labelled)
    if "." not in labelled:
        _warn_about_unlabelled_files(root)
    missing = {REAL if made_by == "real" else FAKE for made_by in labelled.values()}
    for name, made_by in sorted(labelled.items()):
        for file in _files(root, name):
            example = _example(file.relative_to(root), name, made_by, expression)
            missing.discard(example.label)
            yield replace(example, split=next((s for f, s in fixed.items() if f in file.parents), None))
    if missing:
        kind = "reals" if REAL in missing else "fakes"
        raise UserError(f"labels name folders of {kind}, but none of them has any file")


def check(root: Path, labels: dict[str, str]) -> None:
    """Raise UserError for labels or folders that are ambiguous, without listing the files."""
    labelled = _checked_labels(root, labels)
    _refuse_unlabelled_folders(root, labelled)


def _files(root: Path, name: str) -> Iterator[Path]:
    """Yield the files below a folder, in order. Links to folders are not followed, with a warning."""
    for path in sorted((root / name).rglob("*")):
        if path.is_file() and not _hidden(path.relative_to(root)):
            yield path
        elif path.is_symlink() and path.is_dir():
            log.warning("Skipped %s: links to folders are not followed", path.relative_to(root))


def _example(path: Path, folder: str, made_by: str, expression: re.Pattern[str] | None) -> Example:
    below = path.relative_to(folder)
    match = expression.search(below.as_posix()) if expression else None
    unit = f"{folder}/{below.parts[0] if len(below.parts) > 1 else below.stem}"  # a folder of frames is one source
    source = match[1] if match and match[1] else unit
    if made_by == "real":
        return Example(path.as_posix(), REAL, source)
    return Example(path.as_posix(), FAKE, source, made_by)


def _checked_labels(root: Path, labels: dict[str, str]) -> dict[str, str]:
    """Return the label of each folder. Raise UserError if none are labelled, or one is missing or inside another."""
    if not labels:
        raise UserError(f"the subfolders have no labels. {CARD.instructions}")
    for name, made_by in labels.items():
        if not made_by.strip() or (made_by != "real" and made_by.strip().casefold() in ("real", "reals", "0", "1")):
            raise UserError(f"labels say {made_by!r} for {name!r}: write real, or the name of what made its fakes")
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or not (root / name).is_dir():
            there = ", ".join(sorted(folder.name for folder in root.iterdir() if folder.is_dir()))
            raise UserError(f"labels name {name!r}, which is not a subfolder; there are: {there or 'none'}")
        inside = [other for other in labels if PurePosixPath(other) in path.parents]
        if inside:
            raise UserError(f"labels name both {inside[0]!r} and {name!r} inside it: a file can have only one label")
    return {str(PurePosixPath(name)): made_by for name, made_by in labels.items()}


def _fixed(root: Path, splits: dict[str, str]) -> dict[Path, str]:
    """Return the split of each folder that is one already. Raise UserError for a missing folder or an unknown split."""
    for name, split in splits.items():
        if split not in (TRAIN, VALIDATION, TEST):
            raise UserError(f"splits say {split!r} for {name!r}: write train, validation or test")
        if not (root / name).is_dir():
            raise UserError(f"splits name {name!r}, which is not a subfolder")
    return {root / name: split for name, split in splits.items()}


def _expression(source: str | None) -> re.Pattern[str] | None:
    try:
        expression = re.compile(source) if source else None
    except re.error as error:
        raise UserError(f"options.source {source!r} is not a regular expression: {error}") from error
    if expression and expression.groups != 1:
        raise UserError(
            f"options.source {source!r} has {expression.groups} groups: put one group around the name of the source"
        )
    return expression


def _refuse_unlabelled_folders(root: Path, labels: dict[str, str]) -> None:
    """Raise UserError for folders with files that are neither labelled nor inside a labelled folder."""
    unlabelled: set[str] = set()
    for folder in (path.relative_to(root) for path in root.rglob("*") if path.is_dir()):
        is_labelled = any(str(path) in labels for path in (PurePosixPath(folder), *PurePosixPath(folder).parents))
        if not is_labelled and not _hidden(folder) and any(path.is_file() for path in (root / folder).iterdir()):
            unlabelled.add(folder.as_posix())
    if unlabelled:
        raise UserError(f"folders without a label: {', '.join(sorted(unlabelled))}. {CARD.instructions}")


def _warn_about_unlabelled_files(root: Path) -> None:
    for path in sorted(root.iterdir()):
        if path.is_file() and not _hidden(path.relative_to(root)):
            log.warning("Skipped %s: it is not in a labelled folder", path.name)


def _hidden(path: Path) -> bool:
    """Return whether a file was created by an operating system, not by a person."""
    return any(part.startswith(".") or part == "__MACOSX" for part in path.parts)
