"""Commands that prepare experiments: audit a dataset, apply a preset, import weights."""

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from fauxscan import params
from fauxscan.commands.options import OK, UNJUDGED, ParamsFile, load_params, new_folder, pairs, value


class Report(StrEnum):
    """Output format of an audit."""

    TABLE = "table"
    JSON = "json"


Labels = Annotated[
    list[str] | None,
    typer.Option(
        "--label",
        metavar="FOLDER=CLASS",
        help="Class of a subfolder: real, or the generator of its fakes. Repeatable.",
    ),
]
Splits = Annotated[
    list[str] | None,
    typer.Option(
        "--split",
        metavar="FOLDER=SPLIT",
        help="Split of a subfolder: train, validation or test. Repeatable. Default: train.",
    ),
]

NewModel = Annotated[
    Path,
    typer.Option(
        "--out",
        metavar="FOLDER",
        callback=new_folder,
        help="Model folder to write. The model gets the folder's name.",
    ),
]


def audit(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="FOLDER", help="Prepared dataset, such as data/demo, or with --label any folder of images."
        ),
    ],
    labels: Labels = None,
    splits: Splits = None,
    form: Annotated[
        Report,
        typer.Option("--format", metavar="table|json", show_default=False, help="Output format. Default: table."),
    ] = Report.TABLE,
    params_file: ParamsFile = None,
) -> None:
    """Check a dataset for leaks across its splits, and whether format, size or quality alone reveal the class."""
    from fauxscan.preparing.split import audit as split_audit
    from fauxscan.reporting import audits

    settings = load_params(params_file)
    result = _audit(folder, labels or [], splits or [], settings)
    if form is Report.JSON:
        typer.echo(json.dumps(result, indent=1))
    else:
        audits.show(Console(), result, settings.split.shortcut_auc)
    raise typer.Exit(OK if split_audit.passes(result, settings.split) else UNJUDGED)


def _audit(folder: Path, labels: list[str], splits: list[str], settings: params.Params) -> dict[str, Any]:
    """Return the audit of a folder whose subfolders are labelled, or of a prepared dataset if none are."""
    from fauxscan.preparing.split import audit_tree

    if labels:
        return audit_tree.audit_tree(folder, pairs("--label", labels), pairs("--split", splits), settings)
    return audit_tree.audit_prepared(folder, settings.split)


def preset(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of a file in presets/, without .yaml.")],
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Also set a key of params.yaml, such as split.train=0.7. Repeatable.",
        ),
    ] = None,
    presets_folder: Annotated[
        Path,
        typer.Option("--presets", metavar="FOLDER", show_default=False, help="Folder of presets. Default: presets."),
    ] = Path("presets"),
    params_file: ParamsFile = None,
) -> None:
    """Switch params.yaml to an experiment. `git checkout params.yaml` restores the committed one."""
    from fauxscan.commands import presets

    target = params_file or params.DEFAULT_FILE
    presets.apply(name, presets_folder, target, settings or ())
    typer.echo(f"{target} is now set to {name}. Next: make repro")


def validate(params_file: ParamsFile = None) -> None:
    """Check all of params.yaml. `make repro` and every stage of the pipeline also do this first."""
    from fauxscan.preparing.download.dataset import refuse_without_folder

    file = params_file or params.DEFAULT_FILE
    for dataset in params.validate(file).datasets.values():
        if not dataset.archives:  # a folder that is named may be gone once its files are in data/
            refuse_without_folder(dataset)
    typer.echo(f"{file} is valid")


def import_weights(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="Keras 2 weights (.h5, .hdf5) or a PyTorch state dict (.pth, .pt).")
    ],
    detector: Annotated[
        str,
        typer.Option("--detector", metavar="NAME", help="Network that the weights belong to, as in docs/detectors.md."),
    ],
    out: NewModel,
    fake_is: Annotated[
        int,
        typer.Option(
            "--fake-is",
            min=0,
            max=1,
            metavar="LABEL",
            help="Label of fakes in these weights: 1 if the output is P(fake), as in Wang et al.; 0 if it is P(real),"
            " as in MesoNet.",
        ),
    ],
    options: Annotated[
        list[str] | None,
        typer.Option(
            "--option",
            metavar="NAME=VALUE",
            help="Option of the detector, such as size=299 or activation=elu. Repeatable.",
        ),
    ] = None,
    licence: Annotated[str, typer.Option("--licence", metavar="TEXT", help="Licence of the weights.")] = "",
    params_file: ParamsFile = None,
) -> None:
    """Make a model folder from weights trained elsewhere. Only arrays are read from the file; no code in it is run."""
    from fauxscan.weights import importing

    detector_options = {name: value(text) for name, text in pairs("--option", options or [], "NAME=VALUE").items()}
    faces = load_params(params_file).faces
    card = importing.import_weights(file, out, detector, detector_options, fake_is, faces, licence)
    typer.echo(importing.describe_import(card, out))
