"""Frames of videos: sampled as a plain decode would give them, and a status for every file that is odd or hostile."""

import contextlib
import ctypes
import io
import os
import socket
import struct
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from support.videos import Pixels, clip, moving, noisy, numbered

from fauxscan.media import files
from fauxscan.media.decode import FrameFaces, decode_media
from fauxscan.media.faces.finder import FaceFinder
from fauxscan.media.videos import reader
from fauxscan.params import MediaParams, Params
from fauxscan.records import Kind, MediaError, Status

X264 = {
    "closed": "keyint=12:bframes=3:b-pyramid=normal:open-gop=0:scenecut=0",
    "open": "keyint=12:min-keyint=12:bframes=3:b-pyramid=normal:open-gop=1:scenecut=0",
    "refresh": "keyint=12:intra-refresh=1:bframes=0",  # key frames that are none
    "long": "keyint=250:bframes=5",
}
VFR = np.cumsum(np.random.default_rng(1).integers(5, 200, 90)).tolist()  # milliseconds


def sampled(path: Path, media: MediaParams, threads: int = 1) -> list[reader.Frame]:
    with files.open_file(path, media) as content:
        return list(reader.read_frames(content.handle, files.identify(content.head)[1], media, threads))


def plain(path: Path) -> list[tuple[float, Pixels]]:
    """Every frame, decoded with nothing left out: seconds from the first, pixels."""
    with av.open(str(path)) as container:
        found = [(frame.time, frame.to_ndarray(format="rgb24")) for frame in container.decode(video=0)]
    return [(time - found[0][0], image) for time, image in found]


def seen(path: Path, settings: Params, finder: FaceFinder | None = None) -> list[FrameFaces]:
    with files.open_file(path, settings.media) as content:
        kind, form = files.identify(content.head)
        return list(decode_media(content, kind, form, settings.media, finder))


def refusal(path: Path, settings: Params) -> Status:
    with pytest.raises(MediaError) as caught:
        seen(path, settings)
    return caught.value.status


# === Sampling ===

WAYS: list[dict[str, Any]] = [
    {"sampling": "key_frames", "max_frames": 1000},
    {"sampling": "per_second", "frames_per_second": 1.0, "max_frames": 1000},
    {"sampling": "per_second", "frames_per_second": 5.0, "max_frames": 1000},
    {"sampling": "per_second", "frames_per_second": 0.3, "max_frames": 1000},
    {"sampling": "per_second", "frames_per_second": 1000.0, "max_frames": 5000},
    {"sampling": "in_all", "max_frames": 7},
    {"sampling": "in_all", "max_frames": 60},
]


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "mov", "avi"])
@pytest.mark.parametrize("groups", X264)
@pytest.mark.parametrize("varies", [False, True])
def test_skipping_gives_the_pixels_and_times_of_a_plain_decode(
    tmp_path: Path, settings: Params, groups: str, suffix: str, varies: bool
) -> None:
    if suffix == "avi" and varies:
        pytest.skip("AVI has one rate")
    path = clip(
        tmp_path / f"a.{suffix}", moving(90), times=VFR if varies else None, options={"x264-params": X264[groups]}
    )
    whole = plain(path)
    assert len(whole) == 90
    for way in WAYS:
        if suffix == "avi" and groups == "open" and way["sampling"] == "key_frames":
            continue  # AVI knows no times of showing: the frames are right, their numbers off by those shown before
        for threads in (1, 2):
            found = sampled(path, settings.media.model_copy(update=way), threads)
            assert found and [f.number for f in found] == sorted({f.number for f in found})
            for frame in found:
                time_s, image = whole[frame.number]
                assert abs(frame.time_s - (frame.number / 25 if suffix == "avi" else time_s)) < 1e-6
                np.testing.assert_array_equal(frame.image, image)


@pytest.mark.parametrize(
    ("codec", "suffix"),
    [("libx265", "mp4"), ("libvpx-vp9", "webm"), ("libvpx", "webm"), ("mpeg4", "avi"), ("mpeg2video", "mkv")],
)
def test_other_codecs_are_sampled_exactly_too(tmp_path: Path, settings: Params, codec: str, suffix: str) -> None:
    path = clip(tmp_path / f"a.{suffix}", moving(60), codec=codec, options={"g": "12"})
    whole = plain(path)
    for way in WAYS:
        for frame in sampled(path, settings.media.model_copy(update=way)):
            np.testing.assert_array_equal(frame.image, whole[frame.number][1])


def test_real_clips_are_sampled_exactly(real_data: Path, tmp_path: Path, settings: Params) -> None:
    with zipfile.ZipFile(real_data / "clips" / "clips.zip") as archive:
        names = [n for n in archive.namelist() if n.endswith(("liveportrait_d12.mp4", "short_hamilton_clip.mp4"))]
        for name in names:
            path = Path(archive.extract(name, tmp_path))
            whole = plain(path)
            for way in WAYS[:4]:
                found = sampled(path, settings.media.model_copy(update=way))
                for frame in found:
                    assert abs(frame.time_s - whole[frame.number][0]) < 1e-6
                    np.testing.assert_array_equal(frame.image, whole[frame.number][1])
    assert len(names) == 2


def test_what_no_sampled_frame_needs_is_not_decoded(
    tmp_path: Path, settings: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = clip(tmp_path / "a.mp4", moving(90), options={"x264-params": X264["closed"]})
    fed: list[int] = []
    original = reader._fed
    monkeypatch.setattr(reader, "_fed", lambda *a: (fed.append(1) or one for one in original(*a)))  # type: ignore[func-returns-value]
    for way, most in ((WAYS[0], 10), (WAYS[1], 30), (WAYS[5], 30)):
        fed.clear()
        sampled(path, settings.media.model_copy(update=way))
        assert 0 < len(fed) <= most


def test_frames_are_sampled_in_time(tmp_path: Path, settings: Params) -> None:
    path = clip(tmp_path / "clip.mp4", numbered(40), rate=10)
    twice = settings.media.model_copy(update={"sampling": "per_second", "frames_per_second": 2.0, "max_frames": 32})
    found = sampled(path, twice)
    assert [frame.number for frame in found] == [0, 5, 10, 15, 20, 25, 30, 35]
    assert np.allclose([frame.time_s for frame in found], np.arange(8) / 2)
    capped = twice.model_copy(update={"max_frames": 4})
    assert [frame.number for frame in sampled(path, capped)] == [0, 10, 20, 30]
    for count in (1, 3, 40, 99):
        in_all = settings.media.model_copy(update={"sampling": "in_all", "max_frames": count})
        numbers = [frame.number for frame in sampled(path, in_all)]
        assert len(numbers) == min(count, 40) and numbers[0] == 0
        assert max(np.diff(numbers), default=0) - min(np.diff(numbers), default=0) <= 1
    brief = settings.media.model_copy(update={"sampling": "in_all", "max_frames": 99, "max_seconds": 1.0})
    assert [frame.number for frame in sampled(path, brief)] == list(range(11))


def test_a_gap_in_time_is_not_caught_up_with(tmp_path: Path, settings: Params) -> None:
    times = [*range(0, 1000, 100), *range(9000, 10000, 100)]
    path = clip(tmp_path / "gap.mp4", moving(20), times=times)
    once = settings.media.model_copy(update={"sampling": "per_second", "frames_per_second": 1.0, "max_frames": 32})
    assert [frame.time_s for frame in sampled(path, once)] == [0.0, 9.0]


@pytest.mark.parametrize(
    ("name", "form"), [("a.mp4", "mov"), ("a.mov", "mov"), ("a.mkv", "matroska"), ("a.avi", "avi")]
)
def test_containers_are_known_by_their_bytes(tmp_path: Path, settings: Params, name: str, form: str) -> None:
    path = clip(tmp_path / name, numbered(12))
    with files.open_file(path, settings.media) as content:
        assert files.identify(content.head) == (Kind.VIDEO, form)
    assert len(seen(path, settings)) >= 1


# === Odd videos ===


@pytest.mark.parametrize("turned", [90, 180, -90])
def test_a_turned_video_is_shown_upright(tmp_path: Path, settings: Params, turned: int) -> None:
    lying = clip(tmp_path / "lying.mp4", moving(5))
    path = clip(tmp_path / "turned.mp4", moving(5), turned=turned)
    straight, upright = (seen(file, settings)[0].image for file in (lying, path))
    np.testing.assert_array_equal(upright, np.rot90(straight, turned // 90))


def test_a_fragmented_video_is_read(tmp_path: Path, settings: Params) -> None:
    path = clip(tmp_path / "f.mp4", moving(60), options={"g": "12"}, container={"movflags": "frag_keyframe+empty_moov"})
    assert len(seen(path, settings)) == 3


def test_one_frame_and_none(tmp_path: Path, settings: Params) -> None:
    assert len(seen(clip(tmp_path / "one.mp4", moving(1)), settings)) == 1
    data = clip(tmp_path / "few.mp4", moving(3)).read_bytes()
    at = data.index(b"stsz") + 12
    (tmp_path / "none.mp4").write_bytes(data[:at] + struct.pack(">I", 0) + data[at + 4 :])
    assert refusal(tmp_path / "none.mp4", settings) is Status.CORRUPT


def add_audio(out: Any) -> None:
    stream = out.add_stream("aac", rate=8000)
    for number in range(30):
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        sound.sample_rate, sound.pts = 8000, number * 1024
        out.mux(stream.encode(sound))
    out.mux(stream.encode(None))


def test_audio_is_no_video_with_a_cover_picture_neither(tmp_path: Path, settings: Params) -> None:
    with av.open(str(tmp_path / "a.mp4"), "w") as out:
        add_audio(out)
    assert refusal(tmp_path / "a.mp4", settings) is Status.UNSUPPORTED
    cover = io.BytesIO()
    from PIL import Image as Pillow

    Pillow.fromarray(next(moving(1))).save(cover, "JPEG")
    with av.open(str(tmp_path / "c.mp4"), "w") as out:
        picture = out.add_stream("mjpeg", rate=1)
        picture.width, picture.height, picture.pix_fmt = 96, 64, "yuvj420p"
        picture.disposition = av.stream.Disposition.attached_pic
        sound = out.add_stream("aac", rate=8000)
        packet = av.Packet(cover.getvalue())
        packet.stream, packet.pts, packet.dts, packet.time_base = picture, 0, 0, Fraction(1, 1)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate, frame.pts = 8000, 0
        encoded = sound.encode(frame)
        out.mux(packet)
        out.mux(encoded)
        out.mux(sound.encode(None))
    with av.open(str(tmp_path / "c.mp4")) as container:
        assert len(container.streams.video) == 1  # which a careless reader takes for a video of one frame
    assert refusal(tmp_path / "c.mp4", settings) is Status.UNSUPPORTED


def test_broken_videos_have_a_status(tmp_path: Path, settings: Params) -> None:
    whole = clip(tmp_path / "whole.mp4", noisy(60)).read_bytes()
    for name, data in (("torn.mp4", whole[: len(whole) // 2]), ("noise.mp4", whole[:40] + os.urandom(4000))):
        (tmp_path / name).write_bytes(data)
        assert refusal(tmp_path / name, settings) in (Status.TRUNCATED, Status.CORRUPT)


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "avi"])
def test_a_video_cut_short_behind_a_whole_header_is_truncated(tmp_path: Path, settings: Params, suffix: str) -> None:
    path = clip(tmp_path / f"fast.{suffix}", noisy(100), rate=10, container={"movflags": "faststart"})
    whole = path.read_bytes()
    for percent in (50, 70, 90) if suffix != "mkv" else (50, 70):  # a Matroska file tells its end in round figures
        path.write_bytes(whole[: len(whole) * percent // 100])
        assert refusal(path, settings) in (Status.TRUNCATED, Status.CORRUPT)


def test_a_claimed_day_is_not_believed(tmp_path: Path, settings: Params) -> None:
    data = clip(tmp_path / "a.mkv", moving(30)).read_bytes()
    at = data.index(b"\x44\x89\x88") + 3  # the element Duration, in milliseconds
    (tmp_path / "day.mkv").write_bytes(data[:at] + struct.pack(">d", 24 * 3600 * 1000.0) + data[at + 8 :])
    assert refusal(tmp_path / "day.mkv", settings) is Status.TRUNCATED
    data = clip(tmp_path / "a.mp4", moving(30)).read_bytes()
    for atom in (b"mvhd", b"mdhd"):
        at = data.index(atom) + 20
        data = data[:at] + struct.pack(">I", 0x7FFFFFFF) + data[at + 4 :]
    (tmp_path / "day.mp4").write_bytes(data)  # whose table of frames tells the truth
    honest, lying = (sampled(tmp_path / name, settings.media) for name in ("a.mp4", "day.mp4"))
    assert [frame.time_s for frame in honest] == [frame.time_s for frame in lying]


def test_caps_hold_for_a_day_of_frames(tmp_path: Path, settings: Params) -> None:
    times = [number * 1000 * 3600 * 24 // 200 for number in range(200)]
    path = clip(tmp_path / "day.mp4", numbered(200), times=times)
    found = sampled(path, settings.media)
    assert 1 <= len(found) <= settings.media.max_frames
    assert found[-1].time_s <= settings.media.max_seconds
    dense = clip(tmp_path / "dense.mp4", numbered(300), rate=100)
    capped = settings.media.model_copy(update={"frames_per_second": 1000.0, "max_frames": 20})
    assert len(sampled(dense, capped)) == 20


def test_eight_k_is_read_and_more_than_the_cap_is_refused(tmp_path: Path, settings: Params) -> None:
    path = clip(tmp_path / "8k.mp4", iter([np.zeros((4320, 7680, 3), np.uint8)]), options={"preset": "ultrafast"})
    assert seen(path, settings)[0].image.shape == (4320, 7680, 3)
    small = settings.model_copy(update={"media": settings.media.model_copy(update={"max_pixels": 7680 * 4319})})
    assert refusal(path, small) is Status.TOO_LARGE


# === Videos that reach for other files ===


@dataclass
class Canary:
    """A file and a port; tells whether anybody opened them."""

    file: Path
    port: int
    knocks: list[object]
    inotify: int

    def sang(self) -> bool:
        try:
            return bool(os.read(self.inotify, 4096)) or bool(self.knocks)
        except BlockingIOError:
            return bool(self.knocks)


@pytest.fixture
def canary(tmp_path: Path) -> Iterator[Canary]:
    home = tmp_path / "elsewhere"
    home.mkdir()
    file = clip(home / "secret.mp4", numbered(5))
    libc = ctypes.CDLL(None, use_errno=True)
    inotify = libc.inotify_init1(os.O_NONBLOCK)
    opened, accessed = 0x20, 0x1
    assert libc.inotify_add_watch(inotify, os.fsencode(file), opened | accessed) >= 0
    with socket.create_server(("127.0.0.1", 0)) as server:
        knocks: list[object] = []

        def listen() -> None:
            try:
                while True:
                    knocks.append(server.accept())
            except OSError:
                return

        threading.Thread(target=listen, daemon=True).start()
        yield Canary(file, server.getsockname()[1], knocks, inotify)
        server.shutdown(socket.SHUT_RDWR)
    os.close(inotify)


def test_the_canary_sings(canary: Canary) -> None:
    canary.file.read_bytes()
    assert canary.sang()


def gab2(playlist: bytes) -> bytes:
    """An AVI whose subtitles are a playlist: the trick of 2016 by which FFmpeg gave local files away."""
    text = b"GAB2\0" + struct.pack("<HI", 2, 2) + b"a\0" + struct.pack("<HI", 4, len(playlist)) + playlist
    part = lambda name, body: name + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2)
    head = struct.pack("<14I", 40000, 0, 0, 16, 1, 0, 2, 0, 64, 64, 0, 0, 0, 0)
    video = struct.pack("<4s4sIIIIIIIIIIHHHH", b"vids", b"XVID", 0, 0, 0, 1, 25, 0, 1, 0, 0, 0, 0, 0, 64, 64)
    size = struct.pack("<IiiHH4sIiiII", 40, 64, 64, 1, 24, b"XVID", 64 * 64 * 3, 0, 0, 0, 0)
    words = struct.pack("<4s4sIIIIIIIIIIHHHH", b"txts", b"\0\0\0\0", 0, 0, 0, 1, 25, 0, 1, 0, 0, 0, 0, 0, 0, 0)
    streams = part(b"LIST", b"strl" + part(b"strh", video) + part(b"strf", size))
    streams += part(b"LIST", b"strl" + part(b"strh", words) + part(b"strf", b""))
    header = part(b"LIST", b"hdrl" + part(b"avih", head) + streams)
    return part(b"RIFF", b"AVI " + header + part(b"LIST", b"movi" + part(b"00dc", b"\0" * 99) + part(b"01tx", text)))


def test_no_content_opens_another_file_or_a_socket(tmp_path: Path, settings: Params, canary: Canary) -> None:
    targets = (f"file://{canary.file}", str(canary.file), "file:///etc/passwd", f"http://127.0.0.1:{canary.port}/a.ts")
    for number, target in enumerate(targets):
        playlist = f"#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:0\n#EXTINF:1,\n{target}\n#EXT-X-ENDLIST\n".encode()
        hostile = {
            "list.m3u8": playlist, "list.mp4": playlist, "hls.avi": gab2(playlist),
            "list.ffconcat": f"ffconcat version 1.0\nfile {target}\n".encode(),
            "late.avi": gab2(playlist) + playlist, "dash.mpd": f"<MPD><BaseURL>{target}</BaseURL></MPD>".encode(),
        }  # fmt: skip
        for name, data in hostile.items():
            path = tmp_path / f"{number}-{name}"
            path.write_bytes(data)
            assert refusal(path, settings) in (Status.UNSUPPORTED, Status.CORRUPT, Status.TRUNCATED), path
    assert not canary.sang()


def test_no_name_opens_another_file_or_a_socket(
    tmp_path: Path, settings: Params, canary: Canary, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = clip(tmp_path / "c.mp4", numbered(5)).read_bytes()
    for number in range(3):
        (tmp_path / f"clip_{number:02d}.mp4").write_bytes(b"another")
    names = [
        "clip_%02d.mp4", "http:x.mp4", "rtsp:", "concat:elsewhere", "concat:clip_00.mp4|clip_01.mp4",
        f"tcp:127.0.0.1:{canary.port}", "pipe:0", "data:x", "-", "file:clip_00.mp4", "*.mp4",
    ]  # fmt: skip
    monkeypatch.chdir(tmp_path)
    for name in names:
        Path(name).write_bytes(data)
        assert len(seen(Path(name), settings)) == 1, name
    assert not canary.sang()


def elsewhere(data: bytes, reference: bytes) -> bytes:
    """An MP4 whose pictures are said to lie in another file: this entry is in the place of "here"."""
    here = data.index(b"url \0\0\0\1") - 4
    grown = len(reference) - 12
    for box in (b"moov", b"trak", b"mdia", b"minf", b"dinf", b"dref"):
        at = data.index(box) - 4
        data = data[:at] + struct.pack(">I", struct.unpack(">I", data[at : at + 4])[0] + grown) + data[at + 4 :]
    return data[:here] + reference + data[here + 12 :]


def alias(path: bytes) -> bytes:
    """A reference to another file as Macintoshes made it, by its absolute path."""
    body = bytes(10) + b"\4disk".ljust(28, b"\0") + bytes(12) + b"\4name".ljust(64, b"\0") + bytes(16)
    body += struct.pack(">HH", 0, 0) + bytes(16) + struct.pack(">HH", 2, len(path)) + path + b"\0" * (len(path) % 2)
    return struct.pack(">I4sI", 12 + len(body) + 4, b"alis", 0) + body + b"\xff\xff\0\0"


def test_no_track_lies_in_another_file(tmp_path: Path, settings: Params, canary: Canary) -> None:
    whole = clip(tmp_path / "c.mp4", moving(5)).read_bytes()
    url = f"http://127.0.0.1:{canary.port}/a.mp4\0".encode()
    references = [
        alias(os.fsencode(canary.file)), struct.pack(">I4sI", 12 + len(url), b"url ", 0) + url,
        alias(b"/elsewhere/secret.mp4"),
    ]  # fmt: skip
    for number, reference in enumerate(references):
        path = tmp_path / f"{number}.mov"
        path.write_bytes(elsewhere(whole, reference))
        with contextlib.suppress(MediaError):
            (found,) = seen(path, settings)  # what is in this file
            np.testing.assert_array_equal(found.image, seen(tmp_path / "c.mp4", settings)[0].image)
    assert not canary.sang()


def test_what_is_attached_to_a_matroska_is_not_opened(tmp_path: Path, settings: Params, canary: Canary) -> None:
    playlist = f"#EXTM3U\n#EXTINF:1,\nfile://{canary.file}\n#EXT-X-ENDLIST\n".encode()
    with av.open(str(tmp_path / "a.mkv"), "w") as out:
        for name in (str(canary.file), "http:x.mp4", "list.m3u8"):
            out.add_attachment(name, "application/vnd.apple.mpegurl", playlist)
        stream = out.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        for image in moving(3):
            out.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        out.mux(stream.encode(None))
    assert len(seen(tmp_path / "a.mkv", settings)) == 1
    assert not canary.sang()


# === Faces in videos ===


@pytest.mark.parametrize("rate", [1.0, 5.0])
def test_real_clips_have_faces_in_tracks(real_data: Path, tmp_path: Path, settings: Params, rate: float) -> None:
    names = ("real/ffpp_c23_original_004.mp4", "fake/sadtalker_art_0__japanese_still.mp4")
    media = settings.media.model_copy(update={"frames_per_second": rate, "max_frames": 30})
    for name in names:
        with zipfile.ZipFile(real_data / "clips" / "clips.zip") as archive:
            path = Path(archive.extract(name, tmp_path))
        with files.open_file(path, media) as content:
            sights = list(decode_media(content, Kind.VIDEO, "mov", media, FaceFinder(settings.faces)))
        assert len(sights) > 7
        assert all(sight.faces for sight in sights)
        first = [face for sight in sights for face in sight.faces if face.track == 0]
        assert len(first) == len(sights)  # one head, one track


def test_scores_do_not_depend_on_the_number_of_threads(real_data: Path, tmp_path: Path, settings: Params) -> None:
    with zipfile.ZipFile(real_data / "clips" / "clips.zip") as archive:
        path = Path(archive.extract("real/short_hamilton_clip.mp4", tmp_path))
    found = []
    before = cv2.getNumThreads()
    for threads in (1, 2, 4):
        cv2.setNumThreads(threads)
        with files.open_file(path, settings.media) as content:
            sights = decode_media(content, Kind.VIDEO, "mov", settings.media, FaceFinder(settings.faces), threads)
            found.append(
                [(s.frame, f.track, f.x, f.w, f.score, f.landmarks.tobytes()) for s in sights for f in s.faces]
            )
    cv2.setNumThreads(before)
    assert found[0] and found[0] == found[1] == found[2]
