"""Re-encode images in one way, or each in a way drawn at random, so that files do not reveal the class (`reencode`)."""

import numpy as np

from fauxscan.media.images import codec, pixels
from fauxscan.media.images.codec import Image
from fauxscan.params import RandomReencodeParams, ReencodeParams
from fauxscan.records import View


def encode_jpeg(image: Image, reencode: ReencodeParams, view: View) -> bytes:
    """Return the image as a JPEG of the given quality; whole images are resized to the given size first."""
    return codec.encode_jpeg(_sized(image, reencode, view), reencode.jpeg_quality)


def encode_jpeg_at_random(image: Image, ranges: RandomReencodeParams, view: View, sha256: str, seed: int) -> bytes:
    """Return the image as a JPEG of a size, quality and chroma sampling drawn by the seed and its file's SHA-256.

    Nothing else decides: all frames and face crops of a file are re-encoded in the same way, in each run.
    """
    rng = np.random.default_rng([seed, int(sha256, 16)])
    size, quality = (int(rng.integers(*ends, endpoint=True)) for ends in (ranges.size, ranges.jpeg_quality))
    drawn = ReencodeParams(size=size, jpeg_quality=quality)
    return codec.encode_jpeg(_sized(image, drawn, view), quality, codec.CHROMA[rng.integers(len(codec.CHROMA))])


def reencode_image(image: Image, reencode: ReencodeParams | None, view: View) -> Image:
    """Return the pixels of the image after it is re-encoded, or the image itself if `reencode` is None."""
    return codec.jpeg_compressed(_sized(image, reencode, view), reencode.jpeg_quality) if reencode else image


def _sized(image: Image, reencode: ReencodeParams, view: View) -> Image:
    return pixels.resize(image, reencode.size) if view is View.WHOLE else image
