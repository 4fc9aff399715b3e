"""The processes that decode: real ones, that really crash, hang and are killed."""

import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from skimage import data
from support.scanning import encoded, stub_engine, stub_ensemble, union, write_clip, write_folder, write_many
from support.waiting import wait_until

from fauxscan.media import files
from fauxscan.records import UserError
from fauxscan.scanning import scan
from fauxscan.scanning.decoding.process import Decoder
from fauxscan.scanning.engine.engine import Engine
from fauxscan.scanning.tables import parquet, queries, schemas

HOSTILE = partial(Decoder, module="support.hostile_decoder")


@pytest.fixture(autouse=True)
def decoder_module(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Let decoders import the hostile one."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.setenv("HOSTILE_ONCE", str(tmp_path / "once"))
    monkeypatch.setenv("HOSTILE_BEGUN", str(tmp_path / "begun"))


def engine(home: Path, decoder: Any = Decoder, **options: Any) -> Engine:
    """Return an engine with stand-ins for the models and real decoders."""
    return Engine(stub_engine(home / "models", **options).settings, stub_ensemble, decoder)


def told(results: Path) -> dict[str, tuple[str, str | None]]:
    """Return status and detail of each path."""
    return {row["path"]: (row["status"], row["detail"]) for row in queries.latest(results).to_pylist()}


def ordered(root: Path, name: str, order: bytes, number: int = 0) -> None:
    """Write a sound image whose last bytes are an order to the decoder."""
    noise = np.random.default_rng(number).integers(0, 255, (64, 64, 3), np.uint8)
    (root / name).write_bytes(encoded(noise, "JPEG") + order)


def test_a_process_sees_what_the_scan_itself_would(tmp_path: Path) -> None:
    root = write_folder(tmp_path / "in")
    scan.scan(root, tmp_path / "here", stub_engine(tmp_path / "models"))
    scan.scan(root, tmp_path / "there", engine(tmp_path))
    assert union(tmp_path / "here") == union(tmp_path / "there")


def test_a_crash_a_hang_and_too_much_memory_are_one_files_status_and_the_others_are_judged(tmp_path: Path) -> None:
    root = write_many(tmp_path / "in", 12)
    scan.scan(root, tmp_path / "without", stub_engine(tmp_path / "models"))
    sound = told(tmp_path / "without")
    for name, order in (("003a.jpg", b"SEGV"), ("005a.jpg", b"HANG"), ("007a.jpg", b"MANY"), ("009a.jpg", b"ZERO")):
        ordered(root, name, order)
    scan.scan(root, tmp_path / "with", engine(tmp_path, HOSTILE, batch_files=16, seconds_per_file=1.5))
    found = told(tmp_path / "with")
    assert found.pop("003a.jpg") == ("crashed", "the decoder was ended by SIGSEGV, twice")
    assert found.pop("005a.jpg") == ("timeout", "decoding took longer than scan.seconds_per_file")
    assert found.pop("007a.jpg")[0] == "too_large"
    assert found.pop("009a.jpg") == ("crashed", "builtins.ZeroDivisionError")
    assert found == sound


def test_copies_of_what_hangs_are_not_tried_one_by_one(tmp_path: Path) -> None:
    root = write_many(tmp_path / "in", 6)
    for number in range(20):
        ordered(root, f"hang{number}.jpg", b"HANG")
    scan.scan(root, tmp_path / "results", engine(tmp_path, HOSTILE, batch_files=40, seconds_per_file=1.0))
    assert (tmp_path / "begun").stat().st_size == 2  # one of them, with other files and then alone
    found = told(tmp_path / "results")
    assert [status for path, (status, _) in found.items() if path.startswith("hang")] == ["timeout"] * 20
    assert sum(status == "ok" for status, _ in found.values()) == 6


def test_decoders_that_do_not_start_are_no_files_fault(tmp_path: Path) -> None:
    root = write_many(tmp_path / "in", 6)
    with pytest.raises(UserError, match="decoders do not start"):
        scan.scan(root, tmp_path / "results", engine(tmp_path, partial(Decoder, module="no_such_module")))
    assert told(tmp_path / "results") == {}


def test_a_file_whose_decoder_died_is_tried_again_alone(tmp_path: Path) -> None:
    root = write_many(tmp_path / "in", 9)
    ordered(root, "000a.jpg", b"ONCE")
    scan.scan(root, tmp_path / "results", engine(tmp_path, HOSTILE))
    assert (tmp_path / "once").exists()
    assert told(tmp_path / "results")["000a.jpg"] == ("ok", None)


def test_decoders_that_die_at_random_lose_no_file(tmp_path: Path) -> None:
    root = tmp_path / "in"
    root.mkdir()
    for number in range(60):
        ordered(root, f"{number:02d}.jpg", b"RAND", number)
    scan.scan(root, tmp_path / "results", engine(tmp_path, HOSTILE, batch_files=20))
    found = told(tmp_path / "results")
    assert len(found) == 60
    assert set(found.values()) <= {("ok", None), ("crashed", "the decoder ended with code 1, twice")}
    assert sum(status == "ok" for status, _ in found.values()) > 50


def test_a_picture_that_takes_more_memory_than_allowed_is_too_large(tmp_path: Path) -> None:
    root = write_many(tmp_path / "in", 6)
    (root / "large.png").write_bytes(encoded(np.zeros((9000, 9000, 3), np.uint8), "PNG"))
    scan.scan(root, tmp_path / "results", engine(tmp_path, decoder_bytes=150_000_000))
    found = told(tmp_path / "results")
    assert found.pop("large.png")[0] == "too_large"
    assert {status for status, _ in found.values()} == {"ok"}


def test_a_file_too_large_to_be_sent_is_handed_over_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "in"
    root.mkdir()
    write_clip(root / "clip.mp4")
    (root / "face.jpg").write_bytes(encoded(data.astronaut(), "JPEG"))
    scan.scan(root, tmp_path / "sent", engine(tmp_path))
    monkeypatch.setattr(files, "WHOLE_IN_MEMORY", 1000)
    scan.scan(root, tmp_path / "handed", engine(tmp_path))
    assert union(tmp_path / "sent") == union(tmp_path / "handed")
    assert set(told(tmp_path / "handed").values()) == {("ok", None)}


def test_more_crops_than_the_shared_memory_holds_come_in_turns(tmp_path: Path) -> None:
    root = tmp_path / "in"
    root.mkdir()
    write_clip(root / "clip.mp4", frames=100)
    large = engine(tmp_path, media={"frames_per_second": 25.0}, size=512)
    scan.scan(root, tmp_path / "results", large)
    scores = parquet.read(tmp_path / "results", schemas.SCORES)
    assert len(scores) == 64 > 8 * 2**20 / (512 * 512 * 3)
    scan.scan(root, tmp_path / "here", stub_engine(tmp_path / "models", media={"frames_per_second": 25.0}, size=512))
    assert union(tmp_path / "here") == union(tmp_path / "results")


@pytest.mark.slow
def test_a_killed_scan_leaves_no_decoder_behind(tmp_path: Path) -> None:
    root = tmp_path / "in"
    root.mkdir()
    ordered(root, "hang.jpg", b"HANG")
    code = (
        "import sys, test_process as t; from pathlib import Path; from fauxscan.scanning import scan;"
        "home = Path(sys.argv[1]);"
        "scan.scan(home / 'in', home / 'results', t.engine(home, t.HOSTILE, seconds_per_file=4.0))"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path)]) as scanning:
        wait_until((tmp_path / "begun").exists, "a decoder has begun a file")
        decoders = children(scanning.pid)
        scanning.send_signal(signal.SIGKILL)
    assert decoders
    wait_until(lambda: not any(alive(pid) for pid in decoders), "all decoders end")


@pytest.mark.slow
def test_an_interrupted_scan_ends_soon_and_the_next_finishes_it(tmp_path: Path) -> None:
    root = tmp_path / "in"
    root.mkdir()
    for number in range(120):
        ordered(root, f"{number:03d}.jpg", b"SLOW", number)
    code = (
        "import signal, sys, test_process as t; from pathlib import Path; from fauxscan.scanning import scan;"
        "signal.signal(signal.SIGINT, signal.default_int_handler);"  # a shell's background jobs ignore it
        "home = Path(sys.argv[1]); engine = t.engine(home, t.HOSTILE, batch_files=60);"
        "scan.scan(home / 'in', home / 'results', engine, lambda done, todo: print(done, flush=True))"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True) as scanning:
        assert scanning.stdout
        assert scanning.stdout.readline() == "0\n"
        wait_until((tmp_path / "begun").exists, "a decoder has begun a file")
        decoders = children(scanning.pid)
        scanning.send_signal(signal.SIGINT)
        began = time.monotonic()
        scanning.wait()
    assert scanning.returncode != 0
    assert time.monotonic() - began < 12  # all files take thirty seconds, a few at a time two or four
    assert decoders
    assert not any(alive(pid) for pid in decoders)
    scan.scan(root, tmp_path / "results", engine(tmp_path))
    assert len(told(tmp_path / "results")) == 120


def children(pid: int) -> list[int]:
    """Return the child processes of a process, all its threads'."""
    return [int(child) for task in Path(f"/proc/{pid}/task").glob("*/children") for child in task.read_text().split()]


def alive(pid: int) -> bool:
    """Return whether a process runs."""
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] not in "ZX"


def test_a_hard_limit_of_the_address_space_lower_than_ours_is_kept() -> None:
    code = (
        "import resource; from fauxscan.scanning.decoding import worker;"
        "resource.setrlimit(resource.RLIMIT_AS, ({hard}, {hard}));"
        "worker._limit_memory(10**12); print(*resource.getrlimit(resource.RLIMIT_AS))"
    )
    limits = {}
    for hard in (6 * 10**9, -1):
        done = subprocess.run(
            [sys.executable, "-c", code.format(hard=hard)], capture_output=True, text=True, check=True
        )
        limits[hard] = [int(limit) for limit in done.stdout.split()]
    assert limits[6 * 10**9] == [6 * 10**9, 6 * 10**9]
    assert limits[-1][0] > 10**12 and limits[-1][1] == -1
