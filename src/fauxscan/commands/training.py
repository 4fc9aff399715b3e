"""Commands that train and use a model without the pipeline."""

import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fauxscan import params
from fauxscan.commands.option_groups import flat_options
from fauxscan.commands.options import CropsOption, FacesOption, ParamsFile, Stopped, exit_code, given, load_params
from fauxscan.commands.training_options import (
    DataOptions,
    LabelledOptions,
    NetworkOptions,
    OutputOptions,
    RecipeOptions,
    ReportOptions,
    SplitOptions,
)
from fauxscan.records import Status, UserError, Verdict
from fauxscan.shipped import sets

if TYPE_CHECKING:
    from fauxscan.calibrating.recalibrate import Recalibration
    from fauxscan.judging.metrics import Share
    from fauxscan.models import Calibration, Evidence
    from fauxscan.workshop import Prediction

OVERRIDDEN = (
    "Not in use yet: your own calibration {own} takes precedence over it, because {out} is the same network."
    " Delete that file to use {out}."
)


@flat_options
def train(
    folder: Annotated[Path, typer.Argument(metavar="TREE", help="Folder with a subfolder for each class.")],
    data: DataOptions,
    network: NetworkOptions,
    output: OutputOptions,
    recipe: RecipeOptions,
    split: SplitOptions,
    faces: CropsOption = "whole",
    params_file: ParamsFile = None,
) -> None:
    """Train a detector on a folder of images, without the pipeline. By default, follow the recipe of its paper."""
    from fauxscan import workshop

    settings = split.apply(load_params(params_file))
    changes = recipe.chosen | given({"self_blended": data.self_blended or None})
    try:
        card = workshop.train(
            folder, data.labels, output.out, network.detector, settings, network.chosen, changes, faces,
            imagenet=network.imagenet, tensorboard=output.tensorboard, plot=output.plot,
        )  # fmt: skip
    except KeyboardInterrupt:
        if not (work := workshop.work_folder(output.out)).exists():
            raise
        raise Stopped(f"What is finished is kept in {work}. Run the same command again to continue.") from None
    if not data.self_blended:
        typer.echo(_held_out_figures(output.out, settings))
    typer.echo(f"Wrote {output.out}: {_listed(card.figures)}\nNext: fauxscan predict {output.out} FOLDER")


def _held_out_figures(model: Path, settings: params.Params) -> str:
    """Return a line with the model's figures on the sources held out for testing, or the reason why there are none."""
    from fauxscan import workshop

    try:
        figures = workshop.held_out_figures(model, settings)["media"]
    except UserError as error:
        return f"Not tested: {error}"
    return f"On sources that it never saw: {_listed(figures)}"


def _listed(figures: dict[str, float]) -> str:
    return ", ".join(f"{name} {figure:.4g}" for name, figure in figures.items())


@flat_options
def calibrate(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="Folder or set to calibrate; it is not changed.")],
    labelled: LabelledOptions,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="FOLDER",
            show_default=False,
            help="Model folder to write: a copy of MODEL with a new card. Default: a file in your configuration, which"
            " scans use in place of the calibration on MODEL's card.",
        ),
    ] = None,
    folder: Annotated[
        Path | None,
        typer.Argument(
            metavar="FOLDER",
            show_default=False,
            help="Folder with a subfolder for each class. Default: the logits stored with MODEL; no file is read.",
        ),
    ] = None,
    faces: FacesOption = "auto",
    params_file: ParamsFile = None,
) -> None:
    """Calibrate a model or ensemble on labelled files of your own, on real files alone, or for other error rates."""
    from fauxscan.calibrating import recalibrate
    from fauxscan.scanning import user_calibrations

    files = labelled.files(folder)
    settings = labelled.apply(load_params(params_file))
    done = recalibrate.recalibrate(sets.find(model), out, settings, files, faces)
    for line in _calibration_lines(done):
        typer.echo(line)
    typer.echo(f"Wrote {done.written}")
    if out and (own := user_calibrations.overriding(out)):
        typer.echo(OVERRIDDEN.format(own=own, out=out))
    typer.echo(f"Next: fauxscan check FILE --models {out or model}")
    if out is None:
        typer.echo(f"Delete {done.written} to use the calibration on the model's card again.")


def _calibration_lines(done: "Recalibration") -> list[str]:
    """Return what a person is told about a calibration."""
    from fauxscan.judging import groups
    from fauxscan.judging.videos import thresholds

    fitted = done.calibration
    lines = [_calibrated_on(fitted, fitted.evidence)] if fitted.evidence else []
    if done.unjudged:
        lines.append(f"Left out, because they cannot be judged: {done.unjudged} files")
    if done.after:
        lines.append(f"False positives before: {_share(done.before) if done.before else 'unknown, not calibrated'}")
        lines.append(f"False positives after: {_share(done.after)}, each source judged without it in the fit")
    lines += [*groups.lines(fitted), thresholds.describe(fitted)]
    if fitted.high >= 1:
        needed = groups.fewest(fitted.false_positive_rate)
        lines.append(f"No file will be likely_synthetic: this rate of false positives needs {needed} reals or more")
    return lines


def _calibrated_on(fitted: "Calibration", evidence: "Evidence") -> str:
    on = f"Calibrated on {fitted.reals} reals of {evidence.real_sources} sources"
    if not evidence.fake_sources:
        return f"{on}. Nothing is known about fakes: no file will be no_indication"
    auc = f"AUC {evidence.auc:.3f} ({evidence.auc_low:.3f} to {evidence.auc_high:.3f})"
    return f"{on} and {fitted.fakes} fakes of {evidence.fake_sources} sources: {auc}"


def _share(share: "Share") -> str:
    return f"{share.share:.3f} ({share.low:.3f} to {share.high:.3f})"


@flat_options
def predict(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="Folder of a model, or name of a model set.")],
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="File, or folder with all files below it.")],
    report: ReportOptions,
    threshold: Annotated[
        float,
        typer.Option(
            min=0, max=1, metavar="P", show_default=False, help="Call files fake from this P(fake) on. Default: 0.5."
        ),
    ] = 0.5,
    probabilities: Annotated[bool, typer.Option("--probabilities", help="Also print P(fake) of each file.")] = False,
    faces: FacesOption = "auto",
    params_file: ParamsFile = None,
) -> None:
    """Print the path, the class and remarks (`detail`) of each file as CSV.

    The class is `uncertain` for every file if the model is not calibrated or knows too little for a verdict.
    """
    from fauxscan import workshop
    from fauxscan.reporting import scans

    judges = sets.find(model)
    labels, classes = report.labels, workshop.classes_of(judges)
    predictions = workshop.predict(judges, folder, load_params(params_file), threshold, faces)
    columns = ["path", "class", *(["p_fake"] if probabilities else []), "detail"]
    sys.stdout.writelines(scans.csv_lines(_rows(predictions, classes), columns))
    if report.report:
        typer.echo("\n" + workshop.report(predictions, folder, labels, classes, threshold))
    raise typer.Exit(exit_code(Counter(one.status for one in predictions)))


def _rows(predictions: "list[Prediction]", classes: tuple[str, str]) -> list[dict[str, Any]]:
    """Return path, class, P(fake) and detail of each file."""
    return [
        {"path": one.path, "class": _class(one, classes), "p_fake": one.p_fake, "detail": one.detail}
        for one in predictions
    ]


def _class(one: "Prediction", classes: tuple[str, str]) -> str:
    """Return the class of a file: its status if it was not judged, `uncertain` if the model gives no verdicts."""
    if one.status != Status.OK:
        return one.status
    return Verdict.UNCERTAIN if one.label is None else classes[one.label]
