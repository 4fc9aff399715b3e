"""What the settings digests in the tables stand for, so that stored logits can be judged by another calibration.

settings/<digest>.json    the digest of everything that decides the logits, and the calibration of each model
"""

from pathlib import Path

from pydantic import ValidationError

from fauxscan import disk
from fauxscan.judging.ensemble import ENSEMBLE
from fauxscan.models import Calibration
from fauxscan.records import Strict
from fauxscan.scanning.settings import Settings

FOLDER = "settings"
Calibrations = dict[str, Calibration | None]  # by the name of the model; that of an ensemble itself under ENSEMBLE


class JudgedWith(Strict):
    """The content of a file."""

    logits: str  # Settings.logits_digest
    calibrations: Calibrations


def write(results: Path, settings: Settings) -> None:
    """Record the settings of a scan, before it writes any row that names their digest."""
    file = results / FOLDER / f"{settings.digest}.json"
    if file.is_file():
        return
    file.parent.mkdir(exist_ok=True)
    calibrations: Calibrations = {card.name: card.calibration for card in settings.cards}
    if settings.ensemble:
        calibrations[ENSEMBLE] = settings.ensemble.calibration
    judged_with = JudgedWith(logits=settings.logits_digest, calibrations=calibrations)
    disk.write_text(file, judged_with.model_dump_json(indent=2) + "\n")


def read_alike(results: Path, settings: Settings) -> dict[str, Calibrations]:
    """Return the calibrations of all other settings with the same logits, by settings digest."""
    known = {file.stem: _read(file) for file in sorted((results / FOLDER).glob("*.json"))}
    return {
        digest: found.calibrations
        for digest, found in known.items()
        if found and found.logits == settings.logits_digest and digest != settings.digest
    }


def _read(file: Path) -> JudgedWith | None:
    """Return the content of a file; None if it is damaged or of another version: the media are then read again."""
    try:
        return JudgedWith.model_validate_json(file.read_text(encoding="utf-8"))
    except (ValidationError, ValueError):
        return None
