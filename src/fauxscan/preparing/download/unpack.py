"""Unpack zip, tar and 7z archives safely: split into volumes or nested, with nothing written outside the folder."""

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
SMALL = 1 << 20  # bytes: smaller archives may expand as much as one of this size
MAX_MEMBERS = 1_000_000  # the largest known dataset, the training set of ForenSynths, has 720,119 images
MAX_EXPANSION = 200  # unpacked bytes for each packed byte; photographs hardly compress
MAX_DEPTH = 2  # levels of nested archives: the training set of ForenSynths is a zip in a 7z
SUFFIXES = (".zip", ".tar", ".tgz", ".tar.gz", ".tar.bz2", ".tar.xz", ".7z")
VOLUME = re.compile(r"\.7z\.\d{3}$")
DRIVE = re.compile(r"^[A-Za-z]:")
READ_ERRORS = (
    zipfile.BadZipFile, tarfile.TarError, ArchiveError, lzma.LZMAError, zlib.error, EOFError,
    OSError, RuntimeError, NotImplementedError, ValueError,
)  # fmt: skip


class Guard:
    """Limits for unpacking one archive: regular files only, below one folder, capped in number and in bytes."""

    def __init__(self, file: Path, folder: Path, packed: int, is_selected: Callable[[str], bool]) -> None:
        """Limit `file`, of `packed` bytes, to writing into `folder`; `is_selected` tells which members to write."""
        self.file, self.folder, self.is_selected = file, folder, is_selected
        self.remaining_bytes = max(packed, SMALL) * MAX_EXPANSION
        self.members = 0
        self.files: set[str] = set()
        self.folders: set[str] = set()

    def check(self, name: str, size: int, is_folder: bool, is_regular: bool = True) -> None:
        """Raise UserError for a member that is a link or a device, leaves the folder, or clashes with another one."""
        self.members += 1
        if self.members >= MAX_MEMBERS or size > self.remaining_bytes:
            self.refuse("would unpack to far more than any dataset needs")
        if name.startswith("/") or ".." in name.split("/") or DRIVE.match(name) or "\\" in name or "\0" in name:
            self.refuse(f"holds {name!r}, which would be written outside of its folder")
        if not is_regular:
            self.refuse(f"holds {name!r}, which is a link or a device")
        path = posixpath.normpath(name)
        no_file_above = self._add_folders(path if is_folder else posixpath.dirname(path))
        if not is_folder:
            self.files.add(path)
        if not no_file_above or (path in self.files and path in self.folders):
            self.refuse(f"holds {name!r} both as a file and as a folder")

    def _add_folders(self, folder: str) -> bool:
        """Record a folder and its parents; return whether none of them is a file."""
        no_file = True
        while folder and folder not in self.folders:
            no_file = no_file and folder not in self.files
            self.folders.add(folder)
            folder = posixpath.dirname(folder)
        return no_file

    def writes(self, name: str) -> bool:
        """Return whether a member is written: it is selected, or it is an archive that may hold selected members."""
        return _is_archive(name) or self.is_selected(posixpath.normpath(name))

    def create(self, name: str) -> BinaryIO:
        """Return a new file for a checked member, open for writing; an existing file is replaced, not written into."""
        target = self.folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)
        return target.open("xb")

    def count(self, size: int) -> None:
        """Count bytes actually written, whatever size was announced. Raise UserError at the cap."""
        self.remaining_bytes -= size
        if self.remaining_bytes < 0:
            self.refuse("would unpack to far more than any dataset needs")

    def copy(self, source: IO[bytes], name: str) -> None:
        """Write a member's bytes from `source`."""
        with self.create(name) as out:
            while chunk := source.read(CHUNK):
                self.count(len(chunk))
                out.write(chunk)

    def refuse(self, reason: str) -> None:
        """Raise UserError with the reason and what to do."""
        raise UserError(
            f"{self.file} {reason}. Refused as unsafe. If you trust it, unpack it yourself and set `archives` to that"
            " folder."
        )


def first_volumes(files: Sequence[Path]) -> list[Path]:
    """Return the files to unpack: of an archive in volumes only the first, through which all are read."""
    return [file for file in files if not VOLUME.search(file.name) or file.name.endswith(".001")]


def unpack(file: Path, folder: Path, is_selected: Callable[[str], bool] = lambda name: True) -> None:
    """Unpack the selected members of an archive into `folder`; if it only holds another archive, those of that one.

    Every member is checked, selected or not. A 7z is unpacked as a whole. Raise UserError if the archive is damaged or
    unsafe.
    """
    folder.mkdir(parents=True, exist_ok=True)
    guard = Guard(file, folder, sum(volume.stat().st_size for volume in _volumes(file)), is_selected)
    _unpack_nested(file, guard, MAX_DEPTH)


def _unpack_nested(file: Path, guard: Guard, depth: int) -> None:
    before = set(guard.files)
    try:
        _unpack_members(file, guard)
    except UserError:
        raise
    except READ_ERRORS as error:
        reason = str(error) or type(error).__name__
        raise UserError(
            f"{file} cannot be unpacked: {reason}. Delete it and download it again, or free disk space"
        ) from error
    members = sorted(guard.files - before)
    if members and all(map(_is_archive, members)):
        if len(members) > 1 or depth == 0:
            guard.refuse("holds archives and nothing else")
        _unpack_inner(guard.folder / members[0], guard, depth - 1)


def _is_archive(name: str) -> bool:
    return name.lower().endswith(SUFFIXES)


def _unpack_inner(inner: Path, guard: Guard, depth: int) -> None:
    """Unpack the only member of an archive, moved first so that its own members cannot overwrite it."""
    moved = inner.rename(guard.folder / f".inner-{depth}")
    guard.files.clear()
    guard.folders.clear()
    _unpack_nested(moved, guard, depth)
    moved.unlink()


def _unpack_members(file: Path, guard: Guard) -> None:
    with contextlib.ExitStack() as stack:
        content = stack.enter_context(_open_archive(file))
        start = content.read(6)
        content.seek(0)
        if start == b"7z\xbc\xaf\x27\x1c":  # checked first: a zip stored in a 7z makes the whole look like a zip
            _unpack_7z(stack.enter_context(py7zr.SevenZipFile(content)), guard)
        elif start[:4] in (b"PK\x03\x04", b"PK\x05\x06"):
            _unpack_zip(stack.enter_context(zipfile.ZipFile(content)), guard)
        else:
            _unpack_tar(stack.enter_context(tarfile.open(fileobj=content)), guard)


def _volumes(file: Path) -> list[Path]:
    return sorted(file.parent.glob(f"{file.stem}.[0-9][0-9][0-9]")) if VOLUME.search(file.name) else [file]


def _open_archive(file: Path) -> BinaryIO:
    if VOLUME.search(file.name):
        return cast(BinaryIO, multivolumefile.MultiVolume(file.with_suffix(""), "rb", ext_digits=3))
    return file.open("rb")


def _unpack_zip(archive: zipfile.ZipFile, guard: Guard) -> None:
    for member in archive.infolist():
        kind = stat.S_IFMT(member.external_attr >> 16)
        guard.check(member.filename, member.file_size, member.is_dir(), kind in (0, stat.S_IFREG, stat.S_IFDIR))
    for member in archive.infolist():
        if not member.is_dir() and guard.writes(member.filename):
            with archive.open(member) as packed:
                guard.copy(packed, member.filename)


def _unpack_tar(archive: tarfile.TarFile, guard: Guard) -> None:
    for member in archive:
        guard.check(member.name, member.size, member.isdir(), member.isreg() or member.isdir())
        packed = archive.extractfile(member) if member.isreg() else None
        if packed is not None and guard.writes(member.name):
            guard.copy(packed, member.name)


def _unpack_7z(archive: py7zr.SevenZipFile, guard: Guard) -> None:
    for member in archive.list():
        guard.check(member.filename, member.uncompressed, member.is_directory, member.is_file or member.is_directory)
    with contextlib.ExitStack() as files:  # py7zr leaves a file open where writing into it fails
        archive.extractall(guard.folder, factory=_Writers(guard, files))


class _Writers(WriterFactory):
    """Provides py7zr with files to write into."""

    def __init__(self, guard: Guard, files: contextlib.ExitStack) -> None:
        self.guard, self.files = guard, files

    def create(self, filename: str) -> Py7zIO:
        """Return a guarded file for a member; py7zr prefixes its name with the folder."""
        writer = _Writer(self.guard, str(Path(filename).relative_to(self.guard.folder.resolve())))
        self.files.callback(writer.close)
        return writer


class _Writer(Py7zIO):
    """A file that counts the bytes written into it; py7zr closes it."""

    def __init__(self, guard: Guard, name: str) -> None:
        self.guard, self.out, self.written = guard, guard.create(name), 0

    def write(self, s: bytes | bytearray) -> int:
        """Write and count the bytes."""
        self.guard.count(len(s))
        self.written += len(s)
        return self.out.write(s)

    def read(self, size: int | None = None) -> bytes:
        """Return nothing: the file is only written."""
        return b""

    def seek(self, offset: int, whence: int = 0) -> int:
        """Do nothing: py7zr rewinds files only for reading them back."""
        return 0

    def flush(self) -> None:
        """Flush."""
        self.out.flush()

    def size(self) -> int:
        """Return the number of bytes written."""
        return self.written

    def close(self) -> None:
        """Close the file."""
        self.out.close()
