"""A judged batch on its way to the process that commits it: files in the run's staging folder, which workers share.

    staging/<run>/<number>-outcomes.parquet     one row a file, in the order of the batch; its faces and scores, written
                                                before, beside it

They are not yet commits: what the rows mean for the tables is decided in one place, in the order of the batches.
"""

from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

import pyarrow as pa

from fauxscan.records import UserError
from fauxscan.scanning import remembering, tables
from fauxscan.scanning.engine import Result
from fauxscan.scanning.rows import OUTCOME, Outcome, Row
from fauxscan.scanning.tables import FACES, MEDIA, SCORES

OUTCOMES = pa.schema(
    [MEDIA.field(name) for name in OUTCOME], metadata=MEDIA.metadata | {b"fauxscan.table": b"outcomes"}
)
IN_ORDER = (FACES, SCORES, OUTCOMES)  # what tells that the others are there comes last


def is_there(folder: Path, number: int) -> bool:
    """Return whether the results of a batch were handed over."""
    return _part(folder, number, OUTCOMES).exists()


def put(folder: Path, number: int, results: Sequence[Result], found_with: str) -> None:
    """Hand over the results of a batch; the same batch twice is the same files."""
    of = {result.outcome.sha256: result for result in results if result.outcome.sha256}
    faces = [row for sha256, result in of.items() for row in remembering.rows(sha256, found_with, result.faces)]
    scores = [row for result in of.values() for row in result.rows]
    outcomes = [asdict(result.outcome) for result in results]
    for schema, rows in zip(IN_ORDER, (faces, scores, outcomes), strict=True):
        tables.write(pa.Table.from_pylist(rows, schema), _part(folder, number, schema), folder)


def take(folder: Path, number: int) -> list[Result]:
    """Return the results of a batch that was handed over. Raise OSError where they cannot be read yet."""
    faces, scores = (_by_content(folder, number, schema) for schema in (FACES, SCORES))
    outcomes = [Outcome(**row) for row in _rows(folder, number, OUTCOMES)]
    found = {sha256: remembering.faces_of(rows) for sha256, rows in faces.items()}
    return [Result(outcome, scores.get(outcome.sha256, ()), found.get(outcome.sha256)) for outcome in outcomes]


def drop(folder: Path, number: int) -> None:
    """Delete what was handed over of a batch, once it is committed."""
    for schema in reversed(IN_ORDER):
        with suppress(OSError):  # the end of the run deletes them all
            _part(folder, number, schema).unlink()


def _by_content(folder: Path, number: int, schema: pa.Schema) -> dict[str | None, list[Row]]:
    found = defaultdict(list)
    for row in _rows(folder, number, schema):
        found[row["sha256"]].append(row)
    return dict(found)


def _rows(folder: Path, number: int, schema: pa.Schema) -> list[Row]:
    try:
        rows: list[Row] = tables.read_part(_part(folder, number, schema), schema).to_pylist()
    except UserError as error:
        if isinstance(error.__cause__, OSError) and error.__cause__.errno:  # not what is in it: reading failed
            raise error.__cause__ from None
        raise
    return rows


def _part(folder: Path, number: int, schema: pa.Schema) -> Path:
    return folder / f"{number:06d}-{tables.name_of(schema)}.parquet"
