"""The mixture of datasets that one model learns from: a small manifest that names them, and their opened shards."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from fauxscan import disk
from fauxscan.preparing.shards.manifest import MANIFEST, Framing
from fauxscan.preparing.shards.read import Shards, view_for
from fauxscan.records import Strict, UserError, View


class MixedDataset(Strict):
    """One dataset of a mixture."""

    share: float
    manifest_sha256: str  # of the shards' manifest, and so of all their content
    split_digest: str
    licence: str
    proof_of_machinery: bool


class MixtureManifest(Strict):
    """The datasets of one model, by name, and how all their images were framed."""

    datasets: dict[str, MixedDataset]
    framing: Framing


@dataclass(frozen=True)
class Mixture:
    """The opened shards of each dataset that a model learns from, with the mixture's manifest."""

    manifest: MixtureManifest
    shards: Mapping[str, Shards]

    @property
    def name(self) -> str:
        """Return the dataset's name, or the names of several joined by +."""
        return "+".join(self.shards)

    @property
    def split_digest(self) -> str:
        """Return the split's digest, or the SHA-256 of the digests of several datasets."""
        digests = {name: dataset.split_digest for name, dataset in self.manifest.datasets.items()}
        if len(digests) == 1:
            return next(iter(digests.values()))
        return hashlib.sha256(json.dumps(digests, sort_keys=True).encode()).hexdigest()

    @property
    def proof_of_machinery(self) -> bool:
        """Return whether any of the datasets is the demo, so that every verdict of the model is `uncertain`."""
        return any(dataset.proof_of_machinery for dataset in self.manifest.datasets.values())

    @property
    def licences(self) -> str:
        """Return the datasets, each with its licence."""
        return "; ".join(f"{name}: {dataset.licence}" for name, dataset in self.manifest.datasets.items())

    def view_for(self, looks_at: View) -> View:
        """Return the view that a detector is given."""
        return view_for(looks_at, self.manifest.framing.faces)

    def source_name(self, dataset: str, source: str) -> str:
        """Return the name of a source within the mixture: prefixed by its dataset where there are several."""
        return source if len(self.shards) == 1 else f"{dataset}/{source}"


def open_mixture(file: Path, folder: Path) -> Mixture:
    """Return the mixture that the manifest `file` describes, its shards being in the sub-folders of `folder`.

    Raise UserError if the manifest is missing, or if the shards have changed since it was written.
    """
    if not file.is_file():
        raise UserError(f"no mixture at {file}: run the stage `mixture` first")
    try:
        manifest = MixtureManifest.model_validate_json(file.read_text(encoding="utf-8"))
    except ValidationError as error:
        raise UserError(f"{file} was written by another version: run the stage `mixture` again") from error
    shards = {name: Shards(folder / name) for name in manifest.datasets}
    for name, dataset in manifest.datasets.items():
        if disk.digest(folder / name / MANIFEST) != dataset.manifest_sha256:
            raise UserError(f"{folder / name} has changed since {file} was written: run the stage `mixture` again")
    return Mixture(manifest, shards)
