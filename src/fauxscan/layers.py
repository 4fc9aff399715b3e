"""Layers, heads and recipes that detectors share, written with keras.ops so that they run on any Keras backend.

Every custom layer of a saved model is defined here: loading a model imports this module and no detector.
"""

import math
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from fauxscan.records import Recipe

Moments = dict[str, list[float]]  # "mean" and "variance" of each channel
Activation = str | dict[str, float]  # a name that Keras knows, or {leaky_relu: slope}
SLOPE = 0.3  # of leaky_relu in the MesoNet package and in Keras 2's layer; Keras's function of that name has 0.2

MESONET_RECIPE = Recipe(  # Afchar et al. 2018, section 4, which does not give the strengths of the augmentation
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


@keras.saving.register_keras_serializable("fauxscan", name="LogDct")
class LogDct(keras.layers.Layer):  # type: ignore[misc]
    """Log magnitude of the orthonormal 2-D DCT-II of each channel: (batch, n, n, c) -> (batch, n, n, c).

    Frank et al. 2020, "Leveraging Frequency Analysis for Deep Fake Image Recognition". Always float32: the
    small offset under the logarithm is lost in half precision.
    """

    full_precision = True  # engines that compute in 16 bits must not do so here

    def __init__(self, epsilon: float = 1e-12, **kwargs: object) -> None:
        super().__init__(**{**kwargs, "dtype": "float32"})
        self.epsilon = epsilon

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Create the DCT matrices for the height and width of the input."""
        self.rows = dct_matrix(int(input_shape[1] or 0))
        self.columns = dct_matrix(int(input_shape[2] or 0))

    def call(self, images: keras.KerasTensor) -> keras.KerasTensor:
        """Return log(|C x Ct| + epsilon) for each channel x."""
        channels = ops.transpose(ops.cast(images, "float32"), (0, 3, 1, 2))
        coefficients = ops.matmul(ops.matmul(self.rows, channels), self.columns.T)  # a third faster than einsum
        return ops.log(ops.abs(ops.transpose(coefficients, (0, 2, 3, 1))) + self.epsilon)

    def get_config(self) -> dict[str, object]:
        """Return the arguments."""
        return {**super().get_config(), "epsilon": self.epsilon}


@keras.saving.register_keras_serializable("fauxscan", name="Cooccurrences")
class Cooccurrences(keras.layers.Layer):  # type: ignore[misc]
    """Square roots of the counts of three pixel differences that occur together: (batch, n, m, 3) -> (batch, bins).

    First and second differences of rows, then of columns, are truncated to -truncation..truncation. Each of the four
    gives a histogram for each channel, of three neighbours along the difference (Pevný, Bas and Fridrich 2010), and
    one of the three channels at one place (after Nataraj et al. 2019). Counts are integers, and exact.
    """

    full_precision = True  # engines that compute in 16 bits must not do so here

    def __init__(self, truncation: int = 3, **kwargs: object) -> None:
        super().__init__(**{**kwargs, "dtype": "float32"})
        self.truncation, self.levels = truncation, 2 * truncation + 1

    def call(self, images: keras.KerasTensor) -> keras.KerasTensor:
        """Return the square roots of all counts, one histogram after the other."""
        rows = ops.round(ops.transpose(ops.cast(images, "float32"), (0, 3, 1, 2)))  # floats hold these integers exactly
        columns = ops.swapaxes(rows, 2, 3)
        first = [x[:, :, 1:] - x[:, :, :-1] for x in (rows, columns)]
        found = [counts for x in first for y in (x, x[:, :, 1:] - x[:, :, :-1]) for counts in self._histograms(y)]
        return ops.sqrt(ops.cast(ops.concatenate(found, axis=-1), "float32"))

    def _histograms(self, differences: keras.KerasTensor) -> Iterator[keras.KerasTensor]:
        """Yield the counts of each channel along the third axis, and those across channels."""
        levels = ops.clip(differences, -self.truncation, self.truncation) + self.truncation
        hundreds, tens = self.levels**2, self.levels
        channels = self.levels**3 * np.arange(3, dtype=np.float32)[:, None, None]
        yield self._counts(hundreds * levels[:, :, :-2] + tens * levels[:, :, 1:-1] + levels[:, :, 2:] + channels, 3)
        yield self._counts(hundreds * levels[:, 0] + tens * levels[:, 1] + levels[:, 2], 1)

    def _counts(self, bins: keras.KerasTensor, histograms: int) -> keras.KerasTensor:
        """Return how often each image has each bin: (batch, histograms x bins of each)."""
        batch, width, places = ops.shape(bins)[0], histograms * self.levels**3, math.prod(bins.shape[1:])
        each = ops.reshape(ops.cast(bins, "int32"), (batch, places)) + width * ops.arange(batch)[:, None]
        empty, ones = ops.zeros((batch * width,), "int32"), ops.ones((batch * places,), "int32")
        counts = ops.scatter_update(empty, ops.reshape(each, (-1, 1)), ones, reduction="add")
        return ops.reshape(counts, (batch, width))

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Return the shape of the sixteen histograms."""
        return (input_shape[0], 16 * self.levels**3)

    def get_config(self) -> dict[str, object]:
        """Return the arguments."""
        return {**super().get_config(), "truncation": self.truncation}


@keras.saving.register_keras_serializable("fauxscan", name="ClassToken")
class ClassToken(keras.layers.Layer):  # type: ignore[misc]
    """Puts a learned token before those of the patches, and adds a learned vector to each place.

    (batch, patches, width) -> (batch, 1 + patches, width), as in a vision transformer (Dosovitskiy et al. 2021).
    """

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Create the token and the vectors."""
        _, patches, width = input_shape
        self.token = self.add_weight((width,), "random_normal", name="token")
        self.places = self.add_weight(((patches or 0) + 1, width), "random_normal", name="places")

    def call(self, patches: keras.KerasTensor) -> keras.KerasTensor:
        """Return all tokens."""
        first = ops.broadcast_to(self.token, (ops.shape(patches)[0], 1, patches.shape[-1]))
        return ops.concatenate([ops.cast(first, patches.dtype), patches], axis=1) + self.places


@keras.saving.register_keras_serializable("fauxscan", name="Attention")
class Attention(keras.layers.Layer):  # type: ignore[misc]
    """Mixes values as queries and keys say, in several heads (Vaswani et al. 2017); it has no weights.

    Queries, keys and values, each (batch, tokens, width), -> (batch, tokens, width).
    """

    def __init__(self, heads: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.heads = heads

    def call(self, inputs: list[keras.KerasTensor]) -> keras.KerasTensor:
        """Return the values, mixed as queries and keys say."""
        _, tokens, width = inputs[0].shape
        query, key, value = (ops.reshape(x, (-1, tokens, self.heads, width // self.heads)) for x in inputs)
        return ops.reshape(ops.dot_product_attention(query, key, value), (-1, tokens, width))

    def compute_output_shape(self, input_shape: list[tuple[int | None, ...]]) -> tuple[int | None, ...]:
        """Return the shape of the values."""
        return input_shape[2]

    def get_config(self) -> dict[str, object]:
        """Return the arguments."""
        return {**super().get_config(), "heads": self.heads}


@keras.saving.register_keras_serializable("fauxscan", name="QuickGelu")
class QuickGelu(keras.layers.Layer):  # type: ignore[misc]
    """Returns x * sigmoid(1.702 x), which stands in for GELU in CLIP (Hendrycks and Gimpel 2016)."""

    def call(self, x: keras.KerasTensor) -> keras.KerasTensor:
        """Return the activation."""
        return x * ops.sigmoid(1.702 * x)


def dct_matrix(n: int) -> NDArray[np.float32]:
    """Return the orthonormal DCT-II matrix C of shape (n, n), float32: the DCT of a column x is C x."""
    k, i = np.mgrid[:n, :n]
    matrix = math.sqrt(2 / n) * np.cos(math.pi * (2 * i + 1) * k / (2 * n))
    matrix[0] /= math.sqrt(2)
    return np.asarray(matrix, np.float32)


def meso_head(x: keras.KerasTensor) -> keras.KerasTensor:
    """Return the logit of the head of both MesoNets: 16 units between two dropouts (Afchar et al. 2018)."""
    x = keras.layers.Dropout(0.5)(keras.layers.Flatten()(x))
    x = keras.layers.LeakyReLU(0.1)(keras.layers.Dense(16)(x))
    return logit_head(keras.layers.Dropout(0.5)(x))


def logit_head(features: keras.KerasTensor, name: str = "logit") -> keras.KerasTensor:
    """Return one logit of P(fake), float32, shape (batch, 1)."""
    return keras.layers.Dense(1, dtype="float32", name=name)(features)


def activated(named: Activation) -> Any:
    """Return the named activation, a layer for LeakyReLU. Raise ValueError if it is unknown."""
    if named == "leaky_relu":
        named = {"leaky_relu": SLOPE}
    if not isinstance(named, dict):
        return keras.activations.get(named)
    if set(named) != {"leaky_relu"}:
        raise ValueError(f"activation must be a name or {{leaky_relu: slope}}, not {named}")
    return keras.layers.LeakyReLU(negative_slope=named["leaky_relu"])


def scaled(image: keras.KerasTensor, featurewise: Moments | None) -> keras.KerasTensor:
    """Return RGB in 0..255 as 0..1, or centred and scaled by the training set's moments."""
    if featurewise is None:
        return keras.layers.Rescaling(1 / 255)(image)
    return keras.layers.Normalization(mean=featurewise["mean"], variance=featurewise["variance"])(image)


def imagenet_scaled(image: keras.KerasTensor) -> keras.KerasTensor:
    """Return RGB in 0..255 minus ImageNet's mean, divided by its deviation, as torchvision's networks expect."""
    variance = [(255 * deviation) ** 2 for deviation in (0.229, 0.224, 0.225)]
    return keras.layers.Normalization(mean=[255 * mean for mean in (0.485, 0.456, 0.406)], variance=variance)(image)


def meso_inception(x: keras.KerasTensor, named: Activation) -> keras.KerasTensor:
    """Return the features of MesoInception-4 (batch, n / 32, n / 32, 16) for scaled images (Afchar et al. 2018)."""
    activation = activated(named)
    for filters in ((1, 4, 4, 2), (2, 4, 4, 2)):
        x = keras.layers.BatchNormalization()(_inception(x, filters, activation))
        x = keras.layers.MaxPooling2D(2, padding="same")(x)
    for pool in (2, 4):
        x = keras.layers.Conv2D(16, 5, padding="same", activation=activation)(x)
        x = keras.layers.BatchNormalization()(x)
        x = keras.layers.MaxPooling2D(pool, padding="same")(x)
    return x


def _inception(x: keras.KerasTensor, filters: tuple[int, int, int, int], activation: Any) -> keras.KerasTensor:
    """Return four parallel branches: 1x1, and 1x1 followed by 3x3 at dilations 1, 2 and 3."""
    first, *others = filters
    branches = [keras.layers.Conv2D(first, 1, padding="same", activation=activation)(x)]
    for width, dilation in zip(others, (1, 2, 3), strict=True):
        branch = keras.layers.Conv2D(width, 1, padding="same", activation=activation)(x)
        wide = keras.layers.Conv2D(width, 3, padding="same", dilation_rate=dilation, activation=activation)
        branches.append(wide(branch))
    return keras.layers.Concatenate()(branches)


def spectrum(image: keras.KerasTensor) -> keras.KerasTensor:
    """Return features (batch, n / 4, n / 4, 32) of the log spectrum of RGB in 0..255 (Frank et al. 2020; Tule 2022)."""
    x = LogDct()(keras.layers.Rescaling(1 / 255, dtype="float32")(image))
    for filters, pool in ((3, False), (8, True), (16, True), (32, False)):
        x = keras.layers.Conv2D(filters, 3, padding="same", activation="relu")(x)
        x = keras.layers.BatchNormalization()(x)
        x = keras.layers.AveragePooling2D(2)(x) if pool else x
    return x


class Sometimes(keras.layers.Layer):  # type: ignore[misc]
    """Changes each image of a training batch with a given probability, and none outside training. Always float32.

    Random numbers are drawn separately from their use, as in Keras's own layers, so that training can draw them in
    order and change many batches in parallel.
    """

    numbers = 0  # random numbers in 0..1 that the change of an image needs

    def __init__(self, probability: float = 1.0, seed: int | None = None, **kwargs: object) -> None:
        super().__init__(**{**kwargs, "dtype": "float32"})
        self.probability, self.seed = probability, seed
        self.draws = keras.random.SeedGenerator(seed)

    def call(self, images: keras.KerasTensor, training: bool = False) -> keras.KerasTensor:
        """Return images of the same shape."""
        return self.transform_images(images, self.get_random_transformation(images)) if training else images

    def get_random_transformation(self, images: keras.KerasTensor, training: bool = True) -> keras.KerasTensor:
        """Return random numbers in 0..1, (batch, 1 + numbers): the first decides if an image changes, the rest how."""
        return keras.random.uniform((ops.shape(images)[0], 1 + self.numbers), seed=self.draws)

    def transform_images(
        self, images: keras.KerasTensor, drawn: keras.KerasTensor, training: bool = True
    ) -> keras.KerasTensor:
        """Return the images, changed as the random numbers say."""
        chosen = drawn[:, 0] < self.probability
        return ops.where(chosen[:, None, None, None], self.change(images, drawn[:, 1:]), images)

    def change(self, images: keras.KerasTensor, drawn: keras.KerasTensor) -> keras.KerasTensor:
        """Return all images changed by the random numbers (batch, numbers). Subclasses implement it."""
        raise NotImplementedError

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Return the shape unchanged."""
        return input_shape

    def get_config(self) -> dict[str, object]:
        """Return the arguments."""
        return {**super().get_config(), "probability": self.probability, "seed": self.seed}


@keras.saving.register_keras_serializable("fauxscan", name="RandomQuarterTurn")
class RandomQuarterTurn(Sometimes):
    """Rotates square images by 90 degrees, as tf.image.rot90 does."""

    def change(self, images: keras.KerasTensor, drawn: keras.KerasTensor) -> keras.KerasTensor:
        """Return all images rotated counter-clockwise."""
        return ops.rot90(images, axes=(1, 2))


@keras.saving.register_keras_serializable("fauxscan", name="RandomCentreCrop")
class RandomCentreCrop(Sometimes):
    """Crops the central `share` of both sides and resizes it to the full size (bilinear)."""

    def __init__(self, share: float = 0.5, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.share = share

    def change(self, images: keras.KerasTensor, drawn: keras.KerasTensor) -> keras.KerasTensor:
        """Return the resized centre of all images."""
        height, width = images.shape[1:3]
        top, left = (round(side * (1 - self.share) / 2) for side in (height, width))
        return ops.image.resize(images[:, top : height - top, left : width - left], (height, width))

    def get_config(self) -> dict[str, object]:
        """Return the arguments."""
        return {**super().get_config(), "share": self.share}


@keras.saving.register_keras_serializable("fauxscan", name="RandomBlur")
class RandomBlur(Sometimes):
    """Blurs with a Gaussian whose sigma (pixels) is drawn for each image; Keras's layer draws one for the whole batch.

    Images are mirrored at their borders, which keeps the brightness: scipy.ndimage.gaussian_filter, untruncated.
    """

    numbers = 1

    def __init__(self, sigma: tuple[float, float] = (0.0, 3.0), **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.sigma = tuple(sigma)

    def change(self, images: keras.KerasTensor, drawn: keras.KerasTensor) -> keras.KerasTensor:
        """Return all images blurred, with one matrix for the rows and one for the columns."""
        sigma = within(drawn[:, 0], *self.sigma)[:, None, None]
        sigma = ops.maximum(sigma, 1e-3)  # nearly 0 leaves the image unchanged
        rows, columns = (gaussian_matrix(side, sigma) for side in images.shape[1:3])
        return ops.einsum("bih,bhwc,bjw->bijc", rows, images, columns)

    def get_config(self) -> dict[str, object]:
        """Return the arguments."""
        return {**super().get_config(), "sigma": self.sigma}


@keras.saving.register_keras_serializable("fauxscan", name="Crop")
class Crop(keras.layers.Layer):  # type: ignore[misc]
    """Crops a square out of each image: at a random place for each in training, from the centre otherwise."""

    def __init__(self, size: int, seed: int | None = None, **kwargs: object) -> None:
        super().__init__(**{**kwargs, "dtype": "float32"})
        self.size, self.seed = size, seed
        self.draws = keras.random.SeedGenerator(seed)

    def call(self, images: keras.KerasTensor, training: bool = False) -> keras.KerasTensor:
        """Return (batch, size, size, 3)."""
        spare = images.shape[1] - self.size
        if not training:
            start = spare // 2
            return images[:, start : start + self.size, start : start + self.size]
        starts = keras.random.randint((2, ops.shape(images)[0], 1), 0, spare + 1, seed=self.draws)
        picks = ops.one_hot(starts + ops.arange(self.size), images.shape[1])  # one matrix for rows and one for columns
        return ops.einsum("bih,bhwc,bjw->bijc", picks[0], images, picks[1])

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Return the shape of the squares."""
        return (input_shape[0], self.size, self.size, input_shape[3])

    def get_config(self) -> dict[str, object]:
        """Return the arguments."""
        return {**super().get_config(), "size": self.size, "seed": self.seed}


def within(share: keras.KerasTensor, low: float, high: float) -> keras.KerasTensor:
    """Map 0..1 to low..high."""
    return low + share * (high - low)


def random_saturation(low: float, high: float, seed: int | None = None) -> keras.Layer:
    """Return the Keras layer that multiplies the saturation by low..high."""
    factor = (low / (1 + low), high / (1 + high))  # Keras multiplies by f / (1 - f)
    # value_range bounds the saturation, which lies in 0..1 whatever the range of the pixels
    return keras.layers.RandomSaturation(factor, value_range=(0, 1), seed=seed, dtype="float32")


def gaussian_matrix(n: int, sigma: keras.KerasTensor) -> keras.KerasTensor:
    """Return matrices (batch, n, n) that blur a column of n pixels, mirrored at both ends, for sigma (batch, 1, 1)."""
    i, j = ops.arange(n, dtype="float32")[:, None], ops.arange(n, dtype="float32")[None]
    weights = sum(ops.exp(-ops.square(d / sigma) / 2) for d in (i - j, i + j + 1, 2 * n - 1 - i - j))
    return weights / ops.sum(weights, axis=-1, keepdims=True)
