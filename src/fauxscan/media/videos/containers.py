"""Open a video from local bytes only, in one named container format, and choose the video track that players show."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

import av

from fauxscan.params import MediaParams
from fauxscan.records import MediaError, Status

# The FFmpeg decoders that may run: an allow-list, as for images, out of some 500.
CODECS = (
    "h264", "hevc", "av1", "libdav1d", "vp8", "vp9", "mpeg4", "mpeg1video", "mpeg2video", "mjpeg", "h263", "msmpeg4v2",
    "msmpeg4", "wmv3", "vc1", "theora", "prores", "dnxhd", "dvvideo", "ffv1", "huffyuv", "rawvideo",
)  # fmt: skip
PICTURES = ("mjpeg", "png")  # codecs of still pictures: beside a track of another codec, such a track is a preview
MOVING = 2  # packets of a track that is more than one picture


@dataclass(frozen=True)
class Source:
    """A video that can be opened: its bytes, its container format and the limits."""

    file: BinaryIO
    form: str
    media: MediaParams

    def open(self) -> av.container.InputContainer:
        """Open the video at its first packet. Raise av.error.FFmpegError, ValueError or EOFError if it is broken."""
        self.file.seek(0)
        # Naming the format rules out playlists and concatenations; a file object rules out protocols. Opening the file
        # decodes a first frame.
        options = {"codec_whitelist": ",".join(CODECS), "protocol_whitelist": "none", **_cap(self.media)}
        return av.open(self.file, mode="r", format=self.form, metadata_errors="replace", options=options)


def video_tracks(container: av.container.InputContainer) -> list[Any]:
    """Return the video streams that are not the cover of an audio file. Raise MediaError if there is none."""
    tracks = [one for one in container.streams.video if not one.disposition & av.stream.Disposition.attached_pic]
    if not tracks:
        raise MediaError(Status.UNSUPPORTED, "no video stream")
    return tracks


def shown_track(container: av.container.InputContainer, packets: Mapping[int, int]) -> Any:
    """Return the video stream that players show, given the number of packets of each stream. Raise MediaError.

    It is FFmpeg's choice, which is the track marked as default if one is. A track of one picture, or of still pictures,
    is shown only if there is no other.
    """
    tracks = video_tracks(container)
    moving = [track for track in tracks if packets.get(track.index, 0) >= MOVING] or tracks
    filmed = [track for track in moving if _codec(track) not in PICTURES] or moving
    best = container.streams.best("video")
    return best if best in filmed else max(filmed, key=_rank)


def _rank(track: Any) -> tuple[bool, int]:
    """Return what decides among tracks of which FFmpeg's choice is none: the default, then the number of pixels."""
    decoder = track.codec_context
    return bool(track.disposition & av.stream.Disposition.default), decoder.width * decoder.height if decoder else 0


def count_packets(container: av.container.InputContainer) -> Counter[int]:
    """Return the number of packets of each video track, counted only as far as `shown_track` needs it."""
    tracks = video_tracks(container)
    found: Counter[int] = Counter()
    if len(tracks) == 1:
        return found
    for packet in container.demux(*tracks):
        found[packet.stream_index] += bool(packet.size)
        if all(found[track.index] >= MOVING for track in tracks):
            break
    return found


def prepare_decoder(track: Any, media: MediaParams, threads: int) -> Any:
    """Return the decoder of a track, with its pixels capped and its number of threads set. Raise MediaError."""
    decoder = track.codec_context
    if _codec(track) not in CODECS:
        raise MediaError(Status.UNSUPPORTED, f"a video with the codec {_codec(track)}")
    decoder.options = _cap(media)
    decoder.thread_count, decoder.thread_type = threads, "FRAME" if threads > 1 else "NONE"
    return decoder


def _codec(track: Any) -> str:
    return track.codec_context.name if track.codec_context else "unknown"


def _cap(media: MediaParams) -> dict[str, str]:
    """Return the option that keeps a decoder from allocating more pixels, whatever the container states."""
    return {"max_pixels": str(min(media.max_pixels, 2**31 - 1))}
