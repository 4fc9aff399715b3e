"""A model or ensemble measured on a dataset's test split: per face, file and source, per generator and degradation."""

import json
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
from scipy.special import expit

from fauxscan.judging import metrics, panel, scoring
from fauxscan.judging.aggregation import robust_mean
from fauxscan.judging.panel import Panel, logit
from fauxscan.judging.scoring import KEY
from fauxscan.models import Calibration
from fauxscan.params import EvaluateParams
from fauxscan.preparing import shards
from fauxscan.records import REAL, TEST, UserError

ALL, CLEAN = "all", "none"


def evaluate(
    name: str, dataset: str, model: Path, folder: Path, faces: str, out: Path, params: EvaluateParams, seed: int
) -> None:
    """Measure the model or ensemble at `model` on a dataset's shards in `folder`; write figures and scores to `out`.

    Raise UserError if the test split lacks reals or fakes.
    """
    judges = panel.load([model])
    _refuse_one_class(judges, folder, faces)
    units = pd.concat(
        [
            _units(judges, folder, faces, quality).assign(degradation=CLEAN if quality is None else f"jpeg{quality}")
            for quality in (None, *params.jpeg_qualities)
        ],
        ignore_index=True,
    )
    told: dict[str, str | float] = {
        "evaluation": name,
        **_judged_by(judges),
        "dataset": dataset,
        "confidence": params.confidence,
    }
    table = pd.DataFrame(_rows(units, judges, params, seed)).assign(**told)
    out.mkdir(parents=True, exist_ok=True)
    units.to_parquet(out / "scores.parquet", index=False)
    table.to_parquet(out / "figures.parquet", index=False)
    (out / "metrics.json").write_text(json.dumps(_headline(table), indent=2) + "\n", encoding="utf-8")


def _refuse_one_class(judges: Panel, folder: Path, faces: str) -> None:
    for view in {shards.view_for(model.card.looks_at, faces) for model in judges.members}:
        reals, fakes = shards.reals_and_fakes(folder, TEST, view)
        if not reals or not fakes:
            raise UserError(
                f"the test split of {folder} has {reals} reals and {fakes} fakes: it takes both to measure a model."
                " Name a dataset that has them in `evaluations` of params.yaml: it may be another than the model's"
            )


def _units(judges: Panel, folder: Path, faces: str, quality: int | None) -> pd.DataFrame:
    """Return p_fake of each face (of a model alone), media file and source of the test split."""
    of_model = {
        model.card.name: scoring.face_logits(model, folder, TEST, shards.view_for(model.card.looks_at, faces), quality)
        for model in judges.members
    }
    media = _judged(judges, of_model)
    parts = [media.assign(unit="media"), _by_source(media).assign(unit="source")]
    if judges.ensemble is None:
        (model,) = judges.members
        rows = next(iter(of_model.values()))
        calibrated = rows["logit"].map(lambda raw: panel.calibrate(raw, model.card.calibration))
        parts.append(rows[KEY].assign(p_fake=expit(calibrated), unit="face"))
    return pd.concat(parts, ignore_index=True)


def _judged(judges: Panel, of_model: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """Return one row a media file with p_fake, from those models that could judge it."""
    logits: dict[tuple[str, ...], dict[str, float]] = {}
    for name, faces in of_model.items():
        for row in scoring.media_logits(faces).to_dict("records"):
            logits.setdefault(tuple(row[column] for column in KEY), {})[name] = row["logit"]
    rows = [dict(zip(KEY, key, strict=True)) | {"p_fake": judges.judge(found).p_fake} for key, found in logits.items()]
    return pd.DataFrame(rows)


def _by_source(media: pd.DataFrame) -> pd.DataFrame:
    """Return one row a source and label: the robust mean of its files' logits, as over the frames of one video."""
    grouped = media.assign(logit=media["p_fake"].map(logit)).groupby(["label", "generator", "source"], sort=True)
    joined = grouped["logit"].agg(robust_mean).reset_index()
    return joined.assign(p_fake=expit(joined.pop("logit")), sha256="")


def _rows(units: pd.DataFrame, judges: Panel, params: EvaluateParams, seed: int) -> Iterator[dict[str, object]]:
    """Give one row of figures a unit, degradation and generator (each against all reals)."""
    calibration = _calibration(judges)
    high, even = (calibration.high, calibration.even) if calibration else (0.5, 0.5)
    for (unit, degradation), scores in units.groupby(["unit", "degradation"], sort=False):
        fakes = scores.loc[scores["label"] != REAL, "generator"]
        for generator in (ALL, *sorted(fakes.unique())):
            chosen = scores[(scores["label"] == REAL) | (scores["generator"] == generator) | (generator == ALL)]
            keys = {"unit": unit, "degradation": degradation, "generator": generator}
            yield keys | metrics.figures(chosen, high, even, params, seed)


def _judged_by(judges: Panel) -> dict[str, str]:
    """Return which model or ensemble it is: its figures hold for this digest alone."""
    if judges.ensemble:
        card = judges.ensemble
        return {"model": card.name, "model_digest": card.model_digest, "trained_on": card.dataset}
    (model,) = judges.members
    known = model.card
    return {"model": known.name, "model_digest": known.model_digest, "trained_on": known.trained_on.dataset}


def _calibration(judges: Panel) -> Calibration | None:
    if judges.ensemble:
        return judges.ensemble.calibration
    (model,) = judges.members
    return model.card.calibration


def _headline(table: pd.DataFrame) -> dict[str, dict[str, float]]:
    """Return the clean figures over all generators, by unit, for `dvc metrics`."""
    clean = table[(table["degradation"] == CLEAN) & (table["generator"] == ALL)].set_index("unit")
    shown = [f"{name}{end}" for name in ("accuracy", "even_accuracy", "auc") for end in ("", "_low", "_high")]
    shown.append("calibration_error")
    return {str(unit): {name: round(float(row[name]), 4) for name in shown} for unit, row in clean.iterrows()}
