"""Draw the picture on which model sets are tried, a portrait of nobody: `python docs/probe.py`."""

from pathlib import Path

import cv2
import numpy as np

OUT = Path(__file__).parents[1] / "src" / "fauxscan" / "shipped" / "probe.jpg"
SIDE, FINER = 320, 4  # pixels; drawn so many times larger, then reduced
QUALITY = 85
SKIN, SHADE, HAIR = (222, 176, 150), (196, 148, 122), (60, 42, 32)
# Ellipses from back to front: centre, half axes and blur as shares of the side, RGB, opacity.
HEAD = (
    ((0.50, 1.02), (0.36, 0.22), 0.004, (60, 70, 110), 1.0),  # shoulders
    ((0.50, 0.78), (0.09, 0.16), 0.006, SHADE, 1.0),  # neck
    ((0.50, 0.40), (0.255, 0.30), 0.004, HAIR, 1.0),
    ((0.50, 0.48), (0.205, 0.27), 0.004, SKIN, 1.0),  # face
    ((0.62, 0.50), (0.10, 0.24), 0.04, SHADE, 0.5),
    ((0.50, 0.25), (0.21, 0.09), 0.012, HAIR, 1.0),  # fringe
    ((0.49, 0.50), (0.012, 0.06), 0.01, (238, 198, 172), 0.8),  # nose
    ((0.50, 0.555), (0.036, 0.022), 0.01, SHADE, 0.7),
    ((0.50, 0.640), (0.066, 0.020), 0.003, (176, 88, 84), 1.0),  # mouth
    ((0.50, 0.632), (0.066, 0.005), 0.002, (110, 46, 46), 1.0),
)
# Of one side, with the distance of the centre from the middle.
HALF = (
    ((0.100, 0.560), (0.07, 0.05), 0.02, (226, 160, 140), 0.5),  # cheek
    ((0.087, 0.445), (0.052, 0.03), 0.012, (180, 130, 108), 0.8),  # eye
    ((0.087, 0.436), (0.040, 0.019), 0.002, (50, 34, 28), 0.9),
    ((0.087, 0.450), (0.036, 0.017), 0.002, (245, 242, 238), 1.0),
    ((0.087, 0.450), (0.016, 0.0165), 0.0015, (70, 50, 35), 1.0),
    ((0.087, 0.450), (0.008, 0.008), 0.001, (12, 10, 10), 1.0),
    ((0.090, 0.396), (0.052, 0.010), 0.004, (62, 44, 34), 0.9),  # brow
    ((0.020, 0.566), (0.009, 0.006), 0.003, (120, 76, 62), 0.9),  # nostril
)


def portrait() -> np.ndarray:
    """Return the picture, RGB, (SIDE, SIDE, 3) of uint8."""
    side = SIDE * FINER
    y, x = np.mgrid[0:side, 0:side] / side
    picture = np.stack([90 + 80 * y, 180 - 60 * y, 150 + 50 * x], -1).astype(np.float32)
    halves = (((0.5 + sign * x, y), *rest) for (x, y), *rest in HALF for sign in (-1, 1))
    for (cx, cy), (ax, ay), blur, colour, opacity in (*HEAD, *halves):
        mask = np.zeros((side, side), np.float32)
        axes = (round(ax * side), round(ay * side))
        cv2.ellipse(mask, (round(cx * side), round(cy * side)), axes, 0, 0, 360, opacity, -1)
        mask = cv2.GaussianBlur(mask, (0, 0), blur * side)[..., None]
        picture = picture * (1 - mask) + np.array(colour, np.float32) * mask
    reduced = cv2.resize(picture, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    grain = np.random.default_rng(0).normal(0, 3, reduced.shape)
    return np.clip(reduced + grain, 0, 255).astype(np.uint8)


def main() -> None:
    """Write the picture."""
    cv2.imwrite(str(OUT), cv2.cvtColor(portrait(), cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, QUALITY])


if __name__ == "__main__":
    main()
