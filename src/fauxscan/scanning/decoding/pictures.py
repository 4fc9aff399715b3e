"""A decoder for people: of each image or frame it hands out one small picture, instead of what models are given.

`Decoder(settings, MODULE)` starts it. Files pass the same checks as in a scan, and faces are not searched for.
"""

from collections.abc import Iterator, Sequence

import cv2

from fauxscan.media.decode import FrameFaces
from fauxscan.media.images.codec import Image
from fauxscan.scanning.decoding import worker
from fauxscan.scanning.rows import Row
from fauxscan.scanning.settings import Settings

MODULE = "fauxscan.scanning.decoding.pictures"
LONGEST = 800  # pixels of the longer side; smaller images keep their size
LONGEST_TEXT = 200  # characters
TAGS = {271: "EXIF Make", 272: "EXIF Model", 305: "EXIF Software", 306: "EXIF DateTime"}


def pictures(frame: FrameFaces, settings: Settings) -> Iterator[tuple[Row, Image]]:
    """Yield the picture of a frame, RGB (height, width, 3), and a row: `frame`, `time_s`, and its full size in pixels.

    The size is under `width` and `height`; boxes of faces are in its pixels. Under `about` is what the file says about
    itself, by name.
    """
    height, width = frame.image.shape[:2]
    row = {"frame": frame.frame, "time_s": frame.time_s, "width": width, "height": height}
    yield {**row, "about": _about(frame)}, reduced(frame.image, LONGEST)


def _about(frame: FrameFaces) -> dict[str, str]:
    """Return what a file says about itself. Anybody can write these texts, so they are cut short."""
    if frame.clip:
        return {"codec": frame.clip.codec, "frames": str(frame.clip.frames)}
    if frame.still is None:
        return {}
    known = {name: str(frame.still.exif[tag])[:LONGEST_TEXT] for tag, name in TAGS.items() if tag in frame.still.exif}
    return {"pixels": frame.still.header.mode, **known}


def reduced(image: Image, longest: int) -> Image:
    """Return an image whose longer side has `longest` pixels, or the image as it is if it is smaller."""
    height, width = image.shape[:2]
    if max(height, width) <= longest:
        return image
    sides: Sequence[int] = [max(1, round(side * longest / max(height, width))) for side in (width, height)]
    return cv2.resize(image, sides, interpolation=cv2.INTER_AREA)  # type: ignore[no-any-return]


def main() -> None:
    """Serve on the socket and the buffer whose descriptors are the arguments."""
    worker.main(pictures)
