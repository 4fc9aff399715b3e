"""Faces in photographs: which are found, by their size, and what the search costs, before and after in one run.

    FAUXSCAN_TEST_DATA=... python benchmarks/photographs.py

`before` is one search at faces.working_size, as in release 0.4. The sides take turns on the same pixels.
"""

import os
import statistics
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path
from unittest import mock

import cv2
import numpy as np
import page
from skimage import data

from fauxscan import params
from fauxscan.media.faces import finder as finding
from fauxscan.media.faces.finder import Face, FaceFinder
from fauxscan.media.images.codec import Image
from fauxscan.media.images.pixels import shrink_to

Search = Callable[[Image], list[Face]]
Portrait = tuple[Image, Face]

FACES = params.load(Path(__file__).parents[1] / "params.yaml").faces
TRIALS = 4  # for each ground and size of face
SIZES = (48, 64, 80, 96, 120)
SHAPES = ((1200, 900), (1600, 1200), (2000, 1500), (4000, 3000), (6000, 4000))
# Constants of the finder, with other values.
VARIANTS = {"reduced 6 times": {"REDUCED": 6}, "no second searches": {"SECOND_SEARCHES": 0}}
HEAD_WIDTH = 90  # of the box in skimage's portrait
SETS = ("portraits/men_photos", "portraits/women_photos", "stylegan_ffhq/real")


def main() -> None:
    """Measure and write the section."""
    cv2.setNumThreads(1)
    people = [portrait for name in SETS for portrait in portraits(name, 40)]
    body = "\n\n".join(
        [recall(people), close_ups(people), times([image for image, _ in people]), false_boxes(), openvino(people)]
    )
    page.write("Faces in photographs", "python benchmarks/photographs.py", body)
    print(body)


# === Sides ===


@cache
def yunet() -> cv2.FaceDetectorYN:
    """Return the detector for `before`."""
    return cv2.FaceDetectorYN.create(str(finding.yunet_file()), "", (320, 320), FACES.score, 0.3, 5000)


def before(image: Image) -> list[Face]:
    """Return the faces that one search at the working size finds."""
    small, scale = shrink_to(image, FACES.working_size)
    yunet().setInputSize((small.shape[1], small.shape[0]))
    _, rows = yunet().detect(cv2.cvtColor(small, cv2.COLOR_RGB2BGR))
    faces = [finding._face(row, scale) for row in (rows if rows is not None else ())]
    return [face for face in faces if min(face.w, face.h) >= FACES.min_size]


def sides() -> dict[str, Search]:
    """Return each way to search, by its name."""
    finder = FaceFinder(FACES)
    other = {name: partial(_with, finder, values) for name, values in VARIANTS.items()}
    return {"before": before, "after": finder.find_faces, **other}


def _with(finder: FaceFinder, values: dict[str, int], image: Image) -> list[Face]:
    with mock.patch.multiple(finding, **values):
        return finder.find_faces(image)


@contextmanager
def timed(seconds: list[float]) -> Iterator[None]:
    """Add the processor time that the block takes."""
    start = time.process_time()
    yield
    seconds.append(time.process_time() - start)


# === Pictures ===


def pictures(name: str, count: int) -> Iterator[Image]:
    """Yield pictures of one archive, evenly spread over it, in RGB."""
    with zipfile.ZipFile(Path(os.environ["FAUXSCAN_TEST_DATA"]) / f"{name}.zip") as archive:
        members = sorted(m for m in archive.namelist() if m.lower().endswith((".jpg", ".jpeg", ".png")))
        for member in members[:: max(1, len(members) // count)][:count]:
            image = cv2.imdecode(np.frombuffer(archive.read(member), np.uint8), cv2.IMREAD_COLOR)
            yield np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8)


def portraits(name: str, count: int) -> Iterator[Portrait]:
    """Yield the pictures that show one face of at least 90 pixels, with that face."""
    for image in pictures(name, count):
        faces = before(image)
        if len(faces) == 1 and faces[0].w >= 90:
            yield image, faces[0]


def enlarged(image: Image, width: int, height: int) -> Image:
    """Return the picture at another size."""
    return np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_CUBIC), np.uint8)


def tiled(image: Image, width: int, height: int) -> Image:
    """Return a picture that repeats another."""
    rgb = image if image.ndim == 3 else cv2.cvtColor(image, cv2.COLOR_GRAY2RGB)
    return np.tile(rgb, (height // rgb.shape[0] + 1, width // rgb.shape[1] + 1, 1))[:height, :width]


def mosaic(scenes: list[Image], width: int, height: int, rng: np.random.Generator) -> Image:
    """Return a picture of many scenes side by side, each 352x264."""
    ground = np.zeros((height, width, 3), np.uint8)
    for y in range(0, height, 264):
        for x in range(0, width, 352):
            tile = enlarged(scenes[rng.integers(len(scenes))], 352, 264)
            ground[y : y + 264, x : x + 352] = tile[: height - y, : width - x]
    return ground


def grounds(rng: np.random.Generator) -> dict[str, Image]:
    """Return pictures of 12 megapixels without faces."""
    scenes, width, height = list(pictures("portraits/scenes_2025", 240)), 4000, 3000
    return {
        "grey": np.full((height, width, 3), 120, np.uint8),
        "noise": np.clip(rng.normal(120, 30, (height, width, 3)), 0, 255).astype(np.uint8),
        "grass": tiled(data.grass(), width, height),
        "brick": tiled(data.brick(), width, height),
        "coffee": enlarged(data.coffee(), width, height),
        "scenes": mosaic(scenes, width, height, rng),
        "scenes twice as large": enlarged(mosaic(scenes, width // 2, height // 2, rng), width, height),
        "scenes four times as large": enlarged(mosaic(scenes, width // 4, height // 4, rng), width, height),
    }


# === Small faces in 12 megapixels ===


def recall(people: list[Portrait]) -> str:
    """Return the table of faces found by their size."""
    rng, ways = np.random.default_rng(0), sides()
    without = grounds(rng)
    astronaut = data.astronaut()
    ours = [(np.asarray(astronaut[:300, 90:340]), Face(88, 63, HEAD_WIDTH, 113, np.zeros((5, 2), np.float32), 1.0))]
    rows: list[list[object]] = []
    for kind, heads in (("skimage's portrait", ours), (f"{len(people)} portraits", [_head(p) for p in people])):
        for size in SIZES:
            trials = [_trial(heads, size, ground, ways, rng) for ground in without.values() for _ in range(TRIALS)]
            rows.append([kind, size, *(f"{share:.1%}" for share in np.mean(trials, axis=0))])
    return f"""Faces found in 12 megapixels (4000x3000), by the width of their box in pixels: {TRIALS} trials at
random places on each of eight grounds (grey, noise, grass, brick, coffee, and scenes side by side at three sizes).
`after` reduces a large photograph {finding.REDUCED} times, and at most to {finding.LARGER} working sizes
({FACES.working_size} pixels each), and then searches again at {finding.NEAR_SIZE} pixels around at most
{finding.SECOND_SEARCHES} boxes with a score from {finding.WEAK * FACES.score:.1f} to {FACES.score} that are narrower
than {finding.SMALL} pixels or wider than {finding.LARGE}. The other columns show what one value changes.

{page.table(["faces", "size", *ways], rows)}"""


def _head(portrait: Portrait) -> Portrait:
    """Return a portrait cut to the head and what is around it."""
    image, face = portrait
    left, top = max(0, int(face.x - face.w)), max(0, int(face.y - face.h * 0.8))
    cut = image[top : int(face.y + face.h * 2), left : int(face.x + face.w * 2)]
    return cut, finding._moved(face, -left, -top)


def _trial(
    heads: list[Portrait], size: int, ground: Image, ways: dict[str, Search], rng: np.random.Generator
) -> list[bool]:
    """Return which ways find a head of this size at a random place."""
    head, face = heads[rng.integers(len(heads))]
    scale = size / face.w
    small = cv2.resize(head, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    top, left = (int(rng.integers(whole - part)) for whole, part in zip(ground.shape[:2], small.shape[:2], strict=True))
    image = ground.copy()
    image[top : top + small.shape[0], left : left + small.shape[1]] = small
    x, y = left + (face.x + face.w / 2) * scale, top + (face.y + face.h / 2) * scale
    near = lambda f: max(abs(f.x + f.w / 2 - x), abs(f.y + f.h / 2 - y)) < size / 2
    return [any(map(near, find(image))) for find in ways.values()]


# === Close-ups ===


def close_ups(people: list[Portrait]) -> str:
    """Return the table of close-ups in which a face is found."""
    ways = sides()
    rows: list[list[object]] = []
    for margin in (-0.2, -0.15, 0.0):
        for size in (256, 640, 1280, 4000):
            crops = [_close_up(portrait, margin, size) for portrait in people[::3]]
            counts = [[len(find(crop)) for crop in crops] for find in (ways["before"], ways["after"])]
            found = [f"{np.mean(np.array(count) > 0):.1%}" for count in counts]
            rows.append([f"{margin:.0%}", size, *found, *(sum(np.array(count) > 1) for count in counts)])
    head = ["margin", "longer side", "found before", "after", "more than one before", "after"]
    return f"""Close-ups: {len(people[::3])} portraits cut to the face's box with a margin on each side; a negative
margin cuts into the face. `more than one` counts the pictures with a second box.

{page.table(head, rows)}"""


def _close_up(portrait: Portrait, margin: float, size: int) -> Image:
    image, face = portrait
    x, y = margin * face.w, margin * face.h
    cut = image[max(0, int(face.y - y)) : int(face.y + face.h + y), max(0, int(face.x - x)) : int(face.x + face.w + x)]
    scale = size / max(cut.shape[:2])
    return enlarged(cut, round(cut.shape[1] * scale), round(cut.shape[0] * scale))


# === Time ===


def times(people: list[Image]) -> str:
    """Return the table of processor time by megapixels."""
    rng, ways = np.random.default_rng(1), sides()
    sources = {"scenes": list(pictures("portraits/scenes_2025", 40)), "portraits": people}
    rows: list[list[object]] = []
    for width, height in SHAPES:
        for kind, images in sources.items():
            spent = [_spent(_photograph(images, width, height, rng), ways) for _ in range(6)]
            decoding, old, *new = (1000 * statistics.mean(column) for column in zip(*spent, strict=True))
            whole = (decoding + new[0]) / (decoding + old)
            ratios = [f"{value / old:.2f}" for value in new]
            rows.append([f"{width * height / 1e6:.1f}", kind, f"{decoding:.0f}", f"{old:.0f}", *ratios, f"{whole:.2f}"])
    head = ["megapixels", "of", "decoding, ms", "before, ms", *list(ways)[1:], "after, with decoding"]
    return f"""Processor time on one thread for finding faces, means over 6 photographs of the medians of 5 turns. The
ratios compare with `before`; the last column also counts decoding the JPEG in both. Photographs are made by enlarging
smaller ones and adding noise.

{page.table(head, rows)}"""


def _photograph(images: list[Image], width: int, height: int, rng: np.random.Generator) -> Image:
    large = enlarged(images[rng.integers(len(images))], width, height)
    noise = rng.integers(-4, 5, (height, width, 1), np.int16)
    return np.clip(large + noise, 0, 255).astype(np.uint8)


def _spent(image: Image, ways: dict[str, Search]) -> list[float]:
    """Return the seconds for decoding and for each way."""
    encoded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 90])[1]
    tasks = [lambda: cv2.imdecode(encoded, cv2.IMREAD_COLOR), *(partial(find, image) for find in ways.values())]
    seconds: list[list[float]] = [[] for _ in tasks]
    for _ in range(5):
        for task, own in zip(tasks, seconds, strict=True):
            with timed(own):
                task()
    return [statistics.median(own) for own in seconds]


# === Boxes where no face is ===


def false_boxes() -> str:
    """Return the table of boxes on pictures without faces, and on portraits."""
    rng, ways = np.random.default_rng(2), sides()
    scenes = list(pictures("portraits/scenes_2025", 240))
    small = list(pictures("deepfake_database/validation-part", 200))
    sets: dict[str, list[Image]] = {
        "scenes without people, 264 px": scenes,
        "the same at 3000 px": [enlarged(scene, 3000, 2250) for scene in scenes[::4]],
        "mosaics of scenes, 1.5 megapixels": [mosaic(scenes, 1408, 1056, rng) for _ in range(40)],
        "the grounds above, 12 megapixels": list(grounds(rng).values()),
        "photographs of men, 512 px": list(pictures("portraits/men_photos", 218)),
        "photographs of women, 250 px": list(pictures("portraits/women_photos", 399)),
        "FFHQ, 256 px": list(pictures("stylegan_ffhq/real", 500)),
        "StyleGAN, 256 px": list(pictures("stylegan_ffhq/stylegan", 500)),
        "video frames of deepfake_database": small,
    }
    rows: list[list[object]] = []
    for name, images in sets.items():
        counts = [sum(len(find(image)) for image in images) for find in (ways["before"], ways["after"])]
        rows.append([name, len(images), *counts])
    return "Boxes in pictures without faces and in portraits:\n\n" + page.table(
        ["pictures", "number", "boxes before", "after"], rows
    )


# === OpenVINO ===

START = """
import sys, time
start = time.perf_counter()
import cv2
from fauxscan.media.faces.finder import FaceFinder, yunet_file
from fauxscan import params
finder = FaceFinder(params.load().faces)
if sys.argv[1] == "openvino":
    import openvino
    core = openvino.Core()
    core.compile_model(core.read_model(str(yunet_file())), "CPU", {"INFERENCE_NUM_THREADS": 1})
pages = list(map(int, open("/proc/self/statm").read().split()))
print(time.perf_counter() - start, pages[1] * 4096 / 1e6, pages[0] * 4096 / 1e6)
"""


def openvino(people: list[Portrait]) -> str:
    """Return a paragraph on what YuNet would gain and cost in OpenVINO."""
    import openvino

    core, net = openvino.Core(), cv2.dnn.readNet(str(finding.yunet_file()))
    model = core.read_model(str(finding.yunet_file()))
    names = [output.get_any_name() for output in model.outputs]
    request = core.compile_model(
        model, "CPU", {"INFERENCE_NUM_THREADS": 1, "INFERENCE_PRECISION_HINT": "f32"}
    ).create_infer_request()
    seconds: dict[str, list[float]] = {"opencv": [], "openvino": []}
    apart = []
    for image, _ in people:
        blob = cv2.dnn.blobFromImage(enlarged(image, 640, 640), swapRB=True)
        with timed(seconds["opencv"]):
            net.setInput(blob)
            outputs = net.forward(names)
        with timed(seconds["openvino"]):
            results = request.infer([blob])
        apart.append(max(float(np.abs(ours - results[name]).max()) for name, ours in zip(names, outputs, strict=True)))
    gain = statistics.median(seconds["opencv"]) / statistics.median(seconds["openvino"])
    plain, added = _start("opencv"), _start("openvino")
    return f"""OpenVINO: the same network at 640x640 pixels is {gain:.2f} times as fast in OpenVINO (float32) as in
OpenCV, forward pass alone; over {len(people)} portraits the outputs differ by at most {max(apart):.1g}. It is not used.
A decoder and its face detector start in {plain[0]:.1f} s with {plain[1]:.0f} MB of memory and {plain[2]:.0f} MB of
address space; with OpenVINO beside it in {added[0]:.1f} s with {added[1]:.0f} MB and {added[2]:.0f} MB, in each of the
decoders. A network is compiled for one shape, and photographs have many. With the search above no part of the aim
needs it, and every installation finds the same faces."""


def _start(engine: str) -> list[float]:
    """Return the seconds, megabytes of memory and of address space of a process, the medians of five."""
    root = Path(__file__).parents[1]
    told = [
        subprocess.run([sys.executable, "-c", START, engine], cwd=root, capture_output=True, text=True, check=True)
        for _ in range(5)
    ]
    return [statistics.median(values) for values in zip(*(map(float, t.stdout.split()) for t in told), strict=True)]


if __name__ == "__main__":
    main()
