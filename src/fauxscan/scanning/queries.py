"""Questions to the tables: how files stand, what was ever told of one, what is most suspicious, what differs.

DuckDB answers them, over files whose pages pyarrow checks as it reads them: its own reader takes a damaged page for a
whole one. Beyond its memory it writes to a temporary folder.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from fauxscan.records import UserError
from fauxscan.scanning import addresses, tables
from fauxscan.scanning.tables import EVALUATIONS, MEDIA, RUNS

CONFIG = {
    "memory_limit": "1GB",
    "TimeZone": "UTC",
    "autoinstall_known_extensions": False,  # nothing is fetched
    "python_enable_replacements": False,  # a table is what was registered, never a variable of that name
    # It knows no sizes of what pyarrow reads, and would keep the wide rows in memory to look up the narrow ones.
    "disabled_optimizers": "join_order,build_side_probe_side",
}
NAME = "coalesce(path_bytes, encode(path))"  # a cast to BLOB would read \x41 in a name as A
COMPARED = {"sha256": "content", "status": "status", "verdict": "verdict", "p_fake": "score"}
RUN = pc.field("run_id")  # run ids grow with time


@dataclass(frozen=True)
class Tables:
    """The tables `runs` and `media` of some results, open to questions; answers are given in batches of rows."""

    results: Path
    con: duckdb.DuckDBPyConnection
    media: ds.Dataset

    def latest(
        self, root: str | None = None, verdict: str | None = None, status: str | None = None
    ) -> pa.RecordBatchReader:
        """Return the last row of each file that is there, of one root, verdict or status; by root and path."""
        self._last("now", self.media)
        return self._answer(
            """SELECT * EXCLUDE name FROM now WHERE change <> 'removed' AND root = coalesce($root, root)
            AND ($verdict IS NULL OR verdict = $verdict) AND ($status IS NULL OR status = $status)
            ORDER BY root, path, path_bytes""",
            root=self._known(root), verdict=verdict, status=status,
        )  # fmt: skip

    def top(self, count: int, root: str | None = None) -> pa.RecordBatchReader:
        """Return the last rows of the `count` files that are there with the highest p_fake, highest first."""
        self._last("now", self.media)
        self.con.execute(
            """CREATE OR REPLACE TEMP TABLE highest_ends AS SELECT root, name, run_id FROM now
            WHERE change <> 'removed' AND p_fake IS NOT NULL AND root = coalesce($root, root)
            ORDER BY p_fake DESC, root, path, name LIMIT $count""",
            {"root": self._known(root), "count": count},
        )
        self._view("highest", self.media)
        return self._answer("SELECT * EXCLUDE name FROM highest ORDER BY p_fake DESC, root, path, name")

    def history(self, path: str) -> pa.RecordBatchReader:
        """Return all rows of a path, oldest first, with `started_at` of their runs; of all roots that have it.

        It is a path as the tables have it, or as the file system or store has it. Raise UserError if no row is of it.
        """
        spelled = [os.fsencode(path), *_absolute(path)]
        texts = {text for name in spelled for text in _endings(name.decode("utf-8", "replace"))}
        self.con.register("of_path", self.media.filter(pc.field("path").isin(sorted(texts))))
        found = self._answer(
            f"""SELECT run_id, started_at, of_path.* EXCLUDE run_id
            FROM of_path LEFT JOIN (SELECT run_id, started_at FROM runs) USING (run_id)
            WHERE list_contains($spelled, {NAME})
            OR list_contains($spelled, encode(rtrim(of_path.root, '/') || '/') || {NAME})
            ORDER BY run_id, of_path.root, path""",
            spelled=spelled,
        ).read_all()
        if not len(found):
            raise UserError(f"no file {path!r} in {self.results}: name it as the column `path` does, or absolutely")
        return found.to_reader()

    def runs(self) -> pa.RecordBatchReader:
        """Return the table `runs`, oldest first."""
        return self._answer("SELECT * FROM runs ORDER BY run_id")

    def models(self) -> pa.RecordBatchReader:
        """Return a row a root, model and dataset that the model was measured on; by model, then root.

        The models are those of each root's newest run, and of runs that files still stand by: `files` are those with a
        p_fake from a panel that the model sat on. The figures are the last published of its digest, of files,
        undegraded, over all generators; null where none are.
        """
        self._last("now", self.media)
        self.con.register("evaluations", tables.dataset(self.results, EVALUATIONS))
        return self._answer(_MODELS)

    def differences(self, before: str, after: str, root: str | None = None) -> pa.RecordBatchReader:
        """Return the files that stood otherwise after one run than after an earlier one, by root and path.

        `difference` is added, removed, or what is another: content, status, verdict, score. Raise UserError.
        """
        root = self._known(root)
        known = self._known_runs(root)
        first, second = (_run(word, known) for word in (before, after))
        if second < first:
            raise UserError(f"run {second} came before {first}: name the earlier one first")
        self._last("later", self.media.filter((first < RUN) & (second >= RUN)))
        self._last("earlier", self.media.filter(first >= RUN), "SEMI JOIN later_ends USING (root, name)")
        return self._answer(_DIFFERENCES, root=root)

    def _known(self, root: str | None) -> str | None:
        """Return a root as the tables spell it. Raise UserError if no run was of it."""
        if root is None:
            return None
        roots = [found for (found,) in self.con.execute("SELECT DISTINCT root FROM runs ORDER BY root").fetchall()]
        for spelled in (root, root.rstrip("/"), os.path.abspath(root), os.path.realpath(root)):
            if spelled in roots:
                return spelled
        raise UserError(f"{root} was not scanned into {self.results}; these were: {', '.join(roots) or 'none'}")

    def _known_runs(self, root: str | None) -> dict[str, bool]:
        """Return the ids of all runs, of one root or all, and whether they ended; one under way is in `media` alone."""
        rows = self.con.execute(
            """SELECT run_id, bool_or(ended) FROM (
                SELECT run_id, root, finished_at IS NOT NULL AS ended FROM runs
                UNION ALL SELECT run_id, root, false AS ended FROM media)
            WHERE root = coalesce($root, root) GROUP BY run_id ORDER BY run_id""",
            {"root": root},
        ).fetchall()
        return dict(rows)

    def _last(self, view: str, rows: ds.Dataset, among: str = "") -> None:
        """Make a view of the last row of each file, those of removed files included."""
        self.con.register(f"{view}_rows", rows)
        self.con.execute(
            f"""CREATE OR REPLACE TEMP TABLE {view}_ends AS SELECT root, name, max(run_id) AS run_id
            FROM (SELECT root, {NAME} AS name, run_id FROM {view}_rows) {among} GROUP BY root, name"""
        )
        self._view(view, rows)

    def _view(self, view: str, rows: ds.Dataset) -> None:
        """Make a view of the rows that the table `<view>_ends` names by root, `name` (a path's bytes) and run.

        Files of runs that it does not name are not read.
        """
        runs = [run_id for (run_id,) in self.con.execute(f"SELECT DISTINCT run_id FROM {view}_ends").fetchall()]
        self.con.register(f"{view}_rows", rows.filter(RUN.isin(pa.array(runs, pa.string()))))
        self.con.execute(
            f"""CREATE OR REPLACE TEMP VIEW {view} AS SELECT r.*, e.name FROM {view}_rows r JOIN {view}_ends e
            ON r.root = e.root AND r.run_id = e.run_id AND coalesce(r.path_bytes, encode(r.path)) = e.name"""
        )

    def _answer(self, query: str, **values: Any) -> pa.RecordBatchReader:
        return self.con.sql(query, params=values).to_arrow_reader(10_000)


@contextmanager
def opened(results: Path) -> Iterator[Tables]:
    """Give the tables at `results`, until the end of the block. Raise UserError for a file damaged or not ours."""
    if not (results / "media").is_dir():
        raise UserError(f"no results at {results}: name the folder that was given to `fauxscan scan` as --results")
    media, runs = tables.dataset(results, MEDIA), tables.dataset(results, RUNS)
    with TemporaryDirectory() as spilled, duckdb.connect(config={**CONFIG, "temp_directory": spilled}) as con:
        con.register("media", media)
        con.register("runs", runs)
        try:
            yield Tables(results, con, media)
        except duckdb.Error:
            for schema in (MEDIA, RUNS, EVALUATIONS):  # DuckDB does not say which file: reading each does
                for part in tables.parts(results, schema):
                    tables.read_part(part, schema)
            raise


def _absolute(path: str) -> list[bytes]:
    """Return how the tables may spell a path, made absolute: a scan resolves links above the files."""
    folder, name = os.path.split(os.path.abspath(path))
    return [os.fsencode(os.path.join(above, name)) for above in (folder, os.path.realpath(folder))]


def _endings(path: str) -> Iterator[str]:
    """Give the path and, of an absolute one or an address, what it may be called under each folder above it."""
    yield path
    at = path.find("/") if path.startswith("/") or addresses.is_address(path) else -1
    while at != -1:
        yield path[at + 1 :]
        at = path.find("/", at + 1)


def _run(word: str, known: Mapping[str, bool]) -> str:
    """Return the run that a word names: `latest`, `previous`, or the beginning of an id. Raise UserError with all.

    `previous` is the last before the latest that ended, if any did: what broken-off ones found is the latest's work.
    """
    runs = list(known)
    if word == "latest":
        found = runs[-1:]
    elif word == "previous":
        found = ([run for run in runs[:-1] if known[run]] or runs[:-1])[-1:]
    else:
        found = [run for run in runs if run.startswith(word)]
    if len(found) != 1:
        fault = "is the beginning of several runs" if found else "is no run"
        listed = ", ".join((found or runs)[-20:]) or "none"
        raise UserError(f"{word!r} {fault}: name one by enough of its id. The last of them: {listed}")
    return found[0]


def _pairs() -> str:
    """Return the columns that a difference is told with: each value before and after."""
    told = [
        f"b.{name} AS {name}_before, CASE WHEN a.change <> 'removed' THEN a.{name} END AS {name}_after"
        for name in COMPARED
    ]
    return ", ".join(told)


def _what() -> str:
    """Return the expression of what is another."""
    told = [f"CASE WHEN a.{name} IS DISTINCT FROM b.{name} THEN '{word}' END" for name, word in COMPARED.items()]
    return f"concat_ws(', ', {', '.join(told)})"


_DIFFERENCES = f"""
SELECT a.root, a.path, a.path_bytes,
    CASE WHEN b.root IS NULL THEN 'added' WHEN a.change = 'removed' THEN 'removed' ELSE {_what()} END AS difference,
    {_pairs()}
FROM later a LEFT JOIN (SELECT * FROM earlier WHERE change <> 'removed') b ON a.root = b.root AND a.name = b.name
WHERE difference <> '' AND (b.root IS NOT NULL OR a.change <> 'removed') AND a.root = coalesce($root, a.root)
ORDER BY a.root, a.path, a.name"""

_MODELS = """
WITH panels AS (
    SELECT DISTINCT settings, judge.name AS model, judge.model_digest AS model_digest
    FROM (SELECT settings, unnest(models) AS judge FROM runs)
), standing AS (
    SELECT root, settings, count(*) AS files FROM now WHERE change <> 'removed' AND p_fake IS NOT NULL GROUP BY ALL
    UNION ALL SELECT root, settings, 0 FROM runs QUALIFY run_id = max(run_id) OVER (PARTITION BY root)
), judging AS (
    SELECT model, model_digest, root, sum(files)::BIGINT AS files
    FROM standing JOIN panels USING (settings) GROUP BY ALL
), measured AS (
    SELECT * FROM evaluations WHERE unit = 'media' AND degradation = 'none' AND generator = 'all'
    QUALIFY run_id = max(run_id) OVER (PARTITION BY model_digest, dataset)
)
SELECT judging.*, measured.* EXCLUDE (model, model_digest, unit, degradation, generator)
FROM judging LEFT JOIN measured USING (model_digest) ORDER BY model, model_digest, root, dataset, evaluation"""
