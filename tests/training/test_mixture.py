"""Training on several datasets: what is fed, what is monitored, what the card says, how it is calibrated."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from support.preparing import made_faces, mix, save, shard_files, split_files

from fauxscan import models
from fauxscan.judging import publishing
from fauxscan.params import ModelParams, Params
from fauxscan.preparing.mixture.read import Mixture, open_mixture
from fauxscan.preparing.shards.read import Shards
from fauxscan.records import FAKE, REAL, TRAIN, VALIDATION, Example, Recipe, UserError, View
from fauxscan.training import fit
from fauxscan.training.checkpoints import Checkpointer
from fauxscan.training.data import inputs
from fauxscan.training.data.phases import subsets

MEMORY, MARGIN, SIZE = 1 << 30, 0.3, 32
FILES = {"large": 240, "small": 40, "reals": 30}
RED = {"large": 40, "small": 120, "reals": 200}  # an image tells its dataset


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory, settings: Params) -> Path:
    """A large and a small dataset, whose sources have the same names, and one of reals alone; fakes are greener."""
    home = tmp_path_factory.mktemp("mixture")
    for name, files in FILES.items():
        draw, examples = np.random.default_rng(files), []
        for n in range(files):
            label = FAKE if n % 4 == 0 and name != "reals" else REAL
            image = draw.integers(0, 200, (SIZE, SIZE, 3)).astype(np.uint8)
            image[..., 0], image[..., 1] = RED[name], image[..., 1] // 4 + (150 if label else 0)
            save(home / name / "m" / f"{n}.png", image)
            examples.append(Example(f"{n}.png", label, f"s{n}", ("gan", "swap")[n % 8 == 0] if label else None))
        made_faces(home / name, examples, "whole", settings)
        split_files(home / name, settings)
        shard_files(home / name, home / "shards" / name, settings, 25)
    return home


def params_for(settings: Params, *names: str, **recipe: object) -> Params:
    whole = {"batch_size": 16, "augmentation": {}, "epochs": 2, **recipe}
    model = ModelParams(detector="meso4", datasets=names, options={"size": SIZE}, recipe=whole, on_shared_source="warn")
    demo = settings.datasets["demo"].model_copy(update={"faces": "whole"})
    return settings.model_copy(update={"models": {"m": model}, "datasets": dict.fromkeys(FILES, demo)})


def mixture_of(prepared: Path, params: Params) -> Mixture:
    return open_mixture(*mix(prepared, "m", params))


def trained(prepared: Path, params: Params, home: Path) -> Checkpointer:
    made = [home / name for name in ("none", "checkpoint", "t", "plots")]
    return fit.train("m", params, *mix(prepared, "m", params), *made)


def dataset_of(images: NDArray[np.float32]) -> list[str]:
    return [min(RED, key=lambda name: abs(RED[name] - red)) for red in images[..., 0].mean((1, 2))]


def batches(prepared: Path, params: Params, seed: int = 1, after: int = 0, count: int | None = None):  # type: ignore[no-untyped-def]
    """Training batches, by default those of one epoch."""
    mixture, recipe = mixture_of(prepared, params), Recipe.model_validate(params.models["m"].recipe)
    (subset,) = subsets(mixture, View.WHOLE, recipe)
    made = inputs.training_batches(mixture, View.WHOLE, SIZE, recipe, seed, MEMORY, MARGIN, subset)
    return [(x.numpy(), y.numpy()[:, 0]) for x, y in made.after(after).take(made.epoch if count is None else count)]


def test_each_batch_is_balanced_by_label_and_dataset(prepared: Path, settings: Params) -> None:
    params = params_for(settings, "large", "small")
    made = batches(prepared, params)
    examples = sum(Shards(prepared / "shards" / name).size(TRAIN, View.WHOLE)[0] for name in ("large", "small"))
    assert len(made) == -(-examples // 16), "an epoch has as many batches as hold all examples"
    for images, labels in made:
        names = dataset_of(images)
        assert len(images) == 16 and labels.sum() == 8
        for label in (REAL, FAKE):
            count = Counter(name for name, own in zip(names, labels, strict=True) if own == label)
            assert abs(count["large"] - count["small"]) <= 2, count
        greener = images[..., 1].mean((1, 2)) > 130
        np.testing.assert_array_equal(greener, labels == FAKE)


def test_batches_follow_from_the_seed_and_resume_where_they_were(prepared: Path, settings: Params) -> None:
    params = params_for(settings, "large", "small")
    first = batches(prepared, params, count=30)
    for one, again in zip(first[20:], batches(prepared, params, after=20, count=10), strict=True):
        np.testing.assert_array_equal(one[0], again[0])
    other = batches(prepared, params, seed=2, count=1)
    assert np.abs(first[0][0] - other[0][0]).max() > 1


def test_reals_alone_may_be_one_of_the_datasets_and_self_blending_takes_reals_of_all(
    prepared: Path, settings: Params
) -> None:
    three = batches(prepared, params_for(settings, "large", "small", "reals"))
    count = Counter(name for images, labels in three for name in np.array(dataset_of(images))[labels == REAL])
    assert max(count.values()) - min(count.values()) <= 2
    blended = batches(prepared, params_for(settings, "large", "reals", self_blended=True), count=6)
    for images, labels in blended:
        np.testing.assert_array_equal(labels, [REAL, FAKE] * 8)
        names = dataset_of(images)
        assert names[0::2] == names[1::2]
        assert abs(Counter(names)["large"] - 8) <= 2


@pytest.mark.slow
def test_the_monitored_figure_is_the_mean_of_the_datasets(prepared: Path, settings: Params, tmp_path: Path) -> None:
    params = params_for(settings, "large", "small", epochs=1)
    trained(prepared, params, tmp_path)
    model = models.load(tmp_path / "t")
    network, (accuracies, losses) = model.network, ([], [])
    for name in ("large", "small"):
        data = inputs.validation(Shards(prepared / "shards" / name), View.WHOLE, SIZE, Recipe(batch_size=16), MEMORY)
        logits = np.concatenate([np.asarray(network(x, training=False)) for x, _ in data])[:, 0]
        labels = np.concatenate([y.numpy() for _, y in data])[:, 0]
        accuracies.append(((logits > 0) == labels).mean())
        losses.append(((labels - 1 / (1 + np.exp(-logits))) ** 2).mean())  # MesoNet's loss
    assert model.card.figures["val_accuracy"] == pytest.approx(np.mean(accuracies), abs=1e-5)
    assert model.card.figures["val_loss"] == pytest.approx(np.mean(losses), abs=1e-5)


@pytest.mark.slow
def test_the_card_lists_all_datasets_and_calibration_tells_their_sources_apart(
    prepared: Path, settings: Params, tmp_path: Path
) -> None:
    params = params_for(settings, "small", "large", featurewise=True, class_weights="balanced")
    trained(prepared, params, tmp_path)
    guarded = params.calibrate.model_copy(update={"guard_band": True})
    publishing.calibrate(tmp_path / "t", *mix(prepared, "m", params), tmp_path / "model", guarded, 32)
    card = models.read_card(tmp_path / "model")
    assert card.trained_on.dataset == "large+small" and card.trained_on.proof_of_machinery
    assert [(one.name, one.share) for one in card.trained_on.datasets] == [("large", 1), ("small", 1)]
    for one in card.trained_on.datasets:
        assert one.split_digest == Shards(prepared / "shards" / one.name).manifest.split_digest
    assert "large: " in card.licence and "small: " in card.licence
    logits = pd.read_parquet(tmp_path / "model" / "validation.parquet")
    counts = [Shards(prepared / "shards" / name).count_labels(VALIDATION, View.WHOLE) for name in ("large", "small")]
    assert len(logits) == np.sum(counts) == logits["source"].nunique()
    assert {name.partition("/")[0] for name in logits["source"]} == {"large", "small"}
    assert (logits["source"].str.partition("/")[0] == logits["dataset"]).all()
    assert (logits["reencoded"] != logits["logit"]).any()
    assert card.calibration is not None and card.calibration.fakes == sum(fakes for _, fakes in counts)
    red = card.options["featurewise"]["mean"][0]
    assert red == pytest.approx((RED["large"] + RED["small"]) / 2, abs=3), "as balanced as the batches are"


@pytest.mark.slow
def test_no_model_is_calibrated_on_a_dataset_that_is_left_out(prepared: Path, settings: Params, tmp_path: Path) -> None:
    params = params_for(settings, "small", "large")
    trained(prepared, params, tmp_path)
    mixed = mix(prepared, "m", params)
    one, both = (params.calibrate.model_copy(update={"left_out": names}) for names in (("large",), ("small", "large")))
    publishing.calibrate(tmp_path / "t", *mixed, tmp_path / "model", one, 32)
    logits = pd.read_parquet(tmp_path / "model" / "validation.parquet")
    assert set(logits["dataset"]) == {"small"}
    assert models.read_card(tmp_path / "model").calibration.reals == (logits["label"] == 0).sum()
    with pytest.raises(UserError, match="names all datasets of m: leave one"):
        publishing.calibrate(tmp_path / "t", *mixed, tmp_path / "other", both, 32)


def test_phases_name_sources_of_a_dataset(prepared: Path, settings: Params) -> None:
    phase = {"epochs": 1, "learning_rate": 0.1}
    phases = [{**phase, "sources": ["large/*", "small/s1*"]}, phase]
    params = params_for(settings, "large", "small", phases=phases)
    mixture, recipe = mixture_of(prepared, params), Recipe.model_validate(params.models["m"].recipe)
    some, every = subsets(mixture, View.WHOLE, recipe)
    assert every.sources is None and some.sources is not None
    assert {name for name in some.sources if name.startswith("small/")} == {
        f"small/{name}"
        for name in Shards(prepared / "shards" / "small").count_sources(TRAIN, View.WHOLE)
        if name.startswith("s1")
    }
    made = inputs.training_batches(mixture, View.WHOLE, SIZE, recipe, 1, MEMORY, MARGIN, some)
    for images, _ in made.after(0).take(3):
        assert set(dataset_of(images.numpy())) == {"large", "small"}
    wrong = [{**phase, "sources": ["s1*"]}]
    with pytest.raises(UserError, match=r"matches 's1\*'; there are \d+, such as large/"):
        subsets(mixture, View.WHOLE, Recipe(phases=wrong))


@pytest.mark.slow
def test_a_killed_training_on_several_datasets_resumes_with_the_next_batches(
    prepared: Path, tmp_path: Path, settings: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    params, written, made = (
        params_for(settings, "large", "small", epochs=3),
        Checkpointer._write,
        inputs.training_batches,
    )
    started: list[float] = []

    def noted(*arguments: object, **named: object) -> inputs.Batches:
        batches = made(*arguments, **named)  # type: ignore[arg-type]
        return replace(batches, after=lambda done: started.append(done / batches.epoch) or batches.after(done))

    def killed_after_two(self: Checkpointer) -> None:
        written(self)
        if len(self.history) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(inputs, "training_batches", noted)
    monkeypatch.setattr(Checkpointer, "_write", killed_after_two)
    with pytest.raises(KeyboardInterrupt):
        trained(prepared, params, tmp_path)
    monkeypatch.setattr(Checkpointer, "_write", written)
    assert len(trained(prepared, params, tmp_path).history) == 3
    assert started == [0, 2], "the batches of two epochs are not seen again"
