"""Whether a model set gives the expected score on its probe image, judged by the engine that scans use."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from fauxscan import disk, params
from fauxscan.backbones import store
from fauxscan.judging import ensemble
from fauxscan.params import Params
from fauxscan.records import DamagedModelError, ModelError, Status, Strict
from fauxscan.scanning import settings
from fauxscan.scanning.engine.engine import check_files
from fauxscan.shipped import sets

PROBE = "probe.json"  # in the folder of a set
IMAGE = "probe.jpg"  # that sets share, which lies beside the sets of fauxscan
TOLERANCE = 0.005  # of p_fake: processors round differently


class Probe(Strict):
    """The score that a set had on an image when it was made."""

    image: str  # in the folder of the set, or beside the sets of fauxscan
    p_fake: float = Field(ge=0, le=1)
    tolerance: float = Field(default=TOLERANCE, gt=0, lt=1)
    engine: Literal["openvino"] = "openvino"


@dataclass(frozen=True)
class Probed:
    """The score that a set has here."""

    expected: Probe
    p_fake: float

    @property
    def off(self) -> float:
        """Return by how much p_fake differs from what is expected."""
        return abs(self.p_fake - self.expected.p_fake)

    @property
    def ok(self) -> bool:
        """Return whether the difference is within the tolerance."""
        return self.off <= self.expected.tolerance


def to_fetch(folder: Path) -> list[str]:
    """Return the names of the shared networks that a set needs and that are not on this machine. Raise ModelError."""
    with sets.with_remedies([folder]):
        cards = ensemble.read_members([folder]).cards
    needed = dict.fromkeys(card.backbone.name for card in cards if card.backbone)
    return [name for name in needed if not store.is_fetched(name)]


def probe(folder: Path) -> Probed:
    """Return the score of a set on its probe image. Raise ModelError if the set is damaged or cannot judge here."""
    with sets.with_remedies([folder]):
        expected = _read(folder)
    return Probed(expected, _score(folder, expected))


def write(folder: Path) -> Probe:
    """Judge the shared image by a finished set, and write the score into its folder. Raise ModelError."""
    made = Probe(image=IMAGE, p_fake=0.0)
    made = made.model_copy(update={"p_fake": round(_score(folder, made), 6)})
    disk.write_text(folder / PROBE, made.model_dump_json(indent=2) + "\n")
    return made


def image_of(folder: Path, expected: Probe) -> Path:
    """Return the probe image of a set: in its folder, or the shared one."""
    own = folder / expected.image
    return own if own.is_file() else sets.SHARED / expected.image


def _read(folder: Path) -> Probe:
    """Return the record in the folder of a set. Raise DamagedModelError."""
    try:
        return Probe.model_validate_json((folder / PROBE).read_bytes())
    except (OSError, ValidationError) as error:
        why = error.strerror if isinstance(error, OSError) else error.errors()[0]["msg"]
        raise DamagedModelError(f"{folder / PROBE}: {why}", "make the set again") from error


def _score(folder: Path, expected: Probe) -> float:
    """Return p_fake of the probe image, by the built-in parameters. Raise ModelError if it cannot be judged."""
    numbers = params.changed(Params(), "scan", {"engine": expected.engine, "workers": 1})
    chosen = settings.read(numbers, [folder], cards_alone=True)
    (outcome,) = check_files([image_of(folder, expected)], chosen)
    if outcome.status != Status.OK or outcome.p_fake is None:
        raise ModelError(f"{folder.name} cannot judge its probe image: {outcome.status}, {outcome.detail}")
    return outcome.p_fake
