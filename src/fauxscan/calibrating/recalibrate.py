"""Calibrate a model or ensemble anew: on labelled files, on reals alone, or on the logits of an earlier calibration."""

import logging
import math
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import pandas as pd

from fauxscan import models, openvino_export
from fauxscan.judging import calibration, ensemble
from fauxscan.judging.ensemble import Ensemble, EnsembleCard, Member
from fauxscan.judging.manifest import LOGITS
from fauxscan.judging.metrics import Share
from fauxscan.judging.scoring import Reencoded, Shifted
from fauxscan.judging.videos import thresholds
from fauxscan.models import Calibration, ModelCard
from fauxscan.params import Params
from fauxscan.preparing.split import audit_tree
from fauxscan.records import FAKE, REAL, Framing, Status, UserError
from fauxscan.scanning import settings, user_calibrations
from fauxscan.scanning.engine.engine import Engine
from fauxscan.scanning.engine.outcomes import media_logits
from fauxscan.scanning.inference import backends
from fauxscan.scanning.rows import Outcome
from fauxscan.scanning.settings import Settings
from fauxscan.scanning.user_calibrations import Card

log = logging.getLogger(__name__)
TREE = "."  # names the whole tree among labelled folders
FEW_SOURCES = (
    "the {files} {kind} in {tree} are {sources}. Files in one subfolder of a labelled folder count as one source, as do"
    " those that look nearly the same. If the files are independent, name the subfolder itself, or put them directly"
    " into the labelled folder; if their names say which belong together, use --source"
)


@dataclass(frozen=True)
class LabelledFiles:
    """Files that a model is calibrated on."""

    tree: Path
    labels: Mapping[str, str]  # of each folder: `real`, or the name of what made its fakes; TREE is the whole tree
    source: str | None = None  # captures the source from a path, as in datasets/folder.py

    def sources(self, params: Params) -> pd.DataFrame:
        """Return the usable files: sha256, path, label, generator and source. Raise UserError."""
        return audit_tree.read_sources(self.tree, dict(self.labels), params, self.source)


@dataclass(frozen=True)
class Recalibration:
    """The end of a calibration, with the false positives before and after it if reals alone were used."""

    calibration: Calibration
    written: Path  # a model folder, or a file in the user's configuration
    unjudged: int  # files that were left out
    before: Share | None = None  # None also if the model was not calibrated
    after: Share | None = None  # of sources that were left out of the fit


def recalibrate(
    model: Path, out: Path | None, params: Params, labelled: LabelledFiles | None = None, faces: Framing = "auto"
) -> Recalibration:
    """Calibrate a model on labelled files. Write a copy of its folder to `out`, or by default to the user's own file.

    If all are real, only the upper threshold is set. Without files, the model is calibrated on the logits that an
    earlier calibration has stored in `model`, and no media are read. The error rates are those of `params.calibrate`.
    The members and the combiner of an ensemble stay as they are. Raise UserError for unsuitable folders.
    """
    if out:
        models.refuse_existing(out)
    card, rates = user_calibrations.read_card(model), params.calibrate
    in_use = user_calibrations.read(card) or card.calibration
    media = _judge(model, labelled, params, faces) if labelled else _stored_logits(model)
    judged = media.dropna(subset="logit")
    _refuse_unjudged_classes(judged, media)
    only_reals, unjudged = FAKE not in set(judged["label"]), len(media) - len(judged)
    if only_reals:
        fitted = calibration.fit_reals(judged, in_use, rates)
        fitted = thresholds.fit_reals(card.name, judged, fitted, rates, params.media.max_frames)
    else:
        fitted = calibration.fit_media(judged, rates)
        fitted = thresholds.fit(card.name, judged, fitted, rates, params.media.max_frames)
    new = card.model_copy(update={"name": out.name if out else card.name, "calibration": fitted})
    made_from = (labelled.tree if labelled else model / LOGITS).absolute()
    written = _write(model, out, new, judged) if out else user_calibrations.write(card, fitted, str(made_from))
    if (warning := ensemble.advice(new.name, fitted)) and not _is_demo(card):
        log.warning(warning)
    if not only_reals:
        return Recalibration(fitted, written, unjudged)
    before = calibration.false_positives(judged, in_use) if in_use else None
    after = calibration.unseen_false_positives(judged, in_use, rates)
    return Recalibration(fitted, written, unjudged, before, after)


def _is_demo(card: Card) -> bool:
    return card.proof_of_machinery if isinstance(card, EnsembleCard) else card.trained_on.proof_of_machinery


def _stored_logits(model: Path) -> pd.DataFrame:
    file = model / LOGITS
    if not file.is_file():
        raise UserError(
            f"{model} has no {LOGITS}, the logits of an earlier calibration: name a folder of labelled files"
        )
    return pd.read_parquet(file)


def _judge(model: Path, labelled: LabelledFiles, params: Params, faces: Framing) -> pd.DataFrame:
    """Return the table of a calibration, with the logits that a scan gives; null for files that cannot be judged.

    Files in one folder directly below the tree are one collection; those directly in the tree are in none.
    """
    chosen = settings.read(params, (model,), faces, cards_alone=True)
    table = labelled.sources(params)
    _check_sources(table, labelled.tree)
    paths = [PurePosixPath(path) for path in table.pop("path")]
    files = [labelled.tree / path for path in paths]
    judged: dict[str, Callable[[Settings], Ensemble]] = {"logit": backends.load, "shifted": _load_as(Shifted)}
    if params.calibrate.guard_band:
        judged["reencoded"] = _load_as(Reencoded)
    collections = [path.parts[0] if len(path.parts) > 1 else "" for path in paths]
    outcomes = {name: _check(files, chosen, load) for name, load in judged.items()}
    kinds = pd.Series([one.kind for one in outcomes["logit"]], index=table.index)
    logits = {name: [_logit(one, chosen) for one in of_files] for name, of_files in outcomes.items()}
    return table.assign(dataset=collections, kind=kinds, **logits)


def _check_sources(table: pd.DataFrame, tree: Path) -> None:
    """Say how to lay files out if many files of a class are too few sources. Raise UserError if they are only one."""
    for label, kind in ((REAL, "reals"), (FAKE, "fakes")):
        of_class = table[table["label"] == label]
        files, sources = len(of_class), of_class["source"].nunique()
        counted = "only one source" if sources == 1 else f"only {sources} sources"
        told = FEW_SOURCES.format(files=files, kind=kind, tree=tree, sources=counted)
        if sources == 1 < files:
            raise UserError(f"{told}. Nothing was written")
        if sources < ensemble.MIN_SOURCES <= files:
            log.warning("Few sources: %s.", told)


def _load_as(changed: Callable[[Member], Member]) -> Callable[[Settings], Ensemble]:
    def load(chosen: Settings) -> Ensemble:
        loaded = backends.load(chosen)
        return Ensemble(tuple(map(changed, loaded.members)), loaded.card)

    return load


def _check(files: Sequence[Path], chosen: Settings, load: Callable[[Settings], Ensemble]) -> list[Outcome]:
    with Engine(chosen, load) as engine:
        return engine.check(files)


def _logit(outcome: Outcome, chosen: Settings) -> float:
    """Return the logit of a file: of a single model as it is, of members joined; not a number if it is not judged."""
    if outcome.status != Status.OK:
        return math.nan
    logits = media_logits(outcome.scores)
    if chosen.ensemble:
        return chosen.rule.join(logits)
    (logit,) = logits.values()
    return logit


def _refuse_unjudged_classes(judged: pd.DataFrame, media: pd.DataFrame) -> None:
    """Raise UserError if there are no reals, or if no file of a class could be judged."""
    for label, kind in ((REAL, "real"), (FAKE, "fake")):
        if label not in set(judged["label"]) and (label == REAL or label in set(media["label"])):
            raise UserError(f"no {kind} file could be judged: `fauxscan check FILE --models MODEL` says why")


def _write(model: Path, out: Path, card: Card, media: pd.DataFrame) -> Path:
    """Write the copy of the model folder, whole or not at all, with its new card and the logits behind it."""
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=".calibrating-") as aside:
        copy = Path(shutil.copytree(model, Path(aside) / out.name))
        if isinstance(card, EnsembleCard):
            ensemble.write_ensemble_card(copy, card)
        else:
            models.write_card(copy, _with_openvino_files(copy, card))
        media.to_parquet(copy / LOGITS, index=False)
        return copy.rename(out)


def _with_openvino_files(copy: Path, card: ModelCard) -> ModelCard:
    """Return the card with the OpenVINO files in the copy. Those of a model of an older version are made first."""
    if card.openvino:
        return card
    return card.model_copy(update={"openvino": openvino_export.add(copy, models.load(copy).network)})
