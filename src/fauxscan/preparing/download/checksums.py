"""Checksums of archives: compared with the published ones, and recorded at first use where none are published."""

import json
from pathlib import Path

from fauxscan import disk
from fauxscan.records import Archive, Strict, UserError

FILE = "checksums.json"
OLD_FILE = "pins.json"  # the same content, as written by releases up to 0.4


class Checksum(Strict):
    """The SHA-256 and size of an archive when it was first used, and where it came from."""

    sha256: str
    bytes: int
    source: str


def verify(file: Path, archive: Archive, source: str, folder: Path) -> Checksum:
    """Return the checksum of the archive in `file`, which came from `source`.

    Raise UserError if it differs from a published checksum, or from the one recorded in `folder` at first use.
    """
    checksum = Checksum(sha256=disk.digest(file), bytes=file.stat().st_size, source=source)
    if archive.sha256:
        _compare(file, archive, "SHA-256", checksum.sha256, archive.sha256)
    if archive.md5:
        _compare(file, archive, "MD5", disk.digest(file, "md5"), archive.md5)
    recorded = read_checksums(folder).get(archive.name)
    if recorded and checksum.sha256 != recorded.sha256:
        raise UserError(
            f"{file} is not the {archive.name} that was first used here: its SHA-256 is {checksum.sha256} (from"
            f" {source}), but {recorded.sha256} was recorded (from {recorded.source}). Delete the file and download it"
            f" again; if the publisher has changed it, delete its entry in {_file(folder)}"
        )
    return recorded or checksum


def _compare(file: Path, archive: Archive, kind: str, actual: str, published: str) -> None:
    if not actual.startswith(published):
        raise UserError(
            f"{file} is not the published {archive.name}: its {kind} is {actual}, expected {published}."
            " Delete it and download it again"
        )


def read_checksums(folder: Path) -> dict[str, Checksum]:
    """Return the checksums recorded in `folder`, by archive name. Raise UserError if their file cannot be read."""
    file = _file(folder)
    try:
        recorded = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
        return {name: Checksum.model_validate(checksum) for name, checksum in recorded.items()}
    except (ValueError, AttributeError) as error:
        raise UserError(f"{file} cannot be read: {error}. Correct it, or delete it to record checksums anew") from error


def _file(folder: Path) -> Path:
    """Return the file that holds the checksums of `folder`: the old one only where there is no other."""
    new, old = folder / FILE, folder / OLD_FILE
    return old if old.is_file() and not new.is_file() else new


def add_checksums(checksums: dict[str, Checksum], folder: Path) -> None:
    """Add `checksums`, by archive name, to those recorded in `folder`; the file is replaced atomically."""
    recorded = read_checksums(folder) | checksums
    text = json.dumps({name: recorded[name].model_dump() for name in sorted(recorded)}, indent=2)
    with disk.atomic_write(folder / FILE) as file:
        file.write(f"{text}\n".encode())
