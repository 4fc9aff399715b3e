"""The built-in data set: made in seconds from pictures that scikit-image and scikit-learn carry, without network.

It proves that the machinery runs, and that a detector can learn from it; it says nothing about any deepfake in the
world: all faces but one are 25 pixels wide, enlarged and pasted into photographs, in reals as in fakes. Each fake is
made from the shot that its real shows, and brought to the same format, dimensions, quality and file size, so that
nothing but the manipulation tells them apart.
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
from fauxscan.datasets.making.pictures import LFW_FACES, astronaut, lfw
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
    instructions="Nothing to fetch: it is made on the spot.",
    proof_of_machinery=True,
)
ROWS = "examples.json"
FACES = [f"lfw-{number:03d}" for number in range(LFW_FACES)] + ["astronaut"]
PHOTOGRAPHS = [f"photo-{name}" for name in PICTURES]
SOURCES = FACES + PHOTOGRAPHS
CLIP_SOURCES = FACES[1::6]  # of one real clip and one fake each
BLENDS_PER_FACE = 2
KINDS = list(LAYERS)


def make(root: Path, seed: int) -> None:
    """Write all media and their list beneath `root`; on one machine, the same bytes for the same seed."""
    (root / "media").mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor() as pool:  # each source draws from its own generator, so order does not matter
        rows = [row for part in pool.map(partial(_store, root, seed), SOURCES) for row in part]
    rows.sort(key=lambda row: row.path)
    (root / ROWS).write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n", encoding="utf-8")


def examples(root: Path) -> Iterator[Example]:
    """Yield each media beneath `root` with its label, source and generator."""
    for row in json.loads((root / ROWS).read_text(encoding="utf-8")):
        yield Example(**row)


def media(source: str, seed: int) -> Iterator[Media]:
    """Yield a source's media, each real followed by the fake made from the same shot."""
    rng = np.random.default_rng([seed, zlib.crc32(source.encode())])
    if source in PHOTOGRAPHS:
        for kind in KINDS:
            yield from upsampled_stills(photograph_shot(source.removeprefix("photo-"), rng), kind, rng)
    else:
        yield from _face_media(source, rng)


def _face_media(source: str, rng: np.random.Generator) -> Iterator[Media]:
    number = FACES.index(source)
    portrait = lfw(number, rng) if number < LFW_FACES else astronaut()
    for _ in range(BLENDS_PER_FACE):
        yield from blended_stills(face_shot(portrait, rng), rng)
    yield from upsampled_stills(face_shot(portrait, rng).pixels, KINDS[number % len(KINDS)], rng)
    if source in CLIP_SOURCES:
        yield from blended_clips(clip_shots(portrait, rng), rng)


def _store(root: Path, seed: int, source: str) -> list[Example]:
    return [_written(root, f"{seed} {source} {number}", source, m) for number, m in enumerate(media(source, seed))]


def _written(root: Path, key: str, source: str, item: Media) -> Example:
    # A digest for a name, in digits: neither it, its pattern nor the order of the names gives the label away.
    number = int.from_bytes(hashlib.sha256(key.encode()).digest()[:8]) % 10**12
    path = f"media/{number:012d}{item.suffix}"
    (root / path).write_bytes(item.data)
    return Example(path, REAL if item.generator is None else FAKE, source, item.generator)
