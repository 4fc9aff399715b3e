"""The examples that each phase trains on: all of them, or those whose sources match the phase's patterns."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

from fauxscan.preparing.mixture.read import Mixture
from fauxscan.preparing.shards.read import Shards
from fauxscan.records import FAKE, REAL, TRAIN, Phase, Recipe, UserError, View
from fauxscan.training.data.pools import Pool, count_labels, make_pools

SHOWN = 3  # sources that an error names
Key = tuple[str, str, int, str]  # dataset, source, label and generator of an example


@dataclass(frozen=True)
class Subset:
    """Examples to train or validate on: those of all sources where `sources` is None."""

    sources: frozenset[str] | None
    reals: int  # examples
    fakes: int  # examples; with self-blending, those made of the reals
    self_blended: bool  # fakes are made of the reals, and the dataset's own are left out
    pools: tuple[Pool, ...] = ()  # of several datasets; empty for one

    @property
    def images(self) -> int:
        """Return the images that all its examples make, each once."""
        return self.reals + self.fakes

    @property
    def examples(self) -> int:
        """Return the examples in the shards that they come from."""
        return self.reals if self.self_blended else self.images


def phases(recipe: Recipe) -> tuple[Phase, ...]:
    """Return the phases of a training: those of the recipe, or a single one."""
    return recipe.phases or (Phase(epochs=recipe.epochs, learning_rate=recipe.learning_rate),)


def whole_split(shards: Shards, split: str, view: View, recipe: Recipe) -> Subset:
    """Return all of a split. Raise UserError if reals or fakes are missing."""
    return _subset(None, *shards.count_labels(split, view), recipe, f"the {split} split in {shards.folder}")


def subsets(mixture: Mixture, view: View, recipe: Recipe) -> list[Subset]:
    """Return what each phase trains on. Raise UserError that names a phase in which a class or a source is missing.

    With several datasets, the patterns of a phase are matched with `<dataset>/<source>`.
    """
    if len(mixture.shards) > 1:
        counts = _count(mixture, view)
        return [_pooled(mixture, counts, phase, number, recipe) for number, phase in enumerate(phases(recipe), 1)]
    (shards,) = mixture.shards.values()
    known = shards.count_sources(TRAIN, view) if any(phase.sources for phase in phases(recipe)) else {}
    return [
        _matching_subset(known, phase, number, recipe) if phase.sources else whole_split(shards, TRAIN, view, recipe)
        for number, phase in enumerate(phases(recipe), 1)
    ]


def whole_mixture(mixture: Mixture, view: View, recipe: Recipe) -> Subset:
    """Return all training examples. Raise UserError if reals or fakes are missing."""
    return subsets(mixture, view, recipe.model_copy(update={"phases": ()}))[0]


def _matching_subset(known: Mapping[str, list[int]], phase: Phase, number: int, recipe: Recipe) -> Subset:
    names = _matching_sources(known, phase, number)
    reals, fakes = (sum(known[name][label] for name in names) for label in (REAL, FAKE))
    return _subset(names, reals, fakes, recipe, f"phase {number}")


def _subset(
    sources: frozenset[str] | None, reals: int, fakes: int, recipe: Recipe, place: str, pools: tuple[Pool, ...] = ()
) -> Subset:
    fakes = reals if recipe.self_blended else fakes
    if not reals or not fakes:
        raise UserError(
            f"{place} has {reals} reals and {fakes} fakes: add what is missing; reals alone are enough for a detector"
            " of faces whose recipe says `self_blended: true`"
        )
    return Subset(sources, reals, fakes, recipe.self_blended, pools)


def _matching_sources(known: Mapping[str, object], phase: Phase, number: int) -> frozenset[str]:
    return frozenset(name for pattern in phase.sources for name in _matching(known, pattern, number))


def _matching(known: Mapping[str, object], pattern: str, number: int) -> list[str]:
    """Return the sources that match a shell pattern, whose * matches / too. Raise UserError if there are none."""
    names = [name for name in known if fnmatchcase(name, pattern)]
    if not names:
        some = ", ".join(sorted(known)[:SHOWN])
        raise UserError(
            f"phase {number}: no source of the training split matches {pattern!r}; there are {len(known)}, such as"
            f" {some}: correct `sources` of this phase in the recipe"
        )
    return names


# === Several datasets ===


def _count(mixture: Mixture, view: View) -> Counter[Key]:
    """Return the number of training examples by dataset, name of the source in the mixture, label and generator."""
    counts: Counter[Key] = Counter()
    for dataset, shards in mixture.shards.items():
        rows = shards.index(["source", "label", "generator"], TRAIN, view)
        for row in rows.group_by(["source", "label", "generator"]).aggregate([([], "count_all")]).to_pylist():
            source = mixture.source_name(dataset, row["source"])
            counts[dataset, source, row["label"], row["generator"] or ""] += row["count_all"]
    return counts


def _pooled(mixture: Mixture, counts: Counter[Key], phase: Phase, number: int, recipe: Recipe) -> Subset:
    """Return what a phase draws from several datasets."""
    known = dict.fromkeys(source for _, source, _, _ in counts)
    sources = _matching_sources(known, phase, number) if phase.sources else None
    sizes: Counter[tuple[str, int, str]] = Counter()
    for (dataset, source, label, generator), count in counts.items():
        if (sources is None or source in sources) and (label == REAL or not recipe.self_blended):
            sizes[dataset, label, generator] += count
    pools = make_pools(sizes, {name: dataset.share for name, dataset in mixture.manifest.datasets.items()})
    place = f"phase {number}" if phase.sources else f"the train split of {mixture.name}"
    return _subset(sources, *count_labels(pools), recipe, place, pools)
