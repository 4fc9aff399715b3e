"""Training: one detector on one dataset's shards, by its recipe."""

import math
import os
from pathlib import Path
from typing import Any

import keras
from dvclive import Live

from fauxscan import detectors, models
from fauxscan.models import ModelCard, TrainedOn
from fauxscan.params import ModelParams, Params
from fauxscan.preparing import index as indexing
from fauxscan.preparing import shards
from fauxscan.records import DetectorCard, Recipe, UserError, View
from fauxscan.training import inputs


def train(name: str, params: Params, index: Path, folder: Path, out: Path, plots: Path) -> None:
    """Train the model `name` on the shards in `folder`; write the network and card to `out`, curves to `plots`."""
    model = params.model(name)
    dataset, data = params.dataset(model.dataset), indexing.read_card(index)
    card: DetectorCard = detectors.get(model.detector).CARD
    recipe = Recipe.model_validate({**card.recipe.model_dump(), **model.recipe})
    view = shards.view_for(card.looks_at, dataset.faces)
    network = build(model, params.seed)
    size = network.input_shape[1]
    memory = params.shards.cache_bytes
    training = inputs.training(folder, view, size, recipe, params.seed, memory)
    history = fit(network, recipe, training, inputs.validation(folder, view, size, recipe, memory), plots)
    trained_on = TrainedOn(
        dataset=model.dataset,
        faces=dataset.faces,
        split_digest=shards.manifest(folder)["split_digest"],
        proof_of_machinery=data.proof_of_machinery,
    )
    trained = build(model, params.seed)  # a fresh network: the optimiser's state would triple the file
    trained.set_weights(network.get_weights())
    models.save(
        out,
        trained,
        ModelCard(
            name=name,
            detector=model.detector,
            options=model.options,
            input_size=size,
            looks_at=card.looks_at,
            faces=params.faces if card.looks_at is View.FACE else None,
            recipe=recipe,
            trained_on=trained_on,
            figures=history,
            licence=f"trained on {model.dataset}: {data.licence}",
            model_digest=models.digest(trained),
            align=dataset.align,
        ),
    )


def build(model: ModelParams, seed: int = 0) -> keras.Model:
    """Return the untrained network, the same each time. Raise UserError for an option its detector does not take."""
    keras.utils.clear_session()  # or layers would be numbered on, and names are part of a model's digest
    keras.utils.set_random_seed(seed)
    try:
        return detectors.get(model.detector).build(**model.options)
    except TypeError as error:
        raise UserError(f"{model.detector} does not take the options {model.options}: {error}") from error


def fit(network: keras.Model, recipe: Recipe, training: Any, validation: Any, plots: Path) -> dict[str, float]:
    """Train in place, keep the weights of the best validation loss, and return that epoch's figures."""
    network.compile(
        optimizer=keras.optimizers.Adam(StepDecay(recipe)),
        loss=LOSSES[recipe.loss],
        metrics=[keras.metrics.BinaryAccuracy(name="accuracy", threshold=0.0)],
    )
    patience = recipe.early_stopping or recipe.epochs
    best = keras.callbacks.EarlyStopping(patience=patience, restore_best_weights=True)
    history = network.fit(
        training,
        validation_data=validation,
        epochs=recipe.epochs,
        callbacks=[best, Curves(plots)],
        verbose="auto" if os.isatty(1) else 2,
        shuffle=False,  # the input shuffles
    ).history
    chosen = min(range(len(history["val_loss"])), key=history["val_loss"].__getitem__)
    return {"epoch": float(chosen + 1), **{name: float(values[chosen]) for name, values in history.items()}}


class Curves(keras.callbacks.Callback):  # type: ignore[misc]
    """Writes each epoch's figures as DVCLive curves, for `dvc plots`."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.live = Live(str(folder), save_dvc_exp=False, dvcyaml=None, monitor_system=False)

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Log one step."""
        for name, value in (logs or {}).items():
            self.live.log_metric(name, float(value))
        self.live.next_step()

    def on_train_end(self, logs: dict[str, float] | None = None) -> None:
        """Close the files."""
        self.live.end()


class StepDecay(keras.optimizers.schedules.LearningRateSchedule):  # type: ignore[misc]
    """The learning rate of a recipe: multiplied by a factor every so many batches, down to a floor."""

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe

    def __call__(self, step: Any) -> Any:
        """Return the rate at a step (batch number)."""
        recipe = self.recipe
        drops = keras.ops.floor(keras.ops.cast(step, "float32") / recipe.decay_steps)
        rate = recipe.learning_rate * keras.ops.exp(drops * math.log(recipe.decay_factor))
        return keras.ops.maximum(rate, recipe.lowest_rate)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments."""
        return {"recipe": self.recipe.model_dump()}


def squared_error(labels: Any, logits: Any) -> Any:
    """Return (label - sigmoid(logit)) squared, the loss of the MesoNet paper."""
    return keras.ops.mean(keras.ops.square(labels - keras.ops.sigmoid(logits)), axis=-1)


LOSSES = {
    "mean_squared_error": squared_error,
    "binary_crossentropy": keras.losses.BinaryCrossentropy(from_logits=True),
}
