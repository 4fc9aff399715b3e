"""The user's own calibrations of models and ensembles: one file for each, used in place of the calibration on its card.

They are in the configuration folder of the user, so that a model in an installed package, or one that several people
share, can be calibrated without being changed.
"""

import os
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from fauxscan import disk, models
from fauxscan.judging import ensemble
from fauxscan.judging.ensemble import EnsembleCard
from fauxscan.models import Calibration, ModelCard
from fauxscan.records import ModelError, Strict

IN_USE = "%s is calibrated by %s, not by its card. Delete this file to use the card again."
REMEDY = "delete it to use the calibration on the model's card"
Card = ModelCard | EnsembleCard
OneCard = TypeVar("OneCard", ModelCard, EnsembleCard)


class UserCalibration(Strict):
    """The content of a file: a calibration, and for people the model that it is of, when it was made, and from what."""

    model: str
    made_at: datetime
    made_from: str
    calibration: Calibration


def file_of(model_digest: str) -> Path:
    """Return the file of a model's calibration, whether there is one or not."""
    import platformdirs

    return platformdirs.user_config_path("fauxscan") / "calibrations" / f"{model_digest}.json"


def read(card: Card) -> Calibration | None:
    """Return the user's own calibration of a model; None if there is none. Raise ModelError if it cannot be used."""
    file = file_of(card.model_digest)
    try:
        return UserCalibration.model_validate_json(file.read_text(encoding="utf-8")).calibration
    except FileNotFoundError:
        return None
    except OSError as error:
        if not os.access(file.parent, os.X_OK):  # the home of another user, or none: there is no configuration
            return None
        raise ModelError(f"{file} cannot be read: {error.strerror}; {REMEDY}") from error
    except ValueError as error:
        raise ModelError(f"{file} is not a calibration of this version: {_reason(error)}; {REMEDY}") from error


def read_all(cards: Iterable[Card]) -> dict[str, Calibration]:
    """Return the user's own calibrations of models, by model digest. Raise ModelError if one cannot be used."""
    return {card.model_digest: found for card in cards if (found := read(card))}


def overriding(model: Path) -> Path | None:
    """Return the file that is used in place of the calibration on the card in a folder; None if there is none."""
    card = read_card(model)
    return file_of(card.model_digest) if read(card) else None


def read_card(folder: Path) -> Card:
    """Return the card that has the calibration of a model folder, or of an ensemble folder. Raise ModelError."""
    if (folder / ensemble.CARD_FILE).is_file():
        return ensemble.read_ensemble_card(folder)
    return models.read_card(folder)


def replaced(card: OneCard, own: Mapping[str, Calibration]) -> OneCard:
    """Return the card with the calibration in `own` for its model, by digest, or as it is if there is none."""
    found = own.get(card.model_digest)
    return card.model_copy(update={"calibration": found}) if found else card


def write(card: Card, calibration: Calibration, made_from: str) -> Path:
    """Write the user's own calibration of a model, and return the file. Raise ModelError if it cannot be written."""
    file, now = file_of(card.model_digest), datetime.now(UTC).replace(microsecond=0)
    content = UserCalibration(model=card.name, made_at=now, made_from=made_from, calibration=calibration)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        disk.write_text(file, content.model_dump_json(indent=2) + "\n")
    except OSError as error:
        remedy = "name a model folder to write with --out, or set XDG_CONFIG_HOME to a folder that can be written"
        raise ModelError(f"{file} cannot be written: {error.strerror}; {remedy}") from error
    return file


def _reason(error: ValueError) -> str:
    return error.errors()[0]["msg"] if isinstance(error, ValidationError) else str(error)
