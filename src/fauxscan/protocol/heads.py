"""Train one head on one fold, and return the logits that it gives to the media of the validation and test splits."""

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fauxscan import detectors
from fauxscan.judging import calibration
from fauxscan.judging.aggregation import media_logit
from fauxscan.params import HeadParams, ModelParams
from fauxscan.params.protocols import Tier
from fauxscan.protocol.folds import Fold
from fauxscan.protocol.stored import Stored
from fauxscan.records import FAKE, REAL, VALIDATION, Recipe, UserError
from fauxscan.training.checkpoints import Checkpointer
from fauxscan.training.data import arrays, phases
from fauxscan.training.data.arrays import Features, Rows
from fauxscan.training.loop import Data, fit
from fauxscan.training.recipes import recipe_of

MEDIUM = ["dataset", "split", "sha256", "label", "generator", "source"]  # the same for all faces of a media file
AT_ONCE = 512  # features that a head judges together


@dataclass(frozen=True)
class Head:
    """A head to train: a model with the head's own options and recipe."""

    name: str
    model: ModelParams
    recipe: Recipe

    @classmethod
    def of(cls, name: str, model: ModelParams, changes: HeadParams) -> "Head":
        """Return the head that changes a model so. Raise UserError if a phase of its recipe names sources."""
        merged = {"options": model.options | changes.options, "recipe": model.recipe | changes.recipe}
        own = model.model_copy(update=merged)
        recipe = recipe_of(own)
        if any(phase.sources for phase in recipe.phases):
            raise UserError(f"the recipe of the head {name} has phases with `sources`, which a protocol cannot follow")
        return cls(name, own, recipe)


def judge(head: Head, fold: Fold, features: Stored, seed: int) -> pd.DataFrame:
    """Train a head from scratch on what a fold leaves, and return its logits.

    The table has one row for each medium of the validation and test splits and each tier: MEDIUM, tier, logit, the
    temperature that was fitted on validation media as they are stored, and whether the medium is unseen.
    Raise UserError if the fold leaves nothing to learn from or to choose by.
    """
    rows = features.held_out
    network = _trained(head, fold, features, seed)
    media = [np.asarray(group) for group in rows.groupby(MEDIUM, sort=True).indices.values()]
    first = rows.iloc[[group[0] for group in media]][MEDIUM].reset_index(drop=True)
    logits = {tier: _of_media(_logits(network, array), rows, media) for tier, array in features.tiers.items()}
    chosen_by = fold.learns(first) & (first["split"] == VALIDATION).to_numpy()
    truth = first["label"].to_numpy(np.int64)
    temperature = calibration.fit_temperature(truth[chosen_by], logits["native"][chosen_by])
    first = first.assign(temperature=temperature, unseen=fold.unseen(first))
    return pd.concat([_of_tier(first, tier, found) for tier, found in logits.items()], ignore_index=True)


def _of_tier(media: pd.DataFrame, tier: Tier, logits: NDArray[np.float64]) -> pd.DataFrame:
    return media.assign(tier=tier, logit=logits)


def _trained(head: Head, fold: Fold, features: Stored, seed: int) -> keras.Model:
    learned, chosen_by = _to_learn_from(fold, features), _to_choose_by(fold, features)
    subset = arrays.subset(learned, head.model.shares)
    network = detectors.build_learning(head.model.detector, head.model.options, seed)
    data = Data(
        [subset] * len(phases.phases(head.recipe)),
        lambda subset: arrays.training(learned, subset, head.recipe, seed),
        arrays.validation(chosen_by, head.recipe),
    )
    fit(network, head.recipe, data, Checkpointer(None, "", head.recipe), shown=False)
    return network


def _to_learn_from(fold: Fold, features: Stored) -> Rows:
    places = np.flatnonzero(fold.learns(features.trained))
    return Rows(_both_classes(features.trained.iloc[places], fold, "train"), features.versions, places)


def _to_choose_by(fold: Fold, features: Stored) -> Rows:
    rows = features.held_out
    places = np.flatnonzero(fold.learns(rows) & (rows["split"] == VALIDATION).to_numpy())
    return Rows(_both_classes(rows.iloc[places], fold, VALIDATION), features.tiers["native"], places)


def _both_classes(rows: pd.DataFrame, fold: Fold, split: str) -> pd.DataFrame:
    reals, fakes = ((rows["label"] == label).sum() for label in (REAL, FAKE))
    if not reals or not fakes:
        raise UserError(
            f"without the fakes of {fold.left_out or 'no generator'}, the {split} splits have {reals} reals and"
            f" {fakes} fakes: add a dataset to the protocol's model, or change how its datasets are split"
        )
    return rows


def _logits(network: keras.Model, features: Features) -> NDArray[np.float64]:
    """Return the logits (n,) of features (n, blocks, width)."""
    parts = [_forward(network, features[i : i + AT_ONCE]) for i in range(0, len(features), AT_ONCE)]
    return np.concatenate(parts).astype(np.float64)


def _forward(network: keras.Model, features: Features) -> Any:
    return np.asarray(network(features.astype(np.float32), training=False))[:, 0]


def _of_media(logits: NDArray[np.float64], rows: pd.DataFrame, media: list[NDArray[np.int64]]) -> NDArray[np.float64]:
    """Return one logit per medium, of those of its faces."""
    tracks = rows["track"].to_numpy()
    return np.array([media_logit(logits[group].tolist(), tracks[group].tolist()) for group in media])
