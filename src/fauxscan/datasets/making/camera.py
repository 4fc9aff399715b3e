"""A simulated camera: shots of portraits and photographs with varied framing, light, focus and noise."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from fauxscan.datasets.making.pictures import PHOTOGRAPHS, Portrait, photograph
from fauxscan.media.blending.blend import CANVAS, Floats, Pixels, Pose

SIDE = 256  # pixels: width and height of every still and frame
FRAMES = 24  # in a clip
PAN = 24  # pixels: how far a background moves during a clip
BACKDROPS = sorted(set(PHOTOGRAPHS) - {"camera"})  # which shows a man, while a shot has one face


@dataclass(frozen=True)
class Shot:
    """The image on the sensor, (SIDE, SIDE, 3) RGB in 0..255, and the position of the portrait in it."""

    pixels: Pixels
    pose: Pose


@dataclass(frozen=True)
class Light:
    """Exposure, contrast curve, colour cast (3,), and slope of brightness across the picture (2,)."""

    gain: float
    gamma: float
    cast: Floats
    slope: Floats


def draw_light(rng: np.random.Generator) -> Light:
    """Return random light, which varies between shots."""
    cast = rng.normal(1, 0.03, 3).astype(np.float32)
    slope = rng.uniform(-0.15, 0.15, 2).astype(np.float32)
    return Light(rng.uniform(0.8, 1.1), rng.uniform(0.8, 1.25), cast, slope)


def illuminate(pixels: Pixels, light: Light) -> Pixels:
    """Return the picture (SIDE, SIDE, 3) under that light."""
    ramp = np.linspace(-1, 1, SIDE, dtype=np.float32)
    shade = light.gain * (1 + light.slope[0] * ramp[:, None] + light.slope[1] * ramp)[..., None] * light.cast
    return np.asarray(np.clip(255 * (np.clip(pixels, 0, 255) / 255) ** light.gamma * shade, 0, 255), np.float32)


def random_crop(picture: Pixels, rng: np.random.Generator, size: int = SIDE) -> Pixels:
    """Return a random square of a photograph, perhaps mirrored, resized to (size, size, 3)."""
    height, width = picture.shape[:2]
    side = int(rng.integers(size, max(size, int(0.8 * min(height, width, 2.5 * size))) + 1))
    top, left = int(rng.integers(height - side + 1)), int(rng.integers(width - side + 1))
    square = picture[top : top + side, left : left + side][:, :: int(rng.choice([-1, 1]))]
    return np.asarray(cv2.resize(square, (size, size), interpolation=cv2.INTER_AREA))


def backdrop(rng: np.random.Generator, size: int = SIDE) -> Pixels:
    """Return a background (size, size, 3): part of a photograph, rotated, tinted and out of focus."""
    piece = np.rot90(random_crop(photograph(str(rng.choice(BACKDROPS))), rng, size), int(rng.integers(4)))
    blurred = cv2.GaussianBlur(piece, (0, 0), rng.uniform(0.5, 3.0))
    return np.asarray(np.clip(blurred * rng.uniform(0.6, 1.2, 3), 0, 255), np.float32)


def draw_pose(rng: np.random.Generator) -> Pose:
    """Return a random pose: upright within some degrees, perhaps mirrored, entirely or nearly inside the shot."""
    size, turn = rng.uniform(150, 215), np.radians(rng.normal(0, 5))
    centre = SIDE / 2 + rng.uniform(-1, 1, 2) * (SIDE - 0.8 * size) / 2 * 0.8
    return pose_at(size, turn, centre, mirrored=bool(rng.integers(2)))


def pose_at(size: float, turn: float, centre: NDArray[np.float64], mirrored: bool) -> Pose:
    """Return the pose (2, 3) of a portrait `size` wide, turned by `turn` radians, with its middle at `centre`."""
    rotation = size / CANVAS * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    rotation[:, 0] *= -1 if mirrored else 1
    shift = centre - rotation @ np.full(2, CANVAS / 2)
    return np.column_stack([rotation, shift]).astype(np.float32)


def warp(canvas: Floats, pose: Pose) -> Floats:
    """Return a picture or mask in portrait coordinates transformed into the shot, (SIDE, SIDE, ...)."""
    return np.asarray(cv2.warpAffine(canvas, pose, (SIDE, SIDE), borderMode=cv2.BORDER_CONSTANT))


def paste_portrait(portrait: Portrait, background: Pixels, pose: Pose) -> Pixels:
    """Return the portrait in front of a background, (SIDE, SIDE, 3)."""
    alpha = warp(portrait.alpha, pose)[..., None]
    face = cv2.warpAffine(portrait.pixels, pose, (SIDE, SIDE), borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(background + alpha * (face - background))


def noise(rng: np.random.Generator, side: int = SIDE) -> Pixels:
    """Return sensor noise of unit strength, (side, side, 3), mostly common to the colours, as after demosaicing."""
    own = rng.standard_normal((side, side, 3), np.float32)
    return 0.5 * own + 0.87 * rng.standard_normal((side, side, 1), np.float32)


def photograph_shot(name: str, rng: np.random.Generator) -> Pixels:
    """Return part of a photograph under random light and focus, (SIDE, SIDE, 3)."""
    piece = cv2.GaussianBlur(random_crop(photograph(name), rng), (0, 0), rng.uniform(0.7, 1.1))
    return illuminate(piece, draw_light(rng))


def face_shot(portrait: Portrait, rng: np.random.Generator) -> Shot:
    """Return a shot of a portrait in front of a random background."""
    pose = draw_pose(rng)
    return Shot(illuminate(paste_portrait(portrait, backdrop(rng), pose), draw_light(rng)), pose)


def clip_shots(portrait: Portrait, rng: np.random.Generator) -> list[Shot]:
    """Return FRAMES shots of a moving portrait in front of a panning background, under one light."""
    light, background = draw_light(rng), backdrop(rng, SIDE + PAN)
    shots = []
    for pose, offset in zip(_path(rng), np.linspace(0, PAN, FRAMES).astype(int), strict=True):
        seen = background[offset // 2 : offset // 2 + SIDE, offset : offset + SIDE]
        shots.append(Shot(illuminate(paste_portrait(portrait, seen, pose), light), pose))
    return shots


def _path(rng: np.random.Generator) -> list[Pose]:
    """Return a pose for each frame, on a smooth path through position, rotation and size."""
    size, reach, mirrored = rng.uniform(150, 185), rng.uniform(8, 20), bool(rng.integers(2))
    x, y, turn, zoom = np.sin(rng.uniform(0, 2 * np.pi, (4, 1)) + np.linspace(0, 2 * np.pi, FRAMES))
    centres = SIDE / 2 + reach * np.column_stack([x, y])
    return [pose_at(size * (1 + 0.06 * zoom[i]), 0.08 * turn[i], centres[i], mirrored) for i in range(FRAMES)]
