"""The Deepfake Detection Challenge's training set (Dolhansky et al. 2020): fifty parts of videos of paid actors.

Each part is a folder dfdc_train_part_<n> with a metadata.json that names each video's label and a fake's original: as
many public readers have it; some of them show the archives' names dfdc_train_part_<nn>.zip too. The challenge's test
videos are published apart, with other lists, and are not taken. By what method a fake was made is not published.
The licence and the size of the whole are recalled, not read.
"""

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fauxscan.records import FAKE, REAL, Archive, DatasetCard, Example, UserError

log = logging.getLogger(__name__)
LIST = "metadata.json"
PARTS = tuple(range(50))
LABELS = {"REAL": (REAL, None), "FAKE": (FAKE, "dfdc")}

CARD = DatasetCard(
    name="dfdc",
    title="Deepfake Detection Challenge, training set",
    citation=(
        "Dolhansky, Bitton, Pflaum, Lu, Howes, Wang and Canton Ferrer 2020, The DeepFake Detection Challenge (DFDC)"
        " Dataset"
    ),
    licence="the rules of the challenge on Kaggle, which one accepts there",
    access="manual",
    archives=tuple(Archive(f"dfdc_train_part_{part:02d}.zip") for part in PARTS),
    layout=("dfdc_train_part_*", "train_sample_videos"),
    instructions=(
        "With a Kaggle account, accept the rules of deepfake-detection-challenge, fetch the parts you want, name the"
        " folder of the zips, or of the unpacked dfdc_train_part_<n>, as `archives` of the dataset in params.yaml, and"
        " the numbers of the parts as options.parts (all fifty are some 470 GB)."
    ),
)


def archives(parts: tuple[int, ...] = PARTS) -> tuple[Archive, ...]:
    """Return the archives of some parts. Raise UserError for a part that there is not."""
    unknown = sorted(set(parts) - set(PARTS))
    if unknown:
        raise UserError(f"dfdc has the parts {PARTS[0]} to {PARTS[-1]}, not {unknown}: correct options.parts")
    return tuple(CARD.archives[part] for part in parts)


def examples(root: Path, parts: tuple[int, ...] = PARTS) -> Iterator[Example]:
    """Give the videos that are there of some parts; a fake shares its source with the original it was made from."""
    wanted = {f"dfdc_train_part_{part}" for part in parts} | {f"dfdc_train_part_{part:02d}" for part in parts}
    for file in sorted(root.rglob(LIST)):
        if file.parent.name in wanted or file.parent.name == "train_sample_videos":
            yield from _of_part(file, root)


def _of_part(file: Path, root: Path) -> Iterator[Example]:
    for name, about in sorted(_read(file).items()):
        video = file.parent / Path(name).name
        if about.get("label") in LABELS and video.is_file():
            label, generator = LABELS[about["label"]]
            source = Path(about.get("original") or name).stem
            yield Example(video.relative_to(root).as_posix(), label, source, generator)
        else:
            log.warning("dfdc: %s lists %s, which has no label or is not there", file, name)


def _read(file: Path) -> dict[str, dict[str, Any]]:
    try:
        listed = json.loads(file.read_text(encoding="utf-8"))
        return {name: dict(about) for name, about in listed.items()}
    except (ValueError, TypeError, AttributeError) as error:
        log.warning("dfdc: %s left out, its list cannot be read: %s", file.parent, error)
        return {}
