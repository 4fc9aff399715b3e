"""Read each file once, hash the bytes as they are read, and identify its format by the first bytes."""

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
PIECE = 16 << 20  # bytes requested from a store at a time
WHOLE_IN_MEMORY = 64 << 20  # bytes; a larger file is decoded from its handle

# Offset, magic bytes, kind and format: an allow-list. Any other file never reaches a decoder.
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
AVIF = frozenset({b"avif", b"avis"})  # brands of ISO files that hold still images
HEIC = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"})
ANY_STILL = frozenset({b"mif1", b"msf1"})  # the further brands name the codec


@dataclass(frozen=True)
class Content:
    """An open file: a handle on the bytes that were hashed, and the size, time and etag that its store reported."""

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
def open_file(path: Path, media: MediaParams, follow: bool = True) -> Iterator[Content]:
    """Open `path` and yield its hashed content. Raise MediaError if it is unreadable, too large, or changes meanwhile.

    With `follow` False, a file that has become a symbolic link is refused.
    """
    flags = os.O_RDONLY | os.O_NONBLOCK | (0 if follow else os.O_NOFOLLOW)  # a FIFO would block forever
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
            raise MediaError(Status.TOO_LARGE, size_detail(before.st_size, media))
        yield _read(file, before)
        after = os.fstat(descriptor)
        if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
            raise MediaError(Status.CHANGED_DURING_READ, "size or time changed while it was read")


def size_detail(size: int, media: MediaParams) -> str:
    """Return the detail for a file that is too large."""
    return f"{size} bytes; the cap is media.max_bytes {media.max_bytes}"


def _read(file: BinaryIO, info: os.stat_result) -> Content:
    try:
        handle = io.BytesIO(file.read(info.st_size + 1)) if info.st_size <= WHOLE_IN_MEMORY else file
        return hash_content(handle, info.st_size, mtime_ns(info))
    except OSError as error:
        raise MediaError(Status.UNREADABLE, error.strerror or "cannot be read") from error


class Stream(Protocol):
    """A source of bytes that can be read only once."""

    def read(self, size: int, /) -> bytes:
        """Return the next bytes, at most `size`; no bytes at the end."""


@contextmanager
def buffered(stream: Stream, size: int) -> Iterator[BinaryIO]:
    """Yield a seekable handle on the bytes of a stream: in memory, or in an unnamed temporary file if it is large."""
    if size <= WHOLE_IN_MEMORY:
        yield io.BytesIO(stream.read(size))
        return
    with tempfile.TemporaryFile() as file:
        while chunk := stream.read(PIECE):
            file.write(chunk)
        file.seek(0)
        yield file


def mtime_ns(info: os.stat_result) -> int | None:
    """Return the modification time in ns, or None beyond what 64 bits hold: before the year 1678 or after 2262."""
    return info.st_mtime_ns if -(1 << 63) <= info.st_mtime_ns < 1 << 63 else None


def hash_content(handle: BinaryIO, size: int, mtime_ns: int | None, etag: str | None = None) -> Content:
    """Read a handle from its start to its end and return its content. Raise MediaError if the size is wrong."""
    digest, head = hashlib.sha256(), b""
    while chunk := handle.read(CHUNK):
        digest.update(chunk)
        head = head or chunk[:64]
    if handle.tell() != size:
        raise MediaError(Status.CHANGED_DURING_READ, f"{size} bytes announced, {handle.tell()} read")
    return Content(digest.hexdigest(), size, mtime_ns, head, handle, etag)


def identify(head: bytes) -> tuple[Kind, str]:
    """Return the kind and format of a file by its first bytes. Raise MediaError if they are not on the allow-list."""
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
    """Return the format of the still image in an ISO file, by its main brand or by its compatible brands."""
    brands = {head[at : at + 4] for at in range(16, min(int.from_bytes(head[:4], "big"), len(head)), 4)}
    main = head[8:12]
    return "avif" if main in AVIF or (main in ANY_STILL and brands & AVIF) else "heic"
