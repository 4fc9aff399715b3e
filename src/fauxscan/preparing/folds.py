"""Stratified folds of whole groups."""

from typing import Any

from numpy.typing import NDArray
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

Fold = tuple[NDArray[Any], NDArray[Any]]


def grouped(strata: NDArray[Any], groups: NDArray[Any], count: int, seed: int) -> list[Fold]:
    """Return `count` folds: the places of the rest, and of the fold. Raise ValueError if groups are too few."""
    if len(set(groups)) == len(groups):  # scikit-learn goes through groups one by one, through files all at once
        return list(StratifiedKFold(count, shuffle=True, random_state=seed).split(strata, strata))
    return list(StratifiedGroupKFold(count, shuffle=True, random_state=seed).split(strata, strata, groups))
