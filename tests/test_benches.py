"""A bench that travels: it opens nothing until a batch comes, and refuses to judge for another fauxscan."""

import pickle
from pathlib import Path

import pytest
from scanning_fixtures import stub_engine, write_many

from fauxscan.records import UserError
from fauxscan.scanning import scan as scanning
from fauxscan.scanning import tables


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
    with pytest.raises(UserError, match=r"the scan 0\.0\.1: install the same on both"):
        pickle.loads(pickle.dumps(bench)).judge([])
