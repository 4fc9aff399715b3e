"""How good the models are: the table that the DAG's report joined, published beside the scans that they judge."""

import logging
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pyarrow.parquet as pq

from fauxscan.records import UserError
from fauxscan.scanning import commits, tables
from fauxscan.scanning.tables import EVALUATIONS

log = logging.getLogger(__name__)
TABLE = Path("reports", "evaluation.parquet")  # as dvc.yaml has it
FIGURES = pa.schema([field for field in EVALUATIONS if field.name not in ("run_id", "published_at", "revision")])


def publish(project: Path, results: Path, revision: str | None) -> int:
    """Return how many rows the table `evaluations` gained: 0 where its newest file tells the same.

    Raise UserError where the project has no evaluations, or they or the table are damaged.
    """
    found = _read(project / TABLE)
    told = found.append_column("revision", pa.array([revision] * len(found), pa.string()))
    with tables.locked(results):
        for newest in tables.parts(results, EVALUATIONS)[-1:]:
            if tables.read_part(newest, EVALUATIONS).select(told.column_names).equals(told):
                log.info("%s has these evaluations already: %s", results, newest.stem)
                return 0
        _write(told, results)
    return len(told)


def _read(file: Path) -> pa.Table:
    """Return the figures in a file. Raise UserError that says what to do."""
    if not file.is_file():
        raise UserError(f"no evaluations at {file}: run `make repro`, or name the project's folder with --project")
    try:
        found = pq.read_table(file)
        if lacking := [name for name in FIGURES.names if name not in found.column_names]:
            raise UserError(f"{file} lacks {', '.join(lacking)}: another fauxscan wrote it; run `make repro`")
        return found.select(FIGURES.names).cast(FIGURES)
    except (pa.ArrowException, OSError) as error:
        reason = str(error).partition("\n")[0]
        raise UserError(f"{file} is damaged ({reason}): delete it and run `make repro`") from error


def _write(told: pa.Table, results: Path) -> None:
    now, staging = datetime.now(UTC), commits.staging(results)
    run_id = commits.new_run_id(results, now)
    rows = told.append_column("run_id", pa.array([run_id] * len(told)))
    rows = rows.append_column("published_at", pa.array([now] * len(told)))
    staging.mkdir(exist_ok=True)
    target = results / tables.name_of(EVALUATIONS) / f"{run_id}.parquet"
    with TemporaryDirectory(dir=staging) as aside:  # what a kill leaves of it, the next scan deletes
        tables.write(rows.select(EVALUATIONS.names).cast(EVALUATIONS), target, Path(aside))


def revision(project: Path) -> str | None:
    """Return the git commit of a project, with `-dirty` if tracked files were changed since; None where git has none.

    It is none, too, where git does not track the project: a repository around it would say nothing of it.
    """
    if _git(project, "ls-files", "--error-unmatch", "dvc.yaml") is None:
        return None
    return _git(project, "describe", "--always", "--abbrev=40", "--exclude=*", "--dirty")


def _git(project: Path, *arguments: str) -> str | None:
    """Return what git answers; None, and its reason in the log, where it fails or is not installed."""
    command = ["git", "-C", str(project), *arguments]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except OSError as error:
        log.info("no git revision of %s: %s", project, error)
    except subprocess.CalledProcessError as error:
        log.info("no git revision of %s: %s", project, error.stderr.strip())
    return None
