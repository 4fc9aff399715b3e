"""Groups of command-line options: a command takes a dataclass for each group, and Typer sees one option per field."""

import dataclasses
import functools
import inspect
from collections.abc import Callable
from inspect import Parameter
from typing import Any, get_type_hints


def flat_options(command: Callable[..., None]) -> Callable[..., None]:
    """Return the command with each parameter that is a dataclass replaced by the fields of that dataclass."""
    signature = inspect.signature(command, eval_str=True)
    groups: dict[str, Any] = {
        p.name: p.annotation for p in signature.parameters.values() if dataclasses.is_dataclass(p.annotation)
    }

    @functools.wraps(command)
    def flat(**values: Any) -> None:
        arguments = {
            name: group(**{field.name: values.pop(field.name) for field in dataclasses.fields(group)})
            for name, group in groups.items()
        }
        command(**arguments, **values)

    parameters = [p for one in signature.parameters.values() for p in _expand(one, groups)]
    parameters = [p.replace(kind=Parameter.KEYWORD_ONLY) for p in parameters]
    flat.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    flat.__annotations__ = {p.name: p.annotation for p in parameters}
    return flat


def _expand(parameter: Parameter, groups: dict[str, Any]) -> list[Parameter]:
    """Return the fields of a parameter's group as parameters, or the parameter itself if it is none."""
    if parameter.name not in groups:
        return [parameter]
    group = groups[parameter.name]
    hints = get_type_hints(group, include_extras=True)
    return [
        Parameter(
            field.name,
            Parameter.KEYWORD_ONLY,
            default=Parameter.empty if field.default is dataclasses.MISSING else field.default,
            annotation=hints[field.name],
        )
        for field in dataclasses.fields(group)
    ]
