"""Decode one media file into its frames and the faces in them."""

from collections.abc import Iterator
from dataclasses import dataclass

from fauxscan.media.faces import align
from fauxscan.media.faces.finder import Face, FaceFinder
from fauxscan.media.faces.tracks import VideoFaceFinder
from fauxscan.media.files import Content
from fauxscan.media.images.codec import Image, Still
from fauxscan.media.videos import reader
from fauxscan.media.videos.reader import Clip
from fauxscan.params import MediaParams
from fauxscan.records import Kind, MediaError, Status

BYTES_A_PIXEL = 8  # the most that an image file needs: four uncompressed channels of 16 bits


@dataclass(frozen=True)
class FrameFaces:
    """One image or video frame with the faces found in it.

    `time_s` and `clip` are None for an image, `still` for a video frame.
    """

    frame: int
    time_s: float | None
    image: Image
    faces: tuple[Face, ...]
    still: Still | None = None
    clip: Clip | None = None

    def is_crop(self, margin: float) -> bool:
        """Return whether an image is itself a face crop: the square to be cut out around its face is larger than it.

        Its pixels and the margin alone decide, so the same bytes are always framed in the same way. A frame of a video
        is never a crop.
        """
        if self.time_s is not None or not self.faces:
            return False
        return bool(align.crop_side(self.faces[0].landmarks, margin) > min(self.image.shape[:2]))


def decode_media(
    content: Content, kind: Kind, form: str, media: MediaParams, finder: FaceFinder | None, threads: int = 1
) -> Iterator[FrameFaces]:
    """Yield the frames of a media file in order, with their faces if there is a finder. Raise MediaError.

    `threads` is the number of threads that decode a video; it does not change the pixels.
    """
    if kind is Kind.IMAGE:
        if content.size > BYTES_A_PIXEL * media.max_pixels:  # an image is held in memory as a whole, a video is not
            raise MediaError(Status.TOO_LARGE, f"{content.size} bytes for at most {media.max_pixels} pixels")
        still = Still(content.bytes(), form)
        image = still.decode(media.max_pixels)
        yield FrameFaces(0, None, image, tuple(finder.find_faces(image)) if finder else (), still)
        return
    in_video = VideoFaceFinder(finder) if finder else None
    for frame in reader.read_frames(content.handle, form, media, threads):
        faces = in_video.find_faces(frame.image, frame.time_s) if in_video else ()
        yield FrameFaces(frame.number, frame.time_s, frame.image, tuple(faces), clip=frame.clip)
