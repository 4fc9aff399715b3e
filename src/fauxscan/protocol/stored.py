"""The stored features of a protocol: 16-bit arrays that are read as needed, and what each of their rows shows."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from pydantic import ValidationError

from fauxscan import disk
from fauxscan.models import BackboneUse
from fauxscan.params.protocols import Tier
from fauxscan.records import Strict, UserError
from fauxscan.training.data.arrays import Features

CARD, TRAINED, HELD_OUT = "card.json", "train", "held_out"
COLUMNS = ["dataset", "split", "sha256", "label", "generator", "source", "frame", "track", "face"]


class Card(Strict):
    """What stored features were computed from."""

    backbone: BackboneUse
    versions: int  # of each training image, augmented in other ways
    tiers: tuple[Tier, ...]
    digest: str  # SHA-256 of everything that the features follow from


@dataclass(frozen=True)
class Stored:
    """The rows of the train split, and those of the validation and test splits, with their features by tier."""

    card: Card
    trained: pd.DataFrame  # COLUMNS
    versions: Features  # (versions, training rows, blocks, width)
    held_out: pd.DataFrame  # COLUMNS
    tiers: dict[Tier, Features]  # each (held-out rows, blocks, width)


def array(folder: Path, name: str, shape: tuple[int, ...]) -> np.memmap:
    """Return a new array of 16-bit floats in a file, to be filled."""
    return np.lib.format.open_memmap(folder / f"{name}.npy", "w+", np.float16, shape)


def write_rows(folder: Path, name: str, rows: pd.DataFrame) -> None:
    """Write what the rows of an array show."""
    rows[COLUMNS].to_parquet(folder / f"{name}.parquet", index=False)


def write_card(folder: Path, card: Card) -> None:
    """Write the card, when everything else is there."""
    disk.write_text(folder / CARD, card.model_dump_json(indent=2) + "\n")


def read(folder: Path) -> Stored:
    """Return the features in a folder; arrays stay on the disk. Raise UserError if there are none."""
    file = folder / CARD
    if not file.is_file():
        raise UserError(f"no features in {folder}: run the stage `features` first")
    try:
        card = Card.model_validate_json(file.read_text(encoding="utf-8"))
    except ValidationError as error:
        raise UserError(f"{file} was written by another version: run the stage `features` again") from error
    rows = {name: pd.read_parquet(folder / f"{name}.parquet") for name in (TRAINED, HELD_OUT)}
    tiers = {tier: _mapped(folder, tier) for tier in card.tiers}
    return Stored(card, rows[TRAINED], _mapped(folder, TRAINED), rows[HELD_OUT], tiers)


def _mapped(folder: Path, name: str) -> Features:
    return np.load(folder / f"{name}.npy", mmap_mode="r")  # type: ignore[no-any-return]
