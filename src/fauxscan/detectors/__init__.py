"""Detectors by name: `meso4` is the file meso4.py, which exports CARD and build()."""

import importlib
import pkgutil
from types import ModuleType

from fauxscan.records import UserError


def names() -> list[str]:
    """Return the names of all detectors."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def get(name: str) -> ModuleType:
    """Return the detector's module. Raise UserError with the known names."""
    if name not in names():
        raise UserError(f"unknown detector {name!r}; there are: {', '.join(names())}")
    return importlib.import_module(f"{__name__}.{name}")
