"""Train on a folder and predict on a folder, without the pipeline, as the MesoNet package does (write-up of Agrawal).

from pathlib import Path

from fauxscan import params, workshop

settings = params.load()
workshop.train(Path("faces"), {"real": "real", "df": "deepfake"}, Path("models/mine"), "meso4", settings)
workshop.predict(Path("models/mine"), Path("new_faces"), settings)
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from fauxscan import datasets, detectors, models
from fauxscan.installation.requirements import checked_installation
from fauxscan.models import ModelCard
from fauxscan.params import SCRATCH, DatasetParams, ModelParams, Params, WeightsParams, faults
from fauxscan.records import FAKE, REAL, FaceMode, Framing, Kind, Status, UserError

if TYPE_CHECKING:
    from fauxscan.training.checkpoints import Checkpointer


@dataclass(frozen=True)
class Prediction:
    """The prediction for one file; for a file that could not be judged, `status` says why, and p_fake is None."""

    path: str
    status: str
    p_fake: float | None
    label: int | None  # records.FAKE or records.REAL; None if it was not judged, or if the model gives no verdicts
    detail: str | None = None  # why the label is None, or what is unusual about the file


@dataclass(frozen=True)
class Run:
    """The training of one model on one folder: its parameters, and the names that they have in params.yaml."""

    model: str
    dataset: str
    params: Params
    tree: Path  # the folder of the dataset
    work: Path  # the folder of intermediate results, which a killed training resumes from

    @classmethod
    def of(
        cls, tree: Path, labels: Mapping[str, str], out: Path, model: ModelParams, faces: FaceMode, params: Params
    ) -> "Run":
        """Return the run that trains `model` on the labelled folders of `tree`, for the model folder `out`."""
        options = {"labels": dict(labels)}
        dataset = DatasetParams(name="folder", archives=str(tree), options=options, faces=faces)
        weights = {model.weights: params.weights.get(model.weights, WeightsParams())}
        entries = {"datasets": {tree.name: dataset}, "models": {out.name: model}, "weights": weights}
        return cls(out.name, tree.name, params.model_copy(update=entries), tree, work_folder(out))


def work_folder(model: Path) -> Path:
    """Return the folder of intermediate results beside a model folder: `<model>.work`."""
    return model.with_name(f"{model.name}.work")


# === Training ===


@checked_installation()
def train(
    tree: Path, labels: Mapping[str, str], out: Path, detector: str, params: Params,
    options: Mapping[str, Any] | None = None, recipe: Mapping[str, Any] | None = None, faces: FaceMode = "whole",
    *, imagenet: bool = False, tensorboard: Path | None = None, plot: Path | None = None,
) -> ModelCard:  # fmt: skip
    """Train a detector on the labelled folders of `tree`, write the calibrated model to `out`, and return its card.

    `labels` gives each folder the label `real`, or the name of what made its fakes; with `self_blended` in the recipe,
    no folder of fakes is needed. `imagenet` starts from published weights. Intermediate results are kept in
    `<out>.work`, from which a killed training resumes. Curves are written to the folder `tensorboard`, as event files,
    and to the file `plot` (.png or .svg), if they are given. Raise UserError for wrong arguments, unsuitable data or a
    failed audit.
    """
    _check_folders(tree, labels, out)
    model = _model(detector, tree.name, options or {}, recipe or {}, detector if imagenet else SCRATCH)
    _check(labels, model, plot)
    run = Run.of(tree, labels, out, model, faces, params)
    _prepare(run)
    checkpointer = _train(run, tensorboard)
    card = _publish(run, labels, out)
    if plot:
        _plot(checkpointer, plot)
    checkpointer.finish()  # only now, so that a full disk at any earlier point loses no epoch
    return card


def _model(
    detector: str, dataset: str, options: Mapping[str, Any], recipe: Mapping[str, Any], weights: str
) -> ModelParams:
    """Return the parameters of the model. Raise UserError for an unknown detector or a wrong value."""
    detectors.get(detector)
    try:
        return ModelParams(
            detector=detector, dataset=dataset, options=dict(options), recipe=dict(recipe), weights=weights
        )
    except ValidationError as error:
        raise UserError("; ".join(faults(error, ModelParams))) from error


def _check_folders(tree: Path, labels: Mapping[str, str], out: Path) -> None:
    """Raise UserError if the model folder exists, or a folder of images does not or has no label."""
    models.refuse_existing(out)
    if not tree.is_dir():
        raise UserError(f"there is no folder {tree}")
    datasets.get("folder").check(tree, dict(labels))


def _check(labels: Mapping[str, str], model: ModelParams, plot: Path | None) -> None:
    """Raise UserError for what would fail only after hours of work."""
    from fauxscan.backbones import store
    from fauxscan.reporting import figures
    from fauxscan.training.recipes import recipe_of

    if backbone := detectors.get(model.detector).CARD.backbone:
        store.find(backbone)
    if plot:
        figures.form_of(plot)
        plot.parent.mkdir(parents=True, exist_ok=True)
    if not recipe_of(model).self_blended and set(labels.values()) == {"real"}:
        raise UserError("no folder of fakes is named: name one, or have fakes made from the reals (--self-blended)")


def _prepare(run: Run) -> None:
    """Run the stages `weights`, `download`, `faces`, `split`, `shards` and `mixture`.

    The folder is indexed where it is: `download` would also link its files.
    """
    from fauxscan.preparing.download.index import write_index
    from fauxscan.preparing.download.weights import provide
    from fauxscan.preparing.faces.extract import extract_faces
    from fauxscan.preparing.faces.extractor import FaceExtractor
    from fauxscan.preparing.mixture.write import write_mixture
    from fauxscan.preparing.shards.manifest import Framing
    from fauxscan.preparing.shards.write import write_shards
    from fauxscan.preparing.split.assign import split

    params, work, module = run.params, run.work, datasets.get("folder")
    model, dataset = params.model(run.model), params.dataset(run.dataset)
    index, faces, splits = work / "index.parquet", work / "faces", work / "split.parquet"
    provide(model.weights, params.published_weights(model.weights), work / "downloads", work / "weights")
    write_index(module.examples(run.tree, **dataset.options), run.tree, index, module.CARD, dataset.limit)
    extractor = FaceExtractor(run.tree, dataset.faces, params.media, params.faces, dataset.reencode, params.seed)
    extract_faces(index, run.tree, faces, extractor, params.scan.worker_count)
    split(faces, splits, work / "audit.json", params.split, params.seed)
    framing = Framing.of(dataset, params.faces)
    write_shards(index, faces, splits, work / "shards" / run.dataset, framing, params.shards)
    write_mixture(run.model, model, work / "shards", work / "mixture.json", params.split)


def _train(run: Run, tensorboard: Path | None) -> "Checkpointer":
    """Run the stage `train`, and return the checkpointer, which the caller has to finish."""
    from fauxscan.training import fit

    paths = [run.work / name for name in ("mixture.json", "shards", "weights", "checkpoint", "model")]
    return fit.train(run.model, run.params, *paths, tensorboard=tensorboard)


def _publish(run: Run, labels: Mapping[str, str], out: Path) -> ModelCard:
    """Run the stage `calibrate`, name the classes as the user does, and return the card of the model in `out`."""
    from fauxscan.judging import publishing

    work = run.work
    rates, frames = run.params.calibrate, run.params.media.max_frames
    publishing.calibrate(work / "model", work / "mixture.json", work / "shards", out, rates, frames)
    card = models.read_card(out).model_copy(update={"classes": _classes(labels)})
    models.write_card(out, card)
    return card


def _classes(labels: Mapping[str, str]) -> tuple[str, str]:
    """Return the user's names of the classes real and fake: the names of their folders."""
    reals = [name for name, made_by in labels.items() if made_by == "real"]
    fakes = [name for name in labels if name not in reals]
    return "+".join(reals), "+".join(fakes) or "fake"


def _plot(checkpointer: "Checkpointer", plot: Path) -> None:
    import pandas as pd

    from fauxscan.reporting import figures

    figures.training(pd.DataFrame(checkpointer.history), plot)


@checked_installation()
def held_out_figures(model: Path, params: Params) -> dict[str, dict[str, float]]:
    """Return the figures by face, media file and source of a model that `train` wrote, on its held-out sources.

    Raise UserError if no sources were held out, or all are of one class.
    """
    from fauxscan.judging import evaluation

    work, trained_on = work_folder(model), models.read_card(model).trained_on
    shards, out = work / "shards" / trained_on.dataset, work / "test"
    evaluation.evaluate(
        model.name, trained_on.dataset, model, shards, trained_on.faces, out, params.evaluate, params.seed
    )
    figures: dict[str, dict[str, float]] = json.loads((out / "metrics.json").read_text(encoding="utf-8"))
    return figures


# === Predicting ===


def classes_of(model: Path) -> tuple[str, str]:
    """Return the names of the two classes of a model; of an ensemble, those that all its members have, or the usual."""
    from fauxscan.judging import ensemble

    found = {card.classes for card in ensemble.read_members([model]).cards}
    return found.pop() if len(found) == 1 else ("real", "fake")


@checked_installation()
def predict(
    model: Path, folder: Path, params: Params, threshold: float = 0.5, faces: Framing = "auto"
) -> list[Prediction]:
    """Return a prediction for each file below `folder`, or for one file; files are fake from `threshold` of P(fake) on.

    If the model gives no verdicts (it is not calibrated, its calibration shows that it knows too little, or it was
    trained on the demo), no file gets a label, and no video without thresholds for videos. Raise UserError if there is
    no such folder or file.
    """
    from fauxscan.judging import ensemble
    from fauxscan.scanning import settings
    from fauxscan.scanning.engine.engine import check_files
    from fauxscan.scanning.inputs.local import Walk

    if not folder.exists():
        raise UserError(f"there is no folder or file {folder}")
    files = [folder / entry.path for entry in Walk(folder)] if folder.is_dir() else [folder]
    chosen = settings.read(params, (model,), faces)
    labelled = [kind for kind in Kind if ensemble.gives_verdicts(chosen.cards, chosen.ensemble, kind)]
    return [
        Prediction(
            str(file), outcome.status, outcome.p_fake,
            None if outcome.kind not in labelled or outcome.p_fake is None else _label(outcome.p_fake, threshold),
            outcome.detail,
        )
        for file, outcome in zip(files, check_files(files, chosen), strict=True)
    ]  # fmt: skip


def _label(p_fake: float, threshold: float) -> int:
    return FAKE if p_fake >= threshold else REAL


@checked_installation()
def report(
    predictions: Sequence[Prediction], tree: Path, labels: Mapping[str, str],
    classes: tuple[str, str] = ("real", "fake"), threshold: float = 0.5,
) -> str:  # fmt: skip
    """Return a table of precision, recall and F1 for the files in labelled folders of `tree`, at `threshold`.

    It measures p_fake, also that of a model that gives no verdicts. Raise UserError if a folder does not exist, or no
    file in them was judged.
    """
    from sklearn.metrics import classification_report

    if missing := [name for name in labels if not (tree / name).is_dir()]:
        raise UserError(f"there is no folder {', '.join(missing)} in {tree}")
    folders = {tree / name: REAL if made_by == "real" else FAKE for name, made_by in labels.items()}
    pairs = [(_label_of_folder(Path(one.path), folders), one.p_fake) for one in predictions if one.status == Status.OK]
    judged = [(true, _label(found, threshold)) for true, found in pairs if true is not None and found is not None]
    if not judged:
        raise UserError(f"no judged file is in a labelled folder of {tree}: {', '.join(labels) or 'none is labelled'}")
    true, predicted = zip(*judged, strict=True)
    names = list(classes)
    return str(classification_report(true, predicted, labels=[REAL, FAKE], target_names=names, zero_division=0))


def _label_of_folder(file: Path, folders: Mapping[Path, int]) -> int | None:
    """Return the label of the folder that a file is in, None if it is in none of them."""
    return next((label for folder, label in folders.items() if folder in file.parents), None)
