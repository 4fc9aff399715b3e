"""The vocabulary of fauxscan: labels, statuses, verdicts, cards, and the row types that its parts exchange."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field

# The only definition of the labels: every score, shard, table and model means P(fake).
REAL, FAKE = 0, 1
TRAIN, VALIDATION, TEST, EXCLUDED = "train", "validation", "test", "excluded"


class UserError(Exception):
    """A person's mistake: the message says what is wrong, where, and what to do. It is shown without a traceback."""


class ParamsError(UserError):
    """A parameter file, or a value in it, that is not valid."""


class ModelError(UserError):
    """A model or ensemble that is missing, damaged or not what its card describes, or an engine that cannot run it."""


class DamagedModelError(ModelError):
    """A file of a model that is missing, or is not what its card describes. The model may be part of a package."""

    def __init__(self, fault: str, remedy: str) -> None:
        super().__init__(fault, remedy)
        self.fault, self.remedy = fault, remedy

    def __str__(self) -> str:
        """Return what is wrong and what to do."""
        return f"{self.fault}; {self.remedy}"


class InputError(UserError):
    """Files, folders or addresses that are missing, cannot be listed, or are named in a way that is not valid."""


class ResultsError(UserError):
    """A results folder that is missing, damaged, in use or cannot be written."""


class MissingExtraError(UserError, ModuleNotFoundError):
    """A package that is not installed; the message says what installs it, such as an extra of fauxscan."""


class PlatformError(UserError):
    """An operating system other than Linux."""


class Status(StrEnum):
    """The outcome of judging a file."""

    OK = "ok"
    NO_FACE = "no_face"
    TOO_SMALL = "too_small"
    TOO_LARGE = "too_large"
    TRUNCATED = "truncated"
    CORRUPT = "corrupt"
    UNSUPPORTED = "unsupported"
    UNREADABLE = "unreadable"
    CHANGED_DURING_READ = "changed_during_read"
    TIMEOUT = "timeout"
    CRASHED = "crashed"
    INVALID_SCORE = "invalid_score"


class Verdict(StrEnum):
    """What a calibrated score allows to conclude. Never "real": absence of evidence is not proof."""

    LIKELY_SYNTHETIC = "likely_synthetic"
    UNCERTAIN = "uncertain"
    NO_INDICATION = "no_indication"


class Kind(StrEnum):
    """The kind of a media file."""

    IMAGE = "image"
    VIDEO = "video"


class View(StrEnum):
    """The view that a detector gets: an aligned face crop, or an image or frame taken whole."""

    FACE = "face"
    WHOLE = "whole"


FaceMode = Literal["detect", "whole"]  # find faces for the models that look at them, or give every model whole images
Framing = Literal["auto", "detect", "whole"]  # auto: find faces, but give an image that is itself a face crop as it is


class MediaError(Exception):
    """A file that cannot be judged, with the status of its row."""

    def __init__(self, status: Status, detail: str) -> None:
        super().__init__(f"{status}: {detail}")
        self.status, self.detail = status, detail


class Strict(BaseModel):
    """A frozen record that refuses unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)


@dataclass(frozen=True)
class Archive:
    """One published file. `address` is None if it must be fetched by hand."""

    name: str  # each volume of a split archive (.7z.001, .7z.002, ...) is an archive of its own, in order
    address: str | None = None  # https, also of Google Drive
    mirrors: tuple[str, ...] = ()  # tried in order if `address` fails
    aliases: tuple[str, ...] = ()  # other names of the file in a local folder
    into: str = ""  # folder below the media folder into which it is unpacked
    package: str | None = None  # name==version of the Python package that contains it, if any
    bytes: int | None = None
    sha256: str | None = None  # or its first digits, at least eight, if no more are published
    md5: str | None = None  # if nothing better is published


@dataclass(frozen=True)
class BackboneCard:
    """The description of a vision transformer that heads judge by: where its weights are published, and its shapes."""

    name: str
    title: str
    licence: str
    archive: Archive
    input_size: int  # pixels: it takes RGB in 0..255, (batch, input_size, input_size, 3)
    patch: int  # pixels: the side of the squares that an image is cut into
    heads: int  # of the attention in each block
    blocks: int
    width: int  # numbers that a block gives for an image; the features are (batch, blocks, width)


@dataclass(frozen=True)
class DatasetCard:
    """The description of a dataset: its authors, its licence, and how to get it."""

    name: str
    title: str
    citation: str
    licence: str
    access: Literal["open", "manual"] = "open"  # manual: it requires a form or an account
    archives: tuple[Archive, ...] = ()
    layout: tuple[str, ...] = ()  # patterns of the top-level folders; a folder that has one is used as it is
    instructions: str = ""
    proof_of_machinery: bool = False  # every verdict of models trained on it is `uncertain`


@dataclass(frozen=True)
class Example:
    """One media file of a dataset. `source` is the unit that no split divides, None if it is unknown."""

    path: str  # relative to the media folder, with /
    label: int
    source: str | None
    generator: str | None = None  # the generator of a fake; None for a real
    split: str | None = None  # "train", "validation" or "test" if the publisher fixed it
    identities: tuple[str, ...] = ()  # the persons shown, if the publisher names them


class Phase(Strict):
    """A phase of training."""

    epochs: int = Field(gt=0)
    learning_rate: float = Field(ge=0)
    unfrozen: bool = False  # every layer learns; otherwise those that build() left trainable
    sources: tuple[str, ...] = ()  # shell patterns of the training sources it uses; empty: all


class Plateau(Strict):
    """How the learning rate falls when the monitored figure stops improving."""

    patience: int = Field(ge=0)  # epochs without improvement after which the rate falls
    factor: float = Field(gt=0, lt=1)  # by which the rate is multiplied
    lowest_rate: float = Field(ge=0)  # below which the rate never falls


class Recipe(Strict):
    """How a detector is trained: by default as in its paper. params.yaml may override each value."""

    loss: Literal["binary_crossentropy", "mean_squared_error"] = "binary_crossentropy"
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)  # 0.02: the labels are 0.01 and 0.99
    class_weights: Literal["balanced"] | tuple[float, float] | None = None  # weights of reals and of fakes in the loss
    optimizer: Literal["adam", "adamw", "rmsprop", "sgd"] = "adam"
    weight_decay: float = Field(default=0.0, ge=0)  # of adamw
    learning_rate: float = Field(default=1e-3, ge=0)
    decay_factor: float = Field(default=1.0, gt=0, le=1)  # multiplies the learning rate every `decay_steps`
    decay_steps: int = Field(default=1000, ge=0)  # in batches; 0: so many that the last batch has `lowest_rate`
    lowest_rate: float = Field(default=0.0, ge=0)  # below which the learning rate never falls
    one_cycle: bool = False  # the rate rises to learning_rate and falls again over all batches, instead of decaying
    reduce_on_plateau: Plateau | None = None
    batch_size: int = Field(default=32, gt=0)
    epochs: int = Field(default=10, gt=0)
    phases: tuple[Phase, ...] = ()  # in order, each with its own rate, instead of epochs and learning_rate
    monitor: Literal["val_loss", "val_accuracy"] = "val_loss"  # decides which weights are best and when to stop
    keep: Literal["best", "last"] = "best"  # the epoch whose weights the model gets
    min_delta: float = Field(default=0.0, ge=0)  # the smallest change that counts as an improvement
    early_stopping: int = Field(default=0, ge=0)  # epochs without improvement before training stops; 0: never
    validate_every: int = Field(default=0, ge=0)  # batches between validations; 0: validate at the end of each epoch
    featurewise: bool = False  # the training set's mean and variance become the detector's option `featurewise`
    self_blended: bool = False  # fakes are made from the reals during training; the dataset's own are left out
    feature_epochs: int = Field(default=4, gt=0)  # of a head: epochs of augmented images, which later epochs repeat
    augmentation: dict[str, Any] = {}  # name -> arguments, see training/data/augmentation.py
    augmented_share: float = Field(default=1.0, ge=0, le=1)  # of the training images; the others stay as they are


@dataclass(frozen=True)
class DetectorCard:
    """The description of a detector: its paper, its input, its recipe and its expected figures."""

    name: str
    paper: str
    input_size: int  # pixels: the model takes (batch, input_size, input_size, 3)
    looks_at: View
    parameters: int  # trainable as built, at input_size
    recipe: Recipe
    expected: str
    weights: Archive | None = None  # published ImageNet weights for all layers but the dense ones
    weights_licence: str | None = None
    backbone: str | None = None  # the frozen network whose features its head judges by: training changes the head alone


def _schema(table: str, /, **fields: pa.DataType) -> pa.Schema:
    meta = {"fauxscan.table": table, "fauxscan.version": "1", "fauxscan.label": "1 = fake, 0 = real"}
    return pa.schema(list(fields.items()), metadata=meta)


INDEX = _schema(
    "index",
    path=pa.string(), sha256=pa.string(), size=pa.int64(), label=pa.int8(),
    generator=pa.string(), source=pa.string(), split=pa.string(), identities=pa.list_(pa.string()),
)  # fmt: skip

MADE = _schema(
    "made",
    path=pa.string(), sha256=pa.string(), label=pa.int8(), generator=pa.string(), source=pa.string(),
    split=pa.string(), identities=pa.list_(pa.string()),
    kind=pa.string(), format=pa.string(), width=pa.int32(), height=pa.int32(),
    size=pa.int64(), jpeg_tables=pa.string(), exif=pa.bool_(),
    status=pa.string(), detail=pa.string(), frames=pa.int32(), faces=pa.int32(),
)  # fmt: skip

FACES = _schema(
    "faces",
    sha256=pa.string(), view=pa.string(), frame=pa.int32(), time_s=pa.float64(),
    track=pa.int32(), face=pa.int32(), x=pa.float32(), y=pa.float32(), w=pa.float32(), h=pa.float32(),
    landmarks=pa.list_(pa.float32(), 10), det_score=pa.float32(),
    format=pa.string(), phash=pa.string(), image=pa.binary(),
)  # fmt: skip

SPLIT = _schema(
    "split",
    sha256=pa.string(), path=pa.string(), label=pa.int8(), generator=pa.string(), source=pa.string(),
    group=pa.string(), split=pa.string(),
)  # fmt: skip

SHARDED = _schema(
    "sharded",
    shard=pa.string(), place=pa.int32(), sha256=pa.string(), view=pa.string(), frame=pa.int32(), track=pa.int32(),
    face=pa.int32(), label=pa.int8(), source=pa.string(), generator=pa.string(), split=pa.string(),
    path=pa.string(), phash=pa.string(),
)  # fmt: skip

TARGETS = _schema(
    "targets",
    sha256=pa.string(), frame=pa.int32(), track=pa.int32(), face=pa.int32(), p_fake=pa.float32(),
)  # fmt: skip

LOGITS = _schema(
    "logits",
    sha256=pa.string(), frame=pa.int32(), track=pa.int32(), face=pa.int32(), label=pa.int8(),
    generator=pa.string(), source=pa.string(), logit=pa.float32(),
)  # fmt: skip
