"""Calibration, aggregation, intervals, ensembles and verdicts, against known answers."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit
from scipy.stats import binomtest
from sklearn.metrics import roc_auc_score

from fauxscan.judging import aggregation, calibration, combining, ensemble, groups, metrics
from fauxscan.judging.ensemble import Dense, Ensemble, EnsembleCard
from fauxscan.models import Calibration, Model, ModelCard, TrainedOn
from fauxscan.params import Params
from fauxscan.records import Recipe, Verdict, View


def sample(rng: np.random.Generator, count: int, temperature: float) -> tuple[np.ndarray, np.ndarray]:
    """Labels drawn from their true probabilities, and logits too sure of themselves by `temperature`."""
    true = rng.normal(0, 2, count)
    return (rng.random(count) < expit(true)).astype(int), true * temperature


def test_the_temperature_is_found_again(rng: np.random.Generator) -> None:
    for temperature in (0.5, 1.0, 4.0):
        labels, logits = sample(rng, 20_000, temperature)
        assert calibration.fit_temperature(labels, logits) == pytest.approx(temperature, rel=0.08)


def test_thresholds_keep_their_error_rates_on_new_files(rng: np.random.Generator, settings: Params) -> None:
    labels, logits = sample(rng, 4000, 3.0)
    fitted = calibration.fit(pd.DataFrame({"label": labels, "logit": logits}), settings.calibrate)
    new, raw = sample(rng, 40_000, 3.0)
    p_fake = expit(raw / fitted.temperature)
    assert (p_fake[new == 0] >= fitted.high).mean() == pytest.approx(0.05, abs=0.015)
    assert (p_fake[new == 1] <= fitted.low).mean() == pytest.approx(0.05, abs=0.015)
    assert fitted.low < fitted.high


def test_too_few_files_to_say_means_never_sure() -> None:
    assert groups.upper_threshold(np.array([0.1, 0.2, 0.3]), 0.05) == 1.0
    assert [groups.fewest(rate) for rate in (0.5, 0.07, 0.05, 0.02, 0.01)] == [1, 14, 19, 49, 99]
    few = pd.DataFrame({"label": [0, 0, 1, 1], "logit": [-2.0, -1.0, 1.0, 2.0]})
    fitted = calibration.fit(few, Params().calibrate)
    assert (fitted.low, fitted.high) == (0.0, 1.0)


def test_the_equal_error_threshold_divides_its_errors_evenly(rng: np.random.Generator, settings: Params) -> None:
    reals, fakes = expit(rng.normal(-3, 1, 5000)), expit(rng.normal(-1, 1, 2000))
    threshold = calibration.eer_threshold(reals, fakes)
    assert (reals >= threshold).mean() == pytest.approx((fakes < threshold).mean(), abs=0.002)
    assert ensemble.logit(threshold) == pytest.approx(-2, abs=0.1)
    assert calibration.eer_threshold(np.array([0.1, 0.2]), np.array([0.8, 0.9])) == pytest.approx(0.5)


def test_thresholds_of_classes_far_apart_leave_the_middle_uncertain(rng: np.random.Generator, settings: Params) -> None:
    labels = np.repeat([0, 1], 100)
    logits = np.concatenate([rng.normal(-5, 0.5, 100), rng.normal(5, 0.5, 100)])
    fitted = calibration.fit(pd.DataFrame({"label": labels, "logit": logits}), settings.calibrate)
    assert ensemble.verdict_for(0.5, fitted.low, fitted.high) is Verdict.UNCERTAIN
    assert fitted.low < 0.5 < fitted.high


def test_a_track_is_its_robust_mean_and_a_file_its_worst_track() -> None:
    steady = [1.0] * 8 + [50.0, -50.0]
    assert aggregation.robust_mean(steady) == pytest.approx(1.0)
    assert aggregation.media_logit([*steady, 3.0, 3.0], [0] * 10 + [1, 1]) == pytest.approx(3.0)
    assert aggregation.media_logit([-2.0], [0]) == pytest.approx(-2.0)


def test_auc_equals_scikit_learn_with_weights_and_ties(rng: np.random.Generator) -> None:
    labels = rng.integers(0, 2, 300)
    p_fake = np.round(np.clip(labels * 0.2 + rng.random(300), 0, 1), 1)
    scored = metrics.Scored(labels, p_fake, np.arange(300))
    drawn = rng.multinomial(300, np.full(300, 1 / 300), size=4).astype(float)
    expected = [roc_auc_score(labels, p_fake, sample_weight=row) for row in drawn]
    np.testing.assert_allclose(metrics.auc(scored, drawn), expected, atol=1e-12)


def test_the_interval_counts_sources_and_not_frames(rng: np.random.Generator, settings: Params) -> None:
    """Thirty frames of one video are one trial: the interval must not shrink because frames are many."""
    by_source = pd.DataFrame({"source": [f"v{n}" for n in range(40)], "label": np.tile([0, 1], 20)})
    by_source["p_fake"] = np.clip(by_source["label"] * 0.3 + rng.random(40) * 0.7, 0, 1)
    by_frame = by_source.loc[by_source.index.repeat(30)].reset_index(drop=True)
    width = {}
    for name, table in (("source", by_source), ("frame", by_frame)):
        found = metrics.figures(table, 0.9, 0.5, settings.evaluate, seed=1)
        width[name] = found["accuracy_high"] - found["accuracy_low"]
        assert found["accuracy_low"] <= found["accuracy"] <= found["accuracy_high"]
        assert found["sources"] == 40
    assert width["frame"] == pytest.approx(width["source"], rel=0.05)


def test_cllr_is_that_of_a_hand_computed_example() -> None:
    scored = metrics.Scored(np.array([1, 1, 0, 0]), np.array([0.5, 0.8, 0.2, 0.75]), np.arange(4))
    # fakes cost 1 and log2(1.25) bits, reals log2(1.25) and 2; each class counts by its mean
    by_hand = ((1 + math.log2(1.25)) / 2 + (math.log2(1.25) + 2) / 2) / 2
    drawn = np.array([[1.0, 1, 1, 1], [2, 0, 1, 0], [1, 1, 0, 0]])
    found = metrics.cllr(scored, drawn)
    assert found[0] == pytest.approx(by_hand) and found[1] == pytest.approx((1 + math.log2(1.25)) / 2)
    assert np.isnan(found[2]), "without reals there is no cost of reals"
    sure = metrics.Scored(np.array([1, 0]), np.array([1.0, 1.0]), np.arange(2))
    assert metrics.cllr(sure, np.ones((1, 2)))[0] == pytest.approx(53 / 2), "no float64 is nearer to 1"


def test_a_balanced_calibration_error_hears_the_smaller_class() -> None:
    p_fake = np.concatenate([np.full(90, 0.1), np.full(10, 0.1)])
    scored = metrics.Scored(np.repeat([0, 1], [90, 10]), p_fake, np.arange(100))
    assert metrics.calibration_error(scored) == pytest.approx(0.0)
    assert metrics.calibration_error(scored, balanced=True) == pytest.approx(0.4)


def test_calibration_error_is_zero_for_truth_and_large_for_boasting(rng: np.random.Generator) -> None:
    p_fake = rng.random(50_000)
    labels = (rng.random(50_000) < p_fake).astype(np.int64)
    honest = metrics.Scored(labels, p_fake, np.arange(50_000))
    boasting = metrics.Scored(labels, (p_fake > 0.5) * 0.98 + 0.01, np.arange(50_000))
    assert metrics.calibration_error(honest) < 0.02
    assert metrics.calibration_error(boasting) > 0.2


def test_coverage_and_risk_by_hand(settings: Params) -> None:
    """Eight files: two uncertain, six firm, of which one real is called fake and one fake passes."""
    sure, doubtful, fine = Verdict.LIKELY_SYNTHETIC, Verdict.UNCERTAIN, Verdict.NO_INDICATION
    table = pd.DataFrame({"label": [0, 0, 0, 0, 1, 1, 1, 1], "source": list("abcdefgh"), "p_fake": 0.5})
    table["verdict"] = [
        fine.value,
        fine.value,
        doubtful.value,
        sure.value,
        sure.value,
        sure.value,
        fine.value,
        doubtful.value,
    ]
    found = metrics.figures(table, 0.9, 0.5, settings.evaluate, seed=1)
    assert (found["coverage"], found["risk"]) == (6 / 8, 2 / 6)
    exact = binomtest(2, 6).proportion_ci(0.95)
    assert (found["risk_low"], found["risk_high"]) == pytest.approx((exact.low, exact.high))
    assert found["coverage_low"] < 6 / 8 < found["coverage_high"]
    none = metrics.figures(table.assign(verdict=doubtful.value), 0.9, 0.5, settings.evaluate, seed=1)
    assert none["coverage"] == 0 and np.isnan(none["risk"]) and 0 < none["coverage_high"] < 0.5
    without = metrics.figures(table.drop(columns="verdict"), 0.9, 0.5, settings.evaluate, seed=1)
    assert np.isnan([without[name] for name in metrics.NO_VERDICTS]).all() and without.keys() == found.keys()
    right = metrics.figures(table.iloc[[0, 4]], 0.9, 0.5, settings.evaluate, seed=1)
    assert right["risk"] == 0 and right["risk_high"] > 0.5, "two files show little"


# === Ensembles ===

CALIBRATION = Calibration(
    temperature=2.0, high=0.8, low=0.2, false_positive_rate=0.05, false_negative_rate=0.05, reals=50, fakes=50
)


def member(name: str, proof: bool = False, fitted: Calibration | None = CALIBRATION) -> Model:
    card = ModelCard(
        name=name, detector="meso4", options={}, input_size=64, looks_at=View.WHOLE, faces=None, recipe=Recipe(),
        trained_on=TrainedOn(dataset="d", faces="whole", split_digest="0", proof_of_machinery=proof), figures={},
        licence="", model_digest=name, calibration=fitted,
    )  # fmt: skip
    return Model(card, None)


def test_models_without_a_combiner_are_joined_by_the_mean_of_their_calibrated_logits() -> None:
    judged = Ensemble((member("a"), member("b"))).judge({"a": 8.0, "b": 0.0})
    assert judged.p_fake == pytest.approx(expit((4.0 + 0.0) / 2))
    assert judged.verdict is Verdict.LIKELY_SYNTHETIC
    assert Ensemble((member("a"), member("b"))).judge({"b": -9.0}).verdict is Verdict.NO_INDICATION


def test_a_model_trained_on_the_demo_is_always_uncertain_and_says_why() -> None:
    judged = Ensemble((member("a", proof=True),)).judge({"a": 40.0})
    assert judged.verdict is Verdict.UNCERTAIN and "demo" in judged.reason
    unfitted = Ensemble((member("a", fitted=None),)).judge({"a": 40.0})
    assert unfitted.verdict is Verdict.UNCERTAIN and unfitted.reason.startswith("not calibrated: a (see ")


def test_an_ensemble_weighs_its_members_and_fills_in_for_the_absent() -> None:
    card = EnsembleCard(
        name="e", method="logistic", dataset="d", layers=(Dense(kernel=((1.5,), (0.5,)), bias=(-1.0,)),),
        digests={"a": "a", "b": "b"}, calibration=CALIBRATION, proof_of_machinery=False,
    )  # fmt: skip
    judges = Ensemble((member("a"), member("b")), card)
    assert judges.judge({"a": 4.0, "b": 2.0}).p_fake == pytest.approx(expit((1.5 * 2 + 0.5 * 1 - 1) / 2))
    assert judges.judge({"a": 4.0}).p_fake == pytest.approx(expit((1.5 * 2 + 0.5 * 2 - 1) / 2))


def test_a_fitted_ensemble_leans_on_the_member_that_knows(rng: np.random.Generator) -> None:
    labels = np.tile([0, 1], 400)
    knows = np.where(labels == 1, 2.0, -2.0) + rng.normal(0, 2, 800)
    guesses = rng.normal(0, 2, 800)
    (fitted,) = combining.fit(np.stack([knows, guesses], 1), labels, "logistic", 1)
    assert fitted.kernel[0][0] > 0.5 and abs(fitted.kernel[1][0]) < 0.2
    (equal,) = combining.fit(np.stack([knows, guesses], 1), labels, "mean", 1)
    assert equal.kernel == ((0.5,), (0.5,)) and equal.bias == (0.0,)


def test_dense32_joins_what_no_weighing_can(rng: np.random.Generator) -> None:
    """Two members that are right only together: fake where they agree. No line tells that apart, 32 units do."""
    logits = rng.normal(0, 2, (1200, 2))
    labels = (logits[:, 0] * logits[:, 1] > 0).astype(int)
    layers = combining.fit(logits, labels, "dense32", 1)
    assert [np.array(layer.kernel).shape for layer in layers] == [(2, 32), (32, 1)]
    new = rng.normal(0, 2, (4000, 2))
    truth = (new[:, 0] * new[:, 1] > 0).astype(int)
    assert roc_auc_score(truth, ensemble.forward(layers, new)) > 0.95
    assert roc_auc_score(truth, ensemble.forward(combining.fit(logits, labels, "logistic", 1), new)) < 0.6
    assert layers == combining.fit(logits, labels, "dense32", 1)


def test_a_combiner_is_calibrated_on_sources_that_it_was_not_fitted_on(rng: np.random.Generator) -> None:
    """Members that know nothing, five files a source: a fit that saw the source knows it by heart, unseen ones not."""
    sources = np.repeat([f"v{n}" for n in range(30)], 5)
    labels = np.repeat(np.tile([0, 1], 15), 5)
    logits = np.repeat(rng.normal(0, 1, (30, 4)), 5, axis=0)
    own = ensemble.forward(combining.fit(logits, labels, "dense32", 1), logits)
    assert roc_auc_score(labels, own) > 0.9
    assert roc_auc_score(labels, combining.cross_fitted(logits, labels, sources, "dense32", 1)) < 0.75
    few = combining.cross_fitted(logits[:10], labels[:10], sources[:10], "logistic", 1)
    assert few.shape == (10,), "one source a class: nothing can be left out"


def test_sigmoid_and_logit_do_not_overflow() -> None:
    assert ensemble.sigmoid(-2000.0) == 0.0 and ensemble.sigmoid(2000.0) == 1.0
    assert math.isfinite(ensemble.logit(0.0)) and math.isfinite(ensemble.logit(1.0))
    assert ensemble.logit(ensemble.sigmoid(3.3)) == pytest.approx(3.3)
