"""Image headers: read by Pillow and checked before memory for any pixel is allocated."""

import io
import warnings

from PIL import Image as Pillow
from PIL import TiffImagePlugin, UnidentifiedImageError

from fauxscan.records import MediaError, Status

ORIENTATION = 0x0112  # the EXIF tag
PLUGINS = {"heic": "HEIF"}  # Pillow's name of a format where it differs from ours


def read_header(data: bytes, form: str) -> Pillow.Image:
    """Return the image, its pixels not yet decoded. Raise MediaError if the header is broken."""
    if form == "heic":
        _know_heic()
    if form == "tiff":
        _know_white_is_zero()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # our own cap decides about sizes
            return Pillow.open(io.BytesIO(data), formats=[PLUGINS.get(form, form.upper())])
    except Exception as error:  # Pillow's parsers raise any exception on hostile headers
        raise decoding_error(f"the {form} header cannot be read", error) from error


def read_exif(header: Pillow.Image) -> tuple[Pillow.Exif, tuple[str, ...]]:
    """Return the EXIF of an image, and what is wrong with it. No pixels are decoded."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about single tags that are broken
            Pillow.Exif().load(header.info.get("exif") or b"")  # for a JPEG, Pillow conceals that this fails
            exif = Pillow.Image.getexif(header)  # a PNG's own method decodes the pixels to search behind them
            exif.get(ORIENTATION)  # values are parsed when they are asked for
        return exif, ()
    except Exception:  # as above
        return Pillow.Exif(), ("its EXIF cannot be read and is ignored",)


def check_size(width: int, height: int, max_pixels: int) -> None:
    """Raise MediaError if width times height exceeds the cap."""
    if width * height > max_pixels:
        raise MediaError(Status.TOO_LARGE, f"{width}x{height}; the cap is {max_pixels} pixels")


def decoding_error(what: str, error: Exception) -> MediaError:
    """Return the MediaError for an exception of a decoder."""
    if isinstance(error, (MemoryError, Pillow.DecompressionBombError)):
        return MediaError(Status.TOO_LARGE, str(error) or "more memory is needed than there is")
    if isinstance(error, UnidentifiedImageError):  # its text names a memory address, which differs each time
        return MediaError(Status.CORRUPT, what)
    status = Status.TRUNCATED if "truncated" in str(error).lower() else Status.CORRUPT
    return MediaError(status, f"{what}: {error}"[:200])


def _know_heic() -> None:
    try:
        import pi_heif
    except ImportError as error:
        raise MediaError(Status.UNSUPPORTED, 'HEIC needs the package pi-heif: pip install "fauxscan[heic]"') from error
    pi_heif.register_heif_opener()


def _know_white_is_zero() -> None:
    """Let Pillow open a grey TIFF of 16 bits in which white is zero if it is big-endian, as it does if it is not."""
    TiffImagePlugin.OPEN_INFO.setdefault((b"MM", 0, (1,), 1, (16,), ()), ("I;16B", "I;16B"))
