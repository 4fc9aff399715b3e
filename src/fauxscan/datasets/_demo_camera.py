"""The demo's camera: shots of portraits and photographs with varied framing, light, focus and noise, and their files."""

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from fauxscan.datasets._demo_pictures import CANVAS, PHOTOGRAPHS, Pixels, Portrait, photograph

SIDE = 256  # pixels: of every still and frame
JPEG_QUALITY = 92
FRAMES, FRAMES_PER_SECOND = 24, 12
Pose = NDArray[np.float32]  # (2, 3): from a portrait's pixels to the shot's


@dataclass(frozen=True)
class Shot:
    """What falls on the sensor: (SIDE, SIDE, 3) RGB in 0..255, and where the portrait lies in it, if there is one."""

    pixels: Pixels
    pose: Pose | None = None


@dataclass(frozen=True)
class Light:
    """Exposure, contrast curve, colour cast (3,), and slope of the brightness across the picture (2,)."""

    gain: float
    gamma: float
    cast: NDArray[np.float32]
    slope: NDArray[np.float32]


def draw_light(rng: np.random.Generator) -> Light:
    """Light as it varies between shots."""
    cast, slope = rng.normal(1, 0.03, 3), rng.uniform(-0.15, 0.15, 2)
    return Light(rng.uniform(0.8, 1.1), rng.uniform(0.8, 1.25), cast.astype(np.float32), slope.astype(np.float32))


def lit(pixels: Pixels, light: Light) -> Pixels:
    """The picture under that light."""
    ramp = np.linspace(-1, 1, SIDE, dtype=np.float32)
    shade = light.gain * (1 + light.slope[0] * ramp[:, None] + light.slope[1] * ramp)[..., None] * light.cast
    return np.clip(255 * (np.clip(pixels, 0, 255) / 255) ** light.gamma * shade, 0, 255)


def cut(picture: Pixels, rng: np.random.Generator) -> Pixels:
    """A square of a photograph at random, perhaps mirrored, brought down to SIDE."""
    height, width = picture.shape[:2]
    side = int(rng.integers(SIDE, min(height, width, 2 * SIDE) + 1))
    top, left = int(rng.integers(height - side + 1)), int(rng.integers(width - side + 1))
    square = picture[top : top + side, left : left + side][:, :: int(rng.choice([-1, 1]))]
    return cv2.resize(square, (SIDE, SIDE), interpolation=cv2.INTER_AREA)


def backdrop(rng: np.random.Generator) -> Pixels:
    """A piece of some photograph, tinted and more or less out of focus, to stand behind a portrait."""
    piece = cut(photograph(str(rng.choice(sorted(PHOTOGRAPHS)))), rng)
    blurred = cv2.GaussianBlur(piece, (0, 0), rng.uniform(0.5, 3.0))
    return np.clip(blurred * rng.uniform(0.6, 1.2, 3).astype(np.float32), 0, 255)


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


def warp(canvas: NDArray[np.float32], pose: Pose) -> NDArray[np.float32]:
    """A picture or mask in portrait coordinates, laid into the shot: (SIDE, SIDE, ...)."""
    return cv2.warpAffine(canvas, pose, (SIDE, SIDE), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)


def portrayed(portrait: Portrait, background: Pixels, pose: Pose) -> Pixels:
    """The portrait before a background."""
    alpha = warp(portrait.alpha, pose)[..., None]
    face = cv2.warpAffine(portrait.pixels, pose, (SIDE, SIDE), borderMode=cv2.BORDER_REPLICATE)
    return background + alpha * (face - background)


def noise(rng: np.random.Generator, side: int = SIDE) -> Pixels:
    """Sensor noise of unit strength: (side, side, 3), part of it common to the colours, as after demosaicing."""
    own = rng.standard_normal((side, side, 3), np.float32)
    return 0.8 * own + 0.6 * rng.standard_normal((side, side, 1), np.float32)


def jpeg(pixels: Pixels) -> bytes:
    """The still as a JPEG file without metadata."""
    picture = cv2.cvtColor(np.clip(np.rint(pixels), 0, 255).astype(np.uint8), cv2.COLOR_RGB2BGR)
    return cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1].tobytes()


def mp4(frames: Sequence[Pixels]) -> bytes:
    """The frames as an H.264 clip: one thread and bit-exact flags, so that the same frames give the same bytes."""
    file = io.BytesIO()
    with av.open(file, "w", format="mp4", options={"fflags": "+bitexact"}) as container:
        stream = container.add_stream("libx264", rate=FRAMES_PER_SECOND)
        stream.width = stream.height = SIDE
        stream.pix_fmt = "yuv420p"
        stream.options = {"crf": "20", "preset": "veryfast", "threads": "1", "flags": "+bitexact"}
        for pixels in frames:
            frame = av.VideoFrame.from_ndarray(np.clip(np.rint(pixels), 0, 255).astype(np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return file.getvalue()


def matched(encode: Callable[[float], bytes], size: int, low: float, high: float, tolerance: float = 0.003) -> bytes:
    """The file nearest to `size` bytes among those of knob settings from `low` to `high`, by bisection.

    File size must not tell fakes from reals, and it grows with noise: so noise, as of a worse sensor, is the knob.
    """
    best = encode(low)
    for _ in range(9):
        middle = (low + high) / 2
        file = encode(middle)
        best = min(best, file, key=lambda f: abs(len(f) - size))
        if abs(len(best) - size) <= tolerance * size:
            break
        low, high = (middle, high) if len(file) < size else (low, middle)
    return best
