"""The index of a dataset on disk: one row a distinct media file, and what is known of the dataset as a whole."""

import hashlib
import logging
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from fauxscan.records import FAKE, INDEX, DatasetCard, Example, Strict, UserError

log = logging.getLogger(__name__)
CARD_KEY = b"fauxscan.dataset"
BATCH = 4096  # files hashed and written at a time
THREADS = 4  # that hash: reading and hashing leave the interpreter alone


class DataCard(Strict):
    """What a model trained on the dataset must say of it."""

    name: str
    licence: str
    proof_of_machinery: bool


def write(examples: Iterable[Example], media: Path, index: Path, card: DatasetCard, limit: int | None) -> None:
    """Write one row a distinct file, the first `limit` of each label. Raise UserError if a class is missing.

    What is kept of a file meanwhile is 33 bytes: its digest and label.
    """
    data = DataCard(name=card.name, licence=card.licence, proof_of_machinery=card.proof_of_machinery)
    schema = INDEX.with_metadata({**INDEX.metadata, CARD_KEY: data.model_dump_json()})
    every = index.with_name(f"{index.name}.part")  # all files, before copies and contradictions are known
    digests, labels = _write_all(_limited(examples, limit), media, every)
    kept = distinct(digests, labels)
    if len(set(labels[kept].tolist())) < 2:
        every.unlink()
        raise UserError(f"{media} does not hold both reals and fakes: {kept.sum()} files were found")
    _write_kept(every, kept, index, schema)
    every.unlink()


def read_card(index: Path) -> DataCard:
    """Return what the index says of its dataset. Raise UserError if there is none."""
    if not index.is_file():
        raise UserError(f"no index at {index}: run the stage `download` first")
    return DataCard.model_validate_json(pq.read_schema(index).metadata[CARD_KEY])


def _limited(examples: Iterable[Example], limit: int | None) -> Iterator[Example]:
    """Give the first `limit` of each label, in their order."""
    seen: Counter[int] = Counter()
    for example in examples:
        if not _is_text(example.path):
            log.warning("left out: %r: a table cannot hold a name that is no UTF-8; rename it", example.path)
            continue
        seen[example.label] += 1
        if limit is None or seen[example.label] <= limit:
            yield example


def _is_text(path: str) -> bool:
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True


def _write_all(examples: Iterator[Example], media: Path, out: Path) -> tuple[NDArray[Any], NDArray[np.int8]]:
    """Write a row a file; return the SHA-256 and the label of each."""
    digests, labels = bytearray(), bytearray()
    with pq.ParquetWriter(out, INDEX) as writer, ThreadPoolExecutor(THREADS) as pool:
        while batch := list(islice(examples, BATCH)):
            found = pool.map(lambda example: _identity(media / example.path), batch)
            rows = [{**vars(e), **identity} for e, identity in zip(batch, found, strict=True)]
            writer.write_table(pa.Table.from_pylist(rows, INDEX))
            digests += b"".join(bytes.fromhex(row["sha256"]) for row in rows)
            labels += bytes(row["label"] for row in rows)
    return np.frombuffer(bytes(digests), "S32"), np.frombuffer(bytes(labels), np.int8)


def _identity(file: Path) -> dict[str, Any]:
    with file.open("rb") as opened:
        return {"sha256": hashlib.file_digest(opened, "sha256").hexdigest(), "size": os.fstat(opened.fileno()).st_size}


def distinct(digests: NDArray[Any], labels: NDArray[np.int8]) -> NDArray[np.bool_]:
    """Return which rows stay: the first of each content, and none of a content that is called both real and fake."""
    _, first, content, copies = np.unique(digests, return_index=True, return_inverse=True, return_counts=True)
    fakes = np.bincount(content, labels == FAKE)
    torn = (fakes > 0) & (fakes < copies)
    kept = np.zeros(len(labels), bool)
    kept[first[~torn]] = True
    if not kept.all():
        called_both = int(copies[torn].sum())
        log.warning(
            "%d files left out: %d called both real and fake, %d exact copies",
            len(kept) - kept.sum(), called_both, len(kept) - kept.sum() - called_both,
        )  # fmt: skip
    return kept


def _write_kept(every: Path, kept: NDArray[np.bool_], index: Path, schema: pa.Schema) -> None:
    start = 0
    with pq.ParquetWriter(index, schema, compression="zstd") as writer:
        for batch in pq.ParquetFile(every).iter_batches(BATCH):
            chosen = batch.filter(pa.array(kept[start : start + len(batch)]))
            start += len(batch)
            writer.write_batch(chosen.replace_schema_metadata(schema.metadata))
