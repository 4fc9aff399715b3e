"""What scores and error rates say about the two propositions: that a file is authentic, and that it is synthetic.

The wording follows what guides for image authentication ask of a report (ENFSI-BPM-DI-03, 2021; SWGDE 20-V-001): both
propositions, what supports each, error rates on stated data, and limits. There is no likelihood ratio, because the
calibration data are too few to bound one.
"""

from collections.abc import Iterator, Sequence

from fauxscan.records import Verdict
from fauxscan.reporting.exhibit.contents import Proposition
from fauxscan.reporting.scan_page.contents import Model
from fauxscan.scanning.rows import Outcome

AUTHENTIC = "The file comes from a camera, and no face in it was made or changed by a generator or an editor."
SYNTHETIC = "The file, or a face in it, was made or changed by a generator or an editor."
CONCLUSIONS = {
    Verdict.LIKELY_SYNTHETIC: "The scores support that the file is synthetic or manipulated more than that it is "
    "authentic. They are an indication, not a proof.",
    Verdict.UNCERTAIN: "The scores do not support one proposition over the other.",
    Verdict.NO_INDICATION: "The models found no indication that the file is synthetic or manipulated. That does not "
    "show that it is authentic.",
}
NOT_JUDGED = "The file could not be judged, so the scores say nothing about either proposition."
NO_RATES = "No error rates are known for {model}, so nobody can say how often it would be wrong here."


def conclusion(verdict: str | None) -> str:
    """Return what a verdict says about both propositions, in a sentence or two."""
    return CONCLUSIONS[Verdict(verdict)] if verdict else NOT_JUDGED


def both(outcome: Outcome, models: Sequence[Model]) -> tuple[Proposition, ...]:
    """Return both propositions with what the score and the error rates of the models that decide say about each.

    The file must have a verdict.
    """
    verdict, p_fake, reason = Verdict(str(outcome.verdict)), outcome.p_fake or 0.0, outcome.detail
    deciding = [one for one in models if one.kind == "ensemble"] or list(models)
    of_real, of_fake = list[str](), list[str]()
    for model in deciding:
        of_real += _for_authentic(verdict, p_fake, model)
        of_fake += _for_synthetic(verdict, p_fake, model)
    if verdict is Verdict.UNCERTAIN and reason:
        undecided = f"The verdict is `uncertain` because of this: {reason}."
        of_real, of_fake = [undecided, *of_real], [undecided, *of_fake]
    return (
        Proposition(name="authentic", statement=AUTHENTIC, findings=tuple(of_real)),
        Proposition(name="synthetic", statement=SYNTHETIC, findings=tuple(of_fake)),
    )


def _for_authentic(verdict: Verdict, p_fake: float, model: Model) -> Iterator[str]:
    """Yield what a score says about the file being authentic: how often reals get such scores."""
    if model.low is None or model.high is None:
        yield NO_RATES.format(model=model.name)
    elif verdict is Verdict.UNCERTAIN:
        yield _between(p_fake, model.low, model.high, model.name)
    elif verdict is Verdict.NO_INDICATION:
        yield f"p_fake is {p_fake:.3f}, not above the threshold {model.low:.3f} of {model.name}."
    else:
        yield f"Reals get such scores too. The threshold of {model.name} aims at this: {model.aims}."
        for one in model.reals_called_fake:
            unseen = (
                "" if one.unseen_rate is None else f", and {one.unseen_rate:.1%} at a threshold fitted without them"
            )
            yield (
                f"Of {one.files} reals of {one.name} in its calibration data, {one.rate:.1%} reach the threshold"
                f" {model.high:.3f}{unseen}."
            )


def _for_synthetic(verdict: Verdict, p_fake: float, model: Model) -> Iterator[str]:
    """Yield what a score says about the file being synthetic: how often fakes get such scores."""
    if model.low is None or model.high is None:
        yield NO_RATES.format(model=model.name)
    elif verdict is Verdict.UNCERTAIN:
        yield _between(p_fake, model.low, model.high, model.name)
    elif verdict is Verdict.NO_INDICATION:
        yield "Fakes get such scores too, and those of generators that the model does not know get them far more often."
        for one in model.fakes_missed:
            yield (
                f"Of {one.files} fakes by {one.name} in its calibration data, {one.rate:.1%} are not above the"
                f" threshold {model.low:.3f}."
            )
    else:
        yield f"p_fake is {p_fake:.3f}, and the threshold of {model.name} is {model.high:.3f}."
        for of in model.figures:
            if of.degradation == "none" and of.fakes_detected is not None:
                yield f"Of {of.fakes} fakes of {of.data}, not used in training, {of.fakes_detected:.1%} reach it."


def _between(p_fake: float, low: float, high: float, name: str) -> str:
    """Return a score and the thresholds of a model, between which it lies unless there is another reason for doubt."""
    return (
        f"p_fake is {p_fake:.3f}. {name} gives no indication up to {low:.3f}, and likely synthetic from {high:.3f} on."
    )
