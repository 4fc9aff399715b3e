"""The command that checks this machine: everything that a scan needs or can use is tried out."""

import importlib
import importlib.util
import io
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from fauxscan.commands.options import OK, UNJUDGED, Models, ParamsFile
from fauxscan.records import UserError
from fauxscan.shipped import sets

if TYPE_CHECKING:
    from fauxscan.models import Calibration, ModelCard
    from fauxscan.scanning.settings import Settings
    from fauxscan.scanning.user_calibrations import Card

FINDING_COLUMNS = ("name", "state", "detail")

MIN_PYTHON = (3, 11)
SETUP = "pip install fauxscan, or `make setup` in a clone"
# Modules that a scan imports, and their packages.
MODULES = {
    "av": "av", "cv2": "opencv-python-headless", "duckdb": "duckdb", "filelock": "filelock", "numpy": "numpy",
    "openvino": "openvino", "PIL": "pillow", "pyarrow": "pyarrow", "pydantic": "pydantic",
    "rich": "rich", "tqdm": "tqdm", "yaml": "pyyaml",
}  # fmt: skip
# What other commands need, and by which extra it is installed. It is slow to import, so it is only located.
LOCATED = {
    "Keras": ("keras", ("keras",), "train"),
    "TensorFlow": ("tensorflow", ("tensorflow", "tensorflow-cpu"), "train"),
    "DVC": ("dvc", ("dvc",), "pipeline"),
    "Prefect": ("prefect", ("prefect",), "flows"),
}
DEVICES = "import tensorflow as tf; print(', '.join(d.name for d in tf.config.list_physical_devices()))"
FETCH = "`fauxscan models fetch {}`"
GIB = 1 << 30


class State(StrEnum):
    """The state of a finding."""

    OK = "ok"
    MISSING = "missing"  # required: a scan cannot run
    WRONG = "wrong"  # there, but it does not do what it should
    OPTIONAL = "optional"  # missing, but a scan can run
    NONE = "none"  # not there yet: a scan makes it


@dataclass(frozen=True)
class Finding:
    """The result of one check: what was found, or what to do."""

    name: str
    state: State
    detail: str


def doctor(
    results: Annotated[
        Path | None,
        typer.Option(
            "--results",
            metavar="FOLDER",
            help="Also check that scans can write to FOLDER, and that its tables are not damaged.",
        ),
    ] = None,
    models: Models = None,
    deep: Annotated[
        bool, typer.Option("--deep", help="Also import TensorFlow and list its devices, which takes several seconds.")
    ] = False,
    params_file: ParamsFile = None,
) -> None:
    """Check that this machine has everything a scan needs, and say how to install what is missing.

    Each model set judges its probe image, and its score is compared with the expected one. The exit code is 2 if a scan
    cannot run, or a set is damaged or gives another score.
    """
    from fauxscan.reporting import scans

    findings = list(examine(params_file, models or (), results, deep))
    scans.print_table(Console(), map(asdict, findings), FINDING_COLUMNS)
    raise typer.Exit(UNJUDGED if any(one.state in (State.MISSING, State.WRONG) for one in findings) else OK)


def examine(params_file: Path | None, models: Sequence[str], results: Path | None, deep: bool) -> Iterator[Finding]:
    """Yield the findings of all checks, with an import of TensorFlow if `deep`."""
    yield _check("Python", _python, "install a newer Python and run `make setup PYTHON=...`")
    for module, package in MODULES.items():
        yield _check(package, partial(_import, module, package), SETUP)
    if deep:
        yield _check("TensorFlow's devices", _devices, _extra("train"), needed=False)
    yield _check("face detector YuNet", _yunet, SETUP)
    yield _check("JPEG and PNG", partial(_still, "JPEG", "PNG"), SETUP)
    yield _check("video", _video, SETUP)
    yield _check("AVIF", partial(_still, "AVIF"), SETUP, needed=False)
    yield _check("HEIC", _heic, _extra("heic", "setup-extras"), needed=False)
    for name, (module, packages, extra) in LOCATED.items():
        yield _check(name, partial(_locate, module, packages), _extra(extra), needed=False)
    yield _check("parameters", partial(_params, params_file), "name another file with --params")
    yield _check("models", partial(_models, params_file, models), "name others with --models")
    yield from map(_model_set, sets.every())
    yield Finding("cores and memory", State.OK, _machine())
    if results:
        yield _check("results", partial(_writable, results), "name another folder with --results")
        yield _results_tables(results)


def _extra(name: str, target: str = "setup") -> str:
    return f'pip install "fauxscan[{name}]", or `make {target}` in a clone'


def _check(name: str, attempt: Callable[[], str], remedy: str, needed: bool = True) -> Finding:
    """Return the finding of an attempt: its result, or its error with a remedy."""
    try:
        return Finding(name, State.OK, attempt())
    except UserError as error:  # its message contains a remedy
        detail = str(error)
    except Exception as error:  # a broken package may raise any error
        detail = f"{str(error) or type(error).__name__}: {remedy}"
    return Finding(name, State.MISSING if needed else State.OPTIONAL, " ".join(detail.split()))


def _python() -> str:
    if sys.version_info < MIN_PYTHON:
        raise RuntimeError(f"{sys.version.split()[0]} is too old")
    return f"{sys.version.split()[0]}, {sys.executable}"


def _import(module: str, package: str) -> str:
    importlib.import_module(module)
    return version(package)


def _locate(module: str, packages: Sequence[str]) -> str:
    """Return the version of a package without importing it."""
    if importlib.util.find_spec(module) is None:
        raise ModuleNotFoundError(f"No module named {module!r}")
    for package in packages:
        try:
            return version(package)
        except PackageNotFoundError:
            continue
    raise ModuleNotFoundError(f"{module} is installed, but not by {' or '.join(packages)}")


def _devices() -> str:
    """Return the devices that TensorFlow can use, as seen by a separate process."""
    done = subprocess.run([sys.executable, "-c", DEVICES], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"TensorFlow cannot be imported: {done.stderr.strip().splitlines()[-1]}")
    return done.stdout.strip()


def _yunet() -> str:
    from fauxscan.media.faces.finder import yunet_file

    return f"{yunet_file().name}, checksum correct"


def _still(*forms: str) -> str:
    """Decode a small image of each format."""
    from PIL import Image

    for form in forms:
        encoded = io.BytesIO()
        Image.new("RGB", (32, 24), (200, 100, 50)).save(encoded, form)
        with Image.open(encoded) as image:
            image.load()
    return "decoded a sample"


def _video() -> str:
    """Decode a small H.264 clip."""
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


def _params(file: Path | None) -> str:
    from fauxscan import params

    params.load(file)
    used = params.find(file)
    return f"{used} is valid" if used else "built-in, because the current folder has no params.yaml"


def _models(params_file: Path | None, named: Sequence[str]) -> str:
    """Return the models that a scan would use, and the engine that runs them."""
    from fauxscan import params
    from fauxscan.scanning import settings
    from fauxscan.scanning.inference import backends

    scan_settings = settings.read(params.load(params_file), named)
    backends.check(scan_settings)
    names = [" ".join((card.name, *_remarks(card, scan_settings))) for card in scan_settings.cards]
    if (card := scan_settings.ensemble_card) and (joint := scan_settings.ensemble):
        remarks = (*_own_calibration(card, scan_settings), f"({_videos(joint.calibration)})")
        names.append(" ".join(("joined by", card.name, *remarks)))
    return f"{', '.join(names)}, run by {scan_settings.engine}"


def _model_set(one: sets.ModelSet) -> Finding:
    """Return the finding about a set: whether its score on its probe image is the expected one."""
    from fauxscan.scanning import probing

    name = f"model set {one.name}"
    if one.folder is None:
        return Finding(name, State.OPTIONAL, one.fault)
    try:
        if missing := probing.to_fetch(one.folder):
            return Finding(name, State.OPTIONAL, f"fetch what it needs: {', '.join(map(FETCH.format, missing))}")
        probed = probing.probe(one.folder)
    except Exception as error:  # OpenVINO may raise any error
        return Finding(name, State.WRONG, " ".join(str(error).split()))
    scored = f"p_fake is {probed.p_fake:.4f} on its probe image"
    if probed.ok:
        return Finding(name, State.OK, f"{scored}, as expected")
    fault = f"{scored}, {probed.off:.4f} off the expected {probed.expected.p_fake:.4f}: its scores here are not valid"
    return Finding(name, State.WRONG, f"{fault}. pip install --force-reinstall {one.package} openvino")


def _remarks(card: "ModelCard", scan_settings: "Settings") -> Iterator[str]:
    """Yield what a person should know about a model."""
    if card.trained_on.proof_of_machinery:
        yield "(demo: every verdict is `uncertain`)"
    yield from _own_calibration(card, scan_settings)
    if scan_settings.ensemble is None and card.calibration:
        yield f"({_videos(card.calibration)})"


def _own_calibration(card: "Card", scan_settings: "Settings") -> Iterator[str]:
    """Yield which file of the user has the calibration of a model or ensemble, if one has."""
    from fauxscan.scanning import user_calibrations

    if card.model_digest in scan_settings.user_calibrations:
        yield f"(calibrated by {user_calibrations.file_of(card.model_digest)})"


def _videos(calibration: "Calibration") -> str:
    """Return which thresholds videos have."""
    if of := calibration.videos:
        return f"thresholds for videos: {of.low:.3f} and {of.high:.3f}"
    return "no thresholds for videos: they are uncertain" if calibration.separate_videos else "no thresholds for videos"


def _machine() -> str:
    from fauxscan.params.cores import count_cores

    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return f"{count_cores()} cores, {memory / GIB:.1f} GiB"


def _writable(results: Path) -> str:
    """Write and lock a file where the results are or would be; return the free space there."""
    import filelock

    from fauxscan.scanning.tables import folder as results_folder

    results_folder.check(results)
    folder = next(above for above in (results.absolute(), *results.absolute().parents) if above.exists())
    with tempfile.TemporaryDirectory(dir=folder, prefix=".fauxscan-doctor-") as temporary:
        (Path(temporary) / "written").write_bytes(b"fauxscan")
        with filelock.FileLock(Path(temporary) / "lock", timeout=0):
            pass
    return f"{folder} can be written and locked, {shutil.disk_usage(folder).free / GIB:.1f} GiB free"


def _results_tables(results: Path) -> Finding:
    """Return the finding about the tables; a folder whose name is mistyped has none."""
    from fauxscan.scanning.tables import parquet, schemas

    if any(parquet.parts(results, schema) for schema in schemas.ALL):
        return _check("tables", partial(_tables, results), "name another folder with --results")
    fault = "has no tables" if results.is_dir() else "does not exist"
    return Finding("tables", State.NONE, f"{results} {fault}: a scan would begin new tables. Check the name")


def _tables(results: Path) -> str:
    """Read every page of the tables; return the number of their files."""
    from fauxscan.scanning.tables import parquet, schemas

    files = [(file, schema) for schema in schemas.ALL for file in parquet.parts(results, schema)]
    for file, schema in files:
        parquet.read_part(file, schema)
    return f"{len(files)} files, none damaged or written by a newer version"
