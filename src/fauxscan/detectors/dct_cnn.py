"""DCT CNN: a small network on the log spectrum of a whole image (Frank et al. 2020; Tule 2022)."""

import keras
from keras import layers

from fauxscan.layers import logit_head, spectrum
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
    x = layers.Dropout(0.5)(layers.Flatten()(spectrum(image)))
    return keras.Model(image, logit_head(x), name=CARD.name)
