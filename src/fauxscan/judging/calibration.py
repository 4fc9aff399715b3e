"""Calibration: the temperature that makes p_fake a probability, and the thresholds at given error rates."""

import math

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import expit, logit
from sklearn.model_selection import GroupKFold

from fauxscan.judging import groups, metrics
from fauxscan.judging.groups import Scores
from fauxscan.judging.metrics import Share
from fauxscan.models import Calibration, Evidence
from fauxscan.params import CalibrateParams, EvaluateParams
from fauxscan.records import FAKE, REAL

INTERVAL, SEED = EvaluateParams(bootstrap=1000, confidence=0.95, jpeg_qualities=()), 0  # the same logits, the same card
FOLDS = 5


def fit_media(media: pd.DataFrame, params: CalibrateParams) -> Calibration:
    """Return the calibration of a table with one row per media file (label, source, logit), with its evidence.

    Optional columns: `shifted` and `reencoded` have the logits of the same files, moved by one pixel and compressed as
    JPEG. `dataset` has the collection that a real is from, and `generator` what made a fake.
    """
    fitted = fit(media, params)
    return fitted.model_copy(update={"evidence": evidence(media, fitted.temperature)})


def evidence(media: pd.DataFrame, temperature: float) -> Evidence:
    """Return what a table of media files, as for `fit_media`, shows about the model that judged them."""
    labels = media["label"].to_numpy(np.int64)
    scored = metrics.Scored(labels, media["logit"].to_numpy(np.float64), pd.factorize(media["source"])[0])
    found = metrics.with_intervals(scored, {"auc": metrics.auc}, INTERVAL, SEED)  # which depends on the order alone
    sources = media.groupby("label")["source"].nunique()
    return Evidence(
        real_sources=int(sources[REAL]),
        fake_sources=int(sources[FAKE]),
        confidence=INTERVAL.confidence,
        noise=change(media, "shifted", temperature),
        **found,
    )


def change(media: pd.DataFrame, changed: str, temperature: float) -> float | None:
    """Return the root mean square change of calibrated logits from `logit` to a column; None if not measured."""
    if changed not in media or media[changed].isna().all():
        return None
    return float(np.sqrt(((media[changed] - media["logit"]) ** 2).mean())) / temperature


def fit(media: pd.DataFrame, params: CalibrateParams) -> Calibration:
    """Return the calibration of a table with label and logit, and with optional columns as for `fit_media`."""
    temperature = fit_temperature(media["label"].to_numpy(), media["logit"].to_numpy(np.float64))
    return fit_thresholds(media, params, temperature)


def fit_thresholds(media: pd.DataFrame, params: CalibrateParams, temperature: float) -> Calibration:
    """Return the calibration of a table as for `fit`, at a temperature that is known."""
    truth, raw = media["label"].to_numpy(), media["logit"].to_numpy(np.float64)
    p_fake, guard = expit(raw / temperature), _guard(media, params, temperature)
    of_reals, of_fakes = p_fake[truth == REAL], p_fake[truth == FAKE]
    reals = _reals(media[truth == REAL], of_reals, params)
    generators = groups.column(media, "generator", truth == FAKE)
    fakes = Scores.of(1.0 - of_fakes, generators, params.false_negative_rate, params.worst_generator)
    low, high = _thresholds(reals, fakes, guard)
    return Calibration(
        temperature=temperature,
        high=high,
        low=low,
        eer_threshold=eer_threshold(of_reals, of_fakes),
        false_positive_rate=params.false_positive_rate,
        false_negative_rate=params.false_negative_rate,
        reals=len(of_reals),
        fakes=len(of_fakes),
        collections=groups.record(
            reals, of_reals >= high, lambda others: of_reals >= _thresholds(others, fakes, guard)[1]
        ),
        generators=groups.record(
            fakes, of_fakes <= low, lambda others: of_fakes <= _thresholds(reals, others, guard)[0]
        ),
        guard=guard or None,
        separate_videos=True,
    )


def _reals(media: pd.DataFrame, p_fake: NDArray[np.float64], params: CalibrateParams) -> Scores:
    """Return the scores of reals, by the collections in their table."""
    collections = groups.column(media, "dataset", slice(None))
    return Scores.of(p_fake, collections, params.false_positive_rate, params.worst_collection)


def _guard(media: pd.DataFrame, params: CalibrateParams, temperature: float) -> float:
    """Return how far thresholds are moved apart, in calibrated logits; 0 without a guard band."""
    return (change(media, "reencoded", temperature) or 0.0) if params.guard_band else 0.0


def _thresholds(reals: Scores, fakes: Scores, guard: float) -> tuple[float, float]:
    """Return the thresholds (low, high).

    Those of well separated classes cross. They are swapped, so that scores between them are uncertain and both error
    rates are lower than they have to be. What holds in each group only moves them further apart.
    """
    low, high = sorted((1.0 - fakes.pooled_threshold(), reals.pooled_threshold()))
    low, high = min(low, 1.0 - fakes.threshold()), max(high, reals.threshold())
    return _moved(low, -guard), _moved(high, guard)


def _moved(threshold: float, by: float) -> float:
    """Return a threshold of p_fake after adding `by` to its logit. 0 and 1, which mean never, stay as they are."""
    return float(expit(logit(threshold) + by)) if by and 0 < threshold < 1 else threshold


def fit_reals(media: pd.DataFrame, before: Calibration | None, params: CalibrateParams) -> Calibration:
    """Return a calibration with the false positive rate of `params`, from a table as for `fit_media` of reals alone.

    Everything that takes fakes is as `before`: temperature, lower threshold and AUC. If there was no calibration, the
    logits stay as they are, and there is never no indication.
    """
    rate = params.false_positive_rate
    known = before or Calibration(
        temperature=1.0, high=1.0, low=0.0, false_positive_rate=rate, false_negative_rate=0.0, reals=0, fakes=0
    )
    guard = _guard(media, params, known.temperature)
    p_fake = expit(media["logit"].to_numpy(np.float64) / known.temperature)
    reals = _reals(media, p_fake, params)
    low, high = sorted((known.low, _moved(reals.threshold(), guard)))
    nothing = {"fake_sources": 0, "auc": None, "auc_low": None, "auc_high": None, "confidence": INTERVAL.confidence}
    of_fakes = known.evidence.model_dump() if known.evidence else nothing
    counted = {"real_sources": media["source"].nunique(), "noise": change(media, "shifted", known.temperature)}
    found = {"reals": len(media), "evidence": Evidence(**(of_fakes | counted)), "guard": guard or None}
    by_collection = groups.record(
        reals, p_fake >= high, lambda others: p_fake >= max(known.low, _moved(others.threshold(), guard))
    )
    thresholds = {"high": high, "low": low, "false_positive_rate": rate, "collections": by_collection}
    thresholds |= {"separate_videos": True}
    return known.model_copy(update=thresholds | found)


def false_positives(reals: pd.DataFrame, fitted: Calibration) -> Share:
    """Return the share of reals (source, logit) that a calibration calls likely synthetic."""
    return metrics.share(_reach(reals, fitted), reals["source"], INTERVAL.confidence)


def unseen_false_positives(reals: pd.DataFrame, before: Calibration | None, params: CalibrateParams) -> Share:
    """Return the share of reals that calibrations by `fit_reals` without their sources call likely synthetic."""
    reached, folds = np.zeros(len(reals), bool), min(FOLDS, reals["source"].nunique())
    if folds < 2:
        return false_positives(reals, fit_reals(reals, before, params))
    for kept, left_out in GroupKFold(folds).split(reals, groups=reals["source"]):
        reached[left_out] = _reach(reals.iloc[left_out], fit_reals(reals.iloc[kept], before, params))
    return metrics.share(reached, reals["source"], INTERVAL.confidence)


def _reach(reals: pd.DataFrame, fitted: Calibration) -> NDArray[np.bool_]:
    return np.asarray(expit(reals["logit"].to_numpy(np.float64) / fitted.temperature) >= fitted.high)


def fit_temperature(truth: NDArray[np.integer], raw: NDArray[np.float64]) -> float:
    """Return the temperature with the least negative log-likelihood (Guo et al. 2017), between 0.05 and 20."""
    sign = np.where(truth == FAKE, 1.0, -1.0)

    def loss(log_temperature: float) -> float:
        return float(np.logaddexp(0, -sign * raw / math.exp(log_temperature)).mean())

    fitted = minimize_scalar(loss, bounds=(math.log(0.05), math.log(20)), method="bounded")
    return float(math.exp(fitted.x))


def eer_threshold(reals: NDArray[np.float64], fakes: NDArray[np.float64]) -> float:
    """Return the p_fake at which the share of reals at or above it equals that of fakes below it (equal error rate)."""
    scores = np.unique(np.concatenate([reals, fakes]))
    above = 1 - np.searchsorted(np.sort(reals), scores) / len(reals)
    below = np.searchsorted(np.sort(fakes), scores) / len(fakes)
    nearest = int(np.argmin(np.abs(above - below)))
    return float(scores[max(nearest - 1, 0) : nearest + 1].mean())  # between two scores, not on one
