"""Which folder may hold results: none that is scanned itself, and none with other files."""

import shutil
from pathlib import Path

import pytest
from support import ROOT
from support.scanning import stub_engine, write_many

from fauxscan.records import UserError
from fauxscan.scanning import dry_run, scan
from fauxscan.scanning.tables import parquet, queries

GOLDEN = ROOT / "tests" / "golden" / "b7ea7d3" / "results"


def paths(results: Path) -> list[str]:
    """Return the paths in the tables."""
    found: list[str] = queries.latest(results)["path"].to_pylist()
    return found


def refused(root: Path, results: Path, said: str) -> None:
    """Assert that a scan and a dry run are refused, and that they write nothing."""
    before = sorted(results.parent.rglob("*"))
    engine = stub_engine(results.parent.with_name("models"))
    with pytest.raises(UserError, match=said):
        scan.scan(root, results, engine)
    with pytest.raises(UserError, match=said):
        dry_run.forecast(root, results, engine.settings)
    assert sorted(results.parent.rglob("*")) == before


def test_the_scanned_folder_is_refused_and_a_folder_in_it_is_skipped(tmp_path: Path) -> None:
    root = write_many(tmp_path / "in", 8)
    refused(root, root, "in is the folder to scan, .* for example .*/in/results, which the scan skips")
    (tmp_path / "link").symlink_to(root)
    refused(tmp_path / "link", root, "is the folder to scan")
    for _ in range(2):
        scan.scan(root, root / "results", stub_engine(tmp_path / "models"))
        assert paths(root / "results") == [f"{number:03d}.png" for number in range(8)]


def test_tables_are_not_scanned_into_themselves(tmp_path: Path) -> None:
    results, engine = tmp_path / "results", stub_engine(tmp_path / "models")
    scan.scan(write_many(tmp_path / "in", 8), results, engine)
    refused(results, results, "is the folder to scan")
    refused(results / "media", results, "media holds the tables of .*/results: name a folder of images")


def test_results_above_the_scanned_folder_are_continued_but_not_begun(tmp_path: Path) -> None:
    home, engine = tmp_path / "home", stub_engine(tmp_path / "models")
    home.mkdir()
    with parquet.locked(home):  # tables that were begun before the folder had anything else in it
        pass
    scan.scan(write_many(home / "in", 8), home, engine)
    assert len(paths(home)) == 8
    shutil.rmtree(home / "runs")
    refused(home / "in", home, "home is not a results folder: it has no tables, but other files")


@pytest.mark.parametrize("name", ["card.json", "faces/001.jpg", "other/file.txt"])
def test_a_folder_of_other_files_is_refused(tmp_path: Path, name: str) -> None:
    foreign = tmp_path / "foreign"
    (foreign / name).parent.mkdir(parents=True)
    (foreign / name).touch()
    (foreign / "media").mkdir()
    refused(write_many(tmp_path / "in", 8), foreign, f"such as '{name.partition('/')[0]}'. Name a new or empty folder")


@pytest.mark.parametrize("left", [(), ("lost+found",), (".DS_Store", ".snapshot/"), ("runs/",), ("staging/", "media/")])
def test_an_empty_folder_is_accepted_whatever_systems_and_killed_scans_leave_in_it(
    tmp_path: Path, left: tuple[str, ...]
) -> None:
    results = tmp_path / "results"
    results.mkdir()
    for name in left:
        (results / name).mkdir() if name.endswith("/") else (results / name).touch()
    scan.scan(write_many(tmp_path / "in", 8), results, stub_engine(tmp_path / "models"))
    assert len(paths(results)) == 8


@pytest.mark.parametrize("version", ["models", "ensemble"])
def test_results_of_an_earlier_version_are_accepted(tmp_path: Path, version: str) -> None:
    results = shutil.copytree(GOLDEN / version, tmp_path / "results")
    (results / "notes.txt").touch()  # someone's own file beside the tables
    earlier = len(paths(results))
    scan.scan(write_many(tmp_path / "in", 8), results, stub_engine(tmp_path / "models"))
    assert len(paths(results)) == earlier + 8
