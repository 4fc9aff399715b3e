"""Train, validation and test by source, near-duplicates kept together, and an audit that stops a leak."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedGroupKFold

from fauxscan.params import SplitParams
from fauxscan.preparing import audit, duplicates
from fauxscan.preparing.faces_table import read_faces, read_made
from fauxscan.records import EXCLUDED, SPLIT, TEST, TRAIN, VALIDATION, Status, UserError


def split(faces: Path, out: Path, report: Path, params: SplitParams, seed: int) -> None:
    """Write which split each file belongs to, and the audit's report. Raise UserError if the audit fails."""
    made = read_made(faces).to_pandas()
    usable = made[made["status"] == Status.OK].reset_index(drop=True)
    pairs = duplicates.near(read_faces(faces, ["sha256", "view", "phash"]).to_pandas(), params.near_duplicate_bits)
    fixed = usable.assign(split=published(usable, pairs))
    apart = pairs[_split_of(fixed, pairs["one"]) == _split_of(fixed, pairs["other"])]
    table = fixed.assign(group=duplicates.groups(fixed, apart))
    table["split"] = assign(table, params, seed)
    found = audit.audit(table, pairs, params)
    report.parent.mkdir(parents=True, exist_ok=True)
    report.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    audit.enforce(found, params)
    pq.write_table(pa.Table.from_pandas(table[SPLIT.names], SPLIT, preserve_index=False), out, compression="zstd")


def published(table: pd.DataFrame, pairs: pd.DataFrame) -> NDArray[Any]:
    """Return the split of each file as its publisher fixed it, or None.

    A file that is a near-duplicate of a published test or validation file, and not in that split, is excluded.
    """
    result = table["split"].astype(object).where(table["split"].notna(), None).to_numpy(copy=True)
    result[result == TRAIN] = None  # a published training part may still have to give a validation split
    both_ways = pd.concat([pairs, pairs.rename(columns={"one": "other", "other": "one"})])
    for name in (TEST, VALIDATION):
        held = set(table["sha256"][result == name])
        near = set(both_ways.loc[both_ways["one"].isin(held), "other"]) - held
        result[table["sha256"].isin(near).to_numpy() & (result != TEST)] = EXCLUDED
    return result


def _split_of(table: pd.DataFrame, files: pd.Series) -> NDArray[Any]:
    split = dict(zip(table["sha256"], table["split"].fillna(""), strict=True))
    return files.map(lambda sha256: split.get(sha256, EXCLUDED)).to_numpy()


def assign(table: pd.DataFrame, params: SplitParams, seed: int) -> NDArray[Any]:
    """Return the split of each file: what is fixed, and the rest by group, stratified by generator."""
    result = table["split"].to_numpy(copy=True)
    fixed = {name for name in (VALIDATION, TEST) if (result == name).any()}
    result[pd.isna(result)] = TRAIN
    wanted = {TEST: 1 - params.train - params.validation, VALIDATION: params.validation, TRAIN: params.train}
    wanted = {name: share for name, share in wanted.items() if name not in fixed}
    for name in (name for name in (TEST, VALIDATION) if name in wanted):
        _carve(table, result, name, wanted[name] / sum(wanted.values()), seed)
        del wanted[name]
    _refuse_empty(table, result)
    return result


def _carve(table: pd.DataFrame, result: NDArray[Any], name: str, share: float, seed: int) -> None:
    """Move one stratified fold of whole groups from train to the split `name`."""
    rows = np.flatnonzero(result == TRAIN)
    strata = table["generator"].fillna("real").to_numpy()[rows]
    folds = StratifiedGroupKFold(max(2, round(1 / share)), shuffle=True, random_state=seed)
    _, chosen = next(folds.split(rows, strata, table["group"].to_numpy()[rows]))
    result[rows[chosen]] = name


def _refuse_empty(table: pd.DataFrame, result: NDArray[Any]) -> None:
    for name in (TRAIN, VALIDATION, TEST):
        labels = set(table["label"][result == name])
        if labels != {0, 1}:
            raise UserError(
                f"the {name} split would lack reals or fakes: {len(table)} usable files in"
                f" {table['group'].nunique()} groups are too few, or too many are near-duplicates of each other"
            )
