"""Videos that begin without a key frame, that outlast their pictures, or whose last frame stays long."""

import io
import re
import struct
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from support.videos import Pixels, clip, encoded_silence, encoded_video, moving, mux, remuxed

from fauxscan.media import files
from fauxscan.media.videos import reader, truncation
from fauxscan.params import Params
from fauxscan.records import MediaError, Status

CLUSTER = bytes.fromhex("1f43b675")  # the name of the Matroska element that holds a few seconds
WAYS: list[dict[str, Any]] = [
    {"sampling": "key_frames", "max_frames": 1000}, {"sampling": "per_second", "frames_per_second": 5.0},
    {"sampling": "per_second", "frames_per_second": 1000.0, "max_frames": 1000},
    {"sampling": "in_all", "max_frames": 1}, {"sampling": "in_all", "max_frames": 7},
]  # fmt: skip


def sampled(path: Path, settings: Params, threads: int = 1, **media: Any) -> list[reader.Frame]:
    chosen = settings.media.model_copy(update=media)
    with files.open_file(path, chosen) as content:
        return list(reader.read_frames(content.handle, files.identify(content.head)[1], chosen, threads))


def refusal(path: Path, settings: Params) -> MediaError:
    with pytest.raises(MediaError) as caught:
        sampled(path, settings)
    return caught.value


# === No key frame at the beginning ===


def shown_by_players(path: Path) -> list[tuple[float, Pixels]]:
    """Return what a decoder shows that ignores what it cannot decode: seconds from the first frame, pixels."""
    found = []
    with av.open(str(path)) as container:
        for packet in container.demux(video=0):
            try:
                found += [(frame.time, frame.to_ndarray(format="rgb24")) for frame in packet.decode()]
            except av.error.InvalidDataError:
                continue
    return [(time - found[0][0], image) for time, image in found]


def outside_the_edit_list(path: Path) -> int:
    """Return the number of packets that the container itself hides."""
    with av.open(str(path)) as container:
        return sum(packet.is_discard for packet in container.demux(video=0) if packet.size)


@pytest.mark.parametrize(
    ("codec", "suffix", "options"),
    [
        ("libx264", "mp4", {"g": "15", "bf": "0"}), ("libx264", "mov", {"g": "15", "bf": "0"}),
        ("libx264", "mkv", {"g": "15", "bf": "0"}), ("libx264", "avi", {"g": "15", "bf": "0"}),
        ("libx264", "mp4", {"g": "15", "bf": "3"}), ("libx264", "mkv", {"g": "15", "bf": "3"}),
        ("libx264", "mp4", {"x264-params": "keyint=15:intra-refresh=1:bframes=0"}),
        ("libx264", "mkv", {"x264-params": "keyint=15:intra-refresh=1:bframes=0"}),
        ("libx265", "mp4", {"x265-params": "keyint=15:min-keyint=15:open-gop=1:log-level=none"}),
        ("libvpx-vp9", "webm", {"g": "15"}),
        ("libvpx", "webm", {"g": "15", "deadline": "realtime"}),
        ("mpeg2video", "mkv", {"g": "15"}),
    ],
)  # fmt: skip
def test_a_video_without_a_leading_key_frame_is_judged_from_its_first_picture(
    tmp_path: Path, settings: Params, codec: str, suffix: str, options: dict[str, str]
) -> None:
    whole = clip(tmp_path / f"whole.{suffix}", moving(60), codec=codec, options=options)
    path = remuxed(whole, tmp_path / f"cut.{suffix}", skipped=5)
    shown, hidden = shown_by_players(path), 55 - len(shown_by_players(path)) - outside_the_edit_list(path)
    assert 25 <= len(shown) <= 55
    for way in WAYS:
        for threads in (1, 2):
            found = sampled(path, settings, threads, **way)
            assert found[0].number == 0 or way["sampling"] == "key_frames"  # of a refresh the first is hidden
            assert [f.number for f in found] == sorted({f.number for f in found})
            for frame in found:
                time_s, image = shown[frame.number]
                assert abs(frame.time_s - time_s) < 1e-6
                np.testing.assert_array_equal(frame.image, image)
    assert len(sampled(path, settings, **WAYS[2])) == len(shown)
    (defect,) = found[0].clip.defects
    assert defect == f"the video begins without a key frame: its first {hidden} frames cannot be shown"


def test_a_long_video_may_begin_without_a_key_frame(tmp_path: Path, settings: Params) -> None:
    for suffix in ("mp4", "avi"):  # which counts frames
        whole = clip(tmp_path / f"whole.{suffix}", moving(80), rate=2, options={"g": "40", "bf": "0"})
        found = sampled(remuxed(whole, tmp_path / f"cut.{suffix}", skipped=1), settings, max_frames=40)
        assert [frame.time_s for frame in found] == pytest.approx(list(range(20)))


def test_one_frame_that_cannot_be_shown_is_named_in_the_singular(tmp_path: Path, settings: Params) -> None:
    whole = clip(tmp_path / "whole.mkv", moving(30), options={"g": "15", "bf": "0"})
    found = sampled(remuxed(whole, tmp_path / "cut.mkv", skipped=14), settings)
    assert found[0].clip.defects == ("the video begins without a key frame: its first frame cannot be shown",)


def test_a_lying_table_of_key_frames_hides_nothing(tmp_path: Path, settings: Params) -> None:
    data = clip(tmp_path / "a.mp4", moving(75), options={"g": "15", "bf": "0"}).read_bytes()
    at = data.index(b"stss") + 4
    assert struct.unpack(">3I", data[at : at + 12]) == (0, 5, 1)
    lying = data[: at + 4] + struct.pack(">2I", 5, 61) + data[at + 12 :]
    (tmp_path / "lying.mp4").write_bytes(lying)
    honest, found = (sampled(tmp_path / name, settings) for name in ("a.mp4", "lying.mp4"))
    assert [frame.number for frame in found] == [0, 25, 50] and not found[0].clip.defects
    np.testing.assert_array_equal([frame.image for frame in found], [frame.image for frame in honest])


# === Sound and subtitles that go on ===


def with_sound(path: Path, seconds: float, start: int = 0, sound: str = "aac") -> Path:
    """Write a video of five seconds that begins at frame number `start` of ten a second, with sound."""
    codec = "libvpx-vp9" if path.suffix == ".webm" else "libx264"
    with av.open(str(path), "w") as out:
        mux(out, encoded_video(out, codec, moving(50), start=start) + encoded_silence(out, seconds, sound))
    return path


@pytest.mark.parametrize("suffix", ["mkv", "webm", "mp4", "mov", "avi"])
def test_sound_may_go_on_after_the_picture(tmp_path: Path, settings: Params, suffix: str) -> None:
    codec = {"webm": "libopus", "avi": "mp2"}.get(suffix, "aac")
    found = sampled(with_sound(tmp_path / f"a.{suffix}", 20, sound=codec), settings)
    assert [frame.time_s for frame in found] == pytest.approx(list(range(5)))
    assert (found[0].clip.duration_s, found[0].clip.seconds_seen) == pytest.approx((5, 5))
    assert not found[0].clip.defects


@pytest.mark.parametrize("suffix", ["mkv", "mp4"])
def test_the_picture_may_begin_late(tmp_path: Path, settings: Params, suffix: str) -> None:
    found = sampled(with_sound(tmp_path / f"late.{suffix}", 15, start=100), settings)
    assert [frame.time_s for frame in found] == pytest.approx(list(range(5)))


def test_subtitles_may_go_on_after_the_picture(tmp_path: Path, settings: Params) -> None:
    text = io.BytesIO(b"1\n00:00:00,000 --> 00:01:00,000\nthe end\n\n")
    with av.open(text, format="srt") as words, av.open(str(tmp_path / "a.mkv"), "w") as out:
        packets, lines = encoded_video(out, "libx264", moving(50)), out.add_stream_from_template(words.streams[0])
        for packet in words.demux():
            packet.stream = lines
            packets += [packet] if packet.size else []
        mux(out, packets)
    assert len(sampled(tmp_path / "a.mkv", settings)) == 5


def test_a_video_whose_streams_all_end_early_is_truncated(tmp_path: Path, settings: Params) -> None:
    data = with_sound(tmp_path / "a.mkv", 20).read_bytes()
    at = data.index(b"\x44\x89\x88") + 3  # the element Duration, in milliseconds
    (tmp_path / "longer.mkv").write_bytes(data[:at] + struct.pack(">d", 40_000.0) + data[at + 8 :])
    error = refusal(tmp_path / "longer.mkv", settings)
    assert error.status is Status.TRUNCATED and error.detail == "40.0 s announced, packets end at 20.0 s"


def test_a_cut_file_with_longer_sound_is_truncated(tmp_path: Path, settings: Params) -> None:
    data = with_sound(tmp_path / "a.mkv", 20).read_bytes()
    for percent in (50, 70, 90, 99):
        (tmp_path / "cut.mkv").write_bytes(data[: len(data) * percent // 100])
        assert refusal(tmp_path / "cut.mkv", settings).status is Status.TRUNCATED
    at = data.index(truncation.SEGMENT) + 4  # a live recording does not say where it ends, but its elements do
    live = data[:at] + b"\x01" + b"\xff" * 7 + data[at + 8 :]
    at = live.index(b"\x44\x89\x88")
    live = live[:at] + b"\xec\x89" + bytes(9) + live[at + 11 :]  # without Duration
    (tmp_path / "live.mkv").write_bytes(live)
    assert len(sampled(tmp_path / "live.mkv", settings)) == 5
    clusters = [found.start() for found in re.finditer(re.escape(CLUSTER), live)]
    assert len(clusters) > 3
    for offset in (1, 3, 5, 100):  # within its name, its length and its pictures or sound
        (tmp_path / "cut.mkv").write_bytes(live[: clusters[2] + offset])
        assert refusal(tmp_path / "cut.mkv", settings).status is Status.TRUNCATED
    (tmp_path / "cut.mkv").write_bytes(live[: clusters[2]])  # nothing says that a recording went on after this
    assert len(sampled(tmp_path / "cut.mkv", settings)) == 5


def test_a_cluster_that_ends_early_is_seen_without_stated_lengths(tmp_path: Path, settings: Params) -> None:
    live = clip(tmp_path / "a.mkv", moving(50), rate=10, container={"live": "1"}).read_bytes()
    at = live.index(CLUSTER) + 4
    width = 9 - live[at].bit_length()
    endless = (
        live[:at] + bytes([(1 << (8 - width)) | ((1 << (8 - width)) - 1)]) + b"\xff" * (width - 1) + live[at + width :]
    )
    at = endless.index(truncation.SEGMENT) + 4
    endless = endless[:at] + b"\x01" + b"\xff" * 7 + endless[at + 8 :]
    (tmp_path / "endless.mkv").write_bytes(endless)
    assert len(sampled(tmp_path / "endless.mkv", settings)) == 5
    (tmp_path / "cut.mkv").write_bytes(endless[:-3])
    assert refusal(tmp_path / "cut.mkv", settings).status is Status.TRUNCATED


# === Lengths ===


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "mov"])
def test_the_last_frame_may_stay_for_a_minute(tmp_path: Path, settings: Params, suffix: str) -> None:
    with av.open(str(tmp_path / f"a.{suffix}"), "w") as out:
        packets = encoded_video(out, "libx264", moving(10), rate=1)
        for packet in packets:
            packet.duration = round((60 if packet.pts * packet.time_base == 9 else 1) / packet.time_base)
        mux(out, packets)
    found = sampled(tmp_path / f"a.{suffix}", settings)
    assert [frame.time_s for frame in found] == pytest.approx(list(range(10)))
    assert (found[0].clip.duration_s, found[0].clip.seconds_seen) == pytest.approx((69, 69))
    assert not found[0].clip.defects


def test_a_long_video_says_how_much_was_looked_at(tmp_path: Path, settings: Params) -> None:
    path = clip(tmp_path / "a.mp4", moving(70), rate=10)
    (known,) = {frame.clip for frame in sampled(path, settings, max_seconds=6)}
    assert (known.duration_s, known.seconds_seen) == pytest.approx((7, 6))
    assert known.defects == ("only the first 6 s of 7 s were looked at",)
    (known,) = {frame.clip for frame in sampled(path, settings, max_seconds=7)}
    assert known.seconds_seen == pytest.approx(7) and not known.defects
