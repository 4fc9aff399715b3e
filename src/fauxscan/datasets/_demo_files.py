"""The demo's files: JPEG stills and H.264 clips, each fake brought to the file size of its real."""

import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import av
import cv2
import numpy as np

from fauxscan.datasets import _demo_blend as blend
from fauxscan.datasets import _demo_upsample as upsample
from fauxscan.datasets._demo_camera import SIDE, Shot, noise
from fauxscan.datasets._demo_pictures import Pixels

JPEG_QUALITY = 92
FRAMES_PER_SECOND = 12
TOLERANCE, TRIALS = 0.001, 16  # of a file's size; pairs must be closer than one pair is to another
Encode = Callable[[float], bytes]  # strength of noise -> file


@dataclass(frozen=True)
class Media:
    """One file to be written, and what made it: None for a real."""

    data: bytes
    suffix: str
    generator: str | None


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


def matched(encode: Encode, size: int, low: float, high: float) -> bytes:
    """The file nearest to `size` bytes, by bisection over strengths of noise from `low` to `high`.

    Forging smooths, and smoother pictures make smaller files. File size must not tell fakes from reals, so noise, as
    of a worse sensor, makes up for what was lost.
    """
    best = encode(low)
    for _ in range(TRIALS):
        middle = (low + high) / 2
        file = encode(middle)
        best = min(best, file, key=lambda f: abs(len(f) - size))
        if abs(len(best) - size) <= TOLERANCE * size:
            break
        # Not quite the half: from one strength to the next, an encoder's sizes jump up and down a little.
        step = 0.4 * (high - low)
        low, high = (low + step, high) if len(file) < size else (low, high - step)
    return best


def pair(real: Encode, usual: float, fake: Encode, highest: float) -> tuple[bytes, bytes]:
    """A real with its usual noise and a fake as large; where the fake cannot be as small, both are larger."""
    file, smallest = real(usual), fake(0.0)
    if len(smallest) > len(file):
        return matched(real, len(smallest), usual, 4 * usual), smallest
    return file, matched(fake, len(file), 0.0, highest)


def blended_stills(shot: Shot, rng: np.random.Generator) -> Iterator[Media]:
    """Yield a shot, and the same with its face blended with itself, each read out with noise afterwards."""
    captured, readout = shot.pixels + rng.uniform(1.5, 3) * noise(rng), noise(rng)
    forged = blend.blended(captured, shot.pose, blend.draw(rng))
    files = pair(
        lambda strength: jpeg(captured + strength * readout), rng.uniform(1.5, 2.5),
        lambda strength: jpeg(forged + strength * readout), 8.0,
    )  # fmt: skip
    yield from _labelled(files, ".jpg", "self_blended")


def upsampled_stills(shot: Pixels, kind: str, rng: np.random.Generator) -> Iterator[Media]:
    """Yield a shot, and the same through the up-sampling of a generative network, under equal noise."""
    captured, readout = shot + rng.uniform(1.5, 3) * noise(rng), rng.uniform(1.5, 2.5) * noise(rng)
    layer, grain = upsample.KINDS[kind](rng), noise(rng, SIDE // 2)
    files = pair(
        lambda strength: jpeg(captured + strength * readout), 1.0,
        lambda strength: jpeg(upsample.generated(captured, strength * grain, layer) + readout), 40.0,
    )  # fmt: skip
    yield from _labelled(files, ".jpg", kind)


def blended_clips(shots: Sequence[Shot], rng: np.random.Generator) -> Iterator[Media]:
    """Yield a clip, and the same with the face of every frame blended with itself in one way."""
    manner, usual, readouts = blend.draw(rng), rng.uniform(1, 2.2), [noise(rng) for _ in shots]
    reals = [shot.pixels + noise(rng) for shot in shots]
    fakes = [blend.blended(pixels, shot.pose, manner) for pixels, shot in zip(reals, shots, strict=True)]
    files = pair(
        lambda strength: mp4([p + strength * n for p, n in zip(reals, readouts, strict=True)]), usual,
        lambda strength: mp4([p + strength * n for p, n in zip(fakes, readouts, strict=True)]), 6.0,
    )  # fmt: skip
    yield from _labelled(files, ".mp4", "self_blended")


def _labelled(files: tuple[bytes, bytes], suffix: str, generator: str) -> Iterator[Media]:
    real, fake = files
    yield Media(real, suffix, None)
    yield Media(fake, suffix, generator)
