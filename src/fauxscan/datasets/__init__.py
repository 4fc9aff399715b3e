"""Datasets by name: `demo` is the file demo.py, with CARD, examples(), and make() if it is made, not fetched."""

import importlib
import pkgutil
from types import ModuleType

from fauxscan.records import UserError


def names() -> list[str]:
    """Return the names of all datasets."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__) if not module.ispkg)


def get(name: str) -> ModuleType:
    """Return the dataset's module. Raise UserError with the known names."""
    if name not in names():
        raise UserError(f"unknown dataset {name!r}; there are: {', '.join(names())}")
    return importlib.import_module(f"{__name__}.{name}")
