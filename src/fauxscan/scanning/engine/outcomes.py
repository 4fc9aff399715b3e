"""From the logits of one file to its rows of the table `scores`, its p_fake and its verdict."""

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

from fauxscan.judging import ensemble
from fauxscan.judging.aggregation import media_logit
from fauxscan.judging.ensemble import Judgement, JudgingRule
from fauxscan.models import ModelCard
from fauxscan.params import ScanParams
from fauxscan.records import Kind, Status, Verdict
from fauxscan.scanning.engine.reader import Reading
from fauxscan.scanning.rows import Outcome, Row
from fauxscan.scanning.settings import Settings

NO_FACE = "no face found, and no model here judges without one"
INVALID_SCORE = "a model gave a logit that is not a finite number"
FLIPS = "its verdict changes when the image is re-encoded"
REENCODED = "logit_reencoded"  # in a row of `scores`


def judge(reading: Reading, settings: Settings) -> Outcome:
    """Return the outcome of a file whose logits are there."""
    outcome = reading.outcome
    if reading.own_content is None or outcome.status != Status.OK:
        return outcome
    if not reading.scored:
        return replace(outcome, status=Status.NO_FACE, detail=_joined(NO_FACE, outcome.detail))
    rows = [{**row, "logit": logit.result()} for row, logit in reading.scored]
    if reading.reencoded:
        rows = [{**row, REENCODED: again.result()} for row, again in zip(rows, reading.reencoded, strict=True)]
    return judge_logits(outcome, rows, settings)


def judge_logits(outcome: Outcome, rows: Sequence[Row], settings: Settings) -> Outcome:
    """Return the outcome of a file from its rows of `scores`, with logits. So far, `detail` has only its defects."""
    outcome = replace(outcome, scores=[_score(row, outcome.sha256, settings) for row in rows])
    if not are_finite(rows):
        return replace(outcome, status=Status.INVALID_SCORE, detail=_joined(INVALID_SCORE, outcome.detail))
    assert outcome.kind is not None  # it was decoded
    judged = judge_rows(rows, Kind(outcome.kind), settings.rule, settings.scan)
    return replace(outcome, p_fake=judged.p_fake, verdict=judged.verdict, detail=_joined(judged.reason, outcome.detail))


def judge_rows(rows: Sequence[Row], kind: Kind, rule: JudgingRule, scan: ScanParams) -> Judgement:
    """Return the judgement of a file. A verdict near its threshold is `uncertain` if re-encoding changes it."""
    judged = rule.judge(media_logits(rows), kind)
    if not _is_near(judged, scan) or not _is_checked(rows):
        return judged
    again = rule.judge(media_logits(rows, REENCODED), kind)
    return judged if again.verdict is judged.verdict else Judgement(judged.p_fake, Verdict.UNCERTAIN, FLIPS)


def needs_check(rows: Sequence[Row], kind: Kind, settings: Settings) -> bool:
    """Return whether a file is judged by its re-encoded crops too, and they have no logits yet."""
    if not settings.scan.check_reencoded or _is_checked(rows) or not are_finite(rows):
        return False
    return _is_near(settings.rule.judge(media_logits(rows), kind), settings.scan)


def are_finite(rows: Sequence[Row]) -> bool:
    """Return whether all logits are finite numbers, also those after re-encoding if there are any."""
    return all(math.isfinite(row["logit"]) and math.isfinite(row.get(REENCODED) or 0) for row in rows)


def _is_near(judged: Judgement, scan: ScanParams) -> bool:
    return scan.check_reencoded and judged.distance <= scan.reencoded_margin


def _is_checked(rows: Sequence[Row]) -> bool:
    return all(row.get(REENCODED) is not None for row in rows)


def media_logits(rows: Sequence[Row], column: str = "logit") -> dict[str, float]:
    """Return each model's logit of a file from its rows. A model that was given nothing has none."""
    by_model: defaultdict[str, list[Row]] = defaultdict(list)
    for row in rows:
        by_model[row["model"]].append(row)
    return {model: media_logit([r[column] for r in of], [r["track"] for r in of]) for model, of in by_model.items()}


def _joined(reason: str, defects: str | None) -> str | None:
    """Return the detail of a row: the reason for its result, and the defects of the file that were passed over."""
    return "; ".join(filter(None, (reason, defects))) or None


def _score(row: Row, sha256: str | None, settings: Settings) -> Row:
    """Return a complete row of `scores`. A logit that is not finite is null there."""
    card = _card(row["model"], settings)
    logits = {name: _finite(row[name]) for name in ("logit", REENCODED) if name in row}
    p_fake = (
        None if logits["logit"] is None else ensemble.sigmoid(ensemble.calibrate(logits["logit"], card.calibration))
    )
    judged_by = {"model_digest": card.model_digest, "settings": settings.digest}
    return {**row, **judged_by, **logits, "sha256": sha256, "p_fake": p_fake}


def _finite(logit: float | None) -> float | None:
    return logit if logit is not None and math.isfinite(logit) else None


def _card(name: str, settings: Settings) -> ModelCard:
    return next(card for card in settings.cards if card.name == name)
