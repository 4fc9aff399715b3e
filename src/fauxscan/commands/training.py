"""Commands that train and use a model without the pipeline."""

import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fauxscan import params
from fauxscan.commands.option_groups import flat_options
from fauxscan.commands.options import CropsOption, ParamsFile, exit_code, given
from fauxscan.commands.training_options import (
    DataOptions,
    NetworkOptions,
    OutputOptions,
    RecipeOptions,
    ReportOptions,
    SplitOptions,
)
from fauxscan.records import UserError

if TYPE_CHECKING:
    from fauxscan.workshop import Prediction


@flat_options
def train(
    folder: Annotated[Path, typer.Argument(metavar="TREE", help="Folder with a subfolder for each class.")],
    data: DataOptions,
    network: NetworkOptions,
    output: OutputOptions,
    recipe: RecipeOptions,
    split: SplitOptions,
    faces: CropsOption = "whole",
    params_file: ParamsFile = Path("params.yaml"),
) -> None:
    """Train a detector on a folder of images, without the pipeline. By default, follow the recipe of its paper."""
    from fauxscan import workshop

    settings = split.apply(params.load(params_file))
    changes = recipe.chosen | given({"self_blended": data.self_blended or None})
    card = workshop.train(
        folder, data.labels, output.out, network.detector, settings, network.chosen, changes, faces,
        imagenet=network.imagenet, tensorboard=output.tensorboard, plot=output.plot,
    )  # fmt: skip
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
def predict(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="Model folder.")],
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="File, or folder with all files below it.")],
    report: ReportOptions,
    threshold: Annotated[
        float,
        typer.Option(
            min=0, max=1, metavar="P", show_default=False, help="Lowest P(fake) of files called fake. Default: 0.5."
        ),
    ] = 0.5,
    probabilities: Annotated[bool, typer.Option("--probabilities", help="Also print P(fake).")] = False,
    faces: CropsOption = "whole",
    params_file: ParamsFile = Path("params.yaml"),
) -> None:
    """Print the class of each file as CSV: path, class and, with --probabilities, P(fake)."""
    from fauxscan import models, workshop
    from fauxscan.reporting import scans

    labels, classes = report.labels, models.read_card(model).classes
    predictions = workshop.predict(model, folder, params.load(params_file), threshold, faces)
    columns = ["path", "class", "p_fake"] if probabilities else ["path", "class"]
    sys.stdout.writelines(scans.csv_lines(_rows(predictions, classes), columns))
    if report.report:
        typer.echo("\n" + workshop.report(predictions, folder, labels, classes))
    raise typer.Exit(exit_code(Counter(one.status for one in predictions)))


def _rows(predictions: "list[Prediction]", classes: tuple[str, str]) -> list[dict[str, Any]]:
    """Return path, class and P(fake) of each file; the class of a file that was not judged is its status."""
    return [
        {"path": one.path, "class": one.status if one.label is None else classes[one.label], "p_fake": one.p_fake}
        for one in predictions
    ]
