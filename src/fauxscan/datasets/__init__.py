"""Datasets by name, one file each: a CARD, examples() and, if the data is generated instead of downloaded, make().

Optional: archives(), which selects archives by options, and selects(), which selects members of archives.
"""

import importlib
from types import ModuleType

from fauxscan.params.known import catalogue, unknown
from fauxscan.records import UserError


def names() -> list[str]:
    """Return the names of all datasets."""
    return catalogue("datasets")


def get(name: str) -> ModuleType:
    """Return the module of the dataset `name`. Raise UserError that lists the known names."""
    if name not in names():
        raise UserError(unknown("dataset", name, names()))
    return importlib.import_module(f"{__name__}.{name}")
