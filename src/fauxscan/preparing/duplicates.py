"""Near-duplicates by perceptual hash, and the groups that no split may divide."""

from collections.abc import Iterator
from itertools import combinations, pairwise

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

AGREEING = 3  # bands: with 64 / (bits + 3) bits each, few hashes share three of them by chance
Pairs = NDArray[np.int64]


def near(faces: pd.DataFrame, bits: int, rank: dict[str, int] | None = None) -> pd.DataFrame:
    """Return links (one, other) between distinct files with a face or frame within `bits` of 64 in the same view.

    Of files with one and the same hash only that of lowest `rank` is linked to all others, so that time and
    memory are linear in the number of files and still everything alike is connected.
    """
    found = [_near_in_view(rows, bits, rank or {}) for _, rows in faces.groupby("view", sort=True)]
    pairs = pd.concat([pd.DataFrame({"one": [], "other": []}, dtype=str), *found], ignore_index=True)
    return pairs.drop_duplicates().sort_values(["one", "other"], ignore_index=True)


def _near_in_view(rows: pd.DataFrame, bits: int, rank: dict[str, int]) -> pd.DataFrame:
    rows = rows.drop_duplicates(["phash", "sha256"])
    rows = rows.assign(rank=rows["sha256"].map(rank).fillna(0)).sort_values(["phash", "rank"], kind="stable")
    texts, first, count = np.unique(rows["phash"].to_numpy(dtype=str), return_index=True, return_counts=True)
    hashes = np.array([int(text, 16) for text in texts], np.uint64)
    links = np.concatenate([np.stack([np.arange(len(hashes))] * 2, 1), _close(hashes, bits)])
    # The first file of one hash is linked to every file of the other, and the other way round.
    both = np.concatenate([links, links[:, ::-1]])
    others = np.concatenate([np.arange(first[v], first[v] + count[v]) for v in both[:, 1]] or [np.zeros(0, int)])
    ones = np.repeat(first[both[:, 0]], count[both[:, 1]])
    names = rows["sha256"].to_numpy(dtype=str)
    apart = names[ones] < names[others]
    turned = names[ones] > names[others]
    one, other = np.concatenate([ones[apart], others[turned]]), np.concatenate([others[apart], ones[turned]])
    return pd.DataFrame({"one": names[one], "other": names[other]})


def _close(hashes: NDArray[np.uint64], bits: int) -> Pairs:
    """Return index pairs (n, 2) of hashes within `bits` of each other, by multi-index hashing (Norouzi et al. 2012).

    Of `bits` + 3 bands at least 3 agree where at most `bits` bits differ: only hashes that share three are compared.
    """
    found = [np.zeros((0, 2), np.int64)]
    for mask in _masks(bits + AGREEING) if bits else ():
        order = np.argsort(hashes & mask, kind="stable")
        found += _compared(order, hashes[order], mask, bits)
    return np.unique(np.concatenate(found), axis=0)


def _masks(bands: int) -> Iterator[np.uint64]:
    edges = np.linspace(0, 64, bands + 1).astype(int)
    band = [((1 << int(b)) - 1) ^ ((1 << int(a)) - 1) for a, b in pairwise(edges)]
    for chosen in combinations(band, AGREEING):
        yield np.uint64(sum(chosen))


def _compared(order: Pairs, hashes: NDArray[np.uint64], mask: np.uint64, bits: int) -> Iterator[Pairs]:
    """Give the pairs among neighbours in the order of one key, at growing distance while keys agree."""
    start = np.arange(len(hashes))
    for lag in range(1, len(hashes)):
        start = start[start + lag < len(hashes)]
        difference = hashes[start] ^ hashes[start + lag]
        same_key = difference & mask == 0
        start, difference = start[same_key], difference[same_key]
        if not len(start):
            return
        close = start[np.bitwise_count(difference) <= bits]
        yield np.sort(np.stack([order[close], order[close + lag]], 1), axis=1)


def groups(table: pd.DataFrame, pairs: pd.DataFrame, tokens: list[str]) -> NDArray[np.str_]:
    """Return each file's group, named by its first path: what shares a token or a near-duplicate is one group.

    A token is a column of names, such as `source`, or of lists of names, such as `identities`.
    """
    place = dict(zip(table["sha256"], range(len(table)), strict=True))
    known = pairs[pairs["one"].isin(place) & pairs["other"].isin(place)]
    edges = [np.stack([known["one"].map(place), known["other"].map(place)], 1).astype(np.int64)]
    named = [table[token].reset_index(drop=True).explode().dropna().astype(str) for token in tokens]
    ties = pd.concat(named) if named else pd.Series(dtype=str)  # a source may be named among identities: of a copy
    codes, names = pd.factorize(ties)
    edges.append(np.stack([ties.index.to_numpy(np.int64), codes + len(table)], 1))
    component = _components(np.concatenate(edges), len(table) + len(names))[: len(table)]
    paths = table["path"].to_numpy(dtype=str)
    order = np.lexsort([paths, component])
    _, first = np.unique(component[order], return_index=True)
    _, number = np.unique(component, return_inverse=True)
    return np.asarray(paths[order][first][number])


def _components(edges: Pairs, nodes: int) -> NDArray[np.int32]:
    graph = coo_array((np.ones(len(edges), np.int8), (edges[:, 0], edges[:, 1])), shape=(nodes, nodes))
    _, component = connected_components(graph, directed=False)
    return np.asarray(component)
