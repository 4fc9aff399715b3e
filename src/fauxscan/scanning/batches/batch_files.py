"""A judged batch as files: how a worker passes outcomes to the process that commits them.

    staging/<run>/<number>-outcomes.parquet     one row per file, in the order of the batch; written last, after the
                                                files of its faces and scores beside it

These files are not commits. One process decides, in the order of the batches, what their rows change in the tables.
"""

from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pyarrow as pa

from fauxscan.records import UserError
from fauxscan.scanning.history import known_faces
from fauxscan.scanning.rows import OUTCOME, Outcome, Row
from fauxscan.scanning.tables import parquet, schemas
from fauxscan.scanning.tables.schemas import FACES, MEDIA, SCORES

OUTCOMES = pa.schema(
    [MEDIA.field(name) for name in OUTCOME], metadata=MEDIA.metadata | {b"fauxscan.table": b"outcomes"}
)
IN_ORDER = (FACES, SCORES, OUTCOMES)  # the last file shows that the others are there


def batch_exists(folder: Path, number: int) -> bool:
    """Return whether the outcomes of a batch are there."""
    return _file(folder, number, OUTCOMES).exists()


def write_batch(folder: Path, number: int, outcomes: Sequence[Outcome], found_with: str) -> None:
    """Write the outcomes of a batch; the same batch written twice gives the same files."""
    contents = {outcome.sha256: outcome for outcome in outcomes if outcome.sha256}
    faces = [
        row for sha256, one in contents.items() for row in known_faces.face_rows(sha256, found_with, one.face_boxes)
    ]
    scores = [row for outcome in contents.values() for row in outcome.scores]
    for schema, rows in zip(IN_ORDER, (faces, scores, [one.columns for one in outcomes]), strict=True):
        parquet.write(pa.Table.from_pylist(rows, schema), _file(folder, number, schema), folder)


def read_batch(folder: Path, number: int) -> list[Outcome]:
    """Return the outcomes of a batch. Raise OSError if they cannot be read yet."""
    face_rows, scores = (_by_content(folder, number, schema) for schema in (FACES, SCORES))
    faces = {sha256: known_faces.faces_of(rows) for sha256, rows in face_rows.items()}
    rows = _rows(folder, number, OUTCOMES)
    return [Outcome(**row, scores=scores.get(row["sha256"], ()), face_boxes=faces.get(row["sha256"])) for row in rows]


def delete_batch(folder: Path, number: int) -> None:
    """Delete the files of a batch once it is committed."""
    for schema in reversed(IN_ORDER):
        with suppress(OSError):  # the end of the run deletes the whole folder
            _file(folder, number, schema).unlink()


def _by_content(folder: Path, number: int, schema: pa.Schema) -> dict[str | None, list[Row]]:
    rows = defaultdict(list)
    for row in _rows(folder, number, schema):
        rows[row["sha256"]].append(row)
    return dict(rows)


def _rows(folder: Path, number: int, schema: pa.Schema) -> list[Row]:
    try:
        rows: list[Row] = parquet.read_part(_file(folder, number, schema), schema).to_pylist()
    except UserError as error:
        if isinstance(error.__cause__, OSError) and error.__cause__.errno:  # reading failed, not parsing
            raise error.__cause__ from None
        raise
    return rows


def _file(folder: Path, number: int, schema: pa.Schema) -> Path:
    return folder / f"{number:06d}-{schemas.name_of(schema)}.parquet"
