"""Recognise truncated videos: compare the file's size with the length that its container states.

FFmpeg decodes what is left of a truncated file and reports no error.
"""

import os
from typing import BinaryIO

from fauxscan.records import MediaError, Status

ATOMS = (b"ftyp", b"moov", b"mdat", b"moof", b"mfra", b"sidx", b"styp", b"wide", b"free", b"skip", b"meta", b"uuid")
MOST_BOXES = 10_000  # of an MP4 that are read
SEGMENT = b"\x18\x53\x80\x67"  # the Matroska element that holds everything after the header
# Its elements and those of a cluster, which in a live recording have no stated length either.
ELEMENTS = frozenset(
    bytes.fromhex(name)
    for name in (
        "114d9b74", "1549a966", "1654ae6b", "1043a770", "1f43b675", "1c53bb6b", "1941a469", "1254c367", "ec", "bf",
        "e7", "5854", "a7", "ab", "a3", "a0", "af",
    )
)  # fmt: skip
MOST_ELEMENTS = 1_000_000  # of a Matroska file that are read: hours of a live recording


def check_length(file: BinaryIO, form: str) -> None:
    """Raise MediaError if the file is shorter than its container states; without a stated length it passes."""
    size = file.seek(0, os.SEEK_END)
    announced = {"mov": _length_of_boxes, "avi": _length_of_riff, "matroska": _length_of_segment}[form](file, size)
    if announced > size:
        raise MediaError(Status.TRUNCATED, f"{size} bytes of {announced}")


def _length_of_riff(file: BinaryIO, size: int) -> int:
    file.seek(4)
    return int.from_bytes(file.read(4), "little")  # writers disagree on whether the first eight bytes are included


def _length_of_boxes(file: BinaryIO, size: int) -> int:
    """Return the offset at which the last known box ends; anything may follow it."""
    at = 0
    for _ in range(MOST_BOXES):
        file.seek(at)
        head = file.read(16)
        length = int.from_bytes(head[:4], "big")
        if length == 1:
            length = int.from_bytes(head[8:16], "big")
        if head[4:8] not in ATOMS or length < 8 or at > size:
            return at
        at += length
    return at


def _length_of_segment(file: BinaryIO, size: int) -> int:
    """Return the offset at which the segment or the last element in it ends; anything may follow the segment."""
    file.seek(0)
    head = file.read(4096) + bytes(16)
    length, at = _number(head, 4)
    if head[at + length :][:4] != SEGMENT:
        return 0
    length, at = _number(head, at + length + 4)
    return max(at + length, _end_of_elements(file, at, at + length if length else size))


def _end_of_elements(file: BinaryIO, at: int, end: int) -> int:
    """Return the offset at which the last known element between two offsets ends, or its name if that is cut."""
    for _ in range(MOST_ELEMENTS):
        file.seek(at)
        left = file.read(12)
        head = left + bytes(12)
        width = 9 - head[0].bit_length()
        if at < end and left and any(len(left) < len(name) and name.startswith(left) for name in ELEMENTS):
            return at + width
        if at >= end or head[:width] not in ELEMENTS:
            break
        length, start = _number(head, width)
        at += start + length  # an element of unknown length is entered
    return at


def _number(data: bytes, at: int) -> tuple[int, int]:
    """Return a variable-width Matroska number and the offset behind it; all ones mean unknown, returned as 0."""
    width = 9 - data[at].bit_length()
    most = (1 << 7 * width) - 1
    value = int.from_bytes(data[at : at + width], "big") & most
    return (0 if value == most else value), at + width
