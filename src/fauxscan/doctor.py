"""What this machine has and lacks for a scan: each thing is tried, not looked up in a list."""

import importlib
import importlib.util
import io
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from fauxscan.records import UserError

OLDEST = (3, 11)
SETUP, EXTRAS = "make setup", "make setup-extras"
# What a scan imports, and the packages that bring it. TensorFlow and Keras take seconds: they are found, not imported.
MODULES = {
    "av": "av", "cv2": "opencv-python-headless", "duckdb": "duckdb", "filelock": "filelock", "numpy": "numpy",
    "PIL": "pillow", "pyarrow": "pyarrow", "pydantic": "pydantic", "rich": "rich", "yaml": "pyyaml",
}  # fmt: skip
FOUND = {"keras": ("keras",), "tensorflow": ("tensorflow", "tensorflow-cpu")}
DEVICES = "import tensorflow as tf; print(', '.join(d.name for d in tf.config.list_physical_devices()))"
GIB = 1 << 30


class State(StrEnum):
    """How a finding stands."""

    OK = "ok"
    MISSING = "missing"  # a scan cannot run without
    OPTIONAL = "optional"  # missing, and a scan can run


@dataclass(frozen=True)
class Finding:
    """One thing, how it stands, and what was found or what to do."""

    name: str
    state: State
    detail: str


def examine(params_file: Path, models: Sequence[Path], results: Path | None, deep: bool) -> Iterator[Finding]:
    """Give what was found of everything that a scan needs or can use; `deep` imports TensorFlow, too."""
    yield _tried("Python", _python, "install a newer one and `make setup PYTHON=...`")
    for module, package in MODULES.items():
        yield _tried(package, partial(_imported, module, package), SETUP)
    for module, packages in FOUND.items():
        yield _tried(module, partial(_found, module, packages), SETUP)
    if deep:
        yield _tried("TensorFlow's devices", _devices, SETUP)
    yield _tried("face detector YuNet", _yunet, SETUP)
    yield _tried("JPEG and PNG", partial(_still, "JPEG", "PNG"), SETUP)
    yield _tried("video", _video, SETUP)
    yield _tried("AVIF", partial(_still, "AVIF"), SETUP, needed=False)
    yield _tried("HEIC", _heic, EXTRAS, needed=False)
    yield _tried("OpenVINO", partial(_imported, "openvino", "openvino"), f"scans are slower: {EXTRAS}", needed=False)
    yield _tried("DVC", partial(_found, "dvc", ["dvc"]), f"needed by `make repro`: {SETUP}", needed=False)
    yield _tried("Prefect", partial(_found, "prefect", ["prefect"]), f"needed by flows: {SETUP}", needed=False)
    yield _tried("parameters", partial(_params, params_file), "name another file with --params")
    yield _tried("models", partial(_models, params_file, models), "name another with --models")
    yield Finding("cores and memory", State.OK, _machine())
    if results:
        yield _tried("results", partial(_writable, results), "name another --results")
        yield _tried("tables", partial(_tables, results), "name another --results")


def _tried(name: str, attempt: Callable[[], str], remedy: str, needed: bool = True) -> Finding:
    """Return how an attempt ended: with what it found, or with its error and the remedy."""
    try:
        return Finding(name, State.OK, attempt())
    except UserError as error:  # which says the remedy itself
        said = str(error)
    except Exception as error:  # a broken package raises what it likes
        said = f"{str(error) or type(error).__name__}: {remedy}"
    return Finding(name, State.MISSING if needed else State.OPTIONAL, " ".join(said.split()))


def _python() -> str:
    if sys.version_info < OLDEST:
        raise RuntimeError(f"{sys.version.split()[0]} is too old")
    return f"{sys.version.split()[0]}, {sys.executable}"


def _imported(module: str, package: str) -> str:
    importlib.import_module(module)
    return version(package)


def _found(module: str, packages: Sequence[str]) -> str:
    """Return the version of a package that is not imported."""
    if importlib.util.find_spec(module) is None:
        raise ModuleNotFoundError(f"No module named {module!r}")
    for package in packages:
        try:
            return version(package)
        except PackageNotFoundError:
            continue
    raise ModuleNotFoundError(f"{module} is there, but none of the packages {', '.join(packages)}")


def _devices() -> str:
    """Return what TensorFlow can run on, asked in a process of its own."""
    done = subprocess.run([sys.executable, "-c", DEVICES], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"TensorFlow cannot be imported: {done.stderr.strip().splitlines()[-1]}")
    return done.stdout.strip()


def _yunet() -> str:
    from fauxscan.media.faces import yunet_file

    return f"{yunet_file().name}, checksum right"


def _still(*forms: str) -> str:
    """Return what decoding a small image of each format shows."""
    from PIL import Image

    for form in forms:
        encoded = io.BytesIO()
        Image.new("RGB", (32, 24), (200, 100, 50)).save(encoded, form)
        with Image.open(encoded) as image:
            image.load()
    return "decoded a sample"


def _video() -> str:
    """Return what decoding a small H.264 clip shows."""
    import av
    import numpy as np

    encoded = io.BytesIO()
    with av.open(encoded, "w", format="mp4") as clip:
        stream = clip.add_stream("libx264", rate=5)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for _ in range(5):
            clip.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8), format="rgb24")))
        clip.mux(stream.encode())
    encoded.seek(0)
    with av.open(encoded, format="mp4") as clip:
        frames = sum(1 for _ in clip.decode(video=0))
    return f"decoded a sample of {frames} frames"


def _heic() -> str:
    decoders = importlib.import_module("pi_heif").libheif_info()["decoders"]
    if not decoders:
        raise RuntimeError("libheif has no decoder")
    return f"pi-heif {version('pi-heif')}, {', '.join(decoders.values())}"


def _params(file: Path) -> str:
    from fauxscan import params

    params.load(file)
    return f"{file} is valid"


def _models(params_file: Path, named: Sequence[Path]) -> str:
    """Return the models that a scan would judge with, and by which engine."""
    from fauxscan import params
    from fauxscan.scanning import settings

    chosen = settings.read(params.load(params_file), named)
    told = [
        f"{card.name} (demo: every verdict is `uncertain`)" if card.trained_on.proof_of_machinery else card.name
        for card in chosen.cards
    ]
    return f"{', '.join(told)}, run by {chosen.engine}"


def _machine() -> str:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return f"{len(os.sched_getaffinity(0))} cores, {memory / GIB:.1f} GiB"


def _writable(results: Path) -> str:
    """Return how much room is left where the results are or would be, after writing and locking a file there."""
    import filelock

    folder = next(above for above in (results.absolute(), *results.absolute().parents) if above.exists())
    with tempfile.TemporaryDirectory(dir=folder, prefix=".fauxscan-doctor-") as aside:
        (Path(aside) / "synced").write_bytes(b"fauxscan")
        with filelock.FileLock(Path(aside) / "lock", timeout=0):
            pass
    return f"{folder} can be written and locked, {shutil.disk_usage(folder).free / GIB:.1f} GiB free"


def _tables(results: Path) -> str:
    """Return how many files the tables have, each of their pages checked."""
    from fauxscan.scanning import tables

    files = [(file, schema) for schema in tables.ALL for file in tables.parts(results, schema)]
    for file, schema in files:
        tables.read_part(file, schema)
    return f"{len(files)} files, none damaged or of a newer version"
