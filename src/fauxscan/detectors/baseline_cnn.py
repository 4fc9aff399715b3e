"""Baseline CNN: two convolutions on a small face, to measure others by (Spagnola 2020)."""

import keras
from keras import layers

from fauxscan.layers import logit_head
from fauxscan.records import DetectorCard, Recipe, View

CARD = DetectorCard(
    name="baseline_cnn",
    paper="Spagnola 2020, Deepfake Image Detection: baseline CNN",
    input_size=64,
    looks_at=View.FACE,
    parameters=8_657,
    recipe=Recipe(
        optimizer="rmsprop",
        learning_rate=1e-3,
        batch_size=64,
        epochs=25,
        monitor="val_accuracy",
        min_delta=0.1,
        early_stopping=3,
    ),
    expected="below the tuned CNN's 0.9 accuracy; the write-up gives no figure",
)


def build(size: int = CARD.input_size) -> keras.Model:
    """Return the network: RGB in 0..255 (batch, size, size, 3) -> logit of P(fake) (batch, 1)."""
    image = keras.Input((size, size, 3), name="image")
    x = layers.Rescaling(1 / 255)(image)
    for filters in (32, 16):
        x = layers.Conv2D(filters, 3, activation="relu")(x)
        x = layers.MaxPooling2D(2)(x)
    return keras.Model(image, logit_head(layers.Flatten()(x)), name=CARD.name)
