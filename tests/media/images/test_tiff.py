"""Grey TIFFs of more than eight bits: white is white, whatever number the file gives it."""

import io

import numpy as np
import pytest
import tifffile
from support.hostile import encoded, smooth
from support.hostile_bombs import tiff

from fauxscan.media.images import codec

CAP = 100_000_000
GREY = smooth()[..., 0]
EXPECTED = np.repeat(GREY[..., None], 3, axis=2)


@pytest.mark.parametrize("byteorder", ["<", ">"])
@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("photometric", ["minisblack", "miniswhite"])
def test_white_may_be_zero(photometric: str, bits: int, byteorder: str) -> None:
    levels = GREY if bits == 8 else GREY.astype(np.uint16) * 257
    stored = levels if photometric == "minisblack" else np.iinfo(levels.dtype).max - levels
    out = io.BytesIO()
    tifffile.imwrite(out, stored, photometric=photometric, byteorder=byteorder)
    np.testing.assert_array_equal(codec.decode(out.getvalue(), "tiff", CAP), EXPECTED)


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_adobe_deflate", "packbits"])
@pytest.mark.parametrize("white_is_zero", [False, True])
def test_white_may_be_zero_in_compressed_files(white_is_zero: bool, compression: str) -> None:
    levels = GREY.astype(np.uint16) * 257
    stored, photometric = (65535 - levels, 0) if white_is_zero else (levels, 1)
    data = encoded(stored, "TIFF", compression=compression, tiffinfo={262: photometric})
    np.testing.assert_array_equal(codec.decode(data, "tiff", CAP), EXPECTED)


def test_twelve_bits_keep_their_upper_eight() -> None:
    pairs = bytes((0x80, 0x7F, 0xFF))  # 0x807 and 0xfff
    data = tiff({258: 12, 259: 1, 262: 1, 273: 200, 278: 16, 279: 384}, pairs * 128)
    found = codec.decode(data, "tiff", CAP)
    assert found.shape == (16, 16, 3)
    assert set(found[:, ::2].ravel()) == {0x80} and set(found[:, 1::2].ravel()) == {0xFF}


def test_sixteen_bits_of_a_png_are_not_inverted() -> None:
    data = encoded(GREY.astype(np.uint16) * 257, "PNG")
    np.testing.assert_array_equal(codec.decode(data, "png", CAP), EXPECTED)
