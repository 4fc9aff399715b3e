"""Source pictures of the demo: portraits and photographs included in scikit-image and scikit-learn."""

import io
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np

from fauxscan.media.blending.blend import CANVAS, CELL, EYES, Floats, Pixels
from fauxscan.records import UserError

LFW_FACES = 100  # in lfw_subset
ASTRONAUT_EYES = ((200.0, 102.0), (247.0, 102.0))  # pixels in astronaut.png, from the viewer's side: left, right

# Photographs large enough for a still, each scene once: motorcycle_right would repeat the left one.
PHOTOGRAPHS = {
    "brick": "skimage/data/brick.png", "camera": "skimage/data/camera.png", "cell": "skimage/data/cell.png",
    "chelsea": "skimage/data/chelsea.png", "china": "sklearn/datasets/images/china.jpg",
    "clock": "skimage/data/clock_motion.png", "coffee": "skimage/data/coffee.png",
    "coins": "skimage/data/coins.png", "flower": "sklearn/datasets/images/flower.jpg",
    "grass": "skimage/data/grass.png", "gravel": "skimage/data/gravel.png",
    "hubble": "skimage/data/hubble_deep_field.jpg", "ihc": "skimage/data/ihc.png", "moon": "skimage/data/moon.png",
    "motorcycle": "skimage/data/motorcycle_left.png", "retina": "skimage/data/retina.jpg",
    "rocket": "skimage/data/rocket.jpg",
}  # fmt: skip


@dataclass(frozen=True)
class Portrait:
    """A face framed as in lfw_subset: pixels (CANVAS, CANVAS, 3), and how much of each belongs to the head, in 0..1."""

    pixels: Pixels
    alpha: Floats


def _read_data(place: str) -> bytes:
    package, _, path = place.partition("/")
    spec = find_spec(package)  # without importing it, which would take seconds
    if spec is None or not spec.submodule_search_locations:
        raise UserError(
            f"the demo is generated from the package {package}, which is missing: install fauxscan's requirements"
        )
    return Path(spec.submodule_search_locations[0]).joinpath(path).read_bytes()


def _decode(place: str) -> Pixels:
    picture = cv2.imdecode(np.frombuffer(_read_data(place), np.uint8), cv2.IMREAD_COLOR)
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), np.float32)


@cache
def photograph(name: str) -> Pixels:
    """Return a photograph of PHOTOGRAPHS, at most 800 pixels high, (h, w, 3)."""
    picture = _decode(PHOTOGRAPHS[name])
    scale = min(1.0, 800 / picture.shape[0])
    return np.asarray(cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA))


@cache
def _grey_faces() -> Floats:
    # Read the file instead of calling skimage.data, which may use a cache folder and the network.
    faces = np.load(io.BytesIO(_read_data("skimage/data/lfw_subset.npy")))[:LFW_FACES]  # the others are not faces
    low, high = np.percentile(faces, (1, 99), axis=(1, 2), keepdims=True)
    return np.asarray(np.clip(0.05 + 0.9 * (faces - low) / (high - low), 0, 1), np.float32)  # some are very pale


@cache
def _head() -> Floats:
    mask = np.zeros((CANVAS, CANVAS), np.float32)
    cv2.ellipse(mask, (85, 98), (74, 90), 0, 0, 360, 1.0, -1)
    return np.asarray(cv2.GaussianBlur(mask, (0, 0), 5))


def _tint(grey: Floats, rng: np.random.Generator) -> Pixels:
    """Return a grey face in 0..1 with skin colours: dark tones are redder and more saturated than light ones."""
    redness = rng.uniform(0.7, 1.2)
    gamma = 1 + redness * np.array([-0.18, 0.06, 0.22], np.float32)
    return np.asarray(255 * np.clip(grey, 0, 1)[..., None] ** gamma * (1.0, 0.94, 0.88), np.float32)


def lfw_portrait(number: int, rng: np.random.Generator) -> Portrait:
    """Return face `number` of lfw_subset, enlarged and tinted, with a grain that 25 pixels cannot contain."""
    grey = cv2.resize(_grey_faces()[number], (CANVAS, CANVAS), interpolation=cv2.INTER_CUBIC)
    grain = cv2.GaussianBlur(rng.standard_normal((CANVAS, CANVAS), np.float32), (0, 0), 1.0)
    return Portrait(_tint(grey + 0.04 * grain, rng), _head())


def astronaut_portrait() -> Portrait:
    """Return the face of scikit-image's astronaut, aligned with the faces of lfw_subset."""
    (x, y), (right, _) = ASTRONAUT_EYES
    (to_x, to_y), (to_right, _) = EYES
    zoom = CANVAS / CELL * (to_right - to_x) / (right - x)
    shift = (to_x * CANVAS / CELL - zoom * x, to_y * CANVAS / CELL - zoom * y)
    place = np.array([[zoom, 0, shift[0]], [0, zoom, shift[1]]], np.float32)
    picture = _decode("skimage/data/astronaut.png")
    return Portrait(cv2.warpAffine(picture, place, (CANVAS, CANVAS), flags=cv2.INTER_CUBIC), _head())
