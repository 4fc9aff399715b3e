"""What is trained: models, and students, which also learn from the scores of a model or of an ensemble."""

from typing import Any, ClassVar, Literal, Self

from pydantic import Field, PositiveFloat, model_validator

from fauxscan.params.faults import Changes
from fauxscan.params.known import SCRATCH
from fauxscan.records import Strict


class TrainedParams(Strict):
    """What models and students share: a detector, the datasets it is trained on, and changes to its recipe."""

    section: ClassVar[str] = "models"  # of params.yaml, in which the entry is

    detector: str
    dataset: str | None = None  # short for `datasets: [name]`
    datasets: tuple[str, ...] | dict[str, PositiveFloat] | None = None  # names; or names with shares, 1 by default
    on_shared_source: Literal["fail", "warn"] = "fail"  # if a source is in different splits of two datasets
    options: dict[str, Any] = {}
    recipe: Changes = {}
    weights: str = SCRATCH  # the entry in the section `weights` that training begins with

    @model_validator(mode="after")
    def _names_its_datasets_once(self) -> Self:
        if (self.dataset is None) == (self.datasets is None):
            raise ValueError("name the data with either `dataset` (one) or `datasets` (one or several)")
        if self.datasets is not None and not self.datasets:
            raise ValueError("`datasets` is empty: name at least one")
        if isinstance(self.datasets, tuple) and len(set(self.datasets)) < len(self.datasets):
            raise ValueError(
                f"`datasets` names one twice: {', '.join(self.datasets)}. To see it more often, write shares"
            )
        return self

    @property
    def shares(self) -> dict[str, float]:
        """Return the datasets in alphabetical order, each with its share of the training batches."""
        if isinstance(self.datasets, dict):
            return dict(sorted(self.datasets.items()))
        return dict.fromkeys(sorted(self.datasets or (str(self.dataset),)), 1.0)

    @model_validator(mode="after")
    def _weights_fit(self) -> Self:
        if self.weights not in (SCRATCH, self.detector):
            raise ValueError(
                f"weights is {self.weights!r}: use {SCRATCH}, or {self.detector} for the weights of the detector"
            )
        return self


class ModelParams(TrainedParams):
    """One model."""

    evaluate: bool = True  # on the datasets that it is trained on


class TeacherParams(Strict):
    """The model or ensemble of params.yaml that a student learns from, beside the labels (Hinton et al. 2015)."""

    kind: Literal["model", "ensemble"]
    model: str
    share: float = Field(default=0.7, gt=0, le=1)  # of p_fake of the teacher in a target; the rest is the label


class StudentParams(TrainedParams):
    """One model that learns from a teacher."""

    section: ClassVar[str] = "students"

    teacher: TeacherParams
