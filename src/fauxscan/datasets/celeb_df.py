"""Celeb-DF version 2 (Li et al. 2020): interviews of celebrities, original and with swapped faces.

Folders and the list of test videos: yuezunli/celeb-deepfakeforensics, Celeb-DF-v2/README.md. According to several
public readers of the dataset, lines of the list are "1 YouTube-real/00170.mp4" where 1 means real, the opposite of our
labels; labels are taken from the folders only. Names: id0_0000.mp4 is a video of person id0, id0_id1_0000.mp4 the same
video with the face of id1. The archive name Celeb-DF-v2.zip is from memory, not verified.
Every celebrity's face is used for many others, so persons cannot be kept apart: `identities` has only the target.
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
        "Fill in the form linked in Celeb-DF-v2/README.md of yuezunli/celeb-deepfakeforensics, download the"
        " archive, and set `archives` of the dataset in params.yaml to its folder, or to the folder with the"
        " unpacked Celeb-real, YouTube-real, Celeb-synthesis and List_of_testing_videos.txt."
    ),
)


def examples(root: Path) -> Iterator[Example]:
    """Yield each video; those on the authors' list are the test split, the others are split by the stage `split`."""
    test_videos = _test_videos(root)
    for folder, (label, generator) in LABELS.items():
        for file in sorted(root.glob(f"**/{folder}/*.mp4")):
            source, identities = _source_and_identities(file)
            split = TEST if f"{folder}/{file.name}" in test_videos else None
            yield Example(file.relative_to(root).as_posix(), label, source, generator, split, identities)


def _source_and_identities(file: Path) -> tuple[str, tuple[str, ...]]:
    """Return the video that a file shows or was made from, and the person in it."""
    if file.parent.name == "YouTube-real":
        return f"youtube-{file.stem}", ()
    person, *_, number = file.stem.split("_")
    return f"{person}_{number}", (person,)


def _test_videos(root: Path) -> set[str]:
    file = next(root.rglob(LIST), None)
    if file is None:
        log.warning(
            "celeb_df: no %s in %s, so there is no official test split; it is published with the videos", LIST, root
        )
        return set()
    lines = (line.split(maxsplit=1) for line in file.read_text(encoding="utf-8").splitlines())
    return {words[1].strip() for words in lines if len(words) == 2}
