"""Everything a scan judges with (limits, faces, models), read from parameters and cards alone, and its digests."""

import hashlib
import importlib.util
import json
import logging
import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from fauxscan import models, wire
from fauxscan.judging import ensemble
from fauxscan.judging.ensemble import EnsembleCard, JudgingRule, Members
from fauxscan.models import Calibration, ModelCard
from fauxscan.params import Engines, FaceParams, MediaParams, Params, ScanParams
from fauxscan.records import Framing, MissingExtraError, ModelError, View
from fauxscan.scanning import user_calibrations
from fauxscan.shipped import sets

log = logging.getLogger(__name__)
EVALUATIONS = ("evaluations", "*/figures.parquet")  # in a project: what the stage `evaluate` writes, as in dvc.yaml
SCORING = 4  # raise it when the same file, model and params would get another score
FINDING = 3  # raise it when other faces would be found in the same file
REENCODING = 1  # raise it when `engine.rechecking` would re-encode in another way
REMEDIES = {"openvino": "pip install fauxscan", "tensorflow": 'pip install "fauxscan[train]"'}  # by engine
GPU = Path("/dev/nvidiactl")  # made by the driver; asking TensorFlow would take seconds


@dataclass(frozen=True)
class Settings:
    """Everything that changes a judgement, and how fast it is reached."""

    media: MediaParams
    faces: FaceParams
    scan: ScanParams
    mode: Framing
    folders: tuple[Path, ...]
    cards: tuple[ModelCard, ...] = field(hash=False)  # left out of the hash: the digest tells them apart
    ensemble_card: EnsembleCard | None = field(hash=False)  # as it is in its folder: its digest names the ensemble
    engine: str
    digest: str
    faces_digest: str  # of everything that decides which faces are found, whatever the models
    logits_digest: str  # of everything that decides the logits, whatever the calibrations
    user_calibrations: Mapping[str, Calibration] = field(hash=False)  # by model digest: those on `cards`, or on
    # `ensemble`, that replace what is on the card in the folder; they travel to workers, which have other users

    def view(self, card: ModelCard) -> View:
        """Return the view that a model gets: aligned face crops or whole images."""
        return View.WHOLE if self.mode == "whole" else card.looks_at

    def in_use(self, card: ModelCard) -> ModelCard:
        """Return a card as it is in a model folder, with the user's own calibration if there is one."""
        return user_calibrations.replaced(card, self.user_calibrations)

    @cached_property
    def ensemble(self) -> EnsembleCard | None:
        """Return the card of the ensemble with the calibration in use; None without a fitted combiner."""
        card = self.ensemble_card
        return user_calibrations.replaced(card, self.user_calibrations) if card else None

    @cached_property
    def rule(self) -> JudgingRule:
        """Return how logits become a p_fake and a verdict."""
        return JudgingRule(self.cards, self.ensemble)

    @property
    def finds_faces(self) -> bool:
        """Return whether any model looks at faces."""
        return any(self.view(card) is View.FACE for card in self.cards)

    def resolved(self) -> "Settings":
        """Return the settings with absolute model folders, for processes that work in another folder."""
        return replace(self, folders=tuple(folder.resolve() for folder in self.folders))

    @property
    def models(self) -> list[dict[str, str]]:
        """Return the names and digests of the models, as in the table `runs`."""
        named = [{"name": card.name, "model_digest": card.model_digest} for card in self.cards]
        if card := self.ensemble_card:
            named.append({"name": card.name, "model_digest": card.model_digest})
        return named


def read(
    params: Params,
    named: Sequence[str | os.PathLike[str]] = (),
    mode: Framing = "auto",
    project: Path = Path(),
    *,
    cards_alone: bool = False,
) -> Settings:
    """Return the settings of a scan with the named models, the project's or those that ship. Load no network.

    Models are named by their folders, or by the names of sets (see `sets.find`). Raise ModelError.
    Calibrations in the user's configuration are used in place of those on the cards, unless `cards_alone`, as in a
    pipeline, which must give the same for every user.
    """
    folders = tuple(map(sets.find, named)) or _default(params, project)
    with sets.with_remedies(folders):
        members = ensemble.read_members(folders)
    engine = _engine_for(members, params.scan.engine)
    own = {} if cards_alone else _user_calibrations(members)
    cards, card = tuple(user_calibrations.replaced(one, own) for one in members.cards), members.ensemble
    precision = params.scan.precision if engine == "openvino" else "float32"
    judged_with = {
        "scoring": [SCORING, engine, precision, mode],
        "media": wire.named(params.media, wire.MEDIA),
        "faces": wire.named(params.faces, wire.FACES),
        "models": sorted((_judging_parts(one) for one in cards), key=lambda parts: parts["name"]),
        "ensemble": user_calibrations.replaced(card, own).hashed() if card else None,
        **_check(params.scan),
    }
    logits_with = {**_without_calibrations(judged_with), "ensemble": card.hashed() if card else None}
    found_with = {
        "finding": FINDING,
        "media": judged_with["media"],
        "faces": wire.named(params.faces, wire.FACE_SEARCH),
    }
    return Settings(
        params.media, params.faces, params.scan, mode, folders, cards, card, engine,
        digest=_digest(judged_with), faces_digest=_digest(found_with),
        logits_digest=_digest(logits_with), user_calibrations=own,
    )  # fmt: skip


def without_models(params: Params) -> Settings:
    """Return settings that judge nothing: those of decoders that only show files."""
    return Settings(
        params.media, params.faces, params.scan, "whole", (), (), None, "",
        digest="", faces_digest="", logits_digest="", user_calibrations={},
    )  # fmt: skip


def _user_calibrations(members: Members) -> dict[str, Calibration]:
    """Return the user's own calibrations of models or of an ensemble, by digest, and log which are used.

    The members of an ensemble have none: its combiner was fitted on logits calibrated as their cards say. Raise
    ModelError.
    """
    cards = (members.ensemble,) if members.ensemble else members.cards
    own = user_calibrations.read_all(cards)
    for card in cards:
        if card.model_digest in own:
            log.info(user_calibrations.IN_USE, card.name, user_calibrations.file_of(card.model_digest))
    return own


def _without_calibrations(judged_with: Mapping[str, Any]) -> dict[str, Any]:
    """Return what decides the logits, of what decides the judgements."""
    bare = [{key: part for key, part in parts.items() if key != "calibration"} for parts in judged_with["models"]]
    return {**judged_with, "models": bare}


def choose_engine(engine: Engines) -> str:
    """Return the engine named. Raise MissingExtraError if it is not installed.

    For `auto` it is TensorFlow if that is installed and there is a GPU, or if it alone is installed; else OpenVINO.
    """
    installed = [name for name in REMEDIES if importlib.util.find_spec(name)]
    if engine == "auto":
        if not installed:
            raise MissingExtraError(f"neither OpenVINO nor TensorFlow is installed: {REMEDIES['openvino']}")
        return installed[-1 if GPU.exists() else 0]
    if engine not in installed:
        remedy = f"{REMEDIES[engine]}, or set it to auto"
        raise MissingExtraError(f"scan.engine is {engine}, which is not installed: {remedy}")
    return engine


def _engine_for(members: Members, engine: Engines) -> str:
    """Return the engine for the models. Raise ModelError if it is TensorFlow, and one has OpenVINO's files alone."""
    both = zip(members.folders, members.cards, strict=True)
    alone = [folder for folder, card in both if card.openvino and not (folder / models.NETWORK).is_file()]
    if alone and engine == "tensorflow":
        lacking = f"{alone[0]} has no {models.NETWORK}, only the files of OpenVINO"
        raise ModelError(f"scan.engine is tensorflow, but {lacking}: set it to auto or openvino")
    return choose_engine("openvino" if alone else engine)


def _default(params: Params, project: Path) -> tuple[Path, ...]:
    """Return the models of `scan.models`, else those that were trained and evaluated, else the set that ships.

    Models of the demo do not judge beside others. If they are the only ones that were trained, the set judges, too.
    """
    if params.scan.models:
        return _without_demo(tuple(sets.find(model, project) for model in params.scan.models))
    trained, shipped = _trained(params, project), sets.default()
    if shipped and all(map(_is_demo, trained)):
        why = "the models in params.yaml were trained on the demo" if trained else "no others are named"
        log.info("Models: %s, which fauxscan ships, because %s. --models names others.", shipped.name, why)
        return (shipped,)
    if not trained:
        raise _no_model(project)
    return _without_demo(_evaluated(trained, project))


def _without_demo(folders: tuple[Path, ...]) -> tuple[Path, ...]:
    """Return the models without those that were trained on the demo, unless all were."""
    demo = [folder for folder in folders if _is_demo(folder)]
    if not 0 < len(demo) < len(folders):
        return folders
    log.info(
        "Left out, because other models judge: %s. Models trained on the demo say nothing about your files.",
        _names(demo),
    )
    return tuple(folder for folder in folders if folder not in demo)


def _is_demo(folder: Path) -> bool:
    return (folder / models.CARD).is_file() and models.read_card(folder).trained_on.proof_of_machinery


def _evaluated(folders: tuple[Path, ...], project: Path) -> tuple[Path, ...]:
    """Return the models that the project has evaluated, or all if it has evaluated none of them."""
    known = _evaluated_digests(project)
    evaluated = tuple(folder for folder in folders if models.read_card(folder).model_digest in known)
    how = "`make repro` evaluates the models of params.yaml, except those with `evaluate: false`"
    if not evaluated:
        log.info("All models judge, although none has an evaluation: %s. %s.", _names(folders), how)
        return folders
    if new := [folder for folder in folders if folder not in evaluated]:
        log.info("Left out, because they have no evaluation: %s. %s, or name them with --models.", _names(new), how)
    return evaluated


def _evaluated_digests(project: Path) -> set[str]:
    """Return the digests of the models for which the project has figures. Raise ModelError if these are damaged."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder, pattern = EVALUATIONS
    digests = set[str]()
    for file in sorted((project / folder).glob(pattern)):
        try:
            digests |= set(pq.read_table(file).to_pydict().get("model_digest", ()))  # no column: nothing was measured
        except (pa.ArrowException, OSError) as error:
            raise ModelError(f"{file} is damaged: delete it and run `make repro`") from error
    return digests


def _names(folders: Collection[Path]) -> str:
    return ", ".join(folder.name for folder in folders)


def _trained(params: Params, project: Path) -> tuple[Path, ...]:
    """Return the trained models that params.yaml declares; those that earlier experiments left are passed over."""
    home = project / "models"
    return tuple(home / name for name in sorted(params.models) if (home / name / models.CARD).is_file())


def _no_model(project: Path) -> ModelError:
    return ModelError(
        f"no model to judge with: none is named, and {project / 'models'} has none of those in the parameters. Name the"
        f" folder of one with --models; {models.how_to_get(project)}"
    )


def _judging_parts(card: ModelCard) -> dict[str, Any]:
    """Return the parts of a card that change a judgement, under the frozen keys of `wire.MODEL`."""
    return {
        "name": card.name,
        "digest": card.model_digest,
        "input": [card.input_size, card.looks_at],
        "faces": wire.named(card.faces, wire.FACES),
        "align": wire.named(card.reencode, wire.REENCODE),
        "calibration": ensemble.hashed_calibration(card.calibration),
        "proof_of_machinery": card.trained_on.proof_of_machinery,
    }


def _check(scan: ScanParams) -> dict[str, Any]:
    """Return the part of the check of verdicts near their threshold; nothing without it, as in earlier versions."""
    return {"reencoded": [REENCODING, scan.reencoded_margin]} if scan.check_reencoded else {}


def _digest(parts: Any) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]
