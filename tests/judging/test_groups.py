"""Thresholds that hold in each collection of reals and for each generator, on planted groups."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit
from scipy.stats import norm

from fauxscan.judging import calibration, ensemble, groups
from fauxscan.models import Calibration
from fauxscan.params import CalibrateParams

COLLECTIONS = {"camera": -4.0, "archive": -4.0, "studio": -4.0, "phone": -0.5}  # the mean logit of their reals
GENERATORS = {"gan": 4.0, "diffusion": 4.0, "swap": 4.0, "subtle": 0.5}


def normal(mean: float, files: int) -> np.ndarray:
    """Return logits of a normal distribution, evenly spread over its quantiles."""
    return mean + norm.ppf((np.arange(files) + 0.5) / files)


def planted(files: int = 400, **more: float) -> pd.DataFrame:
    """Return a table of as many files of each group; `more` are further collections with 10 files each."""
    parts = [
        pd.DataFrame({"logit": normal(mean, files), "label": label, column: name})
        for label, column, means in ((0, "dataset", COLLECTIONS), (1, "generator", GENERATORS))
        for name, mean in means.items()
    ]
    parts += [pd.DataFrame({"logit": normal(m, 10), "label": 0, "dataset": name}) for name, m in more.items()]
    table = pd.concat(parts, ignore_index=True)
    return table.assign(source=[f"v{n}" for n in range(len(table))])


def rates(table: pd.DataFrame, fitted: Calibration) -> dict[str, float]:
    """Return the share of wrong verdicts in each group."""
    p_fake = expit(table["logit"] / fitted.temperature)
    wrong = np.where(table["label"] == 0, p_fake >= fitted.high, p_fake <= fitted.low)
    group = table["dataset"].fillna(table["generator"])
    return {str(name): float(share) for name, share in pd.Series(wrong).groupby(group).mean().items()}


def test_the_pooled_threshold_fails_one_collection_and_the_worst_holds_in_all() -> None:
    pooled = calibration.fit_media(planted(), CalibrateParams())
    wrong = rates(planted(), pooled)
    assert np.mean([wrong[name] for name in COLLECTIONS]) == pytest.approx(0.05, abs=0.002)
    assert wrong["phone"] == pytest.approx(0.2, abs=0.01) and wrong["camera"] == 0
    held = calibration.fit_media(planted(), CalibrateParams(worst_collection=True))
    assert max(rates(planted(), held)[name] for name in COLLECTIONS) == rates(planted(), held)["phone"] <= 0.05
    assert rates(planted(), held)["phone"] == pytest.approx(0.05, abs=0.003)
    assert (held.low, held.temperature, held.eer_threshold) == (pooled.low, pooled.temperature, pooled.eer_threshold)


def test_the_lower_threshold_holds_for_each_generator() -> None:
    pooled = calibration.fit_media(planted(), CalibrateParams())
    held = calibration.fit_media(planted(), CalibrateParams(worst_generator=True))
    assert rates(planted(), pooled)["subtle"] == pytest.approx(0.2, abs=0.01)
    assert rates(planted(), held)["subtle"] == pytest.approx(0.05, abs=0.003) and held.high == pooled.high


def test_the_card_has_the_rate_of_each_group_also_as_if_it_were_unknown() -> None:
    held = calibration.fit_media(planted(), CalibrateParams(worst_collection=True))
    assert held.collections is not None and held.generators is not None
    assert {name: group.files for name, group in held.collections.items()} == dict.fromkeys(COLLECTIONS, 400)
    measured = rates(planted(), held)
    for name, group in (held.collections | held.generators).items():
        assert group.error_rate == measured[name]
    # Without phone the thresholds cross, and `high` is that of the fakes: a fifth of `subtle` is below it.
    assert held.collections["phone"].unseen_error_rate == pytest.approx(norm.sf(0.5 + 0.5 - 0.842), abs=0.01)
    assert held.collections["camera"].unseen_error_rate == 0
    first, second = groups.lines(held)
    assert first == (
        "False positives: 0.012 of all, 0.048 of phone, the worst of 4 collections;"
        " up to 0.440 (phone) of a collection that the calibration leaves out"
    )
    assert second.startswith("False negatives: 0.049 of all, 0.198 of subtle, the worst of 4 generators; up to ")


def test_small_collections_are_pooled() -> None:
    table = planted(a=9.0, b=-4.0)  # 10 files each are too few at 5 %, 20 together are enough
    held = calibration.fit_media(table, CalibrateParams(worst_collection=True))
    assert held.collections is not None and held.collections[groups.OTHERS].files == 20
    assert held.collections[groups.OTHERS].error_rate == rates(table, held)["a"] == 0
    one = calibration.fit_media(planted(a=9.0), CalibrateParams(worst_collection=True))
    assert one.collections is not None and one.collections[groups.OTHERS].error_rate > 0.05, "too few, but on the card"
    assert rates(planted(), one)["phone"] == pytest.approx(0.05, abs=0.005), "phone decides, not the ten files"


@pytest.mark.parametrize("table", [planted().drop(columns=["dataset", "generator"]), planted().assign(dataset="one")])
def test_tables_with_one_group_or_of_earlier_versions_are_calibrated_as_before(table: pd.DataFrame) -> None:
    plain = calibration.fit_media(table, CalibrateParams())
    held = calibration.fit_media(table, CalibrateParams(worst_collection=True))
    assert plain.collections is None and (held.low, held.high) == (plain.low, plain.high)


def test_crossing_thresholds_are_swapped_and_keep_both_rates() -> None:
    """Reals and fakes far apart: `low`, the lowest fakes, is above `high`, the highest reals."""
    table = planted().assign(logit=lambda media: media["logit"] + np.where(media["label"] == 0, -6, 6))
    fitted = calibration.fit_media(table, CalibrateParams(worst_collection=True, worst_generator=True))
    assert fitted.low < 0.5 < fitted.high and max(rates(table, fitted).values()) <= 0.05
    assert ensemble.doubts(fitted) == []


def test_stricter_options_move_both_thresholds_outwards() -> None:
    options = [{}, {"worst_collection": True}, {"worst_collection": True, "worst_generator": True}]
    fitted = [calibration.fit_media(planted(), CalibrateParams(**chosen)) for chosen in options]
    for before, after in pairwise(fitted):
        assert after.low <= before.low <= before.high <= after.high


def test_reals_alone_keep_the_rate_in_each_collection() -> None:
    reals = planted().query("label == 0")
    fitted = calibration.fit_reals(reals, None, CalibrateParams(worst_collection=True))
    assert fitted.collections is not None and fitted.low == 0
    assert fitted.collections["phone"].error_rate == pytest.approx(0.05, abs=0.003)
    pooled = calibration.fit_reals(reals, None, CalibrateParams())
    assert pooled.collections is not None and pooled.collections["phone"].error_rate == pytest.approx(0.2, abs=0.01)


def test_what_is_known_of_groups_changes_no_digest() -> None:
    fitted = calibration.fit_media(planted(), CalibrateParams())
    bare = fitted.model_copy(update={"collections": None, "generators": None})
    assert ensemble.hashed_calibration(fitted) == ensemble.hashed_calibration(bare)
    assert Calibration.model_validate_json(fitted.model_dump_json()) == fitted
