"""Plan which frames of a video are judged and which of its packets must be decoded for them, without any pixels."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fauxscan.params import MediaParams
from fauxscan.records import MediaError, Status

EDGE = 1e-6  # seconds of tolerance for a frame just before its time slot


class Packet(NamedTuple):
    """One encoded frame in the file; times are in ticks of the stream."""

    pts: int | None
    dts: int | None
    duration: int
    key: bool
    visible: bool


@dataclass(frozen=True)
class SamplingPlan:
    """The packets to decode and the frames to keep."""

    times: dict[int, float]  # number of each wanted frame, in display order -> seconds since the first frame
    places: (
        dict[int | None, int] | None
    )  # ticks -> frame number; None if packets hold no usable times: frames are counted instead
    feed: list[bool]  # for each packet in file order, whether it is needed
    shown: list[bool]  # for each packet, whether it is a wanted frame
    end_s: float  # end of the last frame, in seconds since the first
    seen_s: float  # seconds from which frames are chosen: all of them, or the first `max_seconds`

    def place(self, ticks: int | None, count: int) -> int:
        """Return the number of the frame with this time, decoded as the `count`-th; -1 if it is unknown."""
        return count if self.places is None else self.places.get(ticks, -1)


def plan_frames(packets: Sequence[Packet], tick_s: float, media: MediaParams, ordered: bool) -> SamplingPlan:
    """Return the plan for a stream. `ordered`: its container states display times. Raise MediaError if it is empty."""
    visible = [packet for packet in packets if packet.visible]
    if not visible:
        raise MediaError(Status.CORRUPT, "the video stream holds no frame")
    timed = len({packet.pts for packet in visible}) == len(visible) and all(p.pts is not None for p in packets)
    timed &= ordered or media.sampling == "key_frames"  # key frames are decoded one by one, without others in between
    unsorted = np.array([packet.pts for packet in visible] if timed else _counted(visible), np.int64)
    ticks, usual = np.sort(unsorted), np.median([packet.duration for packet in visible])
    times = (ticks - ticks[0]) * tick_s
    end_s = float(times[-1] + (visible[np.argmax(unsorted)].duration or usual) * tick_s)
    count = int(np.searchsorted(times, media.max_seconds, side="right"))
    places = {int(tick): number for number, tick in enumerate(ticks)} if timed else None
    keys = sorted(places[p.pts] for p in visible if p.key and p.pts is not None) if places else []
    # A last frame that stays for minutes does not make the others rarer.
    chosen = _chosen(times[:count], float(times[-1] + usual * tick_s), np.array(keys, int), media)
    wanted = {int(number): float(times[number]) for number in chosen}
    shown, feed = _needed(packets, places, wanted, media)
    seen_s = end_s if count == len(times) else media.max_seconds
    return SamplingPlan(wanted, places, feed, shown, end_s, seen_s)  # type: ignore[arg-type]


def _counted(packets: Sequence[Packet]) -> list[int]:
    """Return display times derived from decoding times: the same instants in another order."""
    known = [packet.dts for packet in packets if packet.dts is not None]
    return known if len(known) == len(packets) else list(range(len(packets)))


def _chosen(times: NDArray[np.float64], end_s: float, keys: NDArray[np.int_], media: MediaParams) -> NDArray[np.int_]:
    """Return the numbers of the sampled frames, spread more thinly if they would exceed `max_frames`."""
    count = len(times)
    if media.sampling == "per_second":
        step = max(1 / media.frames_per_second, min(end_s, media.max_seconds) / media.max_frames)
        slots = np.floor((times + EDGE) / step)
        return np.flatnonzero(np.diff(slots, prepend=-1.0))[: media.max_frames]  # the first frame of each slot
    among = keys[keys < count] if media.sampling == "key_frames" and len(keys) else np.arange(count)
    return among[np.arange(min(media.max_frames, len(among))) * len(among) // min(media.max_frames, len(among))]


def _needed(
    packets: Sequence[Packet], places: dict[int, int] | None, wanted: dict[int, float], media: MediaParams
) -> tuple[list[bool], list[bool]]:
    """Return for each packet whether it is wanted, and whether it must be decoded."""
    if places is None:  # without times nothing is known about any packet
        return [True] * len(packets), [True] * len(packets)
    shown = np.array([p.visible and p.pts is not None and places[p.pts] in wanted for p in packets])
    if media.sampling == "key_frames" and all(p.key for p, show in zip(packets, shown, strict=True) if show):
        return shown.tolist(), shown.tolist()
    group = np.cumsum(_closed(packets))
    last = np.full(group[-1] + 1, -1)
    np.maximum.at(last, group[shown], np.flatnonzero(shown))
    return shown.tolist(), (np.arange(len(packets)) <= last[group]).tolist()


def _closed(packets: Sequence[Packet]) -> NDArray[np.bool_]:
    """Return for each packet whether it begins a closed group: a key frame that no earlier-displayed frame follows."""
    ticks = np.array([packet.pts for packet in packets], np.int64)
    earliest_after = np.minimum.accumulate(ticks[::-1])[::-1]
    latest_before = np.maximum.accumulate(np.concatenate([[np.iinfo(np.int64).min], ticks[:-1]]))
    return np.array([packet.key for packet in packets]) & (ticks <= earliest_after) & (ticks > latest_before)
