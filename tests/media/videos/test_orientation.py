"""Frames are shown as FFmpeg shows them, in all eight orientations of a display matrix."""

import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from support.videos import Pixels, clip, moving

from fauxscan.media import files
from fauxscan.media.videos import reader
from fauxscan.params import Params

SHOWN: dict[str, tuple[tuple[int, int, int, int], Callable[[Pixels], Pixels]]] = {
    "as coded": ((1, 0, 0, 1), lambda image: image),
    "hflip": ((-1, 0, 0, 1), np.fliplr),
    "vflip": ((1, 0, 0, -1), np.flipud),
    "rotated by 180": ((-1, 0, 0, -1), lambda image: np.rot90(image, 2)),
    "transpose": ((0, 1, 1, 0), lambda image: image.swapaxes(0, 1)),
    "transverse": ((0, -1, -1, 0), lambda image: np.rot90(image, 2).swapaxes(0, 1)),
    "rotated clockwise": ((0, 1, -1, 0), lambda image: np.rot90(image, -1)),
    "rotated counter-clockwise": ((0, -1, 1, 0), np.rot90),
}


def first(data: bytes, path: Path, settings: Params) -> Pixels:
    path.write_bytes(data)
    with files.open_file(path, settings.media) as content:
        return next(reader.read_frames(content.handle, "mov", settings.media)).image


@pytest.mark.parametrize("suffix", ["mp4", "mov"])
@pytest.mark.parametrize("name", SHOWN)
def test_a_video_is_shown_in_all_eight_orientations(tmp_path: Path, settings: Params, name: str, suffix: str) -> None:
    matrix, shown = SHOWN[name]
    plain = clip(tmp_path / f"plain.{suffix}", moving(3)).read_bytes()
    at, one = plain.index(b"tkhd") + 44, 1 << 16
    height, width = first(plain, tmp_path / "plain", settings).shape[:2]
    a, b, c, d = matrix
    x, y = (width if a < 0 else height if c < 0 else 0), (height if d < 0 else width if b < 0 else 0)
    turned = struct.pack(">9i", a * one, b * one, 0, c * one, d * one, 0, x * one, y * one, 1 << 30)
    data = plain[:at] + turned + plain[at + 36 :]
    found = first(data, tmp_path / "turned", settings)
    assert found.flags.c_contiguous
    np.testing.assert_array_equal(found, shown(first(plain, tmp_path / "plain", settings)))
