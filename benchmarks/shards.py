"""Images per second that reach training: shards against Keras's readers of folders, on the same images in one run.

`FAUXSCAN_TEST_DATA=... python benchmarks/shards.py [--images N] [--rounds N]`: batches of 32 at 256 px, with the
first pass and later ones apart, without augmentation and with flips and rotations. One reader at a time runs, in its
own process.
"""

import argparse
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path
from statistics import median
from typing import Any

import page

SIZE, BATCH, DEGREES = 256, 32, 20
SEED = 1
OURS, GENERATOR, DIRECTORY = "shards", "flow_from_directory", "image_dataset_from_directory"
ROOT = Path(__file__).parents[1]


def prepare(folder: Path, images: int) -> None:
    """Lay out every n-th MesoNet training face as class folders in `media`, and the same faces as shards."""
    archives = Path(os.environ["FAUXSCAN_TEST_DATA"]) / "deepfake_database"
    for name, label in (("train-real.zip", "real"), ("train-df.zip", "df")):
        (folder / "media" / label).mkdir(parents=True)
        with zipfile.ZipFile(archives / name) as archive:
            members = sorted(member for member in archive.namelist() if member.endswith(".jpg"))
            for member in members[:: max(1, 12_352 // images)]:
                (folder / "media" / label / Path(member).name).write_bytes(archive.read(member))
    shard(folder)


def shard(folder: Path) -> None:
    """Run the stages on the folder; everything is in the training split."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from fauxscan import datasets, params
    from fauxscan.preparing.download import index
    from fauxscan.preparing.faces import table as faces_table
    from fauxscan.preparing.faces.extract import extract_faces
    from fauxscan.preparing.faces.extractor import FaceExtractor
    from fauxscan.preparing.shards.manifest import Framing
    from fauxscan.preparing.shards.write import write_shards
    from fauxscan.records import SPLIT

    settings, own, media = params.load(ROOT / "params.yaml"), datasets.get("folder"), folder / "media"
    examples = own.examples(media, {"real": "real", "df": "deepfake"})
    index.write(examples, media, folder / "index.parquet", own.CARD, None)
    extractor = FaceExtractor(media, "whole", settings.media, settings.faces)
    extract_faces(folder / "index.parquet", media, folder / "faces", extractor, 2)
    made = faces_table.read_outcomes(folder / "faces").to_pandas().assign(group="", split="train", source="")
    table = pa.Table.from_pandas(made[SPLIT.names], SPLIT, preserve_index=False)
    pq.write_table(table, folder / "split.parquet")
    framing = Framing(faces="whole", crops=settings.faces, reencode=None)
    stages = [folder / name for name in ("index.parquet", "faces", "split.parquet")]
    write_shards(*stages, folder / "shards", framing, settings.shards)


def ours(folder: Path, augmented: bool) -> Any:
    """Return our batches, with the cache that params.yaml allows."""
    from fauxscan import params
    from fauxscan.preparing.shards.read import Shards
    from fauxscan.records import Recipe, View
    from fauxscan.training.data import inputs

    augmentation = {"flip": {}, "rotation": {"degrees": DEGREES}} if augmented else {}
    recipe = Recipe(batch_size=BATCH, augmentation=augmentation)
    memory = params.load(ROOT / "params.yaml").shards.cache_bytes
    return inputs.training(Shards(folder / "shards"), View.WHOLE, SIZE, recipe, SEED, memory)


def generator(folder: Path, augmented: bool) -> Any:
    """Return Keras's older reader, one pass at a time as in `fit`."""
    from keras.src.legacy.preprocessing.image import ImageDataGenerator

    options = {"rotation_range": DEGREES, "horizontal_flip": True} if augmented else {}
    found = ImageDataGenerator(**options).flow_from_directory(
        folder / "media", target_size=(SIZE, SIZE), class_mode="binary", batch_size=BATCH, seed=SEED
    )
    return Passes(found)


class Passes:
    """One pass at a time over a generator that has no end."""

    def __init__(self, endless: Any) -> None:
        self.endless = endless

    def __iter__(self) -> Iterable[Any]:
        """Yield the batches of one pass."""
        return itertools.islice(self.endless, len(self.endless))


def directory(folder: Path, augmented: bool) -> Any:
    """Return Keras's newer reader with its default settings (it prefetches), augmented as in Keras's guide."""
    import keras
    import tensorflow as tf

    data = keras.utils.image_dataset_from_directory(folder / "media", label_mode="binary", seed=SEED)
    if not augmented:
        return data
    flip, turn = keras.layers.RandomFlip("horizontal"), keras.layers.RandomRotation(DEGREES / 360)
    data = data.map(lambda x, y: (turn(flip(x), training=True), y), num_parallel_calls=tf.data.AUTOTUNE)
    return data.prefetch(tf.data.AUTOTUNE)


SIDES: dict[str, Callable[[Path, bool], Any]] = {OURS: ours, GENERATOR: generator, DIRECTORY: directory}


def passes(name: str, folder: Path, augmented: bool, count: int) -> None:
    """Print the images per second and CPU milliseconds per image of each pass of one reader, after a warm-up batch."""
    import numpy as np

    next(iter(SIDES[name](folder, augmented)))  # loads libraries and files: no reader starts cold
    data, found = SIDES[name](folder, augmented), []
    for _ in range(count):
        start, spent = time.perf_counter(), time.process_time()
        images = sum(len(np.asarray(labels)) for _, labels in data)
        found.append((images / (time.perf_counter() - start), 1000 * (time.process_time() - spent) / images))
    print(json.dumps(found))


def measured(name: str, folder: Path, augmented: bool, count: int) -> list[tuple[float, float]]:
    """Return the passes of one reader, in a process of its own."""
    code = f"import shards, pathlib; shards.passes({name!r}, pathlib.Path({str(folder)!r}), {augmented}, {count})"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=Path(__file__).parent, stdout=subprocess.PIPE, text=True, check=True
    )
    return [tuple(found) for found in json.loads(done.stdout.splitlines()[-1])]


def compared(folder: Path, augmented: bool, rounds: int, count: int) -> list[list[object]]:
    """Return the rows of the table: all readers in turn, `rounds` times."""
    found: dict[str, list[list[tuple[float, float]]]] = {name: [] for name in SIDES}
    for _ in range(rounds):
        for name in SIDES:
            found[name].append(measured(name, folder, augmented, count))
            print("augmented" if augmented else "plain", name, found[name][-1], flush=True)
    kind = "flips, rotations" if augmented else "none"
    first = {name: [run[0] for run in runs] for name, runs in found.items()}
    later = {name: [one for run in runs for one in run[1:]] for name, runs in found.items()}
    return [row(kind, "first", first), row(kind, "later", later)]


def row(kind: str, which: str, found: dict[str, list[tuple[float, float]]]) -> list[object]:
    """Return medians and our ratios to each reader."""
    rate = {name: median(one[0] for one in runs) for name, runs in found.items()}
    cpu = {name: median(one[1] for one in runs) for name, runs in found.items()}
    rates = [f"{rate[name]:.0f}" for name in SIDES]
    ratios = [f"{rate[OURS] / rate[name]:.2f}" for name in (GENERATOR, DIRECTORY)]
    return [kind, which, *rates, *ratios, " / ".join(f"{cpu[name]:.2f}" for name in SIDES)]


def main() -> None:
    """Measure and write the section."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=12_352)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--augmented", action="store_true", help="Add flips and rotations, which take most of the time."
    )
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        prepare(Path(made), given.images)
        count = len(list((Path(made) / "media").rglob("*.jpg")))
        rows = compared(Path(made), given.augmented, given.rounds, 2 if given.augmented else 3)
    head = ["augmentation", "pass", *SIDES, f"to {GENERATOR}", f"to {DIRECTORY}", "CPU ms per image"]
    text = (
        f"Images per second that reach training: {count} faces of the MesoNet training set, {SIZE} px, batches of"
        f" {BATCH}, medians of {given.rounds} rounds. The goal is 3 times the speed of `{GENERATOR}`, and never less"
        f" than `{DIRECTORY}`. From the second pass on, our images are already decoded (`shards.cache_bytes`). In the"
        " first pass, averaging areas costs more than the peers' resizing, which skips pixels of large images."
    )
    title = "Images into training" + (", augmented" if given.augmented else "")
    page.write(
        title, " ".join(["python", "benchmarks/shards.py", *sys.argv[1:]]), f"{text}\n\n{page.table(head, rows)}"
    )


if __name__ == "__main__":
    main()
