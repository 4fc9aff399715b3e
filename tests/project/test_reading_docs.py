"""docs/reading.md is correct: its columns match the schemas, and its examples run on the tables of real scans."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from support import ROOT
from support.scanning import stub_engine, write_evaluations, write_folder

from fauxscan import cli
from fauxscan.records import Status, Verdict
from fauxscan.scanning import scan
from fauxscan.scanning.rows import Change
from fauxscan.scanning.tables import evaluations, schemas

TEXT = (ROOT / "docs" / "reading.md").read_text(encoding="utf-8")
PART = re.compile(r"(?m)^### (.+)$")
# What the examples of each question must print about the scans below: an existing file, a model, a frame.
EXPECTED = {
    "What is the current result of every file?": ("copy of face.jpg", "too_small", "a/clip.mp4"),
    "Which files are the most suspicious?": ("a/b/crop.jpg", "p_fake"),
    "What is in each folder?": ("a/b", "no_indication"),
    "What could not be judged, and why?": ("no end-of-image marker", "a link: not followed"),
    "How did each model score a file?": ("faces", "wholes"),
    "Which model judged what, and how accurate is it?": ("faces", "a/b", "twins", "0.875", "5ca1ab1e", "NULL"),
    "How has a file's score changed?": ("rescored", "changed_by"),
    "Where does a video look fake?": ("25", "wholes"),
    "How did the scans go?": ("00:00:0",),
}
GONE = "notes.txt"
SHOWN = {"latest": "a/b/crop.jpg", "top": "a/b/crop.jpg", "history": "Z-", "runs": "Z-", "diff": "a/b/crop.jpg"}
SHOWN |= {"models": "0.875 (0.750 to 1.000)", "report": "page.html"}


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results of two scans, the second without one file and with more models, and the evaluation of one model."""
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


@pytest.mark.parametrize("schema", schemas.ALL, ids=schemas.name_of)
def test_documented_columns_match_the_schemas(schema: object) -> None:
    documented: dict[str, str] = {}
    for names, kind in re.findall(r"(?m)^\| (`.+?) \| (.+?) \| .*\|$", sections()[f"`{schemas.name_of(schema)}`"]):
        documented |= dict.fromkeys(re.findall(r"`(\w+)`", names), kind)
    assert list(documented.items()) == [(field.name, str(field.type)) for field in schema]  # type: ignore[attr-defined]


@pytest.mark.parametrize(("column", "words"), [("status", Status), ("verdict", Verdict), ("change", Change)])
def test_documented_values_match_the_enums(column: str, words: list[str]) -> None:
    line = re.search(rf"(?m)^\| `{column}` \| .*$", sections()["`media`"])
    assert line and set(re.findall(r"`(\w+)`", line[0])) - {column, "p_fake"} == set(words)


def test_every_question_has_an_example_and_is_tested() -> None:
    assert {title for title, _ in examples()} == set(EXPECTED)


@pytest.mark.parametrize(("title", "code"), examples())
def test_examples_run_and_print_what_they_promise(title: str, code: str, results: Path) -> None:
    code = code.replace("RESULTS", str(results))
    wide = {**os.environ, "COLUMNS": "200", "POLARS_FMT_TABLE_CELL_LIST_LEN": "10"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env=wide)
    assert done.returncode == 0, done.stderr
    assert [word for word in EXPECTED[title] if word not in done.stdout] == [], done.stdout
    assert GONE not in done.stdout


def test_every_command_shown_runs(results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shown = [line.split(" #")[0].split() for line in re.findall(r"(?m)^fauxscan (.+)$", TEXT)]
    assert [arguments[0] for arguments in shown] == list(SHOWN)
    for arguments in shown:
        known = {"RESULTS": str(results), "holiday/beach.jpg": "a/b/crop.jpg", "page.html": str(tmp_path / "page.html")}
        assert cli.run([known.get(word, word) for word in arguments]) == 0
        assert SHOWN[arguments[0]] in capsys.readouterr().out
