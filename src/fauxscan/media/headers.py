"""What an image file says of itself: read by Pillow and judged before any pixel is allocated."""

import io
import re
import warnings

from PIL import Image as Pillow
from PIL import UnidentifiedImageError

from fauxscan.records import MediaError, Status

PLUGINS = {"heic": "HEIF"}  # Pillow's names of formats, where they are not ours
MOST_SCANS = 100  # of a JPEG: usual are 1 to 14, and each one that is claimed costs a pass over all pixels
MARKER = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")  # neither a stuffed 0xff of the coded pixels nor a restart
BARE_MARKERS = (0x01, 0xD8)  # nothing belongs to them
SUBFILE_TYPE, TILE_WIDTH, TILE_LENGTH = 254, 322, 323  # tags of TIFF


def read(data: bytes, form: str) -> Pillow.Image:
    """Return the image with its pixels not decoded yet. Raise MediaError if the header is broken or claims too much."""
    if form == "heic":
        _know_heic()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # sizes are judged by our own cap
            return Pillow.open(io.BytesIO(data), formats=[PLUGINS.get(form, form.upper())])
    except Exception as error:  # Pillow's parsers raise what they like on hostile headers
        raise broken(f"the {form} header cannot be read", error) from error


def exif(header: Pillow.Image, data: bytes) -> Pillow.Exif:
    """Return the EXIF of the first picture. Raise MediaError if it is broken."""
    try:
        if header.format == "PNG" and b"eXIf" not in data:  # Pillow would decode all pixels to look behind them
            return Pillow.Image.getexif(header)
        return header.getexif()
    except Exception as error:  # as above
        raise broken("its EXIF cannot be read", error) from error


def check(header: Pillow.Image, data: bytes, form: str, max_pixels: int) -> None:
    """Raise MediaError for what is too large, and where the decoder would fill what is missing and say nothing."""
    check_size(*header.size, max_pixels)
    if form == "jpeg":
        _check_scans(data)
    if form == "png":
        _check_chunks(header, data)
    if form == "tiff":
        _check_first_page(header, max_pixels)


def check_size(width: int, height: int, max_pixels: int) -> None:
    """Raise MediaError if these are more pixels than the cap."""
    if width * height > max_pixels:
        raise MediaError(Status.TOO_LARGE, f"{width}x{height}; the cap is {max_pixels} pixels")


def broken(what: str, error: Exception) -> MediaError:
    """Return what a decoder's error means for the file."""
    if isinstance(error, (MemoryError, Pillow.DecompressionBombError)):
        return MediaError(Status.TOO_LARGE, str(error) or "more memory is needed than there is")
    if isinstance(error, UnidentifiedImageError):  # which names an object in memory, another each time
        return MediaError(Status.CORRUPT, what)
    status = Status.TRUNCATED if "truncated" in str(error).lower() else Status.CORRUPT
    return MediaError(status, f"{what}: {error}"[:200])


def _know_heic() -> None:
    try:
        import pi_heif
    except ImportError as error:
        raise MediaError(Status.UNSUPPORTED, "HEIC needs the package pi-heif: `make setup-extras`") from error
    pi_heif.register_heif_opener()


def _check_scans(data: bytes) -> None:
    """Walk a JPEG's markers to the end of its first picture; what comes behind it, often a video, is not looked at."""
    scans, at = 0, 2
    while found := MARKER.search(data, at):
        marker, at = data[found.end() - 1], found.end()
        if marker == 0xD9:
            return
        scans += marker == 0xDA
        if scans > MOST_SCANS:
            raise MediaError(Status.TOO_LARGE, f"a JPEG of more than {MOST_SCANS} scans")
        if marker not in BARE_MARKERS:
            at += int.from_bytes(data[at : at + 2], "big")
    raise MediaError(Status.TRUNCATED, "no end-of-image marker after the last scan")


def _check_chunks(header: Pillow.Image, data: bytes) -> None:
    if b"IEND" not in data[-64:] and b"IEND" not in data:
        raise MediaError(Status.TRUNCATED, "no IEND chunk")
    try:
        header.verify()  # which leaves nothing to be decoded from it
    except Exception as error:
        raise broken("a PNG chunk is damaged", error) from error


def _check_first_page(header: Pillow.Image, max_pixels: int) -> None:
    """Look at what Pillow leaves to libtiff: tiles larger than the image, and raw photographs led by a preview."""
    tags = header.tag_v2  # type: ignore[attr-defined]
    try:
        tile, preview = int(tags.get(TILE_WIDTH, 0)) * int(tags.get(TILE_LENGTH, 0)), int(tags.get(SUBFILE_TYPE, 0)) & 1
    except (TypeError, ValueError) as error:
        raise broken("a TIFF tag is damaged", error) from error
    check_size(tile, 1, max_pixels)
    if preview:
        raise MediaError(Status.UNSUPPORTED, "its first picture is the preview of another: a raw photograph?")
