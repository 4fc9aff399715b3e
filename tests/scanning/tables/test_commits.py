"""The tables: their columns, what other libraries read, what damage does, and what a spreadsheet would run."""

import csv
import io
import shutil
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from support.scanning import stub_engine, write_folder

from fauxscan.records import UserError
from fauxscan.reporting import scans
from fauxscan.scanning import scan
from fauxscan.scanning.tables import commits, queries, schemas

RUNS = ["run_id", "root", "started_at", "finished_at", "models", "settings", "tool_version"]
MEDIA = [
    "run_id", "root", "path", "path_bytes", "change", "sha256", "size", "mtime_ns", "etag", "kind", "format", "width",
    "height", "duration_s", "seconds_seen", "status", "detail", "faces", "p_fake", "verdict", "settings",
]  # fmt: skip
SCORES = [
    "sha256", "model", "model_digest", "frame", "time_s", "track", "face", "x", "y", "w", "h", "det_score",
    "framing", "logit", "logit_reencoded",
    "p_fake", "settings",
]  # fmt: skip


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the tables of one scan of every kind of file."""
    home = tmp_path_factory.mktemp("tables")
    scan.scan(write_folder(home / "in"), home / "results", stub_engine(home / "models"))
    return home / "results"


def test_the_columns_are_those_of_the_design(results: Path) -> None:
    found = {name: pq.read_schema(next((results / name).glob("*.parquet"))) for name in ("runs", "media", "scores")}
    assert found["media"].names == MEDIA
    assert found["scores"].names == SCORES
    assert [n for n in found["runs"].names if not n.startswith(("status_", "verdict_"))] == RUNS
    assert found["media"].field("p_fake").type == pa.float64()
    assert found["media"].field("mtime_ns").type == pa.int64()
    assert found["runs"].field("started_at").type == pa.timestamp("us", tz="UTC")
    for name, schema in found.items():
        assert schema.metadata[b"fauxscan.table"].decode() == name
        assert schema.metadata[b"fauxscan.label"] == b"p_fake: 1 = fake, 0 = real"


def test_parts_are_compressed_with_zstd_and_nothing_is_left_aside(results: Path) -> None:
    parts = list(results.glob("*/*.parquet"))
    assert {pq.ParquetFile(part).metadata.row_group(0).column(0).compression for part in parts} == {"ZSTD"}
    assert list((results / "staging").iterdir()) == []
    assert list(results.rglob("*.tmp")) == []


def test_pandas_duckdb_and_polars_read_the_tables_without_us(results: Path) -> None:
    ours = {row["path"]: row["p_fake"] for row in queries.latest(results).to_pylist()}
    by_pandas = pd.read_parquet(results / "media")
    by_polars = pl.read_parquet(results / "media")
    query = f"select path, p_fake from read_parquet('{results}/media/*.parquet')"
    assert dict(duckdb.sql(query).fetchall()) == ours
    assert dict(zip(by_polars["path"], by_polars["p_fake"], strict=True)) == ours
    known = by_pandas.dropna(subset="p_fake")
    assert dict(zip(known["path"], known["p_fake"], strict=True)) == {k: v for k, v in ours.items() if v is not None}
    runs = pd.read_parquet(results / "runs").iloc[0]
    assert runs["status_ok"] == sum(value is not None for value in ours.values())
    assert [model["name"] for model in runs["models"]] == ["faces", "wholes"]
    assert pl.read_parquet(results / "runs")["models"][0][1]["model_digest"] == "b" * 64
    unscored = f"""select count(*) from read_parquet('{results}/media/*.parquet')
        where status = 'ok' and sha256 not in (select sha256 from read_parquet('{results}/scores/*.parquet'))"""
    assert duckdb.sql(unscored).fetchall() == [(0,)]


def test_names_that_are_not_utf8_keep_their_bytes(results: Path) -> None:
    odd = [row for row in queries.latest(results).to_pylist() if row["path_bytes"] is not None]
    assert [(row["path"], row["path_bytes"]) for row in odd] == [("not utf-8 \ufffd.png", b"not utf-8 \xff.png")]


@pytest.mark.parametrize("damage", ["cut", "flipped", "foreign", "no parquet", "newer"])
def test_a_part_that_is_damaged_or_not_ours_is_named_with_the_remedy(
    results: Path, tmp_path: Path, damage: str
) -> None:
    whole = next((results / "media").glob("*.parquet"))
    bad = tmp_path / "media" / "bad.parquet"
    bad.parent.mkdir()
    content = bytearray(whole.read_bytes())
    if damage == "cut":
        bad.write_bytes(content[: len(content) // 2])
    elif damage == "flipped":
        content[40] ^= 0xFF  # in the first page's data
        bad.write_bytes(content)
    elif damage == "foreign":
        pq.write_table(pa.table({"path": ["x"]}), bad)
    elif damage == "no parquet":
        bad.write_text("hello")
    else:
        meta = {**schemas.MEDIA.metadata, b"fauxscan.version": b"5"}
        pq.write_table(pq.read_table(whole).replace_schema_metadata(meta), bad)
    with pytest.raises(UserError, match=r"bad\.parquet.*(move it|upgrade fauxscan)"):
        queries.latest(tmp_path)


def test_a_scan_refuses_results_with_a_cut_part_in_any_table(tmp_path: Path) -> None:
    root, engine = write_folder(tmp_path / "in"), stub_engine(tmp_path / "models", only="wholes")
    scan.scan(root, tmp_path / "results", engine)
    part = next((tmp_path / "results" / "scores").glob("*.parquet"))
    part.write_bytes(part.read_bytes()[:-20])
    with pytest.raises(UserError, match=part.name):
        scan.scan(root, tmp_path / "results", engine)


def test_what_is_moved_out_of_the_results_is_judged_again(tmp_path: Path) -> None:
    root, engine = write_folder(tmp_path / "in"), stub_engine(tmp_path / "models", only="wholes")
    scan.scan(root, tmp_path / "results", engine)
    states = lambda: [{**row, "run_id": None} for row in queries.latest(tmp_path / "results").to_pylist()]
    before, part = states(), sorted((tmp_path / "results" / "media").glob("*.parquet"))[0]
    for name in ("media", "scores"):
        (tmp_path / "results" / name / part.name).unlink()
    assert states() != before
    scan.scan(root, tmp_path / "results", engine)
    unordered = lambda rows: [{**row, "change": None} for row in rows]
    assert unordered(states()) == unordered(before)


@pytest.mark.parametrize(("version", "lacking"), [(b"1", ["etag", "seconds_seen"]), (b"2", ["seconds_seen"])])
def test_tables_of_earlier_versions_are_read_and_scanned_on(tmp_path: Path, version: bytes, lacking: list[str]) -> None:
    root, engine = write_folder(tmp_path / "in"), stub_engine(tmp_path / "models", only="wholes")
    results, first = tmp_path / "results", scan.scan(root, tmp_path / "results", engine)
    for part in (results / "media").glob("*.parquet"):
        meta = {**schemas.MEDIA.metadata, b"fauxscan.version": version}
        pq.write_table(pq.read_table(part).drop_columns(lacking).replace_schema_metadata(meta), part)
    (root / "notes.txt").write_text("other words")
    shutil.copy(root / "a" / "clip.mp4", root / "copy.mp4")
    again = scan.scan(root, results, engine)
    assert again.changes == {"changed": 1, "copied": 1}
    assert sum(again.statuses.values()) == sum(first.statuses.values()) + 1 == len(queries.latest(results))
    seen = {row["path"]: row["seconds_seen"] for row in queries.latest(results).to_pylist() if row["kind"] == "video"}
    assert seen == {"a/clip.mp4": None, "copy.mp4": None}


def test_latest_says_where_there_are_no_results(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no results at"):
        queries.latest(tmp_path)


def test_run_ids_grow_although_the_clock_is_set_back(tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    first = commits.new_run_id(tmp_path, datetime(2026, 11, 20, 12, tzinfo=UTC))
    (tmp_path / "runs" / f"{first}.parquet").touch()
    second = commits.new_run_id(tmp_path, datetime(2026, 11, 20, 11, tzinfo=UTC))
    assert first < second
    assert second.startswith("20261120T120000000001Z-")


def test_csv_runs_no_formula(results: Path) -> None:
    text = "".join(scans.csv_lines(queries.latest(results).to_pylist(), MEDIA))
    rows = list(csv.DictReader(io.StringIO(text)))
    assert "'=cmd('calc')!A0.png" in {row["path"] for row in rows}
    assert "new\nline.png" in {row["path"] for row in rows}
    assert b"not utf-8 \xff.png".hex() in {row["path_bytes"] for row in rows}
    assert not [cell for row in rows for cell in row.values() if cell.startswith(("=", "+", "-", "@", "\t"))]


def test_a_terminal_sees_no_control_characters() -> None:
    assert scans.visible("a\x1b[31m\u202eb\nc é") == "a\\x1b[31m\\u202eb\\nc é"
