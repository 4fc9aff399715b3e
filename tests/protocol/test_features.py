"""The stage `features`: each row is the features of its own image, in all tiers, and nothing is computed twice."""

from pathlib import Path

import numpy as np
import pytest
from support import backbones as tiny
from support.preparing import made_faces, mix, picture, save, shard_files, split_files

from fauxscan.backbones import runner
from fauxscan.backbones.runner import Runner
from fauxscan.media.images import codec
from fauxscan.media.images.model_input import model_input
from fauxscan.params import HeadParams, ModelParams, Params, ProtocolParams
from fauxscan.preparing.shards.read import Shards
from fauxscan.protocol import features, stored, tiers
from fauxscan.records import TEST, TRAIN, Example, UserError, View


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, settings: Params) -> Path:
    """Shards of two datasets, several of each split, and a folder for a tiny backbone in place of CLIP's."""
    folder = tmp_path_factory.mktemp("protocol")
    for name, seed in (("a", 0), ("b", 1000)):
        made = [Example(f"{n}.jpg", n % 2, f"s{n}", f"of_{name}" if n % 2 else None) for n in range(24)]
        for n in range(24):
            save(folder / name / "m" / f"{n}.jpg", picture(seed + n, 48))
        made_faces(folder / name, made, "whole", settings)
        split_files(folder / name, settings)
        shard_files(folder / name, folder / "shards" / name, settings, 5)
    return folder


@pytest.fixture(autouse=True)
def backbone(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny.use(home, monkeypatch)


def params_for(settings: Params, **recipe: object) -> Params:
    datasets = {name: settings.datasets["demo"].model_copy(update={"faces": "whole"}) for name in "ab"}
    model = ModelParams(detector="clip_vit_b16", datasets=("a", "b"), recipe={"batch_size": 16, **recipe})
    protocols = {"p": ProtocolParams(model="tiny", heads={"default": HeadParams()})}
    return settings.model_copy(update={"models": {"tiny": model}, "datasets": datasets, "protocols": protocols})


def computed(home: Path, params: Params, out: Path) -> stored.Stored:
    features.compute("p", params, *mix(home, "tiny", params), out)
    return stored.read(out)


def test_each_row_has_the_features_of_its_image(home: Path, tmp_path: Path, settings: Params) -> None:
    found = computed(home, params_for(settings), tmp_path)
    assert found.card.versions == 1 and found.versions.dtype == np.float16
    assert set(found.held_out["split"]) == {"validation", "test"} and set(found.trained["split"]) == {TRAIN}
    assert len(found.trained) + len(found.held_out) == 48
    assert set(found.held_out["source"].str[:2]) == {"a/", "b/"}, "no two datasets share a source"
    for split, rows, arrays in (
        (TRAIN, found.trained, {"native": found.versions[0]}),
        (TEST, found.held_out, found.tiers),
    ):
        for example in Shards(home / "shards" / "b").examples(split, View.WHOLE):
            (place,) = np.flatnonzero((rows["sha256"] == example["sha256"]) & (rows["dataset"] == "b"))
            assert rows.loc[place, "label"] == example["label"] and rows.loc[place, "generator"] == example["generator"]
            image = codec.decode(example["image"], example["format"], 10_000)
            for tier, array in arrays.items():
                expected = runner.for_training("clip").features(model_input(tiers.TIERS[tier](image), tiny.SIDE)[None])
                np.testing.assert_allclose(array[place], expected[0], atol=0.05)  # decoders round in different ways


def test_augmented_versions_differ_and_a_second_run_computes_nothing(
    home: Path, tmp_path: Path, settings: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    params = params_for(settings, feature_epochs=2, augmentation={"brightness": {"factor": 0.3}})
    first = computed(home, params, tmp_path / "first")
    assert first.versions.shape == (2, len(first.trained), tiny.BLOCKS, tiny.WIDTH)
    assert np.abs(first.versions[0] - first.versions[1]).max() > 0.1
    monkeypatch.setattr(Runner, "_compute", None)  # which would fail if it were asked for features
    again = computed(home, params, tmp_path / "second")
    np.testing.assert_array_equal(first.versions, again.versions)
    assert first.card == again.card


def test_fakes_that_are_made_of_reals_have_no_generator_to_leave_out(
    home: Path, tmp_path: Path, settings: Params
) -> None:
    with pytest.raises(UserError, match="choose a model without `self_blended`"):
        computed(home, params_for(settings, self_blended=True), tmp_path)


def test_tiers_are_smaller_and_coarser() -> None:
    image = picture(1, 600)[:, :500]
    assert tiers.native(image) is image
    assert tiers.web(image).shape == (307, 256, 3) and tiers.hard(image).shape == (300, 250, 3)
    assert tiers.web(image[:100, :80]).shape == (100, 80, 3), "nothing is enlarged"
    detail = np.random.default_rng(0).integers(0, 256, (64, 64, 3)).astype(np.uint8)
    assert np.abs(tiers.web(detail).astype(int) - detail).mean() > 5
