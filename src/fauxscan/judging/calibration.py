"""Calibration: the temperature that makes p_fake a probability, and the thresholds at given error rates."""

import math

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize_scalar
from scipy.special import expit

from fauxscan.judging import metrics
from fauxscan.models import Calibration, Evidence
from fauxscan.params import CalibrateParams, EvaluateParams
from fauxscan.records import FAKE, REAL

INTERVAL, SEED = EvaluateParams(bootstrap=1000, confidence=0.95, jpeg_qualities=()), 0  # the same logits, the same card


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
