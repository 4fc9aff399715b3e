"""Models behind one interface: run by TensorFlow, or on a CPU by OpenVINO.

OpenVINO runs the files in the model folder. A model of an older version has none, and is exported to the cache once.
"""

import atexit
import importlib.util
import logging
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fauxscan import disk, models, openvino_export
from fauxscan.backbones import runner
from fauxscan.judging import ensemble
from fauxscan.judging.ensemble import Ensemble, Members
from fauxscan.models import BackboneUse, ModelCard
from fauxscan.openvino_export import EXIT_BAD_MODEL, FULL_PRECISION_KEY
from fauxscan.params.cores import count_cores
from fauxscan.records import DamagedModelError, MissingExtraError, ModelError
from fauxscan.scanning.inference.batching import Forward
from fauxscan.scanning.settings import Settings
from fauxscan.shipped import sets

log = logging.getLogger(__name__)
NO_TENSORFLOW = (
    "%s: the folder has no OpenVINO files, which only TensorFlow can write. Run `fauxscan calibrate` or `fauxscan"
    " import-weights` where TensorFlow is installed, and copy the new model folder here; or install it here:"
    ' pip install "fauxscan[train]"'
)


def load(settings: Settings) -> Ensemble:
    """Return the ensemble of the settings' models, run by their engine. Raise ModelError and MissingExtraError."""
    with sets.with_remedies(settings.folders):
        return _load(settings)


def _load(settings: Settings) -> Ensemble:
    if settings.engine == "tensorflow":
        return ensemble.load(settings.folders)
    members = ensemble.read_members(settings.folders)
    cards = dict(zip(members.folders, members.cards, strict=True))
    files = _exports({folder: card for folder, card in cards.items() if card.openvino is None})
    exported = [
        Exported(card, files.get(folder) or _file_in(folder, card), settings.scan.precision)
        for folder, card in cards.items()
    ]
    return Ensemble(tuple(exported), members.ensemble)


def check(settings: Settings) -> None:
    """Raise ModelError if the engine cannot run the models, MissingExtraError if it needs TensorFlow for that.

    Load no network.
    """
    with sets.with_remedies(settings.folders):
        _check(ensemble.read_members(settings.folders), settings.engine)


def _check(members: Members, engine: str) -> None:
    cards = dict(zip(members.folders, members.cards, strict=True))
    for card in cards.values():
        if card.backbone:
            runner.find(card.backbone.name, card.backbone.digest)
    if engine == "openvino":
        _check_files(cards)
    elif missing := [folder / models.NETWORK for folder in cards if not (folder / models.NETWORK).is_file()]:
        raise DamagedModelError(f"there is no {missing[0]}", "copy the model folder again, as a whole")


def _check_files(cards: Mapping[Path, ModelCard]) -> None:
    """Raise ModelError for OpenVINO files that are not those of a card, MissingExtraError if they cannot be made."""
    for folder, card in cards.items():
        if card.openvino:
            _file_in(folder, card)
    files = _files({folder: card for folder, card in cards.items() if card.openvino is None}, _user_cache())
    _refuse_without_tensorflow([folder for folder, file in files.items() if not _is_whole(file)])


@dataclass(frozen=True)
class Exported:
    """A model that was exported to OpenVINO."""

    card: ModelCard
    file: Path
    precision: str

    def scorer(self, batch: int) -> Forward:
        """Return a function from uint8 RGB images (n, size, size, 3), n at most `batch`, to logits (n,)."""
        if self.card.backbone:
            return self._head_scorer(self.card.backbone)
        compiled = self._compiled(batch)
        shape = (batch, self.card.input_size, self.card.input_size, 3)

        def forward(images: NDArray[np.uint8]) -> NDArray[np.float32]:
            full = images
            if len(images) < batch:
                full = np.zeros(shape, np.uint8)
                full[: len(images)] = images
            request = compiled.create_infer_request()  # one for each call: many threads may call
            found = request.infer([full], share_inputs=True)
            return np.array(found[0][: len(images), 0], np.float32)

        # In one thread: two threads that meet in OpenVINO's very first inference deadlock.
        forward(np.zeros(shape, np.uint8))
        return forward

    def _head_scorer(self, used: BackboneUse) -> Forward:
        """Return the forward pass of a head. Its backbone computes the features of an image once for all heads."""
        import openvino

        backbone = runner.for_scans(used.name, used.digest, self.precision)
        head = openvino.Core().compile_model(str(self.file), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})

        def forward(images: NDArray[np.uint8]) -> NDArray[np.float32]:
            features = backbone.features(images)
            return np.array(head.create_infer_request().infer([features])[0][:, 0], np.float32)

        side = self.card.input_size
        forward(np.zeros((1, side, side, 3), np.uint8))  # in one thread, as below
        return forward

    def _compiled(self, batch: int) -> Any:
        import openvino

        core = openvino.Core()
        network = core.read_model(self.file)
        full = network.has_rt_info(FULL_PRECISION_KEY)  # 16 bits lose what a frequency detector computes
        network.reshape([batch, self.card.input_size, self.card.input_size, 3])
        steps = openvino.preprocess.PrePostProcessor(network)
        steps.input().tensor().set_element_type(openvino.Type.u8)
        options = {
            "PERFORMANCE_HINT": "THROUGHPUT",
            "NUM_STREAMS": str(count_cores()),
            "INFERENCE_NUM_THREADS": str(count_cores()),  # by default one for each core of a container's host
            "INFERENCE_PRECISION_HINT": "bf16" if self.precision == "bfloat16" and not full else "f32",
        }
        return core.compile_model(steps.build(), "CPU", options)


def _file_in(folder: Path, card: ModelCard) -> Path:
    """Return the OpenVINO file in a model folder. Raise ModelError unless the files are those that its card lists."""
    file = folder / openvino_export.NETWORK
    try:
        changed = openvino_export.digests(folder) != card.openvino
    except OSError as error:
        fault = f"{error.filename}: {error.strerror}"
        raise DamagedModelError(fault, "copy the model folder again, as a whole") from error
    if changed:
        remedy = "copy the model folder again, as a whole, or calibrate the model again"
        fault = f"{file} and its .bin are not the files that {folder / models.CARD} lists"
        raise DamagedModelError(fault, remedy)
    return file


def _exports(cards: Mapping[Path, ModelCard]) -> dict[Path, Path]:
    """Return the file in the cache of each model folder, made where it is missing or damaged. Raise ModelError."""
    files = _files(cards, _user_cache())
    if not all(map(_is_whole, files.values())):
        files = _files(cards, _writable(_user_cache()))
        _export({folder: file for folder, file in files.items() if not _is_whole(file)})
    return files


def _files(cards: Mapping[Path, ModelCard], cache_folder: Path) -> dict[Path, Path]:
    return {folder: cache_folder / _name(folder, card) for folder, card in cards.items()}


def _user_cache() -> Path:
    import platformdirs

    return platformdirs.user_cache_path("fauxscan") / f"openvino-{version('openvino')}"


@cache
def _writable(folder: Path) -> Path:
    """Return the folder, or one that lasts as long as this process if that cannot be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except OSError as error:
        log.warning(disk.NO_CACHE, "Exported models are kept for this run only", folder, error.strerror)
    aside = tempfile.mkdtemp(prefix="fauxscan-")
    atexit.register(shutil.rmtree, aside, ignore_errors=True)
    return Path(aside)


def _name(folder: Path, card: ModelCard) -> str:
    """Return the name of a model's export, made of the digest on its card and the hash of its network file."""
    file = folder / models.NETWORK
    found = disk.digest(file) if file.is_file() else "missing"
    return f"{card.model_digest[:16]}-{found[:16]}.xml"


def _is_whole(file: Path) -> bool:
    """Return whether an export is complete and unchanged."""
    sums = file.with_suffix(".sums")
    return sums.is_file() and sums.read_text(encoding="utf-8") == _sums(file)


def _sums(file: Path) -> str:
    parts = [part for part in (file, file.with_suffix(".bin")) if part.is_file()]
    return " ".join(disk.digest(part) for part in parts)


def _refuse_without_tensorflow(folders: Collection[Path]) -> None:
    """Raise MissingExtraError if there are folders to export, and TensorFlow is not installed."""
    if folders and not importlib.util.find_spec("tensorflow"):
        raise MissingExtraError(NO_TENSORFLOW % ", ".join(map(str, folders)))


def _export(files: Mapping[Path, Path]) -> None:
    """Write the export of each model folder, whole or not at all. Raise ModelError.

    Another process does it: TensorFlow takes half a gigabyte and threads that a scan does not need.
    """
    _refuse_without_tensorflow(files)
    cache_folder = next(iter(files.values())).parent
    try:
        with tempfile.TemporaryDirectory(dir=cache_folder) as aside:
            _run_export([str(path) for folder, file in files.items() for path in (folder, Path(aside) / file.name)])
            for file in files.values():
                made = Path(aside) / file.name
                made.with_suffix(".sums").write_text(_sums(made), encoding="utf-8")
                for suffix in (".bin", ".xml", ".sums"):  # last what says that the others are there
                    disk.move_into_place(made.with_suffix(suffix), file.with_suffix(suffix))
    except OSError as error:
        remedy = "set XDG_CACHE_HOME to a folder that can be written, or scan.engine to tensorflow"
        raise ModelError(f"exported models cannot be kept in {cache_folder}: {error.strerror}; {remedy}") from error


def _run_export(arguments: Sequence[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-P", "-m", openvino_export.__name__, *arguments], capture_output=True, text=True, check=False
    )
    if done.returncode == EXIT_BAD_MODEL:
        raise ModelError(done.stderr.strip().rpartition("\n")[2])
    if done.returncode:
        why = done.stderr.strip().rpartition("\n")[2]
        raise ModelError(f"a model cannot be exported to OpenVINO: {why}; set scan.engine to tensorflow")
