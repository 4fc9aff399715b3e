"""MesoInception-4: Meso-4 with two inception modules of dilated convolutions (Afchar et al. 2018)."""

import keras
from keras import layers

from fauxscan.layers import MESONET_RECIPE, meso_head
from fauxscan.records import DetectorCard, View

CARD = DetectorCard(
    name="mesoinception4",
    paper="Afchar, Nozick, Yamagishi and Echizen 2018, MesoNet: a Compact Facial Video Forgery Detection Network",
    input_size=256,
    looks_at=View.FACE,
    parameters=28_615,
    recipe=MESONET_RECIPE,
    expected="deepfake_database: 0.917 accuracy by frame, 0.984 by video",
)


def build(size: int = CARD.input_size, activation: str = "relu") -> keras.Model:
    """Return the network: RGB in 0..255 (batch, size, size, 3) -> logit of P(fake) (batch, 1)."""
    image = keras.Input((size, size, 3), name="image")
    x = layers.Rescaling(1 / 255)(image)

    # === Two inception modules ===
    for filters in ((1, 4, 4, 2), (2, 4, 4, 2)):
        x = layers.BatchNormalization()(_inception(x, filters, activation))
        x = layers.MaxPooling2D(2, padding="same")(x)

    # === Two plain blocks ===
    for pool in (2, 4):
        x = layers.Conv2D(16, 5, padding="same", activation=activation)(x)
        x = layers.BatchNormalization()(x)
        x = layers.MaxPooling2D(pool, padding="same")(x)

    # === Head ===
    return keras.Model(image, meso_head(x), name=CARD.name)


def _inception(x: keras.KerasTensor, filters: tuple[int, int, int, int], activation: str) -> keras.KerasTensor:
    """Return four branches side by side: 1x1, and 1x1 followed by 3x3 at dilations 1, 2 and 3."""
    first, *others = filters
    branches = [layers.Conv2D(first, 1, padding="same", activation=activation)(x)]
    for width, dilation in zip(others, (1, 2, 3), strict=True):
        branch = layers.Conv2D(width, 1, padding="same", activation=activation)(x)
        wide = layers.Conv2D(width, 3, padding="same", dilation_rate=dilation, activation=activation)
        branches.append(wide(branch))
    return layers.Concatenate()(branches)
