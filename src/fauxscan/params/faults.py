"""What is wrong with the values of parameters, as lines for a person, and the check of a recipe's values."""

from fnmatch import fnmatchcase
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ValidationError

from fauxscan.params.known import keys, unknown
from fauxscan.records import Recipe

RENAMED = {"datasets.*.align": "reencode"}  # pattern of a key's old path in params.yaml -> the key's new name


def faults(error: ValidationError, record: type[BaseModel] | None = None) -> list[str]:
    """Return one line for each wrong key or value: where it is and what is wrong, or the new name of a renamed key.

    `record` is what the values were validated as, which gives the nearest key to an unknown one.
    """
    return [_fault(fault["loc"], fault["type"], fault["msg"], record) for fault in error.errors()]


def _fault(loc: tuple[str | int, ...], kind: str, message: str, record: type[BaseModel] | None) -> str:
    key = ".".join(map(str, loc))
    if new := next((name for pattern, name in RENAMED.items() if fnmatchcase(key, pattern)), None):
        return f"{key} is now called {new}"
    if record and kind == "extra_forbidden":
        return f"{key}: {unknown('key', str(loc[-1]), keys(record, loc[:-1]))}"
    return f"{key}: {message.removeprefix('Value error, ')}"


def _known(recipe: dict[str, Any]) -> dict[str, Any]:
    try:
        Recipe.model_validate(recipe)
    except ValidationError as error:
        raise ValueError("; ".join(faults(error, Recipe))) from error
    return recipe


Changes = Annotated[dict[str, Any], AfterValidator(_known)]  # of a recipe: some of its keys, with their values
