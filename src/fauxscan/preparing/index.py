"""The index of a dataset on disk: one row a distinct media file, and what is known of the dataset as a whole."""

import hashlib
import logging
import os
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

from fauxscan.records import FAKE, INDEX, REAL, TEST, VALIDATION, DatasetCard, Example, Strict, UserError

log = logging.getLogger(__name__)
CARD_KEY = b"fauxscan.dataset"
BATCH = 4096  # files hashed and written at a time
THREADS = 4  # that hash: reading and hashing leave the interpreter alone

Row = dict[str, Any]


class DataCard(Strict):
    """What a model trained on the dataset must say of it."""

    name: str
    licence: str
    proof_of_machinery: bool


@dataclass(frozen=True)
class Copy:
    """A file that has the content of one listed before it."""

    path: str
    of: str
    apart: bool  # in another split, or called real here and fake there


def write(examples: Iterable[Example], media: Path, index: Path, card: DatasetCard, limit: int | None) -> list[Copy]:
    """Write one row a distinct file, `limit` of each label; return the copies left out.

    A row answers for its copies: it stands in the split that is held out first, and is tied to their sources and
    identities. What is kept of a file meanwhile is 41 bytes. Raise UserError if there are no reals.
    """
    data = DataCard(name=card.name, licence=card.licence, proof_of_machinery=card.proof_of_machinery)
    schema = INDEX.with_metadata({**INDEX.metadata, CARD_KEY: data.model_dump_json()})
    every = index.with_name(f"{index.name}.part")  # all files, before copies and contradictions are known
    digests, labels = _write_all(_limited(examples, limit), media, every)
    kept, first = distinct(digests, labels)
    found = set(labels[kept].tolist())
    if REAL not in found:
        every.unlink()
        raise UserError(
            f"{media} holds no reals: {kept.sum()} files were found. The dataset's options say which folders are taken,"
            " and what they hold"
        )
    if FAKE not in found:
        log.warning("%s holds no fakes: only models whose recipe says self_blended can be trained on it", media)
    alike = _alike(every, first)
    _write_kept(every, kept, alike, index, schema)
    every.unlink()
    return [_copy(row, rows[0]) for rows in alike.values() for row in rows[1:]]


def read_card(index: Path) -> DataCard:
    """Return what the index says of its dataset. Raise UserError if there is none."""
    if not index.is_file():
        raise UserError(f"no index at {index}: run the stage `download` first")
    return DataCard.model_validate_json(pq.read_schema(index).metadata[CARD_KEY])


def _limited(examples: Iterable[Example], limit: int | None) -> Iterator[Example]:
    """Give the examples that a table can hold, `limit` of each label, evenly of its splits and generators."""
    named = (example for example in examples if _can_be_named(example))
    if limit is None:
        yield from named
        return
    listed = list(named)
    strata: dict[tuple[Any, ...], list[int]] = defaultdict(list)
    for place, example in enumerate(listed):
        strata[example.label, example.split or "", example.generator or ""].append(place)
    of_label = Counter(example.label for example in listed)
    chosen: list[int] = []
    for (label, *_), places in sorted(strata.items()):
        share = min(1.0, limit / of_label[label])
        wanted = max(1, round(len(places) * share))
        chosen += [places[n] for n in np.linspace(0, len(places) - 1, wanted).round().astype(int)]
    for place in sorted(chosen):
        yield listed[place]


def _can_be_named(example: Example) -> bool:
    if _is_text(example.path):
        return True
    log.warning("left out: %r: a table cannot hold a name that is no UTF-8; rename it", example.path)
    return False


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


def distinct(digests: NDArray[Any], labels: NDArray[np.int8]) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """Return which rows stay, and for each row the first one of its content.

    The first of each content stays, and none of a content that is called both real and fake.
    """
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
    return kept, first[content]


def _alike(every: Path, first: NDArray[np.int64]) -> dict[int, list[Row]]:
    """Return the rows of each content that occurs more than once, under the place of the first."""
    places, counts = np.unique(first, return_counts=True)
    repeated = np.isin(first, places[counts > 1])
    found: dict[int, list[Row]] = {}
    for start, batch in _batches(every):
        for place in np.flatnonzero(repeated[start : start + len(batch)]).tolist():
            found.setdefault(int(first[start + place]), []).append(batch.slice(place, 1).to_pylist()[0])
    return found


def _copy(row: Row, of: Row) -> Copy:
    return Copy(row["path"], of["path"], (row["split"], row["label"]) != (of["split"], of["label"]))


def _answering(rows: list[Row]) -> Row:
    """Return the first of the rows, tied to all of them."""
    splits = {row["split"] for row in rows}
    named = {name for row in rows for name in (row["source"], *row["identities"])} - {rows[0]["source"], None}
    held = next((split for split in (TEST, VALIDATION) if split in splits), rows[0]["split"])
    return {**rows[0], "identities": sorted(named), "split": held}


def _write_kept(
    every: Path, kept: NDArray[np.bool_], alike: dict[int, list[Row]], index: Path, schema: pa.Schema
) -> None:
    with pq.ParquetWriter(index, schema, compression="zstd") as writer:
        for start, batch in _batches(every):
            ours: list[int] = np.flatnonzero(kept[start : start + len(batch)]).tolist()
            if any(start + place in alike for place in ours):
                rows = batch.take(pa.array(ours)).to_pylist()
                rows = [
                    _answering(alike[start + place]) if start + place in alike else row
                    for place, row in zip(ours, rows, strict=True)
                ]
                writer.write_table(pa.Table.from_pylist(rows, schema))
            else:
                writer.write_batch(batch.take(pa.array(ours, pa.int64())).replace_schema_metadata(schema.metadata))


def _batches(every: Path) -> Iterator[tuple[int, pa.RecordBatch]]:
    start = 0
    for batch in pq.ParquetFile(every).iter_batches(BATCH):
        yield start, batch
        start += len(batch)
