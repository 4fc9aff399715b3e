"""The demo's files: JPEG stills and H.264 clips, each fake brought to the file size of its real."""

import io
import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import av
import cv2
import numpy as np

from fauxscan.datasets.making import upsample
from fauxscan.datasets.making.camera import SIDE, Shot, noise
from fauxscan.media import blending
from fauxscan.media.blending import Pixels

JPEG_QUALITY = 92
FRAMES_PER_SECOND = 12
TOLERANCE = 0.001  # of a file's size: fake and real must be much closer than one pair is to another
TRIALS = 10
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


def mp4(frames: Sequence[Pixels], bits_per_second: int) -> bytes:
    """The frames as an H.264 clip: one thread and bit-exact flags, so that the same frames give the same bytes."""
    file = io.BytesIO()
    with av.open(file, "w", format="mp4", options={"fflags": "+bitexact"}) as container:
        stream = container.add_stream("libx264", rate=FRAMES_PER_SECOND)
        stream.width = stream.height = SIDE
        stream.pix_fmt, stream.bit_rate = "yuv420p", bits_per_second
        stream.options = {"preset": "veryfast", "threads": "1", "flags": "+bitexact"}
        for pixels in frames:
            frame = av.VideoFrame.from_ndarray(np.clip(np.rint(pixels), 0, 255).astype(np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return file.getvalue()


def padded(files: Sequence[bytes]) -> list[bytes]:
    """MP4 files brought to one size by a box `free` at the end of each: rate control alone leaves some percent."""
    size = max(map(len, files)) + 8
    return [file + struct.pack(">I4s", size - len(file), b"free").ljust(size - len(file), b"\0") for file in files]


def matched(encode: Encode, size: int, low: float, high: float) -> bytes:
    """The file nearest to `size` bytes, sought over strengths of noise from `low` to `high` by false position.

    Forging smooths, and smoother pictures make smaller files. File size must not tell fakes from reals, so noise, as
    of a worse sensor, makes up for what was lost.
    """
    files = {strength: encode(strength) for strength in (low, high)}
    if len(files[low]) >= size or len(files[high]) <= size:
        return min(files.values(), key=lambda file: _off(file, size))
    for _ in range(TRIALS):
        best = min(files.values(), key=lambda file: _off(file, size))
        if _off(best, size) <= TOLERANCE:
            break
        below, above = len(files[low]), len(files[high])
        share = (size - below) / (above - below) if above > below else 0.5
        middle = low + (high - low) * min(max(share, 0.1), 0.9)  # kept off the ends, or one would never move
        files[middle] = encode(middle)
        low, high = (middle, high) if len(files[middle]) < size else (low, middle)
    return best


def _off(file: bytes, size: int) -> float:
    return abs(len(file) / size - 1)


def pair(real: Encode, usual: float, fake: Encode, highest: float) -> tuple[bytes, bytes]:
    """A real with its usual noise and a fake as large; where no fake is quite as large, the real follows the fake."""
    file = real(usual)
    forged = matched(fake, len(file), 0.0, highest)
    if _off(forged, len(file)) > TOLERANCE:
        file = min(file, matched(real, len(forged), usual / 2, 4 * usual), key=lambda f: _off(f, len(forged)))
    return file, forged


def blended_stills(shot: Shot, rng: np.random.Generator) -> Iterator[Media]:
    """Yield a shot, and the same with its face blended with itself, each read out with noise afterwards."""
    captured, readout, usual = shot.pixels + rng.uniform(1.5, 3) * noise(rng), noise(rng), rng.uniform(1.5, 2.5)
    forged = blending.blended(captured, shot.pose, blending.draw(rng))[1]
    files = pair(
        lambda strength: jpeg(captured + strength * readout), usual,
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
    manner, strength, rate = blending.draw(rng), rng.uniform(1, 2), int(rng.integers(150_000, 300_000))
    reals = [shot.pixels + noise(rng) for shot in shots]
    fakes = [blending.blended(pixels, shot.pose, manner)[1] for pixels, shot in zip(reals, shots, strict=True)]
    readouts = [strength * noise(rng) for _ in shots]
    clips = [mp4([p + n for p, n in zip(frames, readouts, strict=True)], rate) for frames in (reals, fakes)]
    yield from _labelled(padded(clips), ".mp4", "self_blended")


def _labelled(files: Sequence[bytes], suffix: str, generator: str) -> Iterator[Media]:
    real, fake = files
    yield Media(real, suffix, None)
    yield Media(fake, suffix, generator)
