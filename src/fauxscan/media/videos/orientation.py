"""Show a frame as its display matrix says: turned by quarters, mirrored, or both."""

import av
import numpy as np

from fauxscan.media.images.codec import Image


def upright(frame: av.VideoFrame, threads: int) -> Image:
    """Return the RGB pixels of a frame (height, width, 3) as FFmpeg shows them, in any of the eight orientations."""
    image = frame.to_ndarray(format="rgb24", threads=threads)
    matrix = frame.side_data.get("DISPLAYMATRIX")
    if matrix is None:
        return np.ascontiguousarray(image, np.uint8)
    a, b, _, c, d = np.frombuffer(bytes(matrix), np.int32, count=5).tolist()  # x' = ax + cy, y' = bx + dy
    if abs(b) > abs(a):
        image, a, d = image.swapaxes(0, 1), c, b
    return np.ascontiguousarray(image[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1], np.uint8)
