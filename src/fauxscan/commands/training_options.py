"""Groups of options of the commands `train`, `calibrate` and `predict`."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fauxscan import params
from fauxscan.commands.options import DATA, TRAINING, given, new_folder, value
from fauxscan.records import UserError

if TYPE_CHECKING:
    from fauxscan.calibrating.recalibrate import LabelledFiles

NETWORK, SPLIT, OUTPUT, REPORT = "Network", "Split", "Output", "Report"  # panels of these commands


@dataclass(frozen=True, kw_only=True)
class DataOptions:
    """The folders of the two classes, and which part of their images is used."""

    real: Annotated[
        list[str],
        typer.Option(
            "--real", metavar="FOLDER", rich_help_panel=DATA, help="Subfolder of TREE with real images. Repeatable."
        ),
    ]
    fake: Annotated[
        list[str] | None,
        typer.Option(
            "--fake", metavar="FOLDER", rich_help_panel=DATA, help="Subfolder of TREE with fake images. Repeatable."
        ),
    ] = None
    self_blended: Annotated[
        bool,
        typer.Option(
            "--self-blended",
            rich_help_panel=DATA,
            help="Make the fakes by blending each real face with a changed copy of itself. "
            "Requires a detector that looks at faces.",
        ),
    ] = False

    @property
    def labels(self) -> dict[str, str]:
        """Return the class of each folder."""
        return classes_of(self.real, self.fake or [])


@dataclass(frozen=True, kw_only=True)
class NetworkOptions:
    """The network and the weights that it starts with."""

    detector: Annotated[
        str,
        typer.Option(
            "--detector",
            metavar="NAME",
            rich_help_panel=NETWORK,
            help="Network to train. docs/detectors.md lists them.",
        ),
    ]
    imagenet: Annotated[
        bool,
        typer.Option(
            "--imagenet",
            rich_help_panel=NETWORK,
            help="Start from published ImageNet weights. Default: from random weights.",
        ),
    ] = False
    activation: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            rich_help_panel=NETWORK,
            help="Activation of all layers: relu, elu, leaky_relu or '{leaky_relu: SLOPE}'. Default: the detector's.",
        ),
    ] = None
    size: Annotated[
        int | None,
        typer.Option(
            metavar="PIXELS", rich_help_panel=NETWORK, help="Width and height of the input. Default: the detector's."
        ),
    ] = None

    @property
    def chosen(self) -> dict[str, Any]:
        """Return the options of the detector that were set."""
        return given({"activation": self.activation and value(self.activation), "size": self.size})


@dataclass(frozen=True, kw_only=True)
class RecipeOptions:
    """Changes of the recipe of the detector's paper."""

    epochs: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            rich_help_panel=TRAINING,
            help="Number of passes over the training split. Default: the recipe's.",
        ),
    ] = None
    batch_size: Annotated[
        int | None,
        typer.Option(metavar="N", rich_help_panel=TRAINING, help="Number of images in a batch. Default: the recipe's."),
    ] = None
    loss: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            rich_help_panel=TRAINING,
            help="Loss function: binary_crossentropy or mean_squared_error. Default: the recipe's.",
        ),
    ] = None
    learning_rate: Annotated[
        float | None,
        typer.Option(metavar="RATE", rich_help_panel=TRAINING, help="Initial learning rate. Default: the recipe's."),
    ] = None
    decay_factor: Annotated[
        float | None,
        typer.Option(
            metavar="FACTOR",
            rich_help_panel=TRAINING,
            help="Multiply the learning rate by FACTOR at each decay. Default: the recipe's.",
        ),
    ] = None
    decay_steps: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            rich_help_panel=TRAINING,
            help="Number of batches between two decays; 0 decays so that training ends at --lowest-rate."
            " Default: the recipe's.",
        ),
    ] = None
    lowest_rate: Annotated[
        float | None,
        typer.Option(
            metavar="RATE",
            rich_help_panel=TRAINING,
            help="Never let the learning rate fall below RATE. Default: the recipe's.",
        ),
    ] = None
    monitor: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            rich_help_panel=TRAINING,
            help="Figure that decides which epoch is best: val_loss or val_accuracy. Default: the recipe's.",
        ),
    ] = None
    early_stopping: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            rich_help_panel=TRAINING,
            help="Stop after N epochs without improvement; 0 never stops early. Default: the recipe's.",
        ),
    ] = None
    augmentation: Annotated[
        bool,
        typer.Option(
            rich_help_panel=TRAINING,
            show_default=False,
            help="Augment the training images as in the recipe, or not at all. Default: as in the recipe.",
        ),
    ] = True

    @property
    def chosen(self) -> dict[str, Any]:
        """Return the values of the recipe that were set."""
        return given({**vars(self), "augmentation": None if self.augmentation else {}})


@dataclass(frozen=True, kw_only=True)
class SplitOptions:
    """How sources are divided into training, validation and test splits."""

    validation: Annotated[
        float | None,
        typer.Option(
            metavar="SHARE",
            rich_help_panel=SPLIT,
            help="Share of sources for validation and calibration. Default: as in params.yaml.",
        ),
    ] = None
    test: Annotated[
        float | None,
        typer.Option(
            metavar="SHARE",
            rich_help_panel=SPLIT,
            help="Share of sources to test on, never used in training. Default: as in params.yaml.",
        ),
    ] = None
    on_shortcut: Annotated[
        str,
        typer.Option(
            metavar="fail|warn",
            rich_help_panel=SPLIT,
            show_default=False,
            help="Fail or warn if format, size or quality of the files alone reveal the class. Default: fail.",
        ),
    ] = "fail"

    def apply(self, settings: params.Params) -> params.Params:
        """Return the parameters with these values in the section `split`. Raise UserError for a wrong value."""
        values = shares(settings, self.validation, self.test)
        return params.changed(settings, "split", values | {"on_shortcut": self.on_shortcut})


@dataclass(frozen=True, kw_only=True)
class OutputOptions:
    """The model folder and the curves of training."""

    out: Annotated[
        Path,
        typer.Option(
            "--out",
            metavar="FOLDER",
            callback=new_folder,
            rich_help_panel=OUTPUT,
            help="Model folder to write. A checkpoint is kept in FOLDER.work: if training is interrupted, run the same"
            " command again to resume after the last epoch.",
        ),
    ]
    tensorboard: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER", rich_help_panel=OUTPUT, help="Write the curves to FOLDER as TensorBoard event files."
        ),
    ] = None
    plot: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", rich_help_panel=OUTPUT, help="Draw loss and accuracy over the epochs, as .png or .svg."
        ),
    ] = None


@dataclass(frozen=True, kw_only=True)
class LabelledOptions:
    """The labelled files that a model is calibrated on, and the error rates that are aimed at."""

    real: Annotated[
        list[str] | None,
        typer.Option(
            "--real", metavar="NAME", rich_help_panel=DATA, help="Folder of real files, below FOLDER. Repeatable."
        ),
    ] = None
    fake: Annotated[
        list[str] | None,
        typer.Option(
            "--fake", metavar="NAME", rich_help_panel=DATA, help="Folder of fake files, below FOLDER. Repeatable."
        ),
    ] = None
    reals: Annotated[
        Path | None,
        typer.Option(
            "--reals",
            metavar="FOLDER",
            rich_help_panel=DATA,
            help="Set the threshold of likely_synthetic from the real files in FOLDER alone, without fakes.",
        ),
    ] = None
    source: Annotated[
        str | None,
        typer.Option(
            "--source",
            metavar="PATTERN",
            rich_help_panel=DATA,
            help="Regular expression whose group captures a file's source (its video, shoot or person) from its path,"
            " such as '([^/]+)_[0-9]+'. Default: files in one subfolder share a source.",
        ),
    ] = None
    false_positives: Annotated[
        float | None,
        typer.Option(
            metavar="RATE",
            rich_help_panel=DATA,
            help="Share of reals that may be called likely_synthetic. Default: as in params.yaml.",
        ),
    ] = None
    false_negatives: Annotated[
        float | None,
        typer.Option(
            metavar="RATE",
            rich_help_panel=DATA,
            help="Share of fakes that may be called no_indication. Default: as in params.yaml.",
        ),
    ] = None
    worst_collection: Annotated[
        bool | None,
        typer.Option(
            "--worst-collection/--all-collections",
            rich_help_panel=DATA,
            show_default=False,
            help="Keep --false-positives in each collection of reals, or only over all of them. The folders directly"
            " below FOLDER are collections. Default: as in params.yaml.",
        ),
    ] = None

    def files(self, folder: Path | None) -> "LabelledFiles | None":
        """Return the labelled files; None for stored logits. Raise UserError for options that do not fit together."""
        from fauxscan.calibrating.recalibrate import TREE, LabelledFiles

        named = bool(self.real) or bool(self.fake)
        if self.reals:
            if folder or named or self.false_negatives is not None:
                raise UserError("--reals uses reals alone: leave out FOLDER, --real, --fake and --false-negatives")
            return LabelledFiles(self.reals, {TREE: "real"}, self.source)
        if folder is None:
            if named or self.source:
                raise UserError("--real, --fake and --source describe the files in FOLDER: name it after MODEL")
            return None
        if not (self.real and self.fake):
            raise UserError(
                f"name the reals and the fakes in {folder}: --real NAME --fake NAME, or only --reals FOLDER"
            )
        return LabelledFiles(folder, classes_of(self.real, self.fake), self.source)

    def apply(self, settings: params.Params) -> params.Params:
        """Return the parameters with these error rates. Raise UserError for a wrong value."""
        rates = {
            "false_positive_rate": self.false_positives,
            "false_negative_rate": self.false_negatives,
            "worst_collection": self.worst_collection,
        }
        return params.changed(settings, "calibrate", rates)


@dataclass(frozen=True, kw_only=True)
class ReportOptions:
    """A report of precision and recall, and the folders whose classes it compares with."""

    report: Annotated[
        bool,
        typer.Option(
            "--report",
            rich_help_panel=REPORT,
            help="Print precision, recall and F1 for the folders that --real and --fake name.",
        ),
    ] = False
    real: Annotated[
        list[str] | None,
        typer.Option(
            "--real", metavar="NAME", rich_help_panel=REPORT, help="Subfolder of FOLDER with real images. Repeatable."
        ),
    ] = None
    fake: Annotated[
        list[str] | None,
        typer.Option(
            "--fake", metavar="NAME", rich_help_panel=REPORT, help="Subfolder of FOLDER with fake images. Repeatable."
        ),
    ] = None

    @property
    def labels(self) -> dict[str, str]:
        """Return the class of each labelled folder. Raise UserError if a report lacks such folders."""
        labels = classes_of(self.real or [], self.fake or [])
        if self.report and not labels:
            raise UserError("--report compares with folders that you name: add --real NAME and --fake NAME")
        return labels


def shares(settings: params.Params, validation: float | None, test: float | None) -> dict[str, float]:
    """Return the shares of the training and validation splits; all sources not held out are trained on."""
    validated = settings.split.validation if validation is None else validation
    tested = 1 - settings.split.train - settings.split.validation if test is None else test
    return {"train": 1 - validated - tested, "validation": validated}


def classes_of(real: list[str], fake: list[str]) -> dict[str, str]:
    """Return the class of each folder: real or fake."""
    return dict.fromkeys(real, "real") | dict.fromkeys(fake, "fake")
