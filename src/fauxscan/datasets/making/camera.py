"""The demo's camera: shots of portraits and photographs with varied framing, light, focus and noise."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from fauxscan.datasets.making.pictures import PHOTOGRAPHS, Portrait, photograph
from fauxscan.media.blending import CANVAS, Floats, Pixels, Pose

SIDE = 256  # pixels: of every still and frame
FRAMES = 24  # in a clip
PAN = 24  # pixels: as far as a background moves through a clip
BACKDROPS = sorted(set(PHOTOGRAPHS) - {"camera"})  # which shows a man, and a shot has one face


@dataclass(frozen=True)
class Shot:
    """What falls on the sensor, (SIDE, SIDE, 3) RGB in 0..255, and where the portrait lies in it."""

    pixels: Pixels
    pose: Pose


@dataclass(frozen=True)
class Light:
    """Exposure, contrast curve, colour cast (3,), and slope of the brightness across the picture (2,)."""

    gain: float
    gamma: float
    cast: Floats
    slope: Floats


def draw_light(rng: np.random.Generator) -> Light:
    """Light as it varies between shots."""
    cast = rng.normal(1, 0.03, 3).astype(np.float32)
    slope = rng.uniform(-0.15, 0.15, 2).astype(np.float32)
    return Light(rng.uniform(0.8, 1.1), rng.uniform(0.8, 1.25), cast, slope)


def lit(pixels: Pixels, light: Light) -> Pixels:
    """The picture under that light."""
    ramp = np.linspace(-1, 1, SIDE, dtype=np.float32)
    shade = light.gain * (1 + light.slope[0] * ramp[:, None] + light.slope[1] * ramp)[..., None] * light.cast
    return np.asarray(np.clip(255 * (np.clip(pixels, 0, 255) / 255) ** light.gamma * shade, 0, 255), np.float32)


def cut(picture: Pixels, rng: np.random.Generator, size: int = SIDE) -> Pixels:
    """A square of a photograph at random, perhaps mirrored, brought down to `size`."""
    height, width = picture.shape[:2]
    side = int(rng.integers(size, max(size, int(0.8 * min(height, width, 2.5 * size))) + 1))
    top, left = int(rng.integers(height - side + 1)), int(rng.integers(width - side + 1))
    square = picture[top : top + side, left : left + side][:, :: int(rng.choice([-1, 1]))]
    return np.asarray(cv2.resize(square, (size, size), interpolation=cv2.INTER_AREA))


def backdrop(rng: np.random.Generator, size: int = SIDE) -> Pixels:
    """A piece of some photograph, turned, tinted and more or less out of focus, to stand behind a portrait."""
    piece = np.rot90(cut(photograph(str(rng.choice(BACKDROPS))), rng, size), int(rng.integers(4)))
    blurred = cv2.GaussianBlur(piece, (0, 0), rng.uniform(0.5, 3.0))
    return np.asarray(np.clip(blurred * rng.uniform(0.6, 1.2, 3), 0, 255), np.float32)


def draw_pose(rng: np.random.Generator) -> Pose:
    """A portrait upright to within some degrees, mirrored or not, wholly or nearly within the shot."""
    size, turn = rng.uniform(150, 215), np.radians(rng.normal(0, 5))
    centre = SIDE / 2 + rng.uniform(-1, 1, 2) * (SIDE - 0.8 * size) / 2 * 0.8
    return pose_at(size, turn, centre, mirrored=bool(rng.integers(2)))


def pose_at(size: float, turn: float, centre: NDArray[np.float64], mirrored: bool) -> Pose:
    """The pose of a portrait `size` pixels wide, turned by `turn` radians about its middle, which lies at `centre`."""
    rotation = size / CANVAS * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    rotation[:, 0] *= -1 if mirrored else 1
    shift = centre - rotation @ np.full(2, CANVAS / 2)
    return np.column_stack([rotation, shift]).astype(np.float32)


def warp(canvas: Floats, pose: Pose) -> Floats:
    """A picture or mask in portrait coordinates, laid into the shot: (SIDE, SIDE, ...)."""
    return np.asarray(cv2.warpAffine(canvas, pose, (SIDE, SIDE), borderMode=cv2.BORDER_CONSTANT))


def portrayed(portrait: Portrait, background: Pixels, pose: Pose) -> Pixels:
    """The portrait before a background."""
    alpha = warp(portrait.alpha, pose)[..., None]
    face = cv2.warpAffine(portrait.pixels, pose, (SIDE, SIDE), borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(background + alpha * (face - background))


def noise(rng: np.random.Generator, side: int = SIDE) -> Pixels:
    """Sensor noise of unit strength: (side, side, 3), most of it common to the colours, as after demosaicing."""
    own = rng.standard_normal((side, side, 3), np.float32)
    return 0.5 * own + 0.87 * rng.standard_normal((side, side, 1), np.float32)


def photograph_shot(name: str, rng: np.random.Generator) -> Pixels:
    """A piece of a photograph under varied light and focus, (SIDE, SIDE, 3)."""
    piece = cv2.GaussianBlur(cut(photograph(name), rng), (0, 0), rng.uniform(0.7, 1.1))
    return lit(piece, draw_light(rng))


def face_shot(portrait: Portrait, rng: np.random.Generator) -> Shot:
    """A portrait before a background of its own."""
    pose = draw_pose(rng)
    return Shot(lit(portrayed(portrait, backdrop(rng), pose), draw_light(rng)), pose)


def clip_shots(portrait: Portrait, rng: np.random.Generator) -> list[Shot]:
    """FRAMES shots of a portrait that nods and drifts before a background that pans, under one light."""
    light, background = draw_light(rng), backdrop(rng, SIDE + PAN)
    shots = []
    for pose, offset in zip(_path(rng), np.linspace(0, PAN, FRAMES).astype(int), strict=True):
        seen = background[offset // 2 : offset // 2 + SIDE, offset : offset + SIDE]
        shots.append(Shot(lit(portrayed(portrait, seen, pose), light), pose))
    return shots


def _path(rng: np.random.Generator) -> list[Pose]:
    """A pose for each frame, on a smooth path through position, turn and size."""
    size, reach, mirrored = rng.uniform(150, 185), rng.uniform(8, 20), bool(rng.integers(2))
    x, y, turn, zoom = np.sin(rng.uniform(0, 2 * np.pi, (4, 1)) + np.linspace(0, 2 * np.pi, FRAMES))
    centres = SIDE / 2 + reach * np.column_stack([x, y])
    return [pose_at(size * (1 + 0.06 * zoom[i]), 0.08 * turn[i], centres[i], mirrored) for i in range(FRAMES)]
