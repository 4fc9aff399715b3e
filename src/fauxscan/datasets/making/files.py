"""Media files of the demo: JPEG stills and H.264 clips, each fake with the same file size as its real."""

import io
import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import av
import cv2
import numpy as np

from fauxscan.datasets.making import upsample
from fauxscan.datasets.making.camera import SIDE, Shot, noise
from fauxscan.media.blending import blend
from fauxscan.media.blending.blend import Pixels

JPEG_QUALITY = 92
FRAMES_PER_SECOND = 12
TOLERANCE = 0.001  # of a file's size: a fake and its real must be much closer than different pairs are
TRIALS = 10
Encode = Callable[[float], bytes]  # strength of noise -> file


@dataclass(frozen=True)
class Media:
    """One file to write, and its generator: None for a real."""

    data: bytes
    suffix: str
    generator: str | None


def encode_jpeg(pixels: Pixels) -> bytes:
    """Return the still as a JPEG file without metadata."""
    picture = cv2.cvtColor(np.clip(np.rint(pixels), 0, 255).astype(np.uint8), cv2.COLOR_RGB2BGR)
    return cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1].tobytes()


def encode_mp4(frames: Sequence[Pixels], bits_per_second: int) -> bytes:
    """Return the frames as an H.264 clip; one thread and bit-exact flags give the same bytes for the same frames."""
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


def pad_to_equal_size(files: Sequence[bytes]) -> list[bytes]:
    """Return MP4 files of equal size, each with a box `free` at its end: rate control alone leaves some percent."""
    size = max(map(len, files)) + 8
    return [file + struct.pack(">I4s", size - len(file), b"free").ljust(size - len(file), b"\0") for file in files]


def match_size(encode: Encode, size: int, low: float, high: float) -> bytes:
    """Return the file closest to `size` bytes, found over strengths of noise from `low` to `high` by false position.

    Manipulation smooths, and smoother pictures give smaller files. File size must not distinguish fakes from reals, so
    noise, as from a worse sensor, compensates.
    """
    files = {strength: encode(strength) for strength in (low, high)}
    if len(files[low]) >= size or len(files[high]) <= size:
        return min(files.values(), key=lambda file: _size_error(file, size))
    for _ in range(TRIALS):
        best = min(files.values(), key=lambda file: _size_error(file, size))
        if _size_error(best, size) <= TOLERANCE:
            break
        below, above = len(files[low]), len(files[high])
        share = (size - below) / (above - below) if above > below else 0.5
        middle = low + (high - low) * min(max(share, 0.1), 0.9)  # away from the ends, or one would never move
        files[middle] = encode(middle)
        low, high = (middle, high) if len(files[middle]) < size else (low, middle)
    return best


def _size_error(file: bytes, size: int) -> float:
    return abs(len(file) / size - 1)


def encode_pair(real: Encode, usual: float, fake: Encode, highest: float) -> tuple[bytes, bytes]:
    """Return a real with its usual noise and a fake of equal size; if no fake reaches it, the real is adapted."""
    file = real(usual)
    forged = match_size(fake, len(file), 0.0, highest)
    if _size_error(forged, len(file)) > TOLERANCE:
        file = min(file, match_size(real, len(forged), usual / 2, 4 * usual), key=lambda f: _size_error(f, len(forged)))
    return file, forged


def blended_stills(shot: Shot, rng: np.random.Generator) -> Iterator[Media]:
    """Yield a shot, and the same shot with its face blended with itself; readout noise is added to both afterwards."""
    captured, readout, usual = shot.pixels + rng.uniform(1.5, 3) * noise(rng), noise(rng), rng.uniform(1.5, 2.5)
    forged = blend.blend_face(captured, shot.pose, blend.draw_blend(rng))[1]
    files = encode_pair(
        lambda strength: encode_jpeg(captured + strength * readout), usual,
        lambda strength: encode_jpeg(forged + strength * readout), 8.0,
    )  # fmt: skip
    yield from _labelled(files, ".jpg", "self_blended")


def upsampled_stills(shot: Pixels, kind: str, rng: np.random.Generator) -> Iterator[Media]:
    """Yield a shot, and the same shot after the up-sampling of a generative network, with equal noise."""
    captured, readout = shot + rng.uniform(1.5, 3) * noise(rng), rng.uniform(1.5, 2.5) * noise(rng)
    layer, grain = upsample.KINDS[kind](rng), noise(rng, SIDE // 2)
    files = encode_pair(
        lambda strength: encode_jpeg(captured + strength * readout), 1.0,
        lambda strength: encode_jpeg(upsample.generate(captured, strength * grain, layer) + readout), 40.0,
    )  # fmt: skip
    yield from _labelled(files, ".jpg", kind)


def blended_clips(shots: Sequence[Shot], rng: np.random.Generator) -> Iterator[Media]:
    """Yield a clip, and the same clip with the face of every frame blended with itself in the same way."""
    manner, strength, rate = blend.draw_blend(rng), rng.uniform(1, 2), int(rng.integers(150_000, 300_000))
    reals = [shot.pixels + noise(rng) for shot in shots]
    fakes = [blend.blend_face(pixels, shot.pose, manner)[1] for pixels, shot in zip(reals, shots, strict=True)]
    readouts = [strength * noise(rng) for _ in shots]
    clips = [encode_mp4([p + n for p, n in zip(frames, readouts, strict=True)], rate) for frames in (reals, fakes)]
    yield from _labelled(pad_to_equal_size(clips), ".mp4", "self_blended")


def _labelled(files: Sequence[bytes], suffix: str, generator: str) -> Iterator[Media]:
    real, fake = files
    yield Media(real, suffix, None)
    yield Media(fake, suffix, generator)
