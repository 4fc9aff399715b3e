"""Write the manifest of a mixture, after checking that its datasets fit together."""

from collections.abc import Mapping
from pathlib import Path

from fauxscan import disk
from fauxscan.params import SplitParams, TrainedParams
from fauxscan.preparing.mixture.audit import refuse_leaks
from fauxscan.preparing.mixture.read import MixedDataset, MixtureManifest
from fauxscan.preparing.shards.manifest import MANIFEST, Framing
from fauxscan.preparing.shards.read import Shards
from fauxscan.records import UserError


def write_mixture(name: str, model: TrainedParams, folder: Path, out: Path, split: SplitParams) -> None:
    """Write the mixture of the model `name` to `out`, from the shards in the sub-folders of `folder`.

    Raise UserError if the datasets are framed differently, or if there is a leak between them.
    """
    shards = {dataset: Shards(folder / dataset) for dataset in model.shares}
    framing = _common_framing(f"{model.section}.{name}", shards)
    refuse_leaks(name, model, shards, split)
    datasets = {
        dataset: MixedDataset(
            share=share,
            manifest_sha256=disk.digest(folder / dataset / MANIFEST),
            split_digest=shards[dataset].manifest.split_digest,
            licence=shards[dataset].manifest.licence,
            proof_of_machinery=shards[dataset].manifest.proof_of_machinery,
        )
        for dataset, share in model.shares.items()
    }
    out.parent.mkdir(parents=True, exist_ok=True)
    manifest = MixtureManifest(datasets=datasets, framing=framing)
    out.write_text(manifest.model_dump_json(indent=2) + "\n", encoding="utf-8")


def _common_framing(entry: str, shards: Mapping[str, Shards]) -> Framing:
    """Return how all datasets are framed. Raise UserError that names those which differ, and in what."""
    framings: dict[str, Framing] = {}
    for dataset, opened in shards.items():
        if opened.manifest.framing is None:
            raise UserError(f"{opened.folder} was written by an older version: run the stage `shards` again")
        framings[dataset] = opened.manifest.framing
    first, *others = framings
    for other in others:
        if framings[other] != framings[first]:
            difference = _difference(framings, first, other)
            raise UserError(
                f"{entry} mixes datasets whose images were made differently: {difference}."
                f" A model would learn that difference. Give datasets.{first} and datasets.{other} the same `faces` and"
                " `reencode` in params.yaml and run `dvc repro`, or leave one of them out of the model's `datasets`"
            )
    return framings[first]


def _difference(framings: Mapping[str, Framing], one: str, other: str) -> str:
    values = {name: framings[name].model_dump() for name in (one, other)}
    keys = [key for key in values[one] if values[one][key] != values[other][key]]
    return "; ".join(f"{key} is {values[one][key]} in {one} and {values[other][key]} in {other}" for key in keys)
