"""Write docs/datasets.md from the cards: `python docs/datasets.py`. With --check, only say whether it is current."""

import inspect
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, get_args

import writing

from fauxscan import datasets
from fauxscan.records import DatasetCard

FILE = Path(__file__).with_suffix(".md")
ACCESS = {
    "open": "fetched by the stage `download`",
    "manual": "by hand (a form, an account or a page for browsers), then from a local folder",
    "own": "yours, from a local folder",
}
HEAD = """# Datasets

Made by `python docs/datasets.py` from the files in `src/fauxscan/datasets/`, whose first lines say where each layout
was read and what is only recalled.

`datasets.<key>` in `params.yaml` takes one: `name` is the dataset's, `options` are those below, `limit` the most files
of each class, `archives` where it lies if not where it is published:
- **a local folder** with the archives, or with the unpacked tree: if it has one of the folders named below, it is
  taken as it is, and what the options ask for is hard-linked into `data/<key>/media` (copied to another file system);
- **an https address** under which the archives lie.

Archives are fetched four at a time into `downloads/<key>/` and kept. A transfer that breaks off is resumed, now or by
the next run, if the server says that the file is still the same. What each archive was is noted in
`downloads/<key>/pins.json`; one that differs later, from wherever, is refused. Which folder is real is said in the
dataset's file, never guessed from a name. A broken image or video stops nothing: the stage `faces` gives it a status.

| name | what | licence | access |
|---|---|---|---|
"""


def page() -> str:
    """Return the page: what holds for all, a table, then a section a dataset."""
    return HEAD + "\n".join([*map(row, datasets.names()), "", *map(section, datasets.names())])


def row(name: str) -> str:
    """Return a dataset's line in the table."""
    card: DatasetCard = datasets.get(name).CARD
    return f"| [`{name}`](#{name}) | {card.title} | {card.licence} | {access(name)} |"


def access(name: str) -> str:
    """Return how one gets a dataset."""
    module = datasets.get(name)
    if hasattr(module, "make"):
        return "made on the spot"
    return ACCESS[module.CARD.access if module.CARD.citation else "own"]


def section(name: str) -> str:
    """Return what a dataset's card says, its options and what a person has to do."""
    module = datasets.get(name)
    facts = [
        ("Citation", module.CARD.citation),
        ("Archives", archives(module)),
        ("Folders", ", ".join(f"`{folder}`" for folder in module.CARD.layout)),
        ("Options", options(module.examples) or "none"),
    ]
    said = [f"- {word}: {text}" for word, text in facts if text]
    told = [line for text in (module.CARD.instructions, explained(module.examples)) if text for line in (text, "")]
    return "\n".join([f"## {name}", "", *said, "", *told])


def explained(function: Callable[..., Any]) -> str:
    """Return what the docstring of a dataset's function says beyond its first paragraph, on one line."""
    _, _, rest = (inspect.getdoc(function) or "").partition("\n\n")
    return " ".join(rest.split())


def archives(module: ModuleType) -> str:
    """Return the names of a dataset's archives, and which option chooses them."""
    names = [f"`{archive.name}`" for archive in module.CARD.archives]
    few = ", ".join(names if len(names) < 8 else [names[0], "...", names[-1]])
    asked = inspect.signature(module.archives).parameters if hasattr(module, "archives") else {}
    return few + "".join(f"; the option `{name}` says which" for name in asked)


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
    writing.keep(FILE, page())


if __name__ == "__main__":
    main()
