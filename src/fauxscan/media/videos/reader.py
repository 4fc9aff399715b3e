"""Read sampled frames of a video: from local bytes only, in one named container format. Nothing else is opened.

The packets are listed first, which costs next to nothing. Packets that no sampled frame needs are never decoded. Each
pass over the packets opens the file again: seeking to the beginning fails in some files and skips packets in others.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

import av

from fauxscan.media.images.codec import Image
from fauxscan.media.images.headers import check_size
from fauxscan.media.videos import containers, truncation
from fauxscan.media.videos.containers import Source
from fauxscan.media.videos.listing import Listing, Video, describe, list_shown
from fauxscan.media.videos.orientation import upright
from fauxscan.media.videos.sampling import SamplingPlan, plan_frames
from fauxscan.params import MediaParams
from fauxscan.records import MediaError, Status

# Decoders for which "not a reference" is certain: in H.265 such a frame may still serve higher layers.
NAMES_REFERENCES = ("h264",)
UNORDERED = ("avi",)  # containers that store decoding times only
WHOLE_LENGTH = ("matroska",)  # containers that state one duration, that of the longest stream


@dataclass(frozen=True)
class Clip:
    """What is known of a video before it is decoded: its length, codec, how much is looked at, and what is odd."""

    duration_s: float
    seconds_seen: float
    defects: tuple[str, ...]
    codec: str
    frames: int  # that can be shown


@dataclass(frozen=True)
class Frame:
    """One frame: its number in display order, its time in seconds and its RGB pixels (height, width, 3)."""

    number: int
    time_s: float
    image: Image
    clip: Clip


def probe_video(file: BinaryIO, form: str, media: MediaParams) -> Video:
    """Return size and duration of a video. Raise MediaError if it has no video stream or is too large."""
    try:
        truncation.check_length(file, form)
        with Source(file, form, media).open() as container:
            track = containers.shown_track(container, containers.count_packets(container))
            containers.prepare_decoder(track, media, threads=1)
            return describe(container, track, media)
    except (av.error.FFmpegError, ValueError, EOFError) as error:
        raise _broken(error) from error


def read_frames(file: BinaryIO, form: str, media: MediaParams, threads: int = 1) -> Iterator[Frame]:
    """Yield the frames that `media.sampling` selects, in order, with the pixels and times of a plain decode.

    `threads` is the number of decoding threads. Raise MediaError if the file is broken, or ends before its stated
    duration.
    """
    last, source = None, Source(file, form, media)
    try:
        truncation.check_length(file, form)
        listing = list_shown(source)
        wanted = plan_frames(listing.packets, listing.tick_s, media, ordered=form not in UNORDERED)
        _check_complete(source, listing, wanted)
        clip = _clip(source, listing, wanted)
        for last in _decoded(source, listing, wanted, clip, threads):
            yield last
    except (av.error.FFmpegError, ValueError, EOFError) as error:
        raise _broken(error) from error
    if last is None:
        raise MediaError(Status.CORRUPT, "no frame could be decoded")
    _check_reached(last.time_s, wanted)


def _clip(source: Source, listing: Listing, wanted: SamplingPlan) -> Clip:
    """Return what is known of a video, with a sentence for each thing that a viewer of the result should know."""
    defects = []
    if listing.undecodable:
        frames = "frame" if listing.undecodable == 1 else f"{listing.undecodable} frames"
        defects += [f"the video begins without a key frame: its first {frames} cannot be shown"]
    if wanted.seen_s < wanted.end_s:
        defects += [f"only the first {wanted.seen_s:g} s of {round(wanted.end_s, 1):g} s were looked at"]
    if listing.others:
        tracks = "1 other video track was" if listing.others == 1 else f"{listing.others} other video tracks were"
        defects += [f"{tracks} not judged"]
    stated = None if source.form in WHOLE_LENGTH else listing.video.duration_s
    duration_s = wanted.end_s if stated is None else stated
    visible = sum(packet.visible for packet in listing.packets)
    return Clip(duration_s, wanted.seen_s, tuple(defects), listing.video.codec, visible)


def _decoded(source: Source, listing: Listing, wanted: SamplingPlan, clip: Clip, threads: int) -> Iterator[Frame]:
    """Yield the wanted frames. If skipping loses one (a false key frame), decode everything for the rest."""
    left = sorted(wanted.times, reverse=True)
    for whole in (False, True):
        for place, frame in _pictures(source, listing, wanted, whole, threads):
            if not whole and left and place > left[-1]:
                break
            if left and place in wanted.times and place >= left[-1]:
                check_size(frame.width, frame.height, source.media.max_pixels)
                yield Frame(place, wanted.times[place], upright(frame, threads), clip)
                left = [number for number in left if number > place]
        if not left:
            return


def _pictures(
    source: Source, listing: Listing, wanted: SamplingPlan, whole: bool, threads: int
) -> Iterator[tuple[int, Any]]:
    """Yield the decoded frames of the needed packets, or of all, each with its number in display order."""
    count = itertools.count()
    with source.open() as container:
        decoder = containers.prepare_decoder(container.streams[listing.track], source.media, threads)
        packets = (packet for packet in container.demux(container.streams[listing.track]) if packet.size)
        for packet, shown, gap in _fed(itertools.islice(packets, listing.start, None), wanted, whole):
            out = []
            if gap:  # as after a seek: drain the decoder, so that nothing refers across the gap
                out = decoder.decode(None)
                decoder.flush_buffers()
            decoder.skip_frame = "DEFAULT" if whole or shown or decoder.name not in NAMES_REFERENCES else "NONREF"
            for frame in [*out, *decoder.decode(packet)]:
                yield wanted.place(frame.pts, next(count)), frame


def _fed(packets: Iterator[Any], wanted: SamplingPlan, whole: bool) -> Iterator[tuple[Any, bool, bool]]:
    """Yield the packets to decode, whether each is a wanted frame, and whether packets before it were skipped."""
    gap = False
    for packet, feed, shown in zip(packets, wanted.feed, wanted.shown, strict=False):
        if feed or whole:
            yield packet, shown, gap
        gap = not (feed or whole)
    yield None, False, False


def _check_complete(source: Source, listing: Listing, wanted: SamplingPlan) -> None:
    """Raise MediaError if the packets end before the stated duration: those of the video, or of all streams."""
    expected = min(listing.video.duration_s or 0.0, source.media.max_seconds)
    end_s = listing.undecodable_s + wanted.end_s
    if source.form in WHOLE_LENGTH:
        end_s = max(end_s, listing.latest_s)
    if end_s < 0.9 * expected - 1:
        raise MediaError(Status.TRUNCATED, f"{expected:.1f} s announced, packets end at {end_s:.1f} s")


def _check_reached(last_s: float, wanted: SamplingPlan) -> None:
    expected = max(wanted.times.values())
    if last_s < 0.9 * expected - 1:
        raise MediaError(Status.CORRUPT, f"the decoder ends at {last_s:.1f} s of {expected:.1f} s")


def _broken(error: Exception) -> MediaError:
    detail = str(error)
    status = Status.TRUNCATED if "End of file" in detail else Status.CORRUPT
    return MediaError(status, f"the video cannot be decoded: {detail}"[:200])
