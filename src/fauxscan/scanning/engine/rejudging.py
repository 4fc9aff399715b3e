"""Judging stored logits by another calibration: the outcome is that of a new scan, and no file is read."""

import math
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from threading import Lock

import pyarrow as pa
import pyarrow.compute as pc

from fauxscan.judging.ensemble import ENSEMBLE, JudgingRule
from fauxscan.records import Kind, Status
from fauxscan.scanning.engine import outcomes
from fauxscan.scanning.history import settings_files
from fauxscan.scanning.history.hash_index import HashIndex
from fauxscan.scanning.history.known_faces import KnownFaces
from fauxscan.scanning.history.ledger import Ledger
from fauxscan.scanning.history.settings_files import Calibrations
from fauxscan.scanning.rows import Outcome, Row, outcome_of
from fauxscan.scanning.settings import Settings
from fauxscan.scanning.tables import parquet, schemas


def open_ledger(media: pa.Table, root: str, results: Path, settings: Settings) -> Ledger:
    """Return the ledger of a scan, which knows faces and logits of earlier scans into the same results."""
    known = KnownFaces(results, settings.faces_digest)
    return Ledger(media, root, settings.digest, known.of_content, StoredLogits(results, settings))


class StoredLogits:
    """The logits of earlier scans whose settings differ from these in calibrations alone."""

    def __init__(self, results: Path, settings: Settings) -> None:
        self._results, self._settings = results, settings
        alike = settings_files.read_alike(results, settings)
        self._rules = {digest: _rule(settings, calibrations) for digest, calibrations in alike.items()}
        self._lock = Lock()

    @property
    def digests(self) -> frozenset[str]:
        """Return the digests of the settings with the same logits."""
        return frozenset(self._rules)

    def judge(self, row: Row) -> Outcome | None:
        """Return the outcome of a content with a row of `media` under earlier settings; None if it must be read."""
        outcome = outcome_of(row)
        if outcome.status != Status.OK:  # for a reason that is in the file: not one of its logits
            return None if outcome.status == Status.INVALID_SCORE else outcome
        scores = self._scores(row["sha256"], row["settings"])
        if not scores or not all(score["logit"] is not None and math.isfinite(score["logit"]) for score in scores):
            return None
        if outcomes.needs_check(scores, Kind(row["kind"]), self._settings):
            return None
        rule = self._rules[row["settings"]]
        reason = outcomes.judge_rows(scores, Kind(row["kind"]), rule, self._settings.scan).reason
        defects = _without(reason, outcome.detail)
        if defects is None:
            return None
        return outcomes.judge_logits(replace(outcome, detail=defects or None), scores, self._settings)

    def _scores(self, sha256: str, settings: str) -> list[Row]:
        with self._lock:  # many threads ask, and the first one reads the table
            numbers = self._index.rows(sha256)
        rows: list[Row] = self._table.take(pa.array(numbers, pa.int64())).to_pylist()
        return [row for row in rows if row["settings"] == settings]

    @cached_property
    def _table(self) -> pa.Table:
        alike = pa.array(sorted(self._rules), pa.string())
        parts = (parquet.read_part(file, schemas.SCORES) for file in parquet.parts(self._results, schemas.SCORES))
        chosen = [part.filter(pc.is_in(part["settings"], alike)) for part in (schemas.SCORES.empty_table(), *parts)]
        return pa.concat_tables(chosen).combine_chunks()  # in 200,000 rows, taking one is then thirty times as fast

    @cached_property
    def _index(self) -> HashIndex:
        return HashIndex(self._table["sha256"])


def _rule(settings: Settings, calibrations: Calibrations) -> JudgingRule:
    """Return the rule of settings that differ in calibrations."""
    cards = [card.model_copy(update={"calibration": calibrations.get(card.name)}) for card in settings.cards]
    ensemble = settings.ensemble_card
    if ensemble and (own := calibrations.get(ENSEMBLE)):  # older versions used the one on the card, and recorded none
        ensemble = ensemble.model_copy(update={"calibration": own})
    return JudgingRule(tuple(cards), ensemble)


def _without(reason: str, detail: str | None) -> str | None:
    """Return the defects in a detail that begins with a reason, perhaps none; None if it does not begin with it."""
    text = detail or ""
    if not text.startswith(reason):
        return None
    rest = text.removeprefix(reason)
    if not reason or not rest:
        return rest
    return rest.removeprefix("; ") if rest.startswith("; ") else None
