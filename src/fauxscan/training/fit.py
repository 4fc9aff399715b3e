"""Training: one detector on one dataset's shards, by its recipe; killed, it goes on after its last epoch."""

import hashlib
import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from fauxscan import detectors, models
from fauxscan.models import ModelCard, TrainedOn
from fauxscan.params import SCRATCH, ModelParams, Params
from fauxscan.preparing import index as indexing
from fauxscan.preparing import shards
from fauxscan.records import DetectorCard, Phase, Recipe, UserError, View
from fauxscan.training import augmentation, devices, inputs, losses, parts, schedules
from fauxscan.training.curves import Curves, EventFiles
from fauxscan.training.parts import Part
from fauxscan.training.progress import Bar, Keeper
from fauxscan.weights import importing

CHECKPOINT = "progress.npz"
DECAY = frozenset({"decay_factor", "decay_steps"})
GIVES_WAY = (  # what of a card's recipe would make these of a model's without effect
    (frozenset({"epochs", "learning_rate"}), "phases"),
    (DECAY, "reduce_on_plateau"),
    (DECAY, "one_cycle"),
)


@dataclass(frozen=True)
class Data:
    """What each phase trains on, the batches of such a part, and those to validate on."""

    parts: list[Part]
    training: Callable[[Part], tf.data.Dataset]
    validation: tf.data.Dataset


def train(
    name: str, params: Params, index: Path, folder: Path, weights: Path, kept: Path, out: Path, plots: Path,
    *, tensorboard: Path | None = None,
) -> Keeper:  # fmt: skip
    """Train the model `name` on the shards in `folder`; write network and card to `out`; return what was kept.

    Each epoch's figures go into `plots` as curves for DVC, and into the folder `tensorboard`, if there is one.
    `weights` is the folder with the published ones, if the model begins from such; `kept` holds what an interrupted run
    goes on from, until the caller finishes it. Raise UserError.
    """
    model = params.model(name)
    dataset, data = params.dataset(model.dataset), indexing.read_card(index)
    card: DetectorCard = detectors.get(model.detector).CARD
    recipe = recipe_of(model)
    view = shards.view_for(card.looks_at, dataset.faces)
    begun = _begun(model, card, weights)
    with devices.prepare(params.train.precision):
        network, options = begin(model, recipe, begun, folder, view, params)
        keeper = Keeper(kept / CHECKPOINT, _key(model, recipe, begun, folder, view, params), recipe)
        size = network.input_shape[1]
        try:
            figures = fit(network, recipe, _data(folder, view, size, recipe, params), keeper, plots, tensorboard)
        except tf.errors.ResourceExhaustedError as error:
            raise UserError(
                f"out of memory with batches of {recipe.batch_size}:"
                f" set batch_size in the recipe of {name} to {max(1, recipe.batch_size // 2)}"
            ) from error
    keras.mixed_precision.set_dtype_policy("float32")
    trained = models.build(model.detector, options, params.seed)  # anew: optimiser and precision are not the model's
    trained.set_weights(network.get_weights())
    trained_on = TrainedOn(
        dataset=model.dataset,
        faces=dataset.faces,
        split_digest=shards.manifest(folder)["split_digest"],
        proof_of_machinery=data.proof_of_machinery,
        self_blended=recipe.self_blended,
    )
    models.save(
        out,
        trained,
        ModelCard(
            name=name,
            detector=model.detector,
            options=options,
            input_size=size,
            looks_at=card.looks_at,
            faces=params.faces if card.looks_at is View.FACE else None,
            recipe=recipe,
            trained_on=trained_on,
            figures=figures,
            licence=_licence(model, card, begun, data.licence),
            model_digest=models.digest(trained),
            align=dataset.align,
        ),
    )
    return keeper


def _begun(model: ModelParams, card: DetectorCard, folder: Path) -> Path | None:
    """Return the file of weights that training begins from, None from scratch. Raise UserError if it is not there."""
    if model.weights == SCRATCH:
        return None
    if not card.weights or not (folder / card.weights.name).is_file():
        raise UserError(f"{folder} holds no published weights of {model.weights}: run the stage `weights` first")
    return folder / card.weights.name


def recipe_of(model: ModelParams) -> Recipe:
    """Return the detector's recipe with what the model changes. Raise UserError if the detector cannot follow it."""
    card: DetectorCard = detectors.get(model.detector).CARD
    told = card.recipe.model_dump()
    for asked, gives_way in GIVES_WAY:
        if asked & set(model.recipe):
            del told[gives_way]
    recipe = Recipe.model_validate({**told, **model.recipe})
    if recipe.decay_steps == 0 and recipe.decay_factor < 1 and not recipe.lowest_rate:
        raise UserError("decay_steps 0 is computed from lowest_rate: give that, above 0")
    if recipe.self_blended and card.looks_at is not View.FACE:
        looking = [name for name in detectors.names() if detectors.get(name).CARD.looks_at is View.FACE]
        raise UserError(
            f"{card.name} looks at whole images, and self-blending makes fakes of faces: choose one of"
            f" {', '.join(looking)}, or leave self_blended out of the recipe"
        )
    return recipe


def begin(
    model: ModelParams, recipe: Recipe, begun: Path | None, folder: Path, view: View, params: Params
) -> tuple[keras.Model, dict[str, Any]]:
    """Return the network before its first batch, the weights in `begun` in it, and the options it was built with."""
    options = dict(model.options)
    if recipe.featurewise:
        size = models.build(model.detector, options, params.seed, mirrored=True).input_shape[1]
        plain = recipe.model_copy(update={"augmentation": {}})
        memory, margin = params.shards.cache_bytes, params.faces.margin
        batches = inputs.training(folder, view, size, plain, params.seed, memory, margin)
        options["featurewise"] = augmentation.moments(images for images, _ in batches)
    network = models.build(model.detector, options, params.seed, mirrored=True)
    if begun:
        importing.into(network, begun, trunk=True)
    return network, options


def _data(folder: Path, view: View, size: int, recipe: Recipe, params: Params) -> Data:
    memory, margin = params.shards.cache_bytes, params.faces.margin
    return Data(
        parts.of_phases(folder, view, recipe),
        # of one part at a time: with its batches goes what was kept of it in memory
        lru_cache(1)(lambda part: inputs.training(folder, view, size, recipe, params.seed, memory, margin, part)),
        inputs.validation(folder, view, size, recipe, memory, margin),
    )


def fit(
    network: keras.Model, recipe: Recipe, data: Data, keeper: Keeper, plots: Path, tensorboard: Path | None
) -> dict[str, float]:
    """Train in place through all phases, set the best weights, and return the figures of their epoch.

    Where `validate_every` is given, an epoch is what lies between two validations.
    """
    curves = Curves(plots, keeper.history)
    drawn = [curves, *([EventFiles(tensorboard, keeper.history)] if tensorboard else [])]
    for number, phase in enumerate(parts.phases(recipe)):
        if phase.unfrozen:
            network.trainable = True
        if number < keeper.phase:  # an earlier run was through with it
            continue
        part = data.parts[number]
        training = data.training(part)
        epochs, steps = _epochs(recipe, phase, len(training))
        _compile(network, recipe, phase, epochs * steps, part)
        begun = min(keeper.begins(number), epochs)
        network.fit(
            training.repeat().skip(begun * steps % len(training)),  # a killed epoch's batches are not seen twice
            validation_data=data.validation,
            initial_epoch=begun,
            epochs=epochs,
            steps_per_epoch=steps,
            callbacks=[*_watchers(recipe, epochs, keeper), *drawn, Bar(recipe.batch_size), keeper],
            verbose=0,
            shuffle=False,  # the input shuffles
        )
    curves.live.end()
    network.set_weights(keeper.best)
    return {"epoch": float(keeper.chosen + 1), **keeper.history[keeper.chosen]}


def _epochs(recipe: Recipe, phase: Phase, batches: int) -> tuple[int, int]:
    """Return the epochs of a phase, and the batches of one."""
    steps = recipe.validate_every or batches
    return math.ceil(phase.epochs * batches / steps), steps


def _compile(network: keras.Model, recipe: Recipe, phase: Phase, steps: int, part: Part) -> None:
    network.compile(
        optimizer=_optimizer(recipe, schedules.rate(recipe, phase, steps)),
        loss=losses.loss(recipe, part.reals, part.fakes),
        metrics=[losses.accuracy()],
        jit_compile=devices.compiles(),  # Keras says if a layer cannot be compiled, and goes on without
    )


def _optimizer(recipe: Recipe, rate: Any) -> keras.optimizers.Optimizer:
    if recipe.optimizer == "adamw":
        return keras.optimizers.AdamW(rate, weight_decay=recipe.weight_decay)
    return {"adam": keras.optimizers.Adam, "rmsprop": keras.optimizers.RMSprop, "sgd": keras.optimizers.SGD}[
        recipe.optimizer
    ](rate)


def _watchers(recipe: Recipe, epochs: int, keeper: Keeper) -> list[keras.callbacks.Callback]:
    """Return Keras's callbacks that stop early and lower the rate; `keeper` brings them through a kill."""
    watched = {"monitor": recipe.monitor, "mode": "min" if recipe.monitor == "val_loss" else "max"}
    patience = recipe.early_stopping or epochs
    keeper.others = [keras.callbacks.EarlyStopping(min_delta=recipe.min_delta, patience=patience, **watched)]
    if plateau := recipe.reduce_on_plateau:
        keeper.others.append(
            keras.callbacks.ReduceLROnPlateau(
                factor=plateau.factor, patience=plateau.patience, min_lr=plateau.lowest_rate, **watched
            )
        )
    return keeper.others


def _key(model: ModelParams, recipe: Recipe, begun: Path | None, folder: Path, view: View, params: Params) -> str:
    """Return the digest of all that training follows from: a checkpoint of anything else is no use."""
    declared = [model.model_dump(mode="json"), recipe.model_dump(mode="json"), params.train.model_dump(), params.seed]
    weights = hashlib.sha256(begun.read_bytes()).hexdigest() if begun else None
    told = [*declared, weights, shards.manifest(folder), view, recipe.self_blended and params.faces.margin]
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def _licence(model: ModelParams, card: DetectorCard, begun: Path | None, data: str) -> str:
    weights = f"; begun from {begun.name}: {card.weights_licence}" if begun else ""
    return f"trained on {model.dataset}: {data}{weights}"
