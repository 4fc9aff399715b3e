"""Train, validation and test: nothing that belongs together is divided, and an audit that stops a leak.

`split.by` says what belongs together, beside near-duplicates:
- `official`: the publisher's lists are kept; what shares a source, an identity or a picture with a held-out file is
  excluded, and what the lists leave open is divided as by `identity`;
- `identity`: lists are ignored; files that share a person or a source stay together;
- `source`: lists are ignored; files of one video or shoot stay together;
- `random_frames`: each file by itself, as `bloat_data.py` of MalayAgr/MesoNet-DeepFakeDetection does. It leaks, and
  is here to show by how much the figures rise.
"""

import json
import logging
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from fauxscan.params import SplitParams
from fauxscan.preparing import alike, audit, duplicates, folds
from fauxscan.preparing.faces_table import read_faces, read_made
from fauxscan.records import EXCLUDED, SPLIT, TEST, TRAIN, VALIDATION, Status, UserError

log = logging.getLogger(__name__)
HELD = (TEST, VALIDATION)
MOST_FOLDS = 20  # that a share is made of: enough for 5 %
TOKENS = {
    "official": ["source", "identities"],
    "identity": ["source", "identities"],
    "source": ["source"],
    "random_frames": [],
}
Names = NDArray[Any]


def split(faces: Path, out: Path, report: Path, params: SplitParams, seed: int) -> None:
    """Write which split each file belongs to, and the audit's report. Raise UserError if the audit fails."""
    table = usable(faces)
    pairs = likenesses(faces, table, params.near_duplicate_bits)
    table = divided(table, pairs, params, seed)
    found = audit.audit(table, pairs, params)
    report.parent.mkdir(parents=True, exist_ok=True)
    report.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    audit.enforce(found, params)
    pq.write_table(pa.Table.from_pandas(table[SPLIT.names], SPLIT, preserve_index=False), out, compression="zstd")


def usable(faces: Path) -> pd.DataFrame:
    """Return the files of which a face or frame was made, in order; a source that nobody named is recovered."""
    made: pd.DataFrame = read_made(faces).to_pandas()
    table = made[made["status"] == Status.OK].reset_index(drop=True)
    unknown = table["source"].isna()
    if unknown.any():
        found = alike.recovered(faces, table[unknown])
        log.info("%d files name no source: %d were recovered by likeness", len(found), found.nunique())
        table["source"] = table["source"].where(~unknown, found)
    return table


def likenesses(faces: Path, table: pd.DataFrame, bits: int) -> pd.DataFrame:
    """Return links between near-duplicate files, those that a publisher holds out first."""
    rank = {name: place - len(HELD) for place, name in enumerate(HELD)}
    held = dict(zip(table["sha256"], table["split"].map(rank).fillna(0), strict=True))
    return duplicates.near(read_faces(faces, ["sha256", "view", "phash"]).to_pandas(), bits, held)


def divided(table: pd.DataFrame, pairs: pd.DataFrame, params: SplitParams, seed: int) -> pd.DataFrame:
    """Return the files with the group that must stay together and the split it fell to."""
    tokens = TOKENS[params.by]
    fixed = table.assign(split=published(table, pairs, tokens) if params.by == "official" else None)
    if params.by == "random_frames":
        ties = pairs[:0]
    else:
        ties = pairs[_split_of(fixed, pairs["one"]) == _split_of(fixed, pairs["other"])]
    fixed["group"] = duplicates.groups(fixed, ties, tokens)
    return fixed.assign(split=assign(fixed, params, seed))


def published(table: pd.DataFrame, pairs: pd.DataFrame, tokens: list[str]) -> Names:
    """Return the split of each file as its publisher fixed it, or None.

    A file that is tied to a published test or validation file, and not in that split, is excluded: by a source or
    identity (`tokens`) that both have, or as its near-duplicate.
    """
    result = table["split"].astype(object).where(table["split"].notna(), None).to_numpy(copy=True)
    result[result == TRAIN] = None  # a published training part may still have to give a validation split
    both_ways = pd.concat([pairs, pairs.rename(columns={"one": "other", "other": "one"})])
    for name in HELD:
        held = table[result == name]
        near = set(both_ways.loc[both_ways["one"].isin(set(held["sha256"])), "other"])
        tied = table["sha256"].isin(near).to_numpy()
        kept_apart = {value for token in tokens for value in held[token].explode().dropna()}
        for token in tokens:
            shared = table[token].explode().isin(kept_apart)
            tied = tied | shared.groupby(level=0).any().to_numpy()
        result[tied & (result != name) & (result != TEST)] = EXCLUDED
    return result


def _split_of(table: pd.DataFrame, files: pd.Series) -> Names:
    split = dict(zip(table["sha256"], table["split"].fillna(""), strict=True))
    return files.map(lambda sha256: split.get(sha256, EXCLUDED)).to_numpy()


def assign(table: pd.DataFrame, params: SplitParams, seed: int) -> Names:
    """Return the split of each file: what is fixed, and the rest by group, stratified by generator. Raise UserError."""
    result = table["split"].astype(object).to_numpy(copy=True)
    fixed = {name for name in HELD if (result == name).any()}
    result[pd.isna(result)] = TRAIN
    wanted = {TEST: 1 - params.train - params.validation, VALIDATION: params.validation, TRAIN: params.train}
    wanted = {name: share for name, share in wanted.items() if name not in fixed}
    if TRAIN not in result:
        return result  # a test set, as published: there is nothing to divide
    try:
        for name in (name for name in HELD if name in wanted):
            _carve(table, result, name, wanted[name] / sum(wanted.values()), seed)
            del wanted[name]
    except ValueError as error:  # scikit-learn's word for too few groups
        raise _too_few(table, str(error)) from error
    _refuse_empty(table, result)
    return result


def _carve(table: pd.DataFrame, result: Names, name: str, share: float, seed: int) -> None:
    """Move stratified folds of whole groups, that many of them as make the share, from train to the split `name`."""
    rows = np.flatnonzero(result == TRAIN)
    strata = table["generator"].fillna("real").to_numpy(dtype=str)[rows]
    groups = table["group"].to_numpy(dtype=str)[rows]
    most = min(MOST_FOLDS, *(len(set(groups[strata == one])) for one in set(strata)))
    part = Fraction(share).limit_denominator(max(2, most))
    part = part if 0 < part < 1 else Fraction(1, 2)
    chosen = folds.grouped(strata, groups, part.denominator, seed)[: part.numerator]
    result[rows[np.concatenate([fold for _, fold in chosen])]] = name


def _refuse_empty(table: pd.DataFrame, result: Names) -> None:
    """Raise UserError if a split lacks a class that there is: fakes may be missing from all."""
    for name in (TRAIN, VALIDATION, TEST):
        if set(table["label"][result == name]) != set(table["label"]):
            raise _too_few(table, f"the {name} split would lack reals or fakes")


def _too_few(table: pd.DataFrame, why: str) -> UserError:
    return UserError(
        f"{why}: {len(table)} usable files in {table['group'].nunique()} groups are too few, or too many belong"
        " together. split.by in params.yaml says what does"
    )
