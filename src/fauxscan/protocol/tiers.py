"""How images reach a judge: as they were stored, as web sites pass them on, or after worse."""

from collections.abc import Callable, Mapping

from fauxscan.media.images import codec, pixels
from fauxscan.media.images.codec import Image
from fauxscan.params.protocols import Tier

WEB_SIDE, WEB_QUALITY, HARD_QUALITY = 256, 80, 40


def native(image: Image) -> Image:
    """Return the image as it is."""
    return image


def web(image: Image) -> Image:
    """Return the image with its shorter side at most 256 pixels, after JPEG at quality 80."""
    longer, shorter = max(image.shape[:2]), min(image.shape[:2])
    smaller, _ = pixels.shrink_to(image, max(1, round(longer * min(1.0, WEB_SIDE / shorter))))
    return codec.jpeg_compressed(smaller, WEB_QUALITY)


def hard(image: Image) -> Image:
    """Return the image with both sides halved, after JPEG at quality 40."""
    smaller, _ = pixels.shrink_to(image, max(1, max(image.shape[:2]) // 2))
    return codec.jpeg_compressed(smaller, HARD_QUALITY)


TIERS: Mapping[Tier, Callable[[Image], Image]] = {"native": native, "web": web, "hard": hard}
