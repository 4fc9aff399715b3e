"""Stratified folds of whole groups."""

from typing import Any

from numpy.typing import NDArray
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

Fold = tuple[NDArray[Any], NDArray[Any]]


def grouped(strata: NDArray[Any], groups: NDArray[Any], count: int, seed: int) -> list[Fold]:
    """Return `count` folds: the row numbers outside and inside of each. Raise ValueError for too few groups."""
    if len(set(groups)) == len(groups):  # much faster: scikit-learn handles groups one by one
        return list(StratifiedKFold(count, shuffle=True, random_state=seed).split(strata, strata))
    return list(StratifiedGroupKFold(count, shuffle=True, random_state=seed).split(strata, strata, groups))
