"""Extract the faces and frames of a dataset into a few Parquet files, resuming where an interrupted run stopped."""

import logging
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from time import monotonic
from typing import Any

import cv2
import pyarrow.parquet as pq

from fauxscan.preparing.faces.extractor import FaceExtractor, FileRows, Row
from fauxscan.preparing.faces.table import Chunk, ChunkWriter, face_files, find_damage, plan_chunks, read_outcomes
from fauxscan.progress import Progress
from fauxscan.records import UserError

log = logging.getLogger(__name__)
Result = tuple[Row, FileRows]  # the outcome of a media file, and its faces and frames


def extract_faces(index: Path, folder: Path, out: Path, extractor: FaceExtractor, threads: int) -> None:
    """Write `faces-*.parquet` (a row for each face or whole frame) and `made-*.parquet` (each file's outcome) to `out`.

    `index` lists the media files below `folder`. Chunks that an earlier run finished, from the same files and
    parameters, are kept. Raise UserError if no file gave a face or frame.
    """
    chunks = plan_chunks(pq.read_table(index), extractor.settings())
    out.mkdir(parents=True, exist_ok=True)
    pending = _pending_chunks(out, chunks)
    with ThreadPoolExecutor(threads) as pool, single_threaded_opencv():
        examples = (example for chunk in pending for example in chunk.examples.to_pylist())
        results = _in_order(pool, extractor, examples, threads * 2)
        results = _with_progress(results, sum(len(chunk.examples) for chunk in pending))
        for chunk in pending:
            _write_chunk(out, chunk, results)
    _report_outcomes(folder, out)


def _report_outcomes(folder: Path, out: Path) -> None:
    """Log how many files have each status. Raise UserError if no face or frame was extracted."""
    counts = Counter(read_outcomes(out, ["status"])["status"].to_pylist())
    statuses = "files by status: " + ", ".join(f"{status} {count}" for status, count in sorted(counts.items()))
    rows = sum(pq.read_metadata(file).num_rows for file in face_files(out))
    log.info("Extracted %d faces and frames; %s", rows, statuses)
    if not rows:
        raise UserError(f"no face and no image could be extracted from {folder}: {statuses}")


def _pending_chunks(out: Path, chunks: list[Chunk]) -> list[Chunk]:
    """Return the chunks that are missing or damaged in `out`; delete files that belong to no chunk."""
    names = {name for chunk in chunks for name in chunk.names}
    for stray in (file for file in out.iterdir() if file.name not in names and file.is_file()):
        log.info("Deleted %s, which belongs to no chunk", stray)
        stray.unlink()
    damage = {chunk.number: find_damage(out, chunk) for chunk in chunks}
    for chunk in chunks:
        if any((out / name).exists() for name in chunk.names):
            reason = damage[chunk.number]
            log.info("%s: %s", out / chunk.names[0], f"extracting again, since {reason}" if reason else "kept")
    return [chunk for chunk in chunks if damage[chunk.number]]


def _write_chunk(out: Path, chunk: Chunk, results: Iterator[Result]) -> None:
    with ChunkWriter(out, chunk) as writer:
        for outcome, rows in islice(results, len(chunk.examples)):
            with rows:
                writer.write(outcome, rows)
        writer.finish()


@contextmanager
def single_threaded_opencv() -> Iterator[None]:
    """Keep OpenCV from starting its own threads, since files are already processed in parallel."""
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(before)


def _in_order(
    pool: ThreadPoolExecutor, extractor: FaceExtractor, examples: Iterable[Row], ahead: int
) -> Iterator[Result]:
    """Yield results in the order of the index, with at most `ahead` files in progress."""
    jobs: list[Future[Result]] = []
    remaining = iter(examples)
    jobs.extend(pool.submit(extractor.extract, example) for example in islice(remaining, ahead))
    while jobs:
        yield jobs.pop(0).result()
        jobs.extend(pool.submit(extractor.extract, example) for example in islice(remaining, 1))


def _with_progress(results: Iterator[Result], total: int) -> Iterator[Any]:
    """Yield the results, and show how many files and frames are done."""
    frames, started = 0, monotonic()
    with Progress("faces", total) as progress:
        for outcome, rows in results:
            frames += outcome["frames"]
            progress.advance(note=f"{frames} frames, {frames / max(monotonic() - started, 1e-9):.1f} per second")
            yield outcome, rows
