"""Phases that train on a part of the training split: only the right sources are seen, through a kill, too."""

import gc
import weakref
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from support.preparing import made_faces, mix, save, shard_files, split_files

from fauxscan import models
from fauxscan.params import ModelParams, Params
from fauxscan.preparing.mixture.read import open_mixture
from fauxscan.preparing.shards.read import Shards
from fauxscan.records import TRAIN, Example, Recipe, UserError, View
from fauxscan.training import fit, losses
from fauxscan.training.checkpoints import Checkpointer
from fauxscan.training.data import inputs
from fauxscan.training.data.phases import subsets

KINDS = ("cat", "dog", "person", "car")
STEP = 50  # levels of red between two kinds: an image tells its source
BLOCKS = [
    {"epochs": 2, "learning_rate": 0.01, "sources": ["progan/cat/*", "progan/dog/*"]},
    {"epochs": 2, "learning_rate": 0.01, "sources": ["progan/person/*", "progan/car/*"]},
    {"epochs": 1, "learning_rate": 0.01},
]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory, settings: Params) -> Path:
    """Shards of 25 reals and 25 fakes of each kind; red says the kind, the rest is noise."""
    folder = tmp_path_factory.mktemp("phases")
    examples, draw = [], np.random.default_rng(0)
    for n in range(200):
        kind = n // 50
        image = draw.integers(0, 256, (32, 32, 3)).astype(np.uint8)
        image[..., 0] = 25 + STEP * kind
        save(folder / "m" / f"{n}.png", image)
        examples.append(Example(f"{n}.png", n % 2, f"progan/{KINDS[kind]}/{n:05}", "progan" if n % 2 else None))
    made_faces(folder, examples, "whole", settings)
    split_files(folder, settings)
    shard_files(folder, folder / "shards" / "demo", settings, 30)
    return folder


def params_for(settings: Params, phases: list[dict[str, object]], **recipe: object) -> Params:
    whole = {"batch_size": 8, "augmentation": {}, "phases": phases, **recipe}
    model = ModelParams(detector="meso4", dataset="demo", options={"size": 32}, recipe=whole)
    dataset = settings.datasets["demo"].model_copy(update={"faces": "whole"})
    return settings.model_copy(update={"models": {"tiny": model}, "datasets": {"demo": dataset}})


def trained(params: Params, prepared: Path, home: Path) -> None:
    made = [home / name for name in ("none", "checkpoint", "t", "plots")]
    fit.train("tiny", params, *mix(prepared, "tiny", params), *made)


def kinds_of(images: np.ndarray) -> list[str]:
    return [KINDS[round((red - 25) / STEP)] for red in images[..., 0].mean((1, 2))]


def there(prepared: Path) -> Counter[str]:
    """The training examples of each kind, as the index has them."""
    found: Counter[str] = Counter()
    for source, counts in Shards(prepared / "shards" / "demo").count_sources(TRAIN, View.WHOLE).items():
        found[source.split("/")[1]] += sum(counts)
    return found


@pytest.mark.parametrize("memory", [1 << 30, 600_000, 0])  # kept decoded, encoded, not at all
def test_a_subset_holds_its_sources_each_once_an_epoch(prepared: Path, memory: int, settings: Params) -> None:
    recipe, all_of_them = Recipe(batch_size=8, phases=BLOCKS), there(prepared)
    mixture = open_mixture(*mix(prepared, "tiny", params_for(settings, BLOCKS)))
    of_phase, shards = subsets(mixture, View.WHOLE, recipe), mixture.shards["demo"]
    for subset, kinds in zip(of_phase, (("cat", "dog"), ("person", "car"), KINDS), strict=True):
        data = inputs.training(shards, View.WHOLE, 32, recipe, 1, memory, subset=subset)
        for _ in range(2):
            batches = [(images.numpy(), labels.numpy()) for images, labels in data]
            assert Counter(kind for images, _ in batches for kind in kinds_of(images)) == {
                kind: all_of_them[kind] for kind in kinds
            }
            labels = np.concatenate([labels for _, labels in batches])
            assert (len(labels) - labels.sum(), labels.sum()) == (subset.reals, subset.fakes)
            assert len(batches) == len(data)


def test_one_subset_at_a_time_is_cached(prepared: Path, settings: Params) -> None:
    params = params_for(settings, [*BLOCKS[:1], *BLOCKS[:1], *BLOCKS[1:]])
    job = fit._job("tiny", params, open_mixture(*mix(prepared, "tiny", params)), prepared)
    data = fit._data(job, 32)
    first, again, other, _ = data.subsets
    kept = weakref.ref(data.training(first))
    assert data.training(again) is kept(), "the cache of a subset serves all phases in a row that have it"
    data.training(other)
    gc.collect()
    assert kept() is None


def watch(monkeypatch: pytest.MonkeyPatch) -> dict[int, set[str]]:
    """What was fed to the network: by the number of sources that the subset names, the kinds that came."""
    seen: dict[int, set[str]] = {}
    made = inputs.training

    def watched(*arguments: object, **named: object) -> tf.data.Dataset:
        data = made(*arguments, **named)
        kinds = seen.setdefault(len(arguments[-1].sources or ()), set())
        noting = tf.data.Dataset.map(
            data, lambda x, y: (tf.numpy_function(lambda x: (kinds.update(kinds_of(x)), x)[1], [x], tf.float32), y)
        )
        noting = noting.map(lambda x, y: (tf.ensure_shape(x, (None, 32, 32, 3)), y))
        return noting.apply(tf.data.experimental.assert_cardinality(len(data)))

    monkeypatch.setattr(inputs, "training", watched)
    return seen


@pytest.mark.slow
def test_each_phase_sees_its_sources_through_a_kill(
    prepared: Path, tmp_path: Path, settings: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen, written = watch(monkeypatch), Checkpointer._write
    cats_and_dogs, persons_and_cars = (
        len(
            {
                name
                for name in Shards(prepared / "shards" / "demo").count_sources(TRAIN, View.WHOLE)
                if name.split("/")[1] in kinds
            }
        )
        for kinds in (("cat", "dog"), ("person", "car"))
    )

    def killed_after_three(self: Checkpointer) -> None:
        written(self)
        if len(self.history) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(Checkpointer, "_write", killed_after_three)
    with pytest.raises(KeyboardInterrupt):
        trained(params_for(settings, BLOCKS), prepared, tmp_path)
    assert seen == {cats_and_dogs: {"cat", "dog"}, persons_and_cars: {"person", "car"}}
    seen.clear()
    monkeypatch.setattr(Checkpointer, "_write", written)
    trained(params_for(settings, BLOCKS), prepared, tmp_path)
    assert seen == {persons_and_cars: {"person", "car"}, 0: set(KINDS)}
    (curve,) = (tmp_path / "plots").rglob("val_loss.tsv")
    assert len(curve.read_text().splitlines()) == 1 + 5
    recipe = models.read_card(tmp_path / "t").recipe
    assert recipe and [phase.sources for phase in recipe.phases] == [tuple(b.get("sources", ())) for b in BLOCKS]


def test_a_pattern_that_matches_nothing_names_its_phase(prepared: Path, tmp_path: Path, settings: Params) -> None:
    phases = [*BLOCKS[:1], {"epochs": 1, "learning_rate": 0.1, "sources": ["progan/cat/*", "progan/Horse/*"]}]
    with pytest.raises(UserError, match=r"phase 2: .* matches 'progan/Horse/\*'; there are \d+, such as progan/car/"):
        trained(params_for(settings, phases), prepared, tmp_path)
    assert not (tmp_path / "plots").exists(), "it is said before anything is trained"


def test_balanced_classes_take_both() -> None:
    with pytest.raises(UserError, match="there are 0 and 7"):
        losses.loss(Recipe(class_weights="balanced"), 0, 7)
