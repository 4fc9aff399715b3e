"""The evidence on an ensemble's card: from the logits that its members were calibrated on."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from support.scanning import stub_cards

from fauxscan.judging import combining, ensemble, manifest
from fauxscan.judging.ensemble import EnsembleCard
from fauxscan.models import Evidence
from fauxscan.params import CombinerParams, Params

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
    combining.combine("both", BOTH, home, home / "members.json", home / "both", settings.calibrate, 1)
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
