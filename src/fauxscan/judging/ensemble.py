"""Models whose calibrated logits are joined into one p_fake and one verdict for each media file."""

import hashlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from fauxscan import disk, models, wire
from fauxscan.models import Calibration, ModelCard
from fauxscan.records import DamagedModelError, Kind, ModelError, Strict, Verdict

CARD_FILE, MEMBERS_FOLDER = "ensemble.json", "members"
MIN_AUC = 0.6  # guessing gives 0.5; what lies between the two may also be due to how a dataset was made
# Of each class. With fewer than 19 independent reals no threshold keeps a false positive rate of 5 % (split conformal:
# ceil(20 * 0.95) = 19), and intervals from so few sources are too narrow: all resamples of 5 that are right are right.
MIN_SOURCES = 20
MORE_SOURCES = (
    f"Calibrate it on at least {MIN_SOURCES} sources of each class (`fauxscan calibrate --help`), or train it again"
    " with more data or a larger share for validation."
)
MORE_KNOWLEDGE = "Train it for longer, on more data or on data like the files it will judge, or try another detector."
MORE_VIDEOS = f"calibrate it on videos, {MIN_SOURCES} sources of them or more: `fauxscan calibrate --help`"
OTHER_RATES = (
    "Calibrate it for lower error rates, for which its thresholds lie further apart (`fauxscan calibrate --help`)."
)
DEMO = "trained on the built-in demo, so its verdicts would say nothing about your files"
ENSEMBLE = ""  # stands for the ensemble itself among the names of its members


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
    clip: float | None = None  # the largest size of a member's calibrated logit; larger ones are cut to it
    disagreement: float | None = None  # the largest `opposition` of members with which there is a verdict

    @property
    def model_digest(self) -> str:
        """Return the digest of everything on the card."""
        return hashlib.sha256(json.dumps(self.hashed(), sort_keys=True).encode()).hexdigest()[:16]

    def hashed(self) -> dict[str, Any]:
        """Return everything on the card, under the frozen names that digests are made of."""
        layers = [wire.named(layer, wire.DENSE) for layer in self.layers]
        return (wire.named(self, wire.ENSEMBLE) or {}) | {
            "layers": layers,
            "calibration": hashed_calibration(self.calibration),
        }


@dataclass(frozen=True)
class Judgement:
    """The score and verdict of one media file; `reason` is empty unless the verdict had to be `uncertain`."""

    p_fake: float
    verdict: Verdict
    reason: str
    distance: float = math.inf  # in logits, from the threshold that the verdict depends on; infinite if `uncertain`


class Member(Protocol):
    """A model as an ensemble needs it: its card and its forward pass."""

    @property
    def card(self) -> ModelCard:
        """Return the model's card."""

    def scorer(self, batch: int) -> Callable[[NDArray[np.uint8]], NDArray[np.float32]]:
        """Return a function from uint8 RGB images (n, size, size, 3), n at most `batch`, to logits (n,)."""


@dataclass(frozen=True)
class JudgingRule:
    """How the logits of models become one judgement: by the combiner on `ensemble`, or by their mean without one."""

    cards: tuple[ModelCard, ...]
    ensemble: EnsembleCard | None = None

    def judge(self, logits: Mapping[str, float], kind: Kind = Kind.IMAGE) -> Judgement:
        """Return the judgement for the models' media logits by name; models that could not judge are left out.

        Files of another kind may have other thresholds, or none; p_fake is the same.
        """
        calibrated = self._calibrated(logits)
        joined = join(calibrated, self.ensemble)
        thresholds = self._thresholds(list(calibrated), kind)
        joint = calibrate(joined, self.ensemble.calibration) if self.ensemble else joined
        p_fake = sigmoid(joint)
        if any(card.trained_on.proof_of_machinery for card in self._cards.values()):
            return Judgement(p_fake, Verdict.UNCERTAIN, DEMO)
        if thresholds is None:
            names = ", ".join(name for name in calibrated if self._cards[name].calibration is None)
            return Judgement(p_fake, Verdict.UNCERTAIN, f"not calibrated: {names} (see `fauxscan calibrate --help`)")
        if withheld := [self._withheld[kind][name] for name in (*calibrated, ENSEMBLE) if name in self._withheld[kind]]:
            return Judgement(p_fake, Verdict.UNCERTAIN, "; ".join(withheld))
        if self.ensemble and (reason := _disagreement(calibrated, self.ensemble.disagreement)):
            return Judgement(p_fake, Verdict.UNCERTAIN, reason)
        verdict = verdict_for(p_fake, *thresholds)
        return Judgement(p_fake, verdict, "", _distance(joint, verdict, *thresholds))

    def join(self, logits: Mapping[str, float]) -> float:
        """Return the joint logit for the models' media logits by name, before the ensemble's own calibration."""
        return join(self._calibrated(logits), self.ensemble)

    def _calibrated(self, logits: Mapping[str, float]) -> dict[str, float]:
        """Return the calibrated logits of members as the combiner takes them."""
        clip = self.ensemble.clip if self.ensemble else None
        return {name: clipped(calibrate(raw, self._cards[name].calibration), clip) for name, raw in logits.items()}

    @cached_property
    def _cards(self) -> dict[str, ModelCard]:
        return {card.name: card for card in self.cards}

    @cached_property
    def _withheld(self) -> dict[Kind, dict[str, str]]:
        return {kind: withheld(self.cards, self.ensemble, kind) for kind in Kind}

    def _thresholds(self, names: list[str], kind: Kind) -> tuple[float, float] | None:
        """Return the thresholds (low, high) for a kind: the combiner's, or the mean of the members' in logits.

        They are not for use if `withheld` has a reason for this kind.
        """
        if self.ensemble:
            of_ensemble = self.ensemble.calibration.of_kind(kind) or self.ensemble.calibration
            return of_ensemble.low, of_ensemble.high
        calibrations = [self._cards[name].calibration for name in names]
        fitted = [one.of_kind(kind) or one for one in calibrations if one is not None]
        if len(fitted) < len(calibrations):
            return None
        return _mean_of_logits([c.low for c in fitted]), _mean_of_logits([c.high for c in fitted])


@dataclass(frozen=True)
class Ensemble:
    """One or more models and how their logits are joined: by the combiner on `card`, or by their mean without one."""

    members: tuple[Member, ...]
    card: EnsembleCard | None = None

    def judge(self, logits: Mapping[str, float], kind: Kind = Kind.IMAGE) -> Judgement:
        """Return the judgement for the members' media logits by name; members that could not judge are left out."""
        return self._rule.judge(logits, kind)

    @cached_property
    def _rule(self) -> JudgingRule:
        return JudgingRule(tuple(member.card for member in self.members), self.card)


class Doubt(NamedTuple):
    """A reason why a model gives no verdicts, and what a person can do about it."""

    reason: str
    remedy: str


def doubts(calibration: Calibration | None) -> list[Doubt]:
    """Return why a calibration allows no verdicts. Without evidence, as on cards of older versions, nothing is doubted.

    A calibration on reals alone says nothing about the AUC, and is not doubted for it.
    """
    if calibration is None or calibration.evidence is None:
        return []
    found, evidence = list[Doubt](), calibration.evidence
    counted = {"reals": evidence.real_sources} | ({} if evidence.auc is None else {"fakes": evidence.fake_sources})
    if few := [_sources(count, kind) for kind, count in counted.items() if count < MIN_SOURCES]:
        found.append(Doubt(f"calibrated on {' and '.join(few)}, but {MIN_SOURCES} are required", MORE_SOURCES))
    if evidence.auc is not None and evidence.auc_low is not None and evidence.auc_low < MIN_AUC:
        interval = f"{evidence.auc:.3f} ({evidence.auc_low:.3f} to {evidence.auc_high:.3f})"
        found.append(Doubt(f"its AUC on calibration data is {interval}, and may be under {MIN_AUC}", MORE_KNOWLEDGE))
    gap = logit(calibration.high) - logit(calibration.low)
    if evidence.noise is not None and gap < evidence.noise:
        noise = f"which is less than its logit changes if an image moves by a pixel ({evidence.noise:.2g})"
        found.append(Doubt(f"its thresholds are {gap:.2g} apart in logits, {noise}", OTHER_RATES))
    return found


def _sources(count: int, kind: str) -> str:
    return f"1 source of {kind}" if count == 1 else f"{count} sources of {kind}"


def advice(name: str, calibration: Calibration | None) -> str | None:
    """Return why a model gives no verdicts and what to do, for the person who made it; None if it gives verdicts."""
    found = doubts(calibration)
    if not found:
        return None
    return f"Every verdict of {name} is `uncertain`: {_reasons(found)}. {' '.join(one.remedy for one in found)}"


def withheld(cards: Sequence[ModelCard], ensemble: EnsembleCard | None, kind: Kind = Kind.IMAGE) -> dict[str, str]:
    """Return the reason of each model that gives no verdicts on files of a kind, by its name.

    That of the ensemble is under ENSEMBLE. A member of an ensemble needs no thresholds of its own for videos.
    """
    named = {card.name: (card.name, card.calibration) for card in cards}
    named |= {ENSEMBLE: (ensemble.name, ensemble.calibration)} if ensemble else {}
    reasons = {}
    for key, (name, calibration) in named.items():
        deciding = kind if key == ENSEMBLE or ensemble is None else Kind.IMAGE
        if reason := _reason_for_none(calibration, deciding):
            reasons[key] = f"{name} gives no verdict{reason}"
    return reasons


def _reason_for_none(calibration: Calibration | None, kind: Kind) -> str:
    """Return why a calibration allows no verdicts on files of a kind; the empty string if it allows them."""
    if found := doubts(calibration):
        return f": {_reasons(found)}"
    if calibration is None or kind is Kind.IMAGE:
        return ""
    of_videos = calibration.of_kind(kind)
    if of_videos is None:
        return f" on videos: no threshold was fitted on videos ({MORE_VIDEOS})"
    found = doubts(of_videos)
    return f" on videos: {_reasons(found)}" if found else ""


def gives_verdicts(cards: Sequence[ModelCard], ensemble: EnsembleCard | None, kind: Kind = Kind.IMAGE) -> bool:
    """Return whether a file of a kind that all these models judge may get another verdict than `uncertain`."""
    demo = any(card.trained_on.proof_of_machinery for card in cards)
    uncalibrated = ensemble is None and any(card.calibration is None for card in cards)
    return not (demo or uncalibrated or withheld(cards, ensemble, kind))


def _reasons(found: Sequence[Doubt]) -> str:
    return ", and ".join(one.reason for one in found)


def hashed_calibration(calibration: Calibration | None) -> dict[str, Any] | None:
    """Return what a calibration adds to digests: with its evidence only if that withholds verdicts.

    The same holds for the part for videos, which is left out unless videos are judged by it alone.
    """
    hashed = wire.named(calibration, wire.CALIBRATION)
    if calibration is None or hashed is None:
        return hashed
    if calibration.separate_videos:
        videos = calibration.of_kind(Kind.VIDEO)
        thresholds = videos and {"low": videos.low, "high": videos.high, **_hashed_evidence(videos)}
        hashed |= {"videos": thresholds}
    return hashed | _hashed_evidence(calibration)


def _hashed_evidence(calibration: Calibration) -> dict[str, Any]:
    return {"evidence": wire.named(calibration.evidence, wire.EVIDENCE)} if doubts(calibration) else {}


def _mean_of_logits(shares: list[float]) -> float:
    return sigmoid(sum(map(logit, shares)) / len(shares))


@dataclass(frozen=True)
class Members:
    """The models of an ensemble as their cards describe them: no network is loaded."""

    folders: tuple[Path, ...]
    cards: tuple[ModelCard, ...]
    ensemble: EnsembleCard | None


def read_members(folders: Sequence[Path]) -> Members:
    """Return the members that these model folders name, or one ensemble folder. Raise ModelError."""
    if not folders:
        raise ModelError("no model named: give at least one model folder")
    ensembles = [folder for folder in folders if (folder / CARD_FILE).is_file()]
    if not ensembles:
        return _members(tuple(folders), None)
    if len(folders) > 1:
        raise ModelError(f"{ensembles[0]} is an ensemble and brings its own members: name it alone")
    card = read_ensemble_card(ensembles[0])
    members = _members(tuple(ensembles[0] / MEMBERS_FOLDER / name for name in card.digests), card)
    stale = [member.name for member in members.cards if card.digests.get(member.name) != member.model_digest]
    if stale:
        fault = f"{ensembles[0]} was fitted on other weights of {', '.join(stale)}"
        raise DamagedModelError(fault, "combine again, `make repro`")
    return members


def _members(folders: tuple[Path, ...], ensemble: EnsembleCard | None) -> Members:
    cards = tuple(models.read_card(folder) for folder in folders)
    names = [card.name for card in cards]
    if len(set(names)) < len(names):
        raise ModelError(f"two models have the same name in {', '.join(names)}: name each model once")
    return Members(folders, cards, ensemble)


def load(folders: Sequence[Path]) -> Ensemble:
    """Return the ensemble of these model folders, or of one ensemble folder. Raise ModelError."""
    members = read_members(folders)
    return Ensemble(tuple(models.load(folder) for folder in members.folders), members.ensemble)


def read_ensemble_card(folder: Path) -> EnsembleCard:
    """Return the ensemble's card. Raise ModelError if it is not one of ours."""
    try:
        return EnsembleCard.model_validate_json((folder / CARD_FILE).read_bytes())
    except (OSError, ValidationError) as error:
        why = models.card_fault(error) if isinstance(error, ValidationError) else error.strerror
        fault = f"{folder / CARD_FILE} is not an ensemble card of this version: {why}"
        raise DamagedModelError(fault, "combine again, `make repro`") from error


def write_ensemble_card(folder: Path, card: EnsembleCard) -> None:
    """Write the ensemble's card alone, whole or not at all."""
    disk.write_text(folder / CARD_FILE, card.model_dump_json(indent=2) + "\n")


def join(calibrated: Mapping[str, float], ensemble: EnsembleCard | None) -> float:
    """Return the joint logit. A member that could not judge counts as the mean of those that could.

    With an ensemble, the logits are those that its combiner takes, clipped if it clips.
    """
    mean = sum(calibrated.values()) / len(calibrated)
    if ensemble is None:
        return mean
    return float(forward(ensemble.layers, np.array([[calibrated.get(name, mean) for name in ensemble.digests]]))[0])


def clipped(calibrated: float, clip: float | None) -> float:
    """Return a calibrated logit cut to the size `clip`, so that one wild member cannot outvote the others."""
    return calibrated if clip is None else min(max(calibrated, -clip), clip)


def opposition(calibrated: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how far apart the members' calibrated logits (n, members) are, (n,); 0 if all are on one side of 0."""
    highest, lowest = calibrated.max(axis=1), calibrated.min(axis=1)
    return np.where((lowest < 0) & (highest > 0), highest - lowest, 0.0)


def _disagreement(calibrated: Mapping[str, float], limit: float | None) -> str:
    """Return which members disagree most, if they do by more than the limit; otherwise the empty string."""
    if limit is None or opposition(np.array([[*calibrated.values()]]))[0] <= limit:
        return ""
    highest, lowest = max(calibrated, key=calibrated.__getitem__), min(calibrated, key=calibrated.__getitem__)
    said = f"{highest} says fake ({sigmoid(calibrated[highest]):.2f}), {lowest} says real"
    return f"its models disagree: {said} ({sigmoid(calibrated[lowest]):.2f})"


def forward(layers: Sequence[Dense], calibrated: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the joint logits (n,) of calibrated logits (n, members)."""
    *hidden, last = [(np.array(layer.kernel), np.array(layer.bias)) for layer in layers]
    for kernel, bias in hidden:
        calibrated = np.maximum(calibrated @ kernel + bias, 0)
    return np.asarray((calibrated @ last[0] + last[1])[:, 0])


def calibrate(raw: float, calibration: Calibration | None) -> float:
    """Return the logit divided by the temperature (Guo et al. 2017), or unchanged without a calibration."""
    return raw / calibration.temperature if calibration else raw


def verdict_for(p_fake: float, low: float, high: float) -> Verdict:
    """Return the verdict for a calibrated score at the thresholds `low` and `high`."""
    if p_fake >= high:
        return Verdict.LIKELY_SYNTHETIC
    return Verdict.NO_INDICATION if p_fake <= low else Verdict.UNCERTAIN


def _distance(joint: float, verdict: Verdict, low: float, high: float) -> float:
    """Return the distance of a joint logit from the threshold that its verdict depends on."""
    if verdict is Verdict.UNCERTAIN:
        return math.inf
    return joint - logit(high) if verdict is Verdict.LIKELY_SYNTHETIC else logit(low) - joint


def sigmoid(x: float) -> float:
    """Return 1 / (1 + exp(-x)), without overflow."""
    return 1 / (1 + math.exp(-x)) if x >= 0 else math.exp(x) / (1 + math.exp(x))


def logit(p: float) -> float:
    """Return log(p / (1 - p)), with p kept off 0 and 1."""
    p = min(max(p, 1e-9), 1 - 1e-9)
    return math.log(p / (1 - p))
