"""Read sampled frames of a video: from local bytes only, in one named container format. Nothing else is opened.

The packets are listed first, which costs next to nothing. Packets that no sampled frame needs are never decoded.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

import av
import numpy as np

from fauxscan.media.images.codec import Image
from fauxscan.media.images.headers import check_size
from fauxscan.media.videos import truncation
from fauxscan.media.videos.sampling import Packet, SamplingPlan, plan_frames
from fauxscan.params import MediaParams
from fauxscan.records import MediaError, Status

MOST_PACKETS = 1_000_000  # ten minutes at 1,600 frames per second; more is an attack on memory
# Decoders for which "not a reference" is certain: in H.265 such a frame may still serve higher layers.
NAMES_REFERENCES = ("h264",)
UNORDERED = ("avi",)  # containers that store decoding times only
# The FFmpeg decoders that may run: an allow-list, as for images, out of some 500.
CODECS = (
    "h264", "hevc", "av1", "libdav1d", "vp8", "vp9", "mpeg4", "mpeg1video", "mpeg2video", "mjpeg", "h263", "msmpeg4v2",
    "msmpeg4", "wmv3", "vc1", "theora", "prores", "dnxhd", "dvvideo", "ffv1", "huffyuv", "rawvideo",
)  # fmt: skip


@dataclass(frozen=True)
class Frame:
    """One frame: its number in display order, its time in seconds and its RGB pixels (height, width, 3)."""

    number: int
    time_s: float
    image: Image


@dataclass(frozen=True)
class Video:
    """Size in pixels and duration in seconds, as the container states them."""

    width: int
    height: int
    duration_s: float | None


def probe_video(file: BinaryIO, form: str, media: MediaParams) -> Video:
    """Return size and duration of a video. Raise MediaError if it has no video stream or is too large."""
    try:
        with _open(file, form, media) as container:
            return _describe(container, _stream(container, media), media)
    except (av.error.FFmpegError, ValueError, EOFError) as error:
        raise _broken(error) from error


def read_frames(file: BinaryIO, form: str, media: MediaParams, threads: int = 1) -> Iterator[Frame]:
    """Yield the frames that `media.sampling` selects, in order, with the pixels and times of a plain decode.

    `threads` is the number of decoding threads. Raise MediaError if the file is broken, or ends before its stated
    duration.
    """
    last = None
    try:
        with _open(file, form, media) as container:
            stream = _stream(container, media)
            video = _describe(container, stream, media)
            wanted = plan_frames(
                _packets(container, stream), float(stream.time_base), media, ordered=form not in UNORDERED
            )
            _check_complete(video, wanted, media)
            for last in _decoded(container, stream, wanted, media, threads):
                yield last
    except (av.error.FFmpegError, ValueError, EOFError) as error:
        raise _broken(error) from error
    if last is None:
        raise MediaError(Status.CORRUPT, "no frame could be decoded")
    _check_reached(last.time_s, wanted)


def _open(file: BinaryIO, form: str, media: MediaParams) -> av.container.InputContainer:
    truncation.check_length(file, form)
    file.seek(0)
    # Naming the format rules out playlists and concatenations; a file object rules out protocols. Opening the file
    # decodes a first frame.
    options = {"codec_whitelist": ",".join(CODECS), "protocol_whitelist": "none", **_cap(media)}
    return av.open(file, mode="r", format=form, metadata_errors="replace", options=options)


def _cap(media: MediaParams) -> dict[str, str]:
    """Return the option that keeps a decoder from allocating more pixels, whatever the container states."""
    return {"max_pixels": str(min(media.max_pixels, 2**31 - 1))}


def _stream(container: av.container.InputContainer, media: MediaParams) -> Any:
    """Return the first video stream that is not the cover of an audio file, its decoder capped. Raise MediaError."""
    for stream in container.streams.video:
        if not stream.disposition & av.stream.Disposition.attached_pic:
            decoder = stream.codec_context
            if decoder is None or decoder.name not in CODECS:
                raise MediaError(Status.UNSUPPORTED, f"a video with the codec {decoder.name if decoder else 'unknown'}")
            decoder.options = _cap(media)
            return stream
    raise MediaError(Status.UNSUPPORTED, "no video stream")


def _describe(container: av.container.InputContainer, stream: Any, media: MediaParams) -> Video:
    width, height = stream.codec_context.width, stream.codec_context.height
    check_size(width, height, media.max_pixels)
    # An edit list shortens the container's duration, a longer audio track the stream's: the shorter one is the frames'.
    spans = [container.duration / av.time_base] if container.duration else []
    spans += [float(stream.duration * stream.time_base)] if stream.duration else []
    return Video(width, height, min(spans, default=None))


def _packets(container: av.container.InputContainer, stream: Any) -> list[Packet]:
    """Return the stream's packets in file order, without their data. Raise MediaError if one is truncated."""
    packets: list[Packet] = []
    for packet in container.demux(stream):
        if not packet.size:
            continue
        if packet.is_corrupt:
            raise MediaError(Status.TRUNCATED, "a packet ends early")
        if len(packets) == MOST_PACKETS:
            raise MediaError(Status.TOO_LARGE, f"more than {MOST_PACKETS} frames")
        packets.append(Packet(packet.pts, packet.dts, packet.duration or 0, packet.is_keyframe, not packet.is_discard))
    return packets


def _decoded(container: Any, stream: Any, wanted: SamplingPlan, media: MediaParams, threads: int) -> Iterator[Frame]:
    """Yield the wanted frames. If skipping loses one (a false key frame), decode everything for the rest."""
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


def _pictures(
    container: Any, stream: Any, wanted: SamplingPlan, whole: bool, threads: int
) -> Iterator[tuple[int, Any]]:
    """Yield the decoded frames of the needed packets, or of all, each with its number in display order."""
    decoder = stream.codec_context
    if not whole:
        decoder.thread_count, decoder.thread_type = threads, "FRAME" if threads > 1 else "NONE"
    count = itertools.count()
    for packet, shown, gap in _fed(container, stream, wanted, whole):
        out = []
        if gap:  # as after a seek: drain the decoder, so that nothing refers across the gap
            out = decoder.decode(None)
            decoder.flush_buffers()
        decoder.skip_frame = "DEFAULT" if whole or shown or decoder.name not in NAMES_REFERENCES else "NONREF"
        for frame in [*out, *decoder.decode(packet)]:
            yield wanted.place(frame.pts, next(count)), frame


def _fed(container: Any, stream: Any, wanted: SamplingPlan, whole: bool) -> Iterator[tuple[Any, bool, bool]]:
    """Yield the packets to decode, whether each is a wanted frame, and whether packets before it were skipped."""
    container.seek(wanted.start, stream=stream)
    gap = whole  # before a second pass the decoder must be drained
    packets = (packet for packet in container.demux(stream) if packet.size)
    for packet, feed, shown in zip(packets, wanted.feed, wanted.shown, strict=False):
        if feed or whole:
            yield packet, shown, gap
        gap = not (feed or whole)
    yield None, False, False


def _upright(frame: av.VideoFrame, threads: int) -> Image:
    turned = np.rot90(frame.to_ndarray(format="rgb24", threads=threads), k=round(frame.rotation / 90) % 4)
    return np.ascontiguousarray(turned)


def _check_complete(video: Video, wanted: SamplingPlan, media: MediaParams) -> None:
    expected = min(video.duration_s or 0.0, media.max_seconds)
    if wanted.end_s < 0.9 * expected - 1:
        raise MediaError(Status.TRUNCATED, f"{expected:.1f} s announced, packets end at {wanted.end_s:.1f} s")


def _check_reached(last_s: float, wanted: SamplingPlan) -> None:
    expected = max(wanted.times.values())
    if last_s < 0.9 * expected - 1:
        raise MediaError(Status.CORRUPT, f"the decoder ends at {last_s:.1f} s of {expected:.1f} s")


def _broken(error: Exception) -> MediaError:
    detail = str(error)
    status = Status.TRUNCATED if "End of file" in detail else Status.CORRUPT
    return MediaError(status, f"the video cannot be decoded: {detail}"[:200])
