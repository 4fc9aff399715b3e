"""Images that are cut short, damaged or too large, recognised before a decoder fills in what is missing."""

import re

from PIL import Image as Pillow

from fauxscan.media.images.headers import check_size, decoding_error
from fauxscan.records import MediaError, Status

MOST_SCANS = 100  # of a JPEG; 1 to 14 are usual, and each scan costs a pass over all pixels
MARKER = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")  # neither a stuffed 0xff within coded pixels nor a restart marker
BARE_MARKERS = (0x01, 0xD8)  # markers without a segment
SUBFILE_TYPE, TILE_WIDTH, TILE_LENGTH = 254, 322, 323  # TIFF tags


def check_image(header: Pillow.Image, data: bytes, form: str, max_pixels: int) -> None:
    """Raise MediaError if the image is too large, or cut short in a way that the decoder would fill in silently."""
    check_size(*header.size, max_pixels)
    if form == "jpeg":
        _check_scans(data)
    if form == "png":
        _check_chunks(header, data)
    if form == "tiff":
        _check_first_page(header, max_pixels)


def _check_scans(data: bytes) -> None:
    """Check a JPEG's markers up to the end of its first image. What follows, often a video, is ignored."""
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
        header.verify()  # afterwards this object cannot be decoded any more
    except Exception as error:
        raise decoding_error("a PNG chunk is damaged", error) from error


def _check_first_page(header: Pillow.Image, max_pixels: int) -> None:
    """Check what Pillow leaves to libtiff: tiles larger than the image, raw photographs that begin with a preview."""
    tags = header.tag_v2  # type: ignore[attr-defined]
    try:
        tile, preview = int(tags.get(TILE_WIDTH, 0)) * int(tags.get(TILE_LENGTH, 0)), int(tags.get(SUBFILE_TYPE, 0)) & 1
    except (TypeError, ValueError) as error:
        raise decoding_error("a TIFF tag is damaged", error) from error
    check_size(tile, 1, max_pixels)
    if preview:
        raise MediaError(Status.UNSUPPORTED, "its first image is the preview of another: probably a raw photograph")
