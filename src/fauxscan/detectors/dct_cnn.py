"""DCT CNN: a small network on the log spectrum of a whole image (Frank et al. 2020; write-up of Omdena, 2022)."""

import keras
from keras import layers

from fauxscan.layers import LogDct, logit_head
from fauxscan.records import DetectorCard, Recipe, View

CARD = DetectorCard(
    name="dct_cnn",
    paper="Frank et al. 2020, Leveraging Frequency Analysis for Deep Fake Image Recognition; Tule 2022 (Omdena)",
    input_size=224,
    looks_at=View.WHOLE,
    parameters=106_587,
    recipe=Recipe(loss="binary_crossentropy", learning_rate=1e-3, batch_size=40, epochs=100, early_stopping=10),
    expected="0.954 validation accuracy, 0.805 on a second and 0.621 on a third source (write-up's own data)",
)


def build(size: int = CARD.input_size) -> keras.Model:
    """Return the network: RGB in 0..255 (batch, size, size, 3) -> logit of P(fake) (batch, 1)."""
    image = keras.Input((size, size, 3), name="image")
    x = LogDct()(layers.Rescaling(1 / 255)(image))

    # === Four convolutions, pooled after the second and the third ===
    for filters, pool in ((3, False), (8, True), (16, True), (32, False)):
        x = layers.Conv2D(filters, 3, padding="same", activation="relu")(x)
        x = layers.BatchNormalization()(x)
        x = layers.AveragePooling2D(2)(x) if pool else x

    # === Head ===
    return keras.Model(image, logit_head(layers.Dropout(0.5)(layers.Flatten()(x))), name=CARD.name)
