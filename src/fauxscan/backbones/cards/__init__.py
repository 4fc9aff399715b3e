"""Backbones by name: `clip` is the file clip.py, which exports CARD."""

import importlib

from fauxscan.params.known import catalogue, unknown
from fauxscan.records import BackboneCard, ModelError


def names() -> list[str]:
    """Return the names of all backbones."""
    return catalogue("backbones/cards")


def get(name: str) -> BackboneCard:
    """Return the backbone's card. Raise ModelError with the known names."""
    if name not in names():
        raise ModelError(unknown("backbone", name, names()))
    card: BackboneCard = importlib.import_module(f"{__name__}.{name}").CARD
    return card
