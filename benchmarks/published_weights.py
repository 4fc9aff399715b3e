"""The authors' weights of MesoNet on the available part of their validation set, and the effect of resizing.

The authors' tools took the nearest pixel when they resized; fauxscan averages areas when it shrinks a face and
interpolates when it enlarges one, for every model alike. Both are measured.
"""

import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import page
import pandas as pd
from numpy.typing import NDArray
from PIL import Image as Pillow

from fauxscan import models, params
from fauxscan.judging import metrics
from fauxscan.media.images import pixels
from fauxscan.params import Params
from fauxscan.preparing.download import unpack
from fauxscan.records import FAKE, REAL
from fauxscan.weights import importing

NETWORKS = {"Meso4": "meso4", "MesoInception": "mesoinception4"}
Image = NDArray[np.uint8]


def nearest(image: Image, size: int) -> Image:
    """Return the image resized to the nearest pixels, as Keras 2 loads it."""
    return np.asarray(Pillow.fromarray(image).resize((size, size), Pillow.Resampling.NEAREST))


WAYS: dict[str, Callable[[Image, int], Image]] = {"fauxscan's": pixels.resize, "nearest": nearest}


def main() -> None:
    """Measure and write the section."""
    data, settings = Path(os.environ["FAUXSCAN_TEST_DATA"]), params.load()
    with tempfile.TemporaryDirectory() as unpacked:
        folder = Path(unpacked)
        unpack.unpack(data / "deepfake_database" / "validation-part.zip", folder)
        unpack.unpack(data / "mesonet_weights" / "mesonet_weights.zip", folder)
        frames = list(read(folder / "validation"))
        table = pd.DataFrame(frames, columns=["image", "label", "source"])
        rows = [
            row
            for which in ("DF", "F2F")
            for name in NETWORKS
            for row in measured(folder, f"{name}_{which}", table, settings)
        ]
    page.write("The authors' weights of MesoNet", "python benchmarks/published_weights.py", body(rows, table))


def read(folder: Path) -> Iterator[tuple[Image, int, str]]:
    """Yield each frame with its label and video."""
    for label, kind in ((REAL, "real"), (FAKE, "df")):
        for file in sorted((folder / kind).glob("*.jpg")):
            image = np.asarray(Pillow.open(file).convert("RGB"))
            yield image, label, f"{kind}/{file.stem.partition('_')[0]}"


def measured(folder: Path, weights: str, table: pd.DataFrame, settings: Params) -> Iterator[list[object]]:
    """Yield a row of figures for each way of resizing."""
    out = folder / "models" / weights
    detector = NETWORKS[weights.partition("_")[0]]
    importing.import_weights(folder / "weights" / f"{weights}.h5", out, detector, {}, REAL, settings.faces)
    score, size = models.load(out).scorer(32), 256
    for way, resize in WAYS.items():
        logits = score(np.stack([resize(image, size) for image in table["image"]]))
        frames = table[["label", "source"]].assign(p_fake=1 / (1 + np.exp(-logits.astype(np.float64))))
        videos = frames.groupby("source", as_index=False).mean()
        yield [weights, way, *told(frames, settings), *told(videos, settings)]


def told(scored: pd.DataFrame, settings: Params) -> list[str]:
    """Return accuracy at 0.5 and AUC with their intervals."""
    found = metrics.figures(
        scored.assign(label=scored["label"].astype(int)), 0.5, 0.5, settings.evaluate, settings.seed
    )
    return [f"{found[n]:.3f} ({found[f'{n}_low']:.3f} to {found[f'{n}_high']:.3f})" for n in ("accuracy", "auc")]


def body(rows: list[list[object]], table: pd.DataFrame) -> str:
    """Return the section's text."""
    head = ["weights", "resized", "frames: accuracy at 0.5", "frames: AUC", "videos: accuracy at 0.5", "videos: AUC"]
    counts = table["label"].value_counts()
    return f"""
{counts[REAL]} real and {counts[FAKE]} deepfake frames of {table["source"].nunique()} videos, a quarter of the set on
which the authors report 0.891 for Meso4 and 0.917 for MesoInception4 by frame. A video's score is the
mean of the scores of its frames. The intervals are 95 %, resampled by video. The F2F weights were trained on Face2Face
and are not intended for these fakes.

{page.table(head, rows)}
"""


if __name__ == "__main__":
    main()
