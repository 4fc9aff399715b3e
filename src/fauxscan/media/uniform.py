"""One format, size and quality for all images, so that the file tells nothing about the class (`align` in params)."""

from fauxscan.media import images, pixels
from fauxscan.media.images import Image
from fauxscan.params import AlignParams
from fauxscan.records import View


def encoded(image: Image, align: AlignParams, view: View) -> bytes:
    """Return the image as a JPEG of the quality aligned to, if it is a whole one at the size aligned to."""
    return images.encode_jpeg(_sized(image, align, view), align.jpeg_quality)


def seen(image: Image, align: AlignParams | None, view: View) -> Image:
    """Return what is left of the image once it is aligned, or the image where nothing is."""
    return images.compressed(_sized(image, align, view), align.jpeg_quality) if align else image


def _sized(image: Image, align: AlignParams, view: View) -> Image:
    return pixels.resize(image, align.size) if view is View.WHOLE else image
