"""A small head on the frozen image tower of CLIP's ViT-B/16: the class tokens of its inner blocks, two dense layers.

That inner blocks see more of a generator than the embedding does was found by Koutlis and Papadopoulos 2024. Training
changes the head alone, so a model folder holds no tower: every head on a machine shares one (backbones/).
"""

import keras
from keras import layers

from fauxscan.layers import Attention, ClassToken, QuickGelu, logit_head
from fauxscan.records import DetectorCard, Recipe, View

CARD = DetectorCard(
    name="clip_vit_b16",
    paper="Radford et al. 2021, Learning Transferable Visual Models from Natural Language Supervision; Koutlis and "
    "Papadopoulos 2024, Leveraging Representations from Intermediate Encoder-blocks for Synthetic Image Detection",
    input_size=224,
    looks_at=View.FACE,
    parameters=1_589_633,
    recipe=Recipe(
        optimizer="adamw",
        weight_decay=0.01,
        learning_rate=2e-3,
        one_cycle=True,
        batch_size=64,
        epochs=25,
        monitor="val_loss",
    ),
    expected="not measured yet",
    backbone="clip",
)
PATCH, HEADS, BLOCKS, WIDTH = 16, 12, 12, 768
MEAN = (0.48145466, 0.4578275, 0.40821073)  # of the pixels that CLIP was trained on, in 0..1
DEVIATION = (0.26862954, 0.26130258, 0.27577711)


def build(
    size: int = CARD.input_size, first: int = 4, hidden: int = 256, inner: int = 64, dropout: float = 0.25
) -> keras.Model:
    """Return tower and head: RGB in 0..255 (batch, size, size, 3) -> logit of P(fake) (batch, 1). Only the head learns.

    The head takes the blocks from number `first` on; `hidden` and `inner` are the units of its two dense layers.
    """
    image, frozen = keras.Input((size, size, 3), name="image"), tower(size)
    frozen.trainable = False
    return keras.Model(image, _judged(frozen(image), first, hidden, inner, dropout), name=CARD.name)


def head(
    first: int = 4, hidden: int = 256, inner: int = 64, dropout: float = 0.25, blocks: int = BLOCKS, width: int = WIDTH
) -> keras.Model:
    """Return the head alone: the class token after each block (batch, blocks, width) -> logit of P(fake) (batch, 1)."""
    features = keras.Input((blocks, width), name="features")
    return keras.Model(features, _judged(features, first, hidden, inner, dropout), name="head")


def _judged(features: keras.KerasTensor, first: int, hidden: int, inner: int, dropout: float) -> keras.KerasTensor:
    x = layers.UnitNormalization()(layers.Cropping1D((first, 0))(features))
    x = layers.BatchNormalization(center=False, scale=False)(layers.Flatten()(x))
    x = layers.Dropout(dropout)(layers.Dense(hidden, activation="gelu")(x))
    x = layers.Dropout(2 * dropout)(layers.Dense(inner, activation="gelu")(x))
    return logit_head(x)


def tower(
    size: int = CARD.input_size, patch: int = PATCH, heads: int = HEADS, blocks: int = BLOCKS, width: int = WIDTH
) -> keras.Model:
    """Return the tower: RGB in 0..255 (batch, size, size, 3) -> class token after each block (batch, blocks, width)."""
    image = keras.Input((size, size, 3), name="image")
    x = layers.Normalization(mean=[255 * one for one in MEAN], variance=[(255 * one) ** 2 for one in DEVIATION])(image)
    x = layers.Conv2D(width, patch, patch, use_bias=False, name="patches")(x)
    x = ClassToken(name="tokens")(layers.Reshape((-1, width))(x))
    x = _normalised(x, "normalisation")
    found, others = [], x.shape[1] - 1
    for number in range(blocks):
        x = _block(x, f"block_{number}_", heads)
        found.append(layers.Cropping1D((0, others))(x))
    return keras.Model(image, layers.Concatenate(axis=1)(found), name="tower")


def _block(x: keras.KerasTensor, name: str, heads: int) -> keras.KerasTensor:
    """Return x after attention and two dense layers, each on a normalised copy and added."""
    width = x.shape[-1]
    y = _normalised(x, f"{name}before_attention")
    y = Attention(heads)([layers.Dense(width, name=f"{name}{one}")(y) for one in ("query", "key", "value")])
    x = layers.Add()([x, layers.Dense(width, name=f"{name}attended")(y)])
    y = layers.Dense(4 * width, name=f"{name}wide")(_normalised(x, f"{name}before_dense"))
    return layers.Add()([x, layers.Dense(width, name=f"{name}narrow")(QuickGelu()(y))])


def _normalised(x: keras.KerasTensor, name: str) -> keras.KerasTensor:
    return layers.LayerNormalization(epsilon=1e-5, name=name)(x)
