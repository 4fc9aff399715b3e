"""Tuned CNN: four normalised convolutions and two dense layers on a small face (Spagnola 2020)."""

import keras
from keras import layers

from fauxscan.layers import logit_head
from fauxscan.records import DetectorCard, Recipe, View

CARD = DetectorCard(
    name="tuned_cnn",
    paper="Spagnola 2020, Deepfake Image Detection: CNN with parameter tuning",
    input_size=64,
    looks_at=View.FACE,
    parameters=107_217,
    recipe=Recipe(
        optimizer="sgd",
        learning_rate=0.01,
        batch_size=16,
        epochs=25,
        monitor="val_accuracy",
        min_delta=0.01,
        early_stopping=3,
    ),
    expected="above 0.9 accuracy, recall almost equal (write-up's own data)",
)


def build(size: int = CARD.input_size) -> keras.Model:
    """Return the network: RGB in 0..255 (batch, size, size, 3) -> logit of P(fake) (batch, 1)."""
    image = keras.Input((size, size, 3), name="image")
    x = layers.Rescaling(1 / 255)(image)

    # === Four blocks ===
    for filters, activation in ((128, "relu"), (64, "tanh"), (32, "tanh"), (16, "tanh")):
        x = layers.Conv2D(filters, 3, activation=activation)(x)
        x = layers.BatchNormalization(momentum=0.95, epsilon=0.005)(x)
        x = layers.MaxPooling2D(2)(x)

    # === Head ===
    x = layers.Flatten()(x)
    for units in (64, 32):
        x = layers.Dense(units, activation="relu")(x)
    return keras.Model(image, logit_head(x), name=CARD.name)
