"""Safe decoding of still images: the header is checked before memory for pixels is allocated.

OpenCV decodes JPEG and PNG, to the same pixels as TensorFlow, and WebP, in a third of the memory that Pillow needs.
Pillow decodes every other format; it knows how AVIF and HEIC state their orientation.
"""

import json

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from fauxscan.media.images import colour, headers, jpeg, png, tiff
from fauxscan.media.images.headers import ORIENTATION
from fauxscan.records import MediaError, Status

Image = NDArray[np.uint8]
# One filter and run-length encoding: a third of the time of OpenCV's default on crops, for a tenth more bytes.
PNG = [
    cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_UP, cv2.IMWRITE_PNG_COMPRESSION, 3,
    cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_RLE,
]  # fmt: skip
# 4:4:4, 4:2:2 and 4:2:0, which is the default
CHROMA = (
    cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_422, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420,
)  # fmt: skip
BY_OPENCV = ("jpeg", "png", "webp")
ANIMATED_WEBP = b"ANMF"  # of which OpenCV may return another picture than Pillow
CONVERTIBLE_MODES = (
    "1",
    "L",
    "LA",
    "P",
    "PA",
    "RGB",
    "RGBA",
    "RGBX",
    "CMYK",
    "YCbCr",
)  # modes that Pillow converts to RGB
FLIPS = {2: 1, 3: -1, 4: 0, 6: 1, 7: -1, 8: 0}  # EXIF orientation -> OpenCV's flip code; 5 to 8 are transposed first


class Still:
    """The first image of an encoded file, its header parsed once. Raise MediaError if the header is broken.

    `defects` says in sentences what is wrong with a file that can be shown nevertheless. Some show in decoding only.
    """

    def __init__(self, data: bytes, form: str) -> None:
        self.data, self.form = data, form
        self._coded, info, damaged = png.read_chunks(data) if form == "png" else (data, {}, ())
        self.header = headers.read_header(self._coded, form)
        self.header.info.update(info)
        self.width, self.height = self.header.size
        self.tables = getattr(self.header, "quantization", None)
        self.exif, unreadable = headers.read_exif(self.header)
        self._conversion, ignored = colour.read_conversion(self.header)
        self.defects: tuple[str, ...] = (*damaged, *unreadable, *ignored)

    def decode(self, max_pixels: int) -> Image:
        """Return uint8 RGB pixels (height, width, 3), oriented by EXIF and converted to sRGB.

        Alpha is dropped without blending. Raise MediaError: too_large by the header, truncated, corrupt, unsupported.
        """
        self._check(max_pixels)
        image = _by_opencv(self._coded) if self._is_for_opencv() else _by_pillow(self.header, self._keeps_cmyk())
        if self._conversion:
            image = self._conversion.apply(image)
        return image if self.form == "tiff" else _oriented(image, self.exif)  # Pillow orients TIFFs itself

    def _check(self, max_pixels: int) -> None:
        """Raise MediaError if the image is too large, or cut short in a way that the decoder would fill in silently."""
        headers.check_size(*self.header.size, max_pixels)
        if self.form == "jpeg":
            self._coded, unfinished = jpeg.first_image(self.data)
            self.defects = (*(defect for defect in self.defects if defect not in unfinished), *unfinished)
        if self.form == "tiff":
            tiff.check_first_page(self.header, max_pixels)

    def _is_for_opencv(self) -> bool:
        animated = self.form == "webp" and ANIMATED_WEBP in self.data
        return self.form in BY_OPENCV and not animated and not self._keeps_cmyk()

    def _keeps_cmyk(self) -> bool:
        """Return whether the colour profile says what the inks look like, which decoders do not know."""
        return self._conversion is not None and self._conversion.mode == "CMYK"

    def decodes_alike(self) -> bool:
        """Return whether TensorFlow decodes it to the same pixels.

        These are 8-bit JPEGs and PNGs without defects, which EXIF does not rotate and no profile converts.
        """
        modes = {"jpeg": ("RGB", "L"), "png": ("RGB",)}.get(self.form, ())
        plain = not self.defects and self._conversion is None and self.exif.get(ORIENTATION, 1) == 1
        return plain and self.header.mode in modes

    def traits(self) -> dict[str, object]:
        """Return properties of the file other than its pixels: JPEG quantisation tables and whether it has EXIF."""
        return {"jpeg_tables": json.dumps(self.tables) if self.tables else None, "exif": len(self.exif) > 0}


def decode(data: bytes, form: str, max_pixels: int) -> Image:
    """Return uint8 RGB pixels (height, width, 3) as `Still.decode` does. Raise MediaError."""
    return Still(data, form).decode(max_pixels)


def encode_png(image: Image) -> bytes:
    """Return the RGB pixels as a lossless PNG."""
    done, data = cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), PNG)
    if not done:
        raise ValueError(f"cannot encode an image of shape {image.shape}")
    return data.tobytes()


def encode_jpeg(image: Image, quality: int, chroma: int = CHROMA[-1]) -> bytes:
    """Return the RGB pixels as a JPEG of the given quality, 0 to 100, and chroma sampling, one of `CHROMA`."""
    options = [cv2.IMWRITE_JPEG_QUALITY, quality, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, chroma]
    done, data = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), options)
    if not done:
        raise ValueError(f"cannot encode an image of shape {image.shape}")
    return data.tobytes()


def jpeg_compressed(image: Image, quality: int) -> Image:
    """Return the RGB pixels after encoding and decoding them as a JPEG of the given quality, 0 to 100."""
    return decode(encode_jpeg(image, quality), "jpeg", max_pixels=image.size)


def _by_opencv(data: bytes) -> Image:
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error as error:
        raise headers.decoding_error("the decoder refuses it", error) from error
    if image is None:
        raise MediaError(Status.CORRUPT, "the decoder refuses it")
    return np.asarray(image, np.uint8)


def _by_pillow(header: Pillow.Image, keeps_cmyk: bool) -> Image:
    try:
        header.load()
        if header.mode.startswith("I;16"):
            return np.repeat(tiff.grey_levels(header)[..., None], 3, axis=2)
        if header.mode in CONVERTIBLE_MODES:
            return np.array(header if keeps_cmyk else header.convert("RGB"))
    except Exception as error:  # decoders raise any exception
        raise headers.decoding_error("the decoder refuses it", error) from error
    raise MediaError(Status.UNSUPPORTED, f"pixels of mode {header.mode}, for which black and white are not defined")


def _oriented(image: Image, exif: Pillow.Exif) -> Image:
    orientation = exif.get(ORIENTATION, 1)
    if orientation in (5, 6, 7, 8):
        image = np.asarray(cv2.transpose(image))
    return np.asarray(cv2.flip(image, FLIPS[orientation])) if orientation in FLIPS else image
