"""Losses of logits, with label smoothing and class weights."""

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from fauxscan.records import Recipe, UserError

Loss = Callable[[Any, Any], Any]


def squared_error(labels: Any, logits: Any) -> Any:
    """Return (label - sigmoid(logit))², shape (batch,): the loss of the MesoNet paper (Afchar et al. 2018)."""
    return ops.mean(ops.square(labels - ops.sigmoid(logits)), axis=-1)


def cross_entropy(labels: Any, logits: Any) -> Any:
    """Return the binary cross-entropy, shape (batch,)."""
    return ops.mean(ops.binary_crossentropy(labels, logits, from_logits=True), axis=-1)


LOSSES: dict[str, Loss] = {"mean_squared_error": squared_error, "binary_crossentropy": cross_entropy}


def loss(recipe: Recipe, reals: int, fakes: int) -> Loss:
    """Return the recipe's loss of (labels, logits), both (batch, 1), as (batch,).

    Labels may be soft: a target between 0 and 1 has the weight of the class that it is nearer to.
    """
    plain, smoothing = LOSSES[recipe.loss], recipe.label_smoothing
    of_real, of_fake = class_weights(recipe, reals, fakes)

    def weighted(labels: Any, logits: Any) -> Any:
        each = plain(labels * (1 - smoothing) + smoothing / 2, logits)
        return each * ops.where(labels[:, 0] > 0.5, of_fake, of_real)

    return weighted


def class_weights(recipe: Recipe, reals: int, fakes: int) -> tuple[float, float]:
    """Return the weights of reals and of fakes: with `balanced`, both classes count the same.

    Raise UserError if a class is missing.
    """
    if recipe.class_weights == "balanced":
        if not (reals and fakes):
            raise UserError(f"class_weights: balanced needs reals and fakes to train on; there are {reals} and {fakes}")
        return (reals + fakes) / (2 * reals), (reals + fakes) / (2 * fakes)
    return recipe.class_weights or (1.0, 1.0)


def accuracy() -> keras.metrics.Metric:
    """Return a metric: the accuracy at the threshold 0 of logits. A soft label stands for the class it is nearer to."""
    return keras.metrics.MeanMetricWrapper(_right, name="accuracy")


def _right(labels: Any, logits: Any) -> Any:
    """Return whether each logit is on the side of its label, shape (batch,)."""
    return ops.mean(ops.cast(ops.equal(labels > 0.5, logits > 0), "float32"), axis=-1)
