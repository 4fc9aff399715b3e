"""Pictures, and what the stages from `download` to `mixture` make of them."""

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image as Pillow

from fauxscan import datasets
from fauxscan.params import Params, Reencoding
from fauxscan.preparing.download import index as indexing
from fauxscan.preparing.faces import table
from fauxscan.preparing.faces.extract import extract_faces
from fauxscan.preparing.faces.extractor import FaceExtractor
from fauxscan.preparing.mixture.write import write_mixture
from fauxscan.preparing.shards.manifest import Framing
from fauxscan.preparing.shards.write import write_shards
from fauxscan.preparing.split import assign
from fauxscan.records import FACES, Example


def picture(seed: int, size: int = 64) -> NDArray[np.uint8]:
    """Return smooth noise: the perceptual hashes of two seeds are far apart."""
    small = np.random.default_rng(seed).integers(0, 256, (8, 8, 3)).astype(np.uint8)
    return np.asarray(Pillow.fromarray(small).resize((size, size), Pillow.Resampling.BICUBIC))


def save(path: Path, image: NDArray[np.uint8], quality: int = 90) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Pillow.fromarray(image).save(path, quality=quality)


def made_faces(
    folder: Path, examples: list[Example], mode: str, settings: Params, reencode: Reencoding = None
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the tables that the stage `faces` writes for the examples in `folder`/m: outcomes of files, and faces."""
    indexing.write_index(examples, folder / "m", folder / "i.parquet", datasets.get("demo").CARD, None)
    extractor = FaceExtractor(folder / "m", mode, settings.media, settings.faces, reencode, settings.seed)
    extract_faces(folder / "i.parquet", folder / "m", folder / "faces", extractor, 2)
    made = table.read_outcomes(folder / "faces").to_pandas()
    return made, table.read_faces(folder / "faces", FACES.names).to_pandas()


def split_files(folder: Path, settings: Params) -> None:
    """Run the stage `split` on what `made_faces` left; a shortcut is only a warning."""
    warn = settings.split.model_copy(update={"on_shortcut": "warn"})
    assign.split(folder / "faces", folder / "split.parquet", folder / "audit.json", warn, 1)


def shard_files(folder: Path, out: Path, settings: Params, per_shard: int | None = None) -> Path:
    """Run the stage `shards` on images that were taken whole, and return the folder of shards."""
    framing = Framing(faces="whole", crops=settings.faces, reencode=None)
    params = settings.shards.model_copy(update={"examples_per_shard": per_shard or settings.shards.examples_per_shard})
    made = [folder / name for name in ("i.parquet", "faces", "split.parquet")]
    write_shards(*made, out, framing, params)
    return out


def shard_bright_fakes(folder: Path, settings: Params) -> None:
    """Write shards of 120 pictures whose fakes are brighter: anything that learns tells them apart."""
    examples = []
    for n in range(120):
        image = picture(n, 48) // 2 + (110 if n % 2 else 0)
        save(folder / "m" / f"{n}.jpg", image.astype(np.uint8))
        examples.append(Example(f"{n}.jpg", n % 2, f"s{n}", "bright" if n % 2 else None))
    made_faces(folder, examples, "whole", settings)
    split_files(folder, settings)
    shard_files(folder, folder / "shards" / "demo", settings)


def mix(folder: Path, name: str, settings: Params) -> tuple[Path, Path]:
    """Run the stage `mixture` on the shards in `folder`/shards; return the manifest and the folder of shards."""
    out = folder / "mixtures" / f"{name}.json"
    write_mixture(name, settings.model(name), folder / "shards", out, settings.split)
    return out, folder / "shards"
