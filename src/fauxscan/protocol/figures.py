"""The figures of a protocol: how well each head recognises the generator that it never saw, and on which reals it errs.

A table has one row per head, seed, fold, tested generator, dataset and tier:
- `auc` and `cllr` (metrics.cllr) of the generator's fakes, beside the unseen reals of all datasets (dataset "") or of
  the dataset that the fakes come from; `calibration_error` in the same way, both classes counting the same;
- `found_at_RATE`: the share of the fakes above a threshold that lets the share RATE of other datasets' reals pass;
- `false_positive_rate_at_RATE`: the share of the left-out reals of a dataset above that threshold (generator "").
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import expit

from fauxscan.judging import groups, metrics
from fauxscan.judging.metrics import Scored
from fauxscan.params import EvaluateParams
from fauxscan.protocol.folds import Fold
from fauxscan.records import FAKE, REAL

Row = dict[str, Any]
ORDER = ["head", "seed", "left_out", "generator", "dataset", "tier", "figure", "value", "low", "high",
         "fakes", "reals", "fake_sources", "real_sources"]  # fmt: skip
RANKED = {"auc": metrics.auc, "cllr": metrics.cllr}
FOUND, ERRED = "found_at_", "false_positive_rate_at_"


def of_fold(
    scores: pd.DataFrame, fold: Fold, rates: tuple[float, ...], params: EvaluateParams, seed: int
) -> pd.DataFrame:
    """Return the figures of one head on one fold, from the scores that heads.judge returns."""
    scores = scores.assign(p_fake=expit(scores["logit"] / scores["temperature"]))
    rows = [
        {"tier": tier, "left_out": fold.left_out, **row}
        for tier, media in scores.groupby("tier", sort=False)
        for row in _of_tier(media, fold, rates, params, seed)
    ]
    return pd.DataFrame(rows)


def _of_tier(
    media: pd.DataFrame, fold: Fold, rates: tuple[float, ...], params: EvaluateParams, seed: int
) -> Iterator[Row]:
    limits = media.loc[fold.for_thresholds(media), "p_fake"].to_numpy(np.float64)
    thresholds = {rate: groups.upper_threshold(limits, rate) for rate in rates}
    unseen = media[media["unseen"]]
    fakes, reals = unseen[unseen["label"] == FAKE], unseen[unseen["label"] == REAL]
    for generator, own in fakes.groupby("generator", sort=True):
        if fold.left_out in ("", generator):
            yield from ({"generator": generator, **row} for row in _of_generator(own, reals, params, seed))
            yield from ({"generator": generator, **row} for row in _above(own, thresholds, FOUND, params.confidence))
    for dataset, own in media[fold.left_out_reals(media)].groupby("dataset", sort=True):
        yield from (
            {"generator": "", **row, "dataset": dataset} for row in _above(own, thresholds, ERRED, params.confidence)
        )


def _of_generator(fakes: pd.DataFrame, reals: pd.DataFrame, params: EvaluateParams, seed: int) -> Iterator[Row]:
    """Yield the figures of a generator's fakes beside all reals, and beside those of each of its datasets."""
    groups = [("", fakes, reals)]
    groups += [(str(name), own, reals[reals["dataset"] == name]) for name, own in fakes.groupby("dataset", sort=True)]
    for dataset, own, beside in groups:
        if len(beside):
            both = pd.concat([own, beside])
            scored, counts = Scored.of(both), {"dataset": dataset, **_counts(both)}
            found = metrics.with_intervals(scored, RANKED, params, seed)
            for name in RANKED:
                yield {**counts, "figure": name, **_bounds(found, name)}
            yield {**counts, "figure": "calibration_error", "value": metrics.calibration_error(scored, balanced=True)}


def _bounds(found: metrics.Figures, name: str) -> Row:
    return {"value": found[name], "low": found[f"{name}_low"], "high": found[f"{name}_high"]}


def _above(media: pd.DataFrame, thresholds: dict[float, float], name: str, confidence: float) -> Iterator[Row]:
    """Yield the share of media above each threshold. It is not known where too few reals set the threshold."""
    for rate, threshold in thresholds.items():
        row = {"dataset": "", "figure": f"{name}{rate:g}", **_counts(media)}
        if threshold < 1:
            share = metrics.share(media["p_fake"] >= threshold, media["source"], confidence)
            yield row | {"value": share.share, "low": share.low, "high": share.high}
        else:
            yield row | {"value": np.nan}


def _counts(media: pd.DataFrame) -> Row:
    is_fake = media["label"] == FAKE
    return {
        "fakes": int(is_fake.sum()), "reals": int((~is_fake).sum()),
        "fake_sources": media.loc[is_fake, "source"].nunique(), "real_sources": media.loc[~is_fake, "source"].nunique(),
    }  # fmt: skip
