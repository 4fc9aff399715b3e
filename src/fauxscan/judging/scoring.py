"""Logits of a split, through the very decoder and resizer that scans use."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fauxscan.judging.aggregation import media_logit
from fauxscan.judging.panel import Member
from fauxscan.media import images, pixels, self_blending
from fauxscan.models import ModelCard
from fauxscan.preparing import shards
from fauxscan.records import FAKE, LOGITS, REAL, View

KEY = ["sha256", "label", "generator", "source"]  # what all faces of a media file share
Example = dict[str, Any]
CAP = 1 << 30  # pixels: shards hold only what passed the caps before


def face_logits(model: Member, folder: Path, split: str, view: View, jpeg_quality: int | None = None) -> pd.DataFrame:
    """Return one row a face (see records.LOGITS); with `jpeg_quality`, each face is compressed so before."""
    size = model.card.input_size
    return _scored(
        model, ((example, _pixels(example, size, jpeg_quality)) for example in shards.read(folder, split, view))
    )


def self_blended_logits(model: Member, folder: Path, split: str, view: View) -> pd.DataFrame:
    """Return one row for each real face, and one for the fake that is always made of it, named after the same file."""
    return _scored(model, _self_blended(model.card, shards.read(folder, split, view)))


def _self_blended(card: ModelCard, examples: Iterator[Example]) -> Iterator[tuple[Example, images.Image]]:
    margin = card.faces.margin if card.faces else 0.0
    for example in (example for example in examples if example["label"] == REAL):
        image = _pixels(example, card.input_size, None)
        yield example, image
        fake = {**example, "label": FAKE, "generator": self_blending.GENERATOR}
        yield fake, self_blending.fixed(image, margin, example["sha256"], example["track"])


def _scored(model: Member, faces: Iterator[tuple[Example, images.Image]]) -> pd.DataFrame:
    """Return one row a face with its logit, see records.LOGITS."""
    score, rows = model.scorer(32), []
    while batch := list(islice(faces, 256)):
        logits = score(np.stack([image for _, image in batch]))
        rows += [{**example, "logit": float(z)} for (example, _), z in zip(batch, logits, strict=True)]
    return pd.DataFrame(rows, columns=LOGITS.names)


def _pixels(example: Example, size: int, jpeg_quality: int | None) -> images.Image:
    image = images.decode(example["image"], example["format"], CAP)
    if jpeg_quality is not None:
        image = images.compressed(image, jpeg_quality)
    return pixels.resize(image, size)


def media_logits(faces: pd.DataFrame) -> pd.DataFrame:
    """Return one row a media file: sha256, label, generator, source and its aggregated logit."""
    rows = [
        {**dict(zip(KEY, key, strict=True)), "logit": _joined(of_media)}
        for key, of_media in faces.groupby(KEY, sort=True)
    ]
    return pd.DataFrame(rows)


def _joined(faces: pd.DataFrame) -> float:
    return media_logit(faces["logit"].to_list(), faces["track"].to_list())
