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
AFTER_PIXELS = (END_OF_IMAGE, 0xDC)  # the latter states the number of lines
# A block of Samsung's, with its type and the length of its name, or the first box of an MP4 video.
TRAILER = re.compile(rb"\0\0[^\0]\x0a[^\0]\0\0\0[A-Z]|\0\0\0.ftyp", re.DOTALL)
FOLLOWERS = (b"", b"\xd8", b"\xfe", *(bytes([marker]) for marker in range(0xE0, 0xF0)))  # or a JPEG, comments
END = b"\xff\xd9"
MORE_PIXELS = (b"\x55" * 1024 + END, b"\x9c" * 1024 + END)  # coded bytes of no picture
RESTARTS = [bytes((0xFF, marker)) for marker in range(0xD0, 0xD8)]
SLACK = 2  # bytes: as many may be between the last pixel and the end of the coded bytes
NO_END = "no end-of-image marker behind its pixels, which are all there"


class _Scans(NamedTuple):
    """The coded bytes of a JPEG: where they begin, whether it has one scan, and where its end-of-image marker ends."""

    begin: int
    are_one: bool
    end: int | None  # None if there is no such marker, or another one before it


def first_image(data: bytes) -> tuple[bytes, tuple[str, ...]]:
    """Return the JPEG, without what follows it if it has no end-of-image marker, and what is wrong with it.

    Raise MediaError if it is cut short or has too many scans. What follows its first image, often a video, is ignored.
    """
    scans = _find_scans(data)
    trailer = TRAILER.search(data, scans.begin, scans.end or len(data)) if scans.end != len(data) else None
    if scans.end and not trailer:
        return data, ()
    end = trailer.start() if trailer else _next_marker(data, scans.begin)
    is_plausible = scans.are_one and (trailer or data[end + 1 : end + 2] in FOLLOWERS)
    if not is_plausible or not _ends_at(data, end):
        raise MediaError(Status.TRUNCATED, "no end-of-image marker after the last scan")
    return data[:end] + END, (NO_END,)


def _find_scans(data: bytes) -> _Scans:
    begin, count, components, are_one = len(data), 0, b"", False
    for marker, at in _markers(data):
        if marker == END_OF_IMAGE or (are_one and marker not in AFTER_PIXELS):
            return _Scans(begin, are_one, at if marker == END_OF_IMAGE else None)
        if marker in SEQUENTIAL:
            components = data[at + 7 : at + 8]
        if marker == START_OF_SCAN:
            count += 1
            begin = min(begin, at + _length(data, at))
            are_one = count == 1 and data[at + 2 : at + 3] == components
        if count > MOST_SCANS:
            raise MediaError(Status.TOO_LARGE, f"a JPEG of more than {MOST_SCANS} scans")
    return _Scans(begin, are_one, None)


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
    """Return whether the coded bytes of a JPEG give all pixels: the same ones, whatever follows."""
    coded = coded.rstrip(b"\xff")
    first = _decode(coded + END)
    others = (*MORE_PIXELS, _next_restart(coded) + MORE_PIXELS[0])
    return first.size > 0 and all(np.array_equal(first, _decode(coded + other)) for other in others)


def _next_restart(coded: bytes) -> bytes:
    """Return the restart marker that follows the last one, before which a decoder reads no further pixels."""
    last = max(RESTARTS, key=coded.rfind)
    return RESTARTS[(RESTARTS.index(last) + 1) % 8] if last in coded else RESTARTS[0]


def _decode(data: bytes) -> NDArray[np.uint8]:
    """Return the pixels of a JPEG, or none if the decoder refuses it."""
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error:
        image = None
    return np.asarray([] if image is None else image, np.uint8)
