"""Typed, frozen parameters: params.yaml at the door, plain records inside. Unknown keys are refused."""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self, TypeVar

import yaml
from pydantic import Field, PositiveInt, ValidationError, field_validator, model_validator

from fauxscan.records import Recipe, Strict, UserError

T = TypeVar("T")
Engines = Literal["auto", "tensorflow", "openvino"]
Links = Literal["never", "inside", "all"]
LIMITS = ("media", "faces", "scan")  # sections that a single scan may have its own values of
SCRATCH = "scratch"  # the name of no weights


class MediaParams(Strict):
    """Caps on what is opened."""

    max_pixels: int = Field(gt=0)  # of an image or a video frame
    max_bytes: int = Field(gt=0)  # of a file
    max_seconds: float = Field(gt=0)  # of a video that are looked at
    sampling: Literal["key_frames", "per_second", "in_all"]  # which frames of a video are judged: ...
    frames_per_second: float = Field(gt=0)  # ... at this rate, for per_second ...
    max_frames: int = Field(gt=0)  # ... and never more; for in_all, this many, evenly spread


class FaceParams(Strict):
    """How faces are found and cropped. A model's card carries the ones it was trained with."""

    detector: Literal["yunet"]
    working_size: int = Field(ge=64)  # pixels: the longer side at which faces are looked for
    score: float = Field(gt=0, lt=1)  # the detector's, below which a box is no face
    min_size: int = Field(gt=0)  # pixels: a smaller face is left out
    max_faces: int = Field(gt=0)  # the largest, per image or frame
    margin: float = Field(ge=0, le=2)  # share of the face's width added on each side
    size: int = Field(ge=16)  # pixels: side of the stored crop
    search_every: int = Field(ge=1)  # sampled frames of a video between full searches; else near the last positions


class AlignParams(Strict):
    """One format, size and quality for both classes, so that the file gives nothing away."""

    size: int = Field(ge=16)  # pixels: side of the square that a whole image is brought to
    jpeg_quality: int = Field(ge=1, le=100)  # of the JPEG that each image and face crop becomes


class DatasetParams(Strict):
    """One dataset: which file in datasets/, where its archives lie, and what is taken from it."""

    name: str  # the file in datasets/
    archives: str | None = None  # a folder or an https address that holds its archives; null: where they are published
    options: dict[str, Any] = {}  # what the dataset's own file offers to choose from
    faces: Literal["detect", "whole", "both"] = "detect"
    align: AlignParams | None = None  # null: nothing is encoded anew
    limit: int | None = Field(default=None, gt=0)  # media per class; null: all


class SplitParams(Strict):
    """Shares of sources in each split, and what counts as a near-duplicate."""

    by: Literal["official", "identity", "source", "random_frames"]  # see preparing/splits.py
    train: float = Field(gt=0, lt=1)
    validation: float = Field(gt=0, lt=1)
    near_duplicate_bits: int = Field(ge=0, le=8)  # of 64: perceptual hashes this close are one picture
    shortcut_auc: float = Field(gt=0.5, le=1)  # a single file property that predicts the label better fails the audit
    on_shortcut: Literal["fail", "warn"]

    @model_validator(mode="after")
    def _leaves_a_test_split(self) -> Self:
        if self.train + self.validation > 0.99:
            raise ValueError("train and validation together must leave at least 0.01 for the test split")
        return self


class ShardParams(Strict):
    """TFRecord shards."""

    examples_per_shard: int = Field(gt=0)
    cache_bytes: int = Field(ge=0)  # of memory for training images, and as much for validation, kept between epochs


class WeightsParams(Strict):
    """Published weights of the detector that the entry is named after; of `scratch` there are none."""

    archives: str | None = None  # a folder or an https address that holds the file; null: where it is published


class ModelParams(Strict):
    """One model: a detector trained on a dataset, with what differs from its paper's recipe."""

    detector: str
    dataset: str
    options: dict[str, Any] = {}
    recipe: dict[str, Any] = {}
    weights: str = SCRATCH  # the entry under `weights` that training begins from

    @field_validator("recipe")
    @classmethod
    def _known(cls, recipe: dict[str, Any]) -> dict[str, Any]:
        Recipe.model_validate(recipe)
        return recipe

    @model_validator(mode="after")
    def _weights_fit(self) -> Self:
        if self.weights not in (SCRATCH, self.detector):
            raise ValueError(f"weights is {self.weights!r}: {SCRATCH}, or {self.detector} for the detector's own")
        return self


class TrainParams(Strict):
    """How training runs, whatever the model."""

    precision: Literal["float32", "mixed_float16"]  # the latter on GPUs; frequency layers stay in float32


class CalibrateParams(Strict):
    """Where the verdict cuts."""

    false_positive_rate: float = Field(gt=0, lt=1)  # of reals that may be called likely_synthetic
    false_negative_rate: float = Field(gt=0, lt=1)  # of fakes that may be called no_indication


class CombinerParams(Strict):
    """An ensemble: its members' calibrated logits, joined."""

    method: Literal["mean", "logistic", "dense32"]
    members: tuple[str, ...] = Field(min_length=2)


class EvaluationParams(Strict):
    """One model measured on one dataset."""

    kind: Literal["model", "ensemble"] = "model"
    model: str
    dataset: str


class EvaluateParams(Strict):
    """Confidence intervals and degradations."""

    bootstrap: int = Field(gt=0)  # resamples, by source
    confidence: float = Field(gt=0.5, lt=1)
    jpeg_qualities: tuple[int, ...]  # each face is judged again at these


class ScoreParams(Strict):
    """A directory scored by the DAG; where it lies stands in dvc.yaml."""

    dataset: str
    model: str


class ScanParams(Strict):
    """How a scan runs."""

    models: tuple[str, ...] = ()  # folders; empty: what the DAG trained
    include: tuple[str, ...] = ()  # patterns as in .gitignore; empty: every file
    exclude: tuple[str, ...] = ()  # likewise; a folder that matches is not entered
    hidden: bool = True  # names that begin with a dot
    links: Links = "never"  # which are followed: none, those that lead to below the root, or all
    batch_files: int = Field(gt=0)  # files a batch, the unit of commit and of failure ...
    batch_bytes: int = Field(gt=0)  # ... which ends earlier where they come to so many bytes
    batch_faces: int = Field(gt=0, le=1024)  # the fixed batch shape of the forward pass
    workers: int | None = Field(default=None, gt=0)  # processes that decode; null: two more than cores
    seconds_per_file: float = Field(gt=0, le=86_400)  # that decoding and looking for faces may take
    decoder_bytes: int = Field(ge=100_000_000, le=10**14)  # of memory that a decoder may take for it
    engine: Engines  # auto: openvino where it is installed and there is no GPU
    precision: Literal["float32", "bfloat16"]  # of OpenVINO; frequency detectors stay in float32
    keep_faces_days: int = Field(ge=0, le=36_500)  # that places of faces are kept for other models to come
    publish_every: int = Field(gt=0)  # batches between publications
    max_retries: int = Field(ge=0)  # of reading, in flows
    cluster: str | PositiveInt | None = None  # of flows: a Dask scheduler's address, or processes; null: threads

    @property
    def worker_count(self) -> int:
        """Return how many processes decode: two more than there are cores, since some wait for a network."""
        return self.workers or len(os.sched_getaffinity(0)) + 2

    @field_validator("include", "exclude")
    @classmethod
    def _are_patterns(cls, patterns: tuple[str, ...]) -> tuple[str, ...]:
        for pattern in patterns:
            _check_pattern(pattern)
        return patterns


def _check_pattern(pattern: str) -> None:
    from pathspec.patterns.gitignore.spec import GitIgnoreSpecPattern  # a tenth of a second, and most have no patterns

    try:
        GitIgnoreSpecPattern(pattern)
    except (ValueError, re.error) as error:
        raise ValueError(f"{pattern!r} is no pattern as .gitignore has them ({error})") from error


class Params(Strict):
    """All of params.yaml."""

    seed: int
    media: MediaParams
    faces: FaceParams
    split: SplitParams
    shards: ShardParams
    train: TrainParams
    calibrate: CalibrateParams
    evaluate: EvaluateParams
    scan: ScanParams
    datasets: dict[str, DatasetParams]
    weights: dict[str, WeightsParams]
    models: dict[str, ModelParams]
    combiners: dict[str, CombinerParams] = {}
    evaluations: dict[str, EvaluationParams]
    scores: dict[str, ScoreParams] = {}

    @model_validator(mode="after")
    def _weights_are_listed(self) -> Self:
        for name, model in self.models.items():
            if model.weights not in self.weights:
                known = ", ".join(sorted(self.weights)) or "none"
                raise ValueError(f"models.{name}.weights is {model.weights!r}, and the section `weights` has: {known}")
        return self

    def dataset(self, name: str) -> DatasetParams:
        """Return the dataset entry `name`. Raise UserError with the known names."""
        return _entry("dataset", self.datasets, name)

    def published_weights(self, name: str) -> WeightsParams:
        """Return the weights entry `name`. Raise UserError with the known names."""
        return _entry("weights", self.weights, name)

    def combiner(self, name: str) -> CombinerParams:
        """Return the ensemble entry `name`. Raise UserError with the known names."""
        return _entry("ensemble", self.combiners, name)

    def model(self, name: str) -> ModelParams:
        """Return the model entry `name`. Raise UserError with the known names."""
        return _entry("model", self.models, name)


def _entry(word: str, entries: dict[str, T], name: str) -> T:
    if name not in entries:
        raise UserError(f"unknown {word} {name!r} in params.yaml; it has: {', '.join(sorted(entries)) or 'none'}")
    return entries[name]


def changed(params: Params, section: str, values: dict[str, Any]) -> Params:
    """Return the parameters with some of a section's values replaced, None left as it is. Raise UserError."""
    given = {name: value for name, value in values.items() if value is not None}
    try:
        return Params.model_validate(params.model_dump() | {section: getattr(params, section).model_dump() | given})
    except ValidationError as error:
        raise UserError(f"wrong value: {'; '.join(faults(error))}") from error


def limited(params: Params, limits: Mapping[str, Mapping[str, Any]]) -> Params:
    """Return the parameters with values of a single scan, by section and name. Raise UserError."""
    for section, values in limits.items():
        if section not in LIMITS:
            raise UserError(f"a scan has no values of {section!r} of its own; it may have some of: {', '.join(LIMITS)}")
        params = changed(params, section, dict(values))
    return params


def faults(error: ValidationError) -> list[str]:
    """Return where each value was wrong, and why."""
    return [f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors()]


def load(path: Path = Path("params.yaml")) -> Params:
    """Return the parameters in `path`. Raise UserError that names the file, each wrong key and the reason."""
    if not path.is_file():
        raise UserError(f"no parameters at {path}: run from the project's folder, or name the file")
    try:
        return Params.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not valid YAML: {error}") from error
    except ValidationError as error:
        wrong = "".join(f"\n  {fault}" for fault in faults(error))
        raise UserError(f"{path} is not as expected; correct or remove:{wrong}") from error
