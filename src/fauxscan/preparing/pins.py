"""What an archive was when it was first seen: its SHA-256 where none is published, and where it came from."""

import hashlib
import json
from pathlib import Path

from fauxscan.records import Archive, Strict, UserError

FILE = "pins.json"


class Pin(Strict):
    """One archive, as it was first seen."""

    sha256: str
    bytes: int
    source: str


def check(file: Path, archive: Archive, source: str, folder: Path) -> Pin:
    """Return what `file` is. Raise UserError if that is not what was published, or pinned in `folder` at first use."""
    found = Pin(sha256=_digest(file, "sha256"), bytes=file.stat().st_size, source=source)
    if archive.sha256:
        _hold(file, archive, "SHA-256", found.sha256, archive.sha256)
    if archive.md5:
        _hold(file, archive, "MD5", _digest(file, "md5"), archive.md5)
    pinned = read(folder).get(archive.name)
    if pinned and found.sha256 != pinned.sha256:
        raise UserError(
            f"{file} is not the {archive.name} that was first used here: SHA-256 {found.sha256} from {source},"
            f" pinned {pinned.sha256} from {pinned.source}. Delete the file and get it again; if its publisher is known"
            f" to have changed it, delete its entry in {folder / FILE}"
        )
    return pinned or found


def _hold(file: Path, archive: Archive, kind: str, found: str, published: str) -> None:
    if not found.startswith(published):
        raise UserError(
            f"{file} is not the published {archive.name}: {kind} {found}, expected {published};"
            " delete it and get it again"
        )


def _digest(file: Path, kind: str) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, kind).hexdigest()


def read(folder: Path) -> dict[str, Pin]:
    """Return the pins by the archives' names. Raise UserError if they cannot be read."""
    file = folder / FILE
    try:
        kept = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
        return {name: Pin.model_validate(pin) for name, pin in kept.items()}
    except (ValueError, AttributeError) as error:
        raise UserError(f"{file} cannot be read: {error}; correct it, or delete it to pin anew") from error


def write(pins: dict[str, Pin], folder: Path) -> None:
    """Add to the pins in `folder`, in one step."""
    kept = read(folder) | pins
    aside = folder / f"{FILE}.part"
    text = json.dumps({name: kept[name].model_dump() for name in sorted(kept)}, indent=2)
    aside.write_text(text + "\n", encoding="utf-8")
    aside.replace(folder / FILE)
