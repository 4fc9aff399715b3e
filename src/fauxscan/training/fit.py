"""Train one detector on its mixture of datasets, by its recipe. A killed training resumes after its last epoch."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from fauxscan import detectors, disk, models
from fauxscan.backbones import cards
from fauxscan.layers import Moments
from fauxscan.models import BackboneUse, ModelCard, TrainedOn, TrainingSet
from fauxscan.params import SCRATCH, Params, RandomReencodeParams, ReencodeParams, StudentParams, TrainedParams
from fauxscan.preparing.mixture.read import Mixture, open_mixture
from fauxscan.records import DetectorCard, Recipe, UserError, View
from fauxscan.training import devices
from fauxscan.training.checkpoints import Checkpointer
from fauxscan.training.data import augmentation, features, inputs, phases
from fauxscan.training.data.inputs import Batches
from fauxscan.training.data.phases import Subset
from fauxscan.training.data.targets import Targets
from fauxscan.training.loop import Data, fit
from fauxscan.training.recipes import recipe_of
from fauxscan.weights import loading

CHECKPOINT = "progress.npz"


@dataclass(frozen=True)
class Job:
    """Everything that a training follows from."""

    name: str
    model: TrainedParams
    params: Params
    detector: DetectorCard
    recipe: Recipe
    mixture: Mixture
    view: View
    pretrained: Path | None  # the file of weights that the network begins with; None: from scratch
    backbone: BackboneUse | None  # None: the whole network learns; otherwise a head, on the backbone's features
    targets: Targets | None  # of a student's teacher; None: labels alone

    @property
    def margin(self) -> float:
        """Return the margin of face crops, as a share of the face's width."""
        return self.mixture.manifest.framing.crops.margin


def train(
    name: str, params: Params, mixture: Path, shards: Path, weights: Path, checkpoint: Path, out: Path,
    plots: Path | None = None, *, tensorboard: Path | None = None, targets: Path | None = None,
) -> Checkpointer:  # fmt: skip
    """Train the model or student `name`, write its network and card to `out`, and return its checkpointer.

    `mixture` is the manifest of the model's datasets, whose shards are in sub-folders of `shards`; `weights` is the
    folder of published weights, if the model begins with those. The figures of each epoch go to the folder `plots`
    as curves for DVC, and to `tensorboard` as event files, if these are given. `checkpoint` holds what an interrupted
    training resumes from, until the caller calls `finish`. `targets` is the folder with the scores that the teacher of
    a student gives to its training images. Raise UserError.
    """
    job = _job(name, params, open_mixture(mixture, shards), weights, _targets(params.trained(name), targets, mixture))
    with devices.prepare(params.train.precision):
        network, options = build_network(job)
        checkpointer = Checkpointer(checkpoint / CHECKPOINT, _key(job), job.recipe)
        data = _data(job, _input_size(job, network))
        with _memory_errors_explained(job):
            figures = fit(network, job.recipe, data, checkpointer, plots, tensorboard)
    trained = _in_full_precision(job, network, options)
    models.save(out, trained, _card(job, trained, options, figures))
    return checkpointer


def _targets(model: TrainedParams, folder: Path | None, mixture: Path) -> Targets | None:
    """Return the targets of a student, None for a model without a teacher. Raise UserError if they are not there."""
    if not isinstance(model, StudentParams):
        return None
    if folder is None:
        raise UserError("a student has a teacher: name the folder with its targets, which the stage `teach` writes")
    return Targets(folder, mixture, model.teacher.share)


def _job(name: str, params: Params, mixture: Mixture, weights: Path, targets: Targets | None = None) -> Job:
    model = params.trained(name)
    card: DetectorCard = detectors.get(model.detector).CARD
    recipe, view = recipe_of(model), mixture.view_for(card.looks_at)
    pretrained, backbone = _pretrained(model, card, weights), features.backbone_of(card)
    return Job(name, model, params, card, recipe, mixture, view, pretrained, backbone, targets)


def _pretrained(model: TrainedParams, card: DetectorCard, folder: Path) -> Path | None:
    """Return the file of weights to begin with, None for training from scratch. Raise UserError if it is missing."""
    if model.weights == SCRATCH or card.backbone:
        return None
    if not card.weights or not (folder / card.weights.name).is_file():
        raise UserError(f"{folder} holds no published weights of {model.weights}: run the stage `weights` first")
    return folder / card.weights.name


def build_network(job: Job) -> tuple[keras.Model, dict[str, Any]]:
    """Return the network before its first batch, with pretrained weights if there are any, and its options."""
    options = dict(job.model.options)
    if job.recipe.featurewise:
        options["featurewise"] = _featurewise_moments(job)
    network = detectors.build_learning(job.model.detector, options, job.params.seed, mirrored=True)
    if job.pretrained:
        loading.load_into(network, job.pretrained, trunk=True)
    return network, options


def _featurewise_moments(job: Job) -> Moments:
    """Return mean and variance of each channel over one epoch of the training images, without augmentation."""
    size = detectors.build(job.model.detector, job.model.options, job.params.seed, mirrored=True).input_shape[1]
    plain = job.recipe.model_copy(update={"augmentation": {}})
    batches = _training_batches(job, size, plain, phases.whole_mixture(job.mixture, job.view, plain))
    return augmentation.moments(images for images, _ in batches.after(0).take(batches.epoch))


def _training_batches(job: Job, size: int, recipe: Recipe, subset: Subset) -> Batches:
    memory, seed = job.params.shards.cache_bytes, job.params.seed
    return inputs.training_batches(
        job.mixture, job.view, size, recipe, seed, memory, job.margin, subset, targets=job.targets
    )


def _data(job: Job, size: int) -> Data:
    """Return the batches of images with sides of `size` pixels."""

    @lru_cache(1)  # one subset at a time: what is cached of it in memory is released with its batches
    def training(subset: Subset) -> Batches:
        batches = _training_batches(job, size, job.recipe, subset)
        return features.of_batches(batches, job.backbone, job.recipe, memory) if job.backbone else batches

    memory = job.params.shards.cache_bytes
    validation = inputs.validation_batches(job.mixture, job.view, size, job.recipe, memory, job.margin)
    if job.backbone:
        validation = features.of(validation, job.backbone)
    return Data(phases.subsets(job.mixture, job.view, job.recipe), training, validation)


def _input_size(job: Job, network: keras.Model) -> int:
    """Return the side of the images, in pixels, that the network or its backbone takes."""
    return cards.get(job.backbone.name).input_size if job.backbone else int(network.input_shape[1])


@contextmanager
def _memory_errors_explained(job: Job) -> Iterator[None]:
    """Raise UserError with a smaller batch size where a batch does not fit into memory."""
    try:
        yield
    except tf.errors.ResourceExhaustedError as error:
        raise UserError(
            f"out of memory with batches of {job.recipe.batch_size}:"
            f" set batch_size in the recipe of {job.name} to {max(1, job.recipe.batch_size // 2)}"
        ) from error


def _in_full_precision(job: Job, network: keras.Model, options: dict[str, Any]) -> keras.Model:
    """Return the network rebuilt in float32: the optimiser and the precision of training are not part of a model."""
    keras.mixed_precision.set_dtype_policy("float32")
    rebuilt = detectors.build_learning(job.model.detector, options, job.params.seed)
    rebuilt.set_weights(network.get_weights())
    return rebuilt


def _card(job: Job, network: keras.Model, options: dict[str, Any], figures: dict[str, float]) -> ModelCard:
    framing = job.mixture.manifest.framing
    return ModelCard(
        name=job.name,
        detector=job.model.detector,
        options=options,
        input_size=_input_size(job, network),
        looks_at=job.detector.looks_at,
        faces=framing.crops if job.detector.looks_at is View.FACE else None,
        recipe=job.recipe,
        trained_on=_trained_on(job),
        figures=figures,
        licence=_licence(job),
        model_digest=models.model_digest(network, job.backbone),
        reencode=framing.reencode if isinstance(framing.reencode, ReencodeParams) else None,
        backbone=job.backbone,
    )


def _trained_on(job: Job) -> TrainedOn:
    reencode, taught = job.mixture.manifest.framing.reencode, job.targets
    return TrainedOn(
        dataset=job.mixture.name,
        faces=job.mixture.manifest.framing.faces,
        split_digest=job.mixture.split_digest,
        proof_of_machinery=job.mixture.proof_of_machinery or (taught is not None and taught.card.proof_of_machinery),
        datasets=tuple(
            TrainingSet(name=name, share=dataset.share, split_digest=dataset.split_digest)
            for name, dataset in job.mixture.manifest.datasets.items()
        ),
        self_blended=job.recipe.self_blended,
        reencoded_at_random=reencode if isinstance(reencode, RandomReencodeParams) else None,
        teacher=None if taught is None else taught.teacher,
    )


def _licence(job: Job) -> str:
    weights = f"; started from {job.pretrained.name}: {job.detector.weights_licence}" if job.pretrained else ""
    teacher = f"; taught by {job.targets.card.teacher}: {job.targets.card.licence}" if job.targets else ""
    return f"trained on {job.mixture.licences}{weights}{teacher}"


def _key(job: Job) -> str:
    """Return the digest of everything that training follows from: a checkpoint with another key is not used."""
    weights = disk.digest(job.pretrained) if job.pretrained else None
    records = [job.model, job.recipe, job.params.train, job.mixture.manifest]
    parts = [*(record.model_dump(mode="json") for record in records), job.params.seed, weights, job.view]
    parts += [job.backbone.digest] if job.backbone else []
    parts += [job.targets.digest] if job.targets else []
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
