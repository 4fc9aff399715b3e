"""Decoding, resizing, faces and frames: the same pixels everywhere, and a status for everything that is broken."""

import io
import os
from collections.abc import Iterator
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image as Pillow

from fauxscan.media import faces, files, images, pixels, videos
from fauxscan.media.faces import Face, FaceFinder, Tracker
from fauxscan.media.looking import Sight, look
from fauxscan.params import Params
from fauxscan.records import Kind, MediaError, Status

Pixels = NDArray[np.uint8]
CAP = 100_000_000


def encoded(image: Pixels, form: str, **options: object) -> bytes:
    out = io.BytesIO()
    Pillow.fromarray(image).save(out, form, **options)  # type: ignore[arg-type]
    return out.getvalue()


def seen(path: Path, settings: Params, finder: FaceFinder | None = None) -> list[Sight]:
    with files.opened(path, settings.media) as content:
        kind, form = files.identify(content.head)
        return list(look(content, kind, form, settings.media, finder))


def clip(path: Path, frames: Iterator[Pixels], rate: int = 10, form: str | None = None) -> Path:
    with av.open(str(path), "w", format=form) as container:
        stream = container.add_stream("libx264", rate=rate)
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        for image in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))
    return path


# === The same pixels in training and scanning ===


@pytest.mark.parametrize("quality", [50, 90, 100])
@pytest.mark.parametrize("subsampling", [0, 2])
def test_tensorflow_decodes_jpeg_as_we_do(photograph: Pixels, quality: int, subsampling: int) -> None:
    data = encoded(photograph[:331, :277], "JPEG", quality=quality, subsampling=subsampling)
    ours = images.decode(data, "jpeg", CAP)
    np.testing.assert_array_equal(np.asarray(pixels.decode_tensor(data, False)), ours)


def test_tensorflow_decodes_png_and_grey_jpeg_as_we_do(photograph: Pixels) -> None:
    png, grey = encoded(photograph, "PNG"), encoded(photograph[:, :, 0], "JPEG", quality=85)
    np.testing.assert_array_equal(np.asarray(pixels.decode_tensor(png, True)), images.decode(png, "png", CAP))
    np.testing.assert_array_equal(np.asarray(pixels.decode_tensor(grey, False)), images.decode(grey, "jpeg", CAP))
    assert images.decodes_alike(png, "png") and images.decodes_alike(grey, "jpeg")


@pytest.mark.parametrize("shape", [(512, 512), (511, 300), (256, 256), (200, 90), (300, 100)])
def test_both_resizers_give_the_same_pixels(photograph: Pixels, shape: tuple[int, int]) -> None:
    image = np.ascontiguousarray(photograph[: shape[0], : shape[1]])
    inside_map = pixels.resize(image, 256).astype(np.float32)
    import tensorflow as tf

    data = tf.data.Dataset.from_tensors(image).map(lambda x: pixels.resize_tensor(x, 256))
    in_graph = next(iter(data)).numpy()
    eager = np.asarray(pixels.resize_tensor(image, 256))
    np.testing.assert_array_equal(in_graph, eager)
    assert np.abs(in_graph - inside_map).max() <= 1
    assert np.abs(in_graph - inside_map).mean() < 0.1


# === Images ===


@pytest.mark.parametrize("form", ["PNG", "BMP", "TIFF", "WEBP"])
def test_lossless_formats_give_the_same_pixels(photograph: Pixels, form: str) -> None:
    options = {"lossless": True} if form == "WEBP" else {}
    data = encoded(photograph, form, **options)
    kind, named = files.identify(data[:64])
    assert (kind, named) == (Kind.IMAGE, form.lower())
    np.testing.assert_array_equal(images.decode(data, named, CAP), photograph)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(photograph: Pixels, orientation: int) -> None:
    turned = {
        1: lambda x: x, 2: np.fliplr, 3: lambda x: np.rot90(x, 2), 4: np.flipud,
        5: lambda x: np.fliplr(np.rot90(x, 3)), 6: np.rot90, 7: lambda x: np.fliplr(np.rot90(x, 1)),
        8: lambda x: np.rot90(x, 3),
    }[orientation]  # fmt: skip
    exif = Pillow.Exif()
    exif[images.ORIENTATION] = orientation
    part = photograph[:64, :96]
    data = encoded(np.ascontiguousarray(turned(part)), "PNG", exif=exif)
    np.testing.assert_array_equal(images.decode(data, "png", CAP), part)
    assert images.decodes_alike(data, "png") is (orientation == 1)


def refusal(data: bytes, form: str, cap: int = CAP) -> Status:
    with pytest.raises(MediaError) as caught:
        images.decode(data, form, cap)
    return caught.value.status


def test_a_truncated_jpeg_is_never_taken_for_a_whole_one(photograph: Pixels) -> None:
    for progressive in (False, True):
        data = encoded(photograph, "JPEG", quality=85, progressive=progressive)
        for percent in range(1, 100):
            status = refusal(data[: len(data) * percent // 100], "jpeg")
            assert status in (Status.TRUNCATED, Status.CORRUPT)


def test_a_truncated_or_altered_png_is_refused(photograph: Pixels) -> None:
    data = encoded(photograph[:99, :77], "PNG")
    for percent in range(1, 100):
        assert refusal(data[: len(data) * percent // 100], "png") in (Status.TRUNCATED, Status.CORRUPT)
    altered = bytearray(data)
    altered[len(data) // 2] ^= 0xFF
    assert refusal(bytes(altered), "png") is Status.CORRUPT


def test_a_bomb_is_refused_by_its_header() -> None:
    tiny = encoded(np.zeros((1, 1), np.uint8), "PNG")
    huge = (60_000).to_bytes(4, "big") * 2
    lying = tiny[:16] + huge + tiny[24:]
    assert refusal(lying, "png") in (Status.TOO_LARGE, Status.CORRUPT)
    assert refusal(encoded(np.zeros((40, 30, 3), np.uint8), "BMP"), "bmp", cap=1199) is Status.TOO_LARGE


# === Files ===


def test_magic_bytes_decide_and_not_the_name(tmp_path: Path, photograph: Pixels, settings: Params) -> None:
    path = tmp_path / "picture.jpg"
    path.write_bytes(encoded(photograph, "PNG"))
    np.testing.assert_array_equal(seen(path, settings)[0].image, photograph)
    for data, status in (
        (b"", Status.CORRUPT),
        (b"<html>" * 20, Status.UNSUPPORTED),
        (b"\x7fELF" * 9, Status.UNSUPPORTED),
    ):
        path.write_bytes(data)
        with pytest.raises(MediaError) as caught:
            seen(path, settings)
        assert caught.value.status is status


def test_what_is_no_regular_file_is_unreadable(tmp_path: Path, settings: Params) -> None:
    os.mkfifo(tmp_path / "fifo.jpg")
    (tmp_path / "folder.jpg").mkdir()
    for name in ("fifo.jpg", "folder.jpg", "missing.jpg"):
        with pytest.raises(MediaError) as caught:
            seen(tmp_path / name, settings)
        assert caught.value.status is Status.UNREADABLE


def test_a_file_that_grows_while_it_is_read_is_told(tmp_path: Path, photograph: Pixels, settings: Params) -> None:
    path = tmp_path / "growing.png"
    path.write_bytes(encoded(photograph, "PNG"))
    with pytest.raises(MediaError) as caught, files.opened(path, settings.media):
        path.write_bytes(path.read_bytes() + b"more")
    assert caught.value.status is Status.CHANGED_DURING_READ


# === Faces ===


def test_the_face_is_found_and_stands_upright_in_its_crop(photograph: Pixels, settings: Params) -> None:
    finder = FaceFinder(settings.faces)
    (face,) = finder.find(photograph)
    assert 170 < face.x < 190 and 50 < face.y < 75
    tilted = cv2.warpAffine(photograph, cv2.getRotationMatrix2D((256.0, 200.0), 25, 1), (512, 512))
    (leaning,) = finder.find(np.asarray(tilted, np.uint8))
    for one, image in ((face, photograph), (leaning, tilted)):
        crop = faces.align(np.asarray(image, np.uint8), one.landmarks, 0.3, 256)
        (again,) = finder.find(crop)
        expected = (faces.TEMPLATE + 0.3) / 1.6 * 256
        assert np.abs(again.landmarks - expected).max() < 12


def test_a_similarity_is_recovered_exactly() -> None:
    points = np.random.default_rng(0).random((5, 2)) * 100
    matrix = np.array([[0.8, -0.6, 12.0], [0.6, 0.8, -7.0]])
    found = faces.similarity(points, points @ matrix[:, :2].T + matrix[:, 2])
    np.testing.assert_allclose(found, matrix, atol=1e-9)


def test_a_large_face_is_averaged_not_skipped(photograph: Pixels, settings: Params) -> None:
    (face,) = FaceFinder(settings.faces).find(photograph)
    large = np.asarray(cv2.resize(photograph, None, fx=4, fy=4, interpolation=cv2.INTER_CUBIC))
    small = faces.align(photograph, face.landmarks, 0.3, 64).astype(float)
    averaged = faces.align(large, face.landmarks * 4 + 1.5, 0.3, 64).astype(float)
    assert np.abs(small - averaged).mean() < 6


def test_no_face_in_a_cat(settings: Params) -> None:
    from skimage import data

    assert FaceFinder(settings.faces).find(np.asarray(data.chelsea(), np.uint8)) == []


def test_tracks_follow_faces_that_cross_frames() -> None:
    box = lambda x: Face(x, 10, 50, 50, np.zeros((5, 2), np.float32), 0.9)
    tracker = Tracker()
    first = tracker.follow([box(0), box(200)])
    second = tracker.follow([box(205), box(6)])
    third = tracker.follow([box(12), box(400)])
    assert [face.track for face in first] == [0, 1]
    assert [face.track for face in second] == [1, 0]
    assert [face.track for face in third] == [0, 2]


# === Videos ===


def numbered(count: int, size: int = 64) -> Iterator[Pixels]:
    for number in range(count):
        yield np.full((size, size, 3), number * 255 // count, np.uint8)


def test_frames_are_sampled_in_time(tmp_path: Path, settings: Params) -> None:
    path = clip(tmp_path / "clip.mp4", numbered(40))
    media = settings.media.model_copy(update={"frames_per_second": 2.0, "max_frames": 32})
    with files.opened(path, media) as content:
        found = list(videos.frames(content.handle, "mov", media))
    assert [frame.number for frame in found] == [0, 5, 10, 15, 20, 25, 30, 35]
    assert np.allclose([frame.time_s for frame in found], np.arange(8) / 2)
    capped = media.model_copy(update={"max_frames": 4})
    with files.opened(path, capped) as content:
        assert [f.number for f in videos.frames(content.handle, "mov", capped)] == [0, 10, 20, 30]


@pytest.mark.parametrize(
    ("name", "form"), [("a.mp4", "mov"), ("a.mov", "mov"), ("a.mkv", "matroska"), ("a.avi", "avi")]
)
def test_containers_are_known_by_their_bytes(tmp_path: Path, settings: Params, name: str, form: str) -> None:
    path = clip(tmp_path / name, numbered(12))
    with files.opened(path, settings.media) as content:
        assert files.identify(content.head) == (Kind.VIDEO, form)
    assert len(seen(path, settings)) >= 1


def test_broken_videos_have_a_status(tmp_path: Path, settings: Params) -> None:
    rng = np.random.default_rng(0)
    noisy = (rng.integers(0, 256, (64, 64, 3)).astype(np.uint8) for _ in range(60))
    whole = clip(tmp_path / "whole.mp4", noisy).read_bytes()
    for name, data in (("torn.mp4", whole[: len(whole) // 2]), ("noise.mp4", whole[:40] + os.urandom(4000))):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(MediaError) as caught:
            seen(tmp_path / name, settings)
        assert caught.value.status in (Status.TRUNCATED, Status.CORRUPT)


def test_a_video_cut_short_behind_a_whole_header_is_truncated(tmp_path: Path, settings: Params) -> None:
    rng = np.random.default_rng(0)
    path = tmp_path / "fast.mp4"
    with av.open(str(path), "w", options={"movflags": "faststart"}) as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        for _ in range(100):
            image = rng.integers(0, 256, (64, 64, 3)).astype(np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(MediaError) as caught:
        seen(path, settings)
    assert caught.value.status is Status.TRUNCATED


def test_a_playlist_and_a_pattern_name_open_nothing_else(tmp_path: Path, settings: Params) -> None:
    (tmp_path / "secret.mp4").write_bytes(clip(tmp_path / "c.mp4", numbered(5)).read_bytes())
    playlist = tmp_path / "list.m3u8"
    playlist.write_text(f"#EXTM3U\n#EXTINF:1,\nfile://{tmp_path}/secret.mp4\n")
    with pytest.raises(MediaError) as caught:
        seen(playlist, settings)
    assert caught.value.status is Status.UNSUPPORTED
    pattern = tmp_path / "clip_%02d.mp4"
    pattern.write_bytes((tmp_path / "c.mp4").read_bytes())
    assert len(seen(pattern, settings)) == 1


def test_real_clips_have_faces_in_tracks(real_data: Path, tmp_path: Path, settings: Params) -> None:
    import zipfile

    name = "real/ffpp_c23_original_004.mp4"
    with zipfile.ZipFile(real_data / "clips" / "clips.zip") as archive:
        archive.extract(name, tmp_path)
    media = settings.media.model_copy(update={"max_frames": 6})
    with files.opened(tmp_path / name, media) as content:
        sights = list(look(content, Kind.VIDEO, "mov", media, FaceFinder(settings.faces)))
    assert len(sights) == 6
    assert all(sight.faces for sight in sights)
    assert {face.track for sight in sights for face in sight.faces} == {0}
