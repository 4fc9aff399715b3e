"""What detectors share: Keras layers, heads and recipes; written with keras.ops, so they run on any Keras backend."""

import math

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from fauxscan.records import Recipe

MESONET_RECIPE = Recipe(  # Afchar et al. 2018, section 4; how far images are changed is not told there
    loss="mean_squared_error",
    learning_rate=1e-3,
    decay_factor=0.1,
    decay_steps=1000,
    lowest_rate=1e-6,
    batch_size=75,
    epochs=18,
    augmentation={
        "zoom": {"factor": 0.1},
        "rotation": {"degrees": 15},
        "flip": {},
        "brightness": {"factor": 0.1},
        "hue": {"factor": 0.03},
    },
)


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


def meso_head(x: keras.KerasTensor) -> keras.KerasTensor:
    """Return the logit that both MesoNets end in: 16 units between two dropouts (Afchar et al. 2018)."""
    x = keras.layers.Dropout(0.5)(keras.layers.Flatten()(x))
    x = keras.layers.LeakyReLU(0.1)(keras.layers.Dense(16)(x))
    return logit_head(keras.layers.Dropout(0.5)(x))


def logit_head(features: keras.KerasTensor) -> keras.KerasTensor:
    """Return one logit of P(fake), float32, shape (batch, 1)."""
    return keras.layers.Dense(1, dtype="float32", name="logit")(features)
