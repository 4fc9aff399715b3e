"""Which part of the training split a phase trains on: all of it, or the sources that its patterns name."""

from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from fauxscan.preparing import shards
from fauxscan.records import FAKE, REAL, TRAIN, Phase, Recipe, UserError, View

SHOWN = 3  # sources that an error names


@dataclass(frozen=True)
class Part:
    """Examples to learn from, or to validate on: of all sources where `sources` is None."""

    sources: frozenset[str] | None
    reals: int  # images of an epoch
    fakes: int
    self_blended: bool  # the fakes are made of the reals, the dataset's own are left out

    @property
    def images(self) -> int:
        """Return the images of an epoch."""
        return self.reals + self.fakes

    @property
    def examples(self) -> int:
        """Return the examples of the dataset that they come from."""
        return self.reals if self.self_blended else self.images


def phases(recipe: Recipe) -> tuple[Phase, ...]:
    """Return the stretches of a training, one at least."""
    return recipe.phases or (Phase(epochs=recipe.epochs, learning_rate=recipe.learning_rate),)


def whole(folder: Path, split: str, view: View, recipe: Recipe) -> Part:
    """Return all of a split. Raise UserError if reals or fakes are missing."""
    return _part(None, *shards.reals_and_fakes(folder, split, view), recipe, f"the {split} split in {folder}")


def of_phases(folder: Path, view: View, recipe: Recipe) -> list[Part]:
    """Return what each phase trains on. Raise UserError that names a phase in which a class or a source is missing."""
    found = shards.sources(folder, TRAIN, view) if any(phase.sources for phase in phases(recipe)) else {}
    return [
        _chosen(found, phase, number, recipe) if phase.sources else whole(folder, TRAIN, view, recipe)
        for number, phase in enumerate(phases(recipe), 1)
    ]


def _chosen(found: dict[str, list[int]], phase: Phase, number: int, recipe: Recipe) -> Part:
    names = frozenset(name for pattern in phase.sources for name in _matching(found, pattern, number))
    reals, fakes = (sum(found[name][label] for name in names) for label in (REAL, FAKE))
    return _part(names, reals, fakes, recipe, f"phase {number}")


def _part(sources: frozenset[str] | None, reals: int, fakes: int, recipe: Recipe, place: str) -> Part:
    fakes = reals if recipe.self_blended else fakes
    if not reals or not fakes:
        raise UserError(
            f"{place} has {reals} reals and {fakes} fakes: add what is missing; reals alone are enough for a detector"
            " of faces whose recipe says `self_blended: true`"
        )
    return Part(sources, reals, fakes, recipe.self_blended)


def _matching(found: dict[str, list[int]], pattern: str, number: int) -> list[str]:
    """Return the sources that match a shell pattern, whose * matches / too. Raise UserError if there are none."""
    names = [name for name in found if fnmatchcase(name, pattern)]
    if not names:
        some = ", ".join(sorted(found)[:SHOWN])
        raise UserError(
            f"phase {number}: no source of the training split matches {pattern!r}; there are {len(found)}, such as"
            f" {some}: correct `sources` of this phase in the recipe"
        )
    return names
