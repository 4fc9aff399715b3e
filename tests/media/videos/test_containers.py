"""Of several video tracks, the one that players show is judged, and the others are mentioned."""

from fractions import Fraction
from pathlib import Path

import av
import pytest
from support.hostile import encoded, smooth
from support.videos import encoded_video, in_black, moving, mux

from fauxscan.media import files
from fauxscan.media.videos import reader
from fauxscan.params import Params
from fauxscan.records import MediaError, Status

DEFAULT = int(av.stream.Disposition.default)
MAIN, SMALL = (64, 96), (32, 48)
ONE_OTHER = ("1 other video track was not judged",)


def judged(path: Path, settings: Params) -> tuple[tuple[int, ...], int, tuple[str, ...]]:
    """Return the shape of the judged frames, their number, and what is said about the video."""
    with files.open_file(path, settings.media) as content:
        form = files.identify(content.head)[1]
        frames = list(reader.read_frames(content.handle, form, settings.media))
        video = reader.probe_video(content.handle, form, settings.media)
    assert {frame.image.shape[:2] for frame in frames} == {(video.height, video.width)}
    return frames[0].image.shape[:2], len(frames), frames[0].clip.defects


@pytest.mark.parametrize("suffix", ["mp4", "mov", "mkv"])
def test_a_track_of_still_pictures_is_no_video_beside_one(tmp_path: Path, settings: Params, suffix: str) -> None:
    with av.open(str(tmp_path / f"thumbnail.{suffix}"), "w") as out:
        mux(out, encoded_video(out, "mjpeg", in_black(SMALL, 30)) + encoded_video(out, "libx264", moving(30)))
    assert judged(tmp_path / f"thumbnail.{suffix}", settings) == (MAIN, 3, ONE_OTHER)


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
@pytest.mark.parametrize("codec", ["mjpeg", "libx264"])
def test_a_track_of_one_frame_is_not_shown_although_it_is_the_default(
    tmp_path: Path, settings: Params, suffix: str, codec: str
) -> None:
    path = tmp_path / f"one.{suffix}"
    with av.open(str(path), "w") as out:
        one = encoded_video(out, codec, in_black((128, 192), 1), disposition=DEFAULT)
        mux(out, one + encoded_video(out, "libx264", moving(30), disposition=0))
    assert judged(path, settings) == (MAIN, 3, ONE_OTHER)


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
@pytest.mark.parametrize("second", [False, True])
def test_the_track_marked_as_default_is_shown(tmp_path: Path, settings: Params, suffix: str, second: bool) -> None:
    path = tmp_path / f"default.{suffix}"
    marks = [0, DEFAULT] if second else [DEFAULT, 0]
    with av.open(str(path), "w") as out:
        small = encoded_video(out, "libx264", in_black(SMALL, 30), disposition=marks[0])
        mux(out, small + encoded_video(out, "libx264", moving(30), disposition=marks[1]))
    assert judged(path, settings) == (MAIN if second else SMALL, 3, ONE_OTHER)


def test_among_equals_ffmpeg_chooses_and_all_others_are_counted(tmp_path: Path, settings: Params) -> None:
    path = tmp_path / "equal.mp4"
    with av.open(str(path), "w") as out:
        shapes = [in_black(SMALL, 20), moving(20), in_black(SMALL, 20)]
        mux(out, [one for images in shapes for one in encoded_video(out, "libx264", images, disposition=DEFAULT)])
    assert judged(path, settings) == (MAIN, 2, ("2 other video tracks were not judged",))


def test_a_cover_is_neither_shown_nor_counted(tmp_path: Path, settings: Params) -> None:
    picture = encoded(smooth(), "JPEG")
    with av.open(str(tmp_path / "cover.mp4"), "w") as out:
        cover, packet = out.add_stream("mjpeg", rate=1), av.Packet(picture)
        cover.width, cover.height, cover.pix_fmt = 64, 48, "yuvj420p"
        cover.disposition = av.stream.Disposition.attached_pic
        packet.stream, packet.pts, packet.dts, packet.time_base = cover, 0, 0, Fraction(1, 1)
        mux(out, [packet, *encoded_video(out, "libx264", moving(30))])
    with av.open(str(tmp_path / "cover.mkv"), "w") as out:
        out.add_attachment("cover.jpg", "image/jpeg", picture)
        mux(out, encoded_video(out, "libx264", moving(30)))
    for name in ("cover.mp4", "cover.mkv"):
        with av.open(str(tmp_path / name)) as container:
            assert len(container.streams.video) == 2
        assert judged(tmp_path / name, settings) == (MAIN, 3, ())


def test_the_only_track_is_shown_whatever_it_is(tmp_path: Path, settings: Params) -> None:
    with av.open(str(tmp_path / "stills.mov"), "w") as out:
        mux(out, encoded_video(out, "mjpeg", moving(30)))
    assert judged(tmp_path / "stills.mov", settings) == (MAIN, 3, ())
    with av.open(str(tmp_path / "png.mov"), "w") as out:
        mux(out, encoded_video(out, "png", moving(30)))
    with pytest.raises(MediaError) as caught:
        judged(tmp_path / "png.mov", settings)
    assert caught.value.status is Status.UNSUPPORTED
