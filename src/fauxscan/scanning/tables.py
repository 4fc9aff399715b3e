"""The tables of a scan: their columns, written so that no reader sees half a file, read with suspicion."""

import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import filelock
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from fauxscan.records import Status, UserError, Verdict

if TYPE_CHECKING:  # it brings pandas with it, which a scan is not to wait for
    import pyarrow.dataset as ds

VERSION = 2
# The version that brought a column which is younger than its table, as "table.column": in older files it is null.
ADDED: Mapping[str, int] = {"media.etag": 2}
LOCK_WAIT_S = 3.0


def _schema(table: str, /, **fields: pa.DataType) -> pa.Schema:
    meta = {"fauxscan.table": table, "fauxscan.version": str(VERSION), "fauxscan.label": "p_fake: 1 = fake, 0 = real"}
    return pa.schema(list(fields.items()), metadata=meta)


# One row a run. The counts are of all files under the root when the run ended; null where it was interrupted.
RUNS = _schema(
    "runs",
    run_id=pa.string(), root=pa.string(),
    started_at=pa.timestamp("us", tz="UTC"), finished_at=pa.timestamp("us", tz="UTC"),
    **{f"status_{status}": pa.int64() for status in Status},
    **{f"verdict_{verdict}": pa.int64() for verdict in Verdict},
    models=pa.list_(pa.struct([("name", pa.string()), ("model_digest", pa.string())])),
    settings=pa.string(), tool_version=pa.string(),
)  # fmt: skip

# One row a file and run in which something about it was new. `detail` says what failed, or why a verdict is uncertain.
MEDIA = _schema(
    "media",
    run_id=pa.string(), root=pa.string(), path=pa.string(), path_bytes=pa.binary(), change=pa.string(),
    sha256=pa.string(), size=pa.int64(), mtime_ns=pa.int64(), etag=pa.string(), kind=pa.string(), format=pa.string(),
    width=pa.int32(), height=pa.int32(), duration_s=pa.float64(), status=pa.string(), detail=pa.string(),
    faces=pa.int32(), p_fake=pa.float64(), verdict=pa.string(), settings=pa.string(),
)  # fmt: skip

# One row a model and face, frame or whole image. `face` and the box are null where the model looked at all of it.
SCORES = _schema(
    "scores",
    sha256=pa.string(), model=pa.string(), model_digest=pa.string(), frame=pa.int32(), time_s=pa.float64(),
    track=pa.int32(), face=pa.int32(), x=pa.float32(), y=pa.float32(), w=pa.float32(), h=pa.float32(),
    det_score=pa.float32(), logit=pa.float32(), p_fake=pa.float64(), settings=pa.string(),
)  # fmt: skip

# Where faces were found, kept for `scan.keep_faces_days` for models to come: no pixels. One row a face; a content
# without any has one row without a frame. `found_with` is the digest of what decides which faces are found.
FACES = _schema(
    "faces",
    sha256=pa.string(), found_with=pa.string(), frame=pa.int32(), track=pa.int32(), face=pa.int32(),
    x=pa.float64(), y=pa.float64(), w=pa.float64(), h=pa.float64(),
    landmarks=pa.list_(pa.float32(), 10), det_score=pa.float64(),
)  # fmt: skip

# How good models were when a project published its evaluations, one file a publication. One row a model, dataset, unit,
# degradation and generator. `run_id` is the publication's; `revision` null where there is no git.
EVALUATIONS = _schema(
    "evaluations",
    run_id=pa.string(), published_at=pa.timestamp("us", tz="UTC"), revision=pa.string(), evaluation=pa.string(),
    model=pa.string(), model_digest=pa.string(), trained_on=pa.string(), dataset=pa.string(),
    unit=pa.string(), degradation=pa.string(), generator=pa.string(),
    reals=pa.int64(), fakes=pa.int64(), sources=pa.int64(), confidence=pa.float64(), majority=pa.float64(),
    **{f"{name}{end}": pa.float64() for name in ("accuracy", "even_accuracy", "auc") for end in ("", "_low", "_high")},
    even=pa.float64(), average_precision=pa.float64(), balanced_accuracy=pa.float64(),
    false_positive_rate=pa.float64(), true_positive_rate=pa.float64(), brier=pa.float64(),
    calibration_error=pa.float64(),
)  # fmt: skip
ALL = (RUNS, MEDIA, SCORES, FACES, EVALUATIONS)


def name_of(schema: pa.Schema) -> str:
    """Return the table's name, which is also its folder's."""
    return str(schema.metadata[b"fauxscan.table"].decode())


@contextmanager
def locked(results: Path) -> Iterator[None]:
    """Hold the results for one writer. Raise UserError if they cannot be written, or another scan writes them."""
    lock = _lock(results)
    try:
        yield
    finally:
        lock.release()


def _lock(results: Path) -> filelock.BaseFileLock:
    lock = filelock.FileLock(results / ".lock", timeout=LOCK_WAIT_S)
    try:
        for schema in ALL:
            (results / name_of(schema)).mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except filelock.Timeout as error:
        remedy = "wait until it has finished, or give this scan another --results"
        raise UserError(f"another scan is writing to {results} (it holds {lock.lock_file}): {remedy}") from error
    except OSError as error:
        raise UserError(f"cannot write results to {results}: {error.strerror}; name another --results") from error
    return lock


def write(rows: pa.Table, target: Path, aside: Path) -> None:
    """Write a table so that `target` is absent or whole: into the folder `aside`, synced, renamed, synced."""
    temporary = aside / f"{target.name}.{secrets.token_hex(4)}.tmp"  # two processes may write the same
    try:
        with temporary.open("wb") as file:
            pq.write_table(rows, file, compression="zstd", write_page_checksum=True)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except OSError:
        temporary.unlink(missing_ok=True)  # a full disk is not to stay full of it
        raise
    sync(target.parent)


def sync(folder: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read(results: Path, schema: pa.Schema) -> pa.Table:
    """Return all rows of a table, in the order of its files. Raise UserError for a file that is damaged or not ours."""
    return pa.concat_tables([schema.empty_table(), *(read_part(file, schema) for file in parts(results, schema))])


def dataset(results: Path, schema: pa.Schema) -> "ds.Dataset":
    """Return a table as a dataset that checks each page it reads. Raise UserError for a file cut off or not ours."""
    import pyarrow.dataset as ds

    files = checked_parts(results, schema)
    options = ds.ParquetFragmentScanOptions(page_checksum_verification=True)
    form = ds.ParquetFileFormat(default_fragment_scan_options=options)
    return ds.dataset([str(file) for file in files], schema=schema, format=form)


def parts(results: Path, schema: pa.Schema) -> list[Path]:
    """Return the files of a table, in the order of their runs."""
    return sorted((results / name_of(schema)).glob("*.parquet"))


def checked_parts(results: Path, schema: pa.Schema) -> list[Path]:
    """Return the files of a table. Raise UserError for one that is cut off or not ours, by its footer alone."""
    files = parts(results, schema)
    for file in files:
        with _opened(file, schema):
            pass
    return files


def check(results: Path) -> None:
    """Raise UserError for a file in the tables that is cut off or not ours, by its footer alone."""
    for schema in ALL:
        checked_parts(results, schema)


def read_part(file: Path, schema: pa.Schema) -> pa.Table:
    """Return the rows of one file of a table. Raise UserError that names it and what to do."""
    with _opened(file, schema) as part:
        found = part.read(columns=[name for name in schema.names if name in part.schema_arrow.names])
        return pa.concat_tables([schema.empty_table(), found], promote_options="default").cast(schema)


@contextmanager
def _opened(file: Path, schema: pa.Schema) -> Iterator[pq.ParquetFile]:
    try:
        with pq.ParquetFile(file, page_checksum_verification=True) as part:
            _check_ours(file, part.schema_arrow, schema)
            yield part
    except (pa.ArrowException, OSError) as error:
        together = ", with those of its name in media and scores," if schema in (MEDIA, SCORES) else ""
        remedy = f"move it{together} out of the results and {'publish' if schema == EVALUATIONS else 'scan'} again"
        reason = str(error).partition("\n")[0]
        raise UserError(f"{file} is damaged or cut off ({reason}): {remedy}") from error


def _check_ours(file: Path, found: pa.Schema, schema: pa.Schema) -> None:
    meta, table = found.metadata or {}, name_of(schema)
    version = meta.get(b"fauxscan.version", b"").decode("ascii", "replace")
    if meta.get(b"fauxscan.table") != table.encode() or not version.isdecimal():
        raise UserError(f"{file} is no part of the table {table!r}: move it out of the results")
    if int(version) > VERSION:
        raise UserError(f"{file} has version {version}, this fauxscan reads up to {VERSION}: use the one that wrote it")
    lacking = set(schema.names) - set(found.names)
    if wrong := sorted(name for name in lacking if ADDED.get(f"{table}.{name}", 0) <= int(version)):
        raise UserError(f"{file} lacks {', '.join(wrong)} of the table {table!r}: move it out of the results")


def latest(results: Path) -> pa.Table:
    """Return one row of `media` per path: the last, without the paths that were removed; ordered by root and path."""
    from fauxscan.scanning import queries  # which reads these tables

    with queries.opened(results) as tables:
        return tables.latest().read_all().cast(MEDIA)


def last(media: pa.Table) -> pa.Table:
    """Return the last row of each root and path, removed ones included, of rows in the order of their runs."""
    numbered = media.select(["root", "path", "path_bytes"]).append_column("row", pa.array(np.arange(len(media))))
    found = numbered.group_by(["root", "path", "path_bytes"]).aggregate([("row", "max")])["row_max"]
    return media.take(pa.array(np.sort(found.to_numpy())))


def keys(media: pa.Table) -> list[bytes]:
    """Return the bytes of each row's name."""
    names: list[bytes] = pc.coalesce(media["path_bytes"], media["path"].cast(pa.binary())).to_pylist()
    return names


def present(media: pa.Table) -> pa.Table:
    """Return the rows that do not tell of a removal."""
    return media.filter(pc.not_equal(media["change"], "removed"))
