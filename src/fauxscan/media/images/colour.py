"""Colour profiles: pixels are converted to sRGB, the colours that viewers show and networks are trained on."""

import io
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL import ImageCms

MOST_PROFILE_BYTES = 4 << 20  # those of printers have 0.5 to 3 MB
MODES = {"GRAY": "L", "RGB": "RGB", "CMYK": "CMYK"}  # colour space of a profile -> Pillow's mode of its pixels
FITTING = {"L": ("GRAY", "RGB"), "CMYK": ("CMYK",), "RGB": ("RGB",)}  # mode of pixels -> colour spaces of profiles
STRIP = 64  # rows that are converted at a time, which takes less memory and time than all at once
ROUNDING = 1  # levels by which a conversion may differ from sRGB and still not be worth making
IGNORED = "its colour profile cannot be read and is ignored"
UNFIT = "its colour profile is for other pixels and is ignored"


class Conversion(NamedTuple):
    """A conversion to sRGB of pixels of Pillow's mode `mode`: L, RGB or CMYK."""

    mode: str
    transform: ImageCms.ImageCmsTransform

    def apply(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return the pixels (height, width, 3) in sRGB. Grey ones are given as RGB, too."""
        source = image[..., 0] if self.mode == "L" else image
        converted = np.empty((*image.shape[:2], 3), np.uint8)
        for top in range(0, len(source), STRIP):
            strip = Pillow.fromarray(np.ascontiguousarray(source[top : top + STRIP]), self.mode)
            converted[top : top + STRIP] = np.asarray(self.transform.apply(strip))
        return converted


def read_conversion(header: Pillow.Image) -> tuple[Conversion | None, tuple[str, ...]]:
    """Return the conversion that an image's colour profile asks for, if any, and what is wrong with the profile."""
    if "icc_profile" not in header.info:
        return None, ()
    profile = header.info["icc_profile"]  # None if Pillow finds only a part of it, numbers in an odd TIFF
    if not isinstance(profile, bytes) or len(profile) > MOST_PROFILE_BYTES:
        return None, (IGNORED,)
    grey = header.mode in ("1", "L", "LA") or header.mode.startswith("I;16")
    return _conversion(profile, "L" if grey else "CMYK" if header.mode == "CMYK" else "RGB")


@lru_cache(maxsize=16)
def _conversion(profile: bytes, mode: str) -> tuple[Conversion | None, tuple[str, ...]]:
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        space = source.profile.xcolor_space.strip()
        if space not in FITTING[mode]:
            return None, (UNFIT,)
        transform = ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), MODES[space], "RGB")
    except (OSError, ValueError, ImageCms.PyCMSError):
        return None, (IGNORED,)
    conversion = Conversion(MODES[space], transform)
    return (None if _is_srgb(conversion) else conversion), ()


def _is_srgb(conversion: Conversion) -> bool:
    """Return whether a conversion leaves a ramp of colours as it is, but for rounding."""
    if conversion.mode == "CMYK":
        return False
    levels = np.arange(0, 256, 15)
    greys = np.repeat(np.arange(256)[:, None], 3, axis=1)
    colours = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(-1, 3)
    ramp = (greys if conversion.mode == "L" else np.concatenate([greys, colours]))[None].astype(np.uint8)
    return int(np.abs(conversion.apply(ramp).astype(int) - ramp).max()) <= ROUNDING
