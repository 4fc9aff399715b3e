"""The tables of several evaluations, joined."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from fauxscan.records import UserError


def join(evaluations: Path, names: Sequence[str], file: str) -> pd.DataFrame:
    """Return the tables in `file` of the named folders of `evaluations`, concatenated.

    A folder holds the evaluations of a model, if any were possible, or a single one. Raise UserError if one is missing,
    or there are no evaluations at all.
    """
    missing = [name for name in names if not (evaluations / name / file).is_file()]
    if missing:
        raise UserError(f"no {file} of {', '.join(missing)} in {evaluations}: run `dvc repro` first")
    parts = [table for name in names if len(table := pd.read_parquet(evaluations / name / file))]
    if not parts:
        raise UserError(
            f"no {file} in {evaluations} has any row: in `evaluations` of params.yaml, name a dataset whose test split"
            " has reals and fakes"
        )
    return pd.concat(parts, ignore_index=True)


def headline(figures: pd.DataFrame) -> pd.DataFrame:
    """Return one row for each evaluation: figures of whole files, not degraded, over all generators."""
    overall = (figures["unit"] == "media") & (figures["degradation"] == "none") & (figures["generator"] == "all")
    return figures[overall].reset_index(drop=True)
