"""The tables of several evaluations, joined."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from fauxscan.records import UserError


def join(evaluations: Path, names: Sequence[str], file: str) -> pd.DataFrame:
    """Return the tables in `file` of the named evaluations, concatenated. Raise UserError if one is missing."""
    missing = [name for name in names if not (evaluations / name / file).is_file()]
    if missing or not names:
        raise UserError(
            f"no {file} of {', '.join(missing) or 'any evaluation'} in {evaluations}: run `dvc repro` first"
        )
    parts = [pd.read_parquet(evaluations / name / file).assign(evaluation=name) for name in names]
    return pd.concat(parts, ignore_index=True)


def headline(figures: pd.DataFrame) -> pd.DataFrame:
    """Return one row for each evaluation: figures of whole files, not degraded, over all generators."""
    overall = (figures["unit"] == "media") & (figures["degradation"] == "none") & (figures["generator"] == "all")
    return figures[overall].reset_index(drop=True)
