"""Reading and writing the Parquet files of the tables: written atomically, checked for damage when read."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import filelock
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from fauxscan import disk
from fauxscan.records import ResultsError
from fauxscan.scanning.rows import utf8
from fauxscan.scanning.tables import folder
from fauxscan.scanning.tables.schemas import ADDED, ALL, EVALUATIONS, MEDIA, SCORES, VERSION, name_of

if TYPE_CHECKING:  # importing it loads pandas, which takes too long for a scan
    import pyarrow.dataset as ds

LOCK_WAIT_S = 3.0


def require(results: Path) -> None:
    """Raise ResultsError if no results are in the folder."""
    if not (results / name_of(MEDIA)).is_dir():
        raise ResultsError(f"no results at {results}: name the folder that `fauxscan scan` wrote to with --results")


@contextmanager
def locked(results: Path) -> Iterator[None]:
    """Lock the results for one writer.

    Raise ResultsError if they cannot be written, another scan is writing them, or the folder holds other files.
    """
    lock = _acquire_lock(results)
    try:
        yield
    finally:
        lock.release()


def _acquire_lock(results: Path) -> filelock.BaseFileLock:
    _check_name(results)
    folder.check(results)
    lock = filelock.FileLock(results / ".lock", timeout=LOCK_WAIT_S)
    try:
        for schema in ALL:
            (results / name_of(schema)).mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except filelock.Timeout as error:
        remedy = "wait until it has finished, or name another folder with --results"
        raise ResultsError(f"another scan is writing to {results} (it holds {lock.lock_file}): {remedy}") from error
    except OSError as error:
        reason = f"cannot write results to {results}: {error.strerror}"
        raise ResultsError(f"{reason}. Name another folder with --results") from error
    return lock


def _check_name(results: Path) -> None:
    """Raise ResultsError if Arrow and DuckDB cannot open files in a folder of this name."""
    if utf8(results.absolute()) != str(results.absolute()):
        name = os.fsencode(results)
        raise ResultsError(f"the name of the results folder {name!r} is not UTF-8: name another folder with --results")


def write(rows: pa.Table, target: Path, temporary_folder: Path) -> None:
    """Write a table to `target` atomically and durably, by way of a temporary file in `temporary_folder`."""
    temporary = temporary_folder / f"{target.name}.{secrets.token_hex(4)}.tmp"  # two processes may write one target
    with disk.atomic_write(target, temporary) as file:
        pq.write_table(rows, file, compression="zstd", write_page_checksum=True)


def read(results: Path, schema: pa.Schema) -> pa.Table:
    """Return all rows of a table, in the order of its files. Raise ResultsError for a damaged or foreign file."""
    return pa.concat_tables([schema.empty_table(), *(read_part(file, schema) for file in parts(results, schema))])


def dataset(results: Path, schema: pa.Schema) -> "ds.Dataset":
    """Return a table as a dataset that verifies each page. Raise ResultsError for a truncated or foreign file."""
    import pyarrow.dataset as ds

    files = checked_parts(results, schema)
    options = ds.ParquetFragmentScanOptions(page_checksum_verification=True)
    file_format = ds.ParquetFileFormat(default_fragment_scan_options=options)
    return ds.dataset([str(file) for file in files], schema=schema, format=file_format)


def parts(results: Path, schema: pa.Schema) -> list[Path]:
    """Return the files of a table, in the order of their runs."""
    _check_name(results)
    return sorted((results / name_of(schema)).glob("*.parquet"))


def checked_parts(results: Path, schema: pa.Schema) -> list[Path]:
    """Return the files of a table. Raise ResultsError if the footer of one shows that it is truncated or foreign."""
    files = parts(results, schema)
    for file in files:
        with _open_part(file, schema):
            pass
    return files


def check(results: Path) -> None:
    """Raise ResultsError if the footer of a file in any table shows that it is truncated or foreign."""
    for schema in ALL:
        checked_parts(results, schema)


def read_part(file: Path, schema: pa.Schema) -> pa.Table:
    """Return the rows of one file of a table. Raise ResultsError for a damaged or foreign file."""
    with _open_part(file, schema) as part:
        rows = part.read(columns=[name for name in schema.names if name in part.schema_arrow.names])
        return pa.concat_tables([schema.empty_table(), rows], promote_options="default").cast(schema)


@contextmanager
def _open_part(file: Path, schema: pa.Schema) -> Iterator[pq.ParquetFile]:
    try:
        with pq.ParquetFile(file, page_checksum_verification=True) as part:
            _check_schema(file, part.schema_arrow, schema)
            yield part
    except (pa.ArrowException, OSError) as error:
        related = " and the files of the same name in media and scores" if schema in (MEDIA, SCORES) else ""
        remedy = f"move it{related} out of the results and {'publish' if schema == EVALUATIONS else 'scan'} again"
        reason = str(error).partition("\n")[0]
        raise ResultsError(f"{file} is damaged or truncated ({reason}): {remedy}") from error


def _check_schema(file: Path, actual: pa.Schema, schema: pa.Schema) -> None:
    """Raise ResultsError if a file belongs to another table, was written by a newer version, or lacks columns."""
    meta, table = actual.metadata or {}, name_of(schema)
    version = meta.get(b"fauxscan.version", b"").decode("ascii", "replace")
    if meta.get(b"fauxscan.table") != table.encode() or not version.isdecimal():
        raise ResultsError(f"{file} does not belong to the table {table!r}: move it out of the results")
    if int(version) > VERSION:
        raise ResultsError(
            f"{file} has version {version}, but this fauxscan reads versions up to {VERSION}: upgrade fauxscan"
        )
    missing = set(schema.names) - set(actual.names)
    if wrong := sorted(name for name in missing if ADDED.get(f"{table}.{name}", 0) <= int(version)):
        raise ResultsError(
            f"{file} lacks columns of the table {table!r} ({', '.join(wrong)}): move it out of the results"
        )


def last(media: pa.Table) -> pa.Table:
    """Return the last row of each root and path, removed files included, of rows in the order of their runs."""
    numbered = media.select(["root", "path", "path_bytes"]).append_column("row", pa.array(np.arange(len(media))))
    last_rows = numbered.group_by(["root", "path", "path_bytes"]).aggregate([("row", "max")])["row_max"]
    return media.take(pa.array(np.sort(last_rows.to_numpy())))


def keys(media: pa.Table) -> list[bytes]:
    """Return the path of each row as bytes."""
    names: list[bytes] = pc.coalesce(media["path_bytes"], media["path"].cast(pa.binary())).to_pylist()
    return names


def present(media: pa.Table) -> pa.Table:
    """Return the rows that do not record the removal of a file."""
    return media.filter(pc.not_equal(media["change"], "removed"))
