"""ResNet-50 as in the universal detector of Wang et al. 2020: torchvision's variant with one logit.

Layers have the names of torchvision's state dict with `_` for `.`, so that such weights are assigned by name. Wang et
al. crop 224 px out of a 256 px image: at random in training, from the centre otherwise. The write-up that rebuilds it
trains one epoch in batches of 100 on images of 224 px and validates every 10 batches (`epochs`, `batch_size`,
`validate_every`).
"""

import keras
from keras import layers

from fauxscan.layers import Crop, imagenet_scaled, logit_head
from fauxscan.records import Archive, DetectorCard, Plateau, Recipe, View

CARD = DetectorCard(
    name="resnet50",
    paper="Wang, Wang, Zhang, Owens and Efros 2020, CNN-generated images are surprisingly easy to spot... for now",
    input_size=256,
    looks_at=View.WHOLE,
    parameters=23_510_081,
    recipe=Recipe(
        learning_rate=1e-4,
        batch_size=64,
        epochs=100,
        monitor="val_accuracy",
        min_delta=1e-3,
        reduce_on_plateau=Plateau(patience=5, factor=0.1, lowest_rate=1e-6),
        early_stopping=15,  # three times the patience: the rate falls twice
        augmentation={
            "blur": {"sigma": [0.0, 3.0], "probability": 0.5},
            "jpeg": {"quality": [30, 100], "probability": 0.5},
            "flip": {},
        },
    ),
    expected="ProGAN to 13 generators, mean accuracy and average precision: 0.744 and 0.912 with blur and JPEG at 0.5, "
    "0.806 and 0.932 at 0.1; the write-up, on cats and dogs: 0.65 accuracy",
    weights=Archive(
        "resnet50-0676ba61.pth", "https://download.pytorch.org/models/resnet50-0676ba61.pth", sha256="0676ba61"
    ),
    weights_licence="BSD-3-Clause (torchvision)",
)
STAGES = ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2))  # width, blocks, stride of the first


def build(size: int = CARD.input_size, crop: int = 224) -> keras.Model:
    """Return the network: RGB in 0..255 (batch, size, size, 3) -> logit of P(fake) (batch, 1)."""
    image = keras.Input((size, size, 3), name="image")
    x = Crop(crop)(image) if crop < size else image
    x = imagenet_scaled(x)

    # === Stem ===
    x = layers.ReLU()(_normalised(_convolution(x, 64, 7, 2, "conv1"), "bn1"))
    x = layers.MaxPooling2D(3, 2)(layers.ZeroPadding2D(1)(x))  # zeros are the smallest values after ReLU

    # === Four stages of bottlenecks ===
    for stage, (width, blocks, stride) in enumerate(STAGES, 1):
        for block in range(blocks):
            x = _bottleneck(x, width, 1 if block else stride, f"layer{stage}_{block}")

    # === Head ===
    return keras.Model(image, logit_head(layers.GlobalAveragePooling2D()(x), name="fc"), name=CARD.name)


def _bottleneck(x: keras.KerasTensor, width: int, stride: int, name: str) -> keras.KerasTensor:
    """Return a residual block of 1x1, 3x3 and 1x1 convolutions, of which the 3x3 has the stride."""
    y = layers.ReLU()(_normalised(_convolution(x, width, 1, 1, f"{name}_conv1"), f"{name}_bn1"))
    y = layers.ReLU()(_normalised(_convolution(y, width, 3, stride, f"{name}_conv2"), f"{name}_bn2"))
    y = _normalised(_convolution(y, 4 * width, 1, 1, f"{name}_conv3"), f"{name}_bn3")
    if x.shape[-1] != 4 * width:
        x = _convolution(x, 4 * width, 1, stride, f"{name}_downsample_0")
        x = _normalised(x, f"{name}_downsample_1")
    return layers.ReLU()(layers.Add()([y, x]))


def _convolution(x: keras.KerasTensor, filters: int, kernel: int, stride: int, name: str) -> keras.KerasTensor:
    """Return a convolution without bias, padded equally on all sides as in torch; "same" pads the far side more."""
    x = layers.ZeroPadding2D(kernel // 2)(x) if kernel > 1 else x
    return layers.Conv2D(filters, kernel, stride, use_bias=False, kernel_initializer="he_normal", name=name)(x)


def _normalised(x: keras.KerasTensor, name: str) -> keras.KerasTensor:
    """Return a batch normalisation with torch's constants; torch's momentum of 0.1 is 0.9 in Keras."""
    return layers.BatchNormalization(momentum=0.9, epsilon=1e-5, name=name)(x)
