"""Frames of a video, sampled in time: local bytes only, one named container format, nothing else is opened."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

import av
import numpy as np

from fauxscan.media.images import Image
from fauxscan.params import MediaParams
from fauxscan.records import MediaError, Status


@dataclass(frozen=True)
class Frame:
    """One frame: its number among those decoded, its time in seconds and its RGB pixels (height, width, 3)."""

    number: int
    time_s: float
    image: Image


@dataclass(frozen=True)
class Video:
    """What the container says of itself: pixels and seconds."""

    width: int
    height: int
    duration_s: float | None


def probe(file: BinaryIO, form: str, media: MediaParams) -> Video:
    """Return size and duration. Raise MediaError for a file without a video stream, or too large."""
    try:
        with _open(file, form) as container:
            return _describe(container, media)
    except (av.error.FFmpegError, ValueError, EOFError) as error:
        raise _broken(error) from error


def frames(file: BinaryIO, form: str, media: MediaParams) -> Iterator[Frame]:
    """Give frames at `frames_per_second`, spread thinner where that would be over `max_frames`.

    Raise MediaError if the file is broken, or ends before its announced duration.
    """
    last = None
    try:
        with _open(file, form) as container:
            video = _describe(container, media)
            step = _seconds_between(video, media)
            for last in _sampled(container, step, media):
                if last.image.size:
                    yield last
    except (av.error.FFmpegError, ValueError, EOFError) as error:
        raise _broken(error) from error
    if last is None:
        raise MediaError(Status.CORRUPT, "no frame could be decoded")
    _check_complete(video, last.time_s + step, media)


def _open(file: BinaryIO, form: str) -> av.container.InputContainer:
    file.seek(0)
    # The named format rules out playlists and concatenations; a file object rules out protocols.
    return av.open(file, mode="r", format=form, metadata_errors="replace")


def _describe(container: av.container.InputContainer, media: MediaParams) -> Video:
    if not container.streams.video:
        raise MediaError(Status.UNSUPPORTED, "no video stream")
    stream = container.streams.video[0]
    stream.thread_type = "AUTO"
    width, height = stream.codec_context.width, stream.codec_context.height
    if width * height > media.max_pixels:
        raise MediaError(Status.TOO_LARGE, f"{width}x{height}; the cap is {media.max_pixels} pixels")
    duration = container.duration / av.time_base if container.duration else None
    return Video(width, height, duration)


def _seconds_between(video: Video, media: MediaParams) -> float:
    span = min(video.duration_s or media.max_seconds, media.max_seconds)
    return max(1 / media.frames_per_second, span / media.max_frames)


def _sampled(container: av.container.InputContainer, step: float, media: MediaParams) -> Iterator[Frame]:
    taken, start = 0, None
    for number, frame in enumerate(container.decode(video=0)):
        time_s = frame.time if frame.time is not None else float(number)
        start = time_s if start is None else start
        if time_s - start > media.max_seconds or taken == media.max_frames:
            return
        if time_s - start >= taken * step - 1e-6:
            taken += 1
            yield Frame(number, time_s - start, _upright(frame))


def _upright(frame: av.VideoFrame) -> Image:
    turned = np.rot90(frame.to_ndarray(format="rgb24"), k=round(frame.rotation / 90) % 4)
    return np.ascontiguousarray(turned)


def _check_complete(video: Video, reached_s: float, media: MediaParams) -> None:
    expected = min(video.duration_s or 0.0, media.max_seconds)
    if reached_s < 0.9 * expected - 1:
        raise MediaError(Status.TRUNCATED, f"{expected:.1f} s announced, frames end at {reached_s:.1f} s")


def _broken(error: Exception) -> MediaError:
    detail = str(error)
    status = Status.TRUNCATED if "End of file" in detail else Status.CORRUPT
    return MediaError(status, f"the video cannot be decoded: {detail}"[:200])
