"""List the packets of a video before any of them is decoded."""

from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

import av

from fauxscan.media.images.headers import check_size
from fauxscan.media.videos import containers
from fauxscan.media.videos.containers import Source
from fauxscan.media.videos.sampling import Packet
from fauxscan.params import MediaParams
from fauxscan.records import MediaError, Status

MOST_PACKETS = 1_000_000  # ten minutes at 1,600 frames per second; more is an attack on memory


@dataclass(frozen=True)
class Video:
    """Size in pixels, duration in seconds and codec, as the container states them."""

    width: int
    height: int
    duration_s: float | None
    codec: str


@dataclass(frozen=True)
class Listing:
    """The packets of the video track that players show, in file order, and what the container states."""

    track: int  # number of the stream
    others: int  # video tracks that are not shown
    video: Video
    tick_s: float
    packets: list[Packet]  # from `start` on
    latest_s: float  # end of the last packet of any stream
    start: int = 0  # number of the first packet that a decoder needs
    undecodable: int = 0  # frames at the beginning that cannot be decoded
    undecodable_s: float = 0.0  # how long they last


def list_shown(source: Source) -> Listing:
    """Return the listing of a video. Frames before the first one that can be decoded are not visible in it.

    Raise MediaError if the video is broken or too large.
    """
    with source.open() as container:
        listing = _list_packets(container, source.media)
    packets = listing.packets
    if not packets or packets[0].key:
        return listing
    first = _first_decodable(source, listing.track)
    start = max((at for at in range(first + 1) if packets[at].key), default=0)
    visible = _visible_from(packets, first)
    kept = [packet._replace(visible=seen) for packet, seen in zip(packets, visible, strict=True)][start:]
    lost = [_ticks(packet) for packet, seen in zip(packets, visible, strict=True) if packet.visible and not seen]
    lost_s = max(0, _ticks(packets[first]) - min(lost, default=_ticks(packets[first]))) * listing.tick_s
    return replace(listing, packets=kept, start=start, undecodable=len(lost), undecodable_s=lost_s)


def describe(container: av.container.InputContainer, track: Any, media: MediaParams) -> Video:
    """Return what the container states of a video track. Raise MediaError if it is too large."""
    width, height = track.codec_context.width, track.codec_context.height
    check_size(width, height, media.max_pixels)
    # An edit list shortens the container's duration, a longer audio track the stream's: the shorter one is the frames'.
    spans = [container.duration / av.time_base] if container.duration else []
    spans += [float(track.duration * track.time_base)] if track.duration else []
    return Video(width, height, min(spans, default=None), track.codec_context.name)


def _list_packets(container: av.container.InputContainer, media: MediaParams) -> Listing:
    """Return the listing of an open video, without the packets' data. Raise MediaError if a packet is truncated."""
    tracks = {track.index for track in containers.video_tracks(container)}
    packets: defaultdict[int, list[Packet]] = defaultdict(list)
    torn, latest_s = set[int](), 0.0
    for packet in container.demux():
        if not packet.size:
            continue
        if packet.pts is not None:
            latest_s = max(latest_s, float((packet.pts + (packet.duration or 0)) * packet.time_base))
        if packet.stream_index in tracks:
            one = Packet(packet.pts, packet.dts, packet.duration or 0, packet.is_keyframe, not packet.is_discard)
            packets[packet.stream_index].append(one)
            if sum(map(len, packets.values())) > MOST_PACKETS:
                raise MediaError(Status.TOO_LARGE, f"more than {MOST_PACKETS} frames")
            if packet.is_corrupt:
                torn.add(packet.stream_index)
    track = containers.shown_track(container, {index: len(found) for index, found in packets.items()})
    containers.prepare_decoder(track, media, threads=1)
    video = describe(container, track, media)
    if track.index in torn:
        raise MediaError(Status.TRUNCATED, "a packet ends early")
    return Listing(track.index, len(tracks) - 1, video, float(track.time_base), packets[track.index], latest_s)


def _first_decodable(source: Source, track: int) -> int:
    """Return which packet of a track gives the first frame: the first key frame, if the decoder needs one."""
    with source.open() as container:
        decoder = containers.prepare_decoder(container.streams[track], source.media, threads=1)
        decoder.flags |= av.codec.context.Flags.copy_opaque
        packets = (packet for packet in container.demux(container.streams[track]) if packet.size)
        for number, packet in enumerate(chain(packets, [None])):
            if packet:
                packet.opaque = number
            with suppress(av.error.InvalidDataError):  # some decoders refuse all packets before a key frame
                for frame in decoder.decode(packet):
                    return frame.opaque or 0
    return 0


def _ticks(packet: Packet) -> int:
    return packet.dts or 0 if packet.pts is None else packet.pts


def _visible_from(packets: Sequence[Packet], first: int) -> list[bool]:
    """Return for each packet whether it is visible if the packet `first` is the first one that gives a frame."""
    from_pts = packets[first].pts
    late = [
        at >= first and (from_pts is None or one.pts is None or one.pts >= from_pts) for at, one in enumerate(packets)
    ]
    return [packet.visible and seen for packet, seen in zip(packets, late, strict=True)]
