"""One format, size and quality for all images, so that the file tells nothing about the class (`align` in params)."""

from fauxscan.media import images, pixels
from fauxscan.media.images import Image
from fauxscan.params import AlignParams
from fauxscan.records import View

CAP = 1 << 30  # pixels: what is encoded here passed the caps before


def encoded(image: Image, align: AlignParams, view: View) -> bytes:
    """Return the image as a JPEG of the quality aligned to, if it is a whole one at the size aligned to."""
    if view is View.WHOLE:
        image = pixels.resize(image, align.size)
    return images.encode_jpeg(image, align.jpeg_quality)


def seen(image: Image, align: AlignParams | None, view: View) -> Image:
    """Return what is left of the image once it is aligned, or the image where nothing is."""
    return images.decode(encoded(image, align, view), "jpeg", CAP) if align else image
