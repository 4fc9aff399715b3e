"""The evidence on a card: sources, the AUC with its interval, and the noise of the score, against known answers."""

import numpy as np
import pandas as pd
import pytest

from fauxscan.judging import calibration
from fauxscan.params import Params


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
    assert calibration.noise(table.assign(shifted=np.nan), 1.0) is None, "a member's noise was not measured"
