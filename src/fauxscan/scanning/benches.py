"""Where batches are judged: in the scan's own process, or in those of a cluster, which a bench may be sent to.

A bench that was sent has the engine and the knowledge of the process that it came to: opened there for its first
batch, kept for those that follow. Only then: Dask's scheduler unpickles benches too. Root, models and results must have
the same addresses on all machines.
"""

import socket
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from threading import Lock

from fauxscan.records import UserError
from fauxscan.scanning import commits, handover, tables
from fauxscan.scanning.engine import Engine, Result
from fauxscan.scanning.ledger import Ledger
from fauxscan.scanning.places import Place
from fauxscan.scanning.remembering import Remembered
from fauxscan.scanning.rows import Entry
from fauxscan.scanning.settings import Settings

Tools = tuple[Engine, Ledger]
_OPENING = Lock()  # two batches may come to a process at once


@dataclass(frozen=True)
class Run:
    """A run as all processes know it."""

    root: Place
    results: Path
    run_id: str
    settings: Settings
    tool_version: str


class Bench:
    """Judges batches of one run, with what it is given or, where it was sent, with what the process has."""

    def __init__(self, run: Run, given: Tools | None = None) -> None:
        self.run, self._given = run, given

    def __reduce__(self) -> tuple[type["Bench"], tuple[Run]]:
        """Be sent as what it is for."""
        return Bench, (self.run,)

    def judge(self, entries: Sequence[Entry]) -> list[Result]:
        """Return the results of files; one that looks unchanged and whose content is judged is not read again.

        Raise UserError if this process is not fit to judge for the scan.
        """
        engine, ledger = self._given or _opened(self.run)
        known: dict[Entry, Result] = {}
        for entry in entries:
            content = ledger.content(entry)
            judged = ledger.outcome(content) if content else None
            if judged:
                known[entry] = Result(judged.at(entry.outcome))
        left = [entry for entry in entries if entry not in known]
        scored = iter(engine.score(self.run.root, left, ledger))
        return [known.get(entry) or next(scored) for entry in entries]

    def hand_over(self, number: int, entries: Sequence[Entry]) -> None:
        """Judge files and stage their results, unless another process has done so and died before it could tell."""
        if not handover.is_there(self.folder, number):
            handover.put(self.folder, number, self.judge(entries), self.run.settings.faces_digest)

    def handed_over(self, number: int) -> list[Result]:
        """Return the results of a batch that was handed over."""
        return handover.take(self.folder, number)

    def drop(self, number: int) -> None:
        """Delete what was handed over of a batch, once it is committed."""
        handover.drop(self.folder, number)

    @property
    def folder(self) -> Path:
        """Return where the run stages."""
        return commits.folder_of(self.run.results, self.run.run_id)


def _opened(run: Run) -> Tools:
    """Return what this process has to judge a run's batches with. Raise UserError if it is not fit to."""
    try:
        _check(run)
    except UserError as error:
        raise UserError(f"the worker on {socket.gethostname()} cannot judge for this scan: {error}") from error
    with _OPENING:
        return _engine(run.settings), _ledger(run)


def _check(run: Run) -> None:
    """Raise UserError if the version here is another, or what all machines share is not here."""
    if run.tool_version != version("fauxscan"):
        raise UserError(f"it has fauxscan {version('fauxscan')}, the scan {run.tool_version}; install the same on both")
    run.root.check()  # or every file would be unreadable
    if not commits.staging(run.results).is_dir():
        raise UserError(f"{run.results} is not there; results have the same address on all machines")


@lru_cache(maxsize=1)
def _engine(settings: Settings) -> Engine:
    """Return the engine of this process: its models are loaded once, whatever the run."""
    return Engine(settings)


@lru_cache(maxsize=1)
def _ledger(run: Run) -> Ledger:
    """Return what earlier runs know; what others of this run find out meanwhile is not known here, and judged again."""
    remembered = Remembered(run.results, run.settings.faces_digest)
    ledger = Ledger(tables.read(run.results, tables.MEDIA), run.root.text, run.settings.digest, remembered)
    ledger.index()
    return ledger
