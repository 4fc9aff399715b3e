"""A judge that travels: it opens nothing until a batch comes, and refuses to judge for another fauxscan."""

import pickle
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from support.scanning import MediaDecoder, stub_engine, stub_ensemble, write_many

from fauxscan.records import UserError
from fauxscan.scanning import scan as scanning
from fauxscan.scanning.batches import batch_files
from fauxscan.scanning.batches.judge import BatchJudge
from fauxscan.scanning.engine.engine import Engine
from fauxscan.scanning.inputs import roots
from fauxscan.scanning.rows import Entry, FileBatch, Outcome
from fauxscan.scanning.tables import parquet

NO_FILES = FileBatch((), (), ())


def test_to_unpickle_a_judge_opens_nothing(tmp_path: Path) -> None:
    with parquet.locked(tmp_path / "results"):
        judge = scanning.prepare(
            write_many(tmp_path / "in", 10), tmp_path / "results", stub_engine(tmp_path)
        ).batch_judge
    (tmp_path / "results" / "media" / "damaged.parquet").write_bytes(b"PAR1")
    sent = pickle.loads(pickle.dumps(judge))
    assert sent.run == judge.run
    with pytest.raises(UserError, match="is damaged or truncated"):
        sent.judge(NO_FILES)


def test_a_worker_with_another_fauxscan_refuses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with parquet.locked(tmp_path / "results"):
        monkeypatch.setattr(scanning, "version", lambda name: "0.0.1")
        judge = scanning.prepare(
            write_many(tmp_path / "in", 10), tmp_path / "results", stub_engine(tmp_path)
        ).batch_judge
    with pytest.raises(UserError, match=r"worker on .* has fauxscan .*, the scan 0\.0\.1; install the same"):
        pickle.loads(pickle.dumps(judge)).judge(NO_FILES)


def prepared(home: Path) -> BatchJudge:
    """Return the judge of a scan that has begun, as another process gets it."""
    with parquet.locked(home / "results"):
        judge = scanning.prepare(write_many(home / "in", 10), home / "results", stub_engine(home)).batch_judge
    sent: BatchJudge = pickle.loads(pickle.dumps(judge))
    return sent


@pytest.mark.parametrize(("gone", "said"), [("in", "in does not exist"), ("results", "results is not there")])
def test_a_worker_that_does_not_see_what_is_shared_refuses(tmp_path: Path, gone: str, said: str) -> None:
    judge = prepared(tmp_path)
    (tmp_path / gone).rename(tmp_path / "away")
    with pytest.raises(UserError, match=f"the worker on .* cannot judge for this scan: .*{said}"):
        judge.judge(NO_FILES)


def test_other_models_than_the_scan_began_with_are_refused(tmp_path: Path) -> None:
    chosen = stub_engine(tmp_path).settings
    planned = tuple(card.model_copy(update={"model_digest": "0" * 64}) for card in chosen.cards)
    root = roots.root_at(write_many(tmp_path / "in", 10))
    engine = Engine(replace(chosen, cards=planned), stub_ensemble, MediaDecoder)
    with engine, pytest.raises(UserError, match="not the models that the scan began with"):
        engine.judge(root, [Entry("000.png", 1, 1)])


def test_what_an_earlier_try_handed_over_is_replaced(tmp_path: Path) -> None:
    rows = [{"sha256": "a" * 64, "model": "m", "logit": 1.0}]
    tried = [Outcome(sha256="a" * 64, status="ok", scores=rows, face_boxes={})]
    failed = [Outcome(sha256="a" * 64, status="timeout")]
    batch_files.write_batch(tmp_path, 0, tried, "found")
    assert batch_files.read_batch(tmp_path, 0)[0].scores[0]["logit"] == 1.0
    batch_files.write_batch(tmp_path, 0, failed, "found")
    assert batch_files.read_batch(tmp_path, 0) == failed


def test_a_part_that_is_not_seen_yet_is_an_error_of_reading(tmp_path: Path) -> None:
    batch_files.write_batch(tmp_path, 0, [Outcome(sha256="a" * 64)], "found")
    next(tmp_path.glob("*-scores.parquet")).unlink()
    with pytest.raises(FileNotFoundError):
        batch_files.read_batch(tmp_path, 0)
    batch_files.delete_batch(tmp_path, 0)
    assert list(tmp_path.iterdir()) == []


def test_two_processes_may_write_one_batch(tmp_path: Path) -> None:
    results = [Outcome(sha256=f"{n:064x}") for n in range(50)]
    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(batch_files.write_batch, tmp_path, n // 4, results, "found") for n in range(80)]:
            done.result()
    assert batch_files.read_batch(tmp_path, 19) == results
