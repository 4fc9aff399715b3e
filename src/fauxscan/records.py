"""The words of fauxscan: labels, statuses, verdicts, the cards and the row types that parts exchange."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field

# The one statement of the label sense: every score, shard, table and model means P(fake).
REAL, FAKE = 0, 1
TRAIN, VALIDATION, TEST, EXCLUDED = "train", "validation", "test", "excluded"


class UserError(Exception):
    """What was wrong, where, and what to do: shown to a person without a traceback."""


class Status(StrEnum):
    """What happened to a file."""

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
    """What a calibrated score allows to be said. Never "real": absence of evidence is no proof."""

    LIKELY_SYNTHETIC = "likely_synthetic"
    UNCERTAIN = "uncertain"
    NO_INDICATION = "no_indication"


class Kind(StrEnum):
    """What a media file is."""

    IMAGE = "image"
    VIDEO = "video"


class View(StrEnum):
    """What a detector looks at: an aligned face crop, or an image or frame taken whole."""

    FACE = "face"
    WHOLE = "whole"


class MediaError(Exception):
    """A file that cannot be judged, with the status its row gets."""

    def __init__(self, status: Status, detail: str) -> None:
        super().__init__(f"{status}: {detail}")
        self.status, self.detail = status, detail


class Strict(BaseModel):
    """A frozen record that refuses unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)


@dataclass(frozen=True)
class Archive:
    """One file that somebody publishes. `address` is None where it must be fetched by hand."""

    name: str  # volumes of a split archive (.7z.001, .7z.002, ...) are archives each, in one list
    address: str | None = None  # https, of Google Drive too
    mirrors: tuple[str, ...] = ()  # tried in order where `address` fails
    aliases: tuple[str, ...] = ()  # other names under which a local folder may have it
    into: str = ""  # folder below the media folder that it is unpacked into
    package: str | None = None  # name==version of the Python package that carries it, where one does
    bytes: int | None = None
    sha256: str | None = None  # or its first digits, eight at least, where no more is published
    md5: str | None = None  # where that is all that is published


@dataclass(frozen=True)
class DatasetCard:
    """What a dataset is, who made it, and how one gets it."""

    name: str
    title: str
    citation: str
    licence: str
    access: Literal["open", "manual"] = "open"  # manual: a form or an account stands before it
    archives: tuple[Archive, ...] = ()
    layout: tuple[str, ...] = ()  # patterns of top-level folders when unpacked; a tree that has one is taken as it is
    instructions: str = ""
    proof_of_machinery: bool = False  # models trained on it judge everything `uncertain`


@dataclass(frozen=True)
class Example:
    """One media file of a dataset; `source` is the unit that a split may never divide, None where nobody names it."""

    path: str  # relative to the media folder, with /
    label: int
    source: str | None
    generator: str | None = None  # what made a fake; None for a real
    split: str | None = None  # "train", "validation" or "test" where the publisher fixed it
    identities: tuple[str, ...] = ()  # the persons who are seen in it, where the publisher names them


class Phase(Strict):
    """A stretch of training."""

    epochs: int = Field(gt=0)
    learning_rate: float = Field(ge=0)
    unfrozen: bool = False  # every layer learns; else those that build() left trainable
    sources: tuple[str, ...] = ()  # shell patterns of the training sources it sees; none: all of them


class Plateau(Strict):
    """How the rate falls when the monitored figure stops getting better."""

    patience: int = Field(ge=0)  # epochs without a better one ...
    factor: float = Field(gt=0, lt=1)  # ... after which the rate is multiplied by this ...
    lowest_rate: float = Field(ge=0)  # ... and never falls below this


class Recipe(Strict):
    """How a detector is trained: the defaults of its paper, each of which params.yaml may override."""

    loss: Literal["binary_crossentropy", "mean_squared_error"] = "binary_crossentropy"
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)  # 0.02: the labels are 0.01 and 0.99
    class_weights: Literal["balanced"] | tuple[float, float] | None = None  # of reals and of fakes, in the loss
    optimizer: Literal["adam", "adamw", "rmsprop", "sgd"] = "adam"
    weight_decay: float = Field(default=0.0, ge=0)  # of adamw
    learning_rate: float = Field(default=1e-3, ge=0)
    decay_factor: float = Field(default=1.0, gt=0, le=1)  # the learning rate is multiplied by this ...
    decay_steps: int = Field(
        default=1000, ge=0
    )  # ... every so many steps (batches); 0: so many that lowest_rate comes with the last ...
    lowest_rate: float = Field(default=0.0, ge=0)  # ... and never falls below this
    one_cycle: bool = False  # the rate rises to learning_rate and falls again over all batches, instead of decaying
    reduce_on_plateau: Plateau | None = None
    batch_size: int = Field(default=32, gt=0)
    epochs: int = Field(default=10, gt=0)
    phases: tuple[Phase, ...] = ()  # one after the other, each from its own rate, instead of epochs and learning_rate
    monitor: Literal["val_loss", "val_accuracy"] = "val_loss"  # says which weights are best and when to stop
    keep: Literal["best", "last"] = "best"  # which epoch's weights the model gets
    min_delta: float = Field(default=0.0, ge=0)  # what counts as better
    early_stopping: int = Field(default=0, ge=0)  # epochs without a better monitored figure; 0: train to the end
    validate_every: int = Field(default=0, ge=0)  # batches between validations; 0: at the end of each epoch
    featurewise: bool = False  # the training set's mean and variance become the detector's option `featurewise`
    self_blended: bool = False  # fakes are made of the reals on the fly; the dataset's own are left out
    augmentation: dict[str, Any] = {}  # name -> arguments, see training/augmentation.py


@dataclass(frozen=True)
class DetectorCard:
    """What a detector is: its paper, its input, its recipe and what it is expected to reach."""

    name: str
    paper: str
    input_size: int  # pixels: the model takes (batch, input_size, input_size, 3)
    looks_at: View
    parameters: int  # trainable as built, at input_size
    recipe: Recipe
    expected: str
    weights: Archive | None = None  # published ImageNet weights, for all of it but the dense layers
    weights_licence: str | None = None
    full_precision: bool = False  # its arithmetic (a DCT, a logarithm) does not bear 16 bits


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
)  # fmt: skip

LOGITS = _schema(
    "logits",
    sha256=pa.string(), frame=pa.int32(), track=pa.int32(), face=pa.int32(), label=pa.int8(),
    generator=pa.string(), source=pa.string(), logit=pa.float32(),
)  # fmt: skip
