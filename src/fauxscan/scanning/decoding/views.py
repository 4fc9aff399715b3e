"""What each model is given of one image or frame: crops of its faces, or all of it, at the model's size."""

from collections.abc import Iterator
from typing import Protocol

from fauxscan.media.decode import FrameFaces
from fauxscan.media.faces import align
from fauxscan.media.faces.finder import Face
from fauxscan.media.images.codec import Image
from fauxscan.media.images.model_input import model_input
from fauxscan.models import ModelCard
from fauxscan.records import View
from fauxscan.scanning.rows import Row
from fauxscan.scanning.settings import Settings


class OnCrop(Protocol):
    """Receives each crop on its way from the decoder to the models."""

    def __call__(self, number: int, row: Row, image: Image, /) -> None:
        """Take one crop (size, size, 3) for the model `row["model"]`; `number` is the place of its file in the request.

        The row has the columns of the table `scores` that are known before the model has run.
        """


def views(frame: FrameFaces, settings: Settings) -> Iterator[tuple[Row, Image]]:
    """Yield a row and (size, size, 3) pixels for each model and face, or for each model and the whole image."""
    for card in settings.cards:
        if settings.view(card) is View.WHOLE or _is_crop(frame, card, settings):
            yield _row(card, frame, 0), model_input(frame.image, card.input_size, card.reencode, View.WHOLE)
            continue
        for index, face in enumerate(frame.faces):
            crop = _crop(frame.image, face, card, settings)
            row = _face_row(card, frame, index, face)
            yield row, model_input(crop, card.input_size, card.reencode, View.FACE)


def _is_crop(frame: FrameFaces, card: ModelCard, settings: Settings) -> bool:
    return settings.mode == "auto" and frame.is_crop((card.faces or settings.faces).margin)


def _crop(image: Image, face: Face, card: ModelCard, settings: Settings) -> Image:
    """Return the crop as the model's card describes it. A card without face parameters was trained on ready crops."""
    cropping = card.faces or settings.faces
    return align.align_face(image, face.landmarks, cropping.margin, cropping.size)


def _row(card: ModelCard, frame: FrameFaces, track: int, framing: str = "whole") -> Row:
    return {"model": card.name, "frame": frame.frame, "time_s": frame.time_s, "track": track, "framing": framing}


def _face_row(card: ModelCard, frame: FrameFaces, index: int, face: Face) -> Row:
    """Return the row of a face; in an image each face is a track of its own, in a video the tracker says which."""
    track = index if frame.time_s is None else face.track
    box = {"face": index, "x": face.x, "y": face.y, "w": face.w, "h": face.h, "det_score": face.score}
    return _row(card, frame, track, "aligned") | box
