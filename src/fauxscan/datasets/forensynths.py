"""ForenSynths (Wang et al. 2020): ProGAN by category for training, thirteen generators for testing.

Addresses, names of archives and of the generators' folders: PeterWang512/CNNDetection, README.md, eval_config.py and
dataset/{train,val,test}/*.sh. Categories: the `--classes` of its README. The training set is a zip of 75 GB in a 7z
with volumes. It was not verified whether the archives have a folder above categories and generators: any depth is
accepted. It is not published which test images show the same scene; 0_real and 1_fake of one name count as one source,
which is right for sets of translated images and harmless for others.
"""

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePath, PurePosixPath
from typing import Literal

from fauxscan.records import FAKE, REAL, TEST, TRAIN, VALIDATION, Archive, DatasetCard, Example

log = logging.getLogger(__name__)
Part = Literal["train", "validation", "test"]
Category = Literal[
    "airplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow",
    "diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
]  # fmt: skip
Generator = Literal[
    "progan", "stylegan", "stylegan2", "biggan", "cyclegan", "stargan", "gaugan",
    "crn", "imle", "seeingdark", "san", "deepfake", "whichfaceisreal",
]  # fmt: skip
CATEGORIES: tuple[Category, ...] = Category.__args__  # type: ignore[attr-defined]
GENERATORS: tuple[Generator, ...] = Generator.__args__  # type: ignore[attr-defined]
BASE = "https://huggingface.co/datasets/sywang/CNNDetection/resolve/main/"
ARCHIVES = {
    "train": tuple(
        Archive(f"progan_train.7z.{volume:03d}", f"{BASE}progan_train.7z.{volume:03d}", into="train")
        for volume in range(1, 8)
    ),
    "validation": (Archive("progan_val.zip", f"{BASE}progan_val.zip", into="val"),),
    "test": (
        Archive(
            "CNN_synth_testset.zip",
            f"{BASE}CNN_synth_testset.zip",
            aliases=("forensynths_mini.zip",),  # a selection of it
            into="test",
        ),
    ),
}
FOLDERS = {
    "train": TRAIN, "progan_train": TRAIN, "val": VALIDATION, "progan_val": VALIDATION,
    "test": TEST, "CNN_synth_testset": TEST,
}  # fmt: skip
LABELS = {"0_real": REAL, "1_fake": FAKE}

CARD = DatasetCard(
    name="forensynths",
    title="ForenSynths: images of thirteen CNN generators",
    citation=(
        "Wang, Wang, Zhang, Owens and Efros 2020, CNN-generated images are surprisingly easy to spot... for now, CVPR"
    ),
    licence="CC BY-NC-SA 4.0; the photographs come from other datasets, with terms of their own",
    archives=ARCHIVES["test"],
    layout=(*FOLDERS, *GENERATORS),
    instructions=(
        "It is downloaded from Hugging Face. If you have it already, set `archives` of the dataset in params.yaml"
        " to the folder of the archives, or of the unpacked train, val and test (or of the generators)."
    ),
)


def archives(parts: tuple[Part, ...] = ("test",)) -> tuple[Archive, ...]:
    """Return the archives of some parts. `train` is 75 GB; unpacking needs twice that, plus the selected images."""
    return tuple(archive for part in parts for archive in ARCHIVES[part])


def examples(
    root: Path,
    parts: tuple[Part, ...] = ("test",),
    categories: tuple[Category, ...] = CATEGORIES,
    generators: tuple[Generator, ...] = GENERATORS,
) -> Iterator[Example]:
    """Yield the images of some parts: by category for train and validation, by generator for test."""
    counts = dict.fromkeys(parts, 0)
    for folder in sorted(path for name in LABELS for path in root.rglob(name) if path.is_dir()):
        part, generator, category = _parse_folder(folder.relative_to(root).parent)
        if part in parts and selects((folder.relative_to(root) / "any").as_posix(), categories, generators):
            for file in sorted(path for path in folder.iterdir() if path.is_file()):
                counts[part] += 1
                yield _example(file, root, part, generator, category)
    for part in (part for part, count in counts.items() if not count):
        log.warning("forensynths: no images of the part %s in %s", part, root)


def selects(path: str, categories: Sequence[str] = CATEGORIES, generators: Sequence[str] = GENERATORS) -> bool:
    """Return whether the options select a file: the others need not be unpacked."""
    folder = PurePosixPath(path).parent
    if folder.name not in LABELS:
        return True
    part, generator, category = _parse_folder(folder.parent)
    return generator in generators if part == TEST else category in categories


def _parse_folder(folder: PurePath) -> tuple[Part, str, str]:
    """Return part, generator and category ("" if none) of the folder that contains 0_real and 1_fake."""
    names = folder.parts
    part = FOLDERS.get(names[0], TEST) if len(names) > 1 else TEST  # in `train/0_real`, train is a category
    if part != TEST:
        return part, "progan", names[-1]  # type: ignore[return-value]
    at = next((number for number, name in enumerate(names) if name in GENERATORS), len(names) - 1)
    return TEST, names[at], "/".join(names[at + 1 :])  # type: ignore[return-value]


def _example(file: Path, root: Path, part: Part, generator: str, category: str) -> Example:
    label = LABELS[file.parent.name]
    source = str(PurePosixPath(part, generator, category, file.stem))
    made_by = generator if label == FAKE else None
    return Example(file.relative_to(root).as_posix(), label, source, made_by, split=part)
