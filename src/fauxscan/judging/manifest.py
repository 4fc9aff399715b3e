"""The manifest of an ensemble's members: digests of the files that a combiner is fitted on.

A stage of DVC cannot depend on as many model folders as its ensemble has members. It depends on this one file instead,
which stays the same, byte for byte, when a model that is not a member changes.
"""

import json
from collections.abc import Sequence
from pathlib import Path

from fauxscan import disk, models
from fauxscan.records import UserError

LOGITS = "validation.parquet"  # in a model folder: one row per media file, with the logit it was calibrated on
FILES = (models.CARD, LOGITS)  # the card holds the digest of the network


def write_manifest(members: Sequence[str], folder: Path, out: Path) -> None:
    """Write the digests of the members' files below `folder` to `out`. Raise UserError if a file is missing."""
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(_digests(members, folder), encoding="utf-8")


def check_manifest(manifest: Path, members: Sequence[str], folder: Path) -> None:
    """Raise UserError unless the manifest was written for these members as they are now."""
    if not manifest.is_file() or manifest.read_text(encoding="utf-8") != _digests(members, folder):
        raise UserError(f"{manifest} does not describe {', '.join(members)} in {folder}: run the stage `members` first")


def _digests(members: Sequence[str], folder: Path) -> str:
    digests = {member: {name: _digest(folder / member / name) for name in FILES} for member in members}
    return json.dumps(digests, indent=2) + "\n"


def _digest(file: Path) -> str:
    try:
        return disk.digest(file)
    except OSError as error:
        raise UserError(f"{file} is missing: run the stage `calibrate` of {file.parent.name} first") from error
