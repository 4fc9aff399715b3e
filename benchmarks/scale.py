"""Index, faces, split and shards over many small images: is time linear and memory flat in their number?

`python benchmarks/scale.py [SMALL LARGE] [--stages index,faces,split,shards]`: makes the images in a temporary folder.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import page

SIDE = 32  # pixels
FRAMES = 10  # files of one source
STAGES = ("index", "faces", "split", "shards")
ROOT = Path(__file__).parents[1]


def make(folder: Path, count: int) -> None:
    """Write `count` JPEGs of noise, half in `camera`, half in `gan`, ten to a folder: no two look alike."""
    import cv2
    import numpy as np

    random = np.random.default_rng(1)
    for n in range(0, count, FRAMES):
        source = folder / ("camera", "gan")[n // FRAMES % 2] / f"{n // FRAMES:06d}"
        source.mkdir(parents=True)
        for frame in range(FRAMES):
            noise = random.integers(0, 256, (SIDE, SIDE, 3), np.uint8)
            (source / f"{frame}.jpg").write_bytes(cv2.imencode(".jpg", noise)[1].tobytes())


def index(folder: Path) -> None:
    """The stage `download`, from the files on."""
    from fauxscan import datasets
    from fauxscan.preparing.download import index as indexing

    own = datasets.get("folder")
    examples = own.examples(folder / "media", {"camera": "real", "gan": "noise"})
    indexing.write_index(examples, folder / "media", folder / "index.parquet", own.CARD, None)


def faces(folder: Path) -> None:
    """The stage `faces`, images taken whole."""
    from fauxscan import params
    from fauxscan.preparing.faces.extract import extract_faces
    from fauxscan.preparing.faces.extractor import FaceExtractor

    settings = params.load(ROOT / "params.yaml")
    extractor = FaceExtractor(folder / "media", "whole", settings.media, settings.faces)
    extract_faces(folder / "index.parquet", folder / "media", folder / "faces", extractor, 2)


def split(folder: Path) -> None:
    """The stage `split`."""
    from fauxscan import params
    from fauxscan.preparing.split import assign

    settings = params.load(ROOT / "params.yaml")
    assign.split(folder / "faces", folder / "split.parquet", folder / "audit.json", settings.split, settings.seed)


def shards(folder: Path) -> None:
    """The stage `shards`."""
    from fauxscan import params
    from fauxscan.preparing.shards.manifest import Framing
    from fauxscan.preparing.shards.write import write_shards

    settings = params.load(ROOT / "params.yaml")
    framing = Framing(faces="whole", crops=settings.faces, reencode=None)
    inputs = [folder / name for name in ("index.parquet", "faces", "split.parquet")]
    write_shards(*inputs, folder / "shards", framing, settings.shards)


class Cost(NamedTuple):
    """What a stage took, its imports included."""

    seconds: float
    cpu: float  # seconds, which other work on the machine lengthens less
    peak: float  # MiB resident


def measured(name: str, folder: Path) -> Cost:
    """Return what a stage takes in a process of its own."""
    code = "import sys, scale, pathlib; scale.report(sys.argv[1], pathlib.Path(sys.argv[2]))"
    command = [sys.executable, "-c", code, name, str(folder)]
    done = subprocess.run(command, cwd=Path(__file__).parent, stdout=subprocess.PIPE, text=True, check=True)
    return Cost(*json.loads(done.stdout.splitlines()[-1]))


def report(name: str, folder: Path) -> None:
    """Run a stage and print its cost."""
    start = time.perf_counter()
    {stage.__name__: stage for stage in (index, faces, split, shards)}[name](folder)
    seconds, used = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF)
    print(json.dumps([seconds, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024]))


def run(count: int, names: list[str]) -> dict[str, Cost]:
    """Return what each stage takes for `count` images."""
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        make(Path(folder) / "media", count)
        for name in names:
            found[name] = measured(name, Path(folder))
            print(count, name, found[name], flush=True)
    return found


def row(name: str, one: Cost, other: Cost) -> list[object]:
    """Return a line of the table: each cost at both sizes, and the ratio."""
    pairs = zip(one, other, ("{:.1f}", "{:.1f}", "{:.0f}"), strict=True)
    return [name, *(f"{form.format(a)}, {form.format(b)}: {b / a:.2f}" for a, b, form in pairs)]


def main() -> None:
    """Measure at two sizes and write the section."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("counts", type=int, nargs="*", default=[20_000, 200_000])
    parser.add_argument("--stages", default=",".join(STAGES))
    given = parser.parse_args()
    small, large = given.counts
    one, other = (run(count, given.stages.split(",")) for count in (small, large))
    rows = [row(name, one[name], other[name]) for name in one]
    head = ["stage", "seconds", "seconds of CPU", "peak MiB"]
    text = (
        f"Generated JPEGs of {SIDE} px, {FRAMES} per source. Each stage runs in a fresh process, and its imports are"
        f" included. The figures are for {small:,} images, for {large:,} images, and their ratio:"
        f" {large / small:.0f} or less is linear in time, and about 1 is flat in memory.\n\n"
    )
    page.write("Scale", f"python benchmarks/scale.py {small} {large}", text + page.table(head, rows))


if __name__ == "__main__":
    main()
