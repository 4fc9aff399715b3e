"""What each model is given of one image or frame: crops of its faces, or all of it, at the model's size."""

from collections.abc import Iterator
from dataclasses import dataclass

from fauxscan.media import faces, pixels, uniform
from fauxscan.media.faces import Face
from fauxscan.media.images import Image
from fauxscan.media.looking import Sight
from fauxscan.models import ModelCard
from fauxscan.records import View
from fauxscan.scanning.settings import Settings


@dataclass(slots=True)
class Scored:
    """One row of the table `scores` in the making: what a model was given, and the logit that it gave."""

    model: int  # its number in the settings
    frame: int
    time_s: float | None
    track: int  # whose robust mean counts; in an image each face is its own
    face: int | None = None
    x: float | None = None
    y: float | None = None
    w: float | None = None
    h: float | None = None
    det_score: float | None = None
    logit: float = float("nan")


def views(sight: Sight, settings: Settings) -> Iterator[tuple[Image, Scored]]:
    """Give (size, size, 3) pixels for each model and face, or model and whole image, with the row they belong to."""
    for number, card in enumerate(settings.cards):
        if settings.view(card) is View.WHOLE:
            yield _given(sight.image, card, View.WHOLE), Scored(number, sight.frame, sight.time_s, 0)
            continue
        for index, face in enumerate(sight.faces):
            crop = _crop(sight.image, face, card, settings)
            yield _given(crop, card, View.FACE), _of_face(number, sight, index, face)


def _given(image: Image, card: ModelCard, view: View) -> Image:
    return pixels.resize(uniform.seen(image, card.align, view), card.input_size)


def _crop(image: Image, face: Face, card: ModelCard, settings: Settings) -> Image:
    """Return the crop as the model's card wants it; a card without a word on faces was trained on ready crops."""
    made = card.faces or settings.faces
    return faces.align(image, face.landmarks, made.margin, made.size)


def _of_face(number: int, sight: Sight, index: int, face: Face) -> Scored:
    track = index if sight.time_s is None else face.track
    box = (face.x, face.y, face.w, face.h)
    return Scored(number, sight.frame, sight.time_s, track, index, *box, face.score)
