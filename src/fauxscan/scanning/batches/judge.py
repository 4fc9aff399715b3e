"""Judging batches: in the scan's own process, or in workers of a cluster, to which a `BatchJudge` is sent.

A judge that was sent uses the engine and the ledger of the process where it arrives. They are opened for its first
batch and kept for the next ones, but not before: Dask's scheduler unpickles judges too. Root, models and results must
have the same addresses on all machines.
"""

import socket
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from threading import Lock
from typing import NamedTuple

from fauxscan.records import UserError
from fauxscan.scanning.batches import batch_files
from fauxscan.scanning.engine.cancellation import Cancellation, complete
from fauxscan.scanning.engine.engine import Engine, OnJudged
from fauxscan.scanning.engine.rejudging import open_ledger
from fauxscan.scanning.history.ledger import Ledger
from fauxscan.scanning.inputs.roots import Root
from fauxscan.scanning.rows import FileBatch, Outcome
from fauxscan.scanning.settings import Settings
from fauxscan.scanning.tables import commits, parquet, schemas

_OPENING = Lock()  # two batches may come to a process at once


class Tools(NamedTuple):
    """What batches are judged with: an open engine and the ledger."""

    engine: Engine
    ledger: Ledger


@dataclass(frozen=True)
class RunContext:
    """A run as all processes know it."""

    root: Root
    results: Path
    run_id: str
    settings: Settings
    tool_version: str


class BatchJudge:
    """Judges the batches of one run, with the tools it is given or, after it was sent, with those of the process."""

    def __init__(self, run: RunContext, tools: Tools | None = None) -> None:
        self.run, self._tools = run, tools
        self._cancellation = Cancellation()

    def __reduce__(self) -> tuple[type["BatchJudge"], tuple[RunContext]]:
        """Pickle the run alone."""
        return BatchJudge, (self.run,)

    def judge(self, batch: FileBatch) -> list[Outcome]:
        """Return the outcomes of files. Unchanged files whose content is judged are not read again.

        Raise UserError if this process cannot judge for the scan, CancelledError after `cancel`.
        """
        return complete(self.judge_until_cancelled(batch))

    def judge_until_cancelled(self, batch: FileBatch, on_judged: OnJudged = lambda files: None) -> list[Outcome | None]:
        """Return the outcomes as `judge` does, after `cancel` with None for the files that are not judged."""
        engine, ledger = self._tools or _open_tools(self.run)
        left = [entry for entry, known in zip(batch.entries, batch.known, strict=True) if known is None]
        on_judged(len(batch) - len(left))
        judged = iter(engine.judge_until_cancelled(self.run.root, left, ledger, self._cancellation, on_judged))
        return [known or next(judged) for known in batch.known]

    def cancel(self) -> None:
        """Begin no more files, in this process."""
        self._cancellation.cancel()

    @property
    def cancelled(self) -> bool:
        """Return whether `cancel` was called."""
        return self._cancellation.cancelled

    def judge_to_files(self, number: int, batch: FileBatch) -> None:
        """Judge files and write their outcomes, unless a process has written them and died before it could say so."""
        if not batch_files.batch_exists(self.folder, number):
            batch_files.write_batch(self.folder, number, self.judge(batch), self.run.settings.faces_digest)

    def read_judged(self, number: int) -> list[Outcome]:
        """Return the outcomes of a batch that was written."""
        return batch_files.read_batch(self.folder, number)

    def delete_judged(self, number: int) -> None:
        """Delete the files of a batch once it is committed."""
        batch_files.delete_batch(self.folder, number)

    @property
    def folder(self) -> Path:
        """Return the staging folder of the run."""
        return commits.folder_of(self.run.results, self.run.run_id)


def _open_tools(run: RunContext) -> Tools:
    """Return the tools of this process for a run. Raise UserError if it cannot judge for it."""
    try:
        _check(run)
    except UserError as error:
        raise UserError(f"the worker on {socket.gethostname()} cannot judge for this scan: {error}") from error
    with _OPENING:
        return Tools(_engine(run.settings), _ledger(run))


def _check(run: RunContext) -> None:
    """Raise UserError if fauxscan has another version here, or if shared folders are missing."""
    if run.tool_version != version("fauxscan"):
        raise UserError(f"it has fauxscan {version('fauxscan')}, the scan {run.tool_version}; install the same on both")
    run.root.check()  # or every file would be unreadable
    if not commits.staging(run.results).is_dir():
        raise UserError(f"{run.results} is not there; results have the same address on all machines")


@lru_cache(maxsize=1)
def _engine(settings: Settings) -> Engine:
    """Return the engine of this process, open until settings change or the process ends: many runs load models once."""
    return Engine(settings).__enter__()


@lru_cache(maxsize=1)
def _ledger(run: RunContext) -> Ledger:
    """Return what earlier runs recorded. Contents that other processes of this run judge meanwhile are judged again."""
    ledger = open_ledger(parquet.read(run.results, schemas.MEDIA), run.root.text, run.results, run.settings)
    ledger.index()
    return ledger
