"""The built-in data set: made in seconds from pictures that scikit-image and scikit-learn carry, without network.

It proves that the machinery runs, and that a detector can learn from it; it says nothing about any deepfake in the
world. Each fake is made from the shot that its real shows, and brought to the same format, dimensions, quality and
file size, so that nothing but the manipulation tells them apart.
"""

import hashlib
import json
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from fauxscan.datasets import _demo_blend as blend
from fauxscan.datasets import _demo_camera as camera
from fauxscan.datasets import _demo_pictures as pictures
from fauxscan.datasets import _demo_upsample as upsample
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
        "Sources as in the two packages: public domain or CC0 for most of scikit-image's photographs, LFW for research,"
        " CC BY 2.0 for china.jpg (danielbuechele) and flower.jpg (vultilion). Made anew on each machine, not published."
    ),
    instructions="Nothing to fetch: it is made on the spot.",
    proof_of_machinery=True,
)
ROWS = "examples.json"
FACES = [f"lfw-{number:03d}" for number in range(pictures.FACES)] + ["astronaut"]
PHOTOGRAPHS = [f"photo-{name}" for name in pictures.PHOTOGRAPHS]
SOURCES = FACES + PHOTOGRAPHS
CLIP_SOURCES = FACES[::8]  # one real clip and one fake each
BLENDS_PER_FACE = 2
Kinds = list(upsample.KINDS)


@dataclass(frozen=True)
class Media:
    """One file to be written."""

    data: bytes
    suffix: str
    generator: str | None  # None: a real


def make(root: Path, seed: int) -> None:
    """Write all media beneath `root`, and which of them are fakes beside them; the same bytes for the same seed."""
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
        for kind in Kinds:
            yield from upsampled_pair(photograph_shot(source, rng), kind, rng)
        return
    portrait = _portrait(source, rng)
    for _ in range(BLENDS_PER_FACE):
        yield from blended_pair(face_shot(portrait, rng), rng)
    yield from upsampled_pair(face_shot(portrait, rng), Kinds[FACES.index(source) % len(Kinds)], rng)
    if source in CLIP_SOURCES:
        yield from clip_pair(clip_shots(portrait, rng), rng)
