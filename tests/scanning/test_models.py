"""The scan with real, if untrained, networks: the same bits however it is batched, and the library's own logits."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from support.scanning import save_model, tiny_params, union, write_folder

from fauxscan import models
from fauxscan.media.images import codec, pixels
from fauxscan.records import View
from fauxscan.scanning import scan, score_folder, settings
from fauxscan.scanning.engine.engine import Engine
from fauxscan.scanning.tables import parquet, queries, schemas

pytest_plugins = ["support.scanning_models"]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a file of every kind."""
    return write_folder(tmp_path_factory.mktemp("real") / "in")


@pytest.mark.parametrize("engine", ["tensorflow", "openvino"])
def test_scores_are_the_same_bits_however_files_are_batched(
    root: Path, tmp_path: Path, tiny_models: list[Path], engine: str
) -> None:
    unions = []
    for batch_files, workers in ((1, 1), (7, 4)):
        numbers = tiny_params(batch_files=batch_files, workers=workers, engine=engine)
        options = settings.read(numbers, tiny_models)
        scan.scan(root, tmp_path / str(batch_files), Engine(options))
        unions.append(union(tmp_path / str(batch_files)))
    assert unions[0] == unions[1]
    judged = [row["p_fake"] for row in unions[0][0] if row["status"] == "ok"]
    assert len({round(p_fake, 6) for p_fake in judged}) > 5  # the networks do tell files apart


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["tensorflow", "openvino"])
def test_the_batch_size_of_the_network_moves_scores_by_rounding_alone(
    root: Path, tmp_path: Path, tiny_models: list[Path], engine: str
) -> None:
    found = []
    for batch_faces in (1, 7, 64):
        options = settings.read(tiny_params(batch_faces=batch_faces, engine=engine), tiny_models)
        scan.scan(root, tmp_path / str(batch_faces), Engine(options))
        found.append([row["p_fake"] for row in union(tmp_path / str(batch_faces))[0] if row["p_fake"] is not None])
    assert len(found[0]) == 10
    assert found[1] == pytest.approx(found[0], abs=1e-5)
    assert found[2] == pytest.approx(found[0], abs=1e-5)


def test_a_logit_in_the_tables_is_that_of_the_library(root: Path, tmp_path: Path, tiny_models: list[Path]) -> None:
    model = models.load(tiny_models[1])
    image = codec.decode((root / "a" / "cat.png").read_bytes(), "png", 10**8)
    (expected,) = model.scorer(4)(pixels.resize(image, 64)[None])
    scan.scan(root / "a", tmp_path / "results", Engine(settings.read(tiny_params(), tiny_models[1:])))
    media = {row["path"]: row for row in parquet.read(tmp_path / "results", schemas.MEDIA).to_pylist()}
    scores = {row["sha256"]: row for row in parquet.read(tmp_path / "results", schemas.SCORES).to_pylist()}
    row = scores[media["cat.png"]["sha256"]]
    assert np.float32(row["logit"]) == expected
    assert row["model_digest"] == model.card.model_digest


def test_weights_that_are_no_numbers_give_invalid_scores(root: Path, tmp_path: Path) -> None:
    spoilt = save_model(tmp_path / "spoilt", "meso4", 3, View.WHOLE, spoil=True)
    summary = scan.scan(root / "a", tmp_path / "results", Engine(settings.read(tiny_params(), [spoilt])))
    assert (summary.statuses["invalid_score"], summary.statuses["ok"]) == (4, 0)
    assert set(queries.latest(tmp_path / "results")["p_fake"].to_pylist()) == {None}
    assert set(parquet.read(tmp_path / "results", schemas.SCORES)["logit"].to_pylist()) == {None}


def test_a_directory_for_the_dag_is_the_scan_without_its_run_and_the_same_bytes_each_time(
    root: Path, tmp_path: Path, tiny_models: list[Path]
) -> None:
    for out in ("one", "two"):
        score_folder.score_folder(root, tiny_models, tiny_params(), tmp_path / out)
    for name in ("media", "scores"):
        assert (tmp_path / "one" / f"{name}.parquet").read_bytes() == (
            tmp_path / "two" / f"{name}.parquet"
        ).read_bytes()
    assert sorted(path.name for path in (tmp_path / "one").iterdir()) == ["media.parquet", "scores.parquet"]
    media = pq.read_table(tmp_path / "one" / "media.parquet")
    assert media.column_names == [
        name for name in schemas.MEDIA.names if name not in ("run_id", "root", "mtime_ns", "etag")
    ]
    scan.scan(root, tmp_path / "results", Engine(settings.read(tiny_params(), tiny_models)))
    latest = queries.latest(tmp_path / "results").select(["path", "p_fake"]).to_pylist()
    assert media.select(["path", "p_fake"]).to_pylist() == latest
