"""Videos written by tests: frames, container and codec as asked for."""

from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

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


def remuxed(source: Path, target: Path, skipped: int = 0) -> Path:
    """Copy the packets of a video into another file, without those at the beginning."""
    with av.open(str(source)) as read, av.open(str(target), "w") as out:
        track = out.add_stream_from_template(read.streams.video[0])
        for packet in [packet for packet in read.demux(video=0) if packet.size][skipped:]:
            packet.stream = track
            out.mux(packet)
    return target


def encoded_video(
    out: Any, codec: str, images: Iterable[Pixels], rate: int = 10, start: int = 0, disposition: int | None = None
) -> list[Any]:
    """Add a video stream to an open file and return its packets, the first of them at frame number `start`."""
    stream, packets = out.add_stream(codec, rate=rate), []
    stream.pix_fmt = {"mjpeg": "yuvj420p", "png": "rgb24"}.get(codec, "yuv420p")
    if disposition is not None:
        stream.disposition = disposition
    for number, image in enumerate(images, start):
        if number == start:
            stream.height, stream.width = image.shape[:2]
        frame = av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format=stream.pix_fmt)
        frame.pts, frame.time_base = number, Fraction(1, rate)
        packets += stream.encode(frame)
    return packets + stream.encode(None)


def encoded_silence(out: Any, seconds: float, codec: str = "aac") -> list[Any]:
    """Add a sound stream to an open file and return its packets."""
    stream, packets = out.add_stream(codec, rate=48000), []
    stream.layout = "mono"
    for number in range(round(seconds * 50)):
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 960), np.float32), format="fltp", layout="mono")
        sound.sample_rate, sound.pts, sound.time_base = 48000, number * 960, Fraction(1, 48000)
        packets += stream.encode(sound)
    return packets + stream.encode(None)


def mux(out: Any, packets: Iterable[Any]) -> None:
    """Write packets of several streams in the order of their times."""
    for packet in sorted(packets, key=lambda packet: float((packet.dts or 0) * packet.time_base)):
        out.mux(packet)


def in_black(shape: tuple[int, int], count: int) -> Iterator[Pixels]:
    """Yield black frames."""
    for _ in range(count):
        yield np.zeros((*shape, 3), np.uint8)
