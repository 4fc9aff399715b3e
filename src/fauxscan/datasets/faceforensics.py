"""FaceForensics++ (Roessler et al. 2019), with the DeepFakeDetection videos that its authors host.

Folders and file names: ondyari/FaceForensics, dataset/README.md ("<target sequence>_<source sequence>",
"<actor number>__<scene name>", "<target actor>_<source actor>__<sequence name>__<experiment id>"). The folder `videos`
below each compression: the trees published by DeepfakeBench and SelfBlendedImages. Official splits: lists of pairs in
dataset/splits of the same repository. The videos of actors have no official split.
A fake shares its source with the target's video, which it shows except for the face; both persons are its identities.
"""

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from fauxscan.records import FAKE, REAL, TEST, TRAIN, VALIDATION, DatasetCard, Example, UserError

log = logging.getLogger(__name__)
Compression = Literal["raw", "c23", "c40"]
Manipulation = Literal["Deepfakes", "Face2Face", "FaceSwap", "NeuralTextures", "FaceShifter", "DeepFakeDetection"]
PUBLISHED: tuple[Manipulation, ...] = ("Deepfakes", "Face2Face", "FaceSwap", "NeuralTextures")  # in the paper
ACTORS = "DeepFakeDetection"  # the manipulation whose originals show actors
SPLITS = {"train": TRAIN, "val": VALIDATION, "test": TEST}

CARD = DatasetCard(
    name="faceforensics",
    title="FaceForensics++, and DeepFakeDetection",
    citation=(
        "Roessler, Cozzolino, Verdoliva, Riess, Thies and Niessner 2019, FaceForensics++: Learning to Detect"
        " Manipulated Facial Images, ICCV; Dufour and Gully 2019, DeepFakeDetection (Google, Jigsaw);"
        " Li, Bao, Yang, Chen and Wen 2020, FaceShifter"
    ),
    licence="FaceForensics terms of use: research only",
    access="manual",
    layout=("original_sequences", "manipulated_sequences"),
    instructions=(
        "Fill in the form linked in dataset/README.md of ondyari/FaceForensics, and download videos with the script"
        " that its authors send. Put dataset/splits of that repository beside original_sequences and"
        " manipulated_sequences, and set `archives` of the dataset in params.yaml to the folder of the three."
    ),
)


def examples(
    root: Path,
    compression: tuple[Compression, ...] = ("c23",),
    manipulations: tuple[Manipulation, ...] = PUBLISHED,
) -> Iterator[Example]:
    """Yield the originals and some manipulations at some compressions. Raise UserError for a damaged split list."""
    splits = _splits(root)
    originals = {"actors" if name == ACTORS else "youtube" for name in manipulations}
    folders = [f"original_sequences/{name}" for name in sorted(originals)]
    folders += [f"manipulated_sequences/{name}" for name in manipulations]
    for folder in (f"{name}/{quality}/videos" for name in folders for quality in compression):
        if not (root / folder).is_dir():
            log.warning("faceforensics: there is no folder %s in %s", folder, root)
        for file in sorted((root / folder).glob("*.mp4")):
            yield _example(file.relative_to(root), splits)


def _example(path: Path, splits: dict[str, str]) -> Example:
    kind, name = path.parts[:2]
    shoot, *rest = path.stem.split("__")  # actors: person, scene, and for fakes the experiment
    target, *donor = shoot.split("_")
    people = "actor" if name in ("actors", ACTORS) else "youtube"
    source = f"{people}-{'__'.join([target, *rest[:1]])}"
    return Example(
        path.as_posix(),
        REAL if kind == "original_sequences" else FAKE,
        source,
        None if kind == "original_sequences" else name.lower(),
        splits.get(target) if people == "youtube" else None,
        tuple(f"{people}-{person}" for person in (target, *donor)),
    )


def _splits(root: Path) -> dict[str, str]:
    """Return the split of each YouTube sequence, by its number; empty if the lists are missing. Raise UserError."""
    splits: dict[str, str] = {}
    for name, split in SPLITS.items():
        file = next((f for f in (root / "splits" / f"{name}.json", root / f"{name}.json") if f.is_file()), None)
        if file is None:
            log.warning(
                "faceforensics: no splits/%s.json in %s, so there is no official split. %s",
                name,
                root,
                CARD.instructions,
            )
            return {}
        try:
            pairs: list[list[str]] = json.loads(file.read_text(encoding="utf-8"))
            splits |= {str(sequence): split for pair in pairs for sequence in pair}
        except (ValueError, TypeError) as error:
            raise UserError(f"{file} is not a list of pairs of sequences: {error}. Download it again") from error
    return splits
