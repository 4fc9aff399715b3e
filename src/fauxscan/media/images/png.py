"""The chunks of a PNG: the critical ones must be whole, and of the others only EXIF and a colour profile are read.

Decoders get the critical chunks alone: broken texts or times do no harm, and an animation is its first picture.
"""

import zlib
from collections.abc import Iterator
from typing import Any, NamedTuple

from fauxscan.media.images.colour import MOST_PROFILE_BYTES
from fauxscan.records import MediaError, Status

SIGNATURE_BYTES = 8
AROUND_BODY = 12  # bytes of length, kind and checksum
NAME_BYTES = 80  # of a colour profile, with the zero byte behind it


class Chunk(NamedTuple):
    """A chunk where it lies in the file."""

    kind: bytes
    whole: memoryview
    is_intact: bool

    @property
    def body(self) -> memoryview:
        """Return the content of the chunk."""
        return self.whole[8:-4]

    @property
    def is_critical(self) -> bool:
        """Return whether no picture can be shown without this chunk."""
        return self.kind[:1].isupper()


def read_chunks(data: bytes) -> tuple[bytes, dict[str, Any], tuple[str, ...]]:
    """Return the PNG without ancillary chunks, its EXIF and profile under Pillow's names, and what is wrong with it.

    Raise MediaError if a critical chunk is damaged or missing. Nothing is decompressed but the profile.
    """
    critical: list[memoryview] = [memoryview(data)[:SIGNATURE_BYTES]]
    ancillary: dict[bytes, memoryview] = {}
    damaged: dict[bytes, None] = {}
    for chunk in _chunks(data):
        if chunk.is_critical:
            critical.append(chunk.whole)
        elif chunk.is_intact:
            ancillary.setdefault(chunk.kind, chunk.body)
        else:
            damaged[chunk.kind] = None
    info: dict[str, Any] = {}
    if b"eXIf" in ancillary:
        info["exif"] = bytes(ancillary[b"eXIf"])
    if b"iCCP" in ancillary:
        info["icc_profile"] = _profile(ancillary[b"iCCP"])
    names = b", ".join(damaged).decode()[:100]
    defects = (f"chunks with a wrong checksum are ignored: {names}",) if damaged else ()
    return (b"".join(critical) if ancillary or damaged else data), info, defects


def _chunks(data: bytes) -> Iterator[Chunk]:
    """Yield the chunks up to IEND. Raise MediaError if one of the critical chunks is not whole."""
    at, kind, view = SIGNATURE_BYTES, b"", memoryview(data)
    while kind != b"IEND":
        kind, end = data[at + 4 : at + 8], at + AROUND_BODY + int.from_bytes(data[at : at + 4], "big")
        if kind and not kind.isalpha():
            raise MediaError(Status.CORRUPT, "a PNG chunk is damaged: its kind is not four letters")
        if end > len(data):
            raise MediaError(Status.TRUNCATED, "no IEND chunk")
        checksum = int.from_bytes(data[end - 4 : end], "big")
        chunk = Chunk(kind, view[at:end], zlib.crc32(view[at + 4 : end - 4]) == checksum)
        if chunk.is_critical and not chunk.is_intact:
            raise MediaError(Status.CORRUPT, f"a PNG chunk is damaged: wrong checksum in {kind.decode()}")
        yield chunk
        at = end


def _profile(body: memoryview) -> bytes:
    """Return the profile in an iCCP chunk, or nothing if it is broken or too large."""
    start = bytes(body[:NAME_BYTES]).find(b"\0") + 2  # behind the name and the method of compression
    inflate = zlib.decompressobj()
    try:
        profile = inflate.decompress(body[start:], MOST_PROFILE_BYTES)
    except zlib.error:
        return b""
    return profile if inflate.eof else b""
