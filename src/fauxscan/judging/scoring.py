"""Compute the logits of a split with the decoder and resizer that scans use."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fauxscan.judging.aggregation import media_logit
from fauxscan.judging.ensemble import Member
from fauxscan.media.blending import self_blended
from fauxscan.media.images import codec
from fauxscan.media.images.model_input import model_input
from fauxscan.models import ModelCard
from fauxscan.preparing.shards.read import Shards
from fauxscan.records import FAKE, LOGITS, REAL, Kind, View

KEY = ["sha256", "label", "generator", "source"]  # the same for all faces of a media file
Example = dict[str, Any]
MILD_QUALITY = 85  # of the JPEG files that many programs and web sites write
CAP = 1 << 30  # pixels: images in shards have passed the caps already


@dataclass(frozen=True)
class Changed(ABC):
    """A model that sees every image after a small change, which shows how steady its scores are."""

    model: Member

    @property
    def card(self) -> ModelCard:
        """Return the model's card."""
        return self.model.card

    def scorer(self, batch: int) -> Callable[[NDArray[np.uint8]], NDArray[np.float32]]:
        """Return the model's forward pass, of the changed images."""
        score = self.model.scorer(batch)
        return lambda images: score(self.change(images))

    @staticmethod
    @abstractmethod
    def change(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return the changed images (n, size, size, 3)."""


class Shifted(Changed):
    """A model that sees every image moved by one pixel. A score that this changes much is noise."""

    @staticmethod
    def change(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return the images moved up and left by one pixel."""
        return np.pad(images[:, 1:, 1:], ((0, 0), (0, 1), (0, 1), (0, 0)), mode="edge")


class Reencoded(Changed):
    """A model that sees every image after a mild compression. Verdicts near a threshold may change by it."""

    @staticmethod
    def change(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return the images compressed as JPEG."""
        return np.stack([codec.jpeg_compressed(image, MILD_QUALITY) for image in images])


def with_changed(media: pd.DataFrame, name: str, changed: pd.DataFrame) -> pd.DataFrame:
    """Return a table of media files with a column of the logits of the same files as `Shifted` or `Reencoded`."""
    keys = ["sha256", "label"]
    return media.merge(changed[[*keys, "logit"]].rename(columns={"logit": name}), on=keys)


def face_logits(model: Member, shards: Shards, split: str, view: View, jpeg_quality: int | None = None) -> pd.DataFrame:
    """Return one row per face with its logit, see records.LOGITS. With `jpeg_quality`, compress each face first."""
    return logits(model, shards.examples(split, view), jpeg_quality)


def logits(model: Member, examples: Iterator[Example], jpeg_quality: int | None = None) -> pd.DataFrame:
    """Return one row per example with its logit, see records.LOGITS. With `jpeg_quality`, compress each first."""
    size = model.card.input_size
    return _scored(model, ((example, _pixels(example, size, jpeg_quality)) for example in examples))


def self_blended_logits(model: Member, shards: Shards, split: str, view: View) -> pd.DataFrame:
    """Return one row for each real face and one for the fake that is always made from it, under the same file name."""
    return _scored(model, _self_blended(model.card, shards.examples(split, view)))


def _self_blended(card: ModelCard, examples: Iterator[Example]) -> Iterator[tuple[Example, codec.Image]]:
    margin = card.faces.margin if card.faces else 0.0
    for example in (example for example in examples if example["label"] == REAL):
        image = _pixels(example, card.input_size, None)
        yield example, image
        fake = {**example, "label": FAKE, "generator": self_blended.GENERATOR}
        yield fake, self_blended.blend_fixed_fake(image, margin, example["sha256"], example["track"])


def _scored(model: Member, faces: Iterator[tuple[Example, codec.Image]]) -> pd.DataFrame:
    """Return one row per face with its logit, see records.LOGITS."""
    score, rows = model.scorer(32), []
    while batch := list(islice(faces, 256)):
        logits = score(np.stack([image for _, image in batch]))
        rows += [{**example, "logit": float(z)} for (example, _), z in zip(batch, logits, strict=True)]
    return pd.DataFrame(rows, columns=LOGITS.names)


def _pixels(example: Example, size: int, jpeg_quality: int | None) -> codec.Image:
    image = codec.decode(example["image"], example["format"], CAP)
    if jpeg_quality is not None:
        image = codec.jpeg_compressed(image, jpeg_quality)
    return model_input(image, size)


def media_logits(faces: pd.DataFrame) -> pd.DataFrame:
    """Return one row per media file: sha256, label, generator, source, kind and its aggregated logit.

    A file of which several frames were judged is a video.
    """
    rows = [
        {**dict(zip(KEY, key, strict=True)), "kind": _kind(of_media), "logit": _joined(of_media)}
        for key, of_media in faces.groupby(KEY, sort=True)
    ]
    return pd.DataFrame(rows)


def _kind(faces: pd.DataFrame) -> str:
    return str(Kind.VIDEO if faces["frame"].nunique() > 1 else Kind.IMAGE)


def _joined(faces: pd.DataFrame) -> float:
    return media_logit(faces["logit"].to_list(), faces["track"].to_list())
