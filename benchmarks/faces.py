"""Faces from video: the faces stage from index to Parquet, against the limit and against two usual ways.

    python benchmarks/faces.py

The clips of FAUXSCAN_TEST_DATA (clips/clips.zip) are looped; every side works on two threads or processes.
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
from fauxscan.media import faces as media_faces
from fauxscan.media import pixels, sampling, tracks, videos
from fauxscan.media.faces import FaceFinder
from fauxscan.params import FaceParams, MediaParams
from fauxscan.preparing import faces
from fauxscan.records import INDEX

WORKERS, ROUNDS = 2, 3
SETTINGS = params.load(Path(__file__).parents[1] / "params.yaml")
# Loops over the clips in a round: about ten seconds of two cores, so that three rounds are a minute of work and more.
WAYS: dict[str, tuple[dict[str, Any], int]] = {
    "key frames": ({"sampling": "key_frames", "max_frames": 1000}, 20),
    "1 frame a second": ({"sampling": "per_second", "frames_per_second": 1.0, "max_frames": 1000}, 4),
    "5 frames a second": ({"sampling": "per_second", "frames_per_second": 5.0, "max_frames": 1000}, 1),
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
    note = f"Load average {load:.1f} when it began, {os.getloadavg()[0]:.1f} when it ended, on {os.cpu_count()} cores."
    page.write("Faces from video", "python benchmarks/faces.py", f"{note}\n\n{body}")
    print(note + "\n\n" + body)


def index(home: Path, clips: list[Path], file: Path, loops: int) -> None:
    """Write the index of the clips, each so many times."""
    rows = [
        {"path": str(c.relative_to(home)), "sha256": hashlib.sha256(c.read_bytes()).hexdigest(),
         "size": c.stat().st_size, "label": 0, "source": c.stem, "identities": []} for c in clips
    ]  # fmt: skip
    pq.write_table(pa.Table.from_pylist(rows * loops, INDEX), file)


@cache
def frames_in(clip: Path) -> int:
    """Return how many frames a clip has."""
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
        maker = faces.FaceMaker(home, "detect", media, found)
        faces.make_faces(index, home, Path(out), maker, workers)


@contextmanager
def single_threaded() -> Iterator[None]:
    """Keep OpenCV to the calling thread, as the stage does."""
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    yield
    cv2.setNumThreads(before)


@cache
def planned(clip: Path, media: MediaParams) -> sampling.Plan:
    """Return what is to be decoded: for the limit it is known beforehand, at no cost."""
    with av.open(str(clip)) as container:
        stream = container.streams.video[0]
        return sampling.plan(videos._packets(container, stream), float(stream.time_base), media, ordered=True)


def limit(clips: list[Path], media: MediaParams) -> None:
    """The same packets decoded, and YuNet at the same working size on each sampled frame; nothing around it."""
    with single_threaded(), ThreadPoolExecutor(WORKERS) as pool:
        list(pool.map(partial(_bare, media=media), clips))


def _bare(clip: Path, media: MediaParams) -> None:
    wanted, size = planned(clip, media), SETTINGS.faces.working_size
    yunet = cv2.FaceDetectorYN.create(str(_yunet()), "", (320, 320), SETTINGS.faces.score, 0.3, 5000)
    with av.open(str(clip)) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_type = "NONE"
        for place, frame in videos._pictures(container, stream, wanted, False, 1):
            if place in wanted.times:
                small, _ = pixels.shrink_to(frame.to_ndarray(format="bgr24", threads=1), size)
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
    """Return the table of source frames a second, the sides taken in turn."""
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
    head = ["frames", "ours", "(a) limit", "of (a)", "every frame searched whole", "of (a)", "times (b)", "times (c)"]
    rows: list[list[object]] = []
    for name in WAYS:
        mine, most, full = (middle[name, side] for side in ("ours", "limit", "full"))
        rows.append(
            [name, f"{mine:.0f}", f"{most:.0f}", f"{mine / most:.0%}", f"{full:.0f}", f"{full / most:.0%}",
             f"{mine / dlib:.0f}", f"{mine / haar:.0f}"]
        )  # fmt: skip
    return f"""Source frames a second, medians of {ROUNDS} rounds in which the sides take turns, on {WORKERS} threads
((b) and (c): processes) each. Ours is the whole faces stage, from the index to Parquet: hashed, decoded, searched,
tracked, aligned, encoded, synced, with `faces.search_every` at {SETTINGS.faces.search_every}. (a) The limit: the same
packets decoded, by a plan known beforehand, and YuNet on each whole sampled frame at {SETTINGS.faces.working_size}
pixels; ours can beat it by searching near the last places. (b) Every frame through dlib's detector at full resolution:
{dlib:.1f} frames a second on the first {DLIB_SHARE:.0%} of each clip. (c) Every frame read by OpenCV and through a Haar
cascade: {haar:.0f} frames a second on the first {HAAR_SHARE:.0%}.

{page.table(head, rows)}"""


# === How many threads ===


def threads(home: Path) -> str:
    """Return the table of threads: files side by side, OpenCV's and the decoder's own."""
    media = SETTINGS.media.model_copy(update=WAYS["1 frame a second"][0])
    once = home / "once.parquet"
    quiet, original = faces._one_thread_each, faces.look
    sides = {
        **{f"{n} files at once": (n, quiet, original) for n in (1, 2, 4)},
        "2 files, OpenCV with 2 threads": (2, _as_it_is, original),
        "2 files, each decoded by 2 threads": (2, quiet, partial(original, threads=2)),
        "1 file, OpenCV and decoder with 2 threads": (1, _as_it_is, partial(original, threads=2)),
    }
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(ROUNDS):
        for name, (workers, opencv, look) in sides.items():
            faces._one_thread_each, faces.look = opencv, look  # type: ignore[assignment]
            seconds[name].append(timed(partial(ours, home, once, media, SETTINGS.faces, workers)))
    faces._one_thread_each, faces.look = quiet, original
    best = statistics.median(seconds["2 files at once"])
    rows: list[list[object]] = [[name, f"{best / statistics.median(s):.2f}"] for name, s in seconds.items()]
    return "Threads, at 1 frame a second, speed against 2 files at once:\n\n" + page.table(["threads", "speed"], rows)


@contextmanager
def _as_it_is() -> Iterator[None]:
    yield


# === Faces missed ===


def missed(clips: list[Path]) -> str:
    """Return the table of faces missed against a search of every sampled frame at full size."""
    media = SETTINGS.media.model_copy(update={"frames_per_second": 2.0, "max_frames": 1000})
    rows: list[list[object]] = []
    images = {clip: [f.image for f in videos.frames(clip.open("rb"), "mov", media)] for clip in clips}
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
    return f"""Faces missed at 2 frames a second: of the {_count(native)} found at full size in every sampled frame, and
of the {_count(whole)} found so at {SETTINGS.faces.working_size} pixels; beyond: found, but not at full size; processor
milliseconds a sampled frame for finding alone.

{page.table(head, rows)}"""


Found = list[list[media_faces.Face]]


def _found(images: dict[Path, list[Any]], size: int, every: int) -> tuple[Found, float]:
    finder = FaceFinder(SETTINGS.faces.model_copy(update={"working_size": size, "search_every": every}))
    with single_threaded():
        start, found = time.process_time(), []
        for frames in images.values():
            watcher = tracks.Watcher(finder)
            found += [watcher.find(image, number / 2) for number, image in enumerate(frames)]
    return found, time.process_time() - start


def _lost(truth: Found, found: Found) -> int:
    pairs = zip(truth, found, strict=True)
    return sum(not any(media_faces.overlap(a, b) > 0.5 for b in there) for one, there in pairs for a in one)


def _count(found: Found) -> int:
    return sum(map(len, found))


# === Batches and profile ===


def batching(clips: list[Path]) -> str:
    """Return what a batch of frames gains in YuNet."""
    net = cv2.dnn.readNet(str(_yunet()))
    frame = next(videos.frames(clips[0].open("rb"), "mov", SETTINGS.media)).image
    times = {}
    with single_threaded():
        for batch in (1, 8):
            net.setInput(cv2.dnn.blobFromImages([cv2.resize(frame, (640, 384))] * batch))
            net.forward(net.getUnconnectedOutLayersNames())
            times[batch] = min(timed(lambda: net.forward(net.getUnconnectedOutLayersNames())) / batch for _ in range(5))
    gain = times[1] / times[8]
    return (
        f"Batches: YuNet's ONNX file takes them in cv2.dnn; eight frames at once are {gain:.2f} times as fast a frame."
    )


PARTS = {
    "'decode' of 'av": "decoding", "'detect'": "YuNet", "imencode": "PNG", "'to_ndarray'": "RGB", "core.open": "opening"
}  # fmt: skip


def profile(home: Path) -> str:
    """Return where one thread's time goes."""
    rows: list[list[object]] = []
    examples = pq.read_table(home / "once.parquet").to_pylist()
    for way, (update, _) in WAYS.items():
        maker = faces.FaceMaker(home, "detect", SETTINGS.media.model_copy(update=update), SETTINGS.faces)
        maker.make(examples[0])
        with single_threaded(), cProfile.Profile() as profiler:
            for example in examples:
                maker.make(example)
        stats: Any = pstats.Stats(profiler)
        own = {function: entry[2] for (_, _, function), entry in stats.stats.items()}
        shares = [sum(spent for function, spent in own.items() if part in function) for part in PARTS]
        rows.append([way, *(f"{share / stats.total_tt:.0%}" for share in [*shares, stats.total_tt - sum(shares)])])
    return "Where one thread's time goes:\n\n" + page.table(["frames", *PARTS.values(), "all else"], rows)


if __name__ == "__main__":
    main()
