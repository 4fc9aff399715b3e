"""Finding faces: small ones in large photographs, faces that fill the picture, and no boxes where no face is."""

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from skimage import data

from fauxscan.media.faces import finder as finding
from fauxscan.media.faces.finder import Face, FaceFinder
from fauxscan.media.images.pixels import halve_to, shrink_to
from fauxscan.params import Params

Pixels = NDArray[np.uint8]


@pytest.fixture
def finder(settings: Params) -> FaceFinder:
    """Return a finder with the committed parameters."""
    return FaceFinder(settings.faces)


def resized(image: Pixels, width: int, height: int) -> Pixels:
    shrinks = width < image.shape[1]
    return np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC))


def tiled(image: Pixels) -> Pixels:
    """Return 12 megapixels of a picture, repeated."""
    rgb = np.broadcast_to(image.reshape(*image.shape[:2], -1), (*image.shape[:2], 3))
    return np.tile(rgb, (3000 // image.shape[0] + 1, 4000 // image.shape[1] + 1, 1))[:3000, :4000]


def ground(name: str) -> Pixels:
    """Return 12 megapixels without a face."""
    if name == "noise":
        return np.clip(np.random.default_rng(0).normal(120, 30, (3000, 4000, 3)), 0, 255).astype(np.uint8)
    if name == "coffee":
        return resized(data.coffee(), 4000, 3000)
    return tiled(np.full((1, 1), 120, np.uint8) if name == "grey" else getattr(data, name)())


# === Small faces in large photographs ===


@pytest.mark.parametrize("name", ["grey", "noise", "coffee", "brick"])
def test_small_faces_in_12_megapixels_are_found_where_they_are(
    name: str, photograph: Pixels, finder: FaceFinder, rng: np.random.Generator
) -> None:
    without = ground(name)
    for size in (72, 96, 400):
        scale = size / 90  # the face in the portrait is 90 pixels wide
        head = resized(photograph[:300, 90:340], round(250 * scale), round(300 * scale))
        for _ in range(2):
            x, y = (int(rng.integers(whole)) for whole in (4000 - head.shape[1], 3000 - head.shape[0]))
            image = without.copy()
            image[y : y + head.shape[0], x : x + head.shape[1]] = head
            right = Face(x + 88 * scale, y + 63 * scale, size, 113 * scale, np.zeros((5, 2), np.float32), 1)
            (face,) = finder.find_faces(image)
            assert finding.box_overlap(face, right) > 0.5


def test_small_faces_are_found_beside_a_large_one(photograph: Pixels, finder: FaceFinder) -> None:
    image = ground("grey")
    image[1000:3000, 1000:3000] = resized(photograph, 2000, 2000)
    for x in (200, 500, 800):
        image[100:313, x : x + 178] = resized(photograph[:300, 90:340], 178, 213)
    widths = [face.w for face in finder.find_faces(image)]
    assert len(widths) == 4 and 300 < widths[0] < 420 and all(50 < width < 80 for width in widths[1:])


def test_small_pictures_and_large_ones_agree(photograph: Pixels, finder: FaceFinder) -> None:
    (face,) = finder.find_faces(photograph)
    for size in (256, 1023, 3001, 7000):
        (other,) = finder.find_faces(resized(photograph, size, size))
        scaled = np.array([other.x, other.y, other.w, other.h]) * 512 / size
        np.testing.assert_allclose(scaled, [face.x, face.y, face.w, face.h], atol=9)
        np.testing.assert_allclose(other.landmarks * 512 / size, face.landmarks, atol=6)


# === Faces that fill the picture ===


@pytest.mark.parametrize("size", [160, 640, 1280, 4000])
def test_a_face_that_fills_the_picture_is_found_at_every_size(
    size: int, photograph: Pixels, finder: FaceFinder, rng: np.random.Generator
) -> None:
    for y, x in rng.integers(-4, 5, (3, 2)):  # cut 15 % inside the face's box
        crop = photograph[80 + y : 159 + y, 191 + x : 254 + x]
        (face,) = finder.find_faces(resized(crop, round(63 * size / 79), size))
        assert face.h > 0.7 * size
    head = photograph[60:180, 170:275]  # halves of it get a score of their own in large searches
    assert len(finder.find_faces(resized(head, round(105 * size / 120), size))) == 1


# === No boxes where no face is ===


@pytest.mark.parametrize("name", ["grey", "noise", "coffee", "brick", "grass", "gravel"])
def test_no_face_in_large_pictures_without_one(name: str, finder: FaceFinder) -> None:
    assert finder.find_faces(ground(name)) == []


class Scripted(FaceFinder):
    """A finder whose searches return what the test says: first of 4000x3000 pixels, then each second search."""

    def __init__(self, settings: Params, *searches: list[Face]) -> None:
        super().__init__(settings.faces)
        self.searches, self.asked = list(searches), list[tuple[tuple[int, ...], int]]()

    def _detect(self, image: Pixels, size: int, score: float) -> list[Face]:
        self.asked.append((image.shape[:2], size))
        found = [face for face in (self.searches.pop(0) if self.searches else []) if face.score >= score]
        return [finding._scaled(face, max(image.shape) / 4000) for face in found] if len(self.asked) == 1 else found


def box(x: float, y: float, size: float, score: float) -> Face:
    return Face(x, y, size, size, np.zeros((5, 2), np.float32), score)


LARGE_PICTURE = np.zeros((3000, 4000, 3), np.uint8)


def test_only_boxes_too_small_or_too_large_are_searched_again_and_only_eight(settings: Params) -> None:
    sizes = {64.0: 12, 300.0: 3, 1500.0: 2}  # in the original; the search is at a 4.5th
    boxes = [box(200 * n, 100, size, 0.5 - 0.01 * n) for size, count in sizes.items() for n in range(count)]
    finder = Scripted(settings, boxes)
    assert finder.find_faces(LARGE_PICTURE) == []
    assert finder.asked[0] == ((666, 888), 888)
    assert all(size == finding.NEAR_SIZE for _, size in finder.asked[1:])
    regions = [max(shape) for shape, _ in finder.asked[1:]]
    assert len(regions) == finding.SECOND_SEARCHES and regions.count(160) == 6 and 750 not in regions


def test_a_second_search_must_be_surer_than_the_first(settings: Params) -> None:
    for score, count in ((0.79, 0), (0.81, 1)):
        finder = Scripted(settings, [box(1000, 1000, 60, 0.4)], [box(50, 50, 64, score)])
        assert len(finder.find_faces(LARGE_PICTURE)) == count
    assert len(Scripted(settings, [box(1000, 1000, 60, 0.61)]).find_faces(LARGE_PICTURE)) == 1


def test_a_face_found_twice_counts_once_and_its_parts_not_at_all(settings: Params) -> None:
    sure, eye = box(1000, 1000, 300, 0.9), box(1050, 1080, 60, 0.7)
    beside = box(1310, 1000, 60, 0.7)
    again = [box(-200, 0, 300, 0.95)]  # the second search reaches the sure face
    finder = Scripted(settings, [sure, eye, beside, box(1270, 1050, 70, 0.3), box(1100, 1100, 70, 0.3)], again)
    assert [face.w for face in finder.find_faces(LARGE_PICTURE)] == pytest.approx([300, 60])
    assert len(finder.asked) == 2  # none for the box within the sure face


def test_a_part_found_first_does_not_hide_its_face(settings: Params) -> None:
    nose, whole = box(1900, 1400, 200, 0.7), box(500, 300, 2500, 0.4)
    finder = Scripted(settings, [nose, whole], [box(111, 66.6, 555, 0.9)])
    (face,) = finder.find_faces(LARGE_PICTURE)
    assert face.w == pytest.approx(2500)


def test_a_picture_with_as_many_faces_as_are_kept_is_searched_once(settings: Params) -> None:
    many = [box(300 * n, 500, 200, 0.9) for n in range(settings.faces.max_faces)]
    finder = Scripted(settings, [*many, box(3000, 2000, 60, 0.5)])
    assert len(finder.find_faces(LARGE_PICTURE)) == settings.faces.max_faces
    assert len(finder.asked) == 1


def test_a_video_frame_is_searched_once_at_the_working_size(settings: Params) -> None:
    finder = Scripted(settings, [box(1000, 1000, 60, 0.5)])
    assert finder.find_faces_in_frame(LARGE_PICTURE) == []
    assert finder.asked == [((3000, 4000), settings.faces.working_size)]


@pytest.mark.parametrize(("longer", "size"), [(640, 640), (2880, 640), (4000, 888), (9000, 1280)])
def test_large_photographs_are_searched_at_a_larger_size(longer: int, size: int, settings: Params) -> None:
    finder = Scripted(settings)
    finder.find_faces(np.zeros((100, longer, 3), np.uint8))
    assert finder.asked[0][1] == size


# === The picture that is searched ===


@pytest.mark.parametrize(
    "shape", [(480, 640), (700, 641), (1601, 1279), (2999, 4001), (64, 9000), (1, 5000), (2, 5000)]
)
def test_halving_gives_nearly_what_averaging_gives(shape: tuple[int, int], photograph: Pixels) -> None:
    image = resized(photograph, shape[1], shape[0])
    small, scale = halve_to(image, 640)
    right, right_scale = shrink_to(image, 640)
    assert abs(scale / right_scale - 1) < 0.01 and max(small.shape) <= 640
    assert max(abs(a - b) for a, b in zip(small.shape, right.shape, strict=True)) <= 1
    if small.shape == right.shape and min(shape) > 100:
        assert np.abs(small.astype(int) - right).mean() < 3


@pytest.mark.parametrize("size", [(400, 16), (16, 400), (32, 32), (1, 1), (640, 31), (33, 32)])
def test_very_small_images_always_get_the_same_boxes(
    finder: FaceFinder, photograph: Pixels, size: tuple[int, int]
) -> None:
    small, found = resized(photograph, *size), []
    for number in range(20):
        foreign = [np.full(1000 * 3**power, 1e20 * number, np.float32) for power in range(8)]
        del foreign  # its memory is used again
        finder.find_faces(photograph)
        found.append(len(finder.find_faces(small)))
    assert found == [found[0]] * 20 and found[0] <= 1
