"""Near-duplicates by perceptual hash, and the groups that no split may divide."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

BLOCK = 2048  # rows compared at a time: bounds memory


def near(faces: pd.DataFrame, bits: int) -> pd.DataFrame:
    """Return pairs (one, other) of distinct files with a face or frame within `bits` of 64 in the same view."""
    found = [_near_in_view(rows, bits) for _, rows in faces.groupby("view", sort=True)]
    pairs = pd.concat(found, ignore_index=True).drop_duplicates()
    return pairs.sort_values(["one", "other"], ignore_index=True)


def _near_in_view(rows: pd.DataFrame, bits: int) -> pd.DataFrame:
    hashes = np.array([int(text, 16) for text in rows["phash"]], np.uint64)
    files = rows["sha256"].to_numpy()
    pairs: set[tuple[str, str]] = set()
    for start in range(0, len(hashes), BLOCK):
        distance = np.bitwise_count(hashes[start : start + BLOCK, None] ^ hashes[None, start:])
        one, other = np.nonzero(distance <= bits)
        ahead = other > one
        for a, b in zip(files[start + one[ahead]], files[start + other[ahead]], strict=True):
            if a != b:
                pairs.add((min(a, b), max(a, b)))
    return pd.DataFrame(sorted(pairs), columns=["one", "other"])


def groups(table: pd.DataFrame, pairs: pd.DataFrame) -> NDArray[np.str_]:
    """Return each file's group: files of one source, and sources that share near-duplicates, are one group."""
    sources, of_file = np.unique(table["source"].to_numpy(dtype=str), return_inverse=True)
    place = dict(zip(table["sha256"], of_file, strict=True))
    known = pairs[pairs["one"].isin(place) & pairs["other"].isin(place)]
    one = known["one"].map(place).to_numpy(dtype=np.int64)
    other = known["other"].map(place).to_numpy(dtype=np.int64)
    graph = coo_array((np.ones(len(one)), (one, other)), shape=(len(sources), len(sources)))
    _, component = connected_components(graph, directed=False)
    first = {c: sources[np.flatnonzero(component == c)[0]] for c in np.unique(component)}
    return np.array([first[component[i]] for i in of_file], dtype=str)
