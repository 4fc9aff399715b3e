"""The end of a JPEG: a decoder fills in silently what is cut off, so markers are checked before.

Some cameras write no end-of-image marker and append data of their own. Such a file is accepted only if it has one scan
and a test proves that its pixels depend on its coded bytes up to the end, and on nothing behind them.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from fauxscan.records import MediaError, Status

MOST_SCANS = 100  # 1 to 14 are usual, and each scan costs a pass over all pixels
MARKER = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")  # neither a stuffed 0xff within coded pixels nor a restart marker
END_OF_IMAGE, START_OF_SCAN = 0xD9, 0xDA
BARE_MARKERS = (0x01, 0xD8)  # markers without a segment
SEQUENTIAL = (0xC0, 0xC1)  # frames whose pixels may all be in one scan
AFTER_SCAN = (END_OF_IMAGE, START_OF_SCAN, 0xDC, 0xFE, *range(0xE0, 0xF0))  # another scan, lines, comments
# A block of Samsung's, with its type and the length of its name, or the first box of an MP4 video.
TRAILER = re.compile(rb"\0\0[^\0]\x0a[^\0]\0\0\0[A-Z]|\0\0\0.ftyp", re.DOTALL)
# What may follow the coded bytes: decoders take the first for the end, the others for more pixels.
FILLINGS = [b"\xff\xd9", b"\x55" * 1024 + b"\xff\xd9", b"\x9c" * 1024 + b"\xff\xd9"]
SLACK = 8  # bytes of padding between the last pixel and the end of the coded bytes
NO_END = "no end-of-image marker, but all pixels are there"


class _Scans(NamedTuple):
    """Where the scans of a JPEG are: `only` is the first byte of its only scan, `end` is None without an end marker."""

    only: int | None
    end: int | None


def first_image(data: bytes) -> tuple[bytes, tuple[str, ...]]:
    """Return the JPEG, without what follows it if it has no end-of-image marker, and what is wrong with it.

    Raise MediaError if it is cut short or has too many scans. What follows its first image, often a video, is ignored.
    """
    scans = _scans(data)
    trailer = None
    if scans.only and scans.end != len(data):
        trailer = TRAILER.search(data, scans.only, scans.end or len(data))
    if scans.end and not trailer:
        return data, ()
    end = trailer.start() if trailer else _next_marker(data, scans.only or 0)
    if not scans.only or not _ends_at(data, end):
        raise MediaError(Status.TRUNCATED, "no end-of-image marker after the last scan")
    return data[:end] + FILLINGS[0], (NO_END,)


def _scans(data: bytes) -> _Scans:
    """Return where the scans and the end of the first image are."""
    count, components, only = 0, b"", None
    for marker, at in _markers(data):
        if only and marker not in AFTER_SCAN:
            return _Scans(only, None)
        if marker == END_OF_IMAGE:
            return _Scans(only, at)
        if marker in SEQUENTIAL:
            components = data[at + 7 : at + 8]
        if marker == START_OF_SCAN:
            count += 1
            only = at + _length(data, at) if count == 1 and data[at + 2 : at + 3] == components else None
        if count > MOST_SCANS:
            raise MediaError(Status.TOO_LARGE, f"a JPEG of more than {MOST_SCANS} scans")
    return _Scans(only, None)


def _markers(data: bytes) -> Iterator[tuple[int, int]]:
    """Yield each marker and where it ends, without those inside segments."""
    at = 2
    while found := MARKER.search(data, at):
        marker, at = data[found.end() - 1], found.end()
        yield marker, at
        if marker not in BARE_MARKERS:
            at += _length(data, at)


def _length(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 2], "big")


def _next_marker(data: bytes, at: int) -> int:
    found = MARKER.search(data, at)
    return found.start() if found else len(data)


def _ends_at(data: bytes, end: int) -> bool:
    """Return whether the pixels depend on the bytes before `end`, and would be the same whatever follows them."""
    return _is_complete(data[:end]) and not _is_complete(data[: end - SLACK])


def _is_complete(coded: bytes) -> bool:
    """Return whether the coded bytes of a JPEG give all pixels."""
    first, *others = (_decode(coded.rstrip(b"\xff") + filling) for filling in FILLINGS)
    return first.size > 0 and all(np.array_equal(first, other) for other in others)


def _decode(data: bytes) -> NDArray[np.uint8]:
    """Return the pixels of a JPEG, or none if the decoder refuses it."""
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error:
        image = None
    return np.asarray([] if image is None else image, np.uint8)
