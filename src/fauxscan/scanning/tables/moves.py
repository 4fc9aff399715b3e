"""Moves: the names that files had before, from the rows `removed` and `moved` that one run wrote for one content.

If several files with the same content move in one run, they are paired in the order of their names.
"""

from collections.abc import Iterator
from itertools import groupby
from typing import NamedTuple

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from fauxscan.scanning.rows import Change, Row, key_of
from fauxscan.scanning.tables.schemas import MEDIA

NAME = "coalesce(path_bytes, encode(path))"  # a cast to BLOB would turn \x41 in a name into A
RUN, ROOT, PATH, CHANGE = (pc.field(name) for name in ("run_id", "root", "path", "change"))  # run ids sort by time
ARRIVALS = (Change.NEW, Change.COPIED, Change.MOVED)
ORIGINS = pa.schema([("root", pa.string()), ("name", pa.binary()), ("old", pa.binary())])
File = tuple[str, bytes]  # root and name


class Move(NamedTuple):
    """A file that got another name."""

    run_id: str
    root: str
    old: bytes
    new: bytes


def origins(con: duckdb.DuckDBPyConnection, rows: ds.Dataset) -> pa.Table:
    """Return root, `name` and `old` name of each file that is there after these rows and had another name before."""
    moves = {(move.run_id, move.root, move.new): move.old for move in _moves(con, rows)}
    came_from: dict[File, bytes | None] = {}  # None: the file was not there before these rows
    for run_id, of_run in groupby(_comings_and_goings(con, rows, moves), lambda row: row[0]):
        events = [((root, name), change) for _, root, name, change in of_run]
        olds = {file: moves.get((run_id, *file)) for file, change in events if change != Change.REMOVED}
        arrived = {file: old and came_from.get((file[0], old), old) for file, old in olds.items()}
        for file, _ in events:
            came_from.pop(file, None)
        came_from |= arrived
    found = [(*file, old) for file, old in came_from.items() if old not in (None, file[1])]
    return pa.Table.from_pylist([dict(zip(ORIGINS.names, one, strict=True)) for one in found], ORIGINS)


def with_earlier_names(con: duckdb.DuckDBPyConnection, media: ds.Dataset, rows: pa.Table) -> pa.Table:
    """Return rows of files, and those that the files have under names from which they moved."""
    found = {(row["run_id"], row["root"], key_of(row)): row for row in rows.to_pylist()}
    moved = [row for row in found.values() if row["change"] == Change.MOVED]
    while moved:
        for row in _before_move(con, media, moved.pop()):
            key = row["run_id"], row["root"], key_of(row)
            if key not in found and row["change"] == Change.MOVED:
                moved.append(row)
            found[key] = row
    return pa.Table.from_pylist(list(found.values()), MEDIA)


def _before_move(con: duckdb.DuckDBPyConnection, media: ds.Dataset, moved: Row) -> Iterator[Row]:
    """Yield the rows that a file has under the name from which it moved, latest first."""
    under_root = media.filter(moved["root"] == ROOT)
    run = under_root.filter((moved["run_id"] == RUN) & (pc.field("sha256") == moved["sha256"]))
    old = next((move.old for move in _moves(con, run) if move.new == key_of(moved)), None)
    if old is None:
        return
    con.register("old_rows", under_root.filter((moved["run_id"] >= RUN) & (old.decode("utf-8", "replace") == PATH)))
    query = f"SELECT * FROM old_rows WHERE {NAME} = $old ORDER BY run_id DESC"
    for row in con.sql(query, params={"old": old}).to_arrow_table().to_pylist():
        yield row
        if row["change"] in ARRIVALS:  # the rows before it are of another file
            return


def _moves(con: duckdb.DuckDBPyConnection, rows: ds.Dataset) -> list[Move]:
    """Return the moves that the rows record."""
    for view, change in (("arrived", Change.MOVED), ("left_behind", Change.REMOVED)):
        con.register(f"{view}_rows", rows.filter(str(change) == CHANGE))
    return [Move(*found) for found in con.execute(_MOVES).fetchall()]


def _comings_and_goings(
    con: duckdb.DuckDBPyConnection, rows: ds.Dataset, moves: dict[tuple[str, str, bytes], bytes]
) -> Iterator[tuple[str, str, bytes, str]]:
    """Yield run, root, name and change of all rows in which a file with a name in `moves` appeared or was gone."""
    names = {(root, name) for (_, root, new), old in moves.items() for name in (new, old)}
    columns = [pa.array(column) for column in zip(*names, strict=True)] or [pa.nulls(0, pa.string())] * 2
    con.register("moved_names", pa.table(columns, ["root", "name"]))
    con.register("events", rows.filter(CHANGE.isin([*map(str, ARRIVALS), str(Change.REMOVED)])))
    yield from con.execute(
        f"""SELECT run_id, root, name, change FROM (SELECT run_id, root, {NAME} AS name, change FROM events)
        SEMI JOIN moved_names USING (root, name) ORDER BY run_id"""
    ).fetchall()


def _numbered(rows: str) -> str:
    """Return SQL for the names in some rows, numbered among those of one run, root and content."""
    return f"""SELECT run_id, root, sha256, {NAME} AS name,
        row_number() OVER (PARTITION BY run_id, root, sha256 ORDER BY {NAME}) AS number FROM {rows}"""


_MOVES = f"""
SELECT run_id, root, gone.name, came.name FROM ({_numbered("arrived_rows")}) came
JOIN ({_numbered("left_behind_rows")}) gone USING (run_id, root, sha256, number)"""
