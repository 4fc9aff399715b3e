"""Files as they come in: read once, hashed as read, told apart by their first bytes."""

import errno
import hashlib
import io
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from fauxscan.params import MediaParams
from fauxscan.records import Kind, MediaError, Status

CHUNK = 1 << 20
PIECE = 16 << 20  # that is asked of a store at a time
WHOLE_IN_MEMORY = 64 << 20  # bytes: a larger file is decoded from its handle

# Offset, magic bytes, kind, format: an allow-list. What is not here is never given to a decoder.
MAGIC = (
    (0, b"\xff\xd8\xff", Kind.IMAGE, "jpeg"),
    (0, b"\x89PNG\r\n\x1a\n", Kind.IMAGE, "png"),
    (8, b"WEBP", Kind.IMAGE, "webp"),
    (0, b"BM", Kind.IMAGE, "bmp"),
    (0, b"II*\0", Kind.IMAGE, "tiff"),
    (0, b"MM\0*", Kind.IMAGE, "tiff"),
    (0, b"II+\0", Kind.IMAGE, "tiff"),  # BigTIFF
    (0, b"MM\0+", Kind.IMAGE, "tiff"),
    (0, b"GIF87a", Kind.IMAGE, "gif"),
    (0, b"GIF89a", Kind.IMAGE, "gif"),
    (8, b"AVI ", Kind.VIDEO, "avi"),
    (0, b"\x1aE\xdf\xa3", Kind.VIDEO, "matroska"),
)
QUICKTIME_ATOMS = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip")
AVIF = frozenset({b"avif", b"avis"})  # brands of ISO files that hold stills
HEIC = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"})
ANY_STILL = frozenset({b"mif1", b"msf1"})  # further brands tell how they are coded


@dataclass(frozen=True)
class Content:
    """An open file: the very bytes that were hashed, and what the file system or store said of them."""

    sha256: str
    size: int
    mtime_ns: int | None
    head: bytes
    handle: BinaryIO
    etag: str | None = None

    def bytes(self) -> bytes:
        """Return all bytes."""
        self.handle.seek(0)
        return self.handle.read()


@contextmanager
def opened(path: Path, media: MediaParams, follow: bool = True) -> Iterator[Content]:
    """Give the content of `path`, hashed. Raise MediaError if it cannot be read, is too large, or changes meanwhile.

    Where links are not to be followed, a file that has become one is refused.
    """
    flags = os.O_RDONLY | os.O_NONBLOCK | (0 if follow else os.O_NOFOLLOW)  # a FIFO would block for ever
    try:
        descriptor = os.open(path, flags)
    except OSError as error:
        if error.errno == errno.ELOOP and not follow:
            raise MediaError(Status.UNREADABLE, "has become a link: not followed") from error
        raise MediaError(Status.UNREADABLE, error.strerror or "cannot be opened") from error
    before = os.fstat(descriptor)
    if not stat.S_ISREG(before.st_mode):
        os.close(descriptor)
        raise MediaError(Status.UNREADABLE, "not a regular file")
    with os.fdopen(descriptor, "rb") as file:
        if before.st_size > media.max_bytes:
            raise MediaError(Status.TOO_LARGE, beyond(before.st_size, media))
        yield _read(file, before)
        after = os.fstat(descriptor)
        if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
            raise MediaError(Status.CHANGED_DURING_READ, "size or time changed while it was read")


def beyond(size: int, media: MediaParams) -> str:
    """Return what is said of a file that is too large."""
    return f"{size} bytes; the cap is media.max_bytes {media.max_bytes}"


def _read(file: BinaryIO, info: os.stat_result) -> Content:
    try:
        handle = io.BytesIO(file.read(info.st_size + 1)) if info.st_size <= WHOLE_IN_MEMORY else file
        return hashed(handle, info.st_size, info.st_mtime_ns)
    except OSError as error:
        raise MediaError(Status.UNREADABLE, error.strerror or "cannot be read") from error


class Stream(Protocol):
    """What comes from elsewhere, and only once."""

    def read(self, size: int, /) -> bytes:
        """Return the next bytes, at most so many; none at the end."""


@contextmanager
def kept(stream: Stream, size: int) -> Iterator[BinaryIO]:
    """Give a handle on what a stream brings: memory, or a temporary file without a name where it is large."""
    if size <= WHOLE_IN_MEMORY:
        yield io.BytesIO(stream.read(size))
        return
    with tempfile.TemporaryFile() as file:
        while chunk := stream.read(PIECE):
            file.write(chunk)
        file.seek(0)
        yield file


def hashed(handle: BinaryIO, size: int, mtime_ns: int | None, etag: str | None = None) -> Content:
    """Return the content of a handle at its start, read to its end. Raise MediaError if it is of another size."""
    digest, head = hashlib.sha256(), b""
    while chunk := handle.read(CHUNK):
        digest.update(chunk)
        head = head or chunk[:64]
    if handle.tell() != size:
        raise MediaError(Status.CHANGED_DURING_READ, f"{size} bytes announced, {handle.tell()} read")
    return Content(digest.hexdigest(), size, mtime_ns, head, handle, etag)


def identify(head: bytes) -> tuple[Kind, str]:
    """Return the kind and format that the first bytes tell. Raise MediaError for what is not on the allow-list."""
    if not head:
        raise MediaError(Status.CORRUPT, "the file is empty")
    if head[4:8] == b"ftyp" and head[8:12] in AVIF | HEIC | ANY_STILL:
        return Kind.IMAGE, _still(head)
    if head[4:8] in QUICKTIME_ATOMS:
        return Kind.VIDEO, "mov"
    for offset, magic, kind, name in MAGIC:
        if head[offset : offset + len(magic)] == magic:
            return kind, name
    raise MediaError(Status.UNSUPPORTED, "neither an image nor a video of a known kind, by its first bytes")


def _still(head: bytes) -> str:
    """Return how the still in an ISO file is coded, by its main brand or else by those it is compatible with."""
    brands = {head[at : at + 4] for at in range(16, min(int.from_bytes(head[:4], "big"), len(head)), 4)}
    main = head[8:12]
    return "avif" if main in AVIF or (main in ANY_STILL and brands & AVIF) else "heic"
