"""Measured accuracy of the models: the table of the pipeline's report, published next to the results of scans."""

import logging
import subprocess
from collections.abc import Iterable
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pyarrow.parquet as pq

from fauxscan.records import ResultsError
from fauxscan.scanning.tables import commits, parquet, schemas
from fauxscan.scanning.tables.schemas import EVALUATIONS

log = logging.getLogger(__name__)
TABLE = Path("reports", "evaluation.parquet")  # as in dvc.yaml
FIGURES = pa.schema([field for field in EVALUATIONS if field.name not in ("run_id", "published_at", "revision")])


def publish(project: Path, results: Path, revision: str | None) -> int:
    """Append the project's evaluations to the table `evaluations`; return the number of rows added.

    Nothing is added if the newest file of the table with any of its models has the same content. Raise ResultsError if
    the project has no evaluations, or if they or the table are damaged.
    """
    figures = _read_figures(project / TABLE)
    rows = figures.append_column("revision", pa.array([revision] * len(figures), pa.string()))
    with parquet.locked(results):
        newest = _newest(results, set(rows["model_digest"].to_pylist()))
        if newest and newest.select(rows.column_names).equals(rows):
            log.info("%s already has the evaluations of %s", results, project.resolve())
            return 0
        _write(rows, results)
    return len(rows)


def projects(models: Iterable[Path]) -> list[Path]:
    """Return the projects with evaluations that model folders are in, as absolute paths."""
    above = chain.from_iterable(folder.resolve().parents for folder in models)
    return [folder for folder in dict.fromkeys(above) if (folder / TABLE).is_file()]


def _newest(results: Path, digests: set[str]) -> pa.Table | None:
    """Return the newest file of the table that has any of the models, or None."""
    for part in reversed(parquet.parts(results, EVALUATIONS)):
        published = parquet.read_part(part, EVALUATIONS)
        if not digests.isdisjoint(published["model_digest"].to_pylist()):
            return published
    return None


def _read_figures(file: Path) -> pa.Table:
    """Return the figures in a file. Raise ResultsError if it is missing, damaged, or lacks columns."""
    if not file.is_file():
        raise ResultsError(f"no evaluations at {file}: run `make repro`, or name the project's folder with --project")
    try:
        figures = pq.read_table(file)
        if missing := [name for name in FIGURES.names if name not in figures.column_names]:
            raise ResultsError(
                f"{file} lacks {', '.join(missing)}, so another version of fauxscan wrote it: run `make repro`"
            )
        return figures.select(FIGURES.names).cast(FIGURES)
    except (pa.ArrowException, OSError) as error:
        reason = str(error).partition("\n")[0]
        raise ResultsError(f"{file} is damaged ({reason}): delete it and run `make repro`") from error


def _write(rows: pa.Table, results: Path) -> None:
    now, staging = datetime.now(UTC), commits.staging(results)
    run_id = commits.new_run_id(results, now)
    rows = rows.append_column("run_id", pa.array([run_id] * len(rows)))
    rows = rows.append_column("published_at", pa.array([now] * len(rows)))
    staging.mkdir(exist_ok=True)
    target = results / schemas.name_of(EVALUATIONS) / f"{run_id}.parquet"
    with TemporaryDirectory(dir=staging) as temporary:  # if this process is killed, the next scan deletes it
        parquet.write(rows.select(EVALUATIONS.names).cast(EVALUATIONS), target, Path(temporary))


def revision(project: Path) -> str | None:
    """Return the git commit of a project, with `-dirty` if tracked files have changed since; None without git.

    A project that is merely inside a repository, without being tracked by it, has no revision either.
    """
    if _git(project, "ls-files", "--error-unmatch", "dvc.yaml") is None:
        return None
    return _git(project, "describe", "--always", "--abbrev=40", "--exclude=*", "--dirty")


def _git(project: Path, *arguments: str) -> str | None:
    """Return the output of a git command, or None, with the reason in the log, if it fails or git is not installed."""
    command = ["git", "-C", str(project), *arguments]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except OSError as error:
        log.info("no git revision of %s: %s", project, error)
    except subprocess.CalledProcessError as error:
        log.info("no git revision of %s: %s", project, error.stderr.strip())
    return None
