"""Residual statistics: a logistic regression on co-occurrences of neighbouring pixel differences (rich models)."""

import keras
from keras import layers

from fauxscan.layers import Cooccurrences
from fauxscan.records import DetectorCard, Recipe, View

CARD = DetectorCard(
    name="residual_statistics",
    paper="Pevný, Bas and Fridrich 2010, Steganalysis by Subtractive Pixel Adjacency Matrix; Fridrich and Kodovský "
    "2012, Rich Models for Steganalysis of Digital Images; Nataraj et al. 2019, Detecting GAN generated Fake Images "
    "using Co-occurrence Matrices",
    input_size=256,
    looks_at=View.WHOLE,
    parameters=5_489,
    recipe=Recipe(one_cycle=True),
    expected="StyleGAN and FFHQ, 500 + 500: AUC 0.83 by logistic regression on the same statistics, in five folds",
)


def build(size: int = CARD.input_size, truncation: int = 3) -> keras.Model:
    """Return the network: RGB in 0..255 (batch, size, size, 3) -> logit of P(fake) (batch, 1)."""
    image = keras.Input((size, size, 3), name="image")
    x = layers.BatchNormalization(momentum=0.9, center=False, scale=False)(Cooccurrences(truncation)(image))
    logit = layers.Dense(1, kernel_initializer="zeros", dtype="float32", name="logit")(x)  # few steps: noise would stay
    return keras.Model(image, logit, name=CARD.name)
