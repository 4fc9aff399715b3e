"""The manifest of a shards folder: what each shard holds, so that damage shows before anything is trained on it."""

from pathlib import Path

from pydantic import ValidationError

from fauxscan import disk
from fauxscan.params import DatasetFaces, DatasetParams, FaceParams, Reencoding
from fauxscan.records import Strict, UserError

MANIFEST, INDEX = "manifest.json", "index.parquet"


class ShardFile(Strict):
    """One shard: its size in bytes, its SHA-256 and the number of its examples."""

    bytes: int
    sha256: str
    examples: int


class Framing(Strict):
    """How the images of a dataset were cropped and encoded. A model can only learn from images framed in one way."""

    faces: DatasetFaces
    crops: FaceParams
    reencode: Reencoding

    @classmethod
    def of(cls, dataset: DatasetParams, crops: FaceParams) -> "Framing":
        """Return the framing that the parameters declare for a dataset. That of pictures without faces is `auto`."""
        faces = "auto" if dataset.faces == "auto_or_centre" else dataset.faces
        return cls(faces=faces, crops=crops, reencode=dataset.reencode)


class ShardsManifest(Strict):
    """All shards of a dataset, with the number of examples by split, view and label."""

    counts: dict[str, int]  # `<split>-<view>`, and the same with `-real` or `-fake`
    split_digest: str
    shards: dict[str, ShardFile]
    licence: str = ""
    proof_of_machinery: bool = False
    framing: Framing | None = None  # None in shards of older versions: they can be evaluated on, not trained on


def read_manifest(folder: Path) -> ShardsManifest:
    """Return the manifest of a shards folder. Raise UserError if it is missing or another version wrote it."""
    file = folder / MANIFEST
    if not file.is_file():
        raise UserError(f"no shards in {folder}: run the stage `shards` first")
    try:
        return ShardsManifest.model_validate_json(file.read_text(encoding="utf-8"))
    except ValidationError as error:
        raise UserError(f"{file} was written by an older version: run the stage `shards` again") from error


def describe_shard(file: Path, examples: int) -> ShardFile:
    """Return the manifest's entry for a shard that holds so many examples."""
    return ShardFile(bytes=file.stat().st_size, sha256=disk.digest(file), examples=examples)


def shard_damage(file: Path, known: ShardFile) -> str:
    """Return how a shard differs from its entry in the manifest; the empty string if it does not."""
    if not file.is_file():
        return f"{file.name} is missing"
    size = file.stat().st_size
    if size != known.bytes:
        return f"{file.name} has {size} bytes instead of {known.bytes}"
    return "" if disk.digest(file) == known.sha256 else f"{file.name} has another SHA-256 than when it was written"
