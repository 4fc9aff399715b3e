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
from fauxscan.params import ReencodeParams
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
