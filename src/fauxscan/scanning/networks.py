"""Networks behind one interface: TensorFlow's, or on a CPU OpenVINO's, exported once from the model and kept."""

import hashlib
import importlib.util
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fauxscan import models
from fauxscan.judging import panel
from fauxscan.judging.panel import Panel
from fauxscan.models import ModelCard
from fauxscan.params import Engines
from fauxscan.records import UserError

if TYPE_CHECKING:
    from fauxscan.scanning.forward import Forward
    from fauxscan.scanning.settings import Settings

EXPORT, FULL_PRECISION = "fauxscan.scanning.exporting", "full_precision"
WRONG = 3  # how the process that exports ends when the model is at fault
GPU = Path("/dev/nvidiactl")  # what its driver makes; to ask TensorFlow would take seconds


def chosen(engine: Engines) -> str:
    """Return which engine runs: the one named, else OpenVINO where it is installed and no GPU is. Raise UserError."""
    installed = importlib.util.find_spec("openvino") is not None
    if engine == "openvino" and not installed:
        raise UserError("scan.engine is openvino, which is not installed: `make setup-extras`, or set it to auto")
    return ("openvino" if installed and not GPU.exists() else "tensorflow") if engine == "auto" else engine


def load(settings: "Settings") -> Panel:
    """Return the panel of the settings' models, run by their engine. Raise UserError."""
    if settings.engine == "tensorflow":
        return panel.load(settings.folders)
    seats = panel.seat(settings.folders)
    files = [_cache() / _name(folder, card) for folder, card in zip(seats.folders, seats.cards, strict=True)]
    _export({folder: file for folder, file in zip(seats.folders, files, strict=True) if not _is_whole(file)})
    members = [Exported(card, file, settings.scan.precision) for card, file in zip(seats.cards, files, strict=True)]
    return Panel(tuple(members), seats.ensemble)


@dataclass(frozen=True)
class Exported:
    """A model as OpenVINO reads it."""

    card: ModelCard
    file: Path
    precision: str

    def scorer(self, batch: int) -> "Forward":
        """Return a function from uint8 RGB images (n, size, size, 3), n at most `batch`, to logits (n,)."""
        compiled = self._compiled(batch)
        shape = (batch, self.card.input_size, self.card.input_size, 3)

        def forward(images: NDArray[np.uint8]) -> NDArray[np.float32]:
            full = images
            if len(images) < batch:
                full = np.zeros(shape, np.uint8)
                full[: len(images)] = images
            request = compiled.create_infer_request()  # one a call: many threads may
            found = request.infer([full], share_inputs=True)
            return np.array(found[0][: len(images), 0], np.float32)

        # In one thread: what OpenVINO sets up at its first inference ever, two that meet there wait for for ever.
        forward(np.zeros(shape, np.uint8))
        return forward

    def _compiled(self, batch: int) -> Any:
        import openvino

        core = openvino.Core()
        network = core.read_model(self.file)
        full = network.has_rt_info(FULL_PRECISION)  # what a frequency detector computes is lost in 16 bits
        network.reshape([batch, self.card.input_size, self.card.input_size, 3])
        steps = openvino.preprocess.PrePostProcessor(network)
        steps.input().tensor().set_element_type(openvino.Type.u8)
        options = {
            "PERFORMANCE_HINT": "THROUGHPUT",
            "NUM_STREAMS": str(len(os.sched_getaffinity(0))),
            "INFERENCE_PRECISION_HINT": "bf16" if self.precision == "bfloat16" and not full else "f32",
        }
        return core.compile_model(steps.build(), "CPU", options)


def _cache() -> Path:
    import platformdirs

    return platformdirs.user_cache_path("fauxscan") / f"openvino-{version('openvino')}"


def _name(folder: Path, card: ModelCard) -> str:
    """Return the name of a model's export: of the very file that was exported, and of what its card says it is."""
    file = folder / models.NETWORK
    found = hashlib.sha256(file.read_bytes()).hexdigest() if file.is_file() else "missing"
    return f"{card.model_digest[:16]}-{found[:16]}.xml"


def _is_whole(file: Path) -> bool:
    """Return whether an export is there as it was written."""
    sums = file.with_suffix(".sums")
    return sums.is_file() and sums.read_text(encoding="utf-8") == _sums(file)


def _sums(file: Path) -> str:
    parts = [part for part in (file, file.with_suffix(".bin")) if part.is_file()]
    return " ".join(hashlib.sha256(part.read_bytes()).hexdigest() for part in parts)


def _export(files: Mapping[Path, Path]) -> None:
    """Write the export of each model folder, whole or not at all. Raise UserError.

    In a process of its own: TensorFlow takes half a gigabyte, and threads, that a scan does not need.
    """
    if not files:
        return
    try:
        _cache().mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=_cache()) as aside:
            _run_export([str(path) for folder, file in files.items() for path in (folder, Path(aside) / file.name)])
            for file in files.values():
                made = Path(aside) / file.name
                made.with_suffix(".sums").write_text(_sums(made), encoding="utf-8")
                for suffix in (".bin", ".xml", ".sums"):  # last what says that the others are there
                    os.replace(made.with_suffix(suffix), file.with_suffix(suffix))
    except OSError as error:
        remedy = "set XDG_CACHE_HOME to a folder that can be written, or scan.engine to tensorflow"
        raise UserError(f"exported models cannot be kept in {_cache()}: {error.strerror}; {remedy}") from error


def _run_export(arguments: Sequence[str]) -> None:
    done = subprocess.run([sys.executable, "-P", "-m", EXPORT, *arguments], capture_output=True, text=True, check=False)
    if done.returncode == WRONG:
        raise UserError(done.stderr.strip().rpartition("\n")[2])
    if done.returncode:
        why = done.stderr.strip().rpartition("\n")[2]
        raise UserError(f"a model cannot be exported to OpenVINO: {why}; set scan.engine to tensorflow")
