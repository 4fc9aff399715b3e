"""Compute the features that all heads of a protocol share. Those in the user's cache are not computed again."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import pandas as pd

from fauxscan import detectors, disk
from fauxscan.backbones import cards, runner
from fauxscan.media.images import codec
from fauxscan.media.images.model_input import model_input
from fauxscan.models import BackboneUse
from fauxscan.params import ModelParams, Params
from fauxscan.params.protocols import Tier
from fauxscan.preparing.mixture.read import Mixture, open_mixture
from fauxscan.preparing.shards.read import Row
from fauxscan.progress import Progress
from fauxscan.protocol import stored
from fauxscan.protocol.stored import HELD_OUT, TRAINED, Card
from fauxscan.protocol.tiers import TIERS
from fauxscan.records import TEST, TRAIN, VALIDATION, Recipe, UserError, View
from fauxscan.training.data import features as learned
from fauxscan.training.data import inputs
from fauxscan.training.recipes import recipe_of

AT_ONCE = 64  # images that are decoded before their features are computed
CAP = 1 << 30  # pixels: images in shards have passed the caps already


@dataclass(frozen=True)
class Images:
    """The images of a mixture as a backbone takes them."""

    mixture: Mixture
    view: View
    recipe: Recipe
    seed: int
    backbone: BackboneUse

    @property
    def size(self) -> int:
        """Return the side of an image in pixels."""
        return cards.get(self.backbone.name).input_size

    @property
    def shape(self) -> tuple[int, int]:
        """Return the shape of the features of an image."""
        card = cards.get(self.backbone.name)
        return card.blocks, card.width

    @property
    def versions(self) -> int:
        """Return how many versions of each training image there are: one if nothing is augmented."""
        return self.recipe.feature_epochs if self.recipe.augmentation else 1


def compute(name: str, params: Params, mixture: Path, shards: Path, out: Path) -> None:
    """Write the features of the protocol `name` to `out`: augmented ones to train on, and of each tier to test on.

    `mixture` is the manifest of its model's datasets, whose shards are in the sub-folders of `shards`. Raise UserError
    if the recipe makes its own fakes, ModelError if the backbone is not on this machine.
    """
    protocol, mixed = params.protocol(name), open_mixture(mixture, shards)
    images = _images(params.model(protocol.model), mixed, params.seed)
    out.mkdir(parents=True, exist_ok=True)
    _store_training(images, out)
    _store_held_out(images, protocol.tiers, out)
    digest = _digest(images, disk.digest(mixture))
    stored.write_card(
        out, Card(backbone=images.backbone, versions=images.versions, tiers=protocol.tiers, digest=digest)
    )


def _images(model: ModelParams, mixture: Mixture, seed: int) -> Images:
    recipe, card = recipe_of(model), detectors.get(model.detector).CARD
    if recipe.self_blended:
        raise UserError(
            f"a protocol leaves out one generator at a time, and the recipe of {model.detector} makes its own fakes:"
            " choose a model without `self_blended`"
        )
    backbone = learned.backbone_of(card)
    assert backbone is not None  # params.validate refuses a detector without one
    return Images(mixture, mixture.view_for(card.looks_at), recipe, seed, backbone)


def _digest(images: Images, mixture: str) -> str:
    augmented = [images.recipe.augmentation, images.recipe.augmented_share]
    parts = [mixture, images.backbone.digest, augmented, images.versions, images.seed, images.view]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _rows(mixture: Mixture, split: str, view: View) -> pd.DataFrame:
    """Return the examples of a split as stored.COLUMNS, dataset by dataset, in the order of the shards."""
    tables = []
    for dataset, shards in mixture.shards.items():
        table: pd.DataFrame = shards.index([*stored.COLUMNS[1:], "shard", "place"], split, view).to_pandas()
        table = table.sort_values(["shard", "place"], ignore_index=True)
        sources = [mixture.source_name(dataset, source) for source in table["source"]]
        tables.append(table.assign(dataset=dataset, source=sources, generator=table["generator"].fillna("")))
    return pd.concat(tables, ignore_index=True)


def _store_training(images: Images, out: Path) -> None:
    """Write the features of the train split, in as many versions as the recipe's `feature_epochs`."""
    rows = _rows(images.mixture, TRAIN, images.view)
    array = stored.array(out, TRAINED, (images.versions, len(rows), *images.shape))
    progress = Progress("features to train on", images.versions * len(rows), "images")
    for version in range(images.versions):
        place = 0
        for features, _ in _augmented(images, version):
            array[version, place : place + len(features)] = features
            place += len(features)
            progress.advance(len(features))
    progress.close()
    array.flush()
    stored.write_rows(out, TRAINED, rows)


def _augmented(images: Images, version: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Return batches of features and labels of the train split, in the order of `_rows`."""
    seed = images.seed + version * (1 + len(images.recipe.augmentation))  # each augmentation has a seed of its own
    batches = inputs.in_order(images.mixture, images.view, images.size, images.recipe, seed)
    return iter(learned.of(batches, images.backbone).as_numpy_iterator())


def _store_held_out(images: Images, tiers: tuple[Tier, ...], out: Path) -> None:
    """Write the features of the validation and test splits, one array for each tier."""
    mixture, view, backbone = images.mixture, images.view, runner.for_training(images.backbone.name)
    rows = pd.concat([_rows(mixture, split, view) for split in (VALIDATION, TEST)], ignore_index=True)
    arrays = {tier: stored.array(out, tier, (len(rows), *images.shape)) for tier in tiers}
    progress, place, examples = Progress("features to test on", len(rows), "images"), 0, _examples(mixture, view)
    while batch := list(islice(examples, AT_ONCE)):
        decoded = [codec.decode(example["image"], example["format"], CAP) for example in batch]
        for tier, array in arrays.items():
            taken = np.stack([model_input(TIERS[tier](image), images.size) for image in decoded])
            array[place : place + len(batch)] = backbone.features(taken)
        place += len(batch)
        progress.advance(len(batch))
    progress.close()
    for array in arrays.values():
        array.flush()
    stored.write_rows(out, HELD_OUT, rows)


def _examples(mixture: Mixture, view: View) -> Iterator[Row]:
    """Yield the examples of the validation and test splits in the order of `_rows`; a dataset may have none."""
    for split in (VALIDATION, TEST):
        for shards in mixture.shards.values():
            if sum(shards.count_labels(split, view)):
                yield from shards.examples(split, view)
