"""Photographs per second of a scan with each model set, beside what its parts allow alone.

`FAUXSCAN_TEST_DATA=... python benchmarks/model_sets.py [SET ...] [--files N] [--rounds N]`. A set is its name, or a
folder with a separator in its path; the default is `fast` and `thorough`. The files are JPEGs of 1,024 px with one face
each: portraits, enlarged, with the noise of a sensor. Each side runs in a process of its own, in turns; libraries and
models are loaded before the clock starts.
"""

import argparse
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import page
from photographs import enlarged, pictures
from scan import BATCH, THREADS, WARM, decoded, files_of, in_threads, joined

from fauxscan import params
from fauxscan.media.faces.finder import FaceFinder
from fauxscan.media.images.codec import Image
from fauxscan.scanning import scan, settings
from fauxscan.scanning.engine.engine import Engine

COMMITTED = params.load(Path(__file__).parents[1] / "params.yaml")
SIDE, QUALITY, NOISE = 1024, 90, 3.0
SOURCES = ("stylegan_ffhq/real", "portraits/men_photos", "portraits/women_photos")
HALF = cv2.IMREAD_REDUCED_COLOR_2  # libjpeg decodes at half the size, from a part of the coefficients
TEXT = """Photographs per second from files to Parquet: {count} JPEGs of {side} px with one face each, {size:.0f} kB on
average, {threads} threads, medians of {rounds} rounds in which the sides take turns. The limit is what decoding, the
search for faces and the forward passes of a set's networks allow, each alone with all cores for its share of the time.

{table}

Decoding alone: {decoding:.0f} a second, and {halved:.0f} at half the size, which scans do not use. The search alone:
{searching:.0f}. Both together leave a set at most {before:.0f}."""


def photographs(count: int) -> Iterator[Image]:
    """Yield pictures of 1,024 px in which a scan finds one face."""
    finder, rng = FaceFinder(COMMITTED.faces), np.random.default_rng(1)
    for name in SOURCES:
        for small in islice(pictures(name, 2 * count), 2 * count):
            scale = SIDE / max(small.shape[:2])
            large = enlarged(small, round(small.shape[1] * scale), round(small.shape[0] * scale))
            image = np.clip(large + rng.normal(0, NOISE, large.shape), 0, 255).astype(np.uint8)
            if len(finder.find_faces(image)) == 1:
                yield image


def prepare(home: Path, count: int) -> None:
    """Write the files."""
    home.mkdir()
    for number, image in enumerate(islice(photographs(count), count)):
        quality = [cv2.IMWRITE_JPEG_QUALITY, QUALITY]
        cv2.imwrite(str(home / f"{number}.jpg"), cv2.cvtColor(image, cv2.COLOR_RGB2BGR), quality)


# === The sides: each gives photographs per second ===


def engine(named: str) -> Engine:
    """Return the engine that scans with a set."""
    return Engine(settings.read(COMMITTED, [named])).__enter__()  # open until the process ends


def ours(home: Path, named: str) -> float:
    """Scan the folder into tables."""
    made, results = engine(named), Path(tempfile.mkdtemp())
    scan.scan(home, results / "warm", made, names=[file.name for file in files_of(home)[:WARM]])
    start = time.perf_counter()
    ended = scan.scan(home, results / "timed", made)
    spent = time.perf_counter() - start
    shutil.rmtree(results)
    return sum(ended.statuses.values()) / spent


def decoding(home: Path) -> float:
    """Limit: decoding alone."""
    return in_threads(files_of(home), lambda: lambda file: decoded(0, file))


def halved(home: Path) -> float:
    """Decoding at half the size alone."""
    return in_threads(files_of(home), lambda: lambda file: cv2.imdecode(np.fromfile(file, np.uint8), HALF))


def searching(home: Path) -> float:
    """Limit: the search for faces alone, in decoded photographs."""
    images = [decoded(0, file) for file in files_of(home)]
    return in_threads(images, lambda: FaceFinder(COMMITTED.faces).find_faces)


def forward(home: Path, named: str) -> float:
    """Limit: the forward passes of all networks of a set alone, one after the other, on images in memory.

    All images differ, because a backbone remembers those that it has seen.
    """
    rng, members = np.random.default_rng(1), engine(named)._session._models().members
    batches = max(2, len(files_of(home)) // BATCH)
    return joined(*(_forward(member, batches, rng) for member in members))


def _forward(member: Any, batches: int, rng: np.random.Generator) -> float:
    size, score = member.card.input_size, member.scorer(BATCH)
    images = [rng.integers(0, 256, (BATCH, size, size, 3), np.uint8) for _ in range(batches + 1)]
    score(images[0])
    return BATCH * in_threads(images[1:], lambda: score)


# === Turns ===


def measured(side: str, *arguments: str) -> float:
    """Return what one side gives in a process of its own."""
    code = f"import pathlib, model_sets as m; print(m.{side}(pathlib.Path({arguments[0]!r}), *{arguments[1:]!r}))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=Path(__file__).parent, stdout=subprocess.PIPE, text=True, check=True
    )
    rate = float(done.stdout.split()[-1])
    print(f"{side} {arguments[1:]}: {rate:.1f}", flush=True)
    return rate


def report(rate: dict[tuple[str, ...], float], named: list[str], home: Path, rounds: int) -> str:
    """Return the section."""
    before, rows = joined(rate["decoding",], rate["searching",]), []
    for one in named:
        own, network = rate["ours", one], rate["forward", one]
        limit = joined(before, network)
        rows.append([one, f"{own:.1f}", f"{network:.0f}", f"{limit:.1f}", f"{own / limit:.2f}"])
    files, head = files_of(home), ["set", "scan", "networks alone", "limit", "scan to limit"]
    return TEXT.format(
        count=len(files), side=f"{SIDE:,}", size=statistics.mean(file.stat().st_size for file in files) / 1000,
        threads=THREADS, rounds=rounds, table=page.table(head, rows), before=before,
        **{name: rate[name,] for name in ("decoding", "halved", "searching")},
    )  # fmt: skip


def main() -> None:
    """Measure and write the section."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sets", nargs="*", metavar="SET", default=["fast", "thorough"])
    parser.add_argument("--files", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    named = [str(Path(one).resolve()) if "/" in one else one for one in given.sets]
    sides = [(side,) for side in ("decoding", "halved", "searching")]
    sides += [(side, one) for one in named for side in ("ours", "forward")]
    with tempfile.TemporaryDirectory() as made:
        home = Path(made) / "photographs"
        prepare(home, given.files)
        found: dict[tuple[str, ...], list[float]] = {side: [] for side in sides}
        for _ in range(given.rounds):
            for side, *arguments in sides:
                found[side, *arguments].append(measured(side, str(home), *arguments))
        rate = {side: statistics.median(rates) for side, rates in found.items()}
        body = report(rate, named, home, given.rounds)
    body = body.replace(f"{Path.cwd()}/", "")
    page.write("Model sets", " ".join(["python", "benchmarks/model_sets.py", *sys.argv[1:]]), body)
    print(body)


if __name__ == "__main__":
    main()
