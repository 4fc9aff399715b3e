"""Commands that prepare experiments: audits, presets, weights from elsewhere."""

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from fauxscan import params
from fauxscan.commands.options import OK, UNJUDGED, ParamsFile, pairs, value


class Report(StrEnum):
    """How an audit is printed."""

    TABLE = "table"
    JSON = "json"


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
        found = auditing.of_tree(folder, pairs("--label", labels), pairs("--split", split or []), settings)
    else:
        found = auditing.of_prepared(folder, settings.split)
    if form is Report.JSON:
        typer.echo(json.dumps(found, indent=1))
    else:
        audits.show(Console(), found, settings.split.shortcut_auc)
    raise typer.Exit(OK if audits_of.passes(found, settings.split) else UNJUDGED)


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

    given = {name: value(text) for name, text in pairs("--option", options or [], "NAME=VALUE").items()}
    faces = params.load(params_file).faces
    card = importing.import_weights(file, out, detector, given, fake_is, faces, licence)
    typer.echo(importing.told(card, out))
