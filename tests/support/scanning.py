"""For the tests of scans: tiny untrained models, stub models, and folders with every kind of file."""

import io
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from PIL import Image as Pillow
from skimage import data

from fauxscan import models, openvino_export, params
from fauxscan.judging import ensemble
from fauxscan.judging.ensemble import Ensemble
from fauxscan.models import Calibration, ModelCard, TrainedOn
from fauxscan.params import FaceParams, ModelParams, Params
from fauxscan.records import Framing, Recipe, View
from fauxscan.scanning import settings
from fauxscan.scanning.decoding import worker
from fauxscan.scanning.decoding.views import OnCrop
from fauxscan.scanning.engine.engine import Engine
from fauxscan.scanning.rows import Outcome, Row
from fauxscan.scanning.tables import parquet, schemas
from support import ROOT

FACES = FaceParams(
    detector="yunet", working_size=640, score=0.6, min_size=32, max_faces=8, margin=0.3, size=128, search_every=1
)


def tiny_params(media: dict[str, Any] | None = None, **scan: Any) -> Params:
    """Return the committed parameters with two models and small batches."""
    whole = params.load(ROOT / "params.yaml")
    small = {
        "batch_files": 4,
        "batch_faces": 4,
        "workers": 2,
        "engine": "tensorflow",
        "publish_every": 2,
        "max_retries": 1,
    } | scan
    models = {
        "faces": ModelParams(detector="meso4", dataset="demo"),
        "wholes": ModelParams(detector="dct_cnn", dataset="demo"),
    }
    media_params = whole.media.model_copy(update=media or {})
    others = {"combiners": {}, "evaluations": {}, "scores": {}}
    scan_params = whole.scan.model_copy(update=small)
    return whole.model_copy(update={"scan": scan_params, "models": models, "media": media_params, **others})


def write_params(path: Path, **scan: Any) -> Path:
    """Write the parameters of `tiny_params` as a file."""
    path.write_text(tiny_params(**scan).model_dump_json(), encoding="utf-8")  # JSON is YAML
    return path


def card(name: str, detector: str, size: int, looks_at: View, digest: str, **others: Any) -> ModelCard:
    """Return the card of an untrained model."""
    calibration = Calibration(
        temperature=1.5, high=0.7, low=0.3, false_positive_rate=0.05, false_negative_rate=0.05, reals=1, fakes=1
    )
    known: dict[str, Any] = {
        "faces": FACES if looks_at is View.FACE else None,
        "trained_on": TrainedOn(dataset="none", faces="detect", split_digest="0", proof_of_machinery=False),
        "calibration": calibration,
    }
    fixed = {"options": {"size": size}, "recipe": Recipe(), "figures": {}, "licence": "none", "model_digest": digest}
    return ModelCard(name=name, detector=detector, input_size=size, looks_at=looks_at, **fixed, **(known | others))


def save_model(folder: Path, detector: str, seed: int, looks_at: View, spoil: bool = False) -> Path:
    """Write an untrained model of 64 px; if `spoil`, with weights that are NaN."""
    import keras

    from fauxscan import detectors

    keras.utils.set_random_seed(seed)
    network = detectors.get(detector).build(size=64)
    for weight in network.trainable_weights:  # larger than at the start, or every logit would be near 0
        weight.assign(weight.numpy() + np.random.default_rng(seed).normal(0, 0.05, weight.shape))
    if spoil:
        weight.assign(np.full(weight.shape, np.nan))
    models.save(folder, network, card(folder.name, detector, 64, looks_at, models.digest(network)))
    return folder


def copy_uncalibrated(model: Path, folder: Path) -> Path:
    """Copy a model without its calibration, under the name of the new folder. Return the folder."""
    shutil.copytree(model, folder)
    card = models.read_card(folder)
    models.write_card(folder, card.model_copy(update={"calibration": None, "name": folder.name}))
    return folder


def add_openvino_files(folder: Path) -> Path:
    """Write the OpenVINO files into a model folder that has none, and list them on its card."""
    model = models.load(folder)
    files = openvino_export.add(folder, model.network)
    models.write_card(folder, model.card.model_copy(update={"openvino": files}))
    return folder


@dataclass(frozen=True)
class Stub:
    """A model without TensorFlow: its logit is the mean of the pixels, so scores differ and are reproducible."""

    card: ModelCard
    network: Any = None

    def scorer(self, batch: int) -> Callable[[Any], Any]:
        """Return the forward pass."""
        return lambda images: (images.reshape(len(images), -1).mean(1) / 64 - 2).astype(np.float32)


def stub_cards(home: Path, size: int = 64) -> list[Path]:
    """Write two model folders that hold only a card."""
    home.mkdir(parents=True, exist_ok=True)
    cards = [
        card("faces", "meso4", size, View.FACE, "a" * 64),
        card("wholes", "dct_cnn", size // 2, View.WHOLE, "b" * 64),
    ]
    for one in cards:
        (home / one.name).mkdir(exist_ok=True)
        models.write_card(home / one.name, one)
    return [home / one.name for one in cards]


def stub_ensemble(settings: settings.Settings) -> Ensemble:
    """Return the ensemble of folders written by `stub_cards`, or of an ensemble of them."""
    members = ensemble.read_members(settings.folders)
    return Ensemble(tuple(Stub(card) for card in members.cards), members.ensemble)


class MediaDecoder:
    """A decoder in this process, for tests that kill dozens of scans and cannot wait for decoders to start."""

    def __init__(self, settings: settings.Settings) -> None:
        self.reader = worker.MediaReader(settings)

    def decode(self, files: Sequence[worker.FileToDecode], on_crop: OnCrop) -> list[Outcome]:
        """Return the outcome of each file; `on_crop` is called afterwards: its errors are not the file's fault."""
        outcomes = []
        for number, file in enumerate(files):
            crops: list[tuple[int, Row, Any]] = []
            outcomes.append(
                self.reader.decode(number, file, lambda *crop, crops=crops: crops.append((*crop[:2], crop[2].copy())))
            )
            for crop in crops:
                on_crop(*crop)
        return outcomes

    def interrupt(self) -> None:
        """Do nothing: a file takes no time here."""

    def close(self) -> None:
        """Do nothing: no process was started."""


def encoded(image: Any, form: str, **options: Any) -> bytes:
    """Return an RGB image encoded by Pillow."""
    out = io.BytesIO()
    Pillow.fromarray(image).save(out, form, **options)
    return out.getvalue()


def write_clip(path: Path, frames: int = 50, rate: int = 25) -> None:
    """Write an H.264 clip of a face that moves."""
    face = cv2.resize(data.astronaut()[0:256, 96:352], (128, 128))
    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=rate)
        stream.width, stream.height, stream.pix_fmt = 192, 160, "yuv420p"
        for number in range(frames):
            image = np.full((160, 192, 3), 90, np.uint8)
            image[16:144, number % 64 : number % 64 + 128] = face
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())


def write_folder(root: Path) -> Path:
    """Write a folder with a file of every kind."""
    face, cat = data.astronaut(), data.chelsea()
    jpeg = encoded(face, "JPEG", quality=90)
    (root / "a" / "b").mkdir(parents=True)
    files: dict[str, bytes] = {
        "face.jpg": jpeg,
        "a/cat.png": encoded(cat, "PNG"),
        "a/b/crop.jpg": encoded(face[0:256, 96:352], "JPEG"),
        "a/b/lying.jpg": encoded(cat[:200, :200], "PNG"),
        "copy of face.jpg": jpeg,
        "small.png": encoded(face[:16, :400], "PNG"),
        "dot.png": encoded(face[:1, :1], "PNG"),
        "black.png": encoded(np.zeros((64, 64, 3), np.uint8), "PNG"),
        "empty.jpg": b"",
        "notes.txt": b"no picture",
        "cut.jpg": jpeg[: len(jpeg) // 2],
        "=cmd('calc')!A0.png": encoded(cat[:100, :100], "PNG"),
        "new\nline.png": encoded(cat[50:150, :100], "PNG"),
    }
    for name, content in files.items():
        (root / name).write_bytes(content)
    (root / os.fsdecode(b"not utf-8 \xff.png")).write_bytes(encoded(cat[:100, 50:150], "PNG"))
    write_clip(root / "a" / "clip.mp4")
    os.mkfifo(root / "a" / "pipe.jpg")
    (root / "a" / "loop").symlink_to(root)
    return root


def write_many(root: Path, count: int) -> Path:
    """Write many small images, some of them duplicates."""
    root.mkdir()
    for number in range(count):
        x, y = divmod(number % (count - 5), 15)
        image = cv2.cvtColor(data.astronaut()[y * 20 : y * 20 + 64, x * 10 : x * 10 + 64], cv2.COLOR_RGB2BGR)
        cv2.imwrite(str(root / f"{number:03d}.png"), image)
    return root


def stub_engine(home: Path, mode: Framing = "auto", only: str | None = None, size: int = 64, **options: Any) -> Engine:
    """Return an engine with the stub models, or with `only` one of them (`faces` or `wholes`)."""
    folders = [folder for folder in stub_cards(home, size) if only in (None, folder.name)]
    return Engine(settings.read(tiny_params(**options), folders, mode), stub_ensemble, MediaDecoder)


def write_evaluations(project: Path, digests: Mapping[str, str], dataset: str = "twins", **figures: Any) -> Path:
    """Write the table that the stage `report` writes, of models by their digests: all is 0.875, AUC from 0.75 to 1."""
    import pandas as pd

    from fauxscan.reporting import page  # which draws, and is slow to import

    (project / "reports").mkdir(parents=True, exist_ok=True)
    of = {"trained_on": "none", "dataset": dataset, "generator": "all", "confidence": 0.95}
    keys = [(unit, degradation) for unit in ("media", "face") for degradation in ("none", "jpeg60")]
    rows = [
        dict.fromkeys(page.COLUMNS, 0.875) | dict.fromkeys(["reals", "fakes", "sources"], 40) | of
        | {"evaluation": f"{model}-{dataset}", "model": model, "model_digest": digest}
        | {"unit": unit, "degradation": degradation, "auc_low": 0.75, "auc_high": 1.0} | figures
        for model, digest in digests.items() for unit, degradation in keys
    ]  # fmt: skip
    pd.DataFrame(rows)[list(page.COLUMNS)].to_parquet(project / "reports" / page.TABLE, index=False)
    return project


def union(results: Path) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return all rows of `media` and `scores`, sorted, without what differs from run to run."""
    media, scores = (parquet.read(results, schema).to_pylist() for schema in (schemas.MEDIA, schemas.SCORES))
    return sorted(({**row, "run_id": None} for row in media), key=repr), sorted(scores, key=repr)
