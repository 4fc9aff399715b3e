"""Files on a disk: written so that no reader ever sees half of one, and their digests."""

import errno
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

NO_FOLDER_SYNC = {errno.EINVAL, errno.ENOTSUP, errno.EBADF}  # from file systems that flush files only
NO_CACHE = "%s, because %s cannot be written (%s). Set XDG_CACHE_HOME to keep them."  # logged with what is not kept


@contextmanager
def atomic_write(target: Path, temporary: Path | None = None) -> Iterator[BinaryIO]:
    """Yield a file to write that becomes `target`, durably, when the block ends; an error leaves `target` as it was.

    Until then the data is in `temporary`, on the same file system. Default: a file beside `target`, named with `.part`.
    Where several processes may write one target at once, each needs a temporary file of its own.
    """
    temporary = temporary or target.with_name(f"{target.name}.part")
    try:
        with temporary.open("wb") as file:
            yield file
        move_into_place(temporary, target)
    except BaseException:
        temporary.unlink(missing_ok=True)  # so that a full disk does not stay full
        raise


def write_text(target: Path, text: str) -> None:
    """Write a small file in UTF-8, whole or not at all."""
    with atomic_write(target) as file:
        file.write(text.encode())


def move_into_place(temporary: Path, target: Path) -> None:
    """Rename a finished file to `target`, replacing what is there. Its content and its name survive a power failure."""
    sync(temporary)
    os.replace(temporary, target)
    sync(target.parent)


def sync(path: Path) -> None:
    """Flush a file's content, or the names in a folder, to the disk.

    File systems that cannot flush folders (CIFS, some in user space) are passed over.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in NO_FOLDER_SYNC or not path.is_dir():
            raise
    finally:
        os.close(descriptor)


def digest(file: Path, algorithm: str = "sha256") -> str:
    """Return the digest of a file's bytes in hexadecimal, SHA-256 by default."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, algorithm).hexdigest()
