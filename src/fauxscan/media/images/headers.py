"""Image headers: read by Pillow and checked before memory for any pixel is allocated."""

import io
import warnings

from PIL import Image as Pillow
from PIL import UnidentifiedImageError

from fauxscan.records import MediaError, Status

PLUGINS = {"heic": "HEIF"}  # Pillow's name of a format where it differs from ours


def read_header(data: bytes, form: str) -> Pillow.Image:
    """Return the image, its pixels not yet decoded. Raise MediaError if the header is broken."""
    if form == "heic":
        _know_heic()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # our own cap decides about sizes
            return Pillow.open(io.BytesIO(data), formats=[PLUGINS.get(form, form.upper())])
    except Exception as error:  # Pillow's parsers raise any exception on hostile headers
        raise decoding_error(f"the {form} header cannot be read", error) from error


def read_exif(header: Pillow.Image, data: bytes) -> Pillow.Exif:
    """Return the EXIF of the first image in the file. Raise MediaError if it is broken."""
    try:
        if header.format == "PNG" and b"eXIf" not in data:  # otherwise Pillow decodes all pixels to search behind them
            return Pillow.Image.getexif(header)
        return header.getexif()
    except Exception as error:  # as above
        raise decoding_error("its EXIF cannot be read", error) from error


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
        raise MediaError(Status.UNSUPPORTED, "HEIC needs the package pi-heif: `make setup-extras`") from error
    pi_heif.register_heif_opener()
