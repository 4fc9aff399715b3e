"""What a second scan finds new: a word for each change, no row for what is unchanged, no judging of what is known."""

import importlib.util
import os
import shutil
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from support.scanning import stub_engine, union, write_folder, write_many

from fauxscan.records import Status, UserError
from fauxscan.scanning import scan
from fauxscan.scanning.engine.engine import Engine
from fauxscan.scanning.inputs import local
from fauxscan.scanning.tables import parquet, queries, schemas


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return a folder of twelve small images, the last five copies of the first."""
    return write_many(tmp_path / "in", 12)


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    """Return an engine over one stand-in that looks at whole images."""
    return stub_engine(tmp_path / "models", only="wholes")


def rows_of(results: Path, run_id: str) -> dict[str, dict[str, Any]]:
    """Return what a run wrote about each path."""
    media = parquet.read(results, schemas.MEDIA).to_pylist()
    return {row["path"]: row for row in media if row["run_id"] == run_id}


def changes(results: Path, run_id: str) -> dict[str, str]:
    """Return what a run called each path."""
    return {path: row["change"] for path, row in rows_of(results, run_id).items()}


def test_the_first_scan_calls_the_first_of_a_content_new_and_the_others_copies(root: Path, engine: Engine) -> None:
    results = root.parent / "results"
    summary = scan.scan(root, results, engine)
    assert summary.changes == {"new": 7, "copied": 5}
    scores = parquet.read(results, schemas.SCORES)
    assert len(scores) == len(set(scores["sha256"].to_pylist())) == 7


def test_an_unchanged_folder_gets_no_row_and_judges_nothing(root: Path, engine: Engine) -> None:
    results = root.parent / "results"
    scan.scan(root, results, engine)
    refuse = lambda folders: pytest.fail("the models were loaded")
    summary = scan.scan(root, results, Engine(engine.settings, refuse))
    assert (summary.changes, summary.unchanged, summary.unjudged) == ({}, 12, 0)
    assert rows_of(results, summary.run_id) == {}
    assert (
        summary.verdicts["uncertain"] + summary.verdicts["no_indication"] + summary.verdicts["likely_synthetic"] == 12
    )


def test_changed_moved_copied_removed_and_new(root: Path, engine: Engine) -> None:
    results = root.parent / "results"
    scan.scan(root, results, engine)
    before = {row["path"]: row for row in queries.latest(results).to_pylist()}
    (root / "000.png").write_bytes((root / "000.png").read_bytes()[:-30])
    (root / "sub").mkdir()
    (root / "003.png").rename(root / "sub" / "moved.png")
    shutil.copy2(root / "004.png", root / "copy.png")
    (root / "005.png").unlink()
    (root / "006.png").write_bytes((root / "002.png").read_bytes())
    summary = scan.scan(root, results, engine)
    assert changes(results, summary.run_id) == {
        "000.png": "changed",
        "003.png": "removed",
        "sub/moved.png": "moved",
        "copy.png": "copied",
        "005.png": "removed",
        "006.png": "changed",
    }
    after = {row["path"]: row for row in queries.latest(results).to_pylist()}
    assert set(after) == set(before) - {"003.png", "005.png"} | {"sub/moved.png", "copy.png"}
    assert after["sub/moved.png"]["p_fake"] == before["003.png"]["p_fake"]
    assert after["006.png"]["p_fake"] == before["002.png"]["p_fake"]
    assert after["000.png"]["status"] == "truncated"


def test_moves_and_copies_are_not_judged_again(root: Path, engine: Engine) -> None:
    results = root.parent / "results"
    scan.scan(root, results, engine)
    root.rename(root.parent / "aside")
    shutil.copytree(root.parent / "aside", root / "deep" / "er")
    refuse = lambda folders: pytest.fail("the models were loaded")
    summary = scan.scan(root, results, Engine(engine.settings, refuse))
    assert summary.changes == {"moved": 12}
    assert scan.scan(root, results, engine).changes == {}


@pytest.mark.parametrize("batch_files", [1, 100])
def test_a_file_moves_to_one_place_and_is_copied_to_the_others(root: Path, tmp_path: Path, batch_files: int) -> None:
    results, engine = tmp_path / "results", stub_engine(tmp_path / "models", only="wholes", batch_files=batch_files)
    scan.scan(root, results, engine)
    (root / "006.png").rename(root / "a.png")
    shutil.copy2(root / "a.png", root / "b.png")
    summary = scan.scan(root, results, engine)
    assert changes(results, summary.run_id) == {"006.png": "removed", "a.png": "moved", "b.png": "copied"}


def test_a_file_that_was_touched_is_told_of_once_and_not_judged(root: Path, engine: Engine) -> None:
    results = root.parent / "results"
    scan.scan(root, results, engine)
    os.utime(root / "001.png", ns=(1, 1))
    refuse = lambda folders: pytest.fail("the models were loaded")
    summary = scan.scan(root, results, Engine(engine.settings, refuse))
    assert changes(results, summary.run_id) == {"001.png": "touched"}
    assert rows_of(results, summary.run_id)["001.png"]["mtime_ns"] == 1
    assert summary.row()["change_touched"] == 1
    assert scan.scan(root, results, engine).changes == {}


def test_touched_is_told_from_changed_and_from_rescored(root: Path, engine: Engine, tmp_path: Path) -> None:
    results = root.parent / "results"
    scan.scan(root, results, engine)
    (root / "001.png").write_bytes((root / "001.png").read_bytes()[:-1] + b"x")  # the same size, other bytes
    os.utime(root / "001.png", ns=(1, 1))
    assert scan.scan(root, results, engine).changes == {"changed": 1}
    os.utime(root / "002.png", ns=(1, 1))
    again = scan.scan(root, results, stub_engine(tmp_path / "models"))
    assert changes(results, again.run_id)["002.png"] == "rescored" and again.changes == {"rescored": 12}


def test_a_link_whose_time_differs_is_changed_because_its_content_is_unknown(root: Path, engine: Engine) -> None:
    results = root.parent / "results"
    (root / "link.png").symlink_to("001.png")
    scan.scan(root, results, engine)
    os.utime(root / "link.png", ns=(1, 1), follow_symlinks=False)
    assert scan.scan(root, results, engine).changes == {"changed": 1}


def test_another_set_of_models_judges_again(tmp_path: Path, root: Path) -> None:
    results, one = tmp_path / "results", stub_engine(tmp_path / "models", only="wholes")
    both = stub_engine(tmp_path / "models")
    scan.scan(root, results, one)
    second = scan.scan(root, results, both)
    assert second.changes == {"rescored": 12}
    assert {row["settings"] for row in queries.latest(results).to_pylist()} == {both.settings.digest}
    assert both.settings.digest != one.settings.digest


def test_going_back_to_known_models_neither_reads_nor_judges(tmp_path: Path, root: Path) -> None:
    results, one = tmp_path / "results", stub_engine(tmp_path / "models", only="wholes")
    scan.scan(root, results, one)
    before = queries.latest(results).drop_columns(["run_id", "change"])
    scan.scan(root, results, stub_engine(tmp_path / "models"))
    refuse = lambda folders: pytest.fail("the models were loaded")
    back = scan.scan(root, results, Engine(one.settings, refuse))
    assert back.changes == {"rescored": 12}
    assert queries.latest(results).drop_columns(["run_id", "change"]).equals(before)


def test_what_failed_for_good_is_not_tried_again(tmp_path: Path) -> None:
    root, engine = write_folder(tmp_path / "in"), stub_engine(tmp_path / "models", only="wholes")
    results = tmp_path / "results"
    scan.scan(root, results, engine)
    tried: list[str] = []
    judge = engine.judge
    engine.judge = lambda root, entries, *rest: (  # type: ignore[method-assign]
        tried.extend(entry.path for entry in entries) or judge(root, entries, *rest)
    )
    assert scan.scan(root, results, engine).changes == {}
    assert tried == []


def test_an_unreadable_file_is_tried_by_every_scan_and_told_of_once(
    root: Path, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = root.parent / "results"
    really = os.open

    def refusing(path: Any, *rest: Any, **named: Any) -> int:
        if str(path).endswith("002.png"):
            raise PermissionError(13, "Permission denied")
        return really(path, *rest, **named)

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", refusing)
        first = scan.scan(root, results, engine)
        again = scan.scan(root, results, engine)
    assert rows_of(results, first.run_id)["002.png"]["status"] == Status.UNREADABLE
    assert (first.unjudged, again.changes, again.unjudged) == (1, {}, 1)
    healed = scan.scan(root, results, engine)
    assert changes(results, healed.run_id) == {"002.png": "changed"}
    assert healed.unjudged == 0


def test_a_folder_that_cannot_be_listed_has_a_row_and_its_files_are_not_called_removed(
    root: Path, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = root.parent / "results"
    (root / "sub").mkdir()
    shutil.copy(root / "001.png", root / "sub" / "kept.png")
    scan.scan(root, results, engine)
    really = os.scandir

    def refusing(path: Any) -> Any:
        if str(path).endswith("sub"):
            raise PermissionError(13, "Permission denied")
        return really(path)

    with monkeypatch.context() as patch:
        patch.setattr(local.os, "scandir", refusing)
        blind = scan.scan(root, results, engine)
    assert changes(results, blind.run_id) == {"sub": "new"}
    assert rows_of(results, blind.run_id)["sub"]["status"] == Status.UNREADABLE
    assert changes(results, scan.scan(root, results, engine).run_id) == {"sub": "removed"}


def test_results_inside_the_folder_are_not_scanned(root: Path, engine: Engine) -> None:
    scan.scan(root, root / "results", engine)
    assert scan.scan(root, root / "results", engine).changes == {}
    assert len(queries.latest(root / "results")) == 12


def test_two_folders_share_results_and_judgements(root: Path, engine: Engine) -> None:
    results = root.parent / "results"
    scan.scan(root, results, engine)
    shutil.copytree(root, root.parent / "other")
    refuse = lambda folders: pytest.fail("the models were loaded")
    assert scan.scan(root.parent / "other", results, Engine(engine.settings, refuse)).changes == {"copied": 12}
    assert len(queries.latest(results)) == 24


def test_a_folder_without_files_is_refused_before_anything_is_called_removed(root: Path, engine: Engine) -> None:
    results = root.parent / "results"
    scan.scan(root, results, engine)
    shutil.rmtree(root)
    root.mkdir()
    with pytest.raises(UserError, match="no files under"):
        scan.scan(root, results, engine)
    assert len(queries.latest(results)) == 12


def test_how_files_are_batched_changes_nothing_in_the_tables(root: Path, tmp_path: Path) -> None:
    unions = []
    for batch_files, publish_every, threads in ((1, 1, 1), (7, 2, 4), (100, 100, 2)):
        results = tmp_path / f"results-{batch_files}"
        options = {"batch_files": batch_files, "publish_every": publish_every, "workers": threads}
        scan.scan(root, results, stub_engine(tmp_path / "models", **options))
        unions.append(union(results))
    assert unions[0] == unions[1] == unions[2]


def test_a_heic_that_could_not_be_read_is_tried_again_once_it_can_be(
    root: Path, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pi_heif
    import pillow_heif
    from PIL import Image

    pillow_heif.register_heif_opener()
    Image.open(root / "001.png").save(root / "photo.heic")
    results = root.parent / "results"
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "pi_heif", None)
        patch.setattr(importlib.util, "find_spec", lambda name: None)
        scan.scan(root, results, engine)
        assert {row["path"]: row for row in queries.latest(results).to_pylist()}["photo.heic"][
            "status"
        ] == "unsupported"
        assert scan.scan(root, results, engine).changes == {}
    assert pi_heif
    scan.scan(root, results, engine)
    assert {row["path"]: row for row in queries.latest(results).to_pylist()}["photo.heic"]["status"] == "ok"


def test_an_emptied_folder_keeps_its_files_for_one_scan(root: Path, engine: Engine) -> None:
    results = root.parent / "results"
    (root / "share" / "deep").mkdir(parents=True)
    shutil.copy(root / "001.png", root / "share" / "deep" / "kept.png")
    scan.scan(root, results, engine)
    shutil.move(root / "share" / "deep", root.parent / "away")
    away = scan.scan(root, results, engine)
    (row,) = rows_of(results, away.run_id).values()
    assert (row["path"], row["change"], row["status"]) == ("share", "new", Status.UNREADABLE)
    assert row["detail"].startswith("the folder is empty but held files before")
    assert away.unchanged == 12 and "share/deep/kept.png" in queries.latest(results)["path"].to_pylist()
    shutil.move(root.parent / "away", root / "share" / "deep")
    refuse = lambda folders: pytest.fail("the models were loaded")
    back = scan.scan(root, results, Engine(engine.settings, refuse))
    assert (changes(results, back.run_id), back.unchanged, back.unjudged) == ({"share": "removed"}, 13, 0)


def test_files_of_a_folder_that_stays_empty_are_removed_by_the_second_scan(root: Path, engine: Engine) -> None:
    results = root.parent / "results"
    (root / "sub" / "empty").mkdir(parents=True)  # held nothing before, so there is nothing to say about it
    shutil.copy(root / "001.png", root / "sub" / "gone.png")
    scan.scan(root, results, engine)
    (root / "sub" / "empty").rmdir()
    (root / "sub" / "gone.png").unlink()
    assert changes(results, scan.scan(root, results, engine).run_id) == {"sub": "new"}
    second = scan.scan(root, results, engine)
    assert changes(results, second.run_id) == {"sub": "removed", "sub/gone.png": "removed"}
    assert scan.scan(root, results, engine).changes == {}


@pytest.mark.parametrize("year", [1600, 2300])
def test_a_time_beyond_what_the_tables_hold_is_null_and_the_file_is_read_by_each_scan(
    root: Path, engine: Engine, year: int
) -> None:
    results, far = root.parent / "results", int(datetime(year, 1, 1, tzinfo=UTC).timestamp())
    os.utime(root / "001.png", (far, far))
    if (root / "001.png").stat().st_mtime != far:
        pytest.skip("this file system does not hold such times")
    (root / "notes.txt").write_text("no picture")
    os.symlink("001.png", root / "link.png")
    for name in ("notes.txt", "link.png"):
        os.utime(root / name, (far, far), follow_symlinks=False)
    first = scan.scan(root, results, engine)
    found = rows_of(results, first.run_id)
    assert found["001.png"]["status"] == Status.OK
    assert {found[name]["mtime_ns"] for name in ("001.png", "notes.txt", "link.png")} == {None}
    assert scan.scan(root, results, engine).changes == {}
    content = (root / "002.png").read_bytes()
    (root / "001.png").write_bytes(content.ljust(found["001.png"]["size"], b"\0")[: found["001.png"]["size"]])
    os.utime(root / "001.png", (far, far))
    assert scan.scan(root, results, engine).changes == {"changed": 1}
