"""Portraits and face crops: photographs, face swaps, a GAN and four text-to-image generators, in nine sets.

Each archive is a selection of a published set, with the folders `real` and `fake`. The citation names the repositories
that the sets were selected from. The original publications were not read: that DFDC's crops are named after its videos,
and the licences, are as those repositories give them. `pairs.csv` in DFDC's archive has a line for each real and the
fake made from it.
"""

import csv
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from fauxscan.records import FAKE, REAL, Archive, DatasetCard, Example, UserError

log = logging.getLogger(__name__)
Set = Literal[
    "dfdc_faces", "openforensics_fakes", "sd21", "sd3", "sd15_dreamlike", "men_photos", "women_photos",
    "scenes_2025", "ml72",
]  # fmt: skip
SETS: tuple[Set, ...] = Set.__args__  # type: ignore[attr-defined]
OF_FACES = SETS[:7]
DFDC, PAIRS = "dfdc_faces", "pairs.csv"
LABELS = {"real": REAL, "fake": FAKE}
GENERATORS = {
    "dfdc_faces": "dfdc",
    "openforensics_fakes": "openforensics",
    "sd21": "stable_diffusion_2_1",
    "sd3": "stable_diffusion_3",
    "sd15_dreamlike": "stable_diffusion_1_5",
    "scenes_2025": "text_to_image_2025",
}  # of ml72, the names of the files say it
ARCHIVES = (
    Archive(
        "dfdc_faces.zip",
        into="dfdc_faces",
        bytes=9_428_866,
        sha256="cdfb50d4bb162ebd6ba2c29582b5dcaabea6c899dae4b7f44a1540aff69f94f3",
    ),
    Archive(
        "openforensics_fakes.zip",
        into="openforensics_fakes",
        bytes=4_417_870,
        sha256="a5e45636e23e7a6ddbe7b8d91af28f276b5745e0aaa2272fea18834c5c288261",
    ),
    Archive(
        "sd21.zip",
        into="sd21",
        bytes=17_907_130,
        sha256="ea811952fe062f87fc45a238906d83b8a02337f1893cfc5c908c9f4e1aa2fd8b",
    ),
    Archive(
        "sd3.zip",
        into="sd3",
        bytes=4_188_539,
        sha256="c5665e8c548ca37310fe1dad0d2f2b7418061a92725dece711b3bd18bec61b6b",
    ),
    Archive(
        "sd15_dreamlike.zip",
        into="sd15_dreamlike",
        bytes=1_619_099,
        sha256="3d0ca689635d0f986bb84dc228390304254626455d8371cbbd67a86fbefdbf4c",
    ),
    Archive(
        "men_photos.zip",
        into="men_photos",
        bytes=11_805_981,
        sha256="7ef9f277782a4e1cbfcbe3b3acebff80cfc0048debbbd64717f725d4b0d320b6",
    ),
    Archive(
        "women_photos.zip",
        into="women_photos",
        bytes=9_463_024,
        sha256="ee2217e9c2ae28cf7edb13abda9d983210664668f751195b355cb4c75a16a24f",
    ),
    Archive(
        "scenes_2025.zip",
        into="scenes_2025",
        bytes=6_003_310,
        sha256="4992c20eb8ea807338fd6b3b74ca87b6c35983670afb269e36d0f8cbb0385c62",
    ),
    Archive(
        "ml72.zip",
        into="ml72",
        bytes=2_511_265,
        sha256="cf874ec5fb669a6fe20dcd506d30ce0adf5a6afb46a27d90aefb3cd3ddea103b",
    ),
)

CARD = DatasetCard(
    name="portraits",
    title="Portraits: photographs, face swaps of DFDC, GAN faces and Stable Diffusion",
    citation=(
        "Dolhansky et al. 2020 (DFDC), as face crops in i-Shreyansh/DeepFake-Detection; Le et al. 2021 (OpenForensics),"
        " in kirtigupta10/deepfake_image_detector; Stable Diffusion 2.1, in gebaltso/SDFD; Stable Diffusion 3, in"
        " faker-js/assets-person-portrait; photographs of men and women, in"
        " djbielejeski/Stable-Diffusion-Regularization-Images-man_unsplash and"
        " nanoralers/Stable-Diffusion-Regularization-Images-women-DataSet; scenes, in Laboratoriet/real-or-ai-game;"
        " ML72/AI-Image-Classifier-Playground"
    ),
    licence=(
        "DFDC's terms (research, no redistribution) for its crops, CC0 for Stable Diffusion 3, MIT for ml72, Unsplash"
        " as far as known for photographs of men; none stated for the others: research use"
    ),
    access="manual",
    archives=ARCHIVES[: len(OF_FACES)],
    layout=SETS,
    instructions=(
        "The archives are selections that nobody publishes under these names. If you have them, set `archives` of the"
        " dataset in params.yaml to their folder. Otherwise collect the sets from the repositories named in"
        " docs/datasets.md, and set it to a folder that holds them unpacked, each with its folders real and fake,"
        f" and {DFDC} with {PAIRS}. options.sets chooses some of them."
    ),
)


def archives(sets: tuple[Set, ...] = OF_FACES) -> tuple[Archive, ...]:
    """Return the archives of some sets."""
    return tuple(archive for archive in ARCHIVES if archive.into in sets)


def examples(root: Path, sets: tuple[Set, ...] = OF_FACES) -> Iterator[Example]:
    """Yield the images of some sets. Raise UserError if the list of DFDC's pairs is missing or damaged.

    A face swap of `dfdc_faces` shares its source with the real that it was made from, under the name that the dataset
    `dfdc` gives it. Some people appear in several videos of DFDC, but nobody names them, and some swaps hardly change
    the face. The publisher of `openforensics_fakes` has the labels the wrong way round: these are fakes. The generator
    of the fakes in `scenes_2025` is unknown. `scenes_2025` and `ml72` show few faces and are left out by default. Some
    of the photographs of women are retouched.

    Beware: the format gives the label away. The fakes of most sets are JPEGs of quality 75, but the photographs of men
    and women have quality 90 to 95. A model trained on that calls every good JPEG real. Set `reencode` to ranges, such
    as `{size: [192, 256], jpeg_quality: [60, 95]}`, which treats both classes alike.
    """
    for name in SETS:
        if name in sets:
            yield from _examples_of_set(root, name)


def _examples_of_set(root: Path, name: str) -> Iterator[Example]:
    if not (root / name).is_dir():
        log.warning("portraits: there is no folder %s in %s", name, root)
        return
    originals = _originals(root / DFDC) if name == DFDC else {}
    for folder, label in LABELS.items():
        for file in sorted((root / name / folder).glob("*.jpg")):
            source = originals.get(file.stem, file.stem) if name == DFDC else f"{name}/{file.stem}"
            generator = _generator(name, file) if label == FAKE else None
            yield Example(file.relative_to(root).as_posix(), label, source, generator)


def _generator(name: str, file: Path) -> str:
    return GENERATORS.get(name) or f"{name}_{file.stem.partition('_')[0]}"


def _originals(folder: Path) -> dict[str, str]:
    """Return the name of the real that each fake in `folder` was made from. Raise UserError if the list lacks one."""
    try:
        with (folder / PAIRS).open(encoding="utf-8", newline="") as lines:
            listed = {row["fake"]: row["real"] for row in csv.DictReader(lines)}
        return {file.stem: listed[file.stem] for file in (folder / "fake").glob("*.jpg")}
    except (OSError, ValueError, KeyError) as error:
        raise UserError(
            f"{folder / PAIRS} does not say which real each fake was made from ({error}), so a split could divide them."
            f" Put {PAIRS} of {DFDC}.zip there, or leave {DFDC} out of options.sets"
        ) from error
