"""What a detector can look at in one media file: its frames, whole, and the faces in them."""

from collections.abc import Iterator
from dataclasses import dataclass

from fauxscan.media import videos
from fauxscan.media.faces import Face, FaceFinder
from fauxscan.media.files import Content
from fauxscan.media.images import Image, Still
from fauxscan.media.tracks import Watcher
from fauxscan.params import MediaParams
from fauxscan.records import Kind, MediaError, Status

BYTES_A_PIXEL = 8  # of the largest that an image needs: four channels of 16 bits, not compressed


@dataclass(frozen=True)
class Sight:
    """One image or video frame and the faces found in it; `time_s` is None for an image, `still` for a frame."""

    frame: int
    time_s: float | None
    image: Image
    faces: tuple[Face, ...]
    still: Still | None = None


def look(
    content: Content, kind: Kind, form: str, media: MediaParams, finder: FaceFinder | None, threads: int = 1
) -> Iterator[Sight]:
    """Give the frames of a media file in order, with their faces if there is a finder. Raise MediaError.

    `threads` decode a video, to the same pixels whatever their number.
    """
    if kind is Kind.IMAGE:
        if content.size > BYTES_A_PIXEL * media.max_pixels:  # an image is held in memory, a video is not
            raise MediaError(Status.TOO_LARGE, f"{content.size} bytes for at most {media.max_pixels} pixels")
        still = Still(content.bytes(), form)
        image = still.decode(media.max_pixels)
        yield Sight(0, None, image, tuple(finder.find(image)) if finder else (), still)
        return
    watcher = Watcher(finder) if finder else None
    for frame in videos.frames(content.handle, form, media, threads):
        yield Sight(
            frame.number, frame.time_s, frame.image, tuple(watcher.find(frame.image, frame.time_s)) if watcher else ()
        )
