"""Train on a folder and predict on a folder, without a pipeline: what the MesoNet package is for (write-up of Agrawal).

from pathlib import Path

from fauxscan import params, workshop

settings = params.load()
workshop.train(Path("faces"), {"real": "real", "df": "deepfake"}, Path("models/mine"), "meso4", settings)
workshop.predict(Path("models/mine"), Path("new_faces"), settings)
"""

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from fauxscan import datasets, detectors, models
from fauxscan.models import ModelCard
from fauxscan.params import SCRATCH, DatasetParams, ModelParams, Params, WeightsParams, faults
from fauxscan.records import FAKE, REAL, Status, UserError

log = logging.getLogger(__name__)
Faces = Literal["detect", "whole"]


@dataclass(frozen=True)
class Prediction:
    """What was made of one file; where it could not be judged, `status` says why and the rest is None."""

    path: str
    status: str
    p_fake: float | None
    label: int | None  # records.FAKE or records.REAL


def train(
    tree: Path, labels: Mapping[str, str], out: Path, detector: str, params: Params,
    options: Mapping[str, Any] | None = None, recipe: Mapping[str, Any] | None = None, faces: Faces = "whole",
    *, imagenet: bool = False, tensorboard: Path | None = None, plot: Path | None = None,
) -> ModelCard:  # fmt: skip
    """Train a detector on the labelled folders of `tree` and write the calibrated model to `out`; return its card.

    `labels` says of each folder `real`, or what made its fakes, which a recipe with `self_blended` does not need.
    `imagenet`: it begins from published weights. What is made on the way is kept in `<out>.work`, from which a killed
    training goes on. Curves go into the folder `tensorboard`, as event files, and the file `plot` (.png or .svg), if
    they are given. Raise UserError.
    """
    import pandas as pd

    from fauxscan.judging import publishing
    from fauxscan.preparing import faces as making
    from fauxscan.preparing import index as indexing
    from fauxscan.preparing import published, sharding, splits
    from fauxscan.reporting import figures
    from fauxscan.training import fit

    if plot:
        figures.form_of(plot)
        plot.parent.mkdir(parents=True, exist_ok=True)
    if out.exists():
        raise UserError(f"{out} is already there: name another folder for the model")
    if not tree.is_dir():
        raise UserError(f"there is no folder {tree}")
    weights = detector if imagenet else SCRATCH
    model = _model(detector, tree.name, dict(options or {}), dict(recipe or {}), weights)
    if not fit.recipe_of(model).self_blended and set(labels.values()) == {"real"}:
        raise UserError("no folder of fakes is named: name one, or have fakes made of the reals (--self-blended)")
    home, own = out.with_name(f"{out.name}.work"), datasets.get("folder")
    dataset = DatasetParams(name=own.CARD.name, archives=str(tree), options={"labels": dict(labels)}, faces=faces)
    declared = params.model_copy(update={"datasets": {tree.name: dataset}, "models": {out.name: model}})

    place = params.weights.get(weights, WeightsParams())
    published.provide(weights, place, home / "downloads", home / "weights")
    indexing.write(own.examples(tree, labels=dict(labels)), tree, home / "index.parquet", own.CARD, None)
    maker = making.FaceMaker(tree, faces, params.media, params.faces)
    making.make_faces(home / "index.parquet", tree, home / "faces", maker, params.scan.worker_count)
    splits.split(home / "faces", home / "split.parquet", home / "audit.json", params.split, params.seed)
    sharding.write_shards(home / "faces", home / "split.parquet", home / "shards", params.shards)
    made = [home / name for name in ("index.parquet", "shards", "weights", "kept", "model", "plots")]
    kept = fit.train(out.name, declared, *made, tensorboard=tensorboard)
    publishing.calibrate(home / "model", home / "shards", out, params.calibrate)
    card = models.read_card(out).model_copy(update={"classes": _classes(labels)})
    models.write_card(out, card)
    if plot:
        figures.training(pd.DataFrame(kept.history), plot)
    kept.finish()  # not before all is written: what a full disk stops goes on from here
    return card


def _classes(labels: Mapping[str, str]) -> tuple[str, str]:
    """Return what the user calls reals and fakes."""
    reals = [name for name, made_by in labels.items() if made_by == "real"]
    fakes = [name for name in labels if name not in reals]
    return "+".join(reals), "+".join(fakes) or "fake"


def held_out_figures(model: Path, params: Params) -> dict[str, dict[str, float]]:
    """Return what a model that `train` wrote reaches on the sources that it never saw, by face, file and source.

    Raise UserError where none were left, or all are of one class.
    """
    from fauxscan.judging import evaluation

    home, card = model.with_name(f"{model.name}.work"), models.read_card(model)
    out = home / "test"
    evaluation.evaluate(
        model.name, card.trained_on.dataset, model, home / "shards", card.trained_on.faces, out, params.evaluate,
        params.seed,
    )  # fmt: skip
    found: dict[str, dict[str, float]] = json.loads((out / "metrics.json").read_text(encoding="utf-8"))
    return found


def _model(detector: str, dataset: str, options: dict[str, Any], recipe: dict[str, Any], weights: str) -> ModelParams:
    detectors.get(detector)
    try:
        return ModelParams(detector=detector, dataset=dataset, options=options, recipe=recipe, weights=weights)
    except ValidationError as error:
        raise UserError("; ".join(faults(error))) from error


def predict(
    model: Path, folder: Path, params: Params, threshold: float = 0.5, faces: Faces = "whole"
) -> list[Prediction]:
    """Return what the model says of each file below `folder`, or of one file: fake from `threshold` of P(fake) on."""
    from fauxscan.scanning import settings
    from fauxscan.scanning.engine import check_files
    from fauxscan.scanning.walking import Walk

    if not folder.exists():
        raise UserError(f"there is no folder or file {folder}")
    files = [folder / entry.path for entry in Walk(folder)] if folder.is_dir() else [folder]
    outcomes = check_files(files, settings.read(params, (model,), faces))
    return [
        Prediction(str(file), outcome.status, outcome.p_fake, _label(outcome.p_fake, threshold))
        for file, outcome in zip(files, outcomes, strict=True)
    ]


def _label(p_fake: float | None, threshold: float) -> int | None:
    return None if p_fake is None else FAKE if p_fake >= threshold else REAL


def report(
    found: Sequence[Prediction], tree: Path, labels: Mapping[str, str], classes: tuple[str, str] = ("real", "fake")
) -> str:
    """Return precision, recall and F1 of files in labelled folders of `tree`. Raise UserError if there are none."""
    from sklearn.metrics import classification_report

    if missing := [name for name in labels if not (tree / name).is_dir()]:
        raise UserError(f"there is no folder {', '.join(missing)} in {tree}")
    truth = {tree / name: REAL if made_by == "real" else FAKE for name, made_by in labels.items()}
    known = [
        (next((label for home, label in truth.items() if home in Path(one.path).parents), None), one.label)
        for one in found
        if one.status == Status.OK
    ]
    judged = [(true, said) for true, said in known if true is not None and said is not None]
    if not judged:
        raise UserError(
            f"no judged file lies in a labelled folder of {tree}: {', '.join(labels) or 'none is labelled'}"
        )
    true, said = zip(*judged, strict=True)
    return str(classification_report(true, said, labels=[REAL, FAKE], target_names=list(classes), zero_division=0))
