"""The evidence on a card, and thresholds from reals alone, against known answers."""

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit, logit

from fauxscan.judging import calibration
from fauxscan.models import Calibration
from fauxscan.params import CalibrateParams, Params


def media(rng: np.random.Generator, sources: int, files: int, distance: float) -> pd.DataFrame:
    """Return logits of `files` files of each of `sources` sources per class; the classes are `distance` apart."""
    label = np.tile([0, 1], sources)
    of_source = rng.normal(0, 1, 2 * sources) + distance * label
    table = pd.DataFrame({"source": [f"v{n}" for n in range(2 * sources)], "label": label, "logit": of_source})
    return table.loc[table.index.repeat(files)].reset_index(drop=True)


def test_the_evidence_counts_sources_and_not_files(rng: np.random.Generator, settings: Params) -> None:
    table = media(rng, 30, 10, 1.0)
    fitted = calibration.fit_media(table, settings.calibrate)
    once = calibration.fit_media(table.drop_duplicates("source"), settings.calibrate).evidence
    found = fitted.evidence
    assert found is not None and once is not None
    assert (found.real_sources, found.fake_sources, fitted.reals, fitted.fakes) == (30, 30, 300, 300)
    assert found.auc == pytest.approx(once.auc) and found.confidence == 0.95
    assert found.auc_low == pytest.approx(once.auc_low, abs=0.02) and found.auc_low < found.auc < found.auc_high
    assert found.noise is None


@pytest.mark.parametrize(("distance", "above"), [(0.0, False), (1.5, True)])
def test_the_lower_bound_tells_knowledge_from_guessing(
    rng: np.random.Generator, settings: Params, distance: float, above: bool
) -> None:
    found = calibration.fit_media(media(rng, 60, 1, distance), settings.calibrate).evidence
    assert found is not None and found.auc_low is not None and (found.auc_low > 0.6) is above


def test_the_same_logits_give_the_same_evidence(rng: np.random.Generator, settings: Params) -> None:
    table = media(rng, 30, 2, 1.0)
    assert calibration.fit_media(table, settings.calibrate) == calibration.fit_media(table, settings.calibrate)


def test_noise_is_the_change_of_calibrated_logits(rng: np.random.Generator, settings: Params) -> None:
    table = media(rng, 30, 1, 1.0)
    table["shifted"] = table["logit"] + np.where(np.arange(60) % 2, 0.3, -0.3)
    fitted = calibration.fit_media(table, settings.calibrate)
    assert fitted.evidence is not None
    assert fitted.evidence.noise == pytest.approx(0.3 / fitted.temperature)
    assert calibration.change(table.assign(shifted=np.nan), "shifted", 1.0) is None, "a member's noise was not measured"


# === The guard band ===


def guarded(table: pd.DataFrame, guard_band: bool = True) -> Calibration:
    return calibration.fit_media(table, CalibrateParams(guard_band=guard_band))


def test_the_guard_band_moves_thresholds_apart_by_the_change_after_a_new_compression(rng: np.random.Generator) -> None:
    table = media(rng, 200, 1, 1.0)
    table["reencoded"] = table["logit"] + np.where(np.arange(400) % 4 < 2, 0.4, -0.4)
    plain, wide = guarded(table, False), guarded(table)
    assert plain.guard is None and plain.model_copy(update={"evidence": None}) == calibration.fit(
        table.drop(columns="reencoded"), CalibrateParams()
    )
    assert wide.guard == pytest.approx(0.4 / wide.temperature)
    for name, sign in (("low", -1), ("high", 1)):
        moved = logit(getattr(wide, name)) - logit(getattr(plain, name))
        assert moved == pytest.approx(sign * wide.guard)
    after = expit(table["reencoded"] / wide.temperature)
    before = expit(table["logit"] / wide.temperature)
    assert not ((before >= wide.high) & (after < plain.high)).any(), "no verdict is lost by the compression"
    assert ((before >= plain.high) & (after < plain.high)).any()


def test_thresholds_that_mean_never_stay_and_nothing_is_guarded_without_a_measurement(
    rng: np.random.Generator,
) -> None:
    few = media(rng, 5, 1, 1.0)
    few["reencoded"] = few["logit"] + 1.0
    assert (guarded(few).low, guarded(few).high) == (0.0, 1.0)
    unmeasured = media(rng, 50, 1, 1.0)
    assert guarded(unmeasured) == guarded(unmeasured, False)


def test_the_guard_band_is_kept_where_reals_alone_set_the_threshold(rng: np.random.Generator) -> None:
    table = reals(rng, 200)
    table["reencoded"] = table["logit"] + 0.5
    plain = calibration.fit_reals(table, None, at(0.05))
    wide = calibration.fit_reals(table, None, CalibrateParams(guard_band=True))
    assert logit(wide.high) - logit(plain.high) == pytest.approx(0.5) and wide.low == plain.low == 0


# === Reals alone ===


def at(rate: float) -> CalibrateParams:
    return CalibrateParams(false_positive_rate=rate)


def reals(rng: np.random.Generator, sources: int, files: int = 1) -> pd.DataFrame:
    table = media(rng, sources, files, 0.0)
    return table[table["label"] == 0].reset_index(drop=True)


@pytest.mark.parametrize("rate", [0.01, 0.05])
def test_reals_alone_set_the_rate_of_false_positives_on_new_reals(rng: np.random.Generator, rate: float) -> None:
    fitted = calibration.fit_reals(reals(rng, 2000), None, at(rate))
    new = reals(rng, 20_000)
    assert (expit(new["logit"]) >= fitted.high).mean() == pytest.approx(rate, rel=0.4)
    assert (fitted.low, fitted.temperature, fitted.reals, fitted.fakes) == (0.0, 1.0, 2000, 0)
    assert fitted.evidence is not None
    assert (fitted.evidence.real_sources, fitted.evidence.fake_sources, fitted.evidence.auc) == (2000, 0, None)


def test_reals_alone_keep_what_takes_fakes(rng: np.random.Generator, settings: Params) -> None:
    before = calibration.fit_media(media(rng, 100, 1, 2.0), settings.calibrate)
    fitted = calibration.fit_reals(reals(rng, 500), before, at(0.01))
    assert before.evidence is not None and fitted.evidence is not None
    kept = ("temperature", "low", "eer_threshold", "false_negative_rate", "fakes")
    assert [getattr(fitted, name) for name in kept] == [getattr(before, name) for name in kept]
    assert fitted.high > before.high and fitted.false_positive_rate == 0.01 and fitted.reals == 500
    assert (fitted.evidence.auc_low, fitted.evidence.fake_sources) == (before.evidence.auc_low, 100)
    assert fitted.evidence.real_sources == 500


def test_thresholds_from_reals_far_below_the_fakes_leave_the_middle_uncertain(rng: np.random.Generator) -> None:
    before = Calibration(
        temperature=1.0, high=0.99, low=0.98, false_positive_rate=0.05, false_negative_rate=0.05, reals=50, fakes=50
    )
    fitted = calibration.fit_reals(reals(rng, 100), before, at(0.05))
    assert fitted.high == 0.98 and fitted.low < 0.95


def test_an_interval_counts_sources_and_does_not_vanish_at_zero(rng: np.random.Generator) -> None:
    table, never = reals(rng, 30, files=10), calibration.fit_reals(reals(rng, 5), None, at(0.05))
    assert never.high == 1.0, "five reals allow no threshold at 5 %"
    none = calibration.false_positives(table, never)
    assert none == pytest.approx((0.0, 0.0, 1 - 0.025 ** (1 / 30)))
    every = calibration.false_positives(table, never.model_copy(update={"high": 0.0}))
    assert every == pytest.approx((1.0, 0.025 ** (1 / 30), 1.0))
    half = calibration.false_positives(
        reals(rng, 10).assign(logit=[-1.0, 1.0] * 5), never.model_copy(update={"high": 0.5})
    )
    assert half == pytest.approx((0.5, 0.187, 0.813), abs=0.001)


def test_false_positives_afterwards_are_of_sources_that_the_threshold_did_not_see(rng: np.random.Generator) -> None:
    """Twenty files of each source: a threshold that saw the source keeps the rate, on new sources it does not."""
    table = reals(rng, 12, files=20)
    seen = calibration.false_positives(table, calibration.fit_reals(table, None, at(0.05)))
    unseen = calibration.unseen_false_positives(table, None, at(0.05))
    assert seen.share <= 0.05 < unseen.share
    one = table.assign(source="one")
    assert calibration.unseen_false_positives(one, None, at(0.05)).share == pytest.approx(seen.share)
