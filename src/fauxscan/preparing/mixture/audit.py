"""Leaks between the datasets of a mixture: what one dataset trains on must not be in a held-out split of another.

Within a dataset the stage `split` keeps apart what belongs together. It knows nothing of other datasets, so they are
compared here: by content, by likeness and by the names of sources.
"""

import logging
from collections.abc import Mapping

import pandas as pd

from fauxscan.params import SplitParams, TrainedParams
from fauxscan.preparing.shards.read import Shards
from fauxscan.preparing.split import near_duplicates
from fauxscan.records import FAKE, UserError

log = logging.getLogger(__name__)
COLUMNS = ["sha256", "view", "label", "source", "split", "path", "phash"]
SHOWN = 5  # leaks that a message names
REMEDY = (
    "A model would be validated or tested on what it has learned from. Put these files into one dataset, which is then"
    " split as a whole; or remove them from one of the datasets; or leave one of the datasets out of {}.datasets"
)
COINCIDENCE = ". If equal names of sources are a coincidence in these datasets, set {}.on_shared_source to warn"


def refuse_leaks(name: str, model: TrainedParams, shards: Mapping[str, Shards], split: SplitParams) -> None:
    """Raise UserError that names leaks between the datasets of the model `name`, the files, and what to do."""
    if len(shards) < 2:
        return
    tables = [opened.index(COLUMNS).to_pandas().assign(dataset=dataset) for dataset, opened in shards.items()]
    table = pd.concat(tables, ignore_index=True)
    entry, contradictory = f"{model.section}.{name}", _contradictory(table)
    if contradictory:
        raise UserError(f"{entry}: {_listed(contradictory)}. Correct the label in one of the datasets")
    leaks = [*_same_content(table), *_near_duplicates(table, split.near_duplicate_bits)]
    shared = _shared_sources(table)
    if model.on_shared_source == "warn":
        _warn(name, shared)
        shared = []
    if not leaks and not shared:
        return
    message = f"{entry}: {_listed([*leaks, *shared])}. {REMEDY.format(entry)}"
    message += COINCIDENCE.format(entry) if shared else ""
    if split.by != "random_frames":
        raise UserError(message)
    log.warning("%s. split.by is random_frames, so training goes on: do not trust the figures of this model", message)


def _warn(name: str, shared: list[str]) -> None:
    if shared:
        log.warning("models.%s: %s", name, _listed(shared))


def _listed(leaks: list[str]) -> str:
    return f"{len(leaks)} conflicts between its datasets, such as: {'; '.join(leaks[:SHOWN])}"


def _file(row: pd.Series) -> str:
    return f"{row['dataset']}:{row['path']} ({row['split']})"


def _contradictory(table: pd.DataFrame) -> list[str]:
    """Return files that are real in one dataset and fake in another."""
    files = table.drop_duplicates(["dataset", "sha256"])
    groups = files[files.groupby("sha256")["label"].transform("nunique") > 1].groupby("sha256", sort=False)
    return [" and ".join(f"{_file(row)} is {_label(row)}" for _, row in rows.iterrows()) for _, rows in groups]


def _label(row: pd.Series) -> str:
    return "fake" if row["label"] == FAKE else "real"


def _same_content(table: pd.DataFrame) -> list[str]:
    """Return files with the same content in different splits of two datasets."""
    return [
        f"{pair} have the same content" for pair in _crossing(table.drop_duplicates(["dataset", "sha256"]), "sha256")
    ]


def _shared_sources(table: pd.DataFrame) -> list[str]:
    """Return sources of the same name in different splits of two datasets, each with a file of either."""
    files = table.drop_duplicates(["dataset", "source", "split"])
    return [f"{pair} have a source of the same name" for pair in _crossing(files, "source")]


def _crossing(files: pd.DataFrame, column: str) -> list[str]:
    """Return two files of different datasets and splits for each value of a column that has such."""
    groups = files.groupby(column)
    spread = (groups["dataset"].transform("nunique") > 1) & (groups["split"].transform("nunique") > 1)
    return [_pair(rows) for _, rows in files[spread].groupby(column)]


def _pair(rows: pd.DataFrame) -> str:
    first = rows.iloc[0]
    apart = rows[(rows["dataset"] != first["dataset"]) & (rows["split"] != first["split"])]
    other = apart.iloc[0] if len(apart) else rows[rows["split"] != first["split"]].iloc[0]
    return f"{_file(first)} and {_file(other)}"


def _near_duplicates(table: pd.DataFrame, bits: int) -> list[str]:
    """Return files in different splits of two datasets whose perceptual hashes differ in at most `bits` of 64."""
    pairs = near_duplicates.near(table[["sha256", "view", "phash"]], bits)
    files = table.drop_duplicates("sha256").set_index("sha256")
    one, other = files.loc[pairs["one"]], files.loc[pairs["other"]]
    crossing = (one["dataset"].to_numpy() != other["dataset"].to_numpy()) & (
        one["split"].to_numpy() != other["split"].to_numpy()
    )
    return [f"{_file(files.loc[a])} and {_file(files.loc[b])} look the same" for a, b in pairs[crossing].to_numpy()]
