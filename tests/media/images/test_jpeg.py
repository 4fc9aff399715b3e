"""The end of a JPEG: what a camera appends does no harm, and what is cut is never taken for a whole picture."""

import io

import numpy as np
import pytest
from PIL import Image as Pillow
from support.hostile import Pixels, encoded, smooth

from fauxscan.media.images import jpeg
from fauxscan.media.images.codec import Still
from fauxscan.records import MediaError, Status

CAP = 100_000_000
SAMSUNG = (
    b"\0\0\x30\x0a\x10\0\0\0MotionPhoto_Data\0\0\0\x18ftypmp42" + bytes(4000) + b"SEFHj\0\0\0" + bytes(20) + b"SEFT"
)
SMALL = encoded(np.zeros((16, 16, 3), np.uint8), "JPEG")
TRAILERS = {
    "samsung": SAMSUNG, "samsung, end marker within": SAMSUNG[:99] + b"\xff\xd9" + SAMSUNG[99:],
    "samsung, picture within": SAMSUNG[:30] + SMALL + SAMSUNG[30:], "mp4": b"\0\0\0\x18ftypmp42" + bytes(900),
    "another picture": SMALL, "nothing": b"",
}  # fmt: skip
CODINGS = {
    "plain": {}, "fine": {"quality": 100, "subsampling": 0}, "optimised": {"optimize": True},
    "restarts": {"restart_marker_blocks": 2}, "restart rows": {"restart_marker_rows": 1},
    "thumbnail": {"exif": b"Exif\0\0II*\0\x08" + bytes(9) + SMALL},
}  # fmt: skip
MODES = ("RGB", "L", "CMYK")


def picture(mode: str = "RGB", coding: str = "plain") -> bytes:
    return encoded(Pillow.fromarray(smooth(90, 130)).convert(mode), "JPEG", **CODINGS[coding])


def decoded(data: bytes) -> tuple[Pixels, Still]:
    still = Still(data, "jpeg")
    return still.decode(CAP), still


def refusal(data: bytes) -> Status:
    with pytest.raises(MediaError) as caught:
        decoded(data)
    return caught.value.status


@pytest.mark.parametrize("trailer", TRAILERS)
@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("mode", MODES)
def test_all_pixels_without_an_end_marker_are_a_picture(mode: str, coding: str, trailer: str) -> None:
    whole = picture(mode, coding)
    found, still = decoded(whole[:-2] + TRAILERS[trailer])
    np.testing.assert_array_equal(found, decoded(whole)[0])
    assert still.defects == (jpeg.NO_END,) and not still.decodes_alike()
    still.decode(CAP)
    assert still.defects == (jpeg.NO_END,)


@pytest.mark.parametrize("trailer", TRAILERS)
@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("mode", MODES)
def test_a_picture_that_lacks_rows_is_truncated_whatever_follows(mode: str, coding: str, trailer: str) -> None:
    whole = picture(mode, coding)
    begin = whole.rindex(b"\xff\xda") + 20
    for missing in (6, 12, 40, (len(whole) - begin) // 2):
        assert refusal(whole[: -2 - missing] + TRAILERS[trailer]) is Status.TRUNCATED, missing


def test_a_picture_that_ends_at_a_restart_marker_is_truncated() -> None:
    whole = picture(coding="restarts")
    ends = [at for at in range(whole.rindex(b"\xff\xda"), len(whole)) if whole[at : at + 1] == b"\xff"]
    restarts = [at for at in ends if 0xD0 <= whole[at + 1] <= 0xD7]
    assert len(restarts) > 8
    for at in restarts:
        for end in (at, at + 1, at + 2):
            assert refusal(whole[:end] + SAMSUNG) is Status.TRUNCATED


@pytest.mark.parametrize("trailer", TRAILERS)
def test_a_progressive_picture_without_an_end_marker_stays_truncated(trailer: str) -> None:
    """No one can know whether another scan would have followed."""
    whole = encoded(smooth(90, 130), "JPEG", progressive=True)
    scans = [at for at in range(len(whole)) if whole[at : at + 2] == b"\xff\xda"]
    for end in (*scans[1:], len(whole) - 2, len(whole) - 40):
        assert refusal(whole[:end] + TRAILERS[trailer]) in (Status.TRUNCATED, Status.CORRUPT)


@pytest.mark.parametrize("trailer", TRAILERS)
@pytest.mark.parametrize("progressive", [False, True])
def test_what_follows_a_whole_picture_is_ignored(progressive: bool, trailer: str) -> None:
    whole = encoded(smooth(90, 130), "JPEG", progressive=progressive)
    found, still = decoded(whole + TRAILERS[trailer])
    np.testing.assert_array_equal(found, decoded(whole)[0])
    assert still.defects == ()


def test_pixels_in_a_scan_for_each_colour_need_their_end_marker() -> None:
    whole = picture()
    with Pillow.open(io.BytesIO(whole)) as opened:
        assert opened.layers == 3  # type: ignore[attr-defined]
    at = whole.rindex(b"\xff\xda")
    one_colour = whole[: at + 4] + b"\1" + whole[at + 5 :]
    assert refusal(one_colour[:-2] + SAMSUNG) is Status.TRUNCATED
