"""Keras layers and losses that detectors share; written with keras.ops, so they run on any Keras backend."""

import math

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray


@keras.saving.register_keras_serializable("fauxscan")
class LogDct(keras.layers.Layer):  # type: ignore[misc]
    """Log magnitude of the orthonormal 2-D DCT-II of each channel: (batch, n, n, c) -> (batch, n, n, c).

    Frank et al. 2020, "Leveraging Frequency Analysis for Deep Fake Image Recognition". Always float32: the
    small offset under the logarithm is lost in half precision.
    """

    def __init__(self, epsilon: float = 1e-12, **kwargs: object) -> None:
        super().__init__(**{**kwargs, "dtype": "float32"})
        self.epsilon = epsilon

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Make the two DCT matrices for the input's height and width."""
        self.rows = dct_matrix(int(input_shape[1] or 0))
        self.columns = dct_matrix(int(input_shape[2] or 0))

    def call(self, images: keras.KerasTensor) -> keras.KerasTensor:
        """Return C x Ct for each channel x, as log(|.| + epsilon)."""
        coefficients = ops.einsum("ih,bhwc,jw->bijc", self.rows, ops.cast(images, "float32"), self.columns)
        return ops.log(ops.abs(coefficients) + self.epsilon)

    def get_config(self) -> dict[str, object]:
        """Return the arguments."""
        return {**super().get_config(), "epsilon": self.epsilon}


def dct_matrix(n: int) -> NDArray[np.float32]:
    """Return the orthonormal DCT-II matrix C of shape (n, n), float32: the DCT of a column x is C x."""
    k, i = np.mgrid[:n, :n]
    matrix = math.sqrt(2 / n) * np.cos(math.pi * (2 * i + 1) * k / (2 * n))
    matrix[0] /= math.sqrt(2)
    return np.asarray(matrix, np.float32)


def logit_head(features: keras.KerasTensor) -> keras.KerasTensor:
    """Return one logit of P(fake), float32, shape (batch, 1)."""
    return keras.layers.Dense(1, dtype="float32", name="logit")(features)
