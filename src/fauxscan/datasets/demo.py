"""The built-in dataset: generated in seconds from pictures in scikit-image and scikit-learn, without a network.

It shows that the pipeline runs and that a detector can learn from it; it says nothing about real deepfakes: all faces
but one are 25 pixels wide, enlarged and pasted into photographs, in reals and fakes alike. Each fake is made from the
same shot as its real, with the same format, dimensions, quality and file size, so that only the manipulation
distinguishes them.
"""

import hashlib
import json
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from functools import partial
from pathlib import Path

import numpy as np

from fauxscan.datasets.making.camera import clip_shots, face_shot, photograph_shot
from fauxscan.datasets.making.files import Media, blended_clips, blended_stills, upsampled_stills
from fauxscan.datasets.making.pictures import LFW_FACES, astronaut_portrait, lfw_portrait
from fauxscan.datasets.making.pictures import PHOTOGRAPHS as PICTURES
from fauxscan.datasets.making.upsample import KINDS as LAYERS
from fauxscan.records import FAKE, REAL, DatasetCard, Example

CARD = DatasetCard(
    name="demo",
    title="Built-in demo: faces and photographs of scikit-image and scikit-learn, self-blended and up-sampled",
    citation=(
        "Faces: 100 of Labeled Faces in the Wild (Huang et al., 2012) as in scikit-image's lfw_subset, and its"
        " astronaut (NASA). Photographs: scikit-image's sample images (van der Walt et al., PeerJ 2014) and"
        " scikit-learn's china.jpg and flower.jpg (Pedregosa et al., JMLR 2011)."
        " Self-blended faces after Shiohara and Yamasaki, Detecting Deepfakes with Self-Blended Images, CVPR 2022."
    ),
    licence=(
        "That of the sources, as the two packages give it: public domain, CC0 or no known restrictions for most of"
        " scikit-image's photographs, Middlebury stereo benchmark for the motorcycle, LFW for research,"
        " CC BY 2.0 for china.jpg (danielbuechele) and flower.jpg (vultilion). Made on each machine, not published."
    ),
    instructions="Nothing to download: the stage `download` generates it.",
    proof_of_machinery=True,
)
ROWS = "examples.json"
FACES = [f"lfw-{number:03d}" for number in range(LFW_FACES)] + ["astronaut"]
PHOTOGRAPHS = [f"photo-{name}" for name in PICTURES]
SOURCES = FACES + PHOTOGRAPHS
CLIP_SOURCES = FACES[1::6]  # each has one real and one fake clip
BLENDS_PER_FACE = 2
KINDS = list(LAYERS)


def make(root: Path, seed: int) -> None:
    """Write all media and a list of them below `root`. On one machine, the same seed gives the same bytes."""
    (root / "media").mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor() as pool:  # each source draws from its own generator, so order does not matter
        rows = [row for part in pool.map(partial(_store, root, seed), SOURCES) for row in part]
    rows.sort(key=lambda row: row.path)
    (root / ROWS).write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n", encoding="utf-8")


def examples(root: Path) -> Iterator[Example]:
    """Yield each media file below `root` with its label, source and generator."""
    for row in json.loads((root / ROWS).read_text(encoding="utf-8")):
        yield Example(**row)


def media(source: str, seed: int) -> Iterator[Media]:
    """Yield the media of a source, each real followed by the fake made from the same shot."""
    rng = np.random.default_rng([seed, zlib.crc32(source.encode())])
    if source in PHOTOGRAPHS:
        for kind in KINDS:
            yield from upsampled_stills(photograph_shot(source.removeprefix("photo-"), rng), kind, rng)
    else:
        yield from _face_media(source, rng)


def _face_media(source: str, rng: np.random.Generator) -> Iterator[Media]:
    number = FACES.index(source)
    portrait = lfw_portrait(number, rng) if number < LFW_FACES else astronaut_portrait()
    for _ in range(BLENDS_PER_FACE):
        yield from blended_stills(face_shot(portrait, rng), rng)
    yield from upsampled_stills(face_shot(portrait, rng).pixels, KINDS[number % len(KINDS)], rng)
    if source in CLIP_SOURCES:
        yield from blended_clips(clip_shots(portrait, rng), rng)


def _store(root: Path, seed: int, source: str) -> list[Example]:
    return [_write(root, f"{seed} {source} {number}", source, m) for number, m in enumerate(media(source, seed))]


def _write(root: Path, key: str, source: str, item: Media) -> Example:
    # The name is a digest in digits, so that neither names, their pattern nor their order reveal the label.
    number = int.from_bytes(hashlib.sha256(key.encode()).digest()[:8]) % 10**12
    path = f"media/{number:012d}{item.suffix}"
    (root / path).write_bytes(item.data)
    return Example(path, REAL if item.generator is None else FAKE, source, item.generator)
