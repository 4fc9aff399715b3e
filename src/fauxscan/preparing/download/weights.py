"""Published weights that training starts from: found or downloaded, verified, and copied into their own folder."""

import shutil
from pathlib import Path

from fauxscan import detectors
from fauxscan.params import SCRATCH, WeightsParams
from fauxscan.preparing.download import checksums, sources
from fauxscan.records import Archive, UserError

NOTE = "scratch.txt"  # DVC warns about empty folders


def provide(name: str, weights: WeightsParams, downloads: Path, out: Path) -> None:
    """Copy the published weights of the detector `name` into the folder `out`; for `scratch`, write a note there.

    `downloads` keeps downloaded files between runs. Raise UserError if the weights are not published, not found, or
    not the published ones.
    """
    archive = None if name == SCRATCH else _published_weights(name)
    downloads.mkdir(parents=True, exist_ok=True)
    out.mkdir(parents=True, exist_ok=True)
    if archive is None:
        for folder in (downloads, out):
            (folder / NOTE).write_text("Training begins from random weights.\n", encoding="utf-8")
        return
    instructions = f"Download it yourself and set weights.{name}.archives in params.yaml to its folder."
    [located] = sources.locate([archive], sources.Source(name, weights.archives, instructions), downloads)
    checksum = checksums.verify(located.file, archive, located.origin, downloads)
    shutil.copyfile(located.file, out / archive.name)  # not a link: DVC makes cached files read-only
    checksums.add_checksums({archive.name: checksum}, downloads)


def _published_weights(name: str) -> Archive:
    published: Archive | None = detectors.get(name).CARD.weights
    if published is None:
        raise UserError(
            f"no ImageNet weights of {name} are published; docs/detectors.md lists the detectors that have some"
        )
    return published
