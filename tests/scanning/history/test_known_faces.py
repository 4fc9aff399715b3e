"""Faces that were found are not looked for again: other models get the very same crops, for a stated time."""

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from support.scanning import stub_engine, union, write_clip, write_folder

from fauxscan.media.faces.finder import FaceFinder
from fauxscan.scanning import scan
from fauxscan.scanning.history import known_faces
from fauxscan.scanning.settings import Settings
from fauxscan.scanning.tables import parquet, queries, schemas


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return a folder of every kind of file, and a clip of many frames."""
    write_folder(tmp_path / "in")
    write_clip(tmp_path / "in" / "long.mp4", frames=80)
    return tmp_path / "in"


def searches(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Return a list that grows with each search for faces."""
    found: list[Any] = []
    really = FaceFinder._detect
    counted = lambda self, image, *how: found.append(image.shape) or really(self, image, *how)
    monkeypatch.setattr(FaceFinder, "_detect", counted)
    return found


def test_another_model_gets_the_faces_found_before_and_the_same_scores(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = stub_engine(tmp_path / "models", size=64), stub_engine(tmp_path / "others", size=96)
    assert one.settings.digest != other.settings.digest
    scan.scan(root, tmp_path / "results", one)
    shutil.copytree(tmp_path / "results", tmp_path / "forgotten")
    for part in (tmp_path / "forgotten" / "faces").iterdir():
        part.unlink()
    searched = searches(monkeypatch)
    scan.scan(root, tmp_path / "results", other)
    assert all(min(shape[:2]) < 32 for shape in searched)  # too small to be judged, so nothing is kept of them
    searched.clear()
    scan.scan(root, tmp_path / "forgotten", other)
    assert len(searched) > 10
    assert union(tmp_path / "results") == union(tmp_path / "forgotten")


def test_faces_looked_for_in_another_way_are_not_taken(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scan.scan(root, tmp_path / "results", stub_engine(tmp_path / "models"))
    searched = searches(monkeypatch)
    scan.scan(root, tmp_path / "results", stub_engine(tmp_path / "models", media={"frames_per_second": 2.0}))
    assert len(searched) > 10


def test_no_pixel_is_kept_and_a_content_without_faces_is_known(root: Path, tmp_path: Path) -> None:
    engine = stub_engine(tmp_path / "models")
    scan.scan(root, tmp_path / "results", engine)
    faces = parquet.read(tmp_path / "results", schemas.FACES)
    assert faces.schema.names == schemas.FACES.names
    judged = {row["sha256"]: row["faces"] for row in queries.latest(tmp_path / "results").to_pylist() if row["p_fake"]}
    rows = faces.to_pylist()
    assert {row["sha256"] for row in rows} == set(judged)
    for sha256, count in judged.items():
        assert sum(row["sha256"] == sha256 and row["frame"] is not None for row in rows) == count
    known = known_faces.KnownFaces(tmp_path / "results", engine.settings.faces_digest)
    without = next(sha256 for sha256, count in judged.items() if count == 0)
    assert known.of_content(without) == {}
    assert known.of_content("0" * 64) is None


def test_what_was_found_long_ago_is_deleted_and_found_anew(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = tmp_path / "results"
    scan.scan(root, results, stub_engine(tmp_path / "models"))
    old = (datetime.now(UTC) - timedelta(days=91)).strftime("%Y%m%dT%H%M%S%f")
    for part in sorted((results / "faces").iterdir()):
        part.rename(part.with_name(f"{old}{part.name[len(old) :]}"))
    searched = searches(monkeypatch)
    scan.scan(root, results, stub_engine(tmp_path / "models", size=96))
    assert len(searched) > 10
    assert not any(file.name.startswith(old) for file in (results / "faces").iterdir())
    assert len(parquet.read(results, schemas.FACES)) > 0


def test_scans_of_whole_images_keep_no_faces(root: Path, tmp_path: Path) -> None:
    engine = stub_engine(tmp_path / "models", only="wholes")
    scan.scan(root, tmp_path / "results", engine)
    assert list((tmp_path / "results" / "faces").iterdir()) == []


def digest(tmp_path: Path, **options: Any) -> Settings:
    """Return settings."""
    return stub_engine(tmp_path / "models", **options).settings


def test_how_faces_are_cut_out_does_not_make_them_others(tmp_path: Path) -> None:
    assert digest(tmp_path).faces_digest == digest(tmp_path, only="faces", size=96).faces_digest
    assert digest(tmp_path).faces_digest != digest(tmp_path, media={"max_frames": 7}).faces_digest
