"""Queries on the tables: current results, the history of a file, the highest scores, differences between runs.

DuckDB runs them on data that pyarrow reads, because pyarrow verifies page checksums and DuckDB's own reader does not.
Data that exceeds its memory limit is spilled to a temporary folder.
"""

import os
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from fauxscan.records import ResultsError, Status
from fauxscan.scanning.inputs import addresses
from fauxscan.scanning.rows import Row
from fauxscan.scanning.tables import moves, parquet
from fauxscan.scanning.tables.moves import NAME, PATH, ROOT, RUN
from fauxscan.scanning.tables.schemas import EVALUATIONS, MEDIA, RUNS, SCORES

CONFIG = {
    "memory_limit": "1GB",
    "TimeZone": "UTC",
    "autoinstall_known_extensions": False,  # never download code
    "python_enable_replacements": False,  # tables are registered, never taken from Python variables
    # DuckDB does not know the size of data that pyarrow reads, and would hold the wide side of a join in memory.
    "disabled_optimizers": "join_order,build_side_probe_side",
}
COMPARED = {"sha256": "content", "status": "status", "verdict": "verdict", "p_fake": "score"}


@dataclass(frozen=True)
class Tables:
    """The tables of some results, open for queries. Each query returns its rows in batches."""

    results: Path
    con: duckdb.DuckDBPyConnection
    media: ds.Dataset

    def latest(
        self, root: str | None = None, verdict: str | None = None, statuses: Collection[str] = ()
    ) -> pa.RecordBatchReader:
        """Return the latest row of each file that is not removed, by root and path. No statuses: files with any."""
        self._last("now", self.media)
        return self._query(
            """SELECT * EXCLUDE name FROM now WHERE change <> 'removed' AND root = coalesce($root, root)
            AND ($verdict IS NULL OR verdict = $verdict) AND list_contains($statuses, status)
            ORDER BY root, path, path_bytes""",
            root=self._known_root(root), verdict=verdict, statuses=sorted(statuses or Status),
        )  # fmt: skip

    def top(self, count: int, root: str | None = None, with_faces: bool = False) -> pa.RecordBatchReader:
        """Return the latest rows of the `count` files with the highest p_fake, highest first, without removed files.

        With `with_faces`, files in which faces were searched for and none was found are left out too.
        """
        self._last("now", self.media)
        self.con.execute(
            """CREATE OR REPLACE TEMP TABLE highest_ends AS SELECT root, name, run_id FROM now
            WHERE change <> 'removed' AND p_fake IS NOT NULL AND root = coalesce($root, root)
            AND (NOT $with_faces OR faces IS NULL OR faces > 0)
            ORDER BY p_fake DESC, root, path, name LIMIT $count""",
            {"root": self._known_root(root), "count": count, "with_faces": with_faces},
        )
        self._view("highest", self.media)
        return self._query("SELECT * EXCLUDE name FROM highest ORDER BY p_fake DESC, root, path, name")

    def history(self, path: str) -> pa.RecordBatchReader:
        """Return all rows of a file, oldest first, with the `started_at` of their runs, under every root that has it.

        The rows that it has under names from which it moved are included. The path is written as in the tables, the
        file system or the object store. Raise ResultsError if it is unknown.
        """
        spelled = [os.fsencode(path), *_absolute(path)]
        texts = {text for name in spelled for text in _endings(name.decode("utf-8", "replace"))}
        self.con.register("of_path", self.media.filter(PATH.isin(sorted(texts))))
        rows = self._query(
            f"""SELECT * FROM of_path WHERE list_contains($spelled, {NAME})
            OR list_contains($spelled, encode(rtrim(root, '/') || '/') || {NAME})""",
            spelled=spelled,
        ).read_all()
        if not len(rows):
            raise ResultsError(
                f"no file {path!r} in {self.results}: write it as in the column `path`, or as an absolute path"
            )
        self.con.register("of_file", moves.with_earlier_names(self.con, self.media, rows))
        return self._query(
            """SELECT run_id, started_at, of_file.* EXCLUDE run_id
            FROM of_file LEFT JOIN (SELECT run_id, started_at FROM runs) USING (run_id)
            ORDER BY run_id, of_file.root, change <> 'removed', path"""
        )

    def runs(self) -> pa.RecordBatchReader:
        """Return the table `runs`, oldest first."""
        return self._query("SELECT * FROM runs ORDER BY run_id")

    def run(self, word: str, root: str | None = None) -> Row:
        """Return the row of `runs` that a word names: `latest`, `previous`, or the beginning of an id.

        Raise ResultsError if there is none; that of a run in progress is not there yet.
        """
        run_id = _run_id(word, self._known_runs(self._known_root(root)))
        found: list[Row] = (
            self._query("SELECT * FROM runs WHERE run_id = $run_id", run_id=run_id).read_all().to_pylist()
        )
        if not found:
            raise ResultsError(
                f"the run {run_id} is in progress, or was interrupted: scan again, or name an earlier run"
            )
        return found[0]

    def after(self, run_id: str, root: str) -> pa.RecordBatchReader:
        """Return the last row of each file under a root as it was when a run ended, the highest p_fake first.

        Removed files are left out.
        """
        self._last("after", self.media.filter((root == ROOT) & (run_id >= RUN)))
        return self._query(
            """SELECT * EXCLUDE name FROM after WHERE change <> 'removed'
            ORDER BY p_fake DESC NULLS LAST, path, name"""
        )

    def histogram(self, run_id: str, root: str, bins: int) -> list[int]:
        """Return how many files under a root had a p_fake in each of `bins` equal parts of 0..1 when a run ended."""
        self._last("after", self.media.filter((root == ROOT) & (run_id >= RUN)))
        counts = self.con.execute(
            """SELECT least(floor(p_fake * $bins), $bins - 1)::INTEGER AS bin, count(*) FROM after
            WHERE change <> 'removed' AND p_fake IS NOT NULL GROUP BY bin""",
            {"bins": bins},
        ).fetchall()
        return [dict(counts).get(bin, 0) for bin in range(bins)]

    def scores(self, contents: Collection[str], settings: Collection[str]) -> pa.RecordBatchReader:
        """Return the rows of `scores` of contents (SHA-256) under settings, by content, model, track and frame."""
        of_contents = pc.field("sha256").isin(pa.array(sorted(contents), pa.string()))
        of_settings = pc.field("settings").isin(pa.array(sorted(settings), pa.string()))
        self.con.register("scores", parquet.dataset(self.results, SCORES).filter(of_contents & of_settings))
        return self._query("SELECT * FROM scores ORDER BY sha256, settings, model, track, frame, face")

    def evaluations(self, digests: Collection[str]) -> pa.RecordBatchReader:
        """Return the latest published figures of each model digest and dataset: of whole files, over all generators."""
        self.con.register("evaluations", parquet.dataset(self.results, EVALUATIONS))
        return self._query(
            """SELECT * FROM evaluations WHERE unit = 'media' AND generator = 'all'
            AND list_contains($digests, model_digest)
            QUALIFY run_id = max(run_id) OVER (PARTITION BY model_digest, dataset)
            ORDER BY model, dataset, degradation""",
            digests=sorted(digests),
        )

    def models(self) -> pa.RecordBatchReader:
        """Return one row for each model, root and dataset that the model was measured on, in this order.

        The models are those of each root's latest run, and of earlier runs whose results are still current. `files`
        counts the files scored by the model or by an ensemble that includes it. The figures are the latest published
        ones of the model's digest: of whole files, not degraded, over all generators; null if there are none.
        """
        self._last("now", self.media)
        self.con.register("evaluations", parquet.dataset(self.results, EVALUATIONS))
        return self._query(_MODELS)

    def differences(self, before: str, after: str, root: str | None = None) -> pa.RecordBatchReader:
        """Return the files whose result changed between two runs, by root and path.

        `difference` is "added", "removed", or lists what changed: moved, content, status, verdict, score. A file that
        moved has its earlier path in `moved_from`. Raise ResultsError if a run is unknown or the later one is named
        first.
        """
        root = self._known_root(root)
        known = self._known_runs(root)
        first, second = (_run_id(word, known) for word in (before, after))
        if second < first:
            raise ResultsError(f"run {second} is earlier than {first}: name the earlier run first")
        between = self.media.filter((first < RUN) & (second >= RUN))
        self._last("later", between)
        self._last("earlier", self.media.filter(first >= RUN), "SEMI JOIN later_ends USING (root, name)")
        self.con.register("origins", origins := moves.origins(self.con, between))
        replaced = f"UNION ALL {_REPLACED}" if len(origins) else ""  # it reads `earlier` again
        return self._query(f"{_DIFFERENCES} {replaced} ORDER BY root, path, path_bytes, difference", root=root)

    def _known_root(self, root: str | None) -> str | None:
        """Return a root as written in the tables. Raise ResultsError if it was never scanned into them."""
        if root is None:
            return None
        roots = [name for (name,) in self.con.execute("SELECT DISTINCT root FROM runs ORDER BY root").fetchall()]
        for spelled in (root, root.rstrip("/"), os.path.abspath(root), os.path.realpath(root)):
            if spelled in roots:
                return spelled
        raise ResultsError(f"{root} was not scanned into {self.results}. Scanned roots: {', '.join(roots) or 'none'}")

    def _known_runs(self, root: str | None) -> dict[str, bool]:
        """Return the runs of one root or of all, and whether each finished. A run in progress is in `media` only."""
        rows = self.con.execute(
            """SELECT run_id, bool_or(ended) FROM (
                SELECT run_id, root, finished_at IS NOT NULL AS ended FROM runs
                UNION ALL SELECT run_id, root, false AS ended FROM media)
            WHERE root = coalesce($root, root) GROUP BY run_id ORDER BY run_id""",
            {"root": root},
        ).fetchall()
        return dict(rows)

    def _last(self, view: str, rows: ds.Dataset, among: str = "") -> None:
        """Create a view of the latest row of each file, removed files included."""
        self.con.register(f"{view}_rows", rows)
        self.con.execute(
            f"""CREATE OR REPLACE TEMP TABLE {view}_ends AS SELECT root, name, max(run_id) AS run_id
            FROM (SELECT root, {NAME} AS name, run_id FROM {view}_rows) {among} GROUP BY root, name"""
        )
        self._view(view, rows)

    def _view(self, view: str, rows: ds.Dataset) -> None:
        """Create a view of the rows listed in the table `<view>_ends` by root, `name` (a path as bytes) and run.

        Parquet files of other runs are not read.
        """
        runs = [run_id for (run_id,) in self.con.execute(f"SELECT DISTINCT run_id FROM {view}_ends").fetchall()]
        self.con.register(f"{view}_rows", rows.filter(RUN.isin(pa.array(runs, pa.string()))))
        self.con.execute(
            f"""CREATE OR REPLACE TEMP VIEW {view} AS SELECT r.*, e.name FROM {view}_rows r JOIN {view}_ends e
            ON r.root = e.root AND r.run_id = e.run_id AND coalesce(r.path_bytes, encode(r.path)) = e.name"""
        )

    def _query(self, query: str, **values: Any) -> pa.RecordBatchReader:
        return self.con.sql(query, params=values).to_arrow_reader(10_000)


def latest(results: Path) -> pa.Table:
    """Return the latest row of `media` for each path that is not removed, by root and path."""
    with open_tables(results) as tables:
        return tables.latest().read_all().cast(MEDIA)


@contextmanager
def open_tables(results: Path) -> Iterator[Tables]:
    """Yield the tables at `results`, open for queries. Raise ResultsError for missing results or damaged files."""
    parquet.require(results)
    media, runs = parquet.dataset(results, MEDIA), parquet.dataset(results, RUNS)
    with TemporaryDirectory() as spill_folder, duckdb.connect(config={**CONFIG, "temp_directory": spill_folder}) as con:
        con.register("media", media)
        con.register("runs", runs)
        try:
            yield Tables(results, con, media)
        except duckdb.Error:
            for schema in (
                MEDIA,
                RUNS,
                SCORES,
                EVALUATIONS,
            ):  # DuckDB does not name the damaged file, so each is read again
                for part in parquet.parts(results, schema):
                    parquet.read_part(part, schema)
            raise


def _absolute(path: str) -> list[bytes]:
    """Return the absolute forms of a path as the tables may have them: as given, and with links in folders resolved."""
    folder, name = os.path.split(os.path.abspath(path))
    return [os.fsencode(os.path.join(above, name)) for above in (folder, os.path.realpath(folder))]


def _endings(path: str) -> Iterator[str]:
    """Yield the path and, if it is absolute or an address, the path relative to each folder above it."""
    yield path
    at = path.find("/") if path.startswith("/") or addresses.is_address(path) else -1
    while at != -1:
        yield path[at + 1 :]
        at = path.find("/", at + 1)


def _run_id(word: str, known: Mapping[str, bool]) -> str:
    """Return the id of the run that a word names: `latest`, `previous`, or the beginning of an id. Raise ResultsError.

    `previous` is the last finished run before the latest: the latest continues the work of interrupted ones between
    them. It is an interrupted run only if no earlier run finished.
    """
    runs = list(known)
    if word == "latest":
        matches = runs[-1:]
    elif word == "previous":
        matches = ([run for run in runs[:-1] if known[run]] or runs[:-1])[-1:]
    else:
        matches = [run for run in runs if run.startswith(word)]
    if word == "previous" and len(runs) == 1:
        raise ResultsError(f"there is no run before {runs[0]}, the only one in the results")
    if len(matches) != 1:
        fault = "matches several runs: write more of the id" if matches else "matches no run: write how its id begins"
        listed = ", ".join((matches or runs)[-20:]) or "none"
        raise ResultsError(f"{word!r} {fault}. Latest runs: {listed}")
    return matches[0]


def _before_and_after(after: str) -> str:
    """Return SQL for the compared columns before and after; `after` is the SQL of the later value of one."""
    columns = [f"b.{name} AS {name}_before, {after.format(name)} AS {name}_after" for name in COMPARED]
    return ", ".join(columns)


def _changed() -> str:
    """Return SQL for the list of what changed."""
    words = [f"CASE WHEN a.{name} IS DISTINCT FROM b.{name} THEN '{word}' END" for name, word in COMPARED.items()]
    return f"concat_ws(', ', CASE WHEN o.old IS NOT NULL THEN 'moved' END, {', '.join(words)})"


# `o` has the earlier name of a file that moved. `t` shows that the earlier file of this name moved elsewhere: then what
# has the name now is another file.
_DIFFERENCES = f"""
SELECT a.root, a.path, a.path_bytes,
    CASE WHEN b.root IS NULL THEN 'added' WHEN a.change = 'removed' THEN 'removed' ELSE {_changed()} END AS difference,
    {_before_and_after("CASE WHEN a.change <> 'removed' THEN a.{} END")},
    CASE WHEN o.old IS NOT NULL THEN b.path END AS moved_from,
    CASE WHEN o.old IS NOT NULL THEN b.path_bytes END AS moved_from_bytes
FROM later a LEFT JOIN origins o ON a.root = o.root AND a.name = o.name
LEFT JOIN origins t ON a.root = t.root AND a.name = t.old
LEFT JOIN (SELECT * FROM earlier WHERE change <> 'removed') b
    ON a.root = b.root AND coalesce(o.old, CASE WHEN t.old IS NULL THEN a.name END) = b.name
WHERE difference <> '' AND (b.root IS NOT NULL OR a.change <> 'removed') AND a.root = coalesce($root, a.root)"""

# Files that are gone because another file moved to their name.
_REPLACED = f"""
SELECT b.root, b.path, b.path_bytes, 'removed' AS difference, {_before_and_after("NULL")}, NULL, NULL
FROM earlier b SEMI JOIN origins o ON b.root = o.root AND b.name = o.name
ANTI JOIN origins t ON b.root = t.root AND b.name = t.old
WHERE b.change <> 'removed' AND b.root = coalesce($root, b.root)"""

_MODELS = """
WITH members AS (
    SELECT DISTINCT settings, judge.name AS model, judge.model_digest AS model_digest
    FROM (SELECT settings, unnest(models) AS judge FROM runs)
), current AS (
    SELECT root, settings, count(*) AS files FROM now WHERE change <> 'removed' AND p_fake IS NOT NULL GROUP BY ALL
    UNION ALL SELECT root, settings, 0 FROM runs QUALIFY run_id = max(run_id) OVER (PARTITION BY root)
), judging AS (
    SELECT model, model_digest, root, sum(files)::BIGINT AS files
    FROM current JOIN members USING (settings) GROUP BY ALL
), measured AS (
    SELECT * FROM evaluations WHERE unit = 'media' AND degradation = 'none' AND generator = 'all'
    QUALIFY run_id = max(run_id) OVER (PARTITION BY model_digest, dataset)
)
SELECT judging.*, measured.* EXCLUDE (model, model_digest, unit, degradation, generator)
FROM judging LEFT JOIN measured USING (model_digest) ORDER BY model, model_digest, root, dataset, evaluation"""
