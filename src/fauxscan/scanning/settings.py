"""What a scan judges with: caps, faces and models, known from their cards alone, and the digest of it all."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from fauxscan import models
from fauxscan.judging import panel
from fauxscan.judging.panel import EnsembleCard
from fauxscan.models import ModelCard
from fauxscan.params import FaceParams, MediaParams, Params, ScanParams
from fauxscan.records import UserError, View
from fauxscan.scanning import networks

SCORING = 3  # raise it when the same file, model and params would get another score
FINDING = 2  # raise it when other faces would be found in the same file
Mode = Literal["detect", "whole"]  # faces as each model wants them, or every image taken as one face crop


@dataclass(frozen=True)
class Settings:
    """Everything that changes a judgement, and how fast it is reached."""

    media: MediaParams
    faces: FaceParams
    scan: ScanParams
    mode: Mode
    folders: tuple[Path, ...]
    cards: tuple[ModelCard, ...] = field(hash=False)  # the digest tells them apart
    ensemble: EnsembleCard | None = field(hash=False)
    engine: str
    digest: str
    faces_digest: str  # of what decides which faces are found, whatever the models

    def view(self, card: ModelCard) -> View:
        """Return what this model is given."""
        return View.WHOLE if self.mode == "whole" else card.looks_at

    @property
    def finds_faces(self) -> bool:
        """Return whether any model is given faces."""
        return any(self.view(card) is View.FACE for card in self.cards)

    def resolved(self) -> "Settings":
        """Return the settings for processes that work in another folder."""
        return replace(self, folders=tuple(folder.resolve() for folder in self.folders))

    @property
    def models(self) -> list[dict[str, str]]:
        """Return the names and digests of the models, as the table `runs` keeps them."""
        named = [{"name": card.name, "model_digest": card.model_digest} for card in self.cards]
        if self.ensemble:
            named.append({"name": self.ensemble.name, "model_digest": self.ensemble.model_digest})
        return named


def read(params: Params, named: Sequence[Path] = (), mode: Mode = "detect", project: Path = Path()) -> Settings:
    """Return the settings of a scan with the models named, or the project's. Raise UserError; load no network."""
    folders = tuple(named) or tuple(project / model for model in params.scan.models) or _trained(params, project)
    seats, engine = panel.seat(folders), networks.chosen(params.scan.engine)
    precision = params.scan.precision if engine == "openvino" else "float32"
    essence = {
        "scoring": [SCORING, engine, precision, mode],
        "media": params.media.model_dump(mode="json"),
        "faces": params.faces.model_dump(mode="json"),
        "models": sorted((_essence(card) for card in seats.cards), key=lambda card: card["name"]),
        "ensemble": seats.ensemble.model_dump(mode="json") if seats.ensemble else None,
    }
    # How faces are cut out is each model's own.
    sight = {
        "finding": FINDING,
        "media": essence["media"],
        "faces": params.faces.model_dump(exclude={"margin", "size"}),
    }
    return Settings(
        params.media, params.faces, params.scan, mode, folders, seats.cards, seats.ensemble, engine,
        digest=_digest(essence), faces_digest=_digest(sight),
    )  # fmt: skip


def _trained(params: Params, project: Path) -> tuple[Path, ...]:
    """Return the models that params.yaml declares and the DAG has trained, not what an earlier experiment left."""
    home = project / "models"
    found = tuple(home / name for name in sorted(params.models) if (home / name / models.CARD).is_file())
    if not found:
        raise UserError(f"no model of params.yaml in {home}: train them with `make repro`, or name one with --models")
    return found


def _essence(card: ModelCard) -> dict[str, Any]:
    """Return what of a card changes a judgement: not its figures, nor its licence."""
    return {
        "name": card.name,
        "digest": card.model_digest,
        "input": [card.input_size, card.looks_at],
        "faces": card.faces.model_dump(mode="json") if card.faces else None,
        "align": card.align.model_dump(mode="json") if card.align else None,
        "calibration": card.calibration.model_dump(mode="json") if card.calibration else None,
        "proof_of_machinery": card.trained_on.proof_of_machinery,
    }


def _digest(essence: Any) -> str:
    return hashlib.sha256(json.dumps(essence, sort_keys=True).encode()).hexdigest()[:16]
