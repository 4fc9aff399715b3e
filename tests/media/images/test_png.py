"""The chunks of a PNG: only the critical ones must be whole, and EXIF counts wherever it is."""

import zlib

import numpy as np
import pytest
from PIL import Image as Pillow
from support import hostile
from support.hostile import Pixels, encoded, smooth
from support.hostile_bombs import chunk
from support.profiles import DISPLAY_P3, rgb_profile

from fauxscan.media.images.codec import Still
from fauxscan.records import MediaError, Status

CAP = 100_000_000
JUNK = b"\0\0\x11\0\0\x01\x04\0"  # as RawTherapee wrote it
AFTER_HEADER = 33
UNREADABLE = ("its EXIF cannot be read and is ignored",)


def with_chunk(name: bytes, body: bytes, at: int = AFTER_HEADER, intact: bool = True) -> bytes:
    """A PNG with one more chunk, before its pixels or, at -12, behind them."""
    data, added = encoded(smooth(), "PNG"), chunk(name, body)
    return data[:at] + (added if intact else added[:-4] + bytes(4)) + data[at:]


def decoded(data: bytes, form: str = "png") -> tuple[Pixels, Still]:
    still = Still(data, form)
    return still.decode(CAP), still


@pytest.mark.parametrize("at", [AFTER_HEADER, -12])
@pytest.mark.parametrize("junk", [JUNK, b"MM", b"Exif\0\0" + JUNK])
def test_exif_that_cannot_be_read_is_ignored_and_reported(junk: bytes, at: int) -> None:
    found, still = decoded(with_chunk(b"eXIf", junk, at))
    np.testing.assert_array_equal(found, smooth())
    assert still.defects == UNREADABLE and still.traits()["exif"] is False


@pytest.mark.parametrize("form", ["JPEG", "WEBP", "HEIF"])
def test_exif_that_cannot_be_read_is_ignored_in_every_format(form: str) -> None:
    named = "heic" if form == "HEIF" else form.lower()
    data, tags = encoded(smooth(), form, exif=hostile.orientation(6)), hostile.orientation(6).removeprefix(b"Exif\0\0")
    broken = data.replace(tags[:8], JUNK)
    assert broken != data
    found, still = decoded(broken, named)
    straight = decoded(encoded(smooth(), form), named)[0]
    turned = np.rot90(straight, 3)  # a HEIC states its orientation in another place, too
    np.testing.assert_array_equal(found, turned if form == "HEIF" else straight)
    assert still.defects == UNREADABLE


@pytest.mark.parametrize("at", [AFTER_HEADER, -12])
def test_the_orientation_is_applied_wherever_it_is(at: int) -> None:
    found, still = decoded(with_chunk(b"eXIf", hostile.orientation(6).removeprefix(b"Exif\0\0"), at))
    np.testing.assert_array_equal(found, np.rot90(smooth(), 3))
    assert still.defects == () and still.traits()["exif"] is True and not still.decodes_alike()


@pytest.mark.parametrize("at", [AFTER_HEADER, -12])
@pytest.mark.parametrize(
    "name", [b"tEXt", b"zTXt", b"iTXt", b"pHYs", b"tIME", b"gAMA", b"eXIf", b"iCCP", b"tRNS", b"xyZz"]
)
def test_an_ancillary_chunk_with_a_wrong_checksum_is_ignored_and_reported(name: bytes, at: int) -> None:
    bodies = {b"eXIf": hostile.orientation(6), b"iCCP": b"P3\0\0" + zlib.compress(rgb_profile(DISPLAY_P3))}
    found, still = decoded(with_chunk(name, bodies.get(name, b"a\0b"), at, intact=False))
    np.testing.assert_array_equal(found, smooth())
    assert still.defects == (f"chunks with a wrong checksum are ignored: {name.decode()}",)
    assert not still.decodes_alike()


@pytest.mark.parametrize("name", [b"tEXt", b"zTXt", b"iTXt", b"pHYs", b"tIME", b"gAMA", b"cHRM", b"tRNS", b"acTL"])
def test_an_ancillary_chunk_without_sense_does_no_harm(name: bytes) -> None:
    found, still = decoded(with_chunk(name, b"a\0\7"))
    np.testing.assert_array_equal(found, smooth())
    assert still.defects == ()


@pytest.mark.parametrize("name", [b"IHDR", b"PLTE", b"IDAT", b"IEND"])
def test_a_critical_chunk_with_a_wrong_checksum_is_corrupt(name: bytes) -> None:
    data = encoded(Pillow.fromarray(smooth()).quantize(16), "PNG")
    start = data.index(name)
    end = start + 4 + int.from_bytes(data[start - 4 : start], "big")
    with pytest.raises(MediaError, match=f"wrong checksum in {name.decode()}") as caught:
        decoded(data[:end] + bytes(4) + data[end + 4 :])
    assert caught.value.status is Status.CORRUPT


def test_a_chunk_that_does_not_end_is_truncated_and_one_without_a_name_corrupt() -> None:
    data = encoded(smooth(), "PNG")
    for broken, status in (
        (data[:AFTER_HEADER] + b"\x7f\xff\xff\xfftEXt" + data[AFTER_HEADER:], Status.TRUNCATED),
        (data[:AFTER_HEADER] + bytes(12) + data[AFTER_HEADER:], Status.CORRUPT),
        (data[:-1], Status.TRUNCATED),
    ):
        with pytest.raises(MediaError) as caught:
            decoded(broken)
        assert caught.value.status is status


def test_of_two_exif_chunks_the_first_counts() -> None:
    data = with_chunk(b"eXIf", hostile.orientation(6), -12)
    data = data[:AFTER_HEADER] + chunk(b"eXIf", hostile.orientation(3)) + data[AFTER_HEADER:]
    np.testing.assert_array_equal(decoded(data)[0], np.rot90(smooth(), 2))
