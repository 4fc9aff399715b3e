"""Our side of an import: the layers that wait for weights, filled once every array is known to fit."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fauxscan.records import UserError

Filling = tuple[Any, NDArray[np.float32]]  # a Keras variable and what goes into it


def waiting(network: Any, trunk: bool) -> list[Any]:
    """Return the layers that hold weights, in the network's order; of a trunk, those that are not dense."""
    import keras

    found: list[Any] = []
    for layer in network.layers:
        if isinstance(layer, keras.Model):
            found += waiting(layer, trunk)
        elif layer.weights and not (trunk and isinstance(layer, keras.layers.Dense)):
            found.append(layer)
    return found


def check_shape(name: str, found: Sequence[int], variable: Any) -> None:
    """Raise UserError that names both if the file's array does not have the variable's shape."""
    if tuple(found) != tuple(variable.shape):
        raise UserError(
            f"wrong architecture: the file's {name} has the shape {tuple(found)}, and {variable.path} of this "
            f"detector takes {tuple(variable.shape)}; name the detector and the options (--option) it was trained with"
        )


def fill(fillings: Sequence[Filling]) -> None:
    """Put the arrays into the variables. Raise UserError, before any is put, for values that are no numbers."""
    for variable, array in fillings:
        if not np.isfinite(array).all():
            raise UserError(f"the weights for {variable.path} hold values that are no numbers: the file is damaged")
    for variable, array in fillings:
        variable.assign(array)


def turn(network: Any) -> None:
    """Turn P(real) into P(fake): negate the last dense layer, since 1 - sigmoid(z) = sigmoid(-z)."""
    head = network.layers[-1]
    head.set_weights([-array for array in head.get_weights()])
