"""Collections of reals and generators of fakes: thresholds that keep an error rate in each, and the rate in each.

The rate over all files says little about files from elsewhere. A threshold that 5 % of all reals reach may be reached
by none of one collection and by 20 % of another.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import count
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fauxscan.models import Calibration, Group

OTHERS = "(others)"
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Scores:
    """The scores (n,) of one class, which are larger the more wrong they are, and the group of each."""

    scores: Floats
    groups: NDArray[np.str_]  # collections of reals, generators of fakes
    rate: float  # the share that may reach the threshold
    worst: bool  # whether this share holds in each group

    @staticmethod
    def of(scores: Floats, groups: pd.Series | None, rate: float, worst: bool) -> "Scores":
        """Return the scores of a class with the column of their groups, if there is one.

        Files of groups that are too small for a threshold of their own, or of none, are one group: OTHERS.
        """
        names = np.full(len(scores), "") if groups is None else groups.fillna("").to_numpy(str)
        known, counts = np.unique(names, return_counts=True)
        large = known[(counts >= fewest(rate)) & (known != "")]
        return Scores(scores, np.where(np.isin(names, large), names, OTHERS), rate, worst)

    def threshold(self) -> float:
        """Return the score that a new file reaches with probability `rate` at most: in every group if `worst`.

        All files together always count, and OTHERS only if they are enough.
        """
        parts = [self.scores[self.groups == name] for name in self.names] if self.worst else []
        enough = [part for part in parts if len(part) >= fewest(self.rate)]
        return max([self.pooled_threshold(), *(upper_threshold(part, self.rate) for part in enough)])

    def pooled_threshold(self) -> float:
        """Return the score that a new file reaches with probability `rate` at most, over all groups."""
        return upper_threshold(self.scores, self.rate)

    @property
    def names(self) -> list[str]:
        """Return the names of the groups."""
        return [str(name) for name in np.unique(self.groups)]

    def without(self, name: str) -> "Scores":
        """Return the scores of all other groups."""
        kept = self.groups != name
        return Scores(self.scores[kept], self.groups[kept], self.rate, self.worst)


def upper_threshold(reals: Floats, rate: float) -> float:
    """Return the p_fake that a new real reaches with probability `rate` at most; 1 if there are too few reals.

    Split conformal (Vovk et al. 2005): just above the k-th smallest of n, k = ceil((n + 1)(1 - rate)).
    """
    k = math.ceil((len(reals) + 1) * (1 - rate))
    return 1.0 if k > len(reals) else min(1.0, float(np.nextafter(np.sort(reals)[k - 1], 2.0)))


def fewest(rate: float) -> int:
    """Return the smallest number of files for which there is a threshold at an error rate: 19 at 5 %, 99 at 1 %."""
    return next(n for n in count(max(1, int(1 / rate) - 2)) if math.ceil((n + 1) * (1 - rate)) <= n)


def record(
    scores: Scores, wrong: NDArray[np.bool_], reach: Callable[[Scores], NDArray[np.bool_]]
) -> dict[str, Group] | None:
    """Return the share of `wrong` files in each group, and the same share at a threshold from the other groups alone.

    `reach` says which files of the class are wrong at the threshold of some scores. None if there are not two groups.
    """
    if len(scores.names) < 2:
        return None
    found = {}
    for name in scores.names:
        own, others = scores.groups == name, scores.without(name)
        unseen = float(reach(others)[own].mean()) if len(others.scores) >= fewest(scores.rate) else None
        found[name] = Group(files=int(own.sum()), error_rate=float(wrong[own].mean()), unseen_error_rate=unseen)
    return found


def lines(calibration: Calibration) -> list[str]:
    """Return the error rates over all groups and in the worst one, for a person; no line if no groups are known."""
    said = [
        _line("False positives", calibration.collections, "collection"),
        _line("False negatives", calibration.generators, "generator"),
    ]
    return [line for line in said if line]


def _line(what: str, groups: Mapping[str, Group] | None, kind: str) -> str:
    if not groups:
        return ""
    files = sum(group.files for group in groups.values())
    mean = sum(group.files * group.error_rate for group in groups.values()) / files
    rate, name = max((group.error_rate, name) for name, group in groups.items())
    line = f"{what}: {mean:.3f} of all, {rate:.3f} of {name}, the worst of {len(groups)} {kind}s"
    unseen = [(of.unseen_error_rate, name) for name, of in groups.items() if of.unseen_error_rate is not None]
    if not unseen:
        return line
    rate, name = max(unseen)
    return f"{line}; up to {rate:.3f} ({name}) of a {kind} that the calibration leaves out"


def column(media: pd.DataFrame, name: str, chosen: Any) -> pd.Series | None:
    """Return a column of the chosen rows of a table; None if the table is older than the column."""
    return media.loc[chosen, name] if name in media else None
