"""Learning rates: step decay, one cycle, or a constant that a plateau reduces."""

import math
from typing import Any

import keras

from fauxscan.records import Phase, Recipe

RISING = 0.3  # share of one cycle (Smith and Topin 2019), which begins at 1/25 of the peak and ends near zero
FIRST, LAST = 1 / 25, 1e-4


def rate(recipe: Recipe, phase: Phase, steps: int) -> Any:
    """Return the learning rate of a phase with so many steps (batches): a schedule or a number."""
    if recipe.reduce_on_plateau:
        return phase.learning_rate
    if recipe.one_cycle:
        rising = max(1, round(steps * RISING))
        return keras.optimizers.schedules.CosineDecay(
            phase.learning_rate * FIRST, max(1, steps - rising), alpha=LAST,
            warmup_target=phase.learning_rate, warmup_steps=rising,
        )  # fmt: skip
    return StepDecay(phase.learning_rate, recipe.decay_factor, decay_steps(recipe, phase, steps), recipe.lowest_rate)


def decay_steps(recipe: Recipe, phase: Phase, steps: int) -> int:
    """Return the batches between two drops: as declared, or as many as bring the lowest rate with the last drop.

    The latter follows the MesoNet package, in which the last drop comes at the end, so that no batch has that rate.
    """
    if recipe.decay_steps or not 0 < recipe.lowest_rate < phase.learning_rate or recipe.decay_factor >= 1:
        return max(1, recipe.decay_steps)
    drops = math.ceil(math.log(recipe.lowest_rate / phase.learning_rate) / math.log(recipe.decay_factor) - 1e-9)
    return max(1, steps // (drops + 1))


class StepDecay(keras.optimizers.schedules.LearningRateSchedule):  # type: ignore[misc]
    """A learning rate that is multiplied by a factor every so many batches, down to a lowest rate."""

    def __init__(self, first: float, factor: float, every: int, lowest: float) -> None:
        self.first, self.factor, self.every, self.lowest = first, factor, every, lowest

    def __call__(self, step: Any) -> Any:
        """Return the learning rate at a step (the number of a batch)."""
        drops = keras.ops.floor(keras.ops.cast(step, "float32") / self.every)
        return keras.ops.maximum(self.first * keras.ops.exp(drops * math.log(self.factor)), self.lowest)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of the constructor."""
        return {"first": self.first, "factor": self.factor, "every": self.every, "lowest": self.lowest}
