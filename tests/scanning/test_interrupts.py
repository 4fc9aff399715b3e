"""Ctrl-C during a scan: the files judged until then are saved, no others begin, and the next scan judges the rest."""

import os
import signal
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from support import TESTS
from support.scanning import encoded, stub_engine, union, write_many
from support.scanning_child import light_engine
from support.waiting import wait_until

from fauxscan.records import Status
from fauxscan.scanning import scan
from fauxscan.scanning.tables import parquet, queries, schemas

FILES, PAUSE = 200, 40
# A scan in one batch that waits once PAUSE files are judged, until it is told to go on.
PAUSED = """
import signal, sys
from pathlib import Path
from support.scanning_child import say
from support.scanning import stub_engine
from fauxscan.scanning import scan
from fauxscan.scanning.batches.judge import BatchJudge

signal.signal(signal.SIGINT, signal.default_int_handler)
root, results, models = map(Path, sys.argv[1:4])
pause, cancel = int(sys.argv[4]), BatchJudge.cancel

def cancel_and_say(judge):
    cancel(judge)
    say("cancelled")

def on_progress(done, todo):
    if done == pause:
        say("paused")
        sys.stdin.readline()

BatchJudge.cancel = cancel_and_say
try:
    scan.scan(root, results, stub_engine(models, only="wholes", batch_files=256), on_progress)
except scan.Interrupted as stop:
    say(f"{stop.saved} of {stop.todo}")
"""


def interrupted(*arguments: object) -> tuple[int, int]:
    """Interrupt the scan of a child process while it waits; return how many files it says are saved, and were to do."""
    command = [sys.executable, "-c", PAUSED, *map(str, arguments)]
    with subprocess.Popen(command, cwd=TESTS, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdin and child.stdout and child.stdout.readline() == "paused\n"
        child.send_signal(signal.SIGINT)
        assert child.stdout.readline() == "cancelled\n"
        said, _ = child.communicate("\n")
    saved, todo = said.splitlines()[-1].split(" of ")
    return int(saved), int(todo)


def test_what_is_judged_of_the_first_batch_is_saved_and_the_next_scan_judges_the_rest(tmp_path: Path) -> None:
    root, results = write_many(tmp_path / "in", FILES), tmp_path / "results"
    saved, todo = interrupted(root, results, tmp_path / "models", PAUSE)
    assert todo == FILES
    assert PAUSE <= saved <= PAUSE + 2 * 8  # what the two readers had begun
    rows = queries.latest(results).to_pylist()
    assert [row["status"] for row in rows] == [Status.OK] * saved
    (run,) = parquet.read(results, schemas.RUNS).to_pylist()
    assert run["finished_at"] is None
    assert list((results / "staging").iterdir()) == []
    left: list[tuple[int, int]] = []
    summary = scan.scan(root, results, light_engine(tmp_path / "models"), lambda *numbers: left.append(numbers))
    assert left[0] == (0, FILES - saved) and summary.unchanged == saved
    scan.scan(root, tmp_path / "whole", light_engine(tmp_path / "models"))
    assert union(results) == union(tmp_path / "whole")


def test_a_stop_before_the_first_file_says_that_nothing_is_saved_yet(tmp_path: Path) -> None:
    root, results = write_many(tmp_path / "in", 10), tmp_path / "results"

    def interrupt(*_: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(scan.Interrupted) as stop:
        scan.scan(root, results, stub_engine(tmp_path / "models", only="wholes"), interrupt)
    assert (stop.value.saved, stop.value.todo) == (0, 10)
    assert scan.scan(root, results, stub_engine(tmp_path / "models", only="wholes")).unchanged == 0


def test_progress_advances_by_file_within_a_batch(tmp_path: Path) -> None:
    root, done = write_many(tmp_path / "in", 60), list[tuple[int, int]]()
    engine = stub_engine(tmp_path / "models", only="wholes", batch_files=256)
    scan.scan(root, tmp_path / "results", engine, lambda *numbers: done.append(numbers))
    counts = [count for count, _ in done]
    assert {todo for _, todo in done} == {60}
    assert counts == sorted(set(counts)) and counts[0] == 0 and counts[-1] == 60
    assert max(later - earlier for earlier, later in pairwise(counts)) <= 8


HANGS = """
import signal, sys
from functools import partial
from pathlib import Path
from support.scanning import stub_engine, stub_ensemble
from support.scanning_child import say
from fauxscan.scanning import scan
from fauxscan.scanning.decoding.process import Decoder
from fauxscan.scanning.engine.engine import Engine

signal.signal(signal.SIGINT, signal.default_int_handler)
root, results, models = map(Path, sys.argv[1:])
settings = stub_engine(models, only="wholes", batch_files=256, seconds_per_file=3600).settings
try:
    scan.scan(root, results, Engine(settings, stub_ensemble, partial(Decoder, module="support.hostile_decoder")))
except scan.Interrupted as stop:
    say(f"{stop.saved} of {stop.todo}")
"""


def test_a_file_that_takes_long_does_not_hold_up_the_stop_nor_is_it_blamed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOSTILE_BEGUN", str(tmp_path / "begun"))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(TESTS), os.environ.get("PYTHONPATH", "")]))
    root, results = write_many(tmp_path / "in", 60), tmp_path / "results"
    (root / "zzz.jpg").write_bytes(encoded(np.zeros((64, 64, 3), np.uint8), "JPEG") + b"HANG")
    command = [sys.executable, "-c", HANGS, *map(str, (root, results, tmp_path / "models"))]
    with subprocess.Popen(command, cwd=TESTS, stdout=subprocess.PIPE, text=True) as child:
        wait_until((tmp_path / "begun").exists, "a file hangs")
        child.send_signal(signal.SIGINT)
        said, _ = child.communicate()  # at once: the file would take an hour
    saved = int(said.split(" of ")[0])
    names = [row["path"] for row in queries.latest(results).to_pylist()]
    assert len(names) == saved and "zzz.jpg" not in names
