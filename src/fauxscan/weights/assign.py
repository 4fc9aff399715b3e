"""Assign arrays to the layers of a network, once every array is known to fit."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fauxscan.records import UserError

Filling = tuple[Any, NDArray[np.float32]]  # a Keras variable and its new values


def weighted_layers(network: Any, trunk: bool) -> list[Any]:
    """Return the layers that hold weights, in the order of the network. For a trunk, leave out dense layers."""
    import keras

    layers: list[Any] = []
    for layer in network.layers:
        if isinstance(layer, keras.Model):
            layers += weighted_layers(layer, trunk)
        elif layer.weights and not (trunk and isinstance(layer, keras.layers.Dense)):
            layers.append(layer)
    return layers


def check_shape(name: str, found: Sequence[int], variable: Any) -> None:
    """Raise UserError that names both shapes if the file's array does not have the shape of the variable."""
    if tuple(found) != tuple(variable.shape):
        raise UserError(
            f"wrong architecture: the file's {name} has the shape {tuple(found)}, and {variable.path} of this "
            f"detector takes {tuple(variable.shape)}; name the detector and the options (--option) it was trained with"
        )


def fill(fillings: Sequence[Filling]) -> None:
    """Assign the arrays to the variables. Raise UserError, before any is assigned, for values that are not numbers."""
    for variable, array in fillings:
        if not np.isfinite(array).all():
            raise UserError(f"the weights for {variable.path} hold values that are not numbers: the file is damaged")
    for variable, array in fillings:
        variable.assign(array)


def negate_output(network: Any) -> None:
    """Turn P(real) into P(fake) by negating the last dense layer, since 1 - sigmoid(z) = sigmoid(-z)."""
    head = network.layers[-1]
    head.set_weights([-array for array in head.get_weights()])
