"""Frames of a video, sampled in time: local bytes only, one named container format, nothing else is opened.

The packets are looked at first, which costs next to nothing; what no sampled frame needs is then never decoded.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

import av
import numpy as np

from fauxscan.media import ends
from fauxscan.media.headers import check_size
from fauxscan.media.images import Image
from fauxscan.media.sampling import Packet, Plan, plan
from fauxscan.params import MediaParams
from fauxscan.records import MediaError, Status

MOST_PACKETS = 1_000_000  # ten minutes at 1,600 frames a second: what claims more is an attack on memory
# Decoders in which "not a reference" is certain: in H.265 such a picture may still serve higher layers.
NAMES_REFERENCES = ("h264",)
UNORDERED = ("avi",)  # containers that know only when a frame is decoded
# FFmpeg's decoders that may run, an allow-list as for images: it has some 500 for what nobody sends.
CODECS = (
    "h264", "hevc", "av1", "libdav1d", "vp8", "vp9", "mpeg4", "mpeg1video", "mpeg2video", "mjpeg", "h263", "msmpeg4v2",
    "msmpeg4", "wmv3", "vc1", "theora", "prores", "dnxhd", "dvvideo", "ffv1", "huffyuv", "rawvideo",
)  # fmt: skip


@dataclass(frozen=True)
class Frame:
    """One frame: its number in the order of showing, its time in seconds and its RGB pixels (height, width, 3)."""

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
        with _open(file, form, media) as container:
            return _describe(container, _stream(container, media), media)
    except (av.error.FFmpegError, ValueError, EOFError) as error:
        raise _broken(error) from error


def frames(file: BinaryIO, form: str, media: MediaParams, threads: int = 1) -> Iterator[Frame]:
    """Give the frames that `media.sampling` names, in order, with the pixels and times of a plain decode.

    `threads` decode. Raise MediaError if the file is broken, or ends before its announced duration.
    """
    last = None
    try:
        with _open(file, form, media) as container:
            stream = _stream(container, media)
            video = _describe(container, stream, media)
            wanted = plan(_packets(container, stream), float(stream.time_base), media, ordered=form not in UNORDERED)
            _check_complete(video, wanted, media)
            for last in _decoded(container, stream, wanted, media, threads):
                yield last
    except (av.error.FFmpegError, ValueError, EOFError) as error:
        raise _broken(error) from error
    if last is None:
        raise MediaError(Status.CORRUPT, "no frame could be decoded")
    _check_reached(last.time_s, wanted)


def _open(file: BinaryIO, form: str, media: MediaParams) -> av.container.InputContainer:
    ends.check(file, form)
    file.seek(0)
    # The named format rules out playlists and concatenations, a file object protocols. Opening decodes a first frame.
    options = {"codec_whitelist": ",".join(CODECS), "protocol_whitelist": "none", **_cap(media)}
    return av.open(file, mode="r", format=form, metadata_errors="replace", options=options)


def _cap(media: MediaParams) -> dict[str, str]:
    """Return the option that keeps a decoder from allocating more pixels, whatever the container announces."""
    return {"max_pixels": str(min(media.max_pixels, 2**31 - 1))}


def _stream(container: av.container.InputContainer, media: MediaParams) -> Any:
    """Return the first video stream that is no cover picture of an audio file, its decoder capped."""
    for stream in container.streams.video:
        if not stream.disposition & av.stream.Disposition.attached_pic:
            decoder = stream.codec_context
            if decoder is None or decoder.name not in CODECS:
                raise MediaError(Status.UNSUPPORTED, f"a video coded as {decoder.name if decoder else 'nothing known'}")
            decoder.options = _cap(media)
            return stream
    raise MediaError(Status.UNSUPPORTED, "no video stream")


def _describe(container: av.container.InputContainer, stream: Any, media: MediaParams) -> Video:
    width, height = stream.codec_context.width, stream.codec_context.height
    check_size(width, height, media.max_pixels)
    # An edit list shortens the container, a longer audio track the stream: the shorter one holds for the frames.
    spans = [container.duration / av.time_base] if container.duration else []
    spans += [float(stream.duration * stream.time_base)] if stream.duration else []
    return Video(width, height, min(spans, default=None))


def _packets(container: av.container.InputContainer, stream: Any) -> list[Packet]:
    """Return what the stream's packets say of themselves, in the order of the file. Raise MediaError if one is cut."""
    found: list[Packet] = []
    for packet in container.demux(stream):
        if not packet.size:
            continue
        if packet.is_corrupt:
            raise MediaError(Status.TRUNCATED, "a packet ends early")
        if len(found) == MOST_PACKETS:
            raise MediaError(Status.TOO_LARGE, f"more than {MOST_PACKETS} frames")
        found.append(Packet(packet.pts, packet.dts, packet.duration or 0, packet.is_keyframe, not packet.is_discard))
    return found


def _decoded(container: Any, stream: Any, wanted: Plan, media: MediaParams, threads: int) -> Iterator[Frame]:
    """Give the wanted frames; where skipping loses one (a key frame that is none), the rest by decoding everything."""
    left = sorted(wanted.times, reverse=True)
    for whole in (False, True):
        for place, frame in _pictures(container, stream, wanted, whole, threads):
            if not whole and left and place > left[-1]:
                break
            if left and place in wanted.times and place >= left[-1]:
                check_size(frame.width, frame.height, media.max_pixels)
                yield Frame(place, wanted.times[place], _upright(frame, threads))
                left = [number for number in left if number > place]
        if not left:
            return


def _pictures(container: Any, stream: Any, wanted: Plan, whole: bool, threads: int) -> Iterator[tuple[int, Any]]:
    """Give what the decoder makes of the packets it needs, or of all, each with its number in the order of showing."""
    decoder = stream.codec_context
    if not whole:
        decoder.thread_count, decoder.thread_type = threads, "FRAME" if threads > 1 else "NONE"
    count = itertools.count()
    for packet, shown, gap in _fed(container, stream, wanted, whole):
        out = []
        if gap:  # as after a seek: what was to come out comes out, and nothing refers across the gap
            out = decoder.decode(None)
            decoder.flush_buffers()
        decoder.skip_frame = "DEFAULT" if whole or shown or decoder.name not in NAMES_REFERENCES else "NONREF"
        for frame in [*out, *decoder.decode(packet)]:
            yield wanted.place(frame.pts, next(count)), frame


def _fed(container: Any, stream: Any, wanted: Plan, whole: bool) -> Iterator[tuple[Any, bool, bool]]:
    """Give packets to decode: whether each is a wanted frame, and whether something was left out before it."""
    container.seek(wanted.start, stream=stream)
    gap = whole  # a second pass begins with what the first left in the decoder
    packets = (packet for packet in container.demux(stream) if packet.size)
    for packet, feed, shown in zip(packets, wanted.feed, wanted.shown, strict=False):
        if feed or whole:
            yield packet, shown, gap
        gap = not (feed or whole)
    yield None, False, False


def _upright(frame: av.VideoFrame, threads: int) -> Image:
    turned = np.rot90(frame.to_ndarray(format="rgb24", threads=threads), k=round(frame.rotation / 90) % 4)
    return np.ascontiguousarray(turned)


def _check_complete(video: Video, wanted: Plan, media: MediaParams) -> None:
    expected = min(video.duration_s or 0.0, media.max_seconds)
    if wanted.end_s < 0.9 * expected - 1:
        raise MediaError(Status.TRUNCATED, f"{expected:.1f} s announced, packets end at {wanted.end_s:.1f} s")


def _check_reached(last_s: float, wanted: Plan) -> None:
    expected = max(wanted.times.values())
    if last_s < 0.9 * expected - 1:
        raise MediaError(Status.CORRUPT, f"the decoder ends at {last_s:.1f} s of {expected:.1f} s")


def _broken(error: Exception) -> MediaError:
    detail = str(error)
    status = Status.TRUNCATED if "End of file" in detail else Status.CORRUPT
    return MediaError(status, f"the video cannot be decoded: {detail}"[:200])
