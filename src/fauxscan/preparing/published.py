"""Published weights that training may begin from: found or fetched, checked, and put into a folder of their own."""

import shutil
from pathlib import Path

from fauxscan import detectors
from fauxscan.params import SCRATCH, WeightsParams
from fauxscan.preparing import fetching, pins
from fauxscan.records import Archive, UserError

NOTE = "scratch.txt"  # DVC warns of folders with nothing in them


def provide(name: str, weights: WeightsParams, fetched: Path, out: Path) -> None:
    """Put the published weights of the detector `name` into the folder `out`, or a note that training is from scratch.

    `fetched` keeps what came over the net. Raise UserError.
    """
    archive = None if name == SCRATCH else _archive(name)
    fetched.mkdir(parents=True, exist_ok=True)
    out.mkdir(parents=True, exist_ok=True)
    if archive is None:
        for folder in (fetched, out):
            (folder / NOTE).write_text("Training begins from random weights.\n", encoding="utf-8")
        return
    told = f"Get it by hand and name its folder as weights.{name}.archives in params.yaml."
    [(_, file, source)] = fetching.gather([archive], fetching.Source(name, weights.archives, told), fetched)
    seen = pins.check(file, archive, source, fetched)
    shutil.copyfile(file, out / archive.name)  # no link: DVC takes the right to write from what it keeps
    pins.write({archive.name: seen}, fetched)


def _archive(name: str) -> Archive:
    published: Archive | None = detectors.get(name).CARD.weights
    if published is None:
        raise UserError(
            f"no ImageNet weights of {name} are published: see docs/detectors.md for detectors that have some"
        )
    return published
