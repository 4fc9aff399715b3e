"""Logits of a split, through the very decoder and resizer that scans use."""

from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fauxscan.judging.aggregation import media_logit
from fauxscan.media import images, pixels
from fauxscan.models import Model
from fauxscan.preparing import shards
from fauxscan.records import LOGITS, View

KEY = ["sha256", "label", "generator", "source"]  # what all faces of a media file share
CAP = 1 << 30  # pixels: shards hold only what passed the caps before


def face_logits(model: Model, folder: Path, split: str, view: View, jpeg_quality: int | None = None) -> pd.DataFrame:
    """Return one row a face (see records.LOGITS); with `jpeg_quality`, each face is compressed so before."""
    examples, score, rows = shards.read(folder, split, view), model.scorer(32), []
    while batch := list(islice(examples, 256)):
        seen = np.stack([_pixels(example, model.card.input_size, jpeg_quality) for example in batch])
        logits = score(seen)
        rows += [{**example, "logit": float(z)} for example, z in zip(batch, logits, strict=True)]
    return pd.DataFrame(rows, columns=LOGITS.names)


def _pixels(example: dict[str, Any], size: int, jpeg_quality: int | None) -> images.Image:
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
