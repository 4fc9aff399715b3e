"""Faces from video: the faces stage from index to Parquet, against the limit and against two usual ways.

    python benchmarks/faces.py

The clips of FAUXSCAN_TEST_DATA (clips/clips.zip) are looped; every side uses two threads or processes.
"""

import cProfile
import hashlib
import multiprocessing
import os
import pstats
import statistics
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path
from typing import Any

import av
import cv2
import page
import pyarrow as pa
import pyarrow.parquet as pq

from fauxscan import params
from fauxscan.media.faces import finder as media_faces
from fauxscan.media.faces import tracks
from fauxscan.media.faces.finder import FaceFinder
from fauxscan.media.images import pixels
from fauxscan.media.videos import reader, sampling
from fauxscan.media.videos.containers import Source
from fauxscan.media.videos.listing import Listing, list_shown
from fauxscan.params import FaceParams, MediaParams
from fauxscan.preparing.faces import extract
from fauxscan.preparing.faces import extractor as extracting
from fauxscan.preparing.faces.extractor import FaceExtractor
from fauxscan.records import INDEX

WORKERS, ROUNDS = 2, 3
SETTINGS = params.load(Path(__file__).parents[1] / "params.yaml")
# Loops over the clips in a round: about ten seconds of two cores, so that three rounds are a minute of work and more.
WAYS: dict[str, tuple[dict[str, Any], int]] = {
    "key frames": ({"sampling": "key_frames", "max_frames": 1000}, 20),
    "1 frame per second": ({"sampling": "per_second", "frames_per_second": 1.0, "max_frames": 1000}, 4),
    "5 frames per second": ({"sampling": "per_second", "frames_per_second": 5.0, "max_frames": 1000}, 1),
}
DLIB_SHARE, HAAR_SHARE = 0.02, 0.1  # of each clip, from its start: these sides take every frame, and long


def main() -> None:
    """Measure and write the section."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        with zipfile.ZipFile(Path(os.environ["FAUXSCAN_TEST_DATA"]) / "clips" / "clips.zip") as archive:
            archive.extractall(home)
        clips = sorted(home.rglob("*.mp4"))
        index(home, clips, home / "once.parquet", 1)
        load = os.getloadavg()[0]
        body = "\n\n".join([speed(home, clips), threads(home), missed(clips), batching(clips), profile(home)])
    end = os.getloadavg()[0]
    note = f"The load average on {os.cpu_count()} cores was {load:.1f} at the start and {end:.1f} at the end."
    page.write("Faces from video", "python benchmarks/faces.py", f"{note}\n\n{body}")
    print(note + "\n\n" + body)


def index(home: Path, clips: list[Path], file: Path, loops: int) -> None:
    """Write the index of the clips, each repeated `loops` times."""
    rows = [
        {"path": str(c.relative_to(home)), "sha256": hashlib.sha256(c.read_bytes()).hexdigest(),
         "size": c.stat().st_size, "label": 0, "source": c.stem, "identities": []} for c in clips
    ]  # fmt: skip
    pq.write_table(pa.Table.from_pylist(rows * loops, INDEX), file)


@cache
def frames_in(clip: Path) -> int:
    """Return the number of frames in a clip."""
    with av.open(str(clip)) as container:
        return sum(1 for packet in container.demux(video=0) if packet.size)


def timed(call: Callable[[], Any]) -> float:
    """Return the seconds that a call takes."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


# === Speed ===


def ours(home: Path, index: Path, media: MediaParams, found: FaceParams, workers: int = WORKERS) -> None:
    """The faces stage itself: index to Parquet."""
    with tempfile.TemporaryDirectory(dir=home) as out:
        extractor = FaceExtractor(home, "detect", media, found)
        extract.extract_faces(index, home, Path(out), extractor, workers)


@contextmanager
def single_threaded() -> Iterator[None]:
    """Keep OpenCV to the calling thread, as the stage does."""
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    yield
    cv2.setNumThreads(before)


@cache
def planned(clip: Path, media: MediaParams) -> tuple[Listing, sampling.SamplingPlan]:
    """Return the packets and the plan of what to decode, which the limit knows beforehand at no cost."""
    with clip.open("rb") as file:
        listing = list_shown(Source(file, "mov", media))
    return listing, sampling.plan_frames(listing.packets, listing.tick_s, media, ordered=True)


def limit(clips: list[Path], media: MediaParams) -> None:
    """The same packets decoded, and YuNet at the same working size on each sampled frame; nothing around it."""
    with single_threaded(), ThreadPoolExecutor(WORKERS) as pool:
        list(pool.map(partial(_bare, media=media), clips))


def _bare(clip: Path, media: MediaParams) -> None:
    (listing, wanted), size = planned(clip, media), SETTINGS.faces.working_size
    yunet = cv2.FaceDetectorYN.create(str(_yunet()), "", (320, 320), SETTINGS.faces.score, 0.3, 5000)
    with clip.open("rb") as file:
        for place, frame in reader._pictures(Source(file, "mov", media), listing, wanted, False, 1):
            if place in wanted.times:
                small, _ = pixels.halve_to(frame.to_ndarray(format="bgr24", threads=1), size)
                yunet.setInputSize((small.shape[1], small.shape[0]))
                yunet.detect(small)


@cache
def _yunet() -> Path:
    return media_faces.yunet_file()


def dlib_every_frame(clip: Path) -> int:
    """MesoNet's own way: each frame at full resolution through dlib's detector. Return the frames done."""
    import dlib

    detector, done = dlib.get_frontal_face_detector(), 0
    with av.open(str(clip)) as container:
        container.streams.video[0].thread_type = "NONE"
        for frame in container.decode(video=0):
            detector(frame.to_ndarray(format="rgb24", threads=1), 0)
            done += 1
            if done >= frames_in(clip) * DLIB_SHARE:
                return done
    return done


def haar_every_frame(clip: Path) -> int:
    """OpenCV alone: each frame read, grey, through a Haar cascade. Return the frames done."""
    cascade = cv2.CascadeClassifier(cv2.data.haarcascades + "haarcascade_frontalface_default.xml")
    video, done = cv2.VideoCapture(str(clip), cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1]), 0
    while done < frames_in(clip) * HAAR_SHARE:
        cascade.detectMultiScale(cv2.cvtColor(video.read()[1], cv2.COLOR_BGR2GRAY), 1.1, 3)
        done += 1
    return done


def speed(home: Path, clips: list[Path]) -> str:
    """Return the table of source frames per second, with the sides in turn."""
    rates: dict[tuple[str, str], list[float]] = {}
    footage = sum(map(frames_in, clips))
    full = SETTINGS.faces.model_copy(update={"search_every": 1})
    with ProcessPoolExecutor(WORKERS, multiprocessing.get_context("spawn")) as processes:
        list(processes.map(_warm, range(WORKERS * 4)))
        for _ in range(ROUNDS):
            for name, (update, loops) in WAYS.items():
                media = SETTINGS.media.model_copy(update=update)
                file = home / f"{loops}.parquet"
                index(home, clips, file, loops)
                limit(clips[:1], media)
                sides = {
                    "ours": partial(ours, home, file, media, SETTINGS.faces),
                    "limit": partial(limit, clips * loops, media),
                    "full": partial(ours, home, file, media, full),
                }
                for side, call in sides.items():
                    rates.setdefault((name, side), []).append(footage * loops / timed(call))
            for side, call in (("dlib", dlib_every_frame), ("haar", haar_every_frame)):
                pool: Any = processes
                with single_threaded():
                    start = time.perf_counter()
                    done = sum(pool.map(call, clips))
                    rates.setdefault(("every", side), []).append(done / (time.perf_counter() - start))
    middle = {key: statistics.median(values) for key, values in rates.items()}
    return _speed_table(middle)


def _warm(_: int) -> None:
    import dlib

    dlib.get_frontal_face_detector()
    cv2.setNumThreads(1)
    time.sleep(0.2)


def _speed_table(middle: dict[tuple[str, str], float]) -> str:
    dlib, haar = middle["every", "dlib"], middle["every", "haar"]
    head = [
        "frames",
        "ours",
        "(a) limit",
        "of (a)",
        "every sampled frame searched whole",
        "of (a)",
        "times (b)",
        "times (c)",
    ]
    rows: list[list[object]] = []
    for name in WAYS:
        mine, most, full = (middle[name, side] for side in ("ours", "limit", "full"))
        rows.append(
            [name, f"{mine:.0f}", f"{most:.0f}", f"{mine / most:.0%}", f"{full:.0f}", f"{full / most:.0%}",
             f"{mine / dlib:.0f}", f"{mine / haar:.0f}"]
        )  # fmt: skip
    return f"""Source frames per second, medians of {ROUNDS} rounds in which the sides take turns, on {WORKERS}
threads each (processes for (b) and (c)). Ours is the whole stage `faces`, from the index to Parquet: hashing,
decoding, finding, tracking, aligning, encoding and syncing, with `faces.search_every` at
{SETTINGS.faces.search_every}. (a) The limit: decoding the same packets by a plan known beforehand, and running YuNet
on each whole sampled frame at {SETTINGS.faces.working_size} pixels. Ours can beat this limit because it searches near
the last positions first. (b) Running dlib's detector on every frame at full resolution: {dlib:.1f} frames per second
on the first {DLIB_SHARE:.0%} of each clip. (c) Reading every frame with OpenCV and running a Haar cascade: {haar:.0f}
frames per second on the first {HAAR_SHARE:.0%}.

{page.table(head, rows)}"""


# === How many threads ===


def threads(home: Path) -> str:
    """Return the table of threads: files side by side, OpenCV's and the decoder's own."""
    media = SETTINGS.media.model_copy(update=WAYS["1 frame per second"][0])
    once = home / "once.parquet"
    quiet, original = extract.single_threaded_opencv, extracting.decode_media
    sides = {
        **{f"{n} files at once": (n, quiet, original) for n in (1, 2, 4)},
        "2 files, OpenCV with 2 threads": (2, _as_it_is, original),
        "2 files, each decoded by 2 threads": (2, quiet, partial(original, threads=2)),
        "1 file, OpenCV and decoder with 2 threads": (1, _as_it_is, partial(original, threads=2)),
    }
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(ROUNDS):
        for name, (workers, opencv, look) in sides.items():
            extract.single_threaded_opencv, extracting.decode_media = opencv, look  # type: ignore[assignment]
            seconds[name].append(timed(partial(ours, home, once, media, SETTINGS.faces, workers)))
    extract.single_threaded_opencv, extracting.decode_media = quiet, original
    best = statistics.median(seconds["2 files at once"])
    rows: list[list[object]] = [[name, f"{best / statistics.median(s):.2f}"] for name, s in seconds.items()]
    return "Speed with other numbers of threads, at 1 frame per second, relative to 2 files at once:\n\n" + page.table(
        ["threads", "speed"], rows
    )


@contextmanager
def _as_it_is() -> Iterator[None]:
    yield


# === Faces missed ===


def missed(clips: list[Path]) -> str:
    """Return the table of faces missed against a search of every sampled frame at full size."""
    media = SETTINGS.media.model_copy(update={"frames_per_second": 2.0, "max_frames": 1000})
    rows: list[list[object]] = []
    images = {clip: [f.image for f in reader.read_frames(clip.open("rb"), "mov", media)] for clip in clips}
    native = _found(images, 10_000, 1)[0]
    whole = _found(images, SETTINGS.faces.working_size, 1)[0]
    for size in (640, 480, 320):
        for every in (1, 2, 4, 8):
            found, seconds = _found(images, size, every)
            of_native, of_whole = _lost(native, found), _lost(whole, found)
            per_frame = 1000 * seconds / sum(map(len, images.values()))
            rows.append([size, every, of_native, f"{of_native / _count(native):.1%}", of_whole,
                         f"{of_whole / _count(whole):.1%}", _lost(found, native), f"{per_frame:.1f}"])  # fmt: skip
    head = ["size", "search_every", "of full size", "", f"of {SETTINGS.faces.working_size}", "", "beyond", "ms"]
    return f"""Faces missed at 2 frames per second. The columns compare with the {_count(native)} faces found at full
size in every sampled frame, and with the {_count(whole)} found in every sampled frame at
{SETTINGS.faces.working_size} pixels. `beyond` counts faces that were found, but not at full size. The last column is
processor milliseconds per sampled frame for finding faces alone.

{page.table(head, rows)}"""


Found = list[list[media_faces.Face]]


def _found(images: dict[Path, list[Any]], size: int, every: int) -> tuple[Found, float]:
    finder = FaceFinder(SETTINGS.faces.model_copy(update={"working_size": size, "search_every": every}))
    with single_threaded():
        start, found = time.process_time(), []
        for frames in images.values():
            watcher = tracks.VideoFaceFinder(finder)
            found += [watcher.find_faces(image, number / 2) for number, image in enumerate(frames)]
    return found, time.process_time() - start


def _lost(truth: Found, found: Found) -> int:
    pairs = zip(truth, found, strict=True)
    return sum(not any(media_faces.box_overlap(a, b) > 0.5 for b in there) for one, there in pairs for a in one)


def _count(found: Found) -> int:
    return sum(map(len, found))


# === Batches and profile ===


def batching(clips: list[Path]) -> str:
    """Return a sentence on how much faster YuNet is with batches of frames."""
    net = cv2.dnn.readNet(str(_yunet()))
    frame = next(reader.read_frames(clips[0].open("rb"), "mov", SETTINGS.media)).image
    times = {}
    with single_threaded():
        for batch in (1, 8):
            net.setInput(cv2.dnn.blobFromImages([cv2.resize(frame, (640, 384))] * batch))
            net.forward(net.getUnconnectedOutLayersNames())
            times[batch] = min(timed(lambda: net.forward(net.getUnconnectedOutLayersNames())) / batch for _ in range(5))
    gain = times[1] / times[8]
    return (
        "Batches: YuNet's ONNX file accepts batches in cv2.dnn. Per frame, batches of eight are"
        f" {gain:.2f} times as fast as single frames."
    )


PARTS = {
    "'decode' of 'av": "decoding", "'detect'": "YuNet", "imencode": "PNG", "'to_ndarray'": "RGB", "core.open": "opening"
}  # fmt: skip


def profile(home: Path) -> str:
    """Return the table of how one thread spends its time."""
    rows: list[list[object]] = []
    examples = pq.read_table(home / "once.parquet").to_pylist()
    for way, (update, _) in WAYS.items():
        extractor = FaceExtractor(home, "detect", SETTINGS.media.model_copy(update=update), SETTINGS.faces)
        extractor.extract(examples[0])
        with single_threaded(), cProfile.Profile() as profiler:
            for example in examples:
                extractor.extract(example)
        stats: Any = pstats.Stats(profiler)
        own = {function: entry[2] for (_, _, function), entry in stats.stats.items()}
        shares = [sum(spent for function, spent in own.items() if part in function) for part in PARTS]
        rows.append([way, *(f"{share / stats.total_tt:.0%}" for share in [*shares, stats.total_tt - sum(shares)])])
    return "How one thread spends its time:\n\n" + page.table(["frames", *PARTS.values(), "everything else"], rows)


if __name__ == "__main__":
    main()
