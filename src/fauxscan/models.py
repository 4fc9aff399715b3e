"""A model folder holds a network in a `.keras` file and its card. Save, load and digest them; compute logits.

Loading imports the shared layers and no detector's file: that a detector is edited changes no trained model.
"""

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import AliasChoices, Field, ValidationError

from fauxscan import disk
from fauxscan.backbones import runner
from fauxscan.params import FaceParams, RandomReencodeParams, ReencodeParams
from fauxscan.records import DamagedModelError, InputError, Kind, Recipe, Strict, View

CARD, NETWORK = "card.json", "model.keras"
PIPELINE = "dvc.yaml"  # the file that makes a folder a project
PACKAGE = "fauxscan"  # under which our layers are registered with Keras
# Keras writes the Python module and class of a layer into its configuration. In digests these names are frozen instead:
# the layer's registered name, and the module in which layers of that name once lay.
WIRE_MODULES = {f"{PACKAGE}>Crop": "fauxscan.detectors.resnet50"}
WIRE_MODULE = "fauxscan.layers"  # for every other layer, also those to come


class Evidence(Strict):
    """What the calibration data show about a model. Files of one source are not independent, so sources count."""

    real_sources: int
    fake_sources: int
    auc: float | None  # over media files; None if there were no fakes
    auc_low: float | None  # the interval of the AUC, from resamples of whole sources
    auc_high: float | None
    confidence: float  # of the interval
    noise: float | None  # root mean square change of logit / temperature if images move by a pixel; None: not measured


class Group(Strict):
    """The reals of one collection, or the fakes of one generator, among the data of a calibration."""

    files: int
    error_rate: float  # the share of reals from `high` on, or of fakes up to `low`
    # the same at the threshold that the other groups alone give; None: they are too few
    unseen_error_rate: float | None


class VideoThresholds(Strict):
    """The thresholds for videos, fitted on videos at the temperature of the calibration, and the data behind them."""

    low: float
    high: float
    videos: int  # files with several frames
    pseudo_videos: int  # videos of which the data have single frames alone
    evidence: Evidence


class Calibration(Strict):
    """The temperature that turns a logit into p_fake, the thresholds of the verdicts, and the data behind them."""

    temperature: float  # p_fake = sigmoid(logit / temperature), Guo et al. 2017
    high: float  # p_fake from which on a file is likely_synthetic
    low: float  # p_fake up to which there is no_indication
    # p_fake at which the share of reals above equals the share of fakes below: the equal error rate
    eer_threshold: float = Field(default=0.5, validation_alias=AliasChoices("eer_threshold", "even"))
    false_positive_rate: float  # the rate that `high` aims at
    false_negative_rate: float  # the rate that `low` aims at
    reals: int
    fakes: int
    evidence: Evidence | None = None  # None on cards of older versions
    collections: dict[str, Group] | None = None  # of the reals, by dataset; None if there are not several
    generators: dict[str, Group] | None = None  # of the fakes; None if there are not several
    guard: float | None = None  # in calibrated logits: how far each threshold was moved away from the other
    # whether `low` and `high` are for images alone; False on cards of older versions, which judge videos by them too
    separate_videos: bool = False
    videos: VideoThresholds | None = None  # None: too few videos for thresholds of their own, or an older version

    def of_kind(self, kind: Kind) -> "Calibration | None":
        """Return the calibration with the thresholds and evidence for files of a kind; None if it has none for it."""
        if kind is Kind.IMAGE or not self.separate_videos:
            return self
        if self.videos is None:
            return None
        fitted = {"low": self.videos.low, "high": self.videos.high, "evidence": self.videos.evidence}
        return self.model_copy(update=fitted)


class TrainingSet(Strict):
    """One dataset that a model has seen."""

    name: str
    share: float  # of the training batches, relative to the other datasets
    split_digest: str


class Teacher(Strict):
    """The model or ensemble whose scores a student learned from, beside the labels."""

    name: str
    digest: str
    share: float  # of its p_fake in a target; the rest is the label


class TrainedOn(Strict):
    """The data that a model has learned from."""

    dataset: str  # the name, or the names of several joined by +
    faces: str  # see params.DatasetFaces
    split_digest: str  # of one dataset, or of all together
    proof_of_machinery: bool
    datasets: tuple[TrainingSet, ...] = ()  # empty on cards of older versions, and of models trained elsewhere
    self_blended: bool = False  # the fakes, in calibration too, were made of the dataset's reals: its own were not seen
    # the ranges from which each image got its size and quality; a scan takes images as they come
    reencoded_at_random: RandomReencodeParams | None = None
    teacher: Teacher | None = None  # None: it learned from labels alone


class Origin(Strict):
    """The source of imported weights."""

    file: str
    sha256: str
    fake_is: int  # the source's label for fakes; 0: its output was P(real), which the import turned into P(fake)


class OpenvinoFiles(Strict):
    """The SHA-256 of the files in a model folder that OpenVINO runs."""

    xml: str
    bin: str


class BackboneUse(Strict):
    """The frozen network whose features a head judges by."""

    name: str
    digest: str  # of its weights: the head does not fit others


class ModelCard(Strict):
    """The description of a model, which lies beside its weights."""

    name: str
    detector: str
    options: dict[str, Any]
    input_size: int
    looks_at: View
    faces: FaceParams | None  # how its face crops are made; None where it looks at whole images
    recipe: Recipe | None  # None: trained elsewhere, in a way that is not known here
    trained_on: TrainedOn
    figures: dict[str, float]
    licence: str
    model_digest: str
    # the format, size and quality that every image was given; None: images were taken as they came
    reencode: ReencodeParams | None = Field(default=None, validation_alias=AliasChoices("reencode", "align"))
    calibration: Calibration | None = None
    classes: tuple[str, str] = ("real", "fake")  # the names that its user gave to reals and fakes
    origin: Origin | None = None  # None: trained here
    openvino: OpenvinoFiles | None = None  # None: the folder has no such files
    backbone: BackboneUse | None = None  # None: the network takes images; otherwise it is a head and takes features


@dataclass(frozen=True)
class Model:
    """A network with its card."""

    card: ModelCard
    network: Any

    def scorer(self, batch: int) -> "Scorer | HeadScorer":
        """Return a function from uint8 RGB images (n, size, size, 3) to logits (n,), at one fixed batch shape."""
        return HeadScorer(self) if self.card.backbone else Scorer(self, batch)


class Scorer:
    """The forward pass at a fixed batch shape. Short batches are padded, so a score never depends on its neighbours."""

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


class HeadScorer:
    """The forward pass of a head on the features of its backbone, which are kept in the user's cache."""

    def __init__(self, model: Model) -> None:
        used = model.card.backbone
        assert used is not None  # HeadScorer is for heads alone
        self._runner, self._head = runner.for_calibration(used.name, used.digest), model.network

    def __call__(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the logits (n,) of images (n, size, size, 3)."""
        if not len(images):
            return np.zeros(0, np.float32)
        return np.asarray(self._head(self._runner.features(images), training=False))[:, 0].astype(np.float32)


def model_digest(network: Any, backbone: BackboneUse | None) -> str:
    """Return the digest of a model: that of its network, and of the backbone that a head belongs to."""
    own = digest(network)
    return hashlib.sha256(f"{own} {backbone.digest}".encode()).hexdigest() if backbone else own


def digest(network: Any) -> str:
    """Return the SHA-256 of configuration and weights: not of the file, which holds the date of saving."""
    config = _frozen(network.get_config())
    sha = hashlib.sha256(json.dumps(config, sort_keys=True, default=str).encode())
    for weight in network.weights:
        sha.update(weight.path.encode())
        sha.update(np.ascontiguousarray(weight.numpy()).tobytes())
    return sha.hexdigest()


def _frozen(config: Any) -> Any:
    """Return a network's configuration with frozen names in place of the modules and classes of our layers."""
    if isinstance(config, list | tuple):
        return [_frozen(item) for item in config]
    if not isinstance(config, dict):
        return config
    frozen = {key: _frozen(value) for key, value in config.items()}
    registered = str(config.get("registered_name"))
    if registered.startswith(f"{PACKAGE}>"):
        frozen |= {"module": WIRE_MODULES.get(registered, WIRE_MODULE), "class_name": registered.partition(">")[2]}
    return frozen


def refuse_existing(out: Path) -> Path:
    """Return the model folder that is to be written. Raise InputError if it exists."""
    if out.exists():
        raise InputError(f"{out} already exists: name another folder for the model, or remove it")
    return out


def save(folder: Path, network: Any, card: ModelCard) -> None:
    """Write the network and its card into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    network.save(folder / NETWORK)
    write_card(folder, card)


def write_card(folder: Path, card: ModelCard) -> None:
    """Write the card alone. Whoever reads it meanwhile sees the whole card, old or new."""
    disk.write_text(folder / CARD, card.model_dump_json(indent=2) + "\n")


def how_to_get(project: Path = Path()) -> str:
    """Return how a person gets a model: by the pipeline in a project, otherwise by training or copying one."""
    if (project / PIPELINE).is_file():
        return "`make repro` trains those of params.yaml"
    return '`fauxscan train` writes one (pip install "fauxscan[train]"), or copy one from another machine'


def read_card(folder: Path) -> ModelCard:
    """Return the card in `folder`. Raise ModelError if there is none or it is not one of ours."""
    file = folder / CARD
    if not file.is_file():
        raise DamagedModelError(*_missing(folder))
    try:
        return ModelCard.model_validate_json(file.read_bytes())
    except ValidationError as error:
        fault = f"{file} is not a model card of this version: {card_fault(error)}"
        raise DamagedModelError(fault, "train the model again") from error


def card_fault(error: ValidationError) -> str:
    """Return the first fault of a card: what is wrong, and with which of its keys."""
    first = error.errors()[0]
    return ": ".join(filter(None, (".".join(map(str, first["loc"])), first["msg"])))


def _missing(folder: Path) -> tuple[str, str]:
    """Return why there is no model at a path, and what to do."""
    if folder.is_file():
        return f"no model at {folder}: that is a file", f"name its folder, {folder.parent}"
    fault = f"the folder has no {CARD}" if folder.is_dir() else "there is no such folder"
    return f"no model at {folder}: {fault}", f"name the folder of a model: {how_to_get()}"


def load(folder: Path) -> Model:
    """Return the model in `folder`. Raise ModelError if it is missing, damaged, or not the one its card describes."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    card = read_card(folder)
    import keras

    from fauxscan import layers  # noqa: F401 (registers our layers with Keras)

    try:
        network = keras.saving.load_model(folder / NETWORK, compile=False, safe_mode=True)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise DamagedModelError(f"{folder / NETWORK} cannot be loaded: {error}", "train the model again") from error
    if model_digest(network, card.backbone) != card.model_digest:
        fault = f"{folder / NETWORK} is not the network that its card describes"
        raise DamagedModelError(fault, "train the model again")
    return Model(card, network)


def needs_full_precision(network: Any) -> bool:
    """Return whether a layer's arithmetic (a DCT, a logarithm) is lost in 16 bits."""
    inner = getattr(network, "layers", ())
    return getattr(network, "full_precision", False) or any(needs_full_precision(layer) for layer in inner)
