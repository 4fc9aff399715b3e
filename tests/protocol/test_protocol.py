"""Heads on generators that they never saw, in features with planted signals: folds, figures, resumption."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

from fauxscan.models import BackboneUse
from fauxscan.params import EvaluateParams, HeadParams, ModelParams, Params, ProtocolParams
from fauxscan.protocol import figures, heads, run, stored
from fauxscan.protocol.folds import Fold, folds
from fauxscan.protocol.heads import Head
from fauxscan.records import FAKE, REAL, TEST, TRAIN, VALIDATION, UserError

BLOCKS, WIDTH = 2, 8
MADE_BY = {"a": "shallow", "b": "deep", "c": "inverse"}  # the generator in each dataset
SIGNAL = {"shallow": (3.0, 0.0), "deep": (3.0, 3.0), "inverse": (-3.0, -3.0), "": (0.0, 0.0)}  # in each block
SIZE = {"blocks": BLOCKS, "width": WIDTH, "first": 0, "hidden": 16, "inner": 8, "dropout": 0.0}
MODEL = ModelParams(
    detector="clip_vit_b16",
    datasets=("a", "b", "c"),
    options=SIZE,
    recipe={"epochs": 20, "batch_size": 24, "learning_rate": 0.005, "one_cycle": False},
)
SETTINGS = Params(
    models={"tiny": MODEL},
    protocols={"p": ProtocolParams(model="tiny", heads={"all": HeadParams()}, tiers=("native", "hard"))},
    evaluate=EvaluateParams(bootstrap=200),
)


def rows(split: str, count: int) -> pd.DataFrame:
    """Return so many reals and as many fakes of each dataset."""
    made = [
        {"dataset": name, "split": split, "sha256": f"{split}{name}{n}", "label": n % 2, "source": f"{name}/{split}{n}",
         "generator": generator if n % 2 else "", "frame": 0, "track": 0, "face": 0}
        for name, generator in MADE_BY.items()
        for n in range(2 * count)
    ]  # fmt: skip
    return pd.DataFrame(made)


def seen(table: pd.DataFrame, noise: float, seed: int) -> np.ndarray:
    """Return features in which one number of a block is the generator's signal."""
    drawn = np.random.default_rng(seed).normal(0, noise, (len(table), BLOCKS, WIDTH))
    drawn[..., 0] += 5
    drawn[..., 1] += np.array([SIGNAL[name] for name in table["generator"]])
    return drawn


@pytest.fixture(scope="module")
def features(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Features of three datasets, each with reals and one generator, and of a tier with more noise."""
    folder = tmp_path_factory.mktemp("features")
    trained = rows(TRAIN, 36)
    held_out = pd.concat([rows(VALIDATION, 40), rows(TEST, 40)], ignore_index=True)
    versions = stored.array(folder, stored.TRAINED, (2, len(trained), BLOCKS, WIDTH))
    for number in range(2):
        versions[number] = seen(trained, 0.5, number)
    for tier, noise in (("native", 0.5), ("hard", 2.0)):
        stored.array(folder, tier, (len(held_out), BLOCKS, WIDTH))[:] = seen(held_out, noise, 9)
    stored.write_rows(folder, stored.TRAINED, trained)
    stored.write_rows(folder, stored.HELD_OUT, held_out)
    used = BackboneUse(name="clip", digest="none")
    stored.write_card(folder, stored.Card(backbone=used, versions=2, tiers=("native", "hard"), digest="planted"))
    return folder


@pytest.fixture(scope="module")
def finished(features: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A protocol that was killed after its first fold, whose scores were then marked, and run again."""
    out = tmp_path_factory.mktemp("protocol")
    known = stored.read(features)
    first = next(iter(run._jobs(SETTINGS.protocol("p"), SETTINGS, known)))
    (out / "folds").mkdir()
    run._judged(first, known, out / "folds")
    (kept,) = (out / "folds").iterdir()
    pd.read_parquet(kept).assign(temperature=5.0).to_parquet(kept)
    run.run("p", SETTINGS, features, out / "folds", out)
    return out


def value(table: pd.DataFrame, figure: str, left_out: str, **keys: str) -> float:
    keys = {"generator": left_out, "dataset": "", "tier": "native", "left_out": left_out, "figure": figure} | keys
    found = table[np.logical_and.reduce([table[name] == key for name, key in keys.items()])]
    return float(found["value"].item())


@pytest.mark.slow
def test_a_head_fails_on_what_only_the_left_out_generator_could_teach_it(finished: Path) -> None:
    table = pd.read_parquet(finished / run.TABLE)
    assert value(table, "auc", "", generator="inverse") > 0.9
    assert value(table, "auc", "inverse") < 0.3 and value(table, "auc", "shallow") > 0.8
    assert value(table, "auc", "shallow", tier="hard") < value(table, "auc", "shallow")
    assert value(table, "auc", "shallow", dataset="a") > 0.8
    bounds = table[(table["figure"] == "auc") & (table["left_out"] == "shallow")]
    assert (bounds["low"] <= bounds["value"]).all() and (bounds["value"] <= bounds["high"]).all()
    # of a's 80 unseen fakes and reals, and of the test reals of b and c, which the head was not chosen by
    whole = bounds[(bounds["dataset"] == "") & (bounds["tier"] == "native")]
    assert whole[["fakes", "reals", "real_sources"]].to_numpy().tolist() == [[80, 160, 160]]


@pytest.mark.slow
def test_a_head_that_cannot_see_a_signal_guesses(features: Path) -> None:
    late = Head.of("late", MODEL, HeadParams(options={"first": 1}))
    judged = heads.judge(late, Fold("shallow", frozenset({"a"})), stored.read(features), 7)
    table = figures.of_fold(judged, Fold("shallow", frozenset({"a"})), (0.05,), SETTINGS.evaluate, 1)
    assert 0.3 < value(table, "auc", "shallow") < 0.7


@pytest.mark.slow
def test_the_same_fold_gives_the_same_logits_and_a_kept_one_is_not_trained_again(
    features: Path, finished: Path
) -> None:
    scores = pd.read_parquet(finished / run.SCORES)
    assert set(scores.loc[scores["left_out"] == "", "temperature"]) == {5.0}
    assert 5.0 not in set(scores.loc[scores["left_out"] != "", "temperature"])
    assert list((finished / "folds").iterdir()) == []
    again = heads.judge(Head.of("all", MODEL, HeadParams()), Fold("deep", frozenset({"b"})), stored.read(features), 7)
    before = scores[scores["left_out"] == "deep"].reset_index(drop=True)
    assert before["sha256"].tolist() == again["sha256"].tolist()
    np.testing.assert_allclose(before["logit"], again["logit"], atol=1e-3)


@pytest.mark.slow
def test_metrics_name_the_worst_generator_and_reals(finished: Path) -> None:
    of_head = json.loads((finished / run.METRICS).read_text(encoding="utf-8"))["all"]
    assert set(of_head) == {"native", "hard"} and of_head["native"]["auc_worst_generator"] == "inverse"
    assert of_head["native"]["in_distribution_auc"] > of_head["native"]["auc"]
    assert of_head["native"]["false_positive_rate_at_0.05_worst_dataset"] in MADE_BY


# === Folds ===


def test_a_fold_leaves_out_the_reals_beside_its_generator() -> None:
    trained, held_out = rows(TRAIN, 2), pd.concat([rows(VALIDATION, 2), rows(TEST, 2)], ignore_index=True)
    whole, *others = folds(trained, held_out)
    assert whole.left_out == "" and whole.learns(trained).all()
    assert [fold.left_out for fold in others] == ["deep", "inverse", "shallow"]
    without = others[0]
    assert set(trained.loc[without.learns(trained), "dataset"]) == {"a", "c"}
    reals = held_out[without.for_thresholds(held_out)]
    assert set(reals["dataset"]) == {"a", "c"} and set(reals["label"]) == {REAL}
    assert set(held_out.loc[without.left_out_reals(held_out), "dataset"]) == {"b"}
    unseen = held_out[without.unseen(held_out)]
    assert set(unseen.loc[unseen["split"] == VALIDATION, "dataset"]) == {"b"}


def test_reals_stay_where_no_others_remain() -> None:
    one = [table.assign(dataset="a") for table in (rows(TRAIN, 2), rows(VALIDATION, 2), rows(TEST, 2))]
    held_out = pd.concat(one[1:], ignore_index=True)
    fold = folds(one[0], held_out)[1]
    assert fold.without_reals == frozenset()
    assert set(held_out.loc[fold.for_thresholds(held_out), "split"]) == {VALIDATION}
    assert set(held_out.loc[fold.left_out_reals(held_out), "split"]) == {TEST}


def test_one_generator_is_too_few() -> None:
    trained = rows(TRAIN, 2)
    alone = trained[(trained["label"] == REAL) | (trained["dataset"] == "a")]
    with pytest.raises(UserError, match="too few generators to leave one out: shallow"):
        folds(alone, alone)


# === Figures ===


def test_thresholds_are_set_on_the_reals_of_other_datasets(rng: np.random.Generator) -> None:
    media = pd.concat([rows(VALIDATION, 500), rows(TEST, 500)], ignore_index=True)
    fold = Fold("shallow", frozenset({"a"}))
    logit = rng.normal(0, 1, len(media)) + 2.0 * (media["dataset"] == "a")  # reals of `a` look more like fakes
    media = media.assign(tier="native", temperature=2.0, logit=logit, unseen=fold.unseen(media))
    table = figures.of_fold(media, fold, (0.05, 0.0001), SETTINGS.evaluate, 1)
    others = media[(media["label"] == REAL) & (media["dataset"] != "a")]
    threshold = np.quantile(expit(others["logit"] / 2), 0.95)
    own = media[(media["label"] == REAL) & (media["dataset"] == "a")]
    passed = value(table, "false_positive_rate_at_0.05", "shallow", generator="", dataset="a")
    assert passed == pytest.approx((expit(own["logit"] / 2) >= threshold).mean(), abs=0.01) and passed > 0.5
    fakes = media[(media["label"] == FAKE) & (media["dataset"] == "a")]
    found = value(table, "found_at_0.05", "shallow")
    assert found == pytest.approx((expit(fakes["logit"] / 2) >= threshold).mean(), abs=0.01)
    assert np.isnan(value(table, "found_at_0.0001", "shallow")), "too few reals to know"
    assert set(table.loc[table["figure"] == "false_positive_rate_at_0.05", "dataset"]) == {"a"}
