"""From the logits of one file to its rows of the table `scores`, its p_fake and its verdict."""

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

from fauxscan.judging import ensemble
from fauxscan.judging.aggregation import media_logit
from fauxscan.models import ModelCard
from fauxscan.records import Kind, Status
from fauxscan.scanning.engine.reader import Reading
from fauxscan.scanning.rows import Outcome, Row
from fauxscan.scanning.settings import Settings

NO_FACE = "no face found, and no model here judges without one"
INVALID_SCORE = "a model gave a logit that is not a finite number"


def judge(reading: Reading, settings: Settings) -> Outcome:
    """Return the outcome of a file whose logits are there."""
    outcome = reading.outcome
    if reading.own_content is None or outcome.status != Status.OK:
        return outcome
    if not reading.scored:
        return replace(outcome, status=Status.NO_FACE, detail=_joined(NO_FACE, outcome.detail))
    return judge_logits(outcome, [{**row, "logit": logit.result()} for row, logit in reading.scored], settings)


def judge_logits(outcome: Outcome, rows: Sequence[Row], settings: Settings) -> Outcome:
    """Return the outcome of a file from its rows of `scores`, with logits. So far, `detail` has only its defects."""
    outcome = replace(outcome, scores=[_score(row, outcome.sha256, settings) for row in rows])
    if not all(math.isfinite(row["logit"]) for row in rows):
        return replace(outcome, status=Status.INVALID_SCORE, detail=_joined(INVALID_SCORE, outcome.detail))
    assert outcome.kind is not None  # it was decoded
    judged = settings.rule.judge(media_logits(rows), Kind(outcome.kind))
    return replace(outcome, p_fake=judged.p_fake, verdict=judged.verdict, detail=_joined(judged.reason, outcome.detail))


def media_logits(rows: Sequence[Row]) -> dict[str, float]:
    """Return each model's logit of a file from its rows. A model that was given nothing has none."""
    by_model: defaultdict[str, list[Row]] = defaultdict(list)
    for row in rows:
        by_model[row["model"]].append(row)
    return {model: media_logit([r["logit"] for r in of], [r["track"] for r in of]) for model, of in by_model.items()}


def _joined(reason: str, defects: str | None) -> str | None:
    """Return the detail of a row: the reason for its result, and the defects of the file that were passed over."""
    return "; ".join(filter(None, (reason, defects))) or None


def _score(row: Row, sha256: str | None, settings: Settings) -> Row:
    """Return a complete row of `scores`. A logit that is not finite is null there."""
    card = _card(row["model"], settings)
    logit = row["logit"] if math.isfinite(row["logit"]) else None
    p_fake = None if logit is None else ensemble.sigmoid(ensemble.calibrate(logit, card.calibration))
    judged_by = {"model_digest": card.model_digest, "settings": settings.digest}
    return {**row, **judged_by, "sha256": sha256, "logit": logit, "p_fake": p_fake}


def _card(name: str, settings: Settings) -> ModelCard:
    return next(card for card in settings.cards if card.name == name)
