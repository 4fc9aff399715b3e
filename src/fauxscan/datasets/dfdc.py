"""The training set of the Deepfake Detection Challenge (Dolhansky et al. 2020): fifty parts of videos of paid actors.

According to many public readers of the dataset, each part is a folder dfdc_train_part_<n> with a metadata.json that
gives each video's label and the original of each fake; some of them show the archive names dfdc_train_part_<nn>.zip.
The test videos of the challenge are published separately, with other lists, and are not used. The method behind each
fake is not published. Licence and total size are from memory, not verified.
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
        "With a Kaggle account, accept the rules of deepfake-detection-challenge and download the parts that you"
        " want. Set `archives` of the dataset in params.yaml to the folder of the zips, or of the unpacked"
        " dfdc_train_part_<n>, and options.parts to the numbers of the parts (all fifty are about 470 GB)."
    ),
)


def archives(parts: tuple[int, ...] = PARTS) -> tuple[Archive, ...]:
    """Return the archives of some parts. Raise UserError for a part that does not exist."""
    unknown = sorted(set(parts) - set(PARTS))
    if unknown:
        raise UserError(f"dfdc has the parts {PARTS[0]} to {PARTS[-1]}, not {unknown}: correct options.parts")
    return tuple(CARD.archives[part] for part in parts)


def examples(root: Path, parts: tuple[int, ...] = PARTS) -> Iterator[Example]:
    """Yield the videos of some parts; a fake shares its source with the original that it was made from."""
    wanted = {f"dfdc_train_part_{part}" for part in parts} | {f"dfdc_train_part_{part:02d}" for part in parts}
    for file in sorted(root.rglob(LIST)):
        if file.parent.name in wanted or file.parent.name == "train_sample_videos":
            yield from _examples_of_part(file, root)


def _examples_of_part(file: Path, root: Path) -> Iterator[Example]:
    for name, facts in sorted(_read_list(file).items()):
        video = file.parent / Path(name).name
        if facts.get("label") in LABELS and video.is_file():
            label, generator = LABELS[facts["label"]]
            source = Path(facts.get("original") or name).stem
            yield Example(video.relative_to(root).as_posix(), label, source, generator)
        else:
            log.warning("dfdc: %s lists %s, which has no label or does not exist", file, name)


def _read_list(file: Path) -> dict[str, dict[str, Any]]:
    try:
        listed = json.loads(file.read_text(encoding="utf-8"))
        return {name: dict(facts) for name, facts in listed.items()}
    except (ValueError, TypeError, AttributeError) as error:
        log.warning("dfdc: skipped %s, since its list cannot be read: %s", file.parent, error)
        return {}
