"""Meso-4: four small convolutions on a face (Afchar et al. 2018)."""

import keras
from keras import layers

from fauxscan.layers import logit_head
from fauxscan.records import DetectorCard, Recipe, View

CARD = DetectorCard(
    name="meso4",
    paper="Afchar, Nozick, Yamagishi and Echizen 2018, MesoNet: a Compact Facial Video Forgery Detection Network",
    input_size=256,
    looks_at=View.FACE,
    parameters=27_977,
    recipe=Recipe(
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
    ),
    expected="deepfake_database: 0.891 accuracy by frame, 0.969 by video",
)


def build(size: int = CARD.input_size, activation: str = "relu") -> keras.Model:
    """Return the network: RGB in 0..255 (batch, size, size, 3) -> logit of P(fake) (batch, 1)."""
    image = keras.Input((size, size, 3), name="image")
    x = layers.Rescaling(1 / 255)(image)

    # === Four blocks: convolution, normalisation, pooling ===
    for filters, kernel, pool in ((8, 3, 2), (8, 5, 2), (16, 5, 2), (16, 5, 4)):
        x = layers.Conv2D(filters, kernel, padding="same", activation=activation)(x)
        x = layers.BatchNormalization()(x)
        x = layers.MaxPooling2D(pool, padding="same")(x)

    # === Head ===
    x = layers.Dropout(0.5)(layers.Flatten()(x))
    x = layers.LeakyReLU(0.1)(layers.Dense(16)(x))
    return keras.Model(image, logit_head(layers.Dropout(0.5)(x)), name=CARD.name)
