"""The evaluation that a model implies: on each dataset that it was trained on, if that can be tested on."""

import json
import logging
from pathlib import Path

import pandas as pd
import pytest
from support.preparing import made_faces, mix, picture, save, shard_files, split_files
from support.scanning import save_model

from fauxscan.judging import evaluation
from fauxscan.params import ModelParams, Params
from fauxscan.records import FAKE, TEST, TRAIN, Example, View
from fauxscan.reporting import tables


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, settings: Params) -> Path:
    """Return a folder with an untrained model, and the shards of datasets of which `c` has no fakes to test on."""
    home = tmp_path_factory.mktemp("evaluations")
    save_model(home / "models" / "mine", "meso4", 1, View.WHOLE)
    for first, name in enumerate("abc"):
        examples = [Example(f"{n}.png", n % 2, f"{name}{n}", "made" if n % 2 else None) for n in range(24)]
        for n in range(24):
            save(home / name / "m" / f"{n}.png", picture(1000 * first + n, 32))
        made_faces(home / name, examples, "whole", settings)
        split_files(home / name, settings)
        if name == "c":
            _move_test_fakes_to_training(home / name / "split.parquet")
        shard_files(home / name, home / "shards" / name, settings)
    return home


def _move_test_fakes_to_training(file: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pq.read_table(file)
    split = table.to_pandas()
    split.loc[(split["split"] == TEST) & (split["label"] == FAKE), "split"] = TRAIN
    pq.write_table(pa.Table.from_pandas(split, table.schema, preserve_index=False), file)


def evaluated(home: Path, out: Path, settings: Params, *names: str) -> Path:
    """Evaluate the model on the datasets that it is said to be trained on, and return the folder of evaluations."""
    model = ModelParams(detector="meso4", datasets=names)
    trained = settings.model_copy(update={"models": {"mine": model}})
    small = settings.evaluate.model_copy(update={"bootstrap": 10, "jpeg_qualities": ()})
    evaluation.evaluate_model(home / "models" / "mine", *mix(home, "mine", trained), out / "mine", small, 1)
    return out


def test_a_model_is_evaluated_on_each_dataset_it_is_trained_on(home: Path, tmp_path: Path, settings: Params) -> None:
    out = evaluated(home, tmp_path, settings, "a", "b")
    table = tables.join(out, ["mine"], "figures.parquet")
    pairs = {"a": "mine-a", "b": "mine-b"}
    assert dict(zip(table["dataset"], table["evaluation"], strict=True)) == pairs
    assert set(table["model"]) == {"mine"}
    scores = tables.join(out, ["mine"], "scores.parquet")
    files = scores[scores["unit"] == "media"].groupby("evaluation").size()
    assert dict(files) == {
        name: overall["reals"] + overall["fakes"]
        for name, overall in tables.headline(table).set_index("evaluation").to_dict("index").items()
    }
    metrics = json.loads((out / "mine" / "metrics.json").read_text(encoding="utf-8"))
    assert set(metrics) == {"a", "b"} and "auc" in metrics["a"]["media"]
    verdicts = scores[(scores["unit"] == "media") & (scores["evaluation"] == "mine-a")]["verdict"]
    assert metrics["a"]["media"]["coverage"] == pytest.approx((verdicts != "uncertain").mean(), abs=1e-4)
    assert scores[scores["unit"] != "media"]["verdict"].isna().all() and "coverage" not in metrics["a"]["source"]
    assert table[table["unit"] != "media"]["coverage"].isna().all()


def test_a_dataset_without_fakes_to_test_on_is_left_out_and_named(
    home: Path, tmp_path: Path, settings: Params, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        out = evaluated(home, tmp_path, settings, "a", "c")
    assert set(tables.join(out, ["mine"], "figures.parquet")["evaluation"]) == {"mine-a"}
    (said,) = [record.getMessage() for record in caplog.records if record.name == evaluation.__name__]
    assert said.startswith("mine is not evaluated on c: the test split of ") and said.endswith(" reals and 0 fakes")


def test_a_model_that_cannot_be_evaluated_has_no_rows(home: Path, tmp_path: Path, settings: Params) -> None:
    out = evaluated(home, tmp_path, settings, "c")
    with pytest.raises(tables.UserError, match=r"no figures\.parquet in .* has any row: in `evaluations`"):
        tables.join(out, ["mine"], "figures.parquet")
    pd.DataFrame({"evaluation": ["other"]}).to_parquet(tmp_path / "mine" / "figures.parquet")
    assert list(tables.join(out, ["mine"], "figures.parquet")["evaluation"]) == ["other"]
