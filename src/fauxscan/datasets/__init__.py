"""Datasets by name, one file each: a CARD, examples() and, if the data is generated instead of downloaded, make().

Optional: archives(), which selects archives by options, and selects(), which selects members of archives.
"""

import importlib
import pkgutil
from types import ModuleType

from fauxscan.records import UserError


def names() -> list[str]:
    """Return the names of all datasets."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__) if not module.ispkg)


def get(name: str) -> ModuleType:
    """Return the module of the dataset `name`. Raise UserError that lists the known names."""
    if name not in names():
        raise UserError(f"unknown dataset {name!r}; known datasets: {', '.join(names())}")
    return importlib.import_module(f"{__name__}.{name}")
