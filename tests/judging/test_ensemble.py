"""No verdict from a model that knows nothing: alone, as a member, and as an ensemble; and what of it enters digests."""

from typing import Any

import pytest

from fauxscan import wire
from fauxscan.judging import ensemble
from fauxscan.judging.ensemble import Dense, Ensemble, EnsembleCard
from fauxscan.models import Calibration, Evidence, Model, ModelCard, TrainedOn
from fauxscan.records import Recipe, Verdict, View

GOOD: dict[str, Any] = {
    "real_sources": 40, "fake_sources": 40, "auc": 0.9, "auc_low": 0.85, "auc_high": 0.94, "confidence": 0.95,
    "noise": 0.1,
}  # fmt: skip
OLD = Calibration(
    temperature=2.0, high=0.8, low=0.2, false_positive_rate=0.05, false_negative_rate=0.05, reals=50, fakes=50
)
WEAK = {
    "sources": ({"real_sources": 19}, "19 sources of reals, but 20 are required"),
    "both": ({"real_sources": 3, "fake_sources": 4}, "3 sources of reals and 4 sources of fakes"),
    "auc": ({"auc": 0.445, "auc_low": 0.31, "auc_high": 0.58}, "0.445 (0.310 to 0.580), and may be under 0.6"),
    "noise": ({"noise": 3.0}, "2.8 apart in logits, which is less than its logit changes"),
}


def calibrated(**changes: Any) -> Calibration:
    return OLD.model_copy(update={"evidence": Evidence(**(GOOD | changes))})


def member(name: str, fitted: Calibration | None, proof: bool = False) -> Model:
    card = ModelCard(
        name=name, detector="meso4", options={}, input_size=64, looks_at=View.WHOLE, faces=None, recipe=Recipe(),
        trained_on=TrainedOn(dataset="d", faces="whole", split_digest="0", proof_of_machinery=proof), figures={},
        licence="", model_digest=name, calibration=fitted,
    )  # fmt: skip
    return Model(card, None)


def joint(fitted: Calibration) -> EnsembleCard:
    return EnsembleCard(
        name="e", method="mean", dataset="d", layers=(Dense(kernel=((0.5,), (0.5,)), bias=(0.0,)),),
        digests={"a": "a", "b": "b"}, calibration=fitted, proof_of_machinery=False,
    )  # fmt: skip


@pytest.mark.parametrize("kind", WEAK)
def test_a_model_that_knows_too_little_gives_no_verdict_and_says_why(kind: str) -> None:
    changes, reason = WEAK[kind]
    judged = Ensemble((member("a", calibrated(**changes)),)).judge({"a": 40.0})
    assert judged.verdict is Verdict.UNCERTAIN and judged.p_fake > 0.99
    assert judged.reason.startswith("a gives no verdict: ") and reason in judged.reason
    said = ensemble.advice("a", calibrated(**changes))
    assert said is not None and reason in said and said.startswith("Every verdict of a is `uncertain`: ")
    assert said.count(". ") >= 1 and said.endswith(".")


@pytest.mark.parametrize("changes", [{}, {"real_sources": 20}, {"auc_low": 0.6}, {"noise": None}, {"noise": 2.7}])
def test_a_model_that_knows_enough_gives_verdicts(changes: dict[str, Any]) -> None:
    judged = Ensemble((member("a", calibrated(**changes)),)).judge({"a": 40.0})
    assert (judged.verdict, judged.reason) == (Verdict.LIKELY_SYNTHETIC, "")
    assert ensemble.advice("a", calibrated(**changes)) is None


def test_a_card_without_evidence_is_treated_as_before() -> None:
    assert Ensemble((member("a", OLD),)).judge({"a": 40.0}).verdict is Verdict.LIKELY_SYNTHETIC
    assert ensemble.doubts(None) == ensemble.doubts(OLD) == []


def test_reals_alone_say_nothing_about_fakes() -> None:
    reals = {"fake_sources": 0, "auc": None, "auc_low": None, "auc_high": None}
    assert ensemble.doubts(calibrated(**reals)) == []
    (doubt,) = ensemble.doubts(calibrated(real_sources=5, **reals))
    assert "5 sources of reals, but" in doubt.reason


def test_a_member_that_knows_nothing_makes_uncertain_what_it_judges() -> None:
    both = Ensemble((member("a", calibrated()), member("b", calibrated(auc_low=0.5))))
    assert both.judge({"a": 40.0, "b": 40.0}).reason.startswith("b gives no verdict")
    assert both.judge({"a": 40.0, "b": 40.0}).verdict is Verdict.UNCERTAIN
    assert both.judge({"a": 40.0}).verdict is Verdict.LIKELY_SYNTHETIC, "b had no say in it"


def test_an_ensemble_that_knows_nothing_says_so_itself() -> None:
    members = member("a", calibrated()), member("b", calibrated())
    judged = Ensemble(members, joint(calibrated(auc_low=0.5))).judge({"a": 40.0, "b": 40.0})
    assert judged.verdict is Verdict.UNCERTAIN and judged.reason.startswith("e gives no verdict")
    assert Ensemble(members, joint(calibrated())).judge({"a": 40.0, "b": 40.0}).verdict is Verdict.LIKELY_SYNTHETIC


def test_a_model_of_the_demo_is_uncertain_for_its_own_reason() -> None:
    judged = Ensemble((member("a", calibrated(auc_low=0.4), proof=True),)).judge({"a": 40.0})
    assert "demo" in judged.reason and "AUC" not in judged.reason


def test_evidence_enters_digests_only_where_it_withholds_verdicts() -> None:
    assert ensemble.hashed_calibration(calibrated()) == ensemble.hashed_calibration(OLD)
    assert joint(calibrated()).model_digest == joint(OLD).model_digest
    weak = [joint(calibrated(auc_low=low)).model_digest for low in (0.5, 0.51)]
    assert len({joint(OLD).model_digest, *weak}) == 3, "the reason in `detail` differs"
    assert set(wire.EVIDENCE) == set(Evidence.model_fields)
