"""Which part of the training split a phase trains on: all of it, or the sources that its patterns name."""

from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from fauxscan.preparing import shards
from fauxscan.records import TRAIN, Phase, Recipe, UserError, View

SHOWN = 3  # sources that an error names


@dataclass(frozen=True)
class Part:
    """Training examples: of all sources where `sources` is None, and how many reals and fakes they are."""

    sources: frozenset[str] | None
    reals: int
    fakes: int

    def of(self, extent: tuple[int, int]) -> tuple[int, int]:
        """Return the number of its examples, and about how many of the bytes of all of them are its own."""
        count, size = extent
        mine = self.reals + self.fakes
        return mine, size * mine // count


def phases(recipe: Recipe) -> tuple[Phase, ...]:
    """Return the stretches of a training, one at least."""
    return recipe.phases or (Phase(epochs=recipe.epochs, learning_rate=recipe.learning_rate),)


def parts(folder: Path, view: View, recipe: Recipe) -> list[Part]:
    """Return what each phase trains on. Raise UserError that names the phase and the pattern that no source matches."""
    found = shards.sources(folder, TRAIN, view)
    return [_part(found, phase, number) for number, phase in enumerate(phases(recipe), 1)]


def _part(found: dict[str, list[int]], phase: Phase, number: int) -> Part:
    chosen = found if not phase.sources else {name for p in phase.sources for name in _matching(found, p, number)}
    reals, fakes = (sum(found[name][label] for name in chosen) for label in (0, 1))
    return Part(frozenset(chosen) if phase.sources else None, reals, fakes)


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
