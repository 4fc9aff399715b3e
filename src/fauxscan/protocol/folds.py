"""The folds of a protocol: which rows a head learns from, and which it has not seen in any way."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fauxscan.records import FAKE, REAL, TEST, TRAIN, VALIDATION, UserError

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Fold:
    """A generator that is left out of training and of choosing; "" where all are trained on (in distribution)."""

    left_out: str
    # datasets whose reals are left out too: those with fakes of that generator, as far as reals of others remain
    without_reals: frozenset[str] = frozenset()

    def learns(self, rows: pd.DataFrame) -> Mask:
        """Return which rows of the train split a head learns from, and of the validation split is chosen by."""
        fake = (rows["label"] == FAKE) & (rows["generator"] == self.left_out) & (self.left_out != "")
        real = (rows["label"] == REAL) & rows["dataset"].isin(self.without_reals)
        return ~(fake | real).to_numpy()

    def unseen(self, rows: pd.DataFrame) -> Mask:
        """Return which rows of the validation and test splits neither trained nor chose the head."""
        return ~self.learns(rows) | (rows["split"] == TEST).to_numpy()

    def for_thresholds(self, rows: pd.DataFrame) -> Mask:
        """Return the reals that thresholds are set on: of the datasets whose reals are not left out.

        Where none are left out, these are the reals of the validation split alone, so that those of the test split
        can show the false positive rate.
        """
        reals = (rows["label"] == REAL).to_numpy() & self.learns(rows)
        return reals if self.without_reals else reals & (rows["split"] == VALIDATION).to_numpy()

    def left_out_reals(self, rows: pd.DataFrame) -> Mask:
        """Return the unseen reals of the datasets whose reals are left out; of all datasets where none are."""
        reals = (rows["label"] == REAL).to_numpy() & self.unseen(rows)
        return reals & rows["dataset"].isin(self.without_reals).to_numpy() if self.without_reals else reals


def folds(trained: pd.DataFrame, held_out: pd.DataFrame) -> list[Fold]:
    """Return the fold in distribution, and one for each generator of fakes that can be tested on, in order of names.

    The tables are the rows of the train split, and of the validation and test splits. Raise UserError if there are
    fewer than two generators to learn from, or no reals to learn from.
    """
    fakes = trained[trained["label"] == FAKE]
    if fakes["generator"].nunique() < 2:
        known = ", ".join(sorted(fakes["generator"].unique())) or "none"
        raise UserError(
            f"the {TRAIN} splits have fakes of too few generators to leave one out: {known}. Add a dataset to the"
            " protocol's model"
        )
    if not (trained["label"] == REAL).any():
        raise UserError(f"the {TRAIN} splits have no reals: add a dataset with reals to the protocol's model")
    tested = held_out.loc[held_out["label"] == FAKE, "generator"]
    return [Fold(""), *(_without(name, trained, held_out) for name in sorted(set(tested) - {""}))]


def _without(generator: str, trained: pd.DataFrame, held_out: pd.DataFrame) -> Fold:
    rows = pd.concat([trained, held_out])
    own = set(rows.loc[(rows["label"] == FAKE) & (rows["generator"] == generator), "dataset"])
    others = trained[(trained["label"] == REAL) & ~trained["dataset"].isin(own)]
    chosen_by = held_out[(held_out["label"] == REAL) & (held_out["split"] == VALIDATION)]
    remain = len(others) and not chosen_by["dataset"].isin(own).all()
    return Fold(generator, frozenset(own) if remain else frozenset())
