"""The demo's generators of whole images: what the up-sampling of generative networks does to a picture's spectrum."""

from collections.abc import Callable
from functools import partial

import cv2
import numpy as np

from fauxscan.media.blending import Floats, Pixels

Layer = Callable[[Pixels], Pixels]  # (h, w, 3) -> (2h, 2w, 3)


def _convolved(pixels: Pixels, kernel: Floats) -> Pixels:
    return np.asarray(cv2.filter2D(pixels, cv2.CV_32F, kernel, borderType=cv2.BORDER_REFLECT_101))


def _resized(pixels: Pixels, how: int, kernel: Floats) -> Pixels:
    return _convolved(cv2.resize(pixels, None, fx=2, fy=2, interpolation=how), kernel)


def _zero_inserted(pixels: Pixels, kernel: Floats) -> Pixels:
    height, width, channels = pixels.shape
    stuffed = np.zeros((2 * height, 2 * width, channels), np.float32)
    stuffed[::2, ::2] = pixels
    return _convolved(stuffed, kernel)


def _shuffled(pixels: Pixels, kernels: list[Floats]) -> Pixels:
    height, width, channels = pixels.shape
    shuffled = np.empty((2 * height, 2 * width, channels), np.float32)
    for place, kernel in enumerate(kernels):
        shuffled[place // 2 :: 2, place % 2 :: 2] = _convolved(pixels, kernel)
    return shuffled


def _imperfect(kernel: Floats, spread: float, rng: np.random.Generator) -> Floats:
    """The ideal kernel as training leaves it: each weight off by `spread`, the sum kept, as brightness is learned."""
    learned = kernel * (1 + spread * rng.standard_normal(kernel.shape, np.float32))
    return np.asarray(learned * (kernel.sum() / learned.sum()), np.float32)


def nearest(rng: np.random.Generator) -> Layer:
    """Each pixel doubled, then a 3x3 convolution, as in progressive GANs (Karras et al., ICLR 2018)."""
    near_identity = np.array([[0, 0.03, 0], [0.03, 0.88, 0.03], [0, 0.03, 0]], np.float32)
    return partial(_resized, how=cv2.INTER_NEAREST, kernel=_imperfect(near_identity, 0.1, rng))


def bilinear(rng: np.random.Generator) -> Layer:
    """Bilinear interpolation, then a 3x3 convolution, as in StyleGAN (Karras et al., CVPR 2019)."""
    near_identity = np.array([[0, -0.03, 0], [-0.03, 1.12, -0.03], [0, -0.03, 0]], np.float32)
    return partial(_resized, how=cv2.INTER_LINEAR, kernel=_imperfect(near_identity, 0.1, rng))


def zero_insertion(rng: np.random.Generator) -> Layer:
    """A transposed convolution of stride 2, whose uneven overlap leaves a checkerboard (Odena et al., Distill 2016)."""
    binomial = np.array([[0.25, 0.5, 0.25], [0.5, 1, 0.5], [0.25, 0.5, 0.25]], np.float32)
    return partial(_zero_inserted, kernel=_imperfect(binomial, 0.03, rng))


def pixel_shuffle(rng: np.random.Generator) -> Layer:
    """Four convolutions interleaved (Shi et al., CVPR 2016), whose gains training never makes quite equal."""
    weights = np.array([0.25, 0.75, 0], np.float32)
    phases = [np.outer(y, x) for y in (weights, weights[::-1]) for x in (weights, weights[::-1])]
    gains = 1 + 0.02 * rng.standard_normal(4)
    return partial(
        _shuffled, kernels=[(gain * phase).astype(np.float32) for gain, phase in zip(gains, phases, strict=True)]
    )


KINDS: dict[str, Callable[[np.random.Generator], Layer]] = {
    "upsample_nearest": nearest,
    "upsample_bilinear": bilinear,
    "upsample_zero_insertion": zero_insertion,
    "upsample_pixel_shuffle": pixel_shuffle,
}


def generated(pixels: Pixels, grain: Pixels, layer: Layer) -> Pixels:
    """The picture (h, w, 3) halved, given the network's own detail `grain` (h/2, w/2, 3), and enlarged by its `layer`.

    Simulates what a generator leaves in its pictures without training one (Zhang et al., WIFS 2019). Detail enters
    before the enlargement, as StyleGAN's noise does, so that it carries the traces too.
    """
    height, width = pixels.shape[:2]
    return layer(cv2.resize(pixels, (width // 2, height // 2), interpolation=cv2.INTER_AREA) + grain)
