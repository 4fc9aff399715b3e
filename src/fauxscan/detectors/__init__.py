"""Detectors by name: `meso4` is the file meso4.py, which exports CARD and build()."""

import importlib
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

from fauxscan.params.known import catalogue, unknown
from fauxscan.records import UserError


def names() -> list[str]:
    """Return the names of all detectors."""
    return catalogue("detectors")


def get(name: str) -> ModuleType:
    """Return the detector's module. Raise UserError with the known names."""
    if name not in names():
        raise UserError(unknown("detector", name, names()))
    return importlib.import_module(f"{__name__}.{name}")


def build(name: str, options: Mapping[str, Any], seed: int = 0, mirrored: bool = False) -> Any:
    """Return the untrained network, the same each time. Raise UserError for an option that the detector does not take.

    Pass `mirrored` inside the scope of a distribution strategy: layers are then numbered on.
    """
    return _built(name, get(name).build, options, seed, mirrored)


def build_learning(name: str, options: Mapping[str, Any], seed: int = 0, mirrored: bool = False) -> Any:
    """Return what training changes: the untrained network as `build` gives it, or the head of a frozen backbone."""
    detector = get(name)
    return _built(name, detector.head if detector.CARD.backbone else detector.build, options, seed, mirrored)


def _built(name: str, function: Callable[..., Any], options: Mapping[str, Any], seed: int, mirrored: bool) -> Any:
    import keras

    if not mirrored:
        keras.utils.clear_session()  # otherwise layers are numbered on, and their names are part of a model's digest
    keras.utils.set_random_seed(seed)
    try:
        return function(**options)
    except (TypeError, ValueError) as error:
        raise UserError(f"{name} does not take the options {dict(options)}: {error}") from error
