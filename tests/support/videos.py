"""Videos written by tests: frames, container and codec as asked for."""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
SHAPE = (64, 96)


def numbered(count: int, size: int = 64) -> Iterator[Pixels]:
    for number in range(count):
        yield np.full((size, size, 3), number * 255 // count, np.uint8)


def moving(count: int) -> Iterator[Pixels]:
    """Yield the frames of a camera panning over smooth noise; no two are alike."""
    height, width = SHAPE
    noise = np.random.default_rng(0).integers(0, 256, (height, width * 3, 3)).astype(np.uint8)
    ground = cv2.GaussianBlur(noise, (0, 0), 3)
    for number in range(count):
        yield np.ascontiguousarray(ground[:, number * 2 : number * 2 + width])


def noisy(count: int) -> Iterator[Pixels]:
    rng = np.random.default_rng(0)
    for _ in range(count):
        yield rng.integers(0, 256, (64, 64, 3)).astype(np.uint8)


def clip(
    path: Path, images: Iterator[Pixels], rate: int = 25, codec: str = "libx264", times: list[int] | None = None,
    options: dict[str, str] | None = None, container: dict[str, str] | None = None, turned: int = 0,
) -> Path:  # fmt: skip
    """Write a video; with `times` (in milliseconds) its frame rate varies."""
    with av.open(str(path), "w", options=container or {}) as out:
        stream = out.add_stream(codec, rate=rate, options=options or {})
        tick = Fraction(1, 1000) if times else Fraction(1, rate)
        stream.pix_fmt, stream.codec_context.time_base = "yuv420p", tick
        if turned:
            stream.set_display_rotation(turned)
        for number, image in enumerate(images):
            if number == 0:
                stream.height, stream.width = image.shape[:2]
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = times[number] if times else number, tick
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path
