"""The parameters in params.yaml as typed, frozen records, checked as a whole before any work is done."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, Self, TypeVar

from pydantic import Field, PositiveInt, ValidationError, field_validator, model_validator

from fauxscan.params.cores import count_cores
from fauxscan.params.faults import faults as faults
from fauxscan.params.known import SCRATCH as SCRATCH
from fauxscan.params.known import unknown
from fauxscan.params.protocols import HeadParams as HeadParams
from fauxscan.params.protocols import ProtocolParams as ProtocolParams
from fauxscan.params.reading import read
from fauxscan.params.reencoding import RandomReencodeParams as RandomReencodeParams
from fauxscan.params.reencoding import ReencodeParams as ReencodeParams
from fauxscan.params.reencoding import Reencoding as Reencoding
from fauxscan.params.references import missing_for_the_pipeline, wrong_references
from fauxscan.params.trained import ModelParams as ModelParams
from fauxscan.params.trained import StudentParams as StudentParams
from fauxscan.params.trained import TeacherParams as TeacherParams
from fauxscan.params.trained import TrainedParams as TrainedParams
from fauxscan.records import Framing, ParamsError, Strict

T = TypeVar("T")
Engines = Literal["auto", "tensorflow", "openvino"]
Links = Literal["never", "inside", "all"]
Kinds = Literal["model", "ensemble", "student"]  # of what is evaluated or shipped
# Face crops, whole images, what a scan takes of each image, that and the centre of images without a face, or both.
DatasetFaces = Framing | Literal["auto_or_centre", "both"]
LIMITS = ("media", "faces", "scan")  # sections of which a single scan may override values
DEFAULT_FILE = Path("params.yaml")


class MediaParams(Strict):
    """Limits on the media that are opened, and which frames of a video are judged."""

    max_pixels: int = Field(default=100_000_000, gt=0)  # of an image or a video frame
    max_bytes: int = Field(default=4_000_000_000, gt=0)  # of a file
    max_seconds: float = Field(default=600, gt=0)  # from the start of a video
    # key frames, frames at a fixed rate, or a fixed number of frames, evenly spread
    sampling: Literal["key_frames", "per_second", "in_all"] = "per_second"
    frames_per_second: float = Field(default=1.0, gt=0)  # for per_second
    max_frames: int = Field(default=32, gt=0)  # of a video; with in_all, exactly this many if it has them


class FaceParams(Strict):
    """How faces are found and cropped. The card of a model holds the values it was trained with."""

    detector: Literal["yunet"] = "yunet"
    working_size: int = Field(
        default=640, ge=64
    )  # pixels: the longer side of the image in which faces are searched for
    score: float = Field(default=0.6, gt=0, lt=1)  # of the face detector, below which a box is not taken for a face
    min_size: int = Field(default=32, gt=0)  # pixels: a smaller face is left out
    max_faces: int = Field(default=8, gt=0)  # per image or frame: the largest
    margin: float = Field(default=0.3, ge=0, le=2)  # share of the face's width added on each side
    size: int = Field(default=256, ge=16)  # pixels: side of the stored crop
    search_every: int = Field(
        default=4, ge=1
    )  # sampled frames per full search; in the others, only near the last positions


class DatasetParams(Strict):
    """One dataset: its file in datasets/, where its archives are, and which of its media are used."""

    name: str  # the file in datasets/
    archives: str | None = None  # a folder or https address with its archives; null: where they are published
    options: dict[str, Any] = {}  # those that the file of the dataset offers
    faces: DatasetFaces = "detect"
    reencode: Reencoding = None  # null: nothing is re-encoded
    limit: int | None = Field(default=None, gt=0)  # media per class; null: all


class SplitParams(Strict):
    """Shares of sources in each split, and what counts as a near-duplicate."""

    by: Literal["official", "identity", "source", "random_frames"] = "official"  # see preparing/split/assign.py
    train: float = Field(default=0.6, gt=0, lt=1)
    validation: float = Field(default=0.2, gt=0, lt=1)
    # of 64: perceptual hashes that differ in at most so many are one picture
    near_duplicate_bits: int = Field(default=4, ge=0, le=8)
    # the AUC above which a file property that predicts the label fails the audit
    shortcut_auc: float = Field(default=0.6, gt=0.5, le=1)
    on_shortcut: Literal["fail", "warn"] = "fail"

    @model_validator(mode="after")
    def _leaves_a_test_split(self) -> Self:
        if self.train + self.validation > 0.99:
            raise ValueError("train and validation together must leave at least 0.01 for the test split")
        return self


class ShardParams(Strict):
    """The size of TFRecord shards, and how much of them training caches."""

    examples_per_shard: int = Field(default=2000, gt=0)
    # of memory for images kept between epochs: so much for training, and for validation
    cache_bytes: int = Field(default=3_000_000_000, ge=0)


class WeightsParams(Strict):
    """Published weights of the detector that the entry is named after. The entry `scratch` stands for none."""

    archives: str | None = None  # a folder or https address with the file; null: where it is published


class TrainParams(Strict):
    """How all models are trained."""

    precision: Literal["float32", "mixed_float16"] = (
        "float32"  # the latter on GPUs; frequency layers always use float32
    )


class CalibrateParams(Strict):
    """The error rates that the thresholds of the verdicts aim at."""

    false_positive_rate: float = Field(default=0.05, gt=0, lt=1)  # of reals that may be called likely_synthetic
    false_negative_rate: float = Field(default=0.05, gt=0, lt=1)  # of fakes that may be called no_indication
    worst_collection: bool = False  # the first rate holds in each dataset that reals come from, and not only on average
    worst_generator: bool = False  # the second rate holds for each generator
    guard_band: bool = False  # the thresholds lie further apart, by the change of logits after re-encoding as JPEG
    pseudo_videos: tuple[str, ...] = ()  # datasets whose images are frames: those of one source are a video together
    left_out: tuple[str, ...] = ()  # datasets that no stage calibrates on, because scans do not judge such images


class CombinerParams(Strict):
    """An ensemble, which joins the calibrated logits of its members."""

    method: Literal["mean", "logistic", "positive", "dense32"]  # positive: logistic, without negative weights
    members: tuple[str, ...] = Field(min_length=2)
    clip: float | None = Field(default=None, gt=0)  # the largest size of a member's calibrated logit; null: no limit
    # the share of files judged correctly that get no verdict because members disagree; null: they may disagree
    disagreement: float | None = Field(default=None, gt=0, lt=1)


class EvaluationParams(Strict):
    """An ensemble, a student or a model, measured on one dataset, besides those that a model is trained on."""

    kind: Kinds = "model"
    model: str
    dataset: str


class EvaluateParams(Strict):
    """Confidence intervals, and the degradations that models are tested under."""

    bootstrap: int = Field(default=1000, gt=0)  # resamples of the sources
    confidence: float = Field(default=0.95, gt=0.5, lt=1)
    jpeg_qualities: tuple[int, ...] = (60,)  # at which each face is judged again


class ScoreParams(Strict):
    """The media of a dataset, scored by a model."""

    dataset: str
    model: str


class ShippedNotes(Strict):
    """What a person should know before using a model set, as Markdown."""

    failures: str = Field(min_length=1)  # on which files it is known to fail
    not_for: str = Field(min_length=1)  # what it must not be used for


class ShippedParams(Strict):
    """A model set that is made of a model, an ensemble or a student."""

    kind: Kinds = "model"
    model: str
    notes: ShippedNotes
    logit_tolerance: float = Field(default=1e-3, gt=0)  # by which weights in 16 bits may change a logit, or stay in 32


class ScanParams(Strict):
    """How a scan runs."""

    # folders, or names of model sets; empty: the models that the pipeline trained, or a set that ships
    models: tuple[str, ...] = ()
    include: tuple[str, ...] = ()  # patterns as in .gitignore; empty: every file
    exclude: tuple[str, ...] = ()  # patterns as in .gitignore; a folder that matches is not entered
    hidden: bool = True  # whether to scan files and folders whose names begin with a dot
    links: Links = "never"  # symbolic links to follow: none, those that lead inside the root, or all
    batch_files: int = Field(default=256, gt=0)  # files in a batch, which is committed or fails as a whole
    batch_bytes: int = Field(default=200_000_000, gt=0)  # of the files in a batch, which ends earlier if they are large
    batch_faces: int = Field(default=32, gt=0, le=1024)  # images in a forward pass, whose batch shape is fixed
    workers: int | None = Field(default=None, gt=0)  # decoding processes; null: two more than cores
    seconds_per_file: float = Field(default=120, gt=0, le=86_400)  # for decoding and finding faces
    decoder_bytes: int = Field(default=4_000_000_000, ge=100_000_000, le=10**14)  # of memory for one decoding process
    engine: Engines = "auto"  # auto: tensorflow if it is installed and there is a GPU, otherwise openvino
    # of OpenVINO; frequency detectors always use float32, and networks without a backbone use it for int8
    precision: Literal["float32", "bfloat16", "int8"] = "float32"
    check_reencoded: bool = False  # a verdict near its threshold must not change when the image is re-encoded
    reencoded_margin: float = Field(default=0.5, gt=0)  # in calibrated logits: how near to it a verdict is checked
    # for which positions of faces are kept, for models that are added later
    keep_faces_days: int = Field(default=90, ge=0, le=36_500)
    publish_every: int = Field(default=16, gt=0)  # batches between publications
    max_retries: int = Field(default=2, ge=0)  # of a failed read, in flows
    # in flows: the address of a Dask scheduler, or a number of processes; null: threads
    cluster: str | PositiveInt | None = None

    @property
    def worker_count(self) -> int:
        """Return the number of decoding processes: by default two more than cores, since some wait for a network."""
        return self.workers or count_cores() + 2

    @field_validator("include", "exclude")
    @classmethod
    def _are_patterns(cls, patterns: tuple[str, ...]) -> tuple[str, ...]:
        for pattern in patterns:
            _check_pattern(pattern)
        return patterns


def _check_pattern(pattern: str) -> None:
    from pathspec.patterns.gitignore.spec import GitIgnoreSpecPattern  # takes 0.1 s, and few scans have patterns

    try:
        GitIgnoreSpecPattern(pattern)
    except (ValueError, re.error) as error:
        raise ValueError(f"{pattern!r} is not a valid pattern in the syntax of .gitignore: {error}") from error


class Params(Strict):
    """All sections of params.yaml. What a file leaves out has the value here."""

    seed: int = 7
    media: MediaParams = MediaParams()
    faces: FaceParams = FaceParams()
    split: SplitParams = SplitParams()
    shards: ShardParams = ShardParams()
    train: TrainParams = TrainParams()
    calibrate: CalibrateParams = CalibrateParams()
    evaluate: EvaluateParams = EvaluateParams()
    scan: ScanParams = ScanParams()
    datasets: dict[str, DatasetParams] = {}
    weights: dict[str, WeightsParams] = {SCRATCH: WeightsParams()}
    models: dict[str, ModelParams] = {}
    combiners: dict[str, CombinerParams] = {}
    students: dict[str, StudentParams] = {}
    evaluations: dict[str, EvaluationParams] = {}
    scores: dict[str, ScoreParams] = {}
    shipped: dict[str, ShippedParams] = {}
    protocols: dict[str, ProtocolParams] = {}

    @property
    def evaluated(self) -> list[str]:
        """Return the folders of all evaluations: of models on their own datasets, and those in `evaluations`."""
        return [*(name for name, model in self.models.items() if model.evaluate), *self.evaluations]

    def dataset(self, name: str) -> DatasetParams:
        """Return the dataset entry `name`. Raise ParamsError with the known names."""
        return _entry("dataset", self.datasets, name)

    def published_weights(self, name: str) -> WeightsParams:
        """Return the weights entry `name`. Raise ParamsError with the known names."""
        return _entry("weights", self.weights, name)

    def combiner(self, name: str) -> CombinerParams:
        """Return the ensemble entry `name`. Raise ParamsError with the known names."""
        return _entry("ensemble", self.combiners, name)

    def set_to_ship(self, name: str) -> ShippedParams:
        """Return the entry `name` of a model set. Raise ParamsError with the known names."""
        return _entry("model set", self.shipped, name)

    def protocol(self, name: str) -> ProtocolParams:
        """Return the protocol entry `name`. Raise ParamsError with the known names."""
        return _entry("protocol", self.protocols, name)

    def model(self, name: str) -> ModelParams:
        """Return the model entry `name`. Raise ParamsError with the known names."""
        return _entry("model", self.models, name)

    def student(self, name: str) -> StudentParams:
        """Return the student entry `name`. Raise ParamsError with the known names."""
        return _entry("student", self.students, name)

    def trained(self, name: str) -> TrainedParams:
        """Return the entry of a model or of a student, which have different names. Raise ParamsError with all."""
        return _entry("model", {**self.students, **self.models}, name)


def _entry(word: str, entries: dict[str, T], name: str) -> T:
    if name not in entries:
        raise ParamsError(unknown(word, name, entries, "params.yaml has"))
    return entries[name]


def changed(params: Params, section: str, values: dict[str, Any]) -> Params:
    """Return the parameters with some values of a section replaced, except by None. Raise ParamsError."""
    given = {name: value for name, value in values.items() if value is not None}
    try:
        return Params.model_validate(params.model_dump() | {section: getattr(params, section).model_dump() | given})
    except ValidationError as error:
        raise ParamsError(f"wrong value: {'; '.join(faults(error, Params))}") from error


def limited(params: Params, limits: Mapping[str, Mapping[str, Any]]) -> Params:
    """Return the parameters with the values that a single scan overrides, by section and name. Raise ParamsError."""
    for section, values in limits.items():
        if section not in LIMITS:
            raise ParamsError(f"a scan cannot override values of {section!r}, only of: {', '.join(LIMITS)}")
        params = changed(params, section, dict(values))
    return params


def find(named: Path | None) -> Path | None:
    """Return the parameter file that is named, or params.yaml of the current folder; None if there is none."""
    return named or (DEFAULT_FILE if DEFAULT_FILE.is_file() else None)


def load(path: Path | None = None) -> Params:
    """Return the parameters in the file `path`, or else in params.yaml of the current folder, or else the defaults.

    Raise ParamsError that names the file and each wrong key or value.
    """
    file = find(path)
    return _checked(file, read(file)) if file else Params()


def validate(path: Path = DEFAULT_FILE) -> Params:
    """Return the parameters as `load` does, for the pipeline: raise ParamsError also for names that do not exist.

    The same holds for keys that DVC would miss. Scans need neither.
    """
    content = read(path)
    return _checked(path, content, [*wrong_references(content), *missing_for_the_pipeline(content)])


def _checked(path: Path, content: Any, more: Iterable[str] = ()) -> Params:
    wrong: list[str] = []
    try:
        loaded = Params.model_validate(content)
    except ValidationError as error:
        wrong = faults(error, Params)
    if wrong := [*wrong, *more]:
        listed = "".join(f"\n  {fault}" for fault in wrong)
        raise ParamsError(f"{path} has keys or values that are not valid; correct or remove them:{listed}")
    return loaded
