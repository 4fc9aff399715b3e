"""Pictures, and what becomes of them in the stages `download` and `faces`."""

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image as Pillow

from fauxscan import datasets
from fauxscan.params import AlignParams, Params
from fauxscan.preparing import faces, faces_table
from fauxscan.preparing import index as indexing
from fauxscan.records import FACES, Example


def picture(seed: int, size: int = 64) -> NDArray[np.uint8]:
    """Smooth noise, so that perceptual hashes of two seeds are far apart."""
    small = np.random.default_rng(seed).integers(0, 256, (8, 8, 3)).astype(np.uint8)
    return np.asarray(Pillow.fromarray(small).resize((size, size), Pillow.Resampling.BICUBIC))


def save(path: Path, image: NDArray[np.uint8], quality: int = 90) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Pillow.fromarray(image).save(path, quality=quality)


def made_faces(
    folder: Path, examples: list[Example], mode: str, settings: Params, align: AlignParams | None = None
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """What the stage `faces` makes of the examples in `folder`/m: its rows of files, and of faces."""
    indexing.write(examples, folder / "m", folder / "i.parquet", datasets.get("demo").CARD, None)
    maker = faces.FaceMaker(folder / "m", mode, settings.media, settings.faces, align)
    faces.make_faces(folder / "i.parquet", folder / "m", folder / "faces", maker, 2)
    made = faces_table.read_made(folder / "faces").to_pandas()
    return made, faces_table.read_faces(folder / "faces", FACES.names).to_pandas()
