"""Calibration: the temperature that makes p_fake a probability, and the thresholds at given error rates."""

import math
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize_scalar
from scipy.special import betaincinv, expit
from sklearn.model_selection import GroupKFold

from fauxscan.judging import metrics
from fauxscan.models import Calibration, Evidence
from fauxscan.params import CalibrateParams, EvaluateParams
from fauxscan.records import FAKE, REAL

INTERVAL, SEED = EvaluateParams(bootstrap=1000, confidence=0.95, jpeg_qualities=()), 0  # the same logits, the same card
FOLDS = 5


def fit_media(media: pd.DataFrame, params: CalibrateParams) -> Calibration:
    """Return the calibration of a table with one row per media file (label, source, logit), with its evidence.

    The optional column `shifted` has the logits of the same files, moved by one pixel.
    """
    fitted = fit(media["label"], media["logit"], params)
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
        noise=noise(media, temperature),
        **found,
    )


def noise(media: pd.DataFrame, temperature: float) -> float | None:
    """Return the root mean square change of calibrated logits if images move by one pixel; None if not measured."""
    if "shifted" not in media or media["shifted"].isna().all():
        return None
    return float(np.sqrt(((media["shifted"] - media["logit"]) ** 2).mean())) / temperature


def fit(labels: ArrayLike, logits: ArrayLike, params: CalibrateParams) -> Calibration:
    """Return the calibration of media logits (n,) with labels (n,)."""
    truth, raw = np.asarray(labels), np.asarray(logits, np.float64)
    temperature = fit_temperature(truth, raw)
    p_fake = expit(raw / temperature)
    high = upper_threshold(p_fake[truth == REAL], params.false_positive_rate)
    low = lower_threshold(p_fake[truth == FAKE], params.false_negative_rate)
    return Calibration(
        temperature=temperature,
        high=max(low, high),  # well separated classes make the thresholds cross; scores between them are uncertain
        low=min(low, high),
        eer_threshold=eer_threshold(p_fake[truth == REAL], p_fake[truth == FAKE]),
        false_positive_rate=params.false_positive_rate,
        false_negative_rate=params.false_negative_rate,
        reals=int((truth == REAL).sum()),
        fakes=int((truth == FAKE).sum()),
    )


def fit_reals(media: pd.DataFrame, before: Calibration | None, rate: float) -> Calibration:
    """Return a calibration whose false positive rate is `rate`, from a table as for `fit_media` with reals alone.

    Everything that takes fakes is as `before`: temperature, lower threshold and AUC. If there was no calibration, the
    logits stay as they are, and there is never no indication.
    """
    known = before or Calibration(
        temperature=1.0, high=1.0, low=0.0, false_positive_rate=rate, false_negative_rate=0.0, reals=0, fakes=0
    )
    high = upper_threshold(expit(media["logit"].to_numpy(np.float64) / known.temperature), rate)
    nothing = {"fake_sources": 0, "auc": None, "auc_low": None, "auc_high": None, "confidence": INTERVAL.confidence}
    of_fakes = known.evidence.model_dump() if known.evidence else nothing
    counted = {"real_sources": media["source"].nunique(), "noise": noise(media, known.temperature)}
    thresholds = {"high": max(known.low, high), "low": min(known.low, high), "false_positive_rate": rate}
    found = {"reals": len(media), "evidence": Evidence(**(of_fakes | counted))}
    return known.model_copy(update=thresholds | found)


class Share(NamedTuple):
    """A share of files, with its 95 % interval."""

    share: float
    low: float
    high: float


def false_positives(reals: pd.DataFrame, fitted: Calibration) -> Share:
    """Return the share of reals (source, logit) that a calibration calls likely synthetic."""
    return share_of_files(_reach(reals, fitted), reals["source"])


def unseen_false_positives(reals: pd.DataFrame, before: Calibration | None, rate: float) -> Share:
    """Return the share of reals that calibrations by `fit_reals` without their sources call likely synthetic."""
    reached, folds = np.zeros(len(reals), bool), min(FOLDS, reals["source"].nunique())
    if folds < 2:
        return false_positives(reals, fit_reals(reals, before, rate))
    for kept, left_out in GroupKFold(folds).split(reals, groups=reals["source"]):
        reached[left_out] = _reach(reals.iloc[left_out], fit_reals(reals.iloc[kept], before, rate))
    return share_of_files(reached, reals["source"])


def _reach(reals: pd.DataFrame, fitted: Calibration) -> NDArray[np.bool_]:
    return np.asarray(expit(reals["logit"].to_numpy(np.float64) / fitted.temperature) >= fitted.high)


def share_of_files(reached: NDArray[np.bool_], sources: pd.Series) -> Share:
    """Return a share with its interval (Clopper and Pearson 1934), in which each source counts as one trial.

    Resamples of sources would give no interval where no file is reached.
    """
    share, trials, tail = float(reached.mean()), sources.nunique(), (1 - INTERVAL.confidence) / 2
    count = share * trials
    low = float(betaincinv(count, trials - count + 1, tail)) if count > 0 else 0.0
    high = float(betaincinv(count + 1, trials - count, 1 - tail)) if count < trials else 1.0
    return Share(share, low, high)


def fit_temperature(truth: NDArray[np.integer], raw: NDArray[np.float64]) -> float:
    """Return the temperature with the least negative log-likelihood (Guo et al. 2017), between 0.05 and 20."""
    sign = np.where(truth == FAKE, 1.0, -1.0)

    def loss(log_temperature: float) -> float:
        return float(np.logaddexp(0, -sign * raw / math.exp(log_temperature)).mean())

    fitted = minimize_scalar(loss, bounds=(math.log(0.05), math.log(20)), method="bounded")
    return float(math.exp(fitted.x))


def upper_threshold(reals: NDArray[np.float64], rate: float) -> float:
    """Return the p_fake that a new real reaches with probability `rate` at most; 1 if there are too few reals.

    Split conformal (Vovk et al. 2005): just above the k-th smallest of n, k = ceil((n + 1)(1 - rate)).
    """
    k = math.ceil((len(reals) + 1) * (1 - rate))
    return 1.0 if k > len(reals) else min(1.0, float(np.nextafter(np.sort(reals)[k - 1], 2.0)))


def eer_threshold(reals: NDArray[np.float64], fakes: NDArray[np.float64]) -> float:
    """Return the p_fake at which the share of reals at or above it equals that of fakes below it (equal error rate)."""
    scores = np.unique(np.concatenate([reals, fakes]))
    above = 1 - np.searchsorted(np.sort(reals), scores) / len(reals)
    below = np.searchsorted(np.sort(fakes), scores) / len(fakes)
    nearest = int(np.argmin(np.abs(above - below)))
    return float(scores[max(nearest - 1, 0) : nearest + 1].mean())  # between two scores, not on one


def lower_threshold(fakes: NDArray[np.float64], rate: float) -> float:
    """Return the p_fake below which a new fake falls with probability `rate` at most; 0 if there are too few fakes."""
    return 1.0 - upper_threshold(1.0 - fakes, rate)
