"""Write docs/datasets.md from the datasets' cards: `python docs/datasets.py`. With --check, only say if it is current."""

import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

from fauxscan import datasets
from fauxscan.records import DatasetCard

FILE = Path(__file__).with_suffix(".md")
ACCESS = {"open": "fetched by the stage `download`", "manual": "by hand: a form, an account or a page for browsers"}
HEAD = """# Datasets

Made by `python docs/datasets.py` from the files in `src/fauxscan/datasets/`, whose first lines say where each layout was
read and what is only recalled.

`datasets.<key>` in `params.yaml` takes one: `name` is the dataset's, `options` are those below, `limit` the most files of
each class, `archives` where it lies if not where it is published:
- **a local folder** with the archives, or with the unpacked tree: if it has one of the folders named below, it is taken
  as it is, and the files that the options ask for are hard links in `data/<key>/media` (copies on another file system);
- **an https address** under which the archives lie.

Archives are fetched four at a time into `downloads/<key>/` and kept. A transfer that breaks off is resumed, now or by the
next run, if the server says that the file is still the same. What each archive was is noted in
`downloads/<key>/pins.json`; one that differs later, from wherever, is refused. Every class of file is named in the
dataset's file, nothing is guessed from a folder's name. A broken image or video stops nothing: the stage `faces` gives it a
status.
"""


def page() -> str:
    """Return the page: what holds for all, then a section a dataset."""
    return "\n".join([HEAD, *(section(name) for name in datasets.names())])


def section(name: str) -> str:
    """Return a dataset's title, licence, access, archives, folders, options and what a person has to do."""
    module = datasets.get(name)
    card: DatasetCard = module.CARD
    lines = [f"## `{name}`: {card.title}", ""]
    lines += [f"- {word}: {text}" for word, text in facts(card, hasattr(module, "make")) if text]
    if hasattr(module, "archives"):
        lines += [f"- Options that choose archives: {options(module.archives)}"]
    lines += [f"- Options: {options(module.examples) or 'none'}", "", card.instructions, ""]
    return "\n".join(lines)


def facts(card: DatasetCard, made: bool) -> list[tuple[str, str]]:
    """Return what a card says, a word and a text each."""
    names = [archive.name for archive in card.archives]
    few = names if len(names) < 8 else [names[0], "...", names[-1]]
    return [
        ("Citation", card.citation),
        ("Licence", card.licence),
        ("Access", "made on the spot" if made else ACCESS[card.access]),
        ("Archives", ", ".join(f"`{name}`" if name != "..." else name for name in few)),
        ("Folders", ", ".join(f"`{folder}`" for folder in card.layout)),
    ]


def options(function: Callable[..., Any]) -> str:
    """Return the options of a dataset's function with what they may be and their defaults."""
    taken = [p for p in inspect.signature(function).parameters.values() if p.name != "root"]
    return "; ".join(f"`{p.name}` ({kind(p.annotation)}; by default {default(p.default)})" for p in taken)


def kind(annotation: Any) -> str:
    """Return an annotation in words: the choices of a Literal, else the type."""
    inner = get_args(annotation)
    if inner and annotation.__class__.__name__ == "GenericAlias" and annotation.__origin__ is tuple:
        return f"list of {kind(inner[0])}"
    if inner and all(isinstance(choice, str | int) for choice in inner):
        return ", ".join(f"`{choice}`" for choice in inner)
    return str(getattr(annotation, "__name__", annotation)) if not inner else str(annotation)


def default(value: Any) -> str:
    """Return a default, short."""
    if not isinstance(value, tuple):
        return "none" if value is None else f"`{value}`"
    return "all of them" if len(value) > 7 else "[" + ", ".join(f"`{one}`" for one in value) + "]"


def main() -> None:
    """Write, or check."""
    if "--check" not in sys.argv:
        FILE.write_text(page(), encoding="utf-8")
    elif not FILE.is_file() or page() != FILE.read_text(encoding="utf-8"):
        sys.exit("docs/datasets.md is not that of the datasets' cards: run `python docs/datasets.py`")


if __name__ == "__main__":
    main()
