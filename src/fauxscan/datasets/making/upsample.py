"""Simulated generators of whole images: they leave the traces of generative up-sampling in a picture's spectrum."""

from collections.abc import Callable
from functools import partial

import cv2
import numpy as np

from fauxscan.media.blending.blend import Floats, Pixels

Layer = Callable[[Pixels], Pixels]  # (h, w, 3) -> (2h, 2w, 3)


def _convolve(pixels: Pixels, kernel: Floats) -> Pixels:
    return np.asarray(cv2.filter2D(pixels, cv2.CV_32F, kernel, borderType=cv2.BORDER_REFLECT_101))


def _resize(pixels: Pixels, how: int, kernel: Floats) -> Pixels:
    return _convolve(cv2.resize(pixels, None, fx=2, fy=2, interpolation=how), kernel)


def _insert_zeros(pixels: Pixels, kernel: Floats) -> Pixels:
    height, width, channels = pixels.shape
    stuffed = np.zeros((2 * height, 2 * width, channels), np.float32)
    stuffed[::2, ::2] = pixels
    return _convolve(stuffed, kernel)


def _shuffle(pixels: Pixels, kernels: list[Floats]) -> Pixels:
    height, width, channels = pixels.shape
    shuffled = np.empty((2 * height, 2 * width, channels), np.float32)
    for place, kernel in enumerate(kernels):
        shuffled[place // 2 :: 2, place % 2 :: 2] = _convolve(pixels, kernel)
    return shuffled


def _learned_kernel(kernel: Floats, spread: float, rng: np.random.Generator) -> Floats:
    """Return an ideal kernel as if learned: weights vary by `spread`; their sum, which is brightness, is kept."""
    learned = kernel * (1 + spread * rng.standard_normal(kernel.shape, np.float32))
    return np.asarray(learned * (kernel.sum() / learned.sum()), np.float32)


def nearest(rng: np.random.Generator) -> Layer:
    """Return a layer that doubles each pixel, then convolves 3x3, as in progressive GANs (Karras et al., ICLR 2018)."""
    near_identity = np.array([[0, 0.03, 0], [0.03, 0.88, 0.03], [0, 0.03, 0]], np.float32)
    return partial(_resize, how=cv2.INTER_NEAREST, kernel=_learned_kernel(near_identity, 0.1, rng))


def bilinear(rng: np.random.Generator) -> Layer:
    """Return a layer that interpolates bilinearly, then convolves 3x3, as in StyleGAN (Karras et al., CVPR 2019)."""
    near_identity = np.array([[0, -0.03, 0], [-0.03, 1.12, -0.03], [0, -0.03, 0]], np.float32)
    return partial(_resize, how=cv2.INTER_LINEAR, kernel=_learned_kernel(near_identity, 0.1, rng))


def zero_insertion(rng: np.random.Generator) -> Layer:
    """Return a transposed convolution of stride 2, which leaves a checkerboard (Odena et al., Distill 2016)."""
    binomial = np.array([[0.25, 0.5, 0.25], [0.5, 1, 0.5], [0.25, 0.5, 0.25]], np.float32)
    return partial(_insert_zeros, kernel=_learned_kernel(binomial, 0.03, rng))


def pixel_shuffle(rng: np.random.Generator) -> Layer:
    """Return four interleaved convolutions (Shi et al., CVPR 2016), whose learned gains are never quite equal."""
    weights = np.array([0.25, 0.75, 0], np.float32)
    phases = [np.outer(y, x) for y in (weights, weights[::-1]) for x in (weights, weights[::-1])]
    gains = 1 + 0.02 * rng.standard_normal(4)
    return partial(
        _shuffle, kernels=[(gain * phase).astype(np.float32) for gain, phase in zip(gains, phases, strict=True)]
    )


KINDS: dict[str, Callable[[np.random.Generator], Layer]] = {
    "upsample_nearest": nearest,
    "upsample_bilinear": bilinear,
    "upsample_zero_insertion": zero_insertion,
    "upsample_pixel_shuffle": pixel_shuffle,
}


def generate(pixels: Pixels, grain: Pixels, layer: Layer) -> Pixels:
    """Return the picture (h, w, 3) halved, with detail `grain` (h/2, w/2, 3) added, and enlarged by `layer`.

    This simulates the traces of a generator without training one (Zhang et al., WIFS 2019). Detail is added before the
    enlargement, as StyleGAN does with noise, so that it has the traces too.
    """
    height, width = pixels.shape[:2]
    return layer(cv2.resize(pixels, (width // 2, height // 2), interpolation=cv2.INTER_AREA) + grain)
