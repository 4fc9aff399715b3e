"""Archives unpacked where nothing can escape: zip, tar and 7z, in volumes or one inside the other."""

import contextlib
import lzma
import posixpath
import re
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, BinaryIO, cast

import multivolumefile
import py7zr
from py7zr.exceptions import ArchiveError
from py7zr.io import Py7zIO, WriterFactory

from fauxscan.records import UserError

CHUNK = 1 << 20
SMALL = 1 << 20  # bytes: an archive smaller than this may expand as much as one of this size
MAX_MEMBERS = 1_000_000  # refused from here on; the largest known, ForenSynths' training set, has 720,119 images
MAX_EXPANSION = 200  # unpacked bytes for each packed one; photographs hardly shrink
MAX_DEPTH = 2  # archives within archives: ForenSynths' training set is a zip in a 7z
SUFFIXES = (".zip", ".tar", ".tgz", ".tar.gz", ".tar.bz2", ".tar.xz", ".7z")
VOLUME = re.compile(r"\.7z\.\d{3}$")
DRIVE = re.compile(r"^[A-Za-z]:")
DAMAGED = (
    zipfile.BadZipFile, tarfile.TarError, ArchiveError, lzma.LZMAError, zlib.error, EOFError,
    OSError, RuntimeError, NotImplementedError, ValueError,
)  # fmt: skip


class Guard:
    """What an archive may do: write below one folder, plain files only, so many and so much."""

    def __init__(self, file: Path, folder: Path, packed: int, wants: Callable[[str], bool]) -> None:
        """Let `file`, of `packed` bytes, fill `folder` with the members that are wanted."""
        self.file, self.folder, self.wants = file, folder, wants
        self.room = max(packed, SMALL) * MAX_EXPANSION
        self.members = 0
        self.files: set[str] = set()
        self.folders: set[str] = set()

    def admit(self, name: str, size: int, is_folder: bool, is_plain: bool = True) -> None:
        """Raise UserError for a member that is no plain file or folder, would leave, or stands in another's way."""
        self.members += 1
        if self.members >= MAX_MEMBERS or size > self.room:
            self.refuse("would unpack to far more than any dataset")
        if name.startswith("/") or ".." in name.split("/") or DRIVE.match(name) or "\\" in name or "\0" in name:
            self.refuse(f"holds {name!r}, which would leave its folder")
        if not is_plain:
            self.refuse(f"holds {name!r}, which is a link or a device")
        path = posixpath.normpath(name)
        free = self._enter(path if is_folder else posixpath.dirname(path))
        if not is_folder:
            self.files.add(path)
        if not free or (path in self.files and path in self.folders):
            self.refuse(f"holds {name!r} both as a file and as a folder")

    def _enter(self, folder: str) -> bool:
        """Note a folder and those above it; return whether none of them is a file."""
        free = True
        while folder and folder not in self.folders:
            free = free and folder not in self.files
            self.folders.add(folder)
            folder = posixpath.dirname(folder)
        return free

    def takes(self, name: str) -> bool:
        """Return whether a member is written: it is wanted, or is an archive that may hold what is."""
        return _is_archive(name) or self.wants(posixpath.normpath(name))

    def create(self, name: str) -> BinaryIO:
        """Return a new file for a member that was admitted, open for writing; never one that was there before."""
        target = self.folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)
        return target.open("xb")

    def spend(self, size: int) -> None:
        """Count what is written, whatever was announced. Raise UserError at the cap."""
        self.room -= size
        if self.room < 0:
            self.refuse("would unpack to far more than any dataset")

    def copy(self, source: IO[bytes], name: str) -> None:
        """Write a member's bytes."""
        with self.create(name) as out:
            while chunk := source.read(CHUNK):
                self.spend(len(chunk))
                out.write(chunk)

    def refuse(self, reason: str) -> None:
        """Raise UserError with the reason and what to do."""
        raise UserError(
            f"{self.file} {reason}: it is not to be trusted. If you do, unpack it by hand, look at it, and name the"
            " unpacked folder as `archives`"
        )


def first_volumes(files: Sequence[Path]) -> list[Path]:
    """Return the files to be unpacked: of an archive in volumes the first, which stands for all."""
    return [file for file in files if not VOLUME.search(file.name) or file.name.endswith(".001")]


def unpack(file: Path, folder: Path, wants: Callable[[str], bool] = lambda name: True) -> None:
    """Unpack the wanted members of an archive into `folder`; if it holds one archive only, those of that.

    Every member is looked at, wanted or not. A 7z is unpacked whole. Raise UserError if it is torn or hostile.
    """
    folder.mkdir(parents=True, exist_ok=True)
    guard = Guard(file, folder, sum(volume.stat().st_size for volume in _volumes(file)), wants)
    _unpack(file, guard, MAX_DEPTH)


def _unpack(file: Path, guard: Guard, depth: int) -> None:
    before = set(guard.files)
    try:
        _members(file, guard)
    except UserError:
        raise
    except DAMAGED as error:
        reason = str(error) or type(error).__name__
        raise UserError(f"{file} cannot be unpacked: {reason}; delete it and get it again, or make room") from error
    held = sorted(guard.files - before)
    if held and all(map(_is_archive, held)):
        if len(held) > 1 or depth == 0:
            guard.refuse("holds archives and nothing else")
        _descend(guard.folder / held[0], guard, depth - 1)


def _is_archive(name: str) -> bool:
    return name.lower().endswith(SUFFIXES)


def _descend(inner: Path, guard: Guard, depth: int) -> None:
    """Unpack the one archive that an archive held, out of the way of its own members."""
    aside = inner.rename(guard.folder / f".inner-{depth}")
    guard.files.clear()
    guard.folders.clear()
    _unpack(aside, guard, depth)
    aside.unlink()


def _members(file: Path, guard: Guard) -> None:
    with contextlib.ExitStack() as stack:
        opened = stack.enter_context(_opened(file))
        start = opened.read(6)
        opened.seek(0)
        if start == b"7z\xbc\xaf\x27\x1c":  # asked first: a zip stored in a 7z makes the whole look like a zip
            _sevenzip(stack.enter_context(py7zr.SevenZipFile(opened)), guard)
        elif start[:4] in (b"PK\x03\x04", b"PK\x05\x06"):
            _zip(stack.enter_context(zipfile.ZipFile(opened)), guard)
        else:
            _tar(stack.enter_context(tarfile.open(fileobj=opened)), guard)


def _volumes(file: Path) -> list[Path]:
    return sorted(file.parent.glob(f"{file.stem}.[0-9][0-9][0-9]")) if VOLUME.search(file.name) else [file]


def _opened(file: Path) -> BinaryIO:
    if VOLUME.search(file.name):
        return cast(BinaryIO, multivolumefile.MultiVolume(file.with_suffix(""), "rb", ext_digits=3))
    return file.open("rb")


def _zip(archive: zipfile.ZipFile, guard: Guard) -> None:
    for member in archive.infolist():
        kind = stat.S_IFMT(member.external_attr >> 16)
        guard.admit(member.filename, member.file_size, member.is_dir(), kind in (0, stat.S_IFREG, stat.S_IFDIR))
    for member in archive.infolist():
        if not member.is_dir() and guard.takes(member.filename):
            with archive.open(member) as packed:
                guard.copy(packed, member.filename)


def _tar(archive: tarfile.TarFile, guard: Guard) -> None:
    for member in archive:
        guard.admit(member.name, member.size, member.isdir(), member.isreg() or member.isdir())
        packed = archive.extractfile(member) if member.isreg() else None
        if packed is not None and guard.takes(member.name):
            guard.copy(packed, member.name)


def _sevenzip(archive: py7zr.SevenZipFile, guard: Guard) -> None:
    for member in archive.list():
        guard.admit(member.filename, member.uncompressed, member.is_directory, member.is_file or member.is_directory)
    archive.extractall(guard.folder, factory=_Writers(guard))


class _Writers(WriterFactory):
    """Gives py7zr the files to write into."""

    def __init__(self, guard: Guard) -> None:
        self.guard = guard

    def create(self, filename: str) -> Py7zIO:
        """Return a guarded file for a member, which py7zr names with the folder before it."""
        return _Writer(self.guard, str(Path(filename).relative_to(self.guard.folder.resolve())))


class _Writer(Py7zIO):
    """A file that counts what is written into it, and is closed when py7zr is done with it."""

    def __init__(self, guard: Guard, name: str) -> None:
        self.guard, self.out, self.written = guard, guard.create(name), 0

    def write(self, s: bytes | bytearray) -> int:
        """Write, and count."""
        self.guard.spend(len(s))
        self.written += len(s)
        return self.out.write(s)

    def read(self, size: int | None = None) -> bytes:
        """Return nothing: it is for writing."""
        return b""

    def seek(self, offset: int, whence: int = 0) -> int:
        """Stay: py7zr rewinds what it has written for those who read it back."""
        return 0

    def flush(self) -> None:
        """Flush."""
        self.out.flush()

    def size(self) -> int:
        """Return the bytes written."""
        return self.written

    def close(self) -> None:
        """Close the file."""
        self.out.close()
