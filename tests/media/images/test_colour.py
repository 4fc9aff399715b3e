"""Colour profiles: pixels are what viewers show, whatever profile the file stores them in."""

import io

import numpy as np
import pytest
import tifffile
from PIL import Image as Pillow
from support.hostile import Pixels, encoded, smooth
from support.profiles import DISPLAY_P3, SRGB, cmyk_profile, grey_profile, p3_pixels, rgb_profile

from fauxscan.media.images import colour, pixels
from fauxscan.media.images.codec import Still

CAP = 100_000_000
P3 = rgb_profile(DISPLAY_P3)


def colours() -> Pixels:
    """Many colours, side by side."""
    red, green = np.meshgrid(np.linspace(40, 220, 64), np.linspace(40, 220, 48))
    return np.stack([red, green, np.full(red.shape, 110)], axis=-1).astype(np.uint8)


def decoded(data: bytes, form: str) -> tuple[Pixels, Still]:
    still = Still(data, form)
    return still.decode(CAP), still


@pytest.mark.parametrize("form", ["PNG", "WEBP", "TIFF", "JPEG", "AVIF", "HEIF"])
def test_a_display_p3_picture_is_decoded_to_the_colours_that_it_shows(form: str) -> None:
    options = {
        "WEBP": {"lossless": True},
        "JPEG": {"quality": 100, "subsampling": 0},
        "AVIF": {"quality": 100},
        "HEIF": {"quality": 100},
    }
    stored = p3_pixels(colours())
    data = encoded(stored, form, icc_profile=P3, **options.get(form, {}))
    found, still = decoded(data, "heic" if form == "HEIF" else form.lower())
    off = np.abs(found.astype(int) - colours())
    if form in ("PNG", "WEBP", "TIFF"):
        assert off.max() <= 2
    assert off.mean() < 1.5 and np.abs(found.astype(int) - stored).mean() > 3
    assert still.defects == () and not still.decodes_alike()


@pytest.mark.parametrize("form", ["PNG", "JPEG"])
def test_an_srgb_profile_changes_nothing_and_costs_no_conversion(form: str) -> None:
    data = encoded(smooth(), form, icc_profile=rgb_profile(SRGB))
    found, still = decoded(data, form.lower())
    np.testing.assert_array_equal(found, decoded(encoded(smooth(), form), form.lower())[0])
    assert colour.read_conversion(still.header) == (None, ()) and still.decodes_alike()
    np.testing.assert_array_equal(np.asarray(pixels.decode_tensor(data)), found)


def test_a_profile_that_is_used_twice_is_parsed_once() -> None:
    one, other = (Still(encoded(smooth(), "PNG", icc_profile=P3), "png") for _ in range(2))
    assert colour.read_conversion(one.header)[0] is colour.read_conversion(other.header)[0]


def test_the_orientation_is_applied_too() -> None:
    exif = Pillow.Exif()
    exif[0x0112] = 6
    found, _ = decoded(encoded(p3_pixels(colours()), "PNG", icc_profile=P3, exif=exif), "png")
    assert np.abs(found.astype(int) - np.rot90(colours(), 3)).max() <= 2


@pytest.mark.parametrize("form", ["PNG", "JPEG", "TIFF"])
def test_grey_pixels_with_a_grey_profile_are_converted(form: str) -> None:
    grey = np.tile(np.arange(256, dtype=np.uint8), (32, 1))
    found, _ = decoded(encoded(grey, form, icc_profile=grey_profile(1.8)), form.lower())
    light = (np.arange(256) / 255) ** 1.8
    expected = 255 * np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    assert np.abs(found.astype(int) - np.rint(expected)[None, :, None]).max() <= 2
    assert np.ptp(found, axis=2).max() <= 1


def test_sixteen_grey_bits_with_a_grey_profile_are_converted() -> None:
    grey = smooth()[..., 0]
    expected, _ = decoded(encoded(grey, "PNG", icc_profile=grey_profile(1.0)), "png")
    wide = encoded(grey.astype(np.uint16) * 257, "TIFF", icc_profile=grey_profile(1.0))
    np.testing.assert_array_equal(decoded(wide, "tiff")[0], expected)


def test_grey_pixels_with_an_rgb_profile_are_converted() -> None:
    grey = smooth()[..., 0]
    data = encoded(grey, "JPEG", icc_profile=rgb_profile(SRGB, (1, 1, 0, 1, 0)), quality=100)
    found, still = decoded(data, "jpeg")
    assert found.mean() > grey.mean() + 20 and still.defects == ()


@pytest.mark.parametrize("form", ["JPEG", "TIFF"])
def test_the_profile_says_what_inks_look_like(form: str) -> None:
    inks = np.zeros((32, 64, 4), np.uint8)
    inks[:, 32:, 0] = 255  # cyan, which this profile calls black
    data = encoded(Pillow.fromarray(inks, "CMYK"), form, icc_profile=cmyk_profile())
    found, still = decoded(data, form.lower())
    assert found[:, :24].min() >= 250 and found[:, 40:].max() <= 5
    assert still.defects == ()


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP", "TIFF"])
@pytest.mark.parametrize("profile", [b"no profile", P3[:200], P3[:36] + b"xxxx" + P3[40:], P3[:17] + b"\xff" + P3[18:]])
def test_a_broken_profile_is_ignored_and_reported(form: str, profile: bytes) -> None:
    options = {"lossless": True} if form == "WEBP" else {}
    found, still = decoded(encoded(smooth(), form, icc_profile=profile, **options), form.lower())
    np.testing.assert_array_equal(found, decoded(encoded(smooth(), form, **options), form.lower())[0])
    assert still.defects == (colour.IGNORED,) and not still.decodes_alike()


def test_a_profile_of_which_a_part_is_missing_is_ignored_and_reported() -> None:
    data = encoded(smooth(), "JPEG", icc_profile=P3)
    parts = data.replace(b"ICC_PROFILE\0\1\1", b"ICC_PROFILE\0\1\2")
    assert parts != data
    assert decoded(parts, "jpeg")[1].defects == (colour.IGNORED,)


@pytest.mark.parametrize(("image", "profile"), [(smooth(), grey_profile(1.0)), (smooth(), cmyk_profile())])
def test_a_profile_for_other_pixels_is_ignored_and_reported(image: Pixels, profile: bytes) -> None:
    found, still = decoded(encoded(image, "PNG", icc_profile=profile), "png")
    np.testing.assert_array_equal(found, image)
    assert still.defects == (colour.UNFIT,)


def test_a_profile_that_is_numbers_is_ignored_and_reported() -> None:
    out = io.BytesIO()
    tifffile.imwrite(out, smooth(), photometric="rgb", extratags=[(34675, 3, 1, 7, True)])
    found, still = decoded(out.getvalue(), "tiff")
    np.testing.assert_array_equal(found, smooth())
    assert still.defects == (colour.IGNORED,)


def test_a_profile_of_extreme_size_is_not_parsed() -> None:
    huge = P3 + bytes(colour.MOST_PROFILE_BYTES)
    for form in ("PNG", "WEBP", "TIFF"):
        options = {"lossless": True} if form == "WEBP" else {}
        data = encoded(smooth(), form, icc_profile=huge, **options)
        assert decoded(data, form.lower())[1].defects == (colour.IGNORED,)
