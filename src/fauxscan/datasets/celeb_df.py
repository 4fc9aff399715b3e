"""Celeb-DF version 2 (Li et al. 2020): celebrities' interviews, and the same with their faces swapped.

Folders and the list of test videos: yuezunli/celeb-deepfakeforensics, Celeb-DF-v2/README.md. Lines of the list are
"1 YouTube-real/00170.mp4" where 1 means real, the other way round than here: as several public readers have it; labels
are taken from the folders alone. Names: id0_0000.mp4 is a video of person id0, id0_id1_0000.mp4 the same video with the
face of id1. That the archive is called Celeb-DF-v2.zip is recalled, not read.
Every celebrity gives a face to many others, so that persons cannot be kept apart: `identities` has the target alone.
"""

import logging
from collections.abc import Iterator
from pathlib import Path

from fauxscan.records import FAKE, REAL, TEST, Archive, DatasetCard, Example

log = logging.getLogger(__name__)
LIST = "List_of_testing_videos.txt"
LABELS = {"Celeb-real": (REAL, None), "YouTube-real": (REAL, None), "Celeb-synthesis": (FAKE, "celeb_df")}

CARD = DatasetCard(
    name="celeb_df",
    title="Celeb-DF (v2)",
    citation="Li, Yang, Sun, Qi and Lyu 2020, Celeb-DF: A Large-scale Challenging Dataset for DeepFake Forensics, CVPR",
    licence="Terms to Use Celeb-DF (in the form): research only",
    access="manual",
    archives=(Archive("Celeb-DF-v2.zip"),),
    layout=tuple(LABELS),
    instructions=(
        "Fill in the form that Celeb-DF-v2/README.md of yuezunli/celeb-deepfakeforensics names, and name the folder of"
        " the archive, or of the unpacked Celeb-real, YouTube-real, Celeb-synthesis and List_of_testing_videos.txt, as"
        " `archives` of the dataset in params.yaml."
    ),
)


def examples(root: Path) -> Iterator[Example]:
    """Give each video; those on the authors' list are the test split, the rest is split further on."""
    listed = _listed(root)
    for folder, (label, generator) in LABELS.items():
        for file in sorted(root.glob(f"**/{folder}/*.mp4")):
            source, identities = _of(file)
            split = TEST if f"{folder}/{file.name}" in listed else None
            yield Example(file.relative_to(root).as_posix(), label, source, generator, split, identities)


def _of(file: Path) -> tuple[str, tuple[str, ...]]:
    """Return the video that a file shows or was made from, and the person who was filmed."""
    if file.parent.name == "YouTube-real":
        return f"youtube-{file.stem}", ()
    person, *_, number = file.stem.split("_")
    return f"{person}_{number}", (person,)


def _listed(root: Path) -> set[str]:
    file = next(root.rglob(LIST), None)
    if file is None:
        log.warning("celeb_df: no %s in %s, so no official test split: it is published with the videos", LIST, root)
        return set()
    lines = (line.split(maxsplit=1) for line in file.read_text(encoding="utf-8").splitlines())
    return {words[1].strip() for words in lines if len(words) == 2}
