"""Balanced drawing from several datasets: which example each image of a training is, as a function of its number.

The training examples of a mixture are divided into pools: the reals of each dataset, and the fakes of each generator
in each dataset. Reals and fakes take turns. Within the reals, datasets are drawn in proportion to their shares. Within
the fakes, all generators of datasets with equal shares are drawn equally often: a generator counts with the mean share
of the datasets that have it, divided among these in proportion to their shares. So no large dataset or generator drowns
a small one. Small pools are repeated, and large pools are continued in the next epoch where the last one stopped.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from fauxscan.records import FAKE, REAL

PERMUTATIONS = 256  # kept in memory: one for each pool that is in use


@dataclass(frozen=True)
class Pool:
    """The examples of one label and generator in one dataset, and how often they are drawn."""

    dataset: str
    label: int
    generator: str  # empty for reals
    examples: int
    weight: float  # relative to the other pools with its label


def make_pools(counts: Mapping[tuple[str, int, str], int], shares: Mapping[str, float]) -> tuple[Pool, ...]:
    """Return the pools of (dataset, label, generator) with so many examples each, where `shares` are the datasets'."""
    datasets: dict[tuple[int, str], set[str]] = defaultdict(set)
    for dataset, label, generator in counts:
        datasets[label, generator].add(dataset)
    return tuple(
        Pool(dataset, label, generator, count, _weight(shares[dataset], label, datasets[label, generator]))
        for (dataset, label, generator), count in sorted(counts.items())
        if count
    )


def _weight(share: float, label: int, datasets: set[str]) -> float:
    return share / len(datasets) if label == FAKE else share


class Draws:
    """The examples of an endless training in which each epoch has the same number of images."""

    def __init__(self, pools: Sequence[Pool], images: int, seed: int) -> None:
        """Take the pools of both labels, or of reals alone, the images of an epoch, and a seed."""
        self.pools, self.images, self.seed = tuple(pools), images, seed
        self._pool = schedule(self.pools, images)
        self._count = np.bincount(self._pool, minlength=len(pools))
        order = np.argsort(self._pool, kind="stable")
        self._rank = np.empty(images, np.int64)  # how many images of the epoch before it are of the same pool
        self._rank[order] = np.arange(images) - np.repeat(np.cumsum(self._count) - self._count, self._count)
        self._permutation = lru_cache(PERMUTATIONS)(self._permuted)

    def __getitem__(self, number: int) -> tuple[int, int]:
        """Return the pool of an image of the training, and the number of the example in it."""
        epoch, place = divmod(number, self.images)
        pool = int(self._pool[place])
        drawn = epoch * int(self._count[pool]) + int(self._rank[place])
        turn, example = divmod(drawn, self.pools[pool].examples)
        return pool, int(self._permutation(pool, turn)[example])

    def _permuted(self, pool: int, turn: int) -> NDArray[np.int64]:
        """Return the order in which a pool's examples come in one turn: all of them once."""
        return np.random.default_rng([self.seed, pool, turn]).permutation(self.pools[pool].examples)


def schedule(pools: Sequence[Pool], images: int) -> NDArray[np.int64]:
    """Return the pool of each image of an epoch: labels alternate, and the pools of a label are evenly spread."""
    labels = sorted({pool.label for pool in pools})
    numbers = np.empty(images, np.int64)
    for place, label in enumerate(labels):
        own = np.array([number for number, pool in enumerate(pools) if pool.label == label])
        weights = np.array([pools[number].weight for number in own])
        slots = numbers[place :: len(labels)]
        slots[:] = own[_spread(_apportioned(weights, len(slots)))]
    return numbers


def _apportioned(weights: NDArray[np.float64], total: int) -> NDArray[np.int64]:
    """Return whole numbers in proportion to the weights that add up to the total, at least 1 each if it allows that."""
    exact = weights / weights.sum() * total
    least = 1 if total >= len(weights) else 0
    counts: NDArray[np.int64] = np.maximum(np.floor(exact).astype(np.int64), least)
    while (missing := total - counts.sum()) > 0:
        counts[np.argmax(exact - counts)] += 1
    while missing < 0:
        counts[np.argmax(np.where(counts > least, counts - exact, -np.inf))] -= 1
        missing += 1
    return counts


def _spread(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return each number n `counts[n]` times, evenly spread: its i-th of k at (i + 1/2) / k of the whole."""
    numbers = np.repeat(np.arange(len(counts)), counts)
    rank = np.arange(len(numbers)) - np.repeat(np.cumsum(counts) - counts, counts)
    return np.asarray(numbers[np.lexsort((numbers, (rank + 0.5) / counts[numbers]))])


def count_labels(pools: Sequence[Pool]) -> tuple[int, int]:
    """Return the number of reals and of fakes."""
    reals, fakes = (sum(pool.examples for pool in pools if pool.label == label) for label in (REAL, FAKE))
    return reals, fakes
