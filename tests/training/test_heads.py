"""A head on a frozen backbone: trained on features, calibrated, and the same score in a scan as in training."""

from pathlib import Path

import numpy as np
import pytest
from support import backbones as tiny
from support.preparing import mix, shard_bright_fakes

import fauxscan
from fauxscan import models
from fauxscan.backbones import store
from fauxscan.backbones.runner import Runner
from fauxscan.judging import publishing, scoring
from fauxscan.params import ModelParams, Params
from fauxscan.preparing.shards.read import Shards
from fauxscan.records import FAKE, TEST, ModelError, View
from fauxscan.scanning import settings as scan_settings
from fauxscan.scanning.inference import backends
from fauxscan.training import fit

HEAD = {"blocks": tiny.BLOCKS, "width": tiny.WIDTH, "first": 1, "hidden": 16, "inner": 8, "dropout": 0.1}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for a tiny backbone in place of CLIP's, and for shards of 120 pictures whose fakes are brighter."""
    return tmp_path_factory.mktemp("heads")


@pytest.fixture(autouse=True)
def backbone(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny.use(home, monkeypatch)


@pytest.fixture
def prepared(home: Path, settings: Params) -> Path:
    if (home / "shards").is_dir():
        return home
    shard_bright_fakes(home, settings)
    return home


def params_for(settings: Params, **recipe: object) -> Params:
    model = ModelParams(detector="clip_vit_b16", dataset="demo", options=HEAD, recipe=recipe)
    dataset = settings.datasets["demo"].model_copy(update={"faces": "whole"})
    return settings.model_copy(update={"models": {"tiny": model}, "datasets": {"demo": dataset}})


def trained(params: Params, prepared: Path, home: Path) -> Path:
    """Return the folder of the trained and calibrated model."""
    made = [home / name for name in ("w", "checkpoint", "t", "plots")]
    fit.train("tiny", params, *mix(prepared, "tiny", params), *made)
    publishing.calibrate(home / "t", *mix(prepared, "tiny", params), home / "model", params.calibrate, 32)
    return home / "model"


@pytest.mark.slow
def test_a_head_learns_and_scans_with_the_same_scores(prepared: Path, tmp_path: Path, settings: Params) -> None:
    params = params_for(settings, epochs=20, batch_size=16, learning_rate=0.01, one_cycle=False)
    folder = trained(params, prepared, tmp_path)
    model = models.load(folder)
    assert model.card.backbone is not None and model.card.input_size == tiny.SIDE
    assert model.network.count_params() < 5_000  # the folder holds no tower
    faces = scoring.face_logits(model, Shards(prepared / "shards" / "demo"), TEST, View.WHOLE)
    assert np.mean((faces["logit"] > 0) == (faces["label"] == FAKE)) > 0.9
    images = np.random.default_rng(1).integers(0, 256, (9, tiny.SIDE, tiny.SIDE, 3)).astype(np.uint8)
    chosen = scan_settings.read(params, (folder,), "whole")
    (member,) = backends.load(chosen).members
    np.testing.assert_allclose(member.scorer(32)(images), model.scorer(32)(images), atol=2e-3)
    for n in (0, 1):  # the same file alone, by the Python API
        assert (fauxscan.check(prepared / "m" / f"{n}.jpg", folder, faces="whole").logits["tiny"] > 0) == bool(n)


@pytest.mark.slow
def test_training_again_computes_no_features(
    prepared: Path, tmp_path: Path, settings: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    params = params_for(settings, epochs=2, batch_size=16, feature_epochs=2, augmentation={"flip": {}})
    trained(params, prepared, tmp_path / "first")
    monkeypatch.setattr(Runner, "_compute", None)
    again = trained(params, prepared, tmp_path / "second")
    assert models.read_card(again).model_digest == models.read_card(tmp_path / "first" / "model").model_digest


def test_a_scan_without_the_backbone_says_how_to_get_it(prepared: Path, tmp_path: Path, settings: Params) -> None:
    params = params_for(settings, epochs=1, batch_size=16)
    folder = trained(params, prepared, tmp_path)
    chosen = scan_settings.read(params, (folder,), "whole")
    store.remove("clip")
    with pytest.raises(ModelError, match="is not on this machine; fetch it once with `fauxscan models fetch"):
        backends.check(chosen)
    with pytest.raises(ModelError, match="is not on this machine"):
        trained(params, prepared, tmp_path / "again")
