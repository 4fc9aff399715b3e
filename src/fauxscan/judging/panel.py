"""The models of a scan, sitting together: their calibrated logits, joined into one p_fake and one verdict."""

import hashlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from fauxscan import models
from fauxscan.models import Calibration, ModelCard
from fauxscan.records import Strict, UserError, Verdict

ENSEMBLE, MEMBERS = "ensemble.json", "members"


class Dense(Strict):
    """One layer of a combiner."""

    kernel: tuple[tuple[float, ...], ...]  # (inputs, outputs)
    bias: tuple[float, ...]  # (outputs,)


class EnsembleCard(Strict):
    """A fitted combiner: dense layers, ReLU between them, from the members' calibrated logits to one logit."""

    name: str
    method: str
    dataset: str
    layers: tuple[Dense, ...]
    digests: dict[str, str]  # member -> model_digest, in the order of the inputs
    calibration: Calibration
    proof_of_machinery: bool

    @property
    def model_digest(self) -> str:
        """Return the digest of all that is on the card, as of a model that is of its network."""
        return hashlib.sha256(json.dumps(self.model_dump(mode="json"), sort_keys=True).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Judgement:
    """What is said of one media file."""

    p_fake: float
    verdict: Verdict
    reason: str


class Member(Protocol):
    """A model as a panel needs it: what is known of it, and its forward pass."""

    @property
    def card(self) -> ModelCard:
        """Return what is known of it."""

    def scorer(self, batch: int) -> Callable[[NDArray[np.uint8]], NDArray[np.float32]]:
        """Return a function from uint8 RGB images (n, size, size, 3), n at most `batch`, to logits (n,)."""


@dataclass(frozen=True)
class Panel:
    """Models and how their logits are joined. Without an ensemble: the mean of the calibrated logits."""

    members: tuple[Member, ...]
    ensemble: EnsembleCard | None = None

    def judge(self, logits: Mapping[str, float]) -> Judgement:
        """Return the judgement from each member's media logit; a member that could not judge is left out."""
        calibrated = {name: calibrate(logit, self._cards[name].calibration) for name, logit in logits.items()}
        joined = join(calibrated, self.ensemble)
        cuts = self._calibration(list(calibrated))
        p_fake = sigmoid(calibrate(joined, self.ensemble.calibration) if self.ensemble else joined)
        if any(card.trained_on.proof_of_machinery for card in self._cards.values()):
            return Judgement(p_fake, Verdict.UNCERTAIN, "trained on the demo, which proves nothing but the machinery")
        if cuts is None:
            return Judgement(p_fake, Verdict.UNCERTAIN, "a model of the panel is not calibrated")
        return Judgement(p_fake, cut(p_fake, *cuts), "")

    @cached_property
    def _cards(self) -> dict[str, ModelCard]:
        return {model.card.name: model.card for model in self.members}

    def _calibration(self, names: list[str]) -> tuple[float, float] | None:
        """Return the cuts (low, high): the ensemble's, or the mean of the members' in logits."""
        if self.ensemble:
            return self.ensemble.calibration.low, self.ensemble.calibration.high
        found = [self._cards[name].calibration for name in names]
        fitted = [c for c in found if c is not None]
        if len(fitted) < len(found):
            return None
        return _mean_of_logits([c.low for c in fitted]), _mean_of_logits([c.high for c in fitted])


def _mean_of_logits(shares: list[float]) -> float:
    return sigmoid(sum(map(logit, shares)) / len(shares))


@dataclass(frozen=True)
class Seats:
    """Who sits on a panel, known from the cards alone: no network is loaded."""

    folders: tuple[Path, ...]
    cards: tuple[ModelCard, ...]
    ensemble: EnsembleCard | None


def seat(folders: Sequence[Path]) -> Seats:
    """Return who sits for these model folders, or for one ensemble folder. Raise UserError."""
    if not folders:
        raise UserError("no model named: give at least one model folder")
    ensembles = [folder for folder in folders if (folder / ENSEMBLE).is_file()]
    if not ensembles:
        return _seats(tuple(folders), None)
    if len(folders) > 1:
        raise UserError(f"{ensembles[0]} is an ensemble and joins its own members: name it alone")
    card = read_ensemble(ensembles[0])
    seats = _seats(tuple(ensembles[0] / MEMBERS / name for name in card.digests), card)
    stale = [member.name for member in seats.cards if card.digests.get(member.name) != member.model_digest]
    if stale:
        raise UserError(
            f"{ensembles[0]} was fitted on other weights of {', '.join(stale)}: combine again, `make repro`"
        )
    return seats


def _seats(folders: tuple[Path, ...], ensemble: EnsembleCard | None) -> Seats:
    cards = tuple(models.read_card(folder) for folder in folders)
    names = [card.name for card in cards]
    if len(set(names)) < len(names):
        raise UserError(f"two models of one name in {', '.join(names)}: name each model once")
    return Seats(folders, cards, ensemble)


def load(folders: Sequence[Path]) -> Panel:
    """Return the panel of these model folders, or of one ensemble folder. Raise UserError."""
    seats = seat(folders)
    return Panel(tuple(models.load(folder) for folder in seats.folders), seats.ensemble)


def read_ensemble(folder: Path) -> EnsembleCard:
    """Return the ensemble's card. Raise UserError if it is not one of ours."""
    try:
        return EnsembleCard.model_validate_json((folder / ENSEMBLE).read_text(encoding="utf-8"))
    except (OSError, ValidationError) as error:
        raise UserError(f"{folder / ENSEMBLE} is no ensemble card of this version: {error}; combine again") from error


def join(calibrated: Mapping[str, float], ensemble: EnsembleCard | None) -> float:
    """Return the joint logit. A member that could not judge stands at the mean of those that could."""
    mean = sum(calibrated.values()) / len(calibrated)
    if ensemble is None:
        return mean
    return float(forward(ensemble.layers, np.array([[calibrated.get(name, mean) for name in ensemble.digests]]))[0])


def forward(layers: Sequence[Dense], calibrated: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the joint logits (n,) of calibrated logits (n, members)."""
    *hidden, last = [(np.array(layer.kernel), np.array(layer.bias)) for layer in layers]
    for kernel, bias in hidden:
        calibrated = np.maximum(calibrated @ kernel + bias, 0)
    return np.asarray((calibrated @ last[0] + last[1])[:, 0])


def calibrate(raw: float, calibration: Calibration | None) -> float:
    """Return the logit divided by the temperature (Guo et al. 2017), unchanged where none was fitted."""
    return raw / calibration.temperature if calibration else raw


def cut(p_fake: float, low: float, high: float) -> Verdict:
    """Return the verdict for a calibrated score."""
    if p_fake >= high:
        return Verdict.LIKELY_SYNTHETIC
    return Verdict.NO_INDICATION if p_fake <= low else Verdict.UNCERTAIN


def sigmoid(x: float) -> float:
    """Return 1 / (1 + exp(-x)), without overflow."""
    return 1 / (1 + math.exp(-x)) if x >= 0 else math.exp(x) / (1 + math.exp(x))


def logit(p: float) -> float:
    """Return log(p / (1 - p)), with p kept off 0 and 1."""
    p = min(max(p, 1e-9), 1 - 1e-9)
    return math.log(p / (1 - p))
