"""Tables in terminals of 80 and 40 columns, as functions and as the commands print them; pipes get whole tables."""

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from collections.abc import Sequence
from pathlib import Path

import pytest
from rich.cells import cell_len
from support import ROOT
from support.scanning import stub_engine, write_folder

from fauxscan.reporting import fitting, wrapping
from fauxscan.scanning import scan
from fauxscan.scanning.tables import queries

IDS = ["20261128T145326590779Z-2f12c6", "20261128T145326590780Z-3f12c6", "20261129T025326590779Z-4f12c6"]
FILES = ("path", "verdict", "p_fake", "status", "detail")


def lines(columns: Sequence[str], *rows: Sequence[str]) -> list[dict[str, str]]:
    return [dict(zip(columns, row, strict=True)) for row in rows]


def total(fitted: fitting.Fitted) -> int:
    return sum(fitted.widths.values()) + fitting.GAP * (len(fitted.widths) - 1)


def test_a_table_that_fits_is_left_as_it_is() -> None:
    rows = lines(("run_id", "change"), (IDS[0], "new"), (IDS[1], "changed"))
    assert fitting.fit(("run_id", "change"), rows, 80) == fitting.Fitted({"run_id": 29, "change": 7}, rows, {}, ())


def test_what_all_rows_share_is_printed_once() -> None:
    columns = ("path", "root", "status", "detail")
    rows = lines(columns, ("a", "/in", "ok", "demo only"), ("b", "/in", "ok", "demo only"))
    fitted = fitting.fit(columns, rows, 80)
    assert (fitted.shared, list(fitted.widths)) == ({"root": "/in", "detail": "demo only"}, ["path", "status"])
    assert fitting.fit(columns, rows[:1], 80).shared == {"detail": "demo only"}
    assert fitting.fit(columns, [rows[0], {**rows[1], "detail": ""}], 80).shared == {"root": "/in"}
    assert fitting.fit(columns, [], 80).shared == {}


def test_a_detail_that_some_rows_share_is_printed_once_as_a_note() -> None:
    demo = "the model was trained on the demo only, so it gives no verdicts"
    details = (demo, "the file is empty", demo, "")
    rows = lines(FILES, *((f"{number}.jpg", "uncertain", "0.500", "ok", text) for number, text in enumerate(details)))
    fitted = fitting.fit(FILES, rows, 80)
    assert fitted.notes == [demo]
    assert [line["detail"] for line in fitted.lines] == ["[1]", "the file is empty", "[1]", ""]
    assert fitting.fit(FILES, rows, 200).notes == ()
    narrow = fitting.fit(FILES, rows, 40)
    assert "detail" in narrow.left_out and narrow.notes == ()


def test_a_command_decides_which_columns_matter_most() -> None:
    columns = ("run_id", "path", "verdict", "p_fake")
    rows = lines(columns, (IDS[0], "a/b.jpg", "uncertain", "0.500"), (IDS[1], "c/d.jpg", "", "0.400"))
    assert list(fitting.fit(columns, rows, 30).widths) == ["run_id", "path"]
    assert list(fitting.fit(columns, rows, 30, ("verdict", "p_fake")).widths) == ["path", "verdict", "p_fake"]


def test_words_stay_whole_and_long_ones_break_where_a_name_does() -> None:
    assert wrapping.wrap("detail", "size or time changed while it was read", 18).splitlines() == [
        "size or time ", "changed while it ", "was read",
    ]  # fmt: skip
    assert wrapping.wrap("detail", "a self-blended face", 13).splitlines() == ["a ", "self-blended ", "face"]
    assert wrapping.wrap("path", "holiday/IMG_0930.jpg", 14).splitlines() == ["holiday/IMG_", "0930.jpg"]
    assert wrapping.wrap("verdicts", "1 likely_synthetic, 3 uncertain", 20).splitlines() == [
        "1 likely_synthetic, ", "3 uncertain",
    ]  # fmt: skip
    for text in ("", " ", "-/_", " a  b ", "/very/long-name_of/a.file and more", "顔/写真 の/顔顔顔顔顔"):
        assert wrapping.wrap("path", text, 5).replace("\n", "") == text


def test_a_column_is_as_wide_as_its_widest_word_unless_words_may_be_long() -> None:
    columns = ("path", "before", "after")
    row = ("a" * 60, "likely_synthetic 0.990", "changed_during_read")
    fitted = fitting.fit(columns, lines(columns, row), 54)
    assert fitted.widths == {"path": 15, "before": 16, "after": 19}


def test_the_least_important_columns_are_left_out_and_a_status_takes_the_place_of_a_verdict() -> None:
    rows = lines(
        FILES,
        ("holiday/2026/a.jpg", "likely_synthetic", "0.990", "ok", ""),
        ("holiday/2026/b.jpg", "", "", "changed_during_read", "size or time changed while it was read"),
    )
    wide, narrow = fitting.fit(FILES, rows, 80), fitting.fit(FILES, rows, 40)
    assert (wide.left_out, total(wide)) == ([], 80)
    assert (narrow.left_out, total(narrow)) == (["status", "detail"], 40)
    assert [line["verdict"] for line in narrow.lines] == ["likely_synthetic", "changed_during_read"]
    assert list(fitting.fit(FILES, rows, 10).widths) == ["path"] and total(fitting.fit(FILES, rows, 10)) == 10


def test_ids_are_shortened_but_still_differ_and_times_have_no_seconds() -> None:
    columns = ("run_id", "finished_at", "verdicts")
    rows = lines(columns, *((one, "2026-11-28 14:53:26.590779+00:00", "3 uncertain, 4 no_indication") for one in IDS))
    shown = fitting.fit(columns, rows, 60).lines
    assert [line["run_id"] for line in shown] == [one[:20] for one in IDS]
    assert {line["finished_at"] for line in shown} == {"2026-11-28 14:53Z"}
    assert [line["run_id"] for line in fitting.fit(columns, rows[1:], 60).lines] == ["20261128T14", "20261129T02"]
    interrupted = [{**rows[0], "finished_at": "interrupted"}]
    assert fitting.fit(columns, interrupted, 40).lines[0]["run_id"] == "20261128T14"


def test_columns_without_any_text_are_left_out_first() -> None:
    rows = lines(("path", "change", "detail"), ("a" * 30, "new", ""), ("b" * 30, "changed", ""))
    fitted = fitting.fit(("path", "change", "detail"), rows, 40)
    assert (list(fitted.widths), fitted.left_out) == (["path", "change"], [])


# === The commands in a terminal ===


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return results of two scans, between which files are moved, touched and removed."""
    home = tmp_path_factory.mktemp("terminal")
    root, engine = write_folder(home / "in"), stub_engine(home / "models")
    scan.scan(root, home / "results", engine)
    (root / "a" / "a long name for a picture.png").write_bytes((root / "a" / "cat.png").read_bytes())
    (root / "a" / "cat.png").unlink()
    os.utime(root / "face.jpg", ns=(1, 1))
    (root / "cut.jpg").unlink()
    scan.scan(root, home / "results", engine)
    return home / "results"


def in_terminal(columns: int, *arguments: str) -> list[str]:
    """Run a command in a pseudo-terminal and return the lines that it prints, without colours."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    environment = {name: text for name, text in os.environ.items() if name not in ("COLUMNS", "LINES")}
    command = [sys.executable, "-c", "from fauxscan.cli import main; main()", *arguments]
    with subprocess.Popen(command, stdout=theirs, env=environment | {"TERM": "xterm"}, cwd=ROOT):
        os.close(theirs)
        printed = b"".join(iter(lambda: _read(ours), b""))
    os.close(ours)
    return re.sub(r"\x1b\[[0-9;]*m", "", printed.decode()).splitlines()


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 1 << 16)
    except OSError:  # the end: nobody has the other side open
        return b""


FORMS = ("table", "csv", "json")
COMMANDS = {
    "latest": "path", "top": "p_fake", "history": "verdict", "runs": "verdicts", "diff": "path", "models": "model",
}  # fmt: skip


@pytest.mark.parametrize("columns", [80, 40])
@pytest.mark.parametrize("command", COMMANDS)
def test_every_table_fits_a_terminal(results: Path, command: str, columns: int) -> None:
    arguments = ["a/a long name for a picture.png"] if command == "history" else []
    shown = in_terminal(columns, command, "--results", str(results), *arguments)
    assert max(map(cell_len, shown)) <= columns
    headings = next(line for line in shown if COMMANDS[command] in line.split())
    assert len(headings.split()) >= 2
    if command == "diff":
        assert re.search(r"a/cat\.png\s+->", " ".join(shown)) and "removed" in "".join(shown)


def test_history_shows_when_and_what_was_found_even_in_a_narrow_terminal(results: Path) -> None:
    shown = in_terminal(40, "history", "--results", str(results), "a/a long name for a picture.png")
    headings = next(line for line in shown if "verdict" in line)
    assert headings.split() == ["started_at", "change", "verdict", "p_fake"]
    assert re.search(r"removed\s*$", next(line for line in shown if "removed" in line))  # and no result beside it


def test_a_sentence_stands_for_an_empty_table_in_a_terminal_only(results: Path) -> None:
    nothing = ["latest", "--results", str(results), "--status", "timeout,crashed"]
    assert in_terminal(80, *nothing)[0].startswith("No files that match these options in")
    with queries.open_tables(results) as tables:
        last = tables.runs().read_all()["run_id"].to_pylist()[-1]
    same = in_terminal(80, "diff", last, last, "--results", str(results))
    assert same == ["No files whose result changed or that moved between these two runs."]
    command = [sys.executable, "-c", "from fauxscan.cli import main; main()", *nothing, "--format"]
    printed = [subprocess.run([*command, form], capture_output=True, text=True, check=True).stdout for form in FORMS]
    assert [text.split()[0].partition(",")[0] for text in printed] == ["path", "run_id", "[]"]


def test_the_doctors_table_fits_a_terminal() -> None:
    shown = in_terminal(40, "doctor")
    assert max(map(cell_len, shown)) <= 40 and "detail" in shown[0]


def test_a_pipe_gets_whole_tables(results: Path) -> None:
    command = [sys.executable, "-c", "from fauxscan.cli import main; main()", "runs", "--results", str(results)]
    shown = subprocess.run(command, capture_output=True, text=True, check=True, env={**os.environ, "COLUMNS": "40"})
    heading, *rows = shown.stdout.splitlines()
    assert heading.split() == ["run_id", "finished_at", "root", "verdicts", "statuses"]
    with queries.open_tables(results) as tables:
        ids = [row["run_id"] for row in tables.runs().read_all().to_pylist()]
    assert [row.split()[0] for row in rows] == ids
