"""Face forgeries made from one image: self-blended images (Shiohara and Yamasaki, CVPR 2022, sections 3.2 and 3.3)."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Pixels = Floats  # (height, width, 3) RGB in 0..255
Pose = Floats  # (2, 3) matrix from the pixels of a portrait to those of an image

CELL = 25  # pixels: side of a face in lfw_subset; the points below are in these pixels
CANVAS = 200  # pixels: side of a portrait, framed equally and eight times as large
RATIOS = (0.25, 0.5, 0.75, 1.0, 1.0, 1.0)  # of the paper: half of all blends replace the face completely
# Landmarks of the average face of lfw_subset, in its pixels (CELL wide), by part of the face.
EYES = ((6.6, 8.4), (14.7, 8.4))
FOREHEAD = ((5.0, 3.0), (10.6, 1.8), (16.3, 3.0))
BROWS = ((3.6, 6.8), (6.5, 5.8), (14.8, 5.8), (17.7, 6.8))
CHEEKS = ((3.3, 12.0), (18.0, 12.0))
MOUTH = ((6.6, 18.6), (10.6, 20.4), (14.7, 18.6))
JAW = ((4.2, 16.5), (6.8, 21.0), (10.6, 23.3), (14.5, 21.0), (17.0, 16.5))
HULLS = (BROWS + CHEEKS + JAW, BROWS + CHEEKS + MOUTH, FOREHEAD + CHEEKS + JAW, FOREHEAD + CHEEKS + MOUTH)


@dataclass(frozen=True)
class Style:
    """Changes to source or target: shift of RGB (3,) and of HSV (3,), contrast, and resolution or sharpness."""

    colour: Floats
    hsv: Floats
    contrast: float
    shrink: float  # below 1: shrunk by this factor and enlarged again; 1: sharpened instead
    sharpen: float


@dataclass(frozen=True)
class Blend:
    """One forgery, the same throughout a clip: its mask (CANVAS, CANVAS) in 0..1, and how source and target differ."""

    mask: Floats
    style: Style
    restyles_source: bool
    zoom: Floats  # (2,) of the source, about the centre of the face
    shift: Floats  # (2,) of the source, in widths of the portrait


def draw_blend(rng: np.random.Generator) -> Blend:
    """Return a random blend."""
    mask = np.asarray(draw_mask(rng) * rng.choice(RATIOS), np.float32)
    zoom = rng.uniform(0.95, 1 / 0.95, 2).astype(np.float32)
    shift = (rng.uniform(-1, 1, 2) * (0.015, 0.03)).astype(np.float32)
    return Blend(mask, draw_style(rng), bool(rng.integers(2)), zoom, shift)


def draw_style(rng: np.random.Generator) -> Style:
    """Return a random style of the paper's two families: colour, and either lower resolution or sharpening."""
    hsv = rng.uniform(-1, 1, 3) * (8, 0.08, 0.05)
    softer = bool(rng.integers(2))
    return Style(
        colour=rng.uniform(-20, 20, 3).astype(np.float32),
        hsv=hsv.astype(np.float32),
        contrast=rng.uniform(0.9, 1.1),
        shrink=rng.uniform(0.3, 0.6) if softer else 1.0,
        sharpen=0.0 if softer else rng.uniform(0.5, 1.5),
    )


def draw_mask(rng: np.random.Generator) -> Floats:
    """Return a convex hull of landmarks, deformed and softened: (CANVAS, CANVAS) in 0..1, in portrait coordinates.

    It is softened twice, and everything below 1 is set to 0 in between. So the mask is eroded if the first filter is
    the wider one, and dilated if the second is.
    """
    points = np.array(HULLS[rng.integers(len(HULLS))], np.float32) * CANVAS / CELL + rng.normal(0, 3, 2)
    hull = cv2.convexHull((points + rng.normal(0, 3, points.shape)).astype(np.float32)).astype(np.int32)
    mask = _elastic(cv2.fillConvexPoly(np.zeros((CANVAS, CANVAS), np.float32), hull, 1.0), rng)
    first, second = rng.uniform(1, 5, 2)
    eroded = np.where(cv2.GaussianBlur(mask, (0, 0), first) < 0.999, 0, 1).astype(np.float32)
    return np.asarray(cv2.GaussianBlur(eroded, (0, 0), second))


def _elastic(mask: Floats, rng: np.random.Generator) -> Floats:
    """Return the mask with every point moved by a smooth random field of about 5 pixels (Simard et al., ICDAR 2003)."""
    field = cv2.GaussianBlur(rng.uniform(-1, 1, (CANVAS, CANVAS, 2)).astype(np.float32), (0, 0), 14)
    moved = 5 * field / field.std()
    y, x = np.mgrid[:CANVAS, :CANVAS].astype(np.float32)
    return np.asarray(cv2.remap(mask, x + moved[..., 0], y + moved[..., 1], cv2.INTER_LINEAR))


def apply_style(pixels: Pixels, style: Style) -> Pixels:
    """Return the image with its colours and its sharpness changed."""
    hsv = cv2.cvtColor(np.clip(pixels + style.colour, 0, 255) / 255, cv2.COLOR_RGB2HSV) + style.hsv
    hsv = np.dstack([hsv[..., 0] % 360, np.clip(hsv[..., 1:], 0, 1)])
    coloured = 255 * cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)
    return _refocused(128 + style.contrast * (coloured - 128), style)


def _refocused(pixels: Pixels, style: Style) -> Pixels:
    if style.shrink < 1:
        small = cv2.resize(pixels, None, fx=style.shrink, fy=style.shrink, interpolation=cv2.INTER_AREA)
        return np.asarray(cv2.resize(small, pixels.shape[1::-1], interpolation=cv2.INTER_LINEAR))
    return np.asarray(pixels + style.sharpen * (pixels - cv2.GaussianBlur(pixels, (0, 0), 1.0)))


def blend_face(pixels: Pixels, pose: Pose, blend: Blend) -> tuple[Pixels, Pixels]:
    """Blend the face at `pose` with a changed copy of itself. Return the target and the forgery made from it.

    Both have the shape of the image and are in 0..255. They are equal where the mask is 0.
    """
    changed = apply_style(pixels, blend.style)
    source, target = (changed, pixels) if blend.restyles_source else (pixels, changed)
    mask = cv2.warpAffine(blend.mask, pose, pixels.shape[1::-1], borderMode=cv2.BORDER_CONSTANT)[..., None]
    forged = target + mask * (_moved(source, pose, blend) - target)
    return np.clip(target, 0, 255), np.clip(forged, 0, 255)


def _moved(source: Pixels, pose: Pose, blend: Blend) -> Pixels:
    """Return the source resized and shifted about the centre of the face, so that landmarks no longer quite match."""
    middle = pose @ np.array([CANVAS / 2, CANVAS / 2, 1], np.float32)
    width = float(np.hypot(*pose[:, 0])) * CANVAS
    place = np.column_stack([np.diag(blend.zoom), middle * (1 - blend.zoom) + width * blend.shift]).astype(np.float32)
    return np.asarray(cv2.warpAffine(source, place, source.shape[1::-1], borderMode=cv2.BORDER_REFLECT_101))
