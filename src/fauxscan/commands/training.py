"""Commands that train and use a model without the pipeline."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from fauxscan import params
from fauxscan.commands.options import OK, UNJUDGED, Faces, FacesOption, ParamsFile, given, value
from fauxscan.records import UserError


def train(
    folder: Annotated[Path, typer.Argument(help="The tree with a folder for each class.")],
    *,
    detector: Annotated[str, typer.Option("--detector", help="The network, as in docs/detectors.md.")],
    real: Annotated[list[str], typer.Option("--real", metavar="FOLDER", help="A folder of reals; repeatable.")],
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            help="The model folder to write. Until then the best weights and a checkpoint are kept in OUT.work: "
            "killed, the same command goes on after the last epoch.",
        ),
    ],
    fake: Annotated[
        list[str] | None, typer.Option("--fake", metavar="FOLDER", help="A folder of fakes; repeatable.")
    ] = None,
    self_blended: Annotated[
        bool, typer.Option("--self-blended", help="Make the fakes of the reals, for a detector of faces.")
    ] = False,
    faces: FacesOption = Faces.WHOLE,
    imagenet: Annotated[bool, typer.Option("--imagenet", help="Begin from the detector's ImageNet weights.")] = False,
    activation: Annotated[
        str | None, typer.Option(help="relu, elu, leaky_relu or '{leaky_relu: SLOPE}', for the whole net.")
    ] = None,
    size: Annotated[int | None, typer.Option(help="Side of the input, in pixels.")] = None,
    epochs: Annotated[int | None, typer.Option(help="Passes over the training part.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Images a batch.")] = None,
    loss: Annotated[str | None, typer.Option(help="mean_squared_error or binary_crossentropy.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="The first rate.")] = None,
    decay_factor: Annotated[float | None, typer.Option(help="The rate is multiplied by this ...")] = None,
    decay_steps: Annotated[int | None, typer.Option(help="... every so many batches; 0: by --lowest-rate ...")] = None,
    lowest_rate: Annotated[float | None, typer.Option(help="... and never falls below this.")] = None,
    monitor: Annotated[str | None, typer.Option(help="val_loss or val_accuracy: says which epoch is best.")] = None,
    early_stopping: Annotated[
        int | None, typer.Option(help="Epochs without a better one, after which it ends.")
    ] = None,
    validation: Annotated[float | None, typer.Option(help="Share of sources to validate and calibrate on.")] = None,
    test: Annotated[float | None, typer.Option(help="Share of sources to test on, never trained on.")] = None,
    augmentation: Annotated[bool, typer.Option(help="As the recipe says, or none.")] = True,
    on_shortcut: Annotated[str, typer.Option(help="fail or warn, if files alone give the label away.")] = "fail",
    tensorboard: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Write the curves as event files of TensorBoard.")
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Draw loss and accuracy over the epochs, as .png or .svg.")
    ] = None,
    params_file: ParamsFile = Path("params.yaml"),
) -> None:
    """Train a detector on a folder, without the pipeline; by default as its paper did."""
    from fauxscan import workshop

    chosen: dict[str, object] = {
        "epochs": epochs, "batch_size": batch_size, "loss": loss, "learning_rate": learning_rate, "monitor": monitor,
        "decay_factor": decay_factor, "decay_steps": decay_steps, "lowest_rate": lowest_rate,
        "early_stopping": early_stopping, "augmentation": None if augmentation else {},
        "self_blended": self_blended or None,
    }  # fmt: skip
    options = given({"activation": activation and value(activation), "size": size})
    settings = params.load(params_file)
    settings = params.changed(settings, "split", shares(settings, validation, test) | {"on_shortcut": on_shortcut})
    card = workshop.train(
        folder, classes_of(real, fake or []), out, detector, settings, options, given(chosen), faces.value,
        imagenet=imagenet, tensorboard=tensorboard, plot=plot,
    )  # fmt: skip
    figures = ", ".join(f"{name} {value:.4g}" for name, value in card.figures.items())
    if not self_blended:
        typer.echo(_tested(out, settings))
    typer.echo(f"{out}: {figures}\nnext: fauxscan predict {out} FOLDER")


def _tested(model: Path, settings: params.Params) -> str:
    """Return what a model reaches on the sources that were held out, or why that cannot be said."""
    from fauxscan import workshop

    try:
        found = workshop.held_out_figures(model, settings)["media"]
    except UserError as error:
        return f"not tested: {error}"
    return f"on sources it never saw: {', '.join(f'{name} {value:.4g}' for name, value in found.items())}"


def shares(settings: params.Params, validation: float | None, test: float | None) -> dict[str, float]:
    """Return the shares of the split; what is not validated or tested on is trained on."""
    held = settings.split.validation if validation is None else validation
    tested = 1 - settings.split.train - settings.split.validation if test is None else test
    return {"train": 1 - held - tested, "validation": held}


def classes_of(real: list[str], fake: list[str]) -> dict[str, str]:
    return dict.fromkeys(real, "real") | dict.fromkeys(fake, "fake")


def predict(
    model: Annotated[Path, typer.Argument(help="A model folder.")],
    folder: Annotated[Path, typer.Argument(help="A folder, with all below it, or a file.")],
    *,
    threshold: Annotated[float, typer.Option(min=0, max=1, help="P(fake) from which on a file is called fake.")] = 0.5,
    probabilities: Annotated[bool, typer.Option("--probabilities", help="Print P(fake), too.")] = False,
    real: Annotated[list[str] | None, typer.Option("--real", metavar="FOLDER", help="For --report: reals.")] = None,
    fake: Annotated[list[str] | None, typer.Option("--fake", metavar="FOLDER", help="For --report: fakes.")] = None,
    report: Annotated[bool, typer.Option("--report", help="Precision, recall and F1 of the labelled folders.")] = False,
    faces: FacesOption = Faces.WHOLE,
    params_file: ParamsFile = Path("params.yaml"),
) -> None:
    """Print the class of each file, as CSV: path, class, and P(fake) if asked for."""
    from fauxscan import models, workshop
    from fauxscan.scanning import printing

    labelled = classes_of(real or [], fake or [])
    if report and not labelled:
        raise UserError("--report compares with folders that you name: add --real FOLDER and --fake FOLDER")
    classes = models.read_card(model).classes
    found = workshop.predict(model, folder, params.load(params_file), threshold, faces.value)
    rows = [
        {
            "path": one.path,
            "class": one.status if one.label is None else classes[one.label],
            "p_fake": one.p_fake,
        }
        for one in found
    ]
    sys.stdout.writelines(printing.csv_lines(rows, ["path", "class", "p_fake"][: 3 if probabilities else 2]))
    if report:
        typer.echo("\n" + workshop.report(found, folder, labelled, classes))
    raise typer.Exit(OK if all(one.label is not None for one in found) else UNJUDGED)
