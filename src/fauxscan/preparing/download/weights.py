"""Published weights that training starts from: found or downloaded, verified, and copied into their own folder."""

import shutil
from pathlib import Path

from fauxscan import detectors
from fauxscan.backbones import cards, store
from fauxscan.params import SCRATCH, WeightsParams
from fauxscan.preparing.download import checksums, sources
from fauxscan.preparing.download.sources import Source
from fauxscan.records import Archive, DetectorCard, ModelError, UserError

NOTE = "scratch.txt"  # DVC warns about empty folders


def provide(name: str, weights: WeightsParams, downloads: Path, out: Path) -> None:
    """Copy the published weights of the detector `name` into the folder `out`; for `scratch`, write a note there.

    For a detector that is a head, put its backbone on this machine, and write into `out` which one it is.

    `downloads` keeps downloaded files between runs. Raise UserError if the weights are not published, not found, or
    not the published ones.
    """
    card = None if name == SCRATCH else detectors.get(name).CARD
    archive = _published_weights(card) if card and not card.backbone else None
    downloads.mkdir(parents=True, exist_ok=True)
    out.mkdir(parents=True, exist_ok=True)
    if card and card.backbone:
        _provide_backbone(card, weights, downloads, out)
        return
    if archive is None:
        for folder in (downloads, out):
            (folder / NOTE).write_text("Training begins from random weights.\n", encoding="utf-8")
        return
    [located] = sources.locate([archive], _source(name, weights), downloads)
    checksum = checksums.verify(located.file, archive, located.origin, downloads)
    shutil.copyfile(located.file, out / archive.name)  # not a link: DVC makes cached files read-only
    checksums.add_checksums({archive.name: checksum}, downloads)


def _source(name: str, weights: WeightsParams) -> Source:
    instructions = f"Download it yourself and set weights.{name}.archives in params.yaml to its folder."
    return Source(name, weights.archives, instructions)


def _provide_backbone(card: DetectorCard, weights: WeightsParams, downloads: Path, out: Path) -> None:
    """Put a head's backbone on this machine, unless it is there, and its record into `out`."""
    backbone = str(card.backbone)
    try:
        installed = store.find(backbone)
    except ModelError:
        archive, file = cards.get(backbone).archive, None
        if weights.archives:
            [located] = sources.locate([archive], _source(card.name, weights), downloads)
            file = located.file
        installed = store.fetch(backbone, file)
    (downloads / NOTE).write_text(f"The backbone {backbone} is kept in the user's data folder.\n", encoding="utf-8")
    shutil.copyfile(installed.file.with_name(store.RECORD), out / store.RECORD)


def _published_weights(card: DetectorCard) -> Archive:
    if card.weights is None:
        raise UserError(
            f"no ImageNet weights of {card.name} are published; docs/detectors.md lists the detectors that have some"
        )
    return card.weights
