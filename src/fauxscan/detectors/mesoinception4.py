"""MesoInception-4: Meso-4 with two inception modules of dilated convolutions (Afchar et al. 2018).

Write-ups train it differently: at 299 px with cross-entropy, 0.002 for 30 epochs and 2e-4 for 20 (Xu 2019: `phases`);
or on whole images at 224 px with squared error, in batches of 40, at 1e-3 for at most 100 epochs (Tule 2022, the
spatial model), with the augmentation in cross_domain.py.
"""

import keras

from fauxscan.layers import MESONET_RECIPE, Activation, Moments, meso_head, meso_inception, scaled
from fauxscan.records import DetectorCard, View

CARD = DetectorCard(
    name="mesoinception4",
    paper="Afchar, Nozick, Yamagishi and Echizen 2018, MesoNet: a Compact Facial Video Forgery Detection Network",
    input_size=256,
    looks_at=View.FACE,
    parameters=28_615,
    recipe=MESONET_RECIPE,
    expected="deepfake_database: 0.917 accuracy by frame, 0.984 by video; Tule 2022 at 224 px: 0.805 and 0.635",
)


def build(
    size: int = CARD.input_size, activation: Activation = "relu", featurewise: Moments | None = None
) -> keras.Model:
    """Return the network: RGB in 0..255 (batch, size, size, 3) -> logit of P(fake) (batch, 1)."""
    image = keras.Input((size, size, 3), name="image")
    x = meso_inception(scaled(image, featurewise), activation)
    return keras.Model(image, meso_head(x), name=CARD.name)
