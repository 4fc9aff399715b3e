"""Cross-domain: two branches for the pixels and the log spectrum of a whole image, joined by one head (Tule 2022).

The write-up meant to augment the input of the spatial branch and never did: each step starts again from the original
image, and a cache keeps the draws of the first epoch. Here augmentation layers precede that branch, drawn anew for each
batch.
"""

import keras
from keras import layers

from fauxscan.layers import (
    Activation,
    RandomBlur,
    RandomCentreCrop,
    RandomQuarterTurn,
    logit_head,
    meso_inception,
    random_saturation,
    spectrum,
)
from fauxscan.records import DetectorCard, Plateau, Recipe, View

CARD = DetectorCard(
    name="cross_domain",
    paper="Tule 2022 (Omdena), after Deepfake Detection Method Based on Cross-Domain Fusion",
    input_size=224,
    looks_at=View.WHOLE,
    parameters=6_491_265,
    recipe=Recipe(
        loss="binary_crossentropy",
        learning_rate=1e-3,
        batch_size=40,
        epochs=100,
        early_stopping=10,
        reduce_on_plateau=Plateau(patience=5, factor=0.5, lowest_rate=1e-6),
    ),
    expected="0.97 validation accuracy, 0.855 on a second and 0.638 on a third source (write-up's own data)",
)


def build(size: int = CARD.input_size, activation: Activation = "relu") -> keras.Model:
    """Return the network: RGB in 0..255 (batch, size, size, 3) -> logit of P(fake) (batch, 1)."""
    image = keras.Input((size, size, 3), name="image")

    # === Two branches: pixels and frequencies ===
    pixels = meso_inception(layers.Rescaling(1 / 255)(_augmented(image)), activation)
    frequencies = spectrum(image)

    # === Head ===
    x = layers.Concatenate()([layers.Flatten()(pixels), layers.Flatten()(frequencies)])
    x = layers.LeakyReLU(0.1)(layers.Dense(64)(layers.Dropout(0.5)(x)))
    return keras.Model(image, logit_head(layers.Dropout(0.5)(x)), name=CARD.name)


def _augmented(image: keras.KerasTensor) -> keras.KerasTensor:
    """Return the image augmented as train_preprocess of the write-up intends; unchanged outside training."""
    for change in (
        layers.RandomFlip("horizontal", dtype="float32"),
        layers.RandomFlip("vertical", dtype="float32"),  # one layer for both would flip both or neither
        layers.RandomBrightness(32 / 255, value_range=(0, 255), dtype="float32"),
        random_saturation(0.5, 1.5),
        RandomBlur((1.0, 1.0), probability=0.5),
        layers.RandomInvert((0.5, 0.5), value_range=(0, 255), dtype="float32"),  # one number would mean from 0 to 0.5
        RandomCentreCrop(0.5, probability=0.5),
        RandomQuarterTurn(probability=0.5),
    ):
        image = change(image)
    return image
