"""The command line: the library's functions for a person at a terminal."""

import json
import logging
import os
import sys
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from fauxscan import params
from fauxscan.records import Status, UserError

OK, UNJUDGED, WRONG, STOPPED = 0, 2, 3, 130

app = typer.Typer(
    help="Finds synthetic and manipulated faces in folders of images and videos, and says how sure it is.",
    add_completion=False,
    pretty_exceptions_enable=False,
)

Models = Annotated[
    list[Path] | None,
    typer.Option("--models", metavar="FOLDER", help="A model or ensemble folder; repeatable. Else: params.yaml's."),
]
ParamsFile = Annotated[Path, typer.Option("--params", help="The file with all numbers.")]
Results = Annotated[Path, typer.Option("--results", help="The folder of the tables.")]


class Faces(StrEnum):
    """What is taken of an image."""

    DETECT = "detect"
    WHOLE = "whole"


class Format(StrEnum):
    """How rows are printed."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"


class Report(StrEnum):
    """How an audit is printed."""

    TABLE = "table"
    JSON = "json"


FacesOption = Annotated[
    Faces, typer.Option("--faces", help="detect: as each model wants them; whole: every image is a face crop.")
]


@app.command()
def scan(
    folder: Annotated[Path, typer.Argument(help="The folder to scan, with all below it.")],
    results: Results,
    models: Models = None,
    faces: FacesOption = Faces.DETECT,
    params_file: ParamsFile = Path("params.yaml"),
) -> None:
    """Scan a folder into Parquet tables: what is new or changed since the last scan is judged."""
    from fauxscan.scanning import printing, progress, settings
    from fauxscan.scanning import scan as scanning
    from fauxscan.scanning.engine import Engine

    scanning.check_folder(folder)
    chosen = settings.read(params.load(params_file), models or (), faces.value)
    with progress.shown(Console(stderr=True)) as tell:
        summary = scanning.scan(folder, results, Engine(chosen), tell)
    printing.summary(Console(), summary, results, chosen)
    raise typer.Exit(UNJUDGED if summary.unjudged else OK)


@app.command()
def check(
    files: Annotated[list[Path], typer.Argument(help="Images and videos.")],
    models: Models = None,
    faces: FacesOption = Faces.DETECT,
    params_file: ParamsFile = Path("params.yaml"),
) -> None:
    """Judge single files and print the verdicts; nothing is written."""
    from fauxscan.scanning import printing, settings
    from fauxscan.scanning.engine import check_files

    if folders := [str(file) for file in files if file.is_dir()]:
        raise UserError(f"{', '.join(folders)} is a folder: use `fauxscan scan FOLDER --results DIR`")
    outcomes = check_files(files, settings.read(params.load(params_file), models or (), faces.value))
    printing.outcomes(Console(), files, outcomes)
    raise typer.Exit(OK if all(outcome.status == Status.OK for outcome in outcomes) else UNJUDGED)


@app.command()
def latest(
    results: Results,
    form: Annotated[Format, typer.Option("--format", help="table, csv or json.")] = Format.TABLE,
) -> None:
    """Print the latest state of every path in the tables."""
    from fauxscan.scanning import printing, tables

    rows = tables.latest(results).to_pylist()
    if form is Format.JSON:
        typer.echo(json.dumps(rows, default=bytes.hex, indent=1))
    elif form is Format.CSV:
        typer.echo(printing.csv_text(rows, tables.MEDIA.names), nl=False)
    else:
        printing.states(Console(), rows)


@app.command()
def audit(
    folder: Annotated[Path, typer.Argument(help="A dataset that the pipeline prepared (data/demo), or a tree.")],
    labels: Annotated[
        list[str] | None,
        typer.Option("--label", metavar="FOLDER=WHAT", help="What a folder of the tree holds: real, or a generator."),
    ] = None,
    split: Annotated[
        list[str] | None,
        typer.Option("--split", metavar="FOLDER=SPLIT", help="Which split a folder is: train, validation or test."),
    ] = None,
    form: Annotated[Report, typer.Option("--format", help="table or json.")] = Report.TABLE,
    params_file: ParamsFile = Path("params.yaml"),
) -> None:
    """Tell what leaks across a split, and whether format, size or quality alone give the label away."""
    from fauxscan.preparing import audit as audits_of
    from fauxscan.preparing import auditing
    from fauxscan.reporting import audits

    settings = params.load(params_file)
    if labels:
        found = auditing.of_tree(folder, _pairs("--label", labels), _pairs("--split", split or []), settings)
    else:
        found = auditing.of_prepared(folder, settings.split)
    if form is Report.JSON:
        typer.echo(json.dumps(found, indent=1))
    else:
        audits.show(Console(), found, settings.split.shortcut_auc)
    raise typer.Exit(OK if audits_of.passes(found, settings.split) else UNJUDGED)


def _pairs(option: str, given: Sequence[str], form: str = "FOLDER=VALUE") -> dict[str, str]:
    """Return NAME=VALUE arguments as a dictionary. Raise UserError for any other."""
    if wrong := [text for text in given if "=" not in text]:
        raise UserError(f"{option} {wrong[0]!r} is not of the form {form}")
    return {name: value for name, _, value in (text.rpartition("=") for text in given)}


@app.command()
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
    options = _given({"activation": activation and _value(activation), "size": size})
    settings = params.load(params_file)
    settings = params.changed(settings, "split", _shares(settings, validation, test) | {"on_shortcut": on_shortcut})
    card = workshop.train(
        folder, _labels(real, fake or []), out, detector, settings, options, _given(chosen), faces.value,
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


def _shares(settings: params.Params, validation: float | None, test: float | None) -> dict[str, float]:
    """Return the shares of the split; what is not validated or tested on is trained on."""
    held = settings.split.validation if validation is None else validation
    tested = 1 - settings.split.train - settings.split.validation if test is None else test
    return {"train": 1 - held - tested, "validation": held}


def _value(text: str) -> object:
    """Return what a text means in YAML: 299, elu, {leaky_relu: 0.3}. Raise UserError if it is none."""
    import yaml

    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise UserError(f"{text!r} is no value as YAML has them: {error}") from error


def _given(values: dict[str, object]) -> dict[str, object]:
    """Return what was said on the command line."""
    return {name: value for name, value in values.items() if value is not None}


def _labels(real: list[str], fake: list[str]) -> dict[str, str]:
    return dict.fromkeys(real, "real") | dict.fromkeys(fake, "fake")


@app.command()
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

    labels = _labels(real or [], fake or [])
    if report and not labels:
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
    typer.echo(printing.csv_text(rows, ["path", "class", "p_fake"][: 3 if probabilities else 2]), nl=False)
    if report:
        typer.echo("\n" + workshop.report(found, folder, labels, classes))
    raise typer.Exit(OK if all(one.label is not None for one in found) else UNJUDGED)


@app.command()
def preset(
    name: Annotated[str, typer.Argument(help="A file in presets/, without .yaml.")],
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="A key of params.yaml, with dots, and a value."),
    ] = None,
    presets_folder: Annotated[Path, typer.Option("--presets", help="The folder of the presets.")] = Path("presets"),
    params_file: ParamsFile = Path("params.yaml"),
) -> None:
    """Switch params.yaml to an experiment; `git checkout params.yaml` brings the committed one back."""
    from fauxscan import presets

    presets.apply(name, presets_folder, params_file, settings or ())
    typer.echo(f"{params_file} is now set to {name}; next: make repro")


@app.command()
def import_weights(
    file: Annotated[Path, typer.Argument(help="Keras 2 weights (.h5, .hdf5) or a state dict of PyTorch (.pth, .pt).")],
    detector: Annotated[str, typer.Option("--detector", help="The network it was trained with, as in detectors/.")],
    out: Annotated[Path, typer.Option("--out", help="The model folder to write; its last part names the model.")],
    fake_is: Annotated[
        int,
        typer.Option(
            "--fake-is", min=0, max=1, help="1: the output is P(fake), as of Wang et al.; 0: P(real), as of MesoNet."
        ),
    ],
    options: Annotated[
        list[str] | None,
        typer.Option("--option", metavar="NAME=VALUE", help="An option of the detector: size=299, activation=elu."),
    ] = None,
    licence: Annotated[str, typer.Option("--licence", help="Under which the weights are published.")] = "",
    params_file: ParamsFile = Path("params.yaml"),
) -> None:
    """Make a model folder of weights trained elsewhere; arrays are read, nothing in the file is run."""
    from fauxscan.weights import importing

    given = {name: _value(value) for name, value in _pairs("--option", options or [], "NAME=VALUE").items()}
    faces = params.load(params_file).faces
    card = importing.import_weights(file, out, detector, given, fake_is, faces, licence)
    typer.echo(importing.told(card, out))


@app.command()
def results(
    reports: Annotated[Path, typer.Option("--reports", help="The folder that the stage `report` wrote.")] = Path(
        "reports"
    ),
) -> None:
    """Print how good each evaluated model is, and where the tables and the page are."""
    from fauxscan.reporting import terminal

    terminal.show(Console(), reports)


def run(arguments: Sequence[str] | None = None) -> int:
    """Return the exit code: 0 all well, 2 files not judged or an audit not passed, 3 wrong use or configuration."""
    try:
        code = app(arguments, standalone_mode=False)
    except UserError as error:
        return _wrong(str(error))
    except typer.TyperException as error:
        return _wrong(f"{error.format_message()}\nSee `fauxscan --help`.")
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        return _wrong(f"{where}{error.strerror or error}. What is done so far is kept: mend it and run the same again.")
    if code == STOPPED:
        typer.echo("fauxscan: stopped. What is done so far is kept: run the same again for the rest.", err=True)
    return int(code or OK)


def _wrong(message: str) -> int:
    typer.echo(f"fauxscan: {message}", err=True)
    return WRONG


def main() -> None:
    """Run the command line."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.exit(run())
