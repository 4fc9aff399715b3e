"""The evidence on an ensemble's card: from the logits that its members were calibrated on."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit
from support.scanning import stub_cards

from fauxscan import models
from fauxscan.judging import combining, ensemble, manifest
from fauxscan.judging.ensemble import EnsembleCard, JudgingRule
from fauxscan.models import Evidence
from fauxscan.params import CombinerParams, Params
from fauxscan.records import Verdict

BOTH = CombinerParams(method="logistic", members=("faces", "wholes"))


def combined(
    home: Path, rng: np.random.Generator, settings: Params, distance: float, shifted: tuple[str, ...]
) -> tuple[EnsembleCard, Evidence]:
    """Combine two models whose logits of 60 sources are `distance` apart; those of `shifted` have their noise."""
    label = np.tile([0, 1], 60)
    for folder in stub_cards(home):
        logit = rng.normal(0, 1, 120) + distance * label
        table = pd.DataFrame({"sha256": [f"{n:064x}" for n in range(120)], "label": label, "logit": logit})
        table["source"] = [f"v{n // 2}" for n in range(120)]
        if folder.name in shifted:
            table["shifted"] = logit + 0.2
        table.to_parquet(folder / manifest.LOGITS, index=False)
    manifest.write_manifest(BOTH.members, home, home / "members.json")
    combining.combine("both", BOTH, home, home / "members.json", home / "both", settings.calibrate, 1, 32)
    card = ensemble.read_ensemble_card(home / "both")
    assert card.calibration.evidence is not None
    return card, card.calibration.evidence


def test_an_ensemble_has_evidence_of_its_own(tmp_path: Path, rng: np.random.Generator, settings: Params) -> None:
    card, evidence = combined(tmp_path, rng, settings, 2.0, shifted=BOTH.members)
    assert (evidence.real_sources, evidence.fake_sources) == (60, 60)
    assert evidence.auc is not None and evidence.auc > 0.95, "two models together"
    change = sum(row[0] for row in card.layers[0].kernel) * 0.2 / 1.5  # the members' temperature is 1.5
    assert evidence.noise == pytest.approx(change / card.calibration.temperature)


def test_the_noise_is_unknown_if_that_of_a_member_is(
    tmp_path: Path, rng: np.random.Generator, settings: Params
) -> None:
    assert combined(tmp_path, rng, settings, 2.0, shifted=("faces",))[1].noise is None


def test_members_that_guess_make_an_ensemble_without_verdicts_and_the_log_says_so(
    tmp_path: Path, rng: np.random.Generator, settings: Params, caplog: pytest.LogCaptureFixture
) -> None:
    card, _ = combined(tmp_path, rng, settings, 0.0, shifted=())
    assert ensemble.doubts(card.calibration)
    (said,) = caplog.messages
    assert said.startswith("Every verdict of both is `uncertain`: its AUC on calibration data is")


# === Members that go astray ===


def combine(
    home: Path, logits: dict[str, np.ndarray], settings: Params, more: dict[str, object], **columns: object
) -> EnsembleCard:
    """Combine the two stub models after writing their logits of the same files, with further columns of the table."""
    label = np.tile([0, 1], len(next(iter(logits.values()))) // 2)
    for folder in stub_cards(home):
        table = pd.DataFrame({"sha256": [f"{n:064x}" for n in range(len(label))], "label": label})
        table = table.assign(source=table["sha256"], logit=logits[folder.name], **columns)
        table.to_parquet(folder / manifest.LOGITS, index=False)
    combiner = CombinerParams.model_validate(BOTH.model_dump() | more)
    manifest.write_manifest(BOTH.members, home, home / "members.json")
    combining.combine("both", combiner, home, home / "members.json", home / "both", settings.calibrate, 1, 32)
    return ensemble.read_ensemble_card(home / "both")


def test_a_wild_member_is_clipped_in_fitting_and_in_judging(
    tmp_path: Path, rng: np.random.Generator, settings: Params
) -> None:
    """One member is right, but calls some reals fake with a logit of 3,000."""
    label = np.tile([0, 1], 200)
    good, wild = rng.normal(0, 2, 400) + 6 * label - 3, rng.normal(0, 2, 400) + 6 * label - 3
    wild[:40:2] = 3000.0
    clipped = combine(tmp_path / "a", {"faces": good, "wholes": wild}, settings, {"clip": 6.0})
    free = combine(tmp_path / "b", {"faces": good, "wholes": wild}, settings, {})
    assert (clipped.clip, free.clip) == (6.0, None)
    assert clipped.layers[0].kernel[1][0] > 0.2
    assert abs(free.layers[0].kernel[1][0]) < 0.02, "unclipped, the fit can only ignore it"
    rule = JudgingRule(tuple(models.read_card(folder) for folder in stub_cards(tmp_path / "a")), clipped)
    temperature = 1.5  # of the stub models
    (row, other), (bias,) = clipped.layers[0].kernel, clipped.layers[0].bias
    joined = row[0] * -3 / temperature + other[0] * 6.0 + bias
    judged = rule.judge({"faces": -3.0, "wholes": 1e6})
    assert judged.p_fake == pytest.approx(expit(joined / clipped.calibration.temperature))
    assert judged == rule.judge({"faces": -3.0, "wholes": 9.0}), "9 / 1.5 is the limit"


def test_a_member_is_not_punished_for_agreeing(rng: np.random.Generator) -> None:
    """Two models share an error, so that plain logistic regression subtracts the worse one from the better."""
    label, shared = np.tile([0, 1], 1000), rng.normal(0, 2, 2000)
    good = 4.0 * label - 2 + shared + rng.normal(0, 0.5, 2000)
    worse = 0.5 * label - 0.25 + shared + rng.normal(0, 0.5, 2000)
    inputs = np.stack([good, worse], 1)
    (plain,), (positive,) = (combining.fit(inputs, label, method, 1) for method in ("logistic", "positive"))
    assert plain.kernel[1][0] < -0.5 and positive.kernel[1][0] == 0
    (alone,) = combining.fit(inputs[:, :1], label, "logistic", 1)
    assert positive.kernel[0][0] == pytest.approx(alone.kernel[0][0], rel=1e-3)


def test_positive_is_logistic_where_no_weight_is_negative(rng: np.random.Generator) -> None:
    label = np.tile([0, 1], 300)
    inputs = rng.normal(0, 2, (600, 3)) + label[:, None]
    (plain,), (positive,) = (combining.fit(inputs, label, method, 1) for method in ("logistic", "positive"))
    np.testing.assert_allclose(positive.kernel, plain.kernel, rtol=2e-3)
    np.testing.assert_allclose(positive.bias, plain.bias, rtol=2e-3)


def test_an_ensemble_keeps_the_rate_in_each_collection(
    tmp_path: Path, rng: np.random.Generator, settings: Params
) -> None:
    label = np.tile([0, 1], 400)
    dataset = np.where(np.arange(800) % 8 < 2, "phone", "camera")
    logits = {name: rng.normal(0, 1, 800) + 4 * label + 1.5 * (dataset == "phone") for name in ("faces", "wholes")}
    rates = settings.calibrate.model_copy(update={"worst_collection": True})
    held = combine(tmp_path, logits, settings.model_copy(update={"calibrate": rates}), {}, dataset=dataset)
    assert held.calibration.collections is not None
    assert {name: group.files for name, group in held.calibration.collections.items()} == {"camera": 300, "phone": 100}
    assert held.calibration.collections["camera"].error_rate < held.calibration.collections["phone"].error_rate <= 0.05


def test_an_earlier_card_keeps_its_digest_and_a_clip_changes_it(
    tmp_path: Path, rng: np.random.Generator, settings: Params
) -> None:
    label = np.tile([0, 1], 60)
    card = combine(tmp_path, {name: rng.normal(0, 1, 120) + label for name in ("faces", "wholes")}, settings, {})
    assert not {"clip", "disagreement"} & card.hashed().keys()
    for field in ("clip", "disagreement"):
        changed = card.model_copy(update={field: 6.0})
        assert changed.hashed()[field] == 6.0 and changed.model_digest != card.model_digest


def test_members_that_disagree_more_than_they_do_when_right_give_no_verdict(
    tmp_path: Path, rng: np.random.Generator, settings: Params
) -> None:
    """One member is nearly always right, and the other is on the wrong side, by 2, for 8 % of all files."""
    label = np.tile([0, 1], 500)
    good, other = rng.normal(0, 1, 1000) + 16 * label - 8, rng.normal(0, 1, 1000) + 8 * label - 4
    other[:80] = np.where(label[:80] == 1, -2.0, 2.0)
    logits = {"faces": good, "wholes": other}
    card = combine(tmp_path / "a", logits, settings, {"disagreement": 0.05})
    calibrated = np.stack([good, other], 1) / 1.5  # the temperature of the stub models
    spread = ensemble.opposition(calibrated)
    assert card.disagreement is not None
    assert (spread > card.disagreement).sum() == 50 < (spread > 0).sum(), "of 1,000 files that are judged correctly"
    assert combine(tmp_path / "b", logits, settings, {"disagreement": 0.2}).disagreement == 0, "any opposition"
    assert combine(tmp_path / "c", logits, settings, {}).disagreement is None
    rule = JudgingRule(tuple(models.read_card(folder) for folder in stub_cards(tmp_path / "a")), card)
    judged = rule.judge({"faces": 30.0, "wholes": -3.0})
    assert judged.verdict is Verdict.UNCERTAIN and judged.p_fake > 0.99
    assert judged.reason == "its models disagree: faces says fake (1.00), wholes says real (0.12)"
    agreeing = rule.judge({"faces": 30.0, "wholes": 0.1})
    assert (agreeing.verdict, agreeing.reason) == (Verdict.LIKELY_SYNTHETIC, ""), "far apart, but on one side"
    assert rule.judge({"faces": 30.0}).verdict is Verdict.LIKELY_SYNTHETIC, "one member cannot disagree"


def test_no_one_disagrees_on_files_that_are_all_judged_wrongly() -> None:
    wrong = pd.Series([False, False])
    assert combining.allowed_disagreement(np.array([[1.0, -1.0], [2.0, -1.0]]), wrong, 0.05) is None
