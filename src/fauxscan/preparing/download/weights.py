"""Published weights that training starts from: found or downloaded, verified, and copied into their own folder."""

import shutil
from pathlib import Path

from fauxscan import detectors
from fauxscan.backbones import cards, store
from fauxscan.params import SCRATCH, WeightsParams
from fauxscan.preparing.download import checksums, sources
from fauxscan.records import Archive, ModelError, UserError

NOTE = "scratch.txt"  # DVC warns about empty folders


def provide(name: str, weights: WeightsParams, downloads: Path, out: Path) -> None:
    """Copy the published weights of the detector `name` into the folder `out`; for `scratch`, write a note there.

    For a detector that is a head, put its backbone on this machine, and write into `out` which one it is.

    `downloads` keeps downloaded files between runs. Raise UserError if the weights are not published, not found, or
    not the published ones.
    """
    downloads.mkdir(parents=True, exist_ok=True)
    out.mkdir(parents=True, exist_ok=True)
    if name != SCRATCH and (backbone := detectors.get(name).CARD.backbone):
        _provide_backbone(backbone, weights, downloads, out)
        return
    archive = None if name == SCRATCH else _published_weights(name)
    if archive is None:
        for folder in (downloads, out):
            (folder / NOTE).write_text("Training begins from random weights.\n", encoding="utf-8")
        return
    instructions = f"Download it yourself and set weights.{name}.archives in params.yaml to its folder."
    [located] = sources.locate([archive], sources.Source(name, weights.archives, instructions), downloads)
    checksum = checksums.verify(located.file, archive, located.origin, downloads)
    shutil.copyfile(located.file, out / archive.name)  # not a link: DVC makes cached files read-only
    checksums.add_checksums({archive.name: checksum}, downloads)


def _provide_backbone(name: str, weights: WeightsParams, downloads: Path, out: Path) -> None:
    """Put a backbone on this machine, unless it is there, and its record into `out`: the machine keeps one for all."""
    published = cards.get(name).archive.name
    try:
        installed = store.find(name)
    except ModelError:
        installed = store.fetch(name, Path(weights.archives).expanduser() / published if weights.archives else None)
    (downloads / NOTE).write_text(f"{published} is kept in {store.root()}.\n", encoding="utf-8")
    shutil.copyfile(installed.file.with_name(store.RECORD), out / store.RECORD)


def _published_weights(name: str) -> Archive:
    published: Archive | None = detectors.get(name).CARD.weights
    if published is None:
        raise UserError(
            f"no ImageNet weights of {name} are published; docs/detectors.md lists the detectors that have some"
        )
    return published
