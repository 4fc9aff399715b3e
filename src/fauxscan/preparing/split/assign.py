"""Assign files to the training, validation and test splits by groups that stay together, and audit the result.

Near-duplicates always stay together; `split.by` decides what else does:
- `official`: the publisher's lists are kept. Files that share a source, an identity or a picture with a held-out file
  are excluded, and files that the lists leave open are divided as with `identity`.
- `identity`: the lists are ignored; files that share a person or a source stay together.
- `source`: the lists are ignored; files of one video or shoot stay together.
- `random_frames`: each file is assigned on its own, as `bloat_data.py` of MalayAgr/MesoNet-DeepFakeDetection does.
  This leaks; it is offered to show by how much the figures rise.
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
from fauxscan.preparing.faces.table import read_faces, read_outcomes
from fauxscan.preparing.split import audit, folds, near_duplicates, recovered_sources
from fauxscan.records import EXCLUDED, SPLIT, TEST, TRAIN, VALIDATION, Status, UserError

log = logging.getLogger(__name__)
HELD_OUT = (TEST, VALIDATION)
MAX_FOLDS = 20  # a share is made of whole folds: enough for 5 %
TOKENS = {  # columns whose shared values keep files together, by `split.by`
    "official": ["source", "identities"],
    "identity": ["source", "identities"],
    "source": ["source"],
    "random_frames": [],
}
Names = NDArray[Any]


def split(faces: Path, out: Path, report: Path, params: SplitParams, seed: int) -> None:
    """Write the split of each file to `out` and the audit to `report`. Raise UserError if the audit fails."""
    table = read_usable_files(faces)
    pairs = find_near_duplicates(faces, table, params.near_duplicate_bits)
    table = with_splits(table, pairs, params, seed)
    result = audit.audit(table, pairs, params)
    report.parent.mkdir(parents=True, exist_ok=True)
    report.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    audit.enforce(result, params)
    pq.write_table(pa.Table.from_pandas(table[SPLIT.names], SPLIT, preserve_index=False), out, compression="zstd")


def read_usable_files(faces: Path) -> pd.DataFrame:
    """Return the files with a face or frame, in order; sources that the publisher does not name are recovered."""
    outcomes: pd.DataFrame = read_outcomes(faces).to_pandas()
    table = outcomes[outcomes["status"] == Status.OK].reset_index(drop=True)
    unknown = table["source"].isna()
    if unknown.any():
        sources = recovered_sources.recover_sources(faces, table[unknown])
        log.info("%d files name no source: %d sources recovered by similarity", len(sources), sources.nunique())
        table["source"] = table["source"].where(~unknown, sources)
    return table


def find_near_duplicates(faces: Path, table: pd.DataFrame, bits: int) -> pd.DataFrame:
    """Return pairs (columns one, other) of near-duplicate files; files that the publisher holds out come first."""
    rank = {name: place - len(HELD_OUT) for place, name in enumerate(HELD_OUT)}
    held_out = dict(zip(table["sha256"], table["split"].map(rank).fillna(0), strict=True))
    return near_duplicates.near(read_faces(faces, ["sha256", "view", "phash"]).to_pandas(), bits, held_out)


def with_splits(table: pd.DataFrame, pairs: pd.DataFrame, params: SplitParams, seed: int) -> pd.DataFrame:
    """Return the files with the columns `group` (what must stay together) and `split`. Raise UserError."""
    tokens = TOKENS[params.by]
    fixed = table.assign(split=published_splits(table, pairs, tokens) if params.by == "official" else None)
    if params.by == "random_frames":
        ties = pairs[:0]
    else:
        ties = pairs[_split_of(fixed, pairs["one"]) == _split_of(fixed, pairs["other"])]
    fixed["group"] = near_duplicates.groups(fixed, ties, tokens)
    return fixed.assign(split=assign_splits(fixed, params, seed))


def published_splits(table: pd.DataFrame, pairs: pd.DataFrame, tokens: list[str]) -> Names:
    """Return the split of each file (files,) as published, or None.

    A file outside the published test or validation split is excluded if it shares a source or identity (`tokens`) with
    a file in it, or is a near-duplicate of one.
    """
    result = table["split"].astype(object).where(table["split"].notna(), None).to_numpy(copy=True)
    result[result == TRAIN] = None  # part of a published training split may become the validation split
    both_ways = pd.concat([pairs, pairs.rename(columns={"one": "other", "other": "one"})])
    for name in HELD_OUT:
        held_out = table[result == name]
        near = set(both_ways.loc[both_ways["one"].isin(set(held_out["sha256"])), "other"])
        tied = table["sha256"].isin(near).to_numpy()
        separate = {value for token in tokens for value in held_out[token].explode().dropna()}
        for token in tokens:
            shared = table[token].explode().isin(separate)
            tied = tied | shared.groupby(level=0).any().to_numpy()
        result[tied & (result != name) & (result != TEST)] = EXCLUDED
    return result


def _split_of(table: pd.DataFrame, files: pd.Series) -> Names:
    split = dict(zip(table["sha256"], table["split"].fillna(""), strict=True))
    return files.map(lambda sha256: split.get(sha256, EXCLUDED)).to_numpy()


def assign_splits(table: pd.DataFrame, params: SplitParams, seed: int) -> Names:
    """Return the split of each file (files,): the fixed one, or by group, stratified by generator. Raise UserError."""
    result = table["split"].astype(object).to_numpy(copy=True)
    fixed = {name for name in HELD_OUT if (result == name).any()}
    result[pd.isna(result)] = TRAIN
    wanted = {TEST: 1 - params.train - params.validation, VALIDATION: params.validation, TRAIN: params.train}
    wanted = {name: share for name, share in wanted.items() if name not in fixed}
    if TRAIN not in result:
        return result  # a published test set: nothing is left to divide
    try:
        for name in (name for name in HELD_OUT if name in wanted):
            _move_share(table, result, name, wanted[name] / sum(wanted.values()), seed)
            del wanted[name]
    except ValueError as error:  # from scikit-learn: too few groups
        raise _too_few_groups(table, str(error)) from error
    _refuse_empty(table, result)
    return result


def _move_share(table: pd.DataFrame, result: Names, name: str, share: float, seed: int) -> None:
    """Move a share of the training files to the split `name`, as stratified folds of whole groups."""
    rows = np.flatnonzero(result == TRAIN)
    strata = table["generator"].fillna("real").to_numpy(dtype=str)[rows]
    groups = table["group"].to_numpy(dtype=str)[rows]
    most = min(MAX_FOLDS, *(len(set(groups[strata == one])) for one in set(strata)))
    part = Fraction(share).limit_denominator(max(2, most))
    part = part if 0 < part < 1 else Fraction(1, 2)
    chosen = folds.grouped(strata, groups, part.denominator, seed)[: part.numerator]
    result[rows[np.concatenate([fold for _, fold in chosen])]] = name


def _refuse_empty(table: pd.DataFrame, result: Names) -> None:
    """Raise UserError if a split lacks a class that the table has; a dataset may have no fakes at all."""
    for name in (TRAIN, VALIDATION, TEST):
        if set(table["label"][result == name]) != set(table["label"]):
            raise _too_few_groups(table, f"the {name} split would lack reals or fakes")


def _too_few_groups(table: pd.DataFrame, why: str) -> UserError:
    return UserError(
        f"{why}: {len(table)} usable files in {table['group'].nunique()} groups are too few, or too many"
        " belong together. See split.by in params.yaml"
    )
