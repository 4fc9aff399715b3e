"""What models are given: aligned crops of faces, or an image as it is where it is itself a face crop."""

import shutil
import zipfile
from collections import Counter
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from skimage import data
from sklearn.metrics import roc_auc_score
from support.scanning import encoded, stub_engine, tiny_params, write_clip

from fauxscan.params import Params
from fauxscan.records import REAL, Framing
from fauxscan.scanning import scan, settings
from fauxscan.scanning.engine.engine import Engine
from fauxscan.scanning.tables import parquet, queries, schemas
from fauxscan.weights import importing


def scores(results: Path) -> dict[str, list[dict[str, Any]]]:
    """Return the rows of `scores` of each file name."""
    rows = parquet.read(results, schemas.SCORES).to_pylist()
    media = queries.latest(results).to_pylist()
    return {row["path"]: [one for one in rows if one["sha256"] == row["sha256"]] for row in media}


def scanned(folder: Path, mode: Framing = "auto") -> dict[str, list[dict[str, Any]]]:
    results = folder.parent / f"results-{folder.name}-{mode}"
    scan.scan(folder, results, stub_engine(folder.parent / "models", mode=mode))
    return scores(results)


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    """Return a folder with a photograph, a close crop of its face, a copy of the crop, and a clip."""
    folder = tmp_path / "mixed"
    folder.mkdir()
    (folder / "photo.png").write_bytes(encoded(data.astronaut(), "PNG"))
    (folder / "crop.png").write_bytes(encoded(data.astronaut()[70:190, 165:275], "PNG"))
    shutil.copy(folder / "crop.png", folder / "copy.png")
    write_clip(folder / "clip.mp4", frames=10)
    return folder


def framings(rows: list[dict[str, Any]]) -> dict[str, set[str]]:
    return {model: {row["framing"] for row in rows if row["model"] == model} for model in ("faces", "wholes")}


def test_a_face_crop_is_given_whole_and_faces_are_cut_out_of_other_images(mixed: Path) -> None:
    found = scanned(mixed)
    assert framings(found["photo.png"]) == framings(found["clip.mp4"]) == {"faces": {"aligned"}, "wholes": {"whole"}}
    assert framings(found["crop.png"]) == {"faces": {"whole"}, "wholes": {"whole"}}
    assert all(row["face"] is None and row["x"] is None for row in found["crop.png"])
    assert found["copy.png"] == found["crop.png"]


def test_the_same_bytes_get_the_same_rows_alone_and_in_a_mixed_folder(mixed: Path, tmp_path: Path) -> None:
    together = scanned(mixed)
    for name in ("photo.png", "crop.png"):
        alone = tmp_path / name.partition(".")[0]
        alone.mkdir()
        shutil.copy(mixed / name, alone)
        assert scanned(alone) == {name: together[name]}


def test_the_other_modes_treat_all_images_alike(mixed: Path) -> None:
    logits = {}
    for mode in ("auto", "detect", "whole"):
        found = scanned(mixed, mode)  # type: ignore[arg-type]
        wanted = {"detect": "aligned", "whole": "whole"}
        if mode in wanted:
            given = {row["framing"] for rows in found.values() for row in rows if row["model"] == "faces"}
            assert given == {wanted[mode]}
        logits[mode] = {name: [row["logit"] for row in rows if row["model"] == "faces"] for name, rows in found.items()}
    assert logits["auto"]["crop.png"] == logits["whole"]["crop.png"] != logits["detect"]["crop.png"]
    assert logits["auto"]["photo.png"] == logits["detect"]["photo.png"] != logits["whole"]["photo.png"]


# === Real data ===


def judged(folder: Path, model: Path, params: Params, mode: Framing, results: Path) -> pd.DataFrame:
    """Return the current rows of a scan, with the logit and framing of each file's only score."""
    scan.scan(folder, results, Engine(settings.read(params, [model], mode)))
    rows = parquet.read(results, schemas.SCORES).to_pandas().drop_duplicates("sha256")[["sha256", "framing"]]
    return queries.latest(results).to_pandas().merge(rows, on="sha256", how="left")


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_crops_of_the_mesonet_part_score_as_whole_images_do(real_data: Path, tmp_path: Path) -> None:
    params = tiny_params(engine="openvino", batch_files=64, batch_faces=32)
    with zipfile.ZipFile(real_data / "mesonet_weights" / "mesonet_weights.zip") as archive:
        archive.extract(next(name for name in archive.namelist() if name.endswith("Meso4_DF.h5")), tmp_path)
    (weights,) = tmp_path.rglob("Meso4_DF.h5")
    importing.import_weights(weights, tmp_path / "meso4", "meso4", {}, REAL, params.faces)
    with zipfile.ZipFile(real_data / "deepfake_database" / "validation-part.zip") as archive:
        archive.extractall(tmp_path / "frames")
    auc = {}
    for mode in ("auto", "whole"):
        rows = judged(tmp_path / "frames", tmp_path / "meso4", params, mode, tmp_path / mode)  # type: ignore[arg-type]
        assert len(rows) == 1779 and (rows["status"] == "ok").mean() >= 0.99
        fake = rows["path"].str.contains("df/") | rows["path"].str.startswith("df")
        assert 0 < fake.sum() < len(rows)
        auc[mode] = roc_auc_score(fake, rows["p_fake"].fillna(0.5))
    assert auc["whole"] > 0.9 and auc["auto"] == pytest.approx(auc["whole"], abs=0.01), auc


@pytest.mark.slow
def test_photographs_are_still_searched_for_faces(real_data: Path, tmp_path: Path) -> None:
    stub = stub_engine(tmp_path / "models", only="faces")
    with zipfile.ZipFile(real_data / "portraits" / "men_photos.zip") as archive:
        for name in archive.namelist()[:60]:
            archive.extract(name, tmp_path / "men")
    scan.scan(tmp_path / "men", tmp_path / "results", stub)
    count = Counter(rows[0]["framing"] for rows in scores(tmp_path / "results").values() if rows)
    assert count["aligned"] > 40 and count["whole"] < 0.1 * count["aligned"]
