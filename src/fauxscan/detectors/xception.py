"""Xception: a frozen trunk under five dense layers, then all of it trained (Chollet 2017; Spagnola 2020).

The write-up puts its layers on the 1000 class probabilities of the whole network. It gives neither the rate nor the
epochs of the second pass, only that the results are much worse without it. Here the layers are on the pooled features,
and the second pass has a tenth of the rate. The weights on the card are Keras's own.
"""

import keras
from keras import layers

from fauxscan.layers import logit_head
from fauxscan.records import Archive, DetectorCard, Phase, Recipe, View

CARD = DetectorCard(
    name="xception",
    paper="Chollet 2017, Xception: Deep Learning with Depthwise Separable Convolutions; Spagnola 2020",
    input_size=299,
    looks_at=View.FACE,
    parameters=568_321,
    recipe=Recipe(
        batch_size=64,
        phases=(Phase(epochs=25, learning_rate=1e-3), Phase(epochs=25, learning_rate=1e-4, unfrozen=True)),
        monitor="val_accuracy",
        min_delta=0.01,
        early_stopping=3,
    ),
    expected="a few points above the tuned CNN's 0.9 accuracy once unfrozen, much worse frozen (write-up's own data)",
    weights=Archive(
        "xception_weights_tf_dim_ordering_tf_kernels_notop.h5",
        "https://storage.googleapis.com/tensorflow/keras-applications/"
        "xception/xception_weights_tf_dim_ordering_tf_kernels_notop.h5",
        md5="b0042744bf5b25fce3cb969f33bebb97",
    ),
    weights_licence="MIT (Keras)",
)


def build(size: int = CARD.input_size, frozen: bool = True) -> keras.Model:
    """Return the network: RGB in 0..255 (batch, size, size, 3), size at least 71 -> logit of P(fake) (batch, 1)."""
    image = keras.Input((size, size, 3), name="image")
    x = layers.Rescaling(1 / 127.5, offset=-1)(image)

    # === Trunk ===
    trunk = keras.applications.Xception(include_top=False, weights=None, input_shape=(size, size, 3), name="trunk")
    trunk.trainable = not frozen
    x = layers.GlobalAveragePooling2D()(trunk(x))

    # === Head ===
    for units in (256, 128, 64, 32, 16):
        x = layers.Dense(units, activation="tanh")(x)
    return keras.Model(image, logit_head(x), name=CARD.name)
