"""Images per second of a scan, from files to Parquet, compared with other tools and with the limits of the machine.

`FAUXSCAN_TEST_DATA=... python benchmarks/scan.py [--rounds N] [--images N]`: the validation part of the MesoNet faces
through the authors' Meso-4, taken whole; the same through an untrained frequency CNN; and photographs that are searched
for faces. Each side runs in a process of its own, in turns; libraries and models are loaded before the clock starts,
ours by a scan of some images.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import page

ROOT = Path(__file__).parents[1]
DATA = Path(os.environ.get("FAUXSCAN_TEST_DATA", ""))
BATCH, SIZE, THREADS = 32, 256, len(os.sched_getaffinity(0))
ENGINES = {"OpenVINO": "float32", "OpenVINO, bfloat16": "bfloat16", "TensorFlow": "float32"}
WARM = 64  # images that are scanned before the clock starts
TEXT = """Images per second from files to Parquet, {count} crops of faces, {threads} threads, medians of {rounds}
rounds in which the sides take turns. (a) The MesoNet package's way, `flow_from_directory` and `predict`:
{package:.0f}. (b) A plain loop with decoding threads and a `tf.function`: {loop:.0f}. (c) The limit: decoding and
resizing alone ({decoding:.0f}), with YuNet alone ({searching:.0f}) if faces are detected, and the forward pass alone
on images in memory, one after the other with all cores. The goals for OpenVINO are 1.7 times (a) and 90 % of (c). The
frequency CNN is {times:.1f} times as fast as the 25 images per second of the cross-domain write-up; the goal is 15.

{table}

The parts alone, in images per second: {parts}; decoding to 224 px {dct_decoding:.0f}; decoding photographs
{faces_decoding:.0f}. Walking, hashing and writing Parquet take {share:.1%} of what all cores do meanwhile (goal:
below 5 %)."""


def prepare(home: Path, images: int) -> None:
    """Write the images, and the models: the authors' Meso-4 and an untrained frequency CNN."""
    with zipfile.ZipFile(DATA / "deepfake_database" / "validation-part.zip") as packed:
        members = [member for member in sorted(packed.namelist()) if member.endswith(".jpg")][:images]
        packed.extractall(home / "crops", members)
    with zipfile.ZipFile(DATA / "stylegan_ffhq" / "real.zip") as packed:
        members = [member for member in sorted(packed.namelist()) if not member.endswith("/")][:images]
        packed.extractall(home / "photographs", members)
    weights = home / "weights"
    with zipfile.ZipFile(DATA / "mesonet_weights" / "mesonet_weights.zip") as packed:
        packed.extractall(weights)
    subprocess.run([sys.executable, __file__, "--make-models", str(home)], check=True)


def make_models(home: Path) -> None:
    """Write the two model folders."""
    from fauxscan import detectors, models, params
    from fauxscan.models import ModelCard, TrainedOn
    from fauxscan.records import Recipe, View
    from fauxscan.weights import importing

    faces = params.load(ROOT / "params.yaml").faces
    (file,) = (home / "weights").rglob("Meso4_DF.h5")
    importing.import_weights(file, home / "meso4", "meso4", {}, 0, faces, "")
    network = detectors.build("dct_cnn", {})
    card = ModelCard(
        name="dct_cnn", detector="dct_cnn", options={}, input_size=224, looks_at=View.WHOLE, faces=None,
        recipe=Recipe(), trained_on=TrainedOn(dataset="", faces="whole", split_digest="", proof_of_machinery=True),
        figures={}, licence="", model_digest=models.digest(network),
    )  # fmt: skip
    models.save(home / "dct_cnn", network, card)


# === The sides: each gives images per second ===


def files_of(folder: Path) -> list[Path]:
    """Return the files below a folder."""
    return sorted(path for path in folder.rglob("*") if path.is_file())


def engine(home: Path, model: str, mode: str, name: str) -> Any:
    """Return our engine with one of the engines that run networks, warm: after a scan of some images."""
    from fauxscan import params
    from fauxscan.scanning import scan, settings
    from fauxscan.scanning.engine.engine import Engine

    committed = params.load(ROOT / "params.yaml")
    values = {"engine": name.partition(",")[0].lower(), "precision": ENGINES[name]}
    chosen = settings.read(params.changed(committed, "scan", values), [home / model], mode)  # type: ignore[arg-type]
    made = Engine(chosen).__enter__()  # open until the process ends
    folder = home / ("crops" if mode == "whole" else "photographs")
    names = [str(path.relative_to(folder)) for path in files_of(folder)[:WARM]]
    with tempfile.TemporaryDirectory(dir=home) as results:
        scan.scan(folder, Path(results), made, names=names)
    return made


def ours(home: Path, model: str, images: str, mode: str, name: str) -> float:
    """Scan the folder into tables."""
    from fauxscan.scanning import scan

    made, results = engine(home, model, mode, name), Path(tempfile.mkdtemp(dir=home))
    start = time.perf_counter()
    ended = scan.scan(home / images, results, made)
    spent = time.perf_counter() - start
    shutil.rmtree(results)
    return sum(ended.statuses.values()) / spent


def package(home: Path) -> float:
    """The MesoNet package's way: Keras's reader of folders, and `predict`."""
    from keras.src.legacy.preprocessing.image import ImageDataGenerator

    from fauxscan import models

    network = models.load(home / "meso4").network
    flow = ImageDataGenerator().flow_from_directory(
        home / "crops", target_size=(SIZE, SIZE), batch_size=BATCH, shuffle=False, class_mode="binary"
    )
    network.predict(flow[0][0], verbose=0)
    start = time.perf_counter()
    found = network.predict(flow, verbose=0)
    return len(found) / (time.perf_counter() - start)


def loop(home: Path) -> float:
    """A plain loop: threads decode and resize, a `tf.function` takes batch after batch."""
    import numpy as np

    from fauxscan import models

    scorer, files = models.load(home / "meso4").scorer(BATCH), files_of(home / "crops")
    scorer(np.zeros((BATCH, SIZE, SIZE, 3), np.uint8))
    start = time.perf_counter()
    with ThreadPoolExecutor(THREADS) as pool:
        waiting = list(pool.map(partial(decoded, SIZE), files[:BATCH]))
        for begin in range(BATCH, len(files) + BATCH, BATCH):
            coming = [pool.submit(decoded, SIZE, file) for file in files[begin : begin + BATCH]]
            scorer(np.stack(waiting))
            waiting = [one.result() for one in coming]
    return len(files) / (time.perf_counter() - start)


def decoded(size: int, file: Path) -> Any:
    """Return an image at the size of a model."""
    import cv2
    import numpy as np

    from fauxscan.media.images import pixels

    image = cv2.imdecode(np.fromfile(file, np.uint8), cv2.IMREAD_COLOR_RGB)
    return pixels.resize(image, size) if size else image


def in_threads(items: list[Any], made: Callable[[], Callable[[Any], object]]) -> float:
    """Return how many items a second so many threads do as there are cores, each with a function of its own."""
    import cv2

    cv2.setNumThreads(1)
    parts = [items[n::THREADS] for n in range(THREADS)]
    functions = [made() for _ in parts]

    def work(number: int) -> None:
        for item in parts[number]:
            functions[number](item)

    start = time.perf_counter()
    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(work, range(THREADS)))
    return len(items) / (time.perf_counter() - start)


def decoding(home: Path, images: str, size: int) -> float:
    """Limit: decoding and resizing alone."""
    return in_threads(files_of(home / images), lambda: partial(decoded, size))


def searching(home: Path) -> float:
    """Limit: YuNet alone, on decoded photographs."""
    from fauxscan import params
    from fauxscan.media.faces.finder import FaceFinder

    images = [decoded(0, file) for file in files_of(home / "photographs")]
    faces = params.load(ROOT / "params.yaml").faces
    return in_threads(images, lambda: FaceFinder(faces).find_faces)


def chores(home: Path) -> float:
    """Walk, hash and Parquet alone, in one thread: what a scan of the crops finds, read and written again."""
    from fauxscan import params
    from fauxscan.media.files import opened
    from fauxscan.scanning import scan
    from fauxscan.scanning.inputs.local import Walk
    from fauxscan.scanning.tables import commits, parquet, schemas

    results, media = Path(tempfile.mkdtemp(dir=home)), params.load(ROOT / "params.yaml").media
    scan.scan(home / "crops", results, engine(home, "meso4", "whole", "OpenVINO"))
    rows, scores = (parquet.read(results, schema).to_pylist() for schema in (schemas.MEDIA, schemas.SCORES))
    again = commits.Commits(results, "20990101T000000000000Z-000000", 16)
    again.begin({"run_id": again.run_id})
    start = time.process_time()
    for entry in Walk(home / "crops"):
        with opened(home / "crops" / entry.path, media):
            pass
    for begin in range(0, len(rows), 256):
        again.stage(rows[begin : begin + 256], scores[begin : begin + 256])
    again.publish()
    return len(rows) / (time.process_time() - start)


def forward(home: Path, model: str, name: str, size: int) -> float:
    """Limit: the forward pass alone, on images in memory."""
    import numpy as np

    member = engine(home, model, "whole", name)._session._models().members[0]
    score = member.scorer(BATCH)
    images = np.random.default_rng(1).integers(0, 256, (BATCH, size, size, 3), np.uint8)
    score(images)
    return BATCH * in_threads([images] * 40, lambda: score)


def joined(*rates: float) -> float:
    """Return what several steps allow together, each with all cores for its share of the time."""
    return 1 / sum(1 / rate for rate in rates)


# === Turns ===


def measured(home: Path, side: str, *arguments: object) -> float:
    """Return what one side gives in a process of its own."""
    code = f"import pathlib, scan; print(scan.{side}(pathlib.Path({str(home)!r}), *{arguments!r}))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=Path(__file__).parent, stdout=subprocess.PIPE, text=True, check=True
    )
    rate = float(done.stdout.split()[-1])
    print(f"{side} {arguments}: {rate:.0f}", flush=True)
    return rate


def sides() -> Iterator[tuple[str, str, tuple[object, ...]]]:
    """Give a name, a function and its arguments for all that is measured."""
    for name in ENGINES:
        yield f"ours {name}", "ours", ("meso4", "crops", "whole", name)
        yield f"forward {name}", "forward", ("meso4", name, SIZE)
    yield "package", "package", ()
    yield "loop", "loop", ()
    yield "decoding", "decoding", ("crops", SIZE)
    yield "dct", "ours", ("dct_cnn", "crops", "whole", "OpenVINO")
    yield "dct forward", "forward", ("dct_cnn", "OpenVINO", 224)
    yield "dct decoding", "decoding", ("crops", 224)
    yield "faces", "ours", ("meso4", "photographs", "detect", "OpenVINO")
    yield "faces decoding", "decoding", ("photographs", 0)
    yield "searching", "searching", ()
    yield "chores", "chores", ()


def report(rate: dict[str, float], rounds: int, count: int) -> str:
    """Return the section."""
    rows = []
    for name in ENGINES:
        own, limit = rate[f"ours {name}"], joined(rate["decoding"], rate[f"forward {name}"])
        against = [own / rate["package"], own / rate["loop"], own / limit]
        rows.append([f"Meso-4, {name}", f"{own:.0f}", *[f"{one:.2f}" for one in against], f"{limit:.0f}"])
    limit = joined(rate["dct decoding"], rate["dct forward"])
    rows.append(["frequency CNN, OpenVINO", f"{rate['dct']:.0f}", "", "", f"{rate['dct'] / limit:.2f}", f"{limit:.0f}"])
    limit = joined(rate["faces decoding"], rate["searching"], rate["forward OpenVINO"])
    rows.append(
        ["Meso-4, with face detection", f"{rate['faces']:.0f}", "", "", f"{rate['faces'] / limit:.2f}", f"{limit:.0f}"]
    )
    head = ["scan", "images per second", "to (a)", "to (b)", "to (c)", "(c)"]
    parts = ", ".join(f"{name} {rate[name]:.0f}" for name in sorted(rate) if "forward" in name)
    return TEXT.format(
        count=count, rounds=rounds, threads=THREADS, parts=parts, table=page.table(head, rows), times=rate["dct"] / 25,
        share=rate["ours OpenVINO"] / rate["chores"] / THREADS,
        **{name.replace(" ", "_"): value for name, value in rate.items()},
    )  # fmt: skip


def main() -> None:
    """Measure and write the section."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--images", type=int, default=1779)
    parser.add_argument("--make-models", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.make_models:
        make_models(given.make_models)
        return
    with tempfile.TemporaryDirectory() as made:
        prepare(Path(made), given.images)
        found: dict[str, list[float]] = {name: [] for name, *_ in sides()}
        for _ in range(given.rounds):
            for name, side, arguments in sides():
                found[name].append(measured(Path(made), side, *arguments))
        rate = {name: statistics.median(rates) for name, rates in found.items()}
        count = len(files_of(Path(made) / "crops"))
    page.write("Scans", " ".join(["python", "benchmarks/scan.py", *sys.argv[1:]]), report(rate, given.rounds, count))


if __name__ == "__main__":
    main()
