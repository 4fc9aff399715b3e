"""A scan killed anywhere: nothing committed is lost or told twice, and the next scan ends where it would have."""

import os
import random
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import cv2
import filelock
import numpy as np
import pytest
from support import TESTS
from support.scanning import save_model, union, write_many
from support.scanning_child import light_engine, real_engine

from fauxscan.records import UserError, View
from fauxscan.scanning import scan
from fauxscan.scanning.engine.engine import Engine
from fauxscan.scanning.tables import commits, parquet, queries, schemas

CHILD = [sys.executable, "-m", "support.scanning_child"]


class Killed(BaseException):
    """Stands for SIGKILL: no handler of the scan's own catches it."""


def prepared(home: Path, engine: Callable[[Path], Engine] = light_engine) -> tuple[Path, Path]:
    """Return a folder, and results that know an earlier state of it: every kind of change lies between the two."""
    root, results = write_many(home / "in", 20), home / "before"
    scan.scan(root, results, engine(home / "models"))
    (root / "000.png").write_bytes((root / "000.png").read_bytes()[:-30])
    (root / "moved").mkdir()
    for name in ("003.png", "004.png", "005.png"):
        (root / name).rename(root / "moved" / name)
    shutil.copy2(root / "006.png", root / "copy.png")
    shutil.copy2(root / "moved" / "003.png", root / "moved" / "again.png")
    (root / "007.png").unlink()
    (root / "new.txt").write_text("no picture")
    for number in range(9):
        noise = np.random.default_rng(number).integers(0, 255, (64, 64, 3), np.uint8)
        cv2.imwrite(str(root / f"new-{number}.png"), noise)
    return root, results


def steps(monkeypatch: pytest.MonkeyPatch, die_at: float) -> list[str]:
    """Count the steps that leave a trace on disk; be killed before, or (at .5) after, the one of number `die_at`."""
    done: list[str] = []

    def counted(function: Callable[..., Any]) -> Callable[..., Any]:
        def step(*arguments: Any, **named: Any) -> Any:
            if len(done) == die_at:
                raise Killed
            result = function(*arguments, **named)
            done.append(function.__name__)
            if len(done) - 0.5 == die_at:
                raise Killed
            return result

        return step

    monkeypatch.setattr(os, "replace", counted(os.replace))
    monkeypatch.setattr(commits.shutil, "rmtree", counted(_rmtree_one_by_one))
    return done


def _rmtree_one_by_one(folder: Path) -> None:
    for path in sorted(folder.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    folder.rmdir()


@pytest.mark.slow
def test_killed_before_and_after_every_step_the_union_is_that_of_an_uninterrupted_scan(tmp_path: Path) -> None:
    root, before = prepared(tmp_path)
    engine, whole = light_engine(tmp_path / "models"), tmp_path / "whole"
    shutil.copytree(before, whole)
    with pytest.MonkeyPatch.context() as patch:
        done = steps(patch, die_at=-1)
        scan.scan(root, whole, engine)
    count = len(done)
    assert count > 15
    assert "step" not in done
    for half in range(0, 2 * count):
        results = tmp_path / f"killed-{half}"
        shutil.copytree(before, results)
        with pytest.MonkeyPatch.context() as patch, pytest.raises(Killed):
            steps(patch, die_at=half / 2)
            scan.scan(root, results, engine)
        scan.scan(root, results, engine)
        assert union(results) == union(whole), f"killed at step {half / 2}"
        assert len(list((results / "staging").iterdir())) == 0
        shutil.rmtree(results)


def test_killed_while_the_staged_are_deleted_nothing_is_told_twice(tmp_path: Path) -> None:
    root, before = prepared(tmp_path)
    engine, whole = light_engine(tmp_path / "models"), tmp_path / "whole"
    shutil.copytree(before, whole)
    scan.scan(root, whole, engine)

    def half_deleted(folder: Path) -> None:
        next(folder.rglob("media-*.parquet")).unlink()
        raise Killed

    with pytest.MonkeyPatch.context() as patch, pytest.raises(Killed):
        patch.setattr(commits.shutil, "rmtree", half_deleted)
        scan.scan(root, before, engine)
    published = {part: part.stat().st_ino for part in before.glob("*/*.parquet")}
    scan.scan(root, before, engine)
    assert published == {part: part.stat().st_ino for part in published}  # what is published is never written again
    assert union(before) == union(whole)


def test_an_interrupted_run_is_told_of_without_an_end(tmp_path: Path) -> None:
    root, before = prepared(tmp_path)
    engine = light_engine(tmp_path / "models")
    with pytest.MonkeyPatch.context() as patch, pytest.raises(Killed):
        steps(patch, die_at=8)
        scan.scan(root, before, engine)
    scan.scan(root, before, engine)
    runs = parquet.read(before, schemas.RUNS).sort_by("run_id").to_pylist()
    assert [run["finished_at"] is None for run in runs] == [False, True, False]
    assert runs[1]["status_ok"] is None
    told = {row["run_id"] for row in parquet.read(before, schemas.MEDIA).to_pylist()}
    assert told == {run["run_id"] for run in runs}


def test_a_disk_that_is_full_loses_nothing_and_leaves_no_half_file(tmp_path: Path) -> None:
    root, before = prepared(tmp_path)
    engine, whole = light_engine(tmp_path / "models"), tmp_path / "whole"
    shutil.copytree(before, whole)
    scan.scan(root, whole, engine)
    really, written = parquet.pq.write_table, []

    def full(rows: Any, file: Any, **named: Any) -> None:
        written.append(file.write(b"PAR1 half a file"))
        if len(written) > 7:
            raise OSError(28, "No space left on device")
        file.seek(0)
        really(rows, file, **named)

    with pytest.MonkeyPatch.context() as patch, pytest.raises(OSError, match="No space left"):
        patch.setattr(parquet.pq, "write_table", full)
        scan.scan(root, before, engine)
    assert list(before.rglob("*.tmp")) == []
    assert len(queries.latest(before)) > 0
    scan.scan(root, before, engine)
    assert union(before) == union(whole)


@pytest.mark.parametrize("every", [3, 4, 5])
def test_what_is_tried_again_after_an_input_output_error_is_told_of_once(tmp_path: Path, every: int) -> None:
    root, before = prepared(tmp_path)
    engine, whole = light_engine(tmp_path / "models"), tmp_path / "whole"
    shutil.copytree(before, whole)
    scan.scan(root, whole, engine)
    really, calls = os.replace, []

    def flaky(*names: Any) -> None:
        calls.append(names)
        if len(calls) % every == 0:
            raise OSError(5, "Input/output error")
        really(*names)

    with pytest.MonkeyPatch.context() as patch, parquet.locked(before), engine:
        work = scan.prepare(root, before, engine)
        patch.setattr(os, "replace", flaky)
        for batch in work.batches:
            judged = work.batch_judge.judge(batch)
            _until_it_works(lambda batch=batch, judged=judged: scan.commit(work, batch, judged))
        _until_it_works(lambda: scan.finish(work))
    assert len(calls) > 3 * every
    assert union(before) == union(whole)


def _until_it_works(function: Callable[[], object]) -> None:
    for _ in range(5):
        try:
            function()
            return
        except OSError:
            continue
    pytest.fail("it never worked")


def kill_and_resume(tmp_path: Path, kills: int, made: Callable[[Path], Engine] = light_engine) -> None:
    """Scan in processes that are killed at random moments, one to three in a row, then to the end."""
    root, before = prepared(tmp_path, made)
    engine, whole, chance = made(tmp_path / "models"), tmp_path / "whole", random.Random(7)
    shutil.copytree(before, whole)
    began = time.monotonic()
    scan.scan(root, whole, engine)
    lasts, killed = time.monotonic() - began, 0
    with subprocess.Popen(
        [*CHILD, made.__name__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    ) as child:
        while killed < kills:
            results = tmp_path / "results"
            shutil.copytree(before, results)
            for _ in range(chance.randint(1, 3)):
                line = "\t".join(map(str, (root, results, tmp_path / "models")))
                killed += _killed(child, line, chance.uniform(0, 2 * lasts))
            scan.scan(root, results, engine)
            assert union(results) == union(whole)
            shutil.rmtree(results)
        assert child.stdin
        child.stdin.close()


def _killed(child: "subprocess.Popen[str]", line: str, after_s: float) -> bool:
    assert child.stdin
    assert child.stdout
    child.stdin.write(f"{line}\n")
    scanning = int(child.stdout.readline())
    select.select([child.stdout], [], [], after_s)  # the moment of the kill, or the end of the scan
    with suppress(ProcessLookupError):  # it may have ended before
        os.kill(scanning, signal.SIGKILL)
    ended = int(child.stdout.readline())
    assert ended in (0, -signal.SIGKILL)
    return ended != 0


def test_sigkill_at_random_moments_then_resume(tmp_path: Path) -> None:
    kill_and_resume(tmp_path, kills=5)


@pytest.mark.slow
def test_sigkill_of_a_scan_with_decoders_and_a_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    save_model(tmp_path / "models" / "wholes", "dct_cnn", 2, View.WHOLE)
    kill_and_resume(tmp_path, kills=10, made=real_engine)


@pytest.mark.slow
def test_sigkill_fifty_times(tmp_path: Path) -> None:
    kill_and_resume(tmp_path, kills=50)


def test_a_second_scan_of_the_same_results_is_refused_and_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, before = prepared(tmp_path)
    monkeypatch.setattr(parquet, "LOCK_WAIT_S", 0.2)
    with filelock.FileLock(before / ".lock"), pytest.raises(UserError, match=r"another scan.*wait.*--results"):
        scan.scan(root, before, light_engine(tmp_path / "models"))
    assert scan.scan(root, before, light_engine(tmp_path / "models")).changes


def test_results_that_cannot_be_written_are_refused(tmp_path: Path) -> None:
    root, _ = prepared(tmp_path)
    for place in (root / "001.png" / "results", Path("/proc/results")):
        with pytest.raises(UserError, match="cannot write results"):
            scan.scan(root, place, light_engine(tmp_path / "models"))


def test_a_write_that_the_system_really_cuts_off_leaves_no_half_file(tmp_path: Path) -> None:
    root, before = prepared(tmp_path)
    whole = tmp_path / "whole"
    shutil.copytree(before, whole)
    scan.scan(root, whole, light_engine(tmp_path / "models"))
    largest = max(part.stat().st_size for part in whole.rglob("*.parquet"))
    code = (
        "import resource, sys; from pathlib import Path; from support.scanning_child import light_engine, scan;"
        "root, results, models = map(Path, sys.argv[1:]); engine = light_engine(models);"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({largest - 100}, {largest - 100}));"
        "scan.scan(root, results, engine)"
    )
    command = [sys.executable, "-c", code, *map(str, (root, before, tmp_path / "models"))]
    done = subprocess.run(command, cwd=TESTS, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "File too large" in done.stderr
    assert list(before.rglob("*.tmp")) == []
    assert len(queries.latest(before)) > 0
    scan.scan(root, before, light_engine(tmp_path / "models"))
    assert union(before) == union(whole)
