"""A dry run says what the scan then does, reads no file, writes nothing, and works while tables are in the making."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.scanning import stub_engine, write_folder, write_many, write_params

from fauxscan import cli
from fauxscan.media import files
from fauxscan.records import MediaError, Status, UserError
from fauxscan.scanning import dry_run, scan
from fauxscan.scanning.dry_run import Forecast
from fauxscan.scanning.engine.engine import Engine
from fauxscan.scanning.scan import Summary
from fauxscan.scanning.tables import commits, parquet, schemas


def state(folder: Path) -> dict[str, int]:
    """Return every name under a folder with its time, the folder's own among them."""
    return {str(path): os.lstat(path).st_mtime_ns for path in (folder, *folder.rglob("*"))}


def forecast(root: Path, engine: Engine, *names: str) -> Forecast:
    """Return what a scan into `results` beside the folder would do, having seen that nothing is written."""
    before = state(root.parent)
    found = dry_run.forecast(root, root.parent / "results", engine.settings, names or ("",))
    assert state(root.parent) == before
    return found


def scanned(root: Path, engine: Engine, *names: str) -> tuple[Forecast, Summary, list[str]]:
    """Return what was foreseen, what the scan then did, and which files it read."""
    expected, read, judge = forecast(root, engine, *names), [], engine.judge_until_cancelled

    def noting(root: Path, entries: Any, *rest: Any) -> Any:
        outcomes = judge(root, entries, *rest)
        read.extend(e.path for e, outcome in zip(entries, outcomes, strict=True) if outcome.sha256)
        return outcomes

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine, "judge_until_cancelled", noting)
        return expected, scan.scan(root, root.parent / "results", engine, None, names or ("",)), read


def agree(root: Path, engine: Engine, *names: str) -> Forecast:
    """Return what was foreseen, having seen that the scan did just that."""
    expected, summary, read = scanned(root, engine, *names)
    changes = {str(change): summary.changes.get(str(change), 0) for change in scan.Change}
    assert expected.unchanged == summary.unchanged
    assert expected.new == changes["new"] + changes["moved"] + changes["copied"]
    assert expected.changed <= changes["changed"]  # others may have the same size
    assert expected.changed + expected.touched == changes["changed"] + changes["touched"]
    assert expected.other_settings == changes["rescored"]
    assert expected.gone == changes["removed"] + changes["moved"]
    if expected.files_to_read == expected.files_to_judge:  # else copies may be read or not
        assert expected.files_to_read == len(read)
        assert expected.bytes_to_read == sum((root / name).stat().st_size for name in read)
    assert expected.files_to_judge <= len(read) <= expected.files_to_read
    return expected


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return a folder of twelve small images, the last five copies of the first."""
    return write_many(tmp_path / "in", 12)


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    """Return an engine over one stand-in."""
    return stub_engine(tmp_path / "models", only="wholes")


def test_a_first_scan(root: Path, engine: Engine) -> None:
    expected = agree(root, engine)
    assert (expected.new, expected.files_to_read, expected.rate, expected.seconds) == (12, 12, None, None)


def test_a_folder_of_every_kind_of_file_and_again(tmp_path: Path) -> None:
    root, engine = write_folder(tmp_path / "in"), stub_engine(tmp_path / "models", only="wholes")
    assert agree(root, engine).new == 17
    again = agree(root, engine)
    assert (again.unchanged, again.files_to_read, again.seconds) == (17, 0, 0)


def test_changed_moved_copied_removed_and_new(root: Path, engine: Engine) -> None:
    agree(root, engine)
    (root / "000.png").write_bytes((root / "000.png").read_bytes()[:-30])
    (root / "003.png").rename(root / "moved.png")
    shutil.copy(root / "004.png", root / "copy.png")
    (root / "005.png").unlink()
    expected = agree(root, engine)
    assert (expected.changed, expected.new, expected.gone, expected.moved, expected.unchanged) == (1, 2, 2, 1, 9)


def test_files_with_another_time_are_touched_or_changed(root: Path, engine: Engine) -> None:
    agree(root, engine)
    os.utime(root / "001.png", ns=(1, 1))
    (root / "002.png").write_bytes((root / "002.png").read_bytes()[:-1] + b"x")
    os.utime(root / "002.png", ns=(1, 1))
    expected = agree(root, engine)
    assert (expected.changed, expected.touched, expected.unchanged) == (0, 2, 10)


def test_other_models_and_back_to_those_that_have_judged(root: Path, engine: Engine, tmp_path: Path) -> None:
    agree(root, engine)
    (root / "0.txt").symlink_to("000.png")
    other = agree(root, stub_engine(tmp_path / "models"))
    assert (other.other_settings, other.files_to_read, other.files_to_judge) == (12, 12, 7)
    back = agree(root, engine)
    assert (back.other_settings, back.files_to_read) == (13, 0)


def test_filters_parts_and_names_that_are_not_there(root: Path, tmp_path: Path) -> None:
    some = stub_engine(tmp_path / "models", only="wholes", exclude=("00[0-3].png",))
    assert agree(root, some).new == 8
    (root / "005.png").unlink()
    expected = agree(root, some, "000.png", "001.png", "004.png", "005.png", "never.png", "020.png")
    assert (expected.unchanged, expected.new, expected.gone, expected.files_to_read) == (1, 2, 1, 0)


def test_a_file_above_the_cap_is_not_read(root: Path, engine: Engine) -> None:
    (root / "000.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    with (root / "000.png").open("r+b") as file:
        file.truncate(engine.settings.media.max_bytes + 1)
    assert forecast(root, engine).bytes_to_read < 100_000


def test_what_failed_is_tried_again(root: Path, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(files, "_read", _fail)
        scan.scan(root, root.parent / "results", engine)
    expected, summary, _ = scanned(root, engine)
    assert (expected.tried_again, expected.changed, summary.changes) == (12, 0, {"changed": 12})


def _fail(*_: object) -> None:
    raise MediaError(Status.UNREADABLE, "Input/output error")


def test_what_an_interrupted_scan_has_staged_counts(
    root: Path, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch, pytest.raises(RuntimeError):
        patch.setattr(scan, "commit", _interrupted(scan.commit, 3))
        scan.scan(root, root.parent / "results", engine)
    assert list(commits.staging(root.parent / "results").glob("*/*/media-*"))
    expected = agree(root, engine)
    assert (expected.unchanged, expected.new) == (8, 4)
    assert expected.rate is None  # an interrupted run has no end from which to estimate


def _interrupted(really: Callable[..., None], after: int) -> Callable[..., None]:
    calls: list[Any] = []

    def commit(*given: Any) -> None:
        calls.append(given)
        if len(calls) == after:
            raise RuntimeError
        really(*given)

    return commit


def test_what_is_published_meanwhile_is_no_damage(root: Path, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    results = root.parent / "results"
    with monkeypatch.context() as patch, pytest.raises(RuntimeError):
        patch.setattr(scan, "commit", _interrupted(scan.commit, 2))
        scan.scan(root, results, engine)
    really = parquet.read_part

    def publishing(file: Path, schema: Any) -> Any:
        if "staging" in file.parts and file.exists():
            monkeypatch.setattr(parquet, "read_part", really)
            commits.recover(results)
        return really(file, schema)

    monkeypatch.setattr(parquet, "read_part", publishing)
    expected = dry_run.forecast(root, results, engine.settings)
    assert (expected.unchanged, expected.new) == (4, 8)
    assert not list(commits.staging(results).iterdir())


def test_a_part_that_is_cut_off_is_named_as_the_scan_would_name_it(root: Path, engine: Engine) -> None:
    scan.scan(root, root.parent / "results", engine)
    part = next((root.parent / "results" / "scores").glob("*.parquet"))
    part.write_bytes(part.read_bytes()[:-20])
    with pytest.raises(UserError, match=part.name):
        dry_run.forecast(root, root.parent / "results", engine.settings)


def test_the_rate_is_of_the_finished_run_of_these_settings_that_judged_most(
    root: Path, engine: Engine, tmp_path: Path
) -> None:
    results = root.parent / "results"
    first = scan.scan(root, results, engine)
    (root / "0.png").write_bytes((root / "000.png").read_bytes()[:-30])
    scan.scan(root, results, engine)
    (run,) = [run for run in parquet.read(results, schemas.RUNS).to_pylist() if run["run_id"] == first.run_id]
    took = (run["finished_at"] - run["started_at"]).total_seconds()
    (root / "000.png").touch()
    (root / "new.png").touch()
    expected = forecast(root, engine)
    assert expected.rate
    assert (expected.rate.run_id, expected.rate.same_settings) == (first.run_id, True)
    assert expected.rate.files_per_second == pytest.approx(7 / took)  # five of the twelve are copies
    assert expected.seconds == pytest.approx(2 * took / 7)
    other = forecast(root, stub_engine(tmp_path / "models")).rate
    assert other and not other.same_settings


WITHOUT_TENSORFLOW = """
import sys
from fauxscan import cli
models = ["--models", "models/faces", "--models", "models/wholes"]
code = cli.run(["scan", "in", "--results", "results", "--params", "params.yaml", "--dry-run", *models, *sys.argv[1:]])
heavy = sorted(m for m in sys.modules if m in ("tensorflow", "keras", "jax", "torch", "prefect", "dvc"))
sys.exit(f"{code} {heavy}")
"""


def test_the_command_needs_no_tensorflow_and_no_results(root: Path, engine: Engine) -> None:
    home = root.parent
    write_params(home / "params.yaml")
    stub_engine(home / "models")
    before = state(home)
    run = lambda *more: subprocess.run(
        [sys.executable, "-c", WITHOUT_TENSORFLOW, *more], cwd=home, capture_output=True, text=True, check=False
    )
    done = run("--format", "json")
    assert done.stderr.splitlines()[-1] == "0 []"
    expected = json.loads(done.stdout)
    assert (expected["new"], expected["files_to_read"], expected["seconds"], expected["rate_run_id"]) == (
        12,
        12,
        None,
        None,
    )
    assert state(home) == before


def test_the_command_says_it_in_words(
    root: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(root.parent)
    write_params(Path("params.yaml"))
    engine = stub_engine(Path("models"), only="wholes")
    arguments = ["scan", "in", "--results", "results", "--models", "models/wholes", "--dry-run"]
    assert cli.run(arguments) == 0
    said = capsys.readouterr().out
    assert "in: 0 unchanged, 12 to look at, 0 removed\n  12 new\nat most 12 files to read" in said
    assert "duration unknown, because no finished run" in said
    run_id = scan.scan(root, Path("results"), engine).run_id
    (root / "000.png").rename(root / "moved.png")
    assert cli.run(arguments) == 0
    said = capsys.readouterr().out
    assert "  1 of the new files match removed files by size and time\nat most 1 files to read" in said
    assert f"files per second, as in run {run_id}\nNo file was opened and nothing was written." in said
    assert cli.run([*arguments, "--format", "csv"]) == 0
    assert capsys.readouterr().out.startswith("root,unchanged,new,")
