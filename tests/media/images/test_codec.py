"""Decoding, resizing, faces and frames: the same pixels everywhere, and a status for everything that is broken."""

import io
import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image as Pillow

from fauxscan.media import files
from fauxscan.media.decode import FrameFaces, decode_media
from fauxscan.media.faces import align, tracks
from fauxscan.media.faces import finder as faces
from fauxscan.media.faces.finder import Face, FaceFinder
from fauxscan.media.faces.tracks import Tracker, VideoFaceFinder
from fauxscan.media.images import codec, pixels
from fauxscan.media.images.codec import Still
from fauxscan.params import Params
from fauxscan.records import Kind, MediaError, Status

Pixels = NDArray[np.uint8]
CAP = 100_000_000


def encoded(image: Pixels, form: str, **options: object) -> bytes:
    out = io.BytesIO()
    Pillow.fromarray(image).save(out, form, **options)  # type: ignore[arg-type]
    return out.getvalue()


def seen(path: Path, settings: Params, finder: FaceFinder | None = None) -> list[FrameFaces]:
    with files.open_file(path, settings.media) as content:
        kind, form = files.identify(content.head)
        return list(decode_media(content, kind, form, settings.media, finder))


# === The same pixels in training and scanning ===


@pytest.mark.parametrize("quality", [50, 90, 100])
@pytest.mark.parametrize("subsampling", [0, 2])
def test_tensorflow_decodes_jpeg_as_we_do(photograph: Pixels, quality: int, subsampling: int) -> None:
    data = encoded(photograph[:331, :277], "JPEG", quality=quality, subsampling=subsampling)
    ours = codec.decode(data, "jpeg", CAP)
    np.testing.assert_array_equal(np.asarray(pixels.decode_tensor(data)), ours)


def test_tensorflow_decodes_png_and_grey_jpeg_as_we_do(photograph: Pixels) -> None:
    png, grey = encoded(photograph, "PNG"), encoded(photograph[:, :, 0], "JPEG", quality=85)
    np.testing.assert_array_equal(np.asarray(pixels.decode_tensor(png)), codec.decode(png, "png", CAP))
    np.testing.assert_array_equal(np.asarray(pixels.decode_tensor(grey)), codec.decode(grey, "jpeg", CAP))
    assert Still(png, "png").decodes_alike() and Still(grey, "jpeg").decodes_alike()


@pytest.mark.parametrize("shape", [(512, 512), (511, 300), (256, 256), (200, 90), (300, 100)])
def test_both_resizers_give_the_same_pixels(photograph: Pixels, shape: tuple[int, int]) -> None:
    image = np.ascontiguousarray(photograph[: shape[0], : shape[1]])
    inside_map = pixels.resize(image, 256).astype(np.float32)
    import tensorflow as tf

    data = tf.data.Dataset.from_tensors(image).map(lambda x: pixels.resize_tensor(x, 256))
    in_graph = next(iter(data)).numpy().astype(np.float32)
    eager = np.asarray(pixels.resize_tensor(image, 256)).astype(np.float32)
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
    np.testing.assert_array_equal(codec.decode(data, named, CAP), photograph)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(photograph: Pixels, orientation: int) -> None:
    turned = {
        1: lambda x: x, 2: np.fliplr, 3: lambda x: np.rot90(x, 2), 4: np.flipud,
        5: lambda x: np.fliplr(np.rot90(x, 3)), 6: np.rot90, 7: lambda x: np.fliplr(np.rot90(x, 1)),
        8: lambda x: np.rot90(x, 3),
    }[orientation]  # fmt: skip
    exif = Pillow.Exif()
    exif[codec.ORIENTATION] = orientation
    part = photograph[:64, :96]
    data = encoded(np.ascontiguousarray(turned(part)), "PNG", exif=exif)
    np.testing.assert_array_equal(codec.decode(data, "png", CAP), part)
    assert Still(data, "png").decodes_alike() is (orientation == 1)


def refusal(data: bytes, form: str, cap: int = CAP) -> Status:
    with pytest.raises(MediaError) as caught:
        codec.decode(data, form, cap)
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
    with pytest.raises(MediaError) as caught, files.open_file(path, settings.media):
        path.write_bytes(path.read_bytes() + b"more")
    assert caught.value.status is Status.CHANGED_DURING_READ


# === Faces ===


def test_the_face_is_found_and_stands_upright_in_its_crop(photograph: Pixels, settings: Params) -> None:
    finder = FaceFinder(settings.faces)
    (face,) = finder.find_faces(photograph)
    assert 170 < face.x < 190 and 50 < face.y < 75
    tilted = cv2.warpAffine(photograph, cv2.getRotationMatrix2D((256.0, 200.0), 25, 1), (512, 512))
    (leaning,) = finder.find_faces(np.asarray(tilted, np.uint8))
    for one, image in ((face, photograph), (leaning, tilted)):
        crop = align.align_face(np.asarray(image, np.uint8), one.landmarks, 0.3, 256)
        (again,) = finder.find_faces(crop)
        expected = (align.TEMPLATE + 0.3) / 1.6 * 256
        assert np.abs(again.landmarks - expected).max() < 12


def test_a_similarity_is_recovered_exactly() -> None:
    points = np.random.default_rng(0).random((5, 2)) * 100
    matrix = np.array([[0.8, -0.6, 12.0], [0.6, 0.8, -7.0]])
    found = align.similarity_transform(points, points @ matrix[:, :2].T + matrix[:, 2])
    np.testing.assert_allclose(found, matrix, atol=1e-9)


def test_a_large_face_is_averaged_not_skipped(photograph: Pixels, settings: Params) -> None:
    (face,) = FaceFinder(settings.faces).find_faces(photograph)
    large = np.asarray(cv2.resize(photograph, None, fx=4, fy=4, interpolation=cv2.INTER_CUBIC))
    small = align.align_face(photograph, face.landmarks, 0.3, 64).astype(float)
    averaged = align.align_face(large, face.landmarks * 4 + 1.5, 0.3, 64).astype(float)
    assert np.abs(small - averaged).mean() < 6


def test_no_face_in_a_cat(settings: Params) -> None:
    from skimage import data

    assert FaceFinder(settings.faces).find_faces(np.asarray(data.chelsea(), np.uint8)) == []


# === Followed through a clip ===


def box(x: float, y: float = 10, size: float = 50) -> Face:
    return Face(x, y, size, size, np.zeros((5, 2), np.float32), 0.9)


def test_tracks_follow_faces_that_cross_frames() -> None:
    tracker = Tracker()
    first = tracker.follow([box(0), box(200)])
    second = tracker.follow([box(205), box(6)])
    third = tracker.follow([box(12), box(400)])
    assert [face.track for face in first] == [0, 1]
    assert [face.track for face in second] == [1, 0]
    assert [face.track for face in third] == [0, 2]


def test_the_best_pairs_are_matched_first_whatever_the_order() -> None:
    tracker = Tracker()
    tracker.follow([box(0), box(40)])
    assert [face.track for face in tracker.follow([box(25), box(45)])] == [0, 1]  # 25 overlaps 40 best, 45 even more


def test_a_track_survives_frames_without_its_face_and_then_ends() -> None:
    for gap, track in ((tracks.PATIENCE, 0), (tracks.PATIENCE + 1, 1)):
        tracker = Tracker()
        tracker.follow([box(0)])
        for _ in range(gap):
            tracker.follow([])
        assert [face.track for face in tracker.follow([box(5)])] == [track]


def test_a_head_that_moves_between_sparse_frames_keeps_its_track_and_another_does_not_take_it() -> None:
    tracker = Tracker()
    seen = [tracker.follow([box(45.0 * step)])[0].track for step in range(6)]  # nine tenths of its size at a time
    assert seen == [0] * 6
    assert tracker.follow([box(225 + 60)])[0].track == 1  # too far
    assert tracker.follow([box(285, size=90)])[0].track == 1  # grown, but where it was
    assert tracker.follow([box(285 + 70, 100, 40)])[0].track == 2  # near, but of another size


class Counting(FaceFinder):
    """A face finder that tells how often it searched whole frames."""

    searches = 0

    def find_faces_in_frame(self, image: Pixels) -> list[Face]:
        self.searches += 1
        return super().find_faces_in_frame(image)


def watched(frames: list[Pixels], settings: Params, every: int, seconds: float = 0.2) -> tuple[list[list[Face]], int]:
    finder = Counting(settings.faces.model_copy(update={"search_every": every}))
    watcher = VideoFaceFinder(finder)
    return [watcher.find_faces(frame, n * seconds) for n, frame in enumerate(frames)], finder.searches


def standing(photograph: Pixels, x: int) -> Pixels:
    """The portrait's head before a grey wall."""
    wall = np.full((400, 640, 3), 120, np.uint8)
    wall[80:300, x : x + 200] = photograph[10:230, 120:320]
    return wall


def test_between_full_searches_faces_are_found_near_their_last_places(photograph: Pixels, settings: Params) -> None:
    frames = [standing(photograph, 100 + 6 * step) for step in range(9)]
    full, searches = watched(frames, settings, 1)
    near, fewer = watched(frames, settings, 4)
    assert (searches, fewer) == (9, 3)
    assert watched(frames, settings, 4, seconds=1.0)[1] == 9  # a face is not where it was a second ago
    for one, other in zip(full, near, strict=True):
        assert [face.track for face in other] == [0]
        assert faces.box_overlap(one[0], other[0]) > 0.8
        assert np.abs(one[0].landmarks - other[0].landmarks).max() < 0.08 * one[0].w


def test_a_face_that_is_lost_and_a_scene_that_is_new_call_for_a_full_search(
    photograph: Pixels, settings: Params
) -> None:
    small = np.asarray(cv2.resize(photograph, (256, 256), interpolation=cv2.INTER_AREA))
    grey = np.full((256, 768, 3), 120, np.uint8)
    one, moved, two = grey.copy(), grey.copy(), grey.copy()
    one[:, :256], moved[:, 512:] = small, small
    two[:, :256], two[:, 512:] = small, small
    for second, count in ((moved, 1), (two, 2)):
        found, searches = watched([one, second], settings, 8)
        assert searches == 2 and len(found[1]) == count
