"""Re-encode all images to one format, size and quality, so that the file does not reveal the class (`reencode`)."""

from fauxscan.media.images import codec, pixels
from fauxscan.media.images.codec import Image
from fauxscan.params import ReencodeParams
from fauxscan.records import View


def encode_jpeg(image: Image, reencode: ReencodeParams, view: View) -> bytes:
    """Return the image as a JPEG of the given quality; whole images are resized to the given size first."""
    return codec.encode_jpeg(_sized(image, reencode, view), reencode.jpeg_quality)


def reencode_image(image: Image, reencode: ReencodeParams | None, view: View) -> Image:
    """Return the pixels of the image after it is re-encoded, or the image itself if `reencode` is None."""
    return codec.jpeg_compressed(_sized(image, reencode, view), reencode.jpeg_quality) if reencode else image


def _sized(image: Image, reencode: ReencodeParams, view: View) -> Image:
    return pixels.resize(image, reencode.size) if view is View.WHOLE else image
