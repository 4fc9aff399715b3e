"""Figures with confidence intervals, resampled by source: faces of one source are not independent trials."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import betaincinv
from sklearn.metrics import average_precision_score, brier_score_loss

from fauxscan.params import EvaluateParams
from fauxscan.records import FAKE, REAL, Verdict

RESAMPLES_AT_ONCE = 100
BINS = 10
SMALLEST = 2.0**-53  # the distance from 1 of the largest float64 below 1
NO_VERDICTS = {f"{name}{end}": np.nan for name in ("coverage", "risk") for end in ("", "_low", "_high")}
Figures = dict[str, float]


@dataclass(frozen=True)
class Scored:
    """Labels, p_fake and sources of the scores to measure, each (n,)."""

    labels: NDArray[np.int64]
    p_fake: NDArray[np.float64]
    sources: NDArray[np.int64]  # numbered from 0

    @staticmethod
    def of(table: pd.DataFrame) -> "Scored":
        """Return the scores in a table with label, p_fake and source."""
        sources = pd.factorize(table["source"])[0]
        return Scored(table["label"].to_numpy(np.int64), table["p_fake"].to_numpy(np.float64), sources)


Statistic = Callable[[Scored, NDArray[np.float64]], NDArray[np.float64]]


def figures(
    table: pd.DataFrame, high: float | NDArray[np.float64], eer_threshold: float, params: EvaluateParams, seed: int
) -> Figures:
    """Return counts, accuracies at p_fake 0.5 and `eer_threshold`, AUC, their intervals, and error rates at `high`.

    `high` is one threshold, or that of each row (n,), since videos may have another than images.
    If the table has verdicts (column `verdict`), also return their coverage and risk, otherwise not a number.
    """
    scored = Scored.of(table)
    reals, fakes = scored.p_fake[scored.labels == REAL], scored.p_fake[scored.labels == FAKE]
    reached = scored.p_fake >= high
    statistics: dict[str, Statistic] = {
        "accuracy": partial(accuracy, threshold=0.5),
        "even_accuracy": partial(accuracy, threshold=eer_threshold), "auc": auc,
    }  # fmt: skip
    return {
        "reals": len(reals), "fakes": len(fakes), "sources": int(scored.sources.max()) + 1,
        "majority": max(len(reals), len(fakes)) / len(table), "even": eer_threshold,
        **with_intervals(scored, statistics, params, seed),
        "average_precision": float(average_precision_score(scored.labels, scored.p_fake)),
        "balanced_accuracy": float(((reals < 0.5).mean() + (fakes >= 0.5).mean()) / 2),
        "false_positive_rate": float(reached[scored.labels == REAL].mean()),
        "true_positive_rate": float(reached[scored.labels == FAKE].mean()),
        "brier": float(brier_score_loss(scored.labels, scored.p_fake)),
        "calibration_error": calibration_error(scored),
        **coverage_and_risk(table, params.confidence),
    }  # fmt: skip


def coverage_and_risk(table: pd.DataFrame, confidence: float) -> Figures:
    """Return the share of files with a firm verdict, and the share of these that are wrong, with their intervals.

    They are not a number without verdicts, and the risk also if none is firm (El-Yaniv and Wiener 2010).
    """
    if "verdict" not in table or table["verdict"].isna().any():
        return NO_VERDICTS
    firm = table["verdict"] != Verdict.UNCERTAIN
    found = {"coverage": share(firm, table["source"], confidence)}
    if firm.any():
        wrong = (table["verdict"] == Verdict.LIKELY_SYNTHETIC) != (table["label"] == FAKE)
        found["risk"] = share(wrong[firm], table.loc[firm, "source"], confidence)
    ends = ("", "_low", "_high")
    return NO_VERDICTS | {
        f"{name}{end}": of for name, shares in found.items() for end, of in zip(ends, shares, strict=True)
    }


class Share(NamedTuple):
    """A share of files, with its interval."""

    share: float
    low: float
    high: float


def share(reached: pd.Series | NDArray[np.bool_], sources: pd.Series, confidence: float) -> Share:
    """Return a share with its interval (Clopper and Pearson 1934), in which each source counts as one trial.

    Resamples of sources would give no interval where no file is reached.
    """
    found, trials, tail = float(reached.mean()), sources.nunique(), (1 - confidence) / 2
    count = found * trials
    low = float(betaincinv(count, trials - count + 1, tail)) if count > 0 else 0.0
    high = float(betaincinv(count + 1, trials - count, 1 - tail)) if count < trials else 1.0
    return Share(found, low, high)


def with_intervals(scored: Scored, statistics: Mapping[str, Statistic], params: EvaluateParams, seed: int) -> Figures:
    """Return each statistic, and as NAME_low and NAME_high its interval over resamples of whole sources."""
    once, tail = np.ones((1, int(scored.sources.max()) + 1)), 50 * (1 - params.confidence)
    drawn, measured = bootstrap(scored, statistics, params.bootstrap, seed), dict[str, float]()
    for name, statistic in statistics.items():
        low, high = np.nanpercentile(drawn[name], [tail, 100 - tail])
        measured |= {name: float(statistic(scored, once)[0]), f"{name}_low": float(low), f"{name}_high": float(high)}
    return measured


def bootstrap(
    scored: Scored, statistics: Mapping[str, Statistic], resamples: int, seed: int
) -> dict[str, NDArray[np.float64]]:
    """Return the statistics of each resample of whole sources (Efron and Tibshirani 1993)."""
    rng, count = np.random.default_rng(seed), int(scored.sources.max()) + 1
    parts: dict[str, list[NDArray[np.float64]]] = {name: [] for name in statistics}
    for start in range(0, resamples, RESAMPLES_AT_ONCE):
        rows = min(RESAMPLES_AT_ONCE, resamples - start)
        drawn = rng.multinomial(count, np.full(count, 1 / count), size=rows).astype(np.float64)
        for name, statistic in statistics.items():
            parts[name].append(statistic(scored, drawn))
    return {name: np.concatenate(part) for name, part in parts.items()}


def accuracy(scored: Scored, drawn: NDArray[np.float64], threshold: float) -> NDArray[np.float64]:
    """Return the accuracy at a threshold of p_fake for each row of `drawn` (resamples, sources)."""
    right = ((scored.p_fake >= threshold) == (scored.labels == FAKE)).astype(np.float64)
    count = int(scored.sources.max()) + 1
    hits = np.bincount(scored.sources, right, minlength=count)
    sizes = np.bincount(scored.sources, minlength=count)
    return np.asarray((drawn @ hits) / np.maximum(drawn @ sizes, 1))


def auc(scored: Scored, drawn: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the area under the ROC curve for each row of `drawn` (resamples, sources); NaN without both classes.

    Weighted Mann-Whitney statistic: ties count one half.
    """
    order = np.argsort(scored.p_fake, kind="stable")
    weights = drawn[:, scored.sources[order]]
    is_fake = scored.labels[order] == FAKE
    starts = np.flatnonzero(np.diff(scored.p_fake[order], prepend=-np.inf))  # where each distinct score begins
    fakes = np.add.reduceat(weights * is_fake, starts, axis=1)
    reals = np.add.reduceat(weights * ~is_fake, starts, axis=1)
    below = np.cumsum(reals, axis=1) - reals
    pairs = fakes.sum(axis=1) * reals.sum(axis=1)
    won = (fakes * (below + reals / 2)).sum(axis=1)
    return np.asarray(np.divide(won, pairs, out=np.full(len(pairs), np.nan), where=pairs > 0))


def cllr(scored: Scored, drawn: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the log-likelihood-ratio cost, in bits, for each row of `drawn` (resamples, sources).

    Brümmer and du Preez 2006, with logit(p_fake) as the logarithm of the ratio: the mean over fakes of -log2(p_fake)
    and the mean over reals of -log2(1 - p_fake), averaged. 0 is perfect, and 1 is what p_fake 0.5 for every file costs.
    p_fake counts as at least 2^-53 from 0 and 1. NaN without both classes.
    """
    p_fake = np.clip(scored.p_fake, SMALLEST, 1 - SMALLEST)
    costs = -np.log2(np.where(scored.labels == FAKE, p_fake, 1 - p_fake))
    count = int(scored.sources.max()) + 1
    means = []
    for label in (REAL, FAKE):
        own = scored.labels == label
        paid, files = (drawn @ np.bincount(scored.sources, of, minlength=count) for of in (costs * own, 1.0 * own))
        means.append(np.divide(paid, files, out=np.full(len(files), np.nan), where=files > 0))
    return np.asarray((means[0] + means[1]) / 2)


def calibration_error(scored: Scored, balanced: bool = False) -> float:
    """Return the expected calibration error over ten equal bins of p_fake (Naeini et al. 2015).

    With `balanced`, reals and fakes count as if there were as many of either.
    """
    bins, is_fake = np.minimum((scored.p_fake * BINS).astype(int), BINS - 1), scored.labels == FAKE
    weights = np.ones(len(bins))
    if balanced:
        weights = np.where(is_fake, 0.5 / max(is_fake.sum(), 1), 0.5 / max((~is_fake).sum(), 1))
    gap = np.bincount(bins, weights * (scored.p_fake - is_fake), minlength=BINS)
    return float(np.abs(gap).sum() / weights.sum())
