"""The parameters of a protocol: which heads on a frozen backbone are tested on generators that they never saw."""

from typing import Any, Literal

from pydantic import Field, field_validator

from fauxscan.params.faults import Changes
from fauxscan.records import Strict

Tier = Literal["native", "web", "hard"]
OF_FEATURES = frozenset(  # decided before any head
    {"augmentation", "augmented_share", "feature_epochs", "self_blended", "featurewise"}
)


class HeadParams(Strict):
    """One head: what it changes in the options and the recipe of the protocol's model."""

    options: dict[str, Any] = {}
    recipe: Changes = {}

    @field_validator("recipe")
    @classmethod
    def _changes_no_features(cls, recipe: dict[str, Any]) -> dict[str, Any]:
        if wrong := sorted(OF_FEATURES & recipe.keys()):
            raise ValueError(
                f"{', '.join(wrong)}: all heads learn from the same features; set it in the model's recipe"
            )
        return recipe


class ProtocolParams(Strict):
    """Heads that are trained once for each generator of fakes, which is left out, and tested on it."""

    model: str  # the entry in `models` whose datasets, backbone, options and recipe the heads share
    heads: dict[str, HeadParams] = Field(min_length=1)
    tiers: tuple[Tier, ...] = Field(default=("native", "web", "hard"), min_length=1)
    # share of reals that may be taken for fakes: for each, a threshold
    false_positive_rates: tuple[float, ...] = Field(default=(0.01, 0.05), min_length=1)
    seeds: int = Field(default=1, gt=0)  # trainings of each head, which differ in their random numbers alone

    @field_validator("tiers", "false_positive_rates")
    @classmethod
    def _are_different(cls, values: tuple[Any, ...]) -> tuple[Any, ...]:
        if len(set(values)) < len(values):
            raise ValueError("a value is there twice")
        return values

    @field_validator("tiers")
    @classmethod
    def _choose_on_native(cls, tiers: tuple[Tier, ...]) -> tuple[Tier, ...]:
        if "native" not in tiers:
            raise ValueError("add native: epoch and temperature are chosen on images as they are stored")
        return tiers

    @field_validator("false_positive_rates")
    @classmethod
    def _are_shares(cls, rates: tuple[float, ...]) -> tuple[float, ...]:
        if not all(0 < rate < 1 for rate in rates):
            raise ValueError("a rate is a share of reals: above 0 and below 1")
        return rates
