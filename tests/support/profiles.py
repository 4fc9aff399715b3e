"""Colour profiles, made byte by byte, for the tests of decoding."""

import struct
from collections.abc import Mapping, Sequence

import numpy as np

WHITE = (0.9642, 1, 0.8249)  # D50, to which all profiles refer
SRGB = ((0.4360, 0.2225, 0.0139), (0.3851, 0.7169, 0.0971), (0.1431, 0.0606, 0.7139))
DISPLAY_P3 = ((0.5151, 0.2412, -0.0011), (0.2920, 0.6922, 0.0419), (0.1571, 0.0666, 0.7841))
CURVE = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)  # of sRGB and Display P3 alike


def rgb_profile(primaries: Sequence[Sequence[float]], curve: Sequence[float] = CURVE) -> bytes:
    """Return a profile of RGB pixels with these primaries (X, Y, Z of red, green and blue) and this curve."""
    colours = {name: _xyz(of) for name, of in zip((b"rXYZ", b"gXYZ", b"bXYZ"), primaries, strict=True)}
    return _profile(b"mntrRGB XYZ ", colours | dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), _curve(curve)))


def grey_profile(gamma: float) -> bytes:
    """Return a profile of grey pixels with this gamma."""
    return _profile(b"mntrGRAYXYZ ", {b"kTRC": _curve((gamma, 1, 0, 1, 0))})


def cmyk_profile() -> bytes:
    """Return a profile of CMYK pixels according to which each ink is black."""
    ramp = bytes(range(256))
    lightness = np.zeros(16, np.uint8)
    lightness[0] = 255  # no ink
    colours = np.stack([lightness, np.full(16, 128), np.full(16, 128)], axis=1).astype(np.uint8).tobytes()
    identity = b"".join(map(_fixed, np.eye(3).ravel()))
    return _profile(b"prtrCMYKLab ", {b"A2B0": b"mft1\0\0\0\0\4\3\2\0" + identity + ramp * 4 + colours + ramp * 3})


def p3_pixels(srgb: np.ndarray) -> np.ndarray:
    """Return the Display P3 pixels, uint8, that look like these sRGB pixels; computed without a library of colours."""
    to_xyz, from_xyz = np.array(SRGB).T, np.linalg.inv(np.array(DISPLAY_P3).T)
    linear = np.where(srgb <= 0.04045 * 255, srgb / 255 / 12.92, ((srgb / 255 + 0.055) / 1.055) ** 2.4)
    p3 = (linear @ (from_xyz @ to_xyz).T).clip(0, 1)
    return np.rint(255 * np.where(p3 <= 0.0031308, 12.92 * p3, 1.055 * p3 ** (1 / 2.4) - 0.055)).astype(np.uint8)


def _profile(kind: bytes, tags: Mapping[bytes, bytes]) -> bytes:
    text = struct.pack(">HHII", 1, 12, 0, 0)
    named = {
        b"desc": b"mluc" + bytes(4) + struct.pack(">II", 0, 12),
        b"wtpt": _xyz(WHITE),
        b"cprt": b"text\0\0\0\0" + text,
    }
    table, body = b"", b""
    whole = named | dict(tags)
    for name, content in whole.items():
        table += name + struct.pack(">II", 132 + 12 * len(whole) + len(body), len(content))
        body += content + bytes(-len(content) % 4)
    dates = struct.pack(">6H", 2020, 1, 1, 0, 0, 0)
    head = struct.pack(">I", 132 + len(table) + len(body)) + bytes(4) + b"\4\0\0\0" + kind + dates + b"acsp" + bytes(28)
    return (head + b"".join(map(_fixed, WHITE))).ljust(128, b"\0") + struct.pack(">I", len(whole)) + table + body


def _curve(parameters: Sequence[float]) -> bytes:
    return b"para" + bytes(4) + struct.pack(">HH", 3, 0) + b"".join(map(_fixed, parameters))


def _xyz(values: Sequence[float]) -> bytes:
    return b"XYZ " + bytes(4) + b"".join(map(_fixed, values))


def _fixed(value: float) -> bytes:
    return struct.pack(">i", round(value * 65536))
