"""FaceForensics++ (Roessler et al. 2019) with the DeepFakeDetection videos that its authors host.

Folders and file names: ondyari/FaceForensics, dataset/README.md ("<target sequence>_<source sequence>",
"<actor number>__<scene name>", "<target actor>_<source actor>__<sequence name>__<experiment id>"); the folder `videos`
below a compression: the trees that DeepfakeBench and SelfBlendedImages publish. Official splits: lists of pairs in
dataset/splits of the same repository. The actors have no official split.
A fake shares its source with the target's video, which it shows but for the face; both persons are its identities.
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
ACTORS = "DeepFakeDetection"  # the one whose originals are actors
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
        "Fill in the form that dataset/README.md of ondyari/FaceForensics names, fetch videos with the script which its"
        " authors then send, put dataset/splits of that repository beside original_sequences and manipulated_sequences,"
        " and name the folder of the three as `archives` of the dataset in params.yaml."
    ),
)


def examples(
    root: Path,
    compression: tuple[Compression, ...] = ("c23",),
    manipulations: tuple[Manipulation, ...] = PUBLISHED,
) -> Iterator[Example]:
    """Give the originals and some manipulations at some compressions. Raise UserError for a split that is damaged."""
    splits = _splits(root)
    originals = {"actors" if name == ACTORS else "youtube" for name in manipulations}
    folders = [f"original_sequences/{name}" for name in sorted(originals)]
    folders += [f"manipulated_sequences/{name}" for name in manipulations]
    for folder in (f"{name}/{quality}/videos" for name in folders for quality in compression):
        if not (root / folder).is_dir():
            log.warning("faceforensics: there is no %s in %s", folder, root)
        for file in sorted((root / folder).glob("*.mp4")):
            yield _example(file.relative_to(root), splits)


def _example(path: Path, splits: dict[str, str]) -> Example:
    kind, name = path.parts[:2]
    shoot, *rest = path.stem.split("__")  # actors: who, what scene, and of a fake which experiment
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
    """Return the split of each YouTube sequence, by its number; nothing where the lists are missing."""
    found: dict[str, str] = {}
    for name, split in SPLITS.items():
        file = next((f for f in (root / "splits" / f"{name}.json", root / f"{name}.json") if f.is_file()), None)
        if file is None:
            log.warning(
                "faceforensics: no splits/%s.json in %s, so no official split: %s", name, root, CARD.instructions
            )
            return {}
        try:
            pairs: list[list[str]] = json.loads(file.read_text(encoding="utf-8"))
            found |= {str(sequence): split for pair in pairs for sequence in pair}
        except (ValueError, TypeError) as error:
            raise UserError(f"{file} is no list of pairs of sequences: {error}; fetch it again") from error
    return found
