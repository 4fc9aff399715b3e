"""The logits of a teacher's models on shards, each kept in a file, with which an interrupted run continues."""

from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from fauxscan import disk
from fauxscan.judging import scoring
from fauxscan.judging.ensemble import Member
from fauxscan.preparing.shards.read import Shards
from fauxscan.progress import Progress
from fauxscan.records import LOGITS, TRAIN, View

KEY = b"fauxscan.key"  # in the metadata of a file: what its logits follow from


class KeptLogits:
    """The logits in one folder: a file for each model and shard."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._used = folder, set[Path]()
        folder.mkdir(parents=True, exist_ok=True)

    def of_training(self, model: Member, dataset: str, shards: Shards, view: View) -> pd.DataFrame:
        """Return one row with the model's logit for each training image of a view, see records.LOGITS.

        Shards whose logits are kept are not judged again. Raise UserError for a damaged shard.
        """
        names, tables = shards.names(TRAIN, view), []
        with Progress(f"{model.card.name} judges {dataset}", len(names), "shards") as progress:
            for name in names:
                tables.append(self._of_shard(model, dataset, shards, name))
                progress.advance()
        return pd.concat(tables, ignore_index=True)

    def drop_unused(self) -> None:
        """Delete the files that nobody has asked for, such as those of models that are not members any more."""
        for file in self._folder.rglob("*.parquet"):
            if file not in self._used:
                file.unlink()

    def _of_shard(self, model: Member, dataset: str, shards: Shards, name: str) -> pd.DataFrame:
        file = self._folder / model.card.name / f"{dataset}-{name}.parquet"
        key = f"{model.card.model_digest} {shards.manifest.shards[name].sha256}".encode()
        self._used.add(file)
        if not _is_kept(file, key):
            logits = pa.Table.from_pandas(scoring.logits(model, shards.examples_of(name)), LOGITS, preserve_index=False)
            file.parent.mkdir(parents=True, exist_ok=True)
            with disk.atomic_write(file) as stream:
                pq.write_table(logits.replace_schema_metadata({KEY: key}), stream)
        kept: pd.DataFrame = pq.read_table(file).to_pandas()
        return kept


def _is_kept(file: Path, key: bytes) -> bool:
    try:
        return (pq.read_schema(file).metadata or {}).get(KEY) == key
    except (OSError, pa.ArrowInvalid):
        return False
