"""Where a video ends by its container's own word: FFmpeg takes what is there of a file that was cut, and is silent."""

import os
from typing import BinaryIO

from fauxscan.records import MediaError, Status

ATOMS = (b"ftyp", b"moov", b"mdat", b"moof", b"mfra", b"sidx", b"styp", b"wide", b"free", b"skip", b"meta", b"uuid")
MOST_BOXES = 10_000  # of an MP4 that are looked at
SEGMENT = b"\x18\x53\x80\x67"  # of Matroska: all that follows its header


def check(file: BinaryIO, form: str) -> None:
    """Raise MediaError if the file is shorter than its container says; one that says nothing is taken as it is."""
    size = file.seek(0, os.SEEK_END)
    announced = {"mov": _of_boxes, "avi": _of_riff, "matroska": _of_segment}[form](file, size)
    if announced > size:
        raise MediaError(Status.TRUNCATED, f"{size} bytes of {announced}")


def _of_riff(file: BinaryIO, size: int) -> int:
    file.seek(4)
    return int.from_bytes(file.read(4), "little")  # whether these eight bytes count is not the same with all writers


def _of_boxes(file: BinaryIO, size: int) -> int:
    """Return where the last known box ends; behind it may be anything."""
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


def _of_segment(file: BinaryIO, size: int) -> int:
    """Return where the segment ends; 0 if it does not say, as in a live recording."""
    file.seek(0)
    head = file.read(4096) + bytes(16)
    length, at = _number(head, 4)
    if head[at + length :][:4] != SEGMENT:
        return 0
    length, at = _number(head, at + length + 4)
    return at + length


def _number(data: bytes, at: int) -> tuple[int, int]:
    """Return a number of Matroska's and where it ends; its first bits tell its width, ones alone that it is unknown."""
    width = 9 - data[at].bit_length()
    most = (1 << 7 * width) - 1
    value = int.from_bytes(data[at : at + width], "big") & most
    return (0 if value == most else value), at + width
