"""The pixels that a model is given are the same in training, measuring and scanning."""

import io
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image as Pillow

from fauxscan.media.images import codec, pixels, reencode
from fauxscan.media.images.model_input import model_input, model_input_tensor
from fauxscan.params import RandomReencodeParams, ReencodeParams
from fauxscan.records import View

CAP = 10**8
Pixels = NDArray[np.uint8]


def encoded(image: Pixels, form: str, **options: Any) -> bytes:
    """Return an image encoded by Pillow, as any camera or tool might."""
    out = io.BytesIO()
    Pillow.fromarray(image).save(out, form, **options)
    return out.getvalue()


@pytest.mark.parametrize("form", ["jpeg", "png"])
@pytest.mark.parametrize(("height", "width"), [(512, 512), (256, 256), (331, 277), (100, 300)])
def test_both_functions_give_the_same_pixels(photograph: Pixels, form: str, height: int, width: int) -> None:
    data = encoded(np.ascontiguousarray(photograph[:height, :width]), form.upper())
    ours = model_input(codec.decode(data, form, CAP), 256).astype(np.int16)
    in_training = np.asarray(model_input_tensor(data, 256)).astype(np.int16)
    assert ours.shape == in_training.shape == (256, 256, 3)
    if (height, width) == (256, 256):
        np.testing.assert_array_equal(ours, in_training)
    assert np.abs(ours - in_training).max() <= 1 and np.abs(ours - in_training).mean() < 0.1


def test_what_scanning_re_encodes_is_what_training_reads_from_its_shards(photograph: Pixels) -> None:
    reencoding = ReencodeParams(size=224, jpeg_quality=75)
    for view in (View.WHOLE, View.FACE):
        in_shard = reencode.encode_jpeg(photograph, reencoding, view)
        scanned = model_input(photograph, 224, reencoding, view).astype(np.int16)
        measured = model_input(codec.decode(in_shard, "jpeg", CAP), 224)
        trained = np.asarray(model_input_tensor(in_shard, 224)).astype(np.int16)
        np.testing.assert_array_equal(scanned, measured)
        assert np.abs(scanned - trained).max() <= (0 if view is View.WHOLE else 1)


def test_re_encoding_changes_the_pixels_and_the_view_decides_about_the_size(photograph: Pixels) -> None:
    reencoding = ReencodeParams(size=64, jpeg_quality=60)
    plain, face, whole = (model_input(photograph, 128, one, view) for one, view in (
        (None, View.FACE), (reencoding, View.FACE), (reencoding, View.WHOLE),
    ))  # fmt: skip
    np.testing.assert_array_equal(plain, pixels.resize(photograph, 128))
    assert 0.2 < np.abs(plain.astype(float) - face).mean() < np.abs(plain.astype(float) - whole).mean()
    assert cv2.Laplacian(whole, cv2.CV_64F).var() < cv2.Laplacian(face, cv2.CV_64F).var()  # 64 px hold less detail


def test_a_file_and_the_seed_decide_how_it_is_re_encoded(photograph: Pixels) -> None:
    ranges = RandomReencodeParams(size=(40, 48), jpeg_quality=(60, 95))
    names = [f"{n:064x}" for n in range(40)]
    made = {name: reencode.encode_jpeg_at_random(photograph, ranges, View.WHOLE, name, 7) for name in names}
    headers = [codec.Still(data, "jpeg") for data in made.values()]
    assert {still.width for still in headers} == set(range(40, 49))
    assert len({still.traits()["jpeg_tables"] for still in headers}) > 15
    assert {still.header.layer[0][1:3] for still in headers} == {(1, 1), (2, 1), (2, 2)}  # 4:4:4, 4:2:2, 4:2:0
    again = {name: reencode.encode_jpeg_at_random(photograph, ranges, View.WHOLE, name, 7) for name in reversed(names)}
    assert again == made
    other = {name: reencode.encode_jpeg_at_random(photograph, ranges, View.WHOLE, name, 8) for name in names}
    assert sum(other[name] == made[name] for name in names) < 5


def test_a_face_crop_keeps_its_size_when_it_is_re_encoded_at_random(photograph: Pixels) -> None:
    ranges = RandomReencodeParams(size=(40, 40), jpeg_quality=(75, 75))
    crop = reencode.encode_jpeg_at_random(photograph[:128, :128], ranges, View.FACE, "0" * 64, 7)
    whole = reencode.encode_jpeg_at_random(photograph[:128, :128], ranges, View.WHOLE, "0" * 64, 7)
    assert (codec.Still(crop, "jpeg").width, codec.Still(whole, "jpeg").width) == (128, 40)


@pytest.mark.parametrize("chroma", codec.CHROMA)
def test_every_chroma_sampling_is_decoded_to_the_same_pixels(photograph: Pixels, chroma: int) -> None:
    data = codec.encode_jpeg(np.ascontiguousarray(photograph[:255, :253]), 80, chroma)
    decoded = codec.decode(data, "jpeg", CAP)
    np.testing.assert_array_equal(decoded, np.asarray(pixels.decode_tensor(data)))
