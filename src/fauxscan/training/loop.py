"""The training loop: phase by phase, with callbacks that stop early, reduce the rate, keep weights and draw curves."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from fauxscan.records import Phase, Recipe
from fauxscan.training import devices, losses, schedules
from fauxscan.training.checkpoints import Checkpointer, ProgressBar
from fauxscan.training.curves import Curves, EventFiles
from fauxscan.training.data import phases
from fauxscan.training.data.inputs import Batches
from fauxscan.training.data.phases import Subset


@dataclass(frozen=True)
class Data:
    """The subset that each phase trains on, the batches of a subset, and those to validate on."""

    subsets: list[Subset]
    training: Callable[[Subset], Batches]
    validation: tf.data.Dataset


def fit(
    network: keras.Model, recipe: Recipe, data: Data, checkpointer: Checkpointer,
    plots: Path | None = None, tensorboard: Path | None = None, *, shown: bool = True,
) -> dict[str, float]:  # fmt: skip
    """Train in place through all phases, set the best weights, and return the figures of their epoch.

    With `validate_every` in the recipe, an epoch is the stretch between two validations. `shown`: report each epoch.
    """
    curves = [Curves(plots, checkpointer.history)] if plots else []
    drawn = [*curves, *([EventFiles(tensorboard, checkpointer.history)] if tensorboard else [])]
    drawn += [ProgressBar(recipe.batch_size)] if shown else []
    for number, phase in enumerate(phases.phases(recipe)):
        if phase.unfrozen:
            network.trainable = True
        if number >= checkpointer.phase:  # an earlier run has finished those before
            _fit_phase(network, recipe, phase, number, data, checkpointer, drawn)
    for one in curves:
        one.live.end()
    network.set_weights(checkpointer.best)
    return {"epoch": float(checkpointer.chosen + 1), **checkpointer.history[checkpointer.chosen]}


def _fit_phase(
    network: keras.Model, recipe: Recipe, phase: Phase, number: int, data: Data, checkpointer: Checkpointer,
    drawn: list[keras.callbacks.Callback],
) -> None:  # fmt: skip
    subset = data.subsets[number]
    training = data.training(subset)
    epochs, steps = _epochs(recipe, phase, training.epoch)
    _compile(network, recipe, phase, epochs * steps, subset)
    first = min(checkpointer.first_epoch(number), epochs)
    network.fit(
        training.after(first * steps),  # the batches of finished epochs are not seen twice
        validation_data=data.validation,
        initial_epoch=first,
        epochs=epochs,
        steps_per_epoch=steps,
        callbacks=[*_watchers(recipe, epochs, checkpointer), *drawn, checkpointer],
        verbose=0,
        shuffle=False,  # the input shuffles
    )


def _epochs(recipe: Recipe, phase: Phase, batches: int) -> tuple[int, int]:
    """Return the number of epochs of a phase, and the batches of one."""
    steps = recipe.validate_every or batches
    return math.ceil(phase.epochs * batches / steps), steps


def _compile(network: keras.Model, recipe: Recipe, phase: Phase, steps: int, subset: Subset) -> None:
    network.compile(
        optimizer=_optimizer(recipe, schedules.rate(recipe, phase, steps)),
        loss=losses.loss(recipe, *_seen(subset)),
        weighted_metrics=[losses.accuracy()],  # by the weights of validation images, where they have any
        jit_compile=devices.compiles(),  # Keras warns if a layer cannot be compiled, and goes on without
    )


def _seen(subset: Subset) -> tuple[int, int]:
    """Return how many reals and fakes an epoch shows: of several datasets, as many of either."""
    return (1, 1) if subset.pools else (subset.reals, subset.fakes)


def _optimizer(recipe: Recipe, rate: Any) -> keras.optimizers.Optimizer:
    if recipe.optimizer == "adamw":
        return keras.optimizers.AdamW(rate, weight_decay=recipe.weight_decay)
    return {"adam": keras.optimizers.Adam, "rmsprop": keras.optimizers.RMSprop, "sgd": keras.optimizers.SGD}[
        recipe.optimizer
    ](rate)


def _watchers(recipe: Recipe, epochs: int, checkpointer: Checkpointer) -> list[keras.callbacks.Callback]:
    """Return the callbacks that stop early and reduce the learning rate; the checkpointer saves their state."""
    watched = {"monitor": recipe.monitor, "mode": "min" if recipe.monitor == "val_loss" else "max"}
    patience = recipe.early_stopping or epochs
    checkpointer.watchers = [keras.callbacks.EarlyStopping(min_delta=recipe.min_delta, patience=patience, **watched)]
    if plateau := recipe.reduce_on_plateau:
        checkpointer.watchers.append(
            keras.callbacks.ReduceLROnPlateau(
                factor=plateau.factor, patience=plateau.patience, min_lr=plateau.lowest_rate, **watched
            )
        )
    return checkpointer.watchers
