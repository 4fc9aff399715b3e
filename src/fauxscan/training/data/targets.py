"""The scores of a teacher for the training images of a student, which soften the labels (Hinton et al. 2015).

The stage `teach` writes a folder with a table of p_fake and a card that describes the teacher; `train_student` reads
both.
"""

from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import ValidationError

from fauxscan import disk
from fauxscan.models import Teacher
from fauxscan.preparing.shards.read import parse
from fauxscan.records import TARGETS, Strict, UserError

TABLE, CARD = "targets.parquet", "card.json"
KEY = ("sha256", "frame", "track", "face")  # of an image of one view


class TargetsCard(Strict):
    """The teacher, and the training images that it has judged."""

    teacher: str
    digest: str  # of the teacher
    licence: str
    proof_of_machinery: bool
    mixture_sha256: str  # of the manifest of the mixture


def write(folder: Path, table: pd.DataFrame, card: TargetsCard) -> None:
    """Write one row for each image, see records.TARGETS, and then the card."""
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pandas(table, TARGETS, preserve_index=False), folder / TABLE, compression="zstd")
    disk.write_text(folder / CARD, card.model_dump_json(indent=2) + "\n")


class Targets:
    """The p_fake of a teacher for each training image, and their share in the labels."""

    def __init__(self, folder: Path, mixture: Path, share: float) -> None:
        """Read what `write` wrote. Raise UserError if it is missing, or not of the images in the manifest `mixture`."""
        file = folder / CARD
        if not file.is_file():
            raise UserError(f"no targets in {folder}: run the stage `teach` first")
        try:
            self.card = TargetsCard.model_validate_json(file.read_text(encoding="utf-8"))
        except ValidationError as error:
            raise UserError(f"{file} was written by another version: run the stage `teach` again") from error
        if self.card.mixture_sha256 != disk.digest(mixture):
            raise UserError(f"{folder} has the targets of other images than {mixture}: run the stage `teach` again")
        self.file, self.share = folder / TABLE, share

    @property
    def digest(self) -> str:
        """Return the SHA-256 of the table."""
        return disk.digest(self.file)

    @property
    def teacher(self) -> Teacher:
        """Return how the card of the student names its teacher."""
        return Teacher(name=self.card.teacher, digest=self.card.digest, share=self.share)

    def soften(self, label: Any, record: Any) -> Any:
        """Return (1 - share) * label + share * p_fake, float32 (1,), for the label and the serialised example."""
        import tensorflow as tf

        example = parse(record, KEY)
        numbers = [tf.strings.as_string(example[name]) for name in KEY[1:]]
        p_fake = self._p_fake.lookup(tf.strings.join([example[KEY[0]], *numbers], "/"))
        return (1 - self.share) * label + self.share * p_fake

    @cached_property
    def _p_fake(self) -> Any:
        import tensorflow as tf

        table = pq.read_table(self.file).to_pandas()
        names = table["sha256"].str.cat([table[name].astype(str) for name in KEY[1:]], "/")
        entries = tf.lookup.KeyValueTensorInitializer(names.to_numpy(str), table["p_fake"].to_numpy("float32"))
        return tf.lookup.StaticHashTable(entries, default_value=float("nan"))
