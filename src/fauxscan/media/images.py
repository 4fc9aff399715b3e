"""Safe decoding of still images: the header is checked before pixels are allocated.

JPEG and PNG are decoded by OpenCV, whose pixels are those of TensorFlow's decoders, and WebP, for which it needs a
third of Pillow's memory; all else by Pillow, which knows how AVIF and HEIC say that they are turned.
"""

import json

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from fauxscan.media import headers
from fauxscan.records import MediaError, Status

Image = NDArray[np.uint8]
ORIENTATION = 0x0112  # the EXIF tag
# One filter and runs of bytes alone: on crops a third of the time of OpenCV's default, for a tenth more bytes.
PNG = [
    cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_UP, cv2.IMWRITE_PNG_COMPRESSION, 3,
    cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_RLE,
]  # fmt: skip
BY_OPENCV = ("jpeg", "png", "webp")
ANIMATED = {"png": b"acTL", "webp": b"ANMF"}  # of which OpenCV may show another picture than Pillow and TensorFlow do
RGB_COMES_OF = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr")  # modes of Pillow
FLIPS = {2: 1, 3: -1, 4: 0, 6: 1, 7: -1, 8: 0}  # EXIF orientation -> OpenCV's axis; 5 to 8 are transposed before


class Still:
    """The first picture of an encoded image, its header parsed once. Raise MediaError if it cannot be."""

    def __init__(self, data: bytes, form: str) -> None:
        self.data, self.form = data, form
        self.header = headers.read(data, form)
        self.width, self.height = self.header.size
        self.tables = getattr(self.header, "quantization", None)
        self.exif = headers.exif(self.header, data)

    def decode(self, max_pixels: int) -> Image:
        """Return RGB pixels of shape (height, width, 3), turned as EXIF says; alpha is left out, no ground is made up.

        Raise MediaError: too_large by the header, truncated, corrupt, or unsupported.
        """
        headers.check(self.header, self.data, self.form, max_pixels)
        if self.form in BY_OPENCV and not self._animated():
            return _turned(_by_opencv(self.data), self.exif)
        header = headers.read(self.data, self.form) if self.form == "png" else self.header  # which checking used up
        image = _by_pillow(header)
        return image if self.form == "tiff" else _turned(image, self.exif)  # a TIFF is turned by Pillow

    def _animated(self) -> bool:
        return self.form in ANIMATED and ANIMATED[self.form] in self.data

    def decodes_alike(self) -> bool:
        """Return whether TensorFlow's decoder gives our pixels: plain 8-bit JPEG or PNG, not turned."""
        modes = {"jpeg": ("RGB", "L"), "png": ("RGB",)}.get(self.form, ())
        return self.header.mode in modes and self.exif.get(ORIENTATION, 1) == 1

    def traits(self) -> dict[str, object]:
        """Return what a file tells besides its pixels: its JPEG quantisation tables, and whether it has EXIF."""
        return {"jpeg_tables": json.dumps(self.tables) if self.tables else None, "exif": len(self.exif) > 0}


def decode(data: bytes, form: str, max_pixels: int) -> Image:
    """Return RGB pixels of shape (height, width, 3), turned as EXIF says. Raise MediaError as `Still` does."""
    return Still(data, form).decode(max_pixels)


def encode_png(image: Image) -> bytes:
    """Return the RGB pixels as a PNG, without loss."""
    done, data = cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), PNG)
    if not done:
        raise ValueError(f"cannot encode an image of shape {image.shape}")
    return data.tobytes()


def encode_jpeg(image: Image, quality: int) -> bytes:
    """Return the RGB pixels as a JPEG of this quality (0 to 100)."""
    done, data = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise ValueError(f"cannot encode an image of shape {image.shape}")
    return data.tobytes()


def compressed(image: Image, quality: int) -> Image:
    """Return what is left of RGB pixels after a JPEG of this quality (0 to 100)."""
    return decode(encode_jpeg(image, quality), "jpeg", max_pixels=image.size)


def _by_opencv(data: bytes) -> Image:
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error as error:
        raise headers.broken("the decoder refuses it", error) from error
    if image is None:
        raise MediaError(Status.CORRUPT, "the decoder refuses it")
    return np.asarray(image, np.uint8)


def _by_pillow(header: Pillow.Image) -> Image:
    try:
        header.load()
        if header.mode.startswith("I;16"):
            return np.repeat((np.asarray(header) >> 8).astype(np.uint8)[..., None], 3, axis=2)
        if header.mode in RGB_COMES_OF:
            return np.array(header.convert("RGB"))
    except Exception as error:  # decoders raise what they like
        raise headers.broken("the decoder refuses it", error) from error
    raise MediaError(Status.UNSUPPORTED, f"pixels of mode {header.mode}: what is black and what white is not said")


def _turned(image: Image, exif: Pillow.Exif) -> Image:
    orientation = exif.get(ORIENTATION, 1)
    if orientation in (5, 6, 7, 8):
        image = np.asarray(cv2.transpose(image))
    return np.asarray(cv2.flip(image, FLIPS[orientation])) if orientation in FLIPS else image
