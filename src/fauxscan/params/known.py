"""The names and options that there are, and the message for one that there is not."""

import ast
import pkgutil
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from pathlib import Path
from types import NoneType
from typing import Any, get_args

from pydantic import BaseModel

PACKAGE = Path(__file__).parents[1]
SCRATCH = "scratch"  # the entry in the section `weights` for training without published weights


def unknown(word: str, name: str, known: Iterable[str], listed: str = "Known") -> str:
    """Return the message for a name that is none of the known ones: the nearest of them, and all of them."""
    by_lower = {one.lower(): one for one in sorted(known)}
    nearest = get_close_matches(name.lower(), by_lower, n=1)
    question = f": did you mean {by_lower[nearest[0]]!r}?" if nearest else "."
    return f"unknown {word} {name!r}{question} {listed}: {', '.join(by_lower.values()) or 'none'}"


def catalogue(folder: str) -> list[str]:
    """Return the names of all `detectors` or `datasets`: each is a module of that package. Import none of them."""
    return sorted(module.name for module in pkgutil.iter_modules([str(PACKAGE / folder)]) if not module.ispkg)


def options(folder: str, name: str, function: str) -> list[str]:
    """Return the arguments of a function of a detector or dataset, by its source, since an import takes seconds."""
    nodes = _parse(folder, name).body
    found = next(node for node in nodes if isinstance(node, ast.FunctionDef) and node.name == function)
    return [argument.arg for argument in (*found.args.args, *found.args.kwonlyargs)]


def has_backbone(detector: str) -> bool:
    """Return whether a detector is a head on a frozen backbone, by its source: such a one has a function `head`."""
    nodes = _parse("detectors", detector).body
    return any(isinstance(node, ast.FunctionDef) and node.name == "head" for node in nodes)


def _parse(folder: str, name: str) -> ast.Module:
    return ast.parse((PACKAGE / folder / f"{name}.py").read_text(encoding="utf-8"))


def keys(record: type[BaseModel], path: Sequence[str | int]) -> list[str]:
    """Return the keys of the record that is at a path below another, none if there is no record."""
    kind: Any = record
    for part in path:
        kind = _below(kind, part)
    return list(kind.model_fields) if _is_record(kind) else []


def _below(kind: Any, part: str | int) -> Any:
    """Return the type of a field, or of the values of a dictionary or a tuple; of `X | None`, that of X."""
    if _is_record(kind):
        field = kind.model_fields.get(part)
        kinds = get_args(field.annotation) if field else ()
        return kinds[0] if NoneType in kinds else field and field.annotation
    return next((one for one in reversed(get_args(kind)) if one is not ...), None)


def _is_record(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)
