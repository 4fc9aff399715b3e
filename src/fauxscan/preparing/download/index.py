"""The index of a dataset on disk: one row for each distinct media file, and a card for the dataset as a whole."""

import logging
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from fauxscan import disk
from fauxscan.records import FAKE, INDEX, REAL, TEST, VALIDATION, DatasetCard, Example, Strict, UserError

log = logging.getLogger(__name__)
CARD_KEY = b"fauxscan.dataset"
BATCH = 4096  # files hashed and written at a time
THREADS = 4  # for hashing: reading and hashing release the interpreter lock

Row = dict[str, Any]


class DataCard(Strict):
    """What the card of a model must say about the dataset that it was trained on."""

    name: str
    licence: str
    proof_of_machinery: bool


@dataclass(frozen=True)
class Duplicate:
    """A file with the same content as one listed before it."""

    path: str
    duplicate_of: str
    conflicting: bool  # they differ in split or label


def write_index(
    examples: Iterable[Example], media: Path, index: Path, card: DatasetCard, limit: int | None
) -> list[Duplicate]:
    """Write one row for each distinct file, at most `limit` of each label; return the duplicates left out.

    The row of a duplicated file takes the split that is held out first (test, then validation), and joins the sources
    and identities of all its copies. Memory: 41 bytes for each file. Raise UserError if there are no reals.
    """
    every = index.with_name(f"{index.name}.part")  # all files, before duplicates and contradictions are removed
    digests, labels = _write_all(_limited(examples, limit), media, every)
    kept, first = distinct(digests, labels)
    present = set(labels[kept].tolist())
    if REAL not in present:
        every.unlink()
        raise UserError(
            f"{media} holds no reals, among {kept.sum()} files. Check the dataset's options: they say which folders are"
            " used, and which of them hold reals"
        )
    if FAKE not in present:
        log.warning("%s holds no fakes. To train on it, set self_blended in the model's recipe", media)
    copies = _copies_by_first(every, first)
    _write_kept(every, kept, copies, index, _schema(card))
    every.unlink()
    return [_duplicate(row, rows[0]) for rows in copies.values() for row in rows[1:]]


def _schema(card: DatasetCard) -> pa.Schema:
    data = DataCard(name=card.name, licence=card.licence, proof_of_machinery=card.proof_of_machinery)
    return INDEX.with_metadata({**INDEX.metadata, CARD_KEY: data.model_dump_json()})


def read_card(index: Path) -> DataCard:
    """Return the card of the dataset that `index` lists. Raise UserError if there is no such index."""
    if not index.is_file():
        raise UserError(f"no index at {index}: run the stage `download` first")
    return DataCard.model_validate_json(pq.read_schema(index).metadata[CARD_KEY])


def _limited(examples: Iterable[Example], limit: int | None) -> Iterator[Example]:
    """Yield examples with valid names, at most `limit` of each label, spread evenly over splits and generators."""
    valid = (example for example in examples if _has_valid_name(example))
    if limit is None:
        yield from valid
        return
    listed = list(valid)
    strata: dict[tuple[Any, ...], list[int]] = defaultdict(list)
    for number, example in enumerate(listed):
        strata[example.label, example.split or "", example.generator or ""].append(number)
    label_sizes = Counter(example.label for example in listed)
    chosen: list[int] = []
    for (label, *_), numbers in sorted(strata.items()):
        share = min(1.0, limit / label_sizes[label])
        wanted = max(1, round(len(numbers) * share))
        chosen += [numbers[n] for n in np.linspace(0, len(numbers) - 1, wanted).round().astype(int)]
    for number in sorted(chosen):
        yield listed[number]


def _has_valid_name(example: Example) -> bool:
    if _is_utf8(example.path):
        return True
    log.warning("Skipped %r: its name is not UTF-8, which a table cannot store. Rename it", example.path)
    return False


def _is_utf8(path: str) -> bool:
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True


def _write_all(examples: Iterator[Example], media: Path, out: Path) -> tuple[NDArray[Any], NDArray[np.int8]]:
    """Write one row for each file; return the SHA-256 digests (files,) as 32 bytes each, and the labels (files,)."""
    digests, labels = bytearray(), bytearray()
    with pq.ParquetWriter(out, INDEX) as writer, ThreadPoolExecutor(THREADS) as pool:
        while batch := list(islice(examples, BATCH)):
            identities = pool.map(lambda example: _identity(media / example.path), batch)
            rows = [{**vars(e), **identity} for e, identity in zip(batch, identities, strict=True)]
            writer.write_table(pa.Table.from_pylist(rows, INDEX))
            digests += b"".join(bytes.fromhex(row["sha256"]) for row in rows)
            labels += bytes(row["label"] for row in rows)
    return np.frombuffer(bytes(digests), "S32"), np.frombuffer(bytes(labels), np.int8)


def _identity(file: Path) -> dict[str, Any]:
    return {"sha256": disk.digest(file), "size": file.stat().st_size}


def distinct(digests: NDArray[Any], labels: NDArray[np.int8]) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """Return which rows to keep (rows,), and for each row the number of the first row with its content (rows,).

    The first row of each content is kept, but none of a content that is labelled both real and fake.
    """
    _, first, content, copies = np.unique(digests, return_index=True, return_inverse=True, return_counts=True)
    fakes = np.bincount(content, labels == FAKE)
    contradictory = (fakes > 0) & (fakes < copies)
    kept = np.zeros(len(labels), bool)
    kept[first[~contradictory]] = True
    if not kept.all():
        both = int(copies[contradictory].sum())
        log.warning(
            "Skipped %d files: %d labelled both real and fake, %d exact copies",
            len(kept) - kept.sum(), both, len(kept) - kept.sum() - both,
        )  # fmt: skip
    return kept, first[content]


def _copies_by_first(every: Path, first: NDArray[np.int64]) -> dict[int, list[Row]]:
    """Return the rows of each content that occurs more than once, by the number of its first row."""
    numbers, counts = np.unique(first, return_counts=True)
    repeated = np.isin(first, numbers[counts > 1])
    copies: dict[int, list[Row]] = {}
    for start, batch in _batches(every):
        for number in np.flatnonzero(repeated[start : start + len(batch)]).tolist():
            copies.setdefault(int(first[start + number]), []).append(batch.slice(number, 1).to_pylist()[0])
    return copies


def _duplicate(row: Row, first: Row) -> Duplicate:
    return Duplicate(row["path"], first["path"], (row["split"], row["label"]) != (first["split"], first["label"]))


def _merged(rows: list[Row]) -> Row:
    """Return the first of the rows, with the sources and identities of all, in the split that is held out first."""
    splits = {row["split"] for row in rows}
    names = {name for row in rows for name in (row["source"], *row["identities"])} - {rows[0]["source"], None}
    held_out = next((split for split in (TEST, VALIDATION) if split in splits), rows[0]["split"])
    return {**rows[0], "identities": sorted(names), "split": held_out}


def _write_kept(
    every: Path, kept: NDArray[np.bool_], copies: dict[int, list[Row]], index: Path, schema: pa.Schema
) -> None:
    with pq.ParquetWriter(index, schema, compression="zstd") as writer:
        for start, batch in _batches(every):
            numbers: list[int] = np.flatnonzero(kept[start : start + len(batch)]).tolist()
            if any(start + number in copies for number in numbers):
                rows = batch.take(pa.array(numbers)).to_pylist()
                rows = [
                    _merged(copies[start + number]) if start + number in copies else row
                    for number, row in zip(numbers, rows, strict=True)
                ]
                writer.write_table(pa.Table.from_pylist(rows, schema))
            else:
                writer.write_batch(batch.take(pa.array(numbers, pa.int64())).replace_schema_metadata(schema.metadata))


def _batches(every: Path) -> Iterator[tuple[int, pa.RecordBatch]]:
    """Yield the batches of a table, each with the number of its first row."""
    start = 0
    for batch in pq.ParquetFile(every).iter_batches(BATCH):
        yield start, batch
        start += len(batch)
