"""Measure a model or ensemble on the test split of a dataset: by face, file, source, generator and degradation."""

import json
import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from scipy.special import expit

from fauxscan.judging import ensemble, metrics, scoring
from fauxscan.judging.aggregation import robust_mean
from fauxscan.judging.ensemble import Ensemble, logit
from fauxscan.judging.scoring import KEY
from fauxscan.models import Calibration
from fauxscan.params import EvaluateParams
from fauxscan.preparing.mixture.read import open_mixture
from fauxscan.preparing.shards.read import Shards, view_for
from fauxscan.records import REAL, TEST, Kind, UserError

ALL, CLEAN = "all", "none"
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Evaluation:
    """The scores of one evaluation, by face, file and source, and its figures."""

    scores: pd.DataFrame
    figures: pd.DataFrame


def evaluate(
    name: str, dataset: str, model: Path, folder: Path, faces: str, out: Path, params: EvaluateParams, seed: int
) -> None:
    """Measure the model or ensemble at `model` on a dataset's shards in `folder`; write figures and scores to `out`.

    Raise UserError if the test split lacks reals or fakes.
    """
    judges, shards = ensemble.load([model]), Shards(folder)
    if lacking := _lacks_a_class(judges, shards, faces):
        raise UserError(
            f"{lacking}, but measuring a model takes both. In `evaluations` of params.yaml, name a dataset that has"
            " both: it may be another than the model's"
        )
    measured = _measure(name, dataset, judges, shards, faces, params, seed)
    _write([measured], _headline(measured.figures), out)


def evaluate_model(model: Path, mixture: Path, folder: Path, out: Path, params: EvaluateParams, seed: int) -> None:
    """Measure a model on each dataset that it was trained on; write figures and scores to `out`.

    The shards are in the sub-folders of `folder`, and the evaluations are named `<model>-<dataset>`. A dataset whose
    test split lacks reals or fakes is left out, with a warning.
    """
    judges, mixed = ensemble.load([model]), open_mixture(mixture, folder)
    faces, measured = mixed.manifest.framing.faces, {}
    for dataset, shards in mixed.shards.items():
        if lacking := _lacks_a_class(judges, shards, faces):
            log.warning("%s is not evaluated on %s: %s", model.name, dataset, lacking)
        else:
            measured[dataset] = _measure(f"{model.name}-{dataset}", dataset, judges, shards, faces, params, seed)
    _write([*measured.values()], {dataset: _headline(of.figures) for dataset, of in measured.items()}, out)


def leave_out(name: str, out: Path) -> None:
    """Write tables without rows to `out`, for a model that declares `evaluate: false`."""
    log.info("%s is not evaluated: its entry in params.yaml has `evaluate: false`", name)
    _write([], {}, out)


def _lacks_a_class(judges: Ensemble, shards: Shards, faces: str) -> str:
    """Return how many reals and fakes a test split has if either are missing; otherwise the empty string."""
    for view in {view_for(model.card.looks_at, faces) for model in judges.members}:
        reals, fakes = shards.count_labels(TEST, view)
        if not reals or not fakes:
            return f"the test split of {shards.folder} has {reals} reals and {fakes} fakes"
    return ""


def _measure(
    name: str, dataset: str, judges: Ensemble, shards: Shards, faces: str, params: EvaluateParams, seed: int
) -> Evaluation:
    units = pd.concat(
        [
            _units(judges, shards, faces, quality).assign(degradation=CLEAN if quality is None else f"jpeg{quality}")
            for quality in (None, *params.jpeg_qualities)
        ],
        ignore_index=True,
    )
    in_every_row: dict[str, str | float] = {
        "evaluation": name,
        **_names(judges),
        "dataset": dataset,
        "confidence": params.confidence,
    }
    figures = pd.DataFrame(_rows(units, judges, params, seed)).assign(**in_every_row)
    return Evaluation(units.drop(columns="kind").assign(evaluation=name), figures)


def _write(evaluations: Sequence[Evaluation], headlines: Mapping[str, Any], out: Path) -> None:
    """Write the tables of the evaluations, which are empty if there are none, and their headlines for DVC."""
    out.mkdir(parents=True, exist_ok=True)
    for file in ("scores", "figures"):
        parts = [getattr(one, file) for one in evaluations]
        table = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()
        table.to_parquet(out / f"{file}.parquet", index=False)
    (out / "metrics.json").write_text(json.dumps(headlines, indent=2) + "\n", encoding="utf-8")


def _units(judges: Ensemble, shards: Shards, faces: str, quality: int | None) -> pd.DataFrame:
    """Return p_fake of each media file and source of the test split, and of each face if there is only one model."""
    of_model = {
        model.card.name: scoring.face_logits(model, shards, TEST, view_for(model.card.looks_at, faces), quality)
        for model in judges.members
    }
    media = _judge_media(judges, of_model)
    parts = [media.assign(unit="media"), _by_source(media).assign(unit="source", kind=Kind.IMAGE.value)]
    if judges.card is None:
        (model,) = judges.members
        rows = next(iter(of_model.values()))
        calibrated = rows["logit"].map(lambda raw: ensemble.calibrate(raw, model.card.calibration))
        parts.append(rows[KEY].assign(p_fake=expit(calibrated), unit="face", kind=Kind.IMAGE.value))
    return pd.concat(parts, ignore_index=True)


def _judge_media(judges: Ensemble, of_model: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """Return one row per media file with p_fake, verdict and kind, from the models that could judge it."""
    logits: dict[tuple[str, ...], dict[str, float]] = {}
    kinds: dict[tuple[str, ...], Kind] = {}
    for name, faces in of_model.items():
        for row in scoring.media_logits(faces).to_dict("records"):
            key = tuple(row[column] for column in KEY)
            logits.setdefault(key, {})[name] = row["logit"]
            kinds[key] = Kind.VIDEO if Kind.VIDEO in (row["kind"], kinds.get(key)) else Kind.IMAGE
    judged = [judges.judge(of_media, kinds[key]) for key, of_media in logits.items()]
    return pd.DataFrame([*logits], columns=KEY).assign(
        p_fake=[of.p_fake for of in judged],
        verdict=[of.verdict.value for of in judged],
        kind=[kinds[key].value for key in logits],
    )


def _by_source(media: pd.DataFrame) -> pd.DataFrame:
    """Return one row per source and label: the robust mean of the logits of its files, as for the frames of a video."""
    grouped = media.assign(logit=media["p_fake"].map(logit)).groupby(["label", "generator", "source"], sort=True)
    joined = grouped["logit"].agg(robust_mean).reset_index()
    return joined.assign(p_fake=expit(joined.pop("logit")), sha256="")


def _rows(units: pd.DataFrame, judges: Ensemble, params: EvaluateParams, seed: int) -> Iterator[dict[str, object]]:
    """Yield one row of figures per unit, degradation and generator (each compared with all reals)."""
    calibration = _calibration(judges)
    eer_threshold = calibration.eer_threshold if calibration else 0.5
    units = units.assign(high=units["kind"].map(_upper_thresholds(calibration)))
    for (unit, degradation), scores in units.groupby(["unit", "degradation"], sort=False):
        fakes = scores.loc[scores["label"] != REAL, "generator"]
        for generator in (ALL, *sorted(fakes.unique())):
            chosen = scores[(scores["label"] == REAL) | (scores["generator"] == generator) | (generator == ALL)]
            keys = {"unit": unit, "degradation": degradation, "generator": generator}
            yield keys | metrics.figures(chosen, chosen["high"].to_numpy(), eer_threshold, params, seed)


def _upper_thresholds(calibration: Calibration | None) -> dict[object, float]:
    """Return the p_fake from which on files of a kind are likely_synthetic: none are if it has no threshold."""
    if calibration is None:
        return dict.fromkeys(Kind, 0.5)
    of_kinds = {kind: calibration.of_kind(kind) for kind in Kind}
    return {kind: of.high if of else math.inf for kind, of in of_kinds.items()}


def _names(judges: Ensemble) -> dict[str, str]:
    """Return name and digest of the model or ensemble, for which alone the figures hold, and its training data."""
    if judges.card:
        card = judges.card
        return {"model": card.name, "model_digest": card.model_digest, "trained_on": card.dataset}
    (model,) = judges.members
    return {
        "model": model.card.name,
        "model_digest": model.card.model_digest,
        "trained_on": model.card.trained_on.dataset,
    }


def _calibration(judges: Ensemble) -> Calibration | None:
    if judges.card:
        return judges.card.calibration
    (model,) = judges.members
    return model.card.calibration


def _headline(table: pd.DataFrame) -> dict[str, dict[str, float]]:
    """Return the figures without degradation, over all generators, by unit, for `dvc metrics`."""
    clean = table[(table["degradation"] == CLEAN) & (table["generator"] == ALL)].set_index("unit")
    measured = ("accuracy", "even_accuracy", "auc", "coverage", "risk")
    shown = [f"{name}{end}" for name in measured for end in ("", "_low", "_high")]
    shown.insert(shown.index("coverage"), "calibration_error")
    return {
        str(unit): {name: round(float(row[name]), 4) for name in shown if pd.notna(row[name])}
        for unit, row in clean.iterrows()
    }
