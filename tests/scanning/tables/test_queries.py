"""Questions to the tables against a plain reading of random histories, and as a person asks them."""

import csv
import io
import json
import os
import random
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from fauxscan import cli
from fauxscan.records import UserError
from fauxscan.reporting import scans
from fauxscan.scanning.rows import Row, key_of
from fauxscan.scanning.tables import parquet, queries, schemas

ROOTS = ("/data/in", "/data/other", "/")
# Names that spreadsheets, pages, terminals and SQL would take for something else.
NASTY = [
    b"=cmd|'/c calc'!A0", b"+1.jpg", b"-1.jpg", b"@x", b"<script>alert(1)</script>.png", b"new\nline.png",
    b"\x1b[31mred\x1b[0m.png", b"\tx", b"\xff.jpg", b"\xfe.jpg", "\u202egpj.exe".encode(), b"it's; DROP TABLE x",
    b"\\x41.jpg", b"A.jpg", "gr\u00fc\u00dfe/\U0001f600.png".encode(), b"%s {0} $root.png", b'"quoted".png',
]  # fmt: skip


def stamp(number: int) -> str:
    return f"{datetime(2026, 1, 1, tzinfo=UTC) + timedelta(hours=number):%Y%m%dT%H%M%S%f}Z-{number:06x}"


def row(run: int, root: str, key: bytes, change: str, **others: Any) -> Row:
    name = {"path": key.decode("utf-8", "replace"), "path_bytes": None}
    if name["path"].encode() != key:
        name["path_bytes"] = key  # type: ignore[assignment]
    blank = dict.fromkeys(schemas.MEDIA.names)
    return {**blank, "run_id": stamp(run), "root": root, **name, "change": change, "status": "ok", **others}


def judged(chance: random.Random) -> dict[str, Any]:
    """Return an outcome out of few, so that files often stand as they stood."""
    sha256, settings = chance.choice("abc") * 64, chance.choice(["old", "new"])
    if chance.random() < 0.2:
        return {"sha256": sha256, "status": "corrupt", "settings": settings}
    p_fake = chance.choice([0.1, 0.5, 0.9])
    verdict, faces = chance.choice(["uncertain", "no_indication"]), chance.choice([None, 0, 2])
    return {"sha256": sha256, "p_fake": p_fake, "verdict": verdict, "faces": faces}


def write(results: Path, media: Sequence[Row], groups: int = 1) -> Path:
    """Write rows as a scan does: a file a run and group, those of its `runs` beside."""
    for name in ("media", "runs"):
        (results / name).mkdir(parents=True, exist_ok=True)
    for run_id in sorted({recorded["run_id"] for recorded in media}):
        recorded = [one for one in media if one["run_id"] == run_id]
        for group in range(groups):
            part = results / "media" / f"{run_id}-{group:06d}.parquet"
            parquet.write(pa.Table.from_pylist(recorded[group::groups], schemas.MEDIA), part, results)
        begun = {"run_id": run_id, "root": recorded[0]["root"], "started_at": datetime(2026, 1, 1, tzinfo=UTC)}
        part = results / "runs" / f"{run_id}.parquet"
        parquet.write(pa.Table.from_pylist([begun], schemas.RUNS), part, results)
    return results


def history(seed: int, runs: int = 8, names: Sequence[bytes] = NASTY) -> list[Row]:
    """Return the rows of random runs, each over one root, in which files come, change, move and go."""
    chance, there, rows = random.Random(seed), dict[tuple[str, bytes], dict[str, Any]](), list[Row]()
    for run in range(runs):
        root = chance.choice(ROOTS)
        for key in chance.sample(names, chance.randrange(1, len(names))):
            if (root, key) in there and chance.random() < 0.3:
                rows.append(row(run, root, key, "removed", **there.pop((root, key))))
                continue
            change = chance.choice(["changed", "rescored"]) if (root, key) in there else chance.choice(["new", "moved"])
            there[root, key] = judged(chance)
            rows.append(row(run, root, key, change, **there[root, key]))
    return rows


# === Naive answers ===


def standing(rows: Sequence[Row], until: str | None = None) -> dict[tuple[str, bytes], Row]:
    """Return the last row of each file that is there after a run."""
    last: dict[tuple[str, bytes], Row] = {}
    for recorded in sorted(rows, key=lambda one: str(one["run_id"])):
        if until is None or recorded["run_id"] <= until:
            last[recorded["root"], key_of(recorded)] = recorded
    return {key: recorded for key, recorded in last.items() if recorded["change"] != "removed"}


def in_order(rows: Any) -> list[Row]:
    return sorted(rows, key=lambda one: (one["root"].encode(), one["path"].encode(), key_of(one)))


def followed(rows: Sequence[Row], until: str) -> dict[tuple[str, bytes], int]:
    """Return a number for each file that is there after a run: a file keeps it when it moves."""
    numbers: dict[tuple[str, bytes], int] = {}
    for run_id in sorted({one["run_id"] for one in rows if one["run_id"] <= until}):
        of_run = sorted((one for one in rows if one["run_id"] == run_id), key=key_of)
        gone: dict[Any, list[int]] = {}
        for one in of_run:
            if one["change"] == "removed":
                number = numbers.pop((one["root"], key_of(one)))
                gone.setdefault((one["root"], one["sha256"]), []).append(number)
        for number, one in enumerate(of_run):
            if one["change"] == "moved" and gone.get((one["root"], one["sha256"])):
                numbers[one["root"], key_of(one)] = gone[one["root"], one["sha256"]].pop(0)
            elif one["change"] in ("new", "copied", "moved"):
                numbers[one["root"], key_of(one)] = hash((run_id, number))
    return numbers


def differing(rows: Sequence[Row], before: str, after: str) -> list[tuple[Any, ...]]:
    old, new = standing(rows, before), standing(rows, after)
    name_of = {number: key for key, number in followed(rows, before).items()}
    moved_from = {key: name_of[number] for key, number in followed(rows, after).items() if number in name_of}
    left = old.keys() - moved_from.values()
    pairs = {key: moved_from.get(key, key if key in left else None) for key in new}
    lines = [(key, old_key and old[old_key], new[key]) for key, old_key in pairs.items()]
    lines += [(key, old[key], None) for key in old.keys() - set(pairs.values())]
    found = []
    for key, a, b in lines:
        words = ["moved"] * (moved_from.get(key, key) != key and b is not None)
        came = [a["path"], a["path_bytes"]] if words and a else [None, None]
        words += [word for name, word in queries.COMPARED.items() if a and b and a[name] != b[name]]
        what = "added" if a is None else "removed" if b is None else ", ".join(words)
        values = [one and one[name] for name in queries.COMPARED for one in (a, b)]
        if what:
            found.append((*key, what, *values, *came))
    return sorted(found, key=lambda one: one[:3])


@pytest.mark.parametrize("seed", range(6))
def test_answers_are_those_of_a_plain_reading(tmp_path: Path, seed: int) -> None:
    rows = history(seed)
    results = write(tmp_path, rows, groups=1 + seed % 2)
    now = standing(rows)
    assert queries.latest(results).to_pylist() == in_order(now.values())
    with queries.open_tables(results) as asked:
        highest = asked.top(5).read_all().to_pylist()
        with_faces = asked.top(5, with_faces=True).read_all().to_pylist()
    scored = in_order(recorded for recorded in now.values() if recorded["p_fake"] is not None)
    scored.sort(key=lambda one: -one["p_fake"])
    assert highest == scored[:5]
    assert with_faces == [one for one in scored if one["faces"] != 0][:5]


@pytest.mark.parametrize("seed", range(6))
def test_differences_are_those_of_a_plain_reading(tmp_path: Path, seed: int) -> None:
    rows = history(seed)
    write(tmp_path, rows)
    runs = sorted({recorded["run_id"] for recorded in rows})
    chance = random.Random(seed)
    with queries.open_tables(tmp_path) as asked:
        for before, after in [sorted(chance.choices(runs, k=2)) for _ in range(6)]:
            found = asked.differences(before, after).read_all().to_pylist()
            recorded = [(one.pop("root"), key_of(one), one.pop("difference"), *list(one.values())[2:]) for one in found]
            assert sorted(recorded, key=lambda one: one[:3]) == differing(rows, before, after)


@pytest.mark.slow
def test_a_hundred_thousand_rows_are_answered_alike(tmp_path: Path) -> None:
    rows = history(1, 60, [f"{number // 100}/{number}.jpg".encode() for number in range(3400)])
    assert len(rows) > 100_000
    write(tmp_path, rows)
    assert queries.latest(tmp_path).to_pylist() == in_order(standing(rows).values())
    with queries.open_tables(tmp_path) as asked:
        found = asked.differences(stamp(30), stamp(45)).read_all().to_pylist()
    assert sorted(one["difference"] for one in found) == sorted(one[2] for one in differing(rows, stamp(30), stamp(45)))


# === Moves ===

SHA, OTHER = {"sha256": "a" * 64, "p_fake": 0.5}, {"sha256": "b" * 64, "p_fake": 0.9}


def lines_of(found: pa.RecordBatchReader) -> list[tuple[int, str, str]]:
    """Return the number of the run, the path and the change of each row."""
    return [(int(one["run_id"][-6:]), one["path"], one["change"]) for one in found.read_all().to_pylist()]


def moves(root: str = ROOTS[0]) -> list[Row]:
    """Return the rows of a file that moves twice; other files have its names before and after, and copies exist."""
    return [
        row(0, root, b"a.jpg", "new", **OTHER),
        row(1, root, b"a.jpg", "removed", **OTHER),
        row(2, root, b"a.jpg", "new", **SHA), row(2, root, b"copy.jpg", "copied", **SHA),
        row(3, root, b"a.jpg", "rescored", **SHA | {"p_fake": 0.6}),
        row(4, root, b"a.jpg", "removed", **SHA), row(4, root, b"\xff.jpg", "moved", **SHA),
        row(5, root, b"a.jpg", "new", **OTHER),
        row(6, root, b"\xff.jpg", "removed", **SHA), row(6, root, b"sub/c.jpg", "moved", **SHA),
        row(7, root, b"sub/c.jpg", "touched", **SHA), row(7, root, b"later.jpg", "copied", **SHA),
    ]  # fmt: skip


def test_a_history_includes_earlier_names_through_several_moves_but_not_through_copies(tmp_path: Path) -> None:
    write(tmp_path, [*moves(), *moves("/data/other")])
    with queries.open_tables(tmp_path) as asked:
        assert lines_of(asked.history("/data/in/sub/c.jpg")) == [
            (2, "a.jpg", "new"), (3, "a.jpg", "rescored"), (4, "a.jpg", "removed"), (4, "\ufffd.jpg", "moved"),
            (6, "\ufffd.jpg", "removed"), (6, "sub/c.jpg", "moved"), (7, "sub/c.jpg", "touched"),
        ]  # fmt: skip
        assert len(lines_of(asked.history("sub/c.jpg"))) == 14
        assert [change for *_, change in lines_of(asked.history("/data/in/later.jpg"))] == ["copied"]
        assert [run for run, *_ in lines_of(asked.history("/data/in/a.jpg"))] == [0, 1, 2, 3, 4, 5]


def test_a_file_that_moves_back_has_each_row_once(tmp_path: Path) -> None:
    changes = [("a", "new", 0), ("a", "removed", 1), ("b", "moved", 1), ("b", "removed", 2), ("a", "moved", 2)]
    write(tmp_path, [row(run, ROOTS[0], name.encode(), change, **SHA) for name, change, run in changes])
    with queries.open_tables(tmp_path) as asked:
        recorded = [(path, change, run) for run, path, change in lines_of(asked.history("a"))]
        assert recorded == changes
        assert len(asked.differences(stamp(0), stamp(2)).read_all()) == 0


def test_a_move_is_one_line_with_both_names(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path, moves())
    command = ["diff", "--results", str(tmp_path)]
    assert cli.run([*command, stamp(3), stamp(4)]) == 0
    assert [line.split() for line in capsys.readouterr().out.splitlines()[1:]] == [
        ["moved,", "score", "/data/in", "a.jpg", "->", "\ufffd.jpg", "ok", "ok"]
    ]
    assert cli.run([*command, stamp(2), "latest", "--format", "json"]) == 0
    lines = {one["path"]: (one["difference"], one["moved_from"]) for one in json.loads(capsys.readouterr().out)}
    assert lines == {"a.jpg": ("added", None), "later.jpg": ("added", None), "sub/c.jpg": ("moved", "a.jpg")}


def test_a_move_onto_the_name_of_a_removed_file_removes_that_file(tmp_path: Path) -> None:
    write(tmp_path, [
        row(0, ROOTS[0], b"a", "new", **SHA), row(0, ROOTS[0], b"b", "new", **OTHER),
        row(1, ROOTS[0], b"b", "removed", **OTHER),
        row(2, ROOTS[0], b"a", "removed", **SHA), row(2, ROOTS[0], b"b", "moved", **SHA),
    ])  # fmt: skip
    with queries.open_tables(tmp_path) as asked:
        found = asked.differences(stamp(0), stamp(2)).read_all().to_pylist()
    assert [(one["path"], one["difference"], one["p_fake_before"], one["p_fake_after"]) for one in found] == [
        ("b", "moved", 0.5, 0.5), ("b", "removed", 0.9, None),
    ]  # fmt: skip


@pytest.mark.parametrize("key", NASTY)
def test_a_files_history_is_found_by_its_name_and_by_its_place(tmp_path: Path, key: bytes) -> None:
    rows = [row(run, root, name, "changed") for run in range(3) for root in ROOTS for name in NASTY]
    write(tmp_path, rows)
    for root in (None, *ROOTS):
        asked_for = os.fsdecode(key)
        path = asked_for if root is None else f"{root.rstrip('/')}/{asked_for}"
        with queries.open_tables(tmp_path) as asked:
            found = asked.history(path).read_all().to_pylist()
        recorded = [(one["run_id"], one["root"], key_of(one)) for one in found]
        assert recorded == [(stamp(run), at, key) for run in range(3) for at in sorted(ROOTS) if root in (None, at)]
        assert {one["started_at"] for one in found} == {datetime(2026, 1, 1, tzinfo=UTC)}


def test_an_absolute_path_is_found_below_every_root_that_holds_it(tmp_path: Path) -> None:
    write(tmp_path, [row(0, "/data", b"in/a.jpg", "new"), row(1, "/data/in", b"a.jpg", "new")])
    with queries.open_tables(tmp_path) as asked:
        assert [one["root"] for one in asked.history("/data/in/a.jpg").read_all().to_pylist()] == ["/data", "/data/in"]
        assert [one["root"] for one in asked.history("a.jpg").read_all().to_pylist()] == ["/data/in"]
    with queries.open_tables(tmp_path) as asked, pytest.raises(UserError, match=r"no file 'data/in/a\.jpg'"):
        asked.history("data/in/a.jpg")


def test_a_run_is_named_by_the_beginning_of_its_id_or_by_a_word(tmp_path: Path) -> None:
    write(tmp_path, [row(run, ROOTS[run % 2], b"a", "changed", p_fake=run / 10) for run in range(4)])
    with queries.open_tables(tmp_path) as asked:
        moved = asked.differences("previous", "latest", ROOTS[0]).read_all().to_pylist()
    assert [(one["p_fake_before"], one["p_fake_after"]) for one in moved] == [(0.0, 0.2)]
    for before, after, said in (
        ("20260101T00", "2026", "'2026' matches several runs"),
        ("nonsense", "latest", f"'nonsense' matches no run: .*{stamp(0)}, {stamp(1)}"),
        ("latest", "previous", "name the earlier run first"),
        ("'; DROP TABLE runs; --", "latest", "matches no run"),
    ):
        with queries.open_tables(tmp_path) as asked, pytest.raises(UserError, match=said):
            asked.differences(before, after)


def test_without_an_earlier_run_there_is_no_previous_one(tmp_path: Path) -> None:
    write(tmp_path, [row(0, ROOTS[0], b"a", "new")])
    said = f"there is no run before {stamp(0)}, the only one"
    with queries.open_tables(tmp_path) as asked, pytest.raises(UserError, match=said):
        asked.differences("previous", "latest")


def test_the_previous_run_is_the_last_that_ended(tmp_path: Path) -> None:
    write(tmp_path, [row(run, ROOTS[0], b"a", "changed", p_fake=run / 10) for run in range(4)])
    ended = {"run_id": stamp(1), "root": ROOTS[0], "finished_at": datetime(2026, 1, 2, tzinfo=UTC)}
    parquet.write(pa.Table.from_pylist([ended], schemas.RUNS), tmp_path / "runs" / f"{stamp(1)}.parquet", tmp_path)
    with queries.open_tables(tmp_path) as asked:
        (moved,) = asked.differences("previous", "latest").read_all().to_pylist()
    assert (moved["p_fake_before"], moved["p_fake_after"]) == (0.1, 0.3)


def test_of_no_runs_there_is_nothing_to_tell(tmp_path: Path) -> None:
    write(tmp_path, [])
    assert len(queries.latest(tmp_path)) == 0
    with queries.open_tables(tmp_path) as asked, pytest.raises(UserError, match="Latest runs: none"):
        asked.differences("previous", "latest")


@pytest.mark.parametrize("where", ["media", "runs"])
def test_damage_in_the_middle_of_a_file_is_named_by_every_question(tmp_path: Path, where: str) -> None:
    write(
        tmp_path, [row(run, ROOTS[0], name, "changed", **judged(random.Random(1))) for run in (0, 1) for name in NASTY]
    )
    part = sorted((tmp_path / where).glob("*.parquet"))[0]
    content = bytearray(part.read_bytes())
    content[40] ^= 0xFF  # in the first page's data: the run's id
    part.write_bytes(content)
    questions = [lambda t: t.differences("previous", "latest"), lambda t: t.runs().read_all()]
    if where == "media":
        questions = [lambda t: t.latest().read_all(), lambda t: t.top(1).read_all(), lambda t: t.history("A.jpg")]
    for question in questions:
        with pytest.raises(UserError, match=f"{part.name} is damaged"), queries.open_tables(tmp_path) as asked:
            question(asked)


def test_no_flipped_bit_is_believed(tmp_path: Path) -> None:
    rows = [row(0, ROOTS[0], f"{n:06d}.jpg".encode(), "new") for n in range(1000)]
    write(tmp_path, rows)
    part = next((tmp_path / "media").glob("*.parquet"))
    whole, duckdb_believes = part.read_bytes(), 0
    for at in range(10, len(whole), len(whole) // 40):
        part.write_bytes(whole[:at] + bytes([whole[at] ^ 0x10]) + whole[at + 1 :])
        try:
            assert queries.latest(tmp_path).to_pylist() == rows, at
        except UserError as error:
            assert part.name in str(error)
        try:
            names = duckdb.sql(f"SELECT path FROM '{part}'").fetchall()
            duckdb_believes += names != [(one["path"],) for one in rows]
        except duckdb.Error:
            pass
    assert duckdb_believes  # else its own reader has learned to check pages, and may be used


# === Versions ===


def older(results: Path, *lacking: str, version: str = "1") -> Path:
    """Write the rows of a run as a version did that knew fewer columns."""
    schema = pa.schema([field for field in schemas.MEDIA if field.name not in lacking])
    schema = schema.with_metadata({**schemas.MEDIA.metadata, b"fauxscan.version": version.encode()})
    part = results / "media" / f"{stamp(0)}-000000.parquet"
    part.parent.mkdir(parents=True)
    (results / "runs").mkdir()
    parquet.write(pa.Table.from_pylist([row(0, ROOTS[0], b"a.jpg", "new", p_fake=0.5)], schema), part, results)
    return part


def test_a_column_that_came_later_is_null_in_older_tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    part = older(tmp_path, "faces", "settings")
    with pytest.raises(UserError, match=f"{part.name} lacks columns.*faces, settings"):
        queries.latest(tmp_path)
    monkeypatch.setattr(parquet, "VERSION", 4)
    monkeypatch.setattr(parquet, "ADDED", {"media.faces": 2, "media.settings": 4})
    newer = row(1, ROOTS[0], b"b.jpg", "new", faces=2, settings="s")
    write(tmp_path, [newer])
    recorded = [
        (one["path"], one["p_fake"], one["faces"], one["settings"]) for one in queries.latest(tmp_path).to_pylist()
    ]
    assert recorded == [("a.jpg", 0.5, None, None), ("b.jpg", None, 2, "s")]
    assert parquet.read(tmp_path, schemas.MEDIA)["faces"].to_pylist() == [None, 2]
    assert parquet.read(tmp_path, schemas.MEDIA).schema == schemas.MEDIA


@pytest.mark.parametrize(
    ("version", "said"),
    [("5", r"has version 5, but this fauxscan reads versions up to 4"), ("x", "not belong to"), ("", "not belong to")],
)
def test_a_newer_version_is_refused(tmp_path: Path, version: str, said: str) -> None:
    part = older(tmp_path, version=version)
    with pytest.raises(UserError, match=f"{part.name} .*{said}"):
        queries.latest(tmp_path)


# === At a terminal ===


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    rows = [row(0, ROOTS[0], name, "new", p_fake=0.25, verdict="uncertain") for name in NASTY]
    rows += [row(1, ROOTS[0], name, "changed", p_fake=0.75, verdict="uncertain") for name in NASTY]
    return write(tmp_path / "results", rows)


COMMANDS = (["latest"], ["top", "--count", "100"], ["history"], ["diff"], ["runs"])


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_no_name_is_run_in_any_form(recorded: Path, command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    names = [["--", os.fsdecode(name)] for name in NASTY] if command[0] == "history" else [[]]
    for name in names:
        printed = {}
        for form in ("table", "csv", "json"):
            assert cli.run([*command, "--results", str(recorded), "--format", form, *name]) == 0
            printed[form] = capsys.readouterr().out
        rows, sheet = json.loads(printed["json"]), list(csv.DictReader(io.StringIO(printed["csv"])))
        assert rows and len(rows) == len(sheet)
        assert all(c.isprintable() or c == "\n" for c in printed["table"] + printed["json"])
        assert len(printed["table"].splitlines()) == len(rows) + 1
        cells = [cell for line in sheet for cell in line.values()]
        assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@", "\t", "\r", "\n"))]
        if "path" in rows[0]:
            assert {one["path"] for one in rows} == {line["path"].removeprefix("'") for line in sheet}
            assert {bytes.fromhex(one["path_bytes"]) for one in rows if one["path_bytes"]} <= {b"\xff.jpg", b"\xfe.jpg"}


def test_filters_leave_out_what_was_not_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [row(0, ROOTS[0], b"a", "new", verdict="uncertain"), row(0, ROOTS[0], b"b", "new", status="corrupt")]
    write(tmp_path, [*rows, row(1, ROOTS[1], b"c", "new", verdict="uncertain")])
    for asked, paths in (
        (["--verdict", "uncertain"], ["a", "c"]),
        (["--status", "corrupt"], ["b"]),
        (["--root", ROOTS[0]], ["a", "b"]),
        (["--root", ROOTS[1], "--status", "corrupt"], []),
    ):
        assert cli.run(["latest", "--results", str(tmp_path), "--format", "json", *asked]) == 0
        assert [one["path"] for one in json.loads(capsys.readouterr().out)] == paths


def test_a_table_ends_and_says_so(
    recorded: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scans, "MAX_LINES", 3)
    assert cli.run(["latest", "--results", str(recorded)]) == 0
    captured = capsys.readouterr()
    assert len(captured.out.splitlines()) == 4
    assert "Only the first 3 rows" in captured.err


def test_an_interrupted_run_is_recorded(recorded: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["runs", "--results", str(recorded)]) == 0
    assert capsys.readouterr().out.count("interrupted") == 2


def test_whoever_reads_only_the_beginning_gets_no_error(tmp_path: Path) -> None:
    write(tmp_path, [row(0, ROOTS[0], f"{n:06d}.jpg".encode(), "new") for n in range(5000)])
    ask = f"{sys.executable} -c 'from fauxscan.cli import main; main()' latest --results {tmp_path} --format csv"
    command = ["bash", "-o", "pipefail", "-c", f"{ask} | head -2"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (len(done.stdout.splitlines()), done.stderr) == (2, "")


LIGHT = """
import sys
from fauxscan import cli
for command in (["latest"], ["top"], ["runs"], ["diff"], ["history", "A.jpg"]):
    assert cli.run([*command, "--results", sys.argv[1]]) == 0
sys.exit(str(sorted({"tensorflow", "keras", "cv2", "av", "sklearn"} & set(sys.modules))))
"""


def test_reading_imports_nothing_that_judging_needs(recorded: Path) -> None:
    done = subprocess.run([sys.executable, "-c", LIGHT, recorded], capture_output=True, text=True, check=False)
    assert done.stderr == "[]\n"
