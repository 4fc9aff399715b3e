"""The index of a dataset on disk: one row a distinct media file, and what is known of the dataset as a whole."""

import hashlib
import itertools
import logging
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from fauxscan.records import INDEX, DatasetCard, Example, Strict, UserError

log = logging.getLogger(__name__)
CARD_KEY = b"fauxscan.dataset"


class DataCard(Strict):
    """What a model trained on the dataset must say of it."""

    name: str
    licence: str
    proof_of_machinery: bool


def write(examples: Iterable[Example], media: Path, index: Path, card: DatasetCard, limit: int | None) -> None:
    """Write one row a distinct file, the first `limit` of each label. Raise UserError if a class is missing."""
    rows = _distinct([{**vars(e), **_identity(media / e.path)} for e in _limited(examples, limit)])
    if len({row["label"] for row in rows}) < 2:
        raise UserError(f"{media} does not hold both reals and fakes: {len(rows)} files were found")
    data = DataCard(name=card.name, licence=card.licence, proof_of_machinery=card.proof_of_machinery)
    schema = INDEX.with_metadata({**INDEX.metadata, CARD_KEY: data.model_dump_json()})
    pq.write_table(pa.Table.from_pylist(rows, schema), index, compression="zstd")


def read_card(index: Path) -> DataCard:
    """Return what the index says of its dataset. Raise UserError if there is none."""
    if not index.is_file():
        raise UserError(f"no index at {index}: run the stage `download` first")
    return DataCard.model_validate_json(pq.read_schema(index).metadata[CARD_KEY])


def _limited(examples: Iterable[Example], limit: int | None) -> list[Example]:
    of_label: dict[int, list[Example]] = defaultdict(list)
    for example in examples:
        of_label[example.label].append(example)
    return list(itertools.chain.from_iterable(found[:limit] for found in of_label.values()))


def _identity(file: Path) -> dict[str, Any]:
    with file.open("rb") as opened:
        return {"sha256": hashlib.file_digest(opened, "sha256").hexdigest(), "size": file.stat().st_size}


def _distinct(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return one row for each content; a content that is called both real and fake is left out."""
    of_content: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        of_content[row["sha256"]].append(row)
    distinct = [same[0] for same in of_content.values() if len({row["label"] for row in same}) == 1]
    if len(distinct) < len(rows):
        log.warning("%d files left out: exact copies, or called both real and fake", len(rows) - len(distinct))
    return distinct
