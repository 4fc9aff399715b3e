"""Your own directory tree: folders whose names params.yaml declares, each real or made by a named generator."""

from collections.abc import Iterator
from pathlib import Path

from fauxscan.records import FAKE, REAL, DatasetCard, Example, UserError

CARD = DatasetCard(
    name="folder",
    title="a directory tree of the user's",
    citation="",
    licence="the user's",
    instructions=(
        "In params.yaml, name the tree as `archives` of the dataset and declare its folders in `options.labels`,"
        " for example {camera: real, stylegan: stylegan}."
    ),
)


def examples(root: Path, labels: dict[str, str] | None = None) -> Iterator[Example]:
    """Give every file in a declared folder; the folder below it, if any, is the source. Raise UserError."""
    if not labels:
        raise UserError(f"no labels for the folders of the tree. {CARD.instructions}")
    for name, made_by in sorted(labels.items()):
        if not (root / name).is_dir():
            there = ", ".join(sorted(folder.name for folder in root.iterdir() if folder.is_dir()))
            raise UserError(f"labels name the folder {name!r}, which is not in the tree; it has: {there or 'none'}")
        for file in sorted(f for f in (root / name).rglob("*") if f.is_file()):
            yield _example(file.relative_to(root), made_by)
    _refuse_undeclared(root, labels)


def _example(path: Path, made_by: str) -> Example:
    source = path.parts[1] if len(path.parts) > 2 else path.stem  # a folder of frames is one source
    if made_by == "real":
        return Example(path.as_posix(), REAL, f"{path.parts[0]}/{source}")
    return Example(path.as_posix(), FAKE, f"{path.parts[0]}/{source}", made_by)


def _refuse_undeclared(root: Path, labels: dict[str, str]) -> None:
    undeclared = sorted(f.name for f in root.iterdir() if f.is_dir() and f.name not in labels)
    if undeclared:
        raise UserError(f"folders without a label: {', '.join(undeclared)}. {CARD.instructions}")
