"""Requests to one engine: several at once, one cancelled, paths and bytes, nothing left afterwards."""

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.scanning import MediaDecoder, encoded, stub_engine, stub_ensemble, write_folder
from support.waiting import wait_until

from fauxscan.records import Status
from fauxscan.scanning.decoding.process import Decoder
from fauxscan.scanning.engine.cancellation import Cancellation
from fauxscan.scanning.engine.engine import Engine
from fauxscan.scanning.inputs.roots import LocalFolder
from fauxscan.scanning.rows import Entry, Outcome

WAIT_S = 60.0


def noise(folder: Path, numbers: range) -> Path:
    """Write one image of noise for each number; the same number is the same image."""
    folder.mkdir()
    for number in numbers:
        pixels = np.random.default_rng(number).integers(0, 255, (64, 64, 3), np.uint8)
        (folder / f"{number:03d}.png").write_bytes(encoded(pixels, "PNG"))
    return folder


def judge(engine: Engine, folder: Path, cancellation: Cancellation | None = None) -> list[Outcome]:
    """Return the outcomes of all files in a folder."""
    entries = [Entry(path.name, None, None) for path in sorted(folder.iterdir())]
    return engine.judge(LocalFolder(folder), entries, cancellation=cancellation)


class Gate:
    """Decoders that announce that they have begun, and then wait until they may go on."""

    def __init__(self) -> None:
        self.begun, self.open, self.decoded = threading.Event(), threading.Event(), list[int]()

    def decoder(self, settings: Any) -> MediaDecoder:
        """Return a decoder that waits at this gate."""
        gate = self

        class Waiting(MediaDecoder):
            def decode(self, files: Sequence[Any], on_crop: Any) -> list[Outcome]:
                gate.begun.set()
                assert gate.open.wait(WAIT_S)
                gate.decoded.append(len(files))
                return super().decode(files, on_crop)

        return Waiting(settings)


def gated(home: Path, gate: Gate) -> Engine:
    """Return an engine with two threads whose decoders wait."""
    return Engine(stub_engine(home, only="wholes", workers=2).settings, stub_ensemble, gate.decoder)


def test_one_request_is_cancelled_and_the_other_gets_all_its_results(tmp_path: Path) -> None:
    cancelled, kept = noise(tmp_path / "cancelled", range(80)), noise(tmp_path / "kept", range(100))
    gate, cancellation = Gate(), Cancellation()
    with gated(tmp_path / "models", gate) as engine, ThreadPoolExecutor(2) as pool:
        first = pool.submit(judge, engine, cancelled, cancellation)
        assert gate.begun.wait(WAIT_S)  # files that both have are being judged for the first one
        second = pool.submit(judge, engine, kept)
        cancellation.cancel()
        gate.open.set()
        with pytest.raises(CancelledError):
            first.result(WAIT_S)
        outcomes = second.result(WAIT_S)
    assert [outcome.status for outcome in outcomes] == [Status.OK] * 100
    assert all(outcome.p_fake is not None for outcome in outcomes)
    assert sum(gate.decoded) <= 100 + 2 * 8  # of the first, only those that had begun


def test_a_request_that_is_cancelled_before_it_begins_opens_no_file(tmp_path: Path) -> None:
    cancellation, gate = Cancellation(), Gate()
    cancellation.cancel()
    cancellation.cancel()
    gate.open.set()
    with gated(tmp_path / "models", gate) as engine, pytest.raises(CancelledError):
        judge(engine, noise(tmp_path / "in", range(200)), cancellation)
    assert sum(gate.decoded) < 200


def test_closing_the_engine_cancels_what_waits(tmp_path: Path) -> None:
    gate = Gate()
    engine = gated(tmp_path / "models", gate)
    engine.__enter__()
    with ThreadPoolExecutor(2) as pool:
        request = pool.submit(judge, engine, noise(tmp_path / "in", range(80)))
        assert gate.begun.wait(WAIT_S)
        session = engine._session
        closing = pool.submit(engine.__exit__, None, None, None)
        wait_until(lambda: session is not None and session._threads._shutdown, "what waits is cancelled")
        gate.open.set()
        closing.result(WAIT_S)
        with pytest.raises(CancelledError):
            request.result(WAIT_S)


class Held(list[Entry]):
    """Entries that nobody gets to see before they are released."""

    def __init__(self, entries: Sequence[Entry]) -> None:
        super().__init__(entries)
        self.asked, self.released = threading.Event(), threading.Event()

    def __iter__(self) -> Iterator[Entry]:
        self.asked.set()
        assert self.released.wait(WAIT_S)
        return super().__iter__()


def test_a_request_that_is_not_yet_handed_out_when_the_engine_closes_is_cancelled_too(tmp_path: Path) -> None:
    folder = noise(tmp_path / "in", range(20))
    entries = Held([Entry(path.name, None, None) for path in sorted(folder.iterdir())])
    engine = stub_engine(tmp_path / "models", only="wholes")
    with ThreadPoolExecutor(1) as pool:
        with Engine(engine.settings, stub_ensemble, MediaDecoder) as opened:
            request = pool.submit(opened.judge, LocalFolder(folder), entries)
            assert entries.asked.wait(WAIT_S)
        entries.released.set()
        with pytest.raises(CancelledError):
            request.result(WAIT_S)


def children() -> set[str]:
    """Return the child processes of this process."""
    return {pid for task in Path("/proc/self/task").glob("*/children") for pid in task.read_text().split()}


def test_no_process_and_no_thread_is_left_after_the_block(tmp_path: Path) -> None:
    folder, processes, threads = noise(tmp_path / "in", range(20)), children(), set(threading.enumerate())
    with Engine(stub_engine(tmp_path / "models").settings, stub_ensemble, Decoder) as engine:
        assert {outcome.status for outcome in judge(engine, folder)} == {Status.OK}
        assert children() > processes
        assert set(threading.enumerate()) > threads
    assert children() == processes
    assert set(threading.enumerate()) == threads


def test_after_an_error_nothing_is_left_either(tmp_path: Path) -> None:
    folder, processes, threads = noise(tmp_path / "in", range(20)), children(), set(threading.enumerate())

    def broken(settings: Any) -> Any:
        raise OSError(28, "No space left on device")

    with (
        pytest.raises(OSError, match="No space left"),
        Engine(stub_engine(tmp_path / "models").settings, broken, Decoder) as engine,
    ):
        judge(engine, folder)
    assert children() == processes
    assert set(threading.enumerate()) == threads


def test_an_engine_judges_only_inside_a_block_and_may_be_opened_again(tmp_path: Path) -> None:
    folder, engine = noise(tmp_path / "in", range(3)), stub_engine(tmp_path / "models")
    with pytest.raises(RuntimeError, match="use it in a `with` block"):
        judge(engine, folder)
    with engine:
        first = judge(engine, folder)
        with engine:
            pass
        assert judge(engine, folder) == first  # the inner block did not close it
    with pytest.raises(RuntimeError, match="not open"):
        judge(engine, folder)
    with engine:
        assert judge(engine, folder) == first


def test_a_path_and_its_bytes_have_the_same_outcome(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "in")
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file() and not path.is_symlink()]
    with stub_engine(tmp_path / "models") as engine:
        of_paths = engine.check(paths)
        of_bytes = engine.check([path.read_bytes() for path in paths])
        mixed = engine.check([paths[0], paths[0].read_bytes(), b"", tmp_path / "gone.jpg"])
    assert {outcome.status for outcome in of_paths} >= {"ok", "truncated", "corrupt", "unsupported", "too_small"}
    assert of_bytes == [replace(outcome, mtime_ns=None) for outcome in of_paths]  # bytes have no time
    assert [outcome.status for outcome in mixed][2:] == ["corrupt", "unreadable"]
    assert mixed[1] == replace(mixed[0], mtime_ns=None)


def test_bytes_beyond_the_cap_are_too_large(tmp_path: Path) -> None:
    with stub_engine(tmp_path / "models", media={"max_bytes": 10}) as engine:
        (outcome,) = engine.check([b"\xff\xd8\xff" + bytes(20)])
    assert (outcome.status, outcome.detail) == ("too_large", "23 bytes; the cap is media.max_bytes 10")
