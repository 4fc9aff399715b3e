"""Meso-4: four small convolutions on a face (Afchar et al. 2018).

Write-ups train it differently: at 299 px with cross-entropy, 0.002 for 30 epochs and 2e-4 for 20 (Xu 2019: `phases`);
or for 30 epochs in batches of 32 with a decay that reaches 1e-6 at the end (MesoNet package, 2021: `decay_steps` 0).
"""

import keras
from keras import layers

from fauxscan.layers import MESONET_RECIPE, Activation, Moments, activated, meso_head, scaled
from fauxscan.records import DetectorCard, View

CARD = DetectorCard(
    name="meso4",
    paper="Afchar, Nozick, Yamagishi and Echizen 2018, MesoNet: a Compact Facial Video Forgery Detection Network",
    input_size=256,
    looks_at=View.FACE,
    parameters=27_977,
    recipe=MESONET_RECIPE,
    expected="deepfake_database: 0.891 accuracy by frame, 0.969 by video",
)


def build(
    size: int = CARD.input_size, activation: Activation = "relu", featurewise: Moments | None = None
) -> keras.Model:
    """Return the network: RGB in 0..255 (batch, size, size, 3) -> logit of P(fake) (batch, 1)."""
    image = keras.Input((size, size, 3), name="image")
    x, act = scaled(image, featurewise), activated(activation)

    # === Four blocks: convolution, normalisation, pooling ===
    for filters, kernel, pool in ((8, 3, 2), (8, 5, 2), (16, 5, 2), (16, 5, 4)):
        x = layers.Conv2D(filters, kernel, padding="same", activation=act)(x)
        x = layers.BatchNormalization()(x)
        x = layers.MaxPooling2D(pool, padding="same")(x)

    # === Head ===
    return keras.Model(image, meso_head(x), name=CARD.name)
