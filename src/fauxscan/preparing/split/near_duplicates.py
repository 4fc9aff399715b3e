"""Find near-duplicates by perceptual hash, and the groups of files that no split may divide."""

from collections.abc import Iterator
from itertools import combinations, pairwise

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

AGREEING = 3  # bands: of 64 / (bits + 3) bits each, so that few hashes share three of them by chance
Pairs = NDArray[np.int64]


def near(faces: pd.DataFrame, bits: int, rank: dict[str, int] | None = None) -> pd.DataFrame:
    """Return pairs (columns one, other) of files with faces or frames that differ in at most `bits` of 64 bits.

    Only hashes of the same view are compared. Of files with the same hash, only the one of lowest `rank` is paired
    with all others: time and memory are linear in the number of files, and all near-duplicates are still connected.
    """
    views = [_near_in_view(rows, bits, rank or {}) for _, rows in faces.groupby("view", sort=True)]
    pairs = pd.concat([pd.DataFrame({"one": [], "other": []}, dtype=str), *views], ignore_index=True)
    return pairs.drop_duplicates().sort_values(["one", "other"], ignore_index=True)


def _near_in_view(rows: pd.DataFrame, bits: int, rank: dict[str, int]) -> pd.DataFrame:
    rows = rows.drop_duplicates(["phash", "sha256"])
    rows = rows.assign(rank=rows["sha256"].map(rank).fillna(0)).sort_values(["phash", "rank"], kind="stable")
    texts, first, count = np.unique(rows["phash"].to_numpy(dtype=str), return_index=True, return_counts=True)
    hashes = np.array([int(text, 16) for text in texts], np.uint64)
    links = np.concatenate([np.stack([np.arange(len(hashes))] * 2, 1), _close(hashes, bits)])
    # The first file of one hash is paired with every file of the other, and vice versa.
    both = np.concatenate([links, links[:, ::-1]])
    others = np.concatenate([np.arange(first[v], first[v] + count[v]) for v in both[:, 1]] or [np.zeros(0, int)])
    ones = np.repeat(first[both[:, 0]], count[both[:, 1]])
    names = rows["sha256"].to_numpy(dtype=str)
    ordered = names[ones] < names[others]
    reversed_ = names[ones] > names[others]
    one = np.concatenate([ones[ordered], others[reversed_]])
    other = np.concatenate([others[ordered], ones[reversed_]])
    return pd.DataFrame({"one": names[one], "other": names[other]})


def _close(hashes: NDArray[np.uint64], bits: int) -> Pairs:
    """Return index pairs (n, 2) of hashes within `bits` of each other, by multi-index hashing (Norouzi et al. 2012).

    If at most `bits` bits differ, at least 3 of `bits` + 3 bands agree: only hashes that share three are compared.
    """
    pairs = [np.zeros((0, 2), np.int64)]
    for mask in _masks(bits + AGREEING) if bits else ():
        order = np.argsort(hashes & mask, kind="stable")
        pairs += _compared(order, hashes[order], mask, bits)
    return np.unique(np.concatenate(pairs), axis=0)


def _masks(bands: int) -> Iterator[np.uint64]:
    edges = np.linspace(0, 64, bands + 1).astype(int)
    band = [((1 << int(b)) - 1) ^ ((1 << int(a)) - 1) for a, b in pairwise(edges)]
    for chosen in combinations(band, AGREEING):
        yield np.uint64(sum(chosen))


def _compared(order: Pairs, hashes: NDArray[np.uint64], mask: np.uint64, bits: int) -> Iterator[Pairs]:
    """Yield index pairs of hashes in the order of one key, comparing neighbours while keys agree."""
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
    """Return the group of each file (files,), named after its first path.

    Files that share a token or are near-duplicates are in one group. `tokens` are columns of names, such as `source`,
    or of lists of names, such as `identities`.
    """
    number_of = dict(zip(table["sha256"], range(len(table)), strict=True))
    known = pairs[pairs["one"].isin(number_of) & pairs["other"].isin(number_of)]
    edges = [np.stack([known["one"].map(number_of), known["other"].map(number_of)], 1).astype(np.int64)]
    columns = [table[token].reset_index(drop=True).explode().dropna().astype(str) for token in tokens]
    ties = pd.concat(columns) if columns else pd.Series(dtype=str)  # one namespace: copies list sources as identities
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
