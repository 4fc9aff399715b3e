"""What docs/reading.md says is so: its columns are the schemas', its examples run on the tables of real scans."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT
from scanning_fixtures import stub_engine, write_evaluations, write_folder

from fauxscan import cli
from fauxscan.records import Status, Verdict
from fauxscan.scanning import evaluations, scan, tables
from fauxscan.scanning.rows import Change

TEXT = (ROOT / "docs" / "reading.md").read_text(encoding="utf-8")
PART = re.compile(r"(?m)^### (.+)$")
# What each question's examples must print of the scans below: a file there, none that is gone, a model, a frame.
TOLD = {
    "How does every file stand?": ("copy of face.jpg", "too_small", "a/clip.mp4"),
    "Which files are the most suspicious?": ("a/b/crop.jpg", "p_fake"),
    "Which folders hold what?": ("a/b", "no_indication"),
    "What could not be judged, and why?": ("no end-of-image marker", "a link: not followed"),
    "What did each model say of a file?": ("faces", "wholes"),
    "Which model judged what, and how good was it?": ("faces", "a/b", "twins", "0.875", "5ca1ab1e", "NULL"),
    "How has a file's score moved?": ("rescored", "moved_by"),
    "Where in a video does it look fake?": ("25", "wholes"),
    "How did the scans go?": ("00:00:0",),
}
GONE = "notes.txt"
SHOWN = {"latest": "a/b/crop.jpg", "top": "a/b/crop.jpg", "history": "Z-", "runs": "Z-", "diff": "a/b/crop.jpg"}
SHOWN["models"] = "0.875 (0.750 to 1.000)"


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tables of three scans: all is new, a file is gone, and another set of models judges; one is measured."""
    home = tmp_path_factory.mktemp("read")
    root, engine = write_folder(home / "in"), stub_engine(home / "models")
    scan.scan(root, home / "results", stub_engine(home / "models", only="wholes"))
    (root / GONE).unlink()
    scan.scan(root, home / "results", engine)
    write_evaluations(home / "project", {"wholes": "b" * 64})
    evaluations.publish(home / "project", home / "results", "5ca1ab1e")
    return home / "results"


def sections() -> dict[str, str]:
    _, *parts = PART.split(TEXT)
    return dict(zip(parts[::2], parts[1::2], strict=True))


def examples() -> list[tuple[str, str]]:
    return [
        (title, code) for title, part in sections().items() for code in re.findall(r"```python\n(.*?)```", part, re.S)
    ]


@pytest.mark.parametrize("schema", tables.ALL, ids=tables.name_of)
def test_the_columns_told_are_those_of_the_schemas(schema: object) -> None:
    told: dict[str, str] = {}
    for names, kind in re.findall(r"(?m)^\| (`.+?) \| (.+?) \| .*\|$", sections()[f"`{tables.name_of(schema)}`"]):
        told |= dict.fromkeys(re.findall(r"`(\w+)`", names), kind)
    assert list(told.items()) == [(field.name, str(field.type)) for field in schema]  # type: ignore[attr-defined]


@pytest.mark.parametrize(("column", "words"), [("status", Status), ("verdict", Verdict), ("change", Change)])
def test_the_words_told_are_those_there_are(column: str, words: list[str]) -> None:
    line = re.search(rf"(?m)^\| `{column}` \| .*$", sections()["`media`"])
    assert line and set(re.findall(r"`(\w+)`", line[0])) - {column, "p_fake"} == set(words)


def test_every_question_has_an_example_and_is_tested() -> None:
    assert {title for title, _ in examples()} == set(TOLD)


@pytest.mark.parametrize(("title", "code"), examples())
def test_an_example_runs_and_tells(title: str, code: str, results: Path) -> None:
    code = code.replace("RESULTS", str(results))
    wide = {**os.environ, "COLUMNS": "200", "POLARS_FMT_TABLE_CELL_LIST_LEN": "10"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env=wide)
    assert done.returncode == 0, done.stderr
    assert [word for word in TOLD[title] if word not in done.stdout] == [], done.stdout
    assert GONE not in done.stdout


def test_every_command_shown_runs(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shown = [line.split(" #")[0].split() for line in re.findall(r"(?m)^fauxscan (.+)$", TEXT)]
    assert [arguments[0] for arguments in shown] == list(SHOWN)
    for arguments in shown:
        known = {"RESULTS": str(results), "holiday/beach.jpg": "a/b/crop.jpg"}
        assert cli.run([known.get(word, word) for word in arguments]) == 0
        assert SHOWN[arguments[0]] in capsys.readouterr().out
