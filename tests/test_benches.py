"""A bench that travels: it opens nothing until a batch comes, and refuses to judge for another fauxscan."""

import pickle
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from scanning_fixtures import Eyes, stub_engine, stub_panel, write_many

from fauxscan.records import UserError
from fauxscan.scanning import handover, places, tables
from fauxscan.scanning import scan as scanning
from fauxscan.scanning.benches import Bench
from fauxscan.scanning.engine import Engine, Forgetful, Result
from fauxscan.scanning.rows import Entry, Outcome


def test_to_unpickle_a_bench_opens_nothing(tmp_path: Path) -> None:
    with tables.locked(tmp_path / "results"):
        bench = scanning.prepare(write_many(tmp_path / "in", 10), tmp_path / "results", stub_engine(tmp_path)).bench
    (tmp_path / "results" / "media" / "damaged.parquet").write_bytes(b"PAR1")
    sent = pickle.loads(pickle.dumps(bench))
    assert sent.run == bench.run
    with pytest.raises(UserError, match="is damaged or cut off"):
        sent.judge([])


def test_a_worker_with_another_fauxscan_refuses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with tables.locked(tmp_path / "results"):
        monkeypatch.setattr(scanning, "version", lambda name: "0.0.1")
        bench = scanning.prepare(write_many(tmp_path / "in", 10), tmp_path / "results", stub_engine(tmp_path)).bench
    with pytest.raises(UserError, match=r"worker on .* has fauxscan .*, the scan 0\.0\.1; install the same"):
        pickle.loads(pickle.dumps(bench)).judge([])


def prepared(home: Path) -> Bench:
    """Return the bench of a scan that has begun, as another process gets it."""
    with tables.locked(home / "results"):
        bench = scanning.prepare(write_many(home / "in", 10), home / "results", stub_engine(home)).bench
    sent: Bench = pickle.loads(pickle.dumps(bench))
    return sent


@pytest.mark.parametrize(("gone", "said"), [("in", "in is not there"), ("results", "results is not there")])
def test_a_worker_that_does_not_see_what_is_shared_refuses(tmp_path: Path, gone: str, said: str) -> None:
    bench = prepared(tmp_path)
    (tmp_path / gone).rename(tmp_path / "away")
    with pytest.raises(UserError, match=f"the worker on .* cannot judge for this scan: .*{said}"):
        bench.judge([])


def test_other_models_than_the_scan_began_with_are_refused(tmp_path: Path) -> None:
    chosen = stub_engine(tmp_path).settings
    planned = tuple(card.model_copy(update={"model_digest": "0" * 64}) for card in chosen.cards)
    root = places.at(write_many(tmp_path / "in", 10))
    engine = Engine(replace(chosen, cards=planned), stub_panel, Eyes)
    with pytest.raises(UserError, match="not the models that the scan began with"):
        engine.score(root, [Entry("000.png", 1, 1)], Forgetful())


def test_what_an_earlier_try_handed_over_is_replaced(tmp_path: Path) -> None:
    rows = [{"sha256": "a" * 64, "model": "m", "logit": 1.0}]
    tried = [Result(Outcome(sha256="a" * 64, status="ok"), rows, {})]
    failed = [Result(Outcome(sha256="a" * 64, status="timeout"))]
    handover.put(tmp_path, 0, tried, "found")
    assert handover.take(tmp_path, 0)[0].rows[0]["logit"] == 1.0
    handover.put(tmp_path, 0, failed, "found")
    assert handover.take(tmp_path, 0) == [Result(Outcome(sha256="a" * 64, status="timeout"), ())]


def test_a_part_that_is_not_seen_yet_is_an_error_of_reading(tmp_path: Path) -> None:
    handover.put(tmp_path, 0, [Result(Outcome(sha256="a" * 64))], "found")
    next(tmp_path.glob("*-scores.parquet")).unlink()
    with pytest.raises(FileNotFoundError):
        handover.take(tmp_path, 0)
    handover.drop(tmp_path, 0)
    assert list(tmp_path.iterdir()) == []


def test_two_processes_may_hand_over_one_batch(tmp_path: Path) -> None:
    results = [Result(Outcome(sha256=f"{n:064x}")) for n in range(50)]
    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(handover.put, tmp_path, n // 4, results, "found") for n in range(80)]:
            done.result()
    assert handover.take(tmp_path, 19) == [result._replace(rows=()) for result in results]
