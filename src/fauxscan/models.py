"""A model folder: the network in a `.keras` file and its card. Save, load, digest, score."""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from fauxscan import detectors
from fauxscan.params import AlignParams, FaceParams
from fauxscan.records import Recipe, Strict, UserError, View

CARD, NETWORK = "card.json", "model.keras"


class Calibration(Strict):
    """What turns logits into p_fake and p_fake into a verdict, and what it was fitted on."""

    temperature: float  # p_fake = sigmoid(logit / temperature), Guo et al. 2017
    high: float  # p_fake from which on a file is likely_synthetic
    low: float  # p_fake up to which there is no_indication
    even: float = 0.5  # p_fake at which as large a share of reals lies above as of fakes below: equal error rate
    false_positive_rate: float  # the aim behind `high`
    false_negative_rate: float  # the aim behind `low`
    reals: int
    fakes: int


class TrainedOn(Strict):
    """Which data a model has seen."""

    dataset: str
    faces: str  # detect, whole or both
    split_digest: str
    proof_of_machinery: bool
    self_blended: bool = False  # the fakes, in calibration too, were made of the dataset's reals: its own were not seen


class Origin(Strict):
    """Where imported weights came from."""

    file: str
    sha256: str
    fake_is: int  # the label that the source gave to fakes; 0: its output was P(real), turned at the import


class ModelCard(Strict):
    """What is known of a model; it travels with the weights."""

    name: str
    detector: str
    options: dict[str, Any]
    input_size: int
    looks_at: View
    faces: FaceParams | None  # how its face crops are made; None where it looks at whole images
    recipe: Recipe | None  # None: trained elsewhere, nobody knows here how
    trained_on: TrainedOn
    figures: dict[str, float]
    licence: str
    model_digest: str
    align: AlignParams | None = None  # what all images were brought to; None: they were taken as they came
    calibration: Calibration | None = None
    classes: tuple[str, str] = ("real", "fake")  # what its user calls reals and fakes
    origin: Origin | None = None  # None: trained here


@dataclass(frozen=True)
class Model:
    """A network with its card."""

    card: ModelCard
    network: Any

    def scorer(self, batch: int) -> "Scorer":
        """Return a function from uint8 RGB images to logits, at one fixed batch shape."""
        return Scorer(self, batch)


class Scorer:
    """The forward pass at a fixed batch shape: a short batch is padded, so a score never depends on its neighbours."""

    def __init__(self, model: Model, batch: int) -> None:
        import tensorflow as tf

        size = model.card.input_size
        self.batch, self.size = batch, size
        spec = tf.TensorSpec((batch, size, size, 3), tf.uint8)
        self._forward = tf.function(
            lambda images: model.network(tf.cast(images, tf.float32), training=False), input_signature=[spec]
        )

    def __call__(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the logits (n,) of images (n, size, size, 3)."""
        chunks = [self._padded(images[i : i + self.batch]) for i in range(0, len(images), self.batch)]
        return np.concatenate(chunks) if chunks else np.zeros(0, np.float32)

    def _padded(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        full = images
        if len(images) < self.batch:
            full = np.zeros((self.batch, self.size, self.size, 3), np.uint8)
            full[: len(images)] = images
        return np.asarray(self._forward(full))[: len(images), 0].astype(np.float32)


def build(detector: str, options: Mapping[str, Any], seed: int = 0, mirrored: bool = False) -> Any:
    """Return the untrained network, the same each time. Raise UserError for an option its detector does not take.

    Inside the scope of a distribution strategy say `mirrored`: then layers are numbered on.
    """
    import keras

    if not mirrored:
        keras.utils.clear_session()  # or layers would be numbered on, and names are part of a model's digest
    keras.utils.set_random_seed(seed)
    try:
        return detectors.get(detector).build(**options)
    except (TypeError, ValueError) as error:
        raise UserError(f"{detector} does not take the options {dict(options)}: {error}") from error


def digest(network: Any) -> str:
    """Return the SHA-256 of configuration and weights. Never of the file, which holds its date."""
    sha = hashlib.sha256(json.dumps(network.get_config(), sort_keys=True, default=str).encode())
    for weight in network.weights:
        sha.update(weight.path.encode())
        sha.update(np.ascontiguousarray(weight.numpy()).tobytes())
    return sha.hexdigest()


def save(folder: Path, network: Any, card: ModelCard) -> None:
    """Write the network and its card into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    network.save(folder / NETWORK)
    write_card(folder, card)


def write_card(folder: Path, card: ModelCard) -> None:
    """Write the card alone."""
    (folder / CARD).write_text(card.model_dump_json(indent=2) + "\n", encoding="utf-8")


def read_card(folder: Path) -> ModelCard:
    """Return the card in `folder`. Raise UserError if there is none or it is not one of ours."""
    file = folder / CARD
    if not file.is_file():
        raise UserError(f"no model at {folder}: it has no {CARD}; train one with `make repro`, or name another folder")
    try:
        return ModelCard.model_validate_json(file.read_text(encoding="utf-8"))
    except ValidationError as error:
        raise UserError(f"{file} is no model card of this version: {error.errors()[0]['msg']}; train again") from error


def load(folder: Path) -> Model:
    """Return the model in `folder`. Raise UserError if it is missing, damaged, or not the one its card describes."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    card = read_card(folder)
    detectors.get(card.detector)  # registers its layers
    import keras

    try:
        network = keras.saving.load_model(folder / NETWORK, compile=False, safe_mode=True)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise UserError(f"{folder / NETWORK} cannot be loaded: {error}; train the model again") from error
    if digest(network) != card.model_digest:
        raise UserError(f"{folder / NETWORK} is not the network that its card describes; train the model again")
    return Model(card, network)
