"""Batches of a frozen backbone's features, in place of the images that they are computed from."""

from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from fauxscan.backbones import cards, runner
from fauxscan.backbones.runner import Runner
from fauxscan.models import BackboneUse
from fauxscan.records import DetectorCard, Recipe
from fauxscan.training.data.inputs import Batches


def backbone_of(detector: DetectorCard) -> BackboneUse | None:
    """Return the backbone of a detector that is a head, None for another. Raise ModelError if it is not here."""
    if detector.backbone is None:
        return None
    return BackboneUse(name=detector.backbone, digest=runner.find(detector.backbone, None).digest)


def of_batches(batches: Batches, used: BackboneUse, recipe: Recipe, memory: int) -> Batches:
    """Return training batches of features (b, blocks, width) and labels.

    With augmentation in the recipe, the images of the first `recipe.feature_epochs` epochs are drawn, and later epochs
    repeat them in turn: features cost far more than a step of the head. Without it, all epochs have the same images.
    Repeats come from memory if the features take at most `memory` bytes.
    """
    distinct = batches.epoch * (recipe.feature_epochs if recipe.augmentation else 1)
    card = cards.get(used.name)
    fits = distinct * recipe.batch_size * card.blocks * card.width * np.float32().nbytes <= memory

    def after(done: int) -> tf.data.Dataset:
        data = of(batches.after(0).take(distinct), used)
        return (data.cache() if fits else data).repeat().skip(done % distinct)

    return Batches(batches.epoch, after)


def of(images: tf.data.Dataset, used: BackboneUse) -> tf.data.Dataset:
    """Return a dataset with the features (b, blocks, width), float32, of its images; labels and weights stay."""
    backbone = runner.for_training(used.name, used.digest)
    return images.map(lambda batch, *others: (_features(backbone, batch), *others)).prefetch(tf.data.AUTOTUNE)


def _features(backbone: Runner, batch: Any) -> Any:
    """Return the features of a batch of images, float32 RGB in 0..255."""

    def compute(images: NDArray[np.float32]) -> NDArray[np.float32]:
        return backbone.features(np.rint(images).astype(np.uint8))

    return tf.ensure_shape(tf.numpy_function(compute, [batch], tf.float32), (None, *backbone.shape))
