"""Training: one detector on one dataset's shards, by its recipe; killed, it goes on after its last epoch."""

import hashlib
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from fauxscan import detectors, models
from fauxscan.models import ModelCard, TrainedOn
from fauxscan.params import ModelParams, Params
from fauxscan.preparing import index as indexing
from fauxscan.preparing import shards
from fauxscan.records import TRAIN, DetectorCard, Phase, Recipe, UserError, View
from fauxscan.training import augmentation, devices, inputs, losses, schedules
from fauxscan.training.progress import Bar, Curves, Keeper
from fauxscan.weights import importing

CHECKPOINT = "progress.npz"


@dataclass(frozen=True)
class Data:
    """Batches to train and to validate on, and how many reals and fakes there are to train on."""

    training: tf.data.Dataset
    validation: tf.data.Dataset
    reals: int
    fakes: int


def train(name: str, params: Params, index: Path, folder: Path, kept: Path, out: Path, plots: Path) -> None:
    """Train the model `name` on the shards in `folder`; write the network and card to `out`, curves to `plots`.

    `kept` holds what an interrupted run goes on from. Raise UserError.
    """
    model = params.model(name)
    dataset, data = params.dataset(model.dataset), indexing.read_card(index)
    card: DetectorCard = detectors.get(model.detector).CARD
    recipe = recipe_of(model)
    view = shards.view_for(card.looks_at, dataset.faces)
    with devices.prepare(params.train.precision):
        network, options = begin(model, recipe, folder, view, params)
        keeper = Keeper(kept / CHECKPOINT, _key(model, recipe, folder, view, params), recipe)
        size = network.input_shape[1]
        try:
            figures = fit(network, recipe, _data(folder, view, size, recipe, params), plots, keeper)
        except tf.errors.ResourceExhaustedError as error:
            raise UserError(
                f"out of memory with batches of {recipe.batch_size}:"
                f" set models.{name}.recipe.batch_size to {max(1, recipe.batch_size // 2)} in params.yaml"
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
            licence=_licence(model, card, data.licence),
            model_digest=models.digest(trained),
            align=dataset.align,
        ),
    )
    keeper.finish()


def recipe_of(model: ModelParams) -> Recipe:
    """Return the detector's recipe with what the model changes. Raise UserError if the detector cannot follow it."""
    card: DetectorCard = detectors.get(model.detector).CARD
    recipe = Recipe.model_validate({**card.recipe.model_dump(), **model.recipe})
    if recipe.self_blended and card.looks_at is not View.FACE:
        looking = [name for name in detectors.names() if detectors.get(name).CARD.looks_at is View.FACE]
        raise UserError(
            f"{card.name} looks at whole images, and self-blending makes fakes of faces: choose one of"
            f" {', '.join(looking)}, or leave self_blended out of the recipe"
        )
    return recipe


def begin(
    model: ModelParams, recipe: Recipe, folder: Path, view: View, params: Params
) -> tuple[keras.Model, dict[str, Any]]:
    """Return the network before its first batch, trunk weights in place, and the options it was built with."""
    options = dict(model.options)
    if recipe.featurewise:
        size = models.build(model.detector, options, params.seed, mirrored=True).input_shape[1]
        plain = recipe.model_copy(update={"augmentation": {}})
        batches = _data(folder, view, size, plain, params).training
        options["featurewise"] = augmentation.moments(images for images, _ in batches)
    network = models.build(model.detector, options, params.seed, mirrored=True)
    if model.weights:
        importing.into(network, Path(model.weights), trunk=True)
    return network, options


def _data(folder: Path, view: View, size: int, recipe: Recipe, params: Params) -> Data:
    memory, margin = params.shards.cache_bytes, params.faces.margin
    reals, fakes = shards.reals_and_fakes(folder, TRAIN, view)
    fakes = reals if recipe.self_blended else fakes
    if not reals or not fakes:
        raise UserError(
            f"{folder} has {reals} reals and {fakes} fakes to train on: add what is missing; reals alone are enough"
            " for a detector of faces whose recipe says `self_blended: true`"
        )
    return Data(
        inputs.training(folder, view, size, recipe, params.seed, memory, margin),
        inputs.validation(folder, view, size, recipe, memory, margin),
        reals,
        fakes,
    )


def fit(network: keras.Model, recipe: Recipe, data: Data, plots: Path, keeper: Keeper) -> dict[str, float]:
    """Train in place through all phases, set the best weights, and return the figures of their epoch.

    Where `validate_every` is given, an epoch is what lies between two validations.
    """
    curves, batches = Curves(plots, keeper.history), len(data.training)
    steps = recipe.validate_every or batches
    for number, phase in enumerate(recipe.phases or (Phase(epochs=recipe.epochs, learning_rate=recipe.learning_rate),)):
        epochs = math.ceil(phase.epochs * batches / steps)
        _compile(network, recipe, phase, epochs * steps, data)
        if number < keeper.phase:  # an earlier run was through with it
            continue
        network.fit(
            data.training.repeat(),
            validation_data=data.validation,
            initial_epoch=min(keeper.begins(number), epochs),
            epochs=epochs,
            steps_per_epoch=steps,
            callbacks=[*_watchers(recipe, epochs, keeper), curves, Bar(recipe.batch_size), keeper],
            verbose=0,
            shuffle=False,  # the input shuffles
        )
    curves.live.end()
    network.set_weights(keeper.best)
    return {"epoch": float(keeper.chosen + 1), **keeper.history[keeper.chosen]}


def _compile(network: keras.Model, recipe: Recipe, phase: Phase, steps: int, data: Data) -> None:
    if phase.unfrozen:
        network.trainable = True
    network.compile(
        optimizer=_optimizer(recipe, schedules.rate(recipe, phase, steps)),
        loss=losses.loss(recipe, data.reals, data.fakes),
        metrics=[losses.accuracy()],
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


def _key(model: ModelParams, recipe: Recipe, folder: Path, view: View, params: Params) -> str:
    """Return the digest of all that training follows from: a checkpoint of anything else is no use."""
    declared = [model.model_dump(mode="json"), recipe.model_dump(mode="json"), params.train.model_dump(), params.seed]
    begun = hashlib.sha256(Path(model.weights).read_bytes()).hexdigest() if model.weights else None
    told = [*declared, begun, shards.manifest(folder), view, recipe.self_blended and params.faces.margin]
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def _licence(model: ModelParams, card: DetectorCard, data: str) -> str:
    begun = f"; begun from {Path(model.weights).name}: {card.weights_licence}" if model.weights else ""
    return f"trained on {model.dataset}: {data}{begun}"
