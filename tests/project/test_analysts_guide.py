"""docs/analysts.md is correct: its commands run in order, its statuses and verdicts exist, and its example adds up."""

import re
import shlex
import shutil
from pathlib import Path

import pytest
from support import ROOT

from fauxscan import cli
from fauxscan.records import Status, Verdict
from fauxscan.scanning.rows import TRANSIENT
from fauxscan.shipped import sets

TEXT = (ROOT / "docs" / "analysts.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"```sh\n(.*?)```", re.DOTALL)
# What each command must print, or write into the file that it names, about the scan below.
EXPECTED = {
    "--version": "fauxscan ",
    "doctor": "fast",
    "models show fast": "reals called fake",
    "scan": "no_indication",
    "latest": "detail",
    "top": "suspect.jpg",
    "history": "new",
    "models": "efficientnet",
    "runs": "Z-",
    "check": "suspect.jpg",
    "diff": "suspect.jpg",
    "report": "suspect.jpg",
    "export": "run_id|InvestigativeAction",
}


def commands() -> list[list[str]]:
    return [shlex.split(line, comments=True)[1:] for block in BLOCK.findall(TEXT) for line in block.splitlines()]


def name_of(arguments: list[str]) -> str:
    """Return the longest name in EXPECTED with which a command begins."""
    return max((name for name in EXPECTED if arguments[: len(name.split())] == name.split()), key=len)


def test_every_command_of_the_guide_is_expected() -> None:
    assert {name_of(arguments) for arguments in commands()} == set(EXPECTED)


@pytest.mark.slow
def test_every_command_of_the_guide_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pictures = ROOT / "tests" / "golden" / "b7ea7d3" / "pictures"
    monkeypatch.setattr(sets, "SHIPPED", Path(sets.__file__).parent)  # the guide judges with the set that ships
    monkeypatch.chdir(tmp_path)
    (tmp_path / "EVIDENCE").mkdir()
    shutil.copy(pictures / "portrait.jpg", "EVIDENCE/suspect.jpg")
    for arguments in commands():
        if arguments[0] == "diff":  # a second scan, of which the guide speaks
            shutil.copy(pictures / "more" / "mirrored.png", "EVIDENCE/suspect.jpg")
            assert cli.run(["scan", "EVIDENCE", "--results", "RESULTS"]) == 0
            capsys.readouterr()
        assert cli.run(arguments) == 0, arguments
        shown = capsys.readouterr().out
        if "--out" in arguments:
            shown = Path(arguments[arguments.index("--out") + 1]).read_text(encoding="utf-8")
        assert re.search(EXPECTED[name_of(arguments)], shown), (arguments, shown)


def test_the_statuses_said_to_be_tried_again_are_those_that_are() -> None:
    again = re.search(r"--status (\S+) +# the next scan tries these again", TEXT)
    stay = re.search(r"--status (\S+) +# these stay as they are", TEXT)
    assert again and stay
    assert set(again[1].split(",")) == TRANSIENT and not TRANSIENT & set(stay[1].split(","))


@pytest.mark.parametrize("words", [Status, Verdict])
def test_every_status_and_verdict_is_explained_in_a_table(words: type[Status] | type[Verdict]) -> None:
    cells = " ".join(line.split("|")[1] for line in TEXT.splitlines() if line.startswith("| `"))
    assert set(words) - {Status.OK} <= set(re.findall(r"`(\w+)`", cells))


def test_the_example_of_error_rates_adds_up() -> None:
    example = re.search(
        r"(\d+) % of authentic files fake and detects (\d+) % of fakes\. Among ([\d,]+) files with (\d+) "
        r"fakes, it flags about (\d+) authentic files and (\d+) fakes\. Of\s+(\d+) flagged files, (\d+)",
        TEXT,
    )
    assert example
    alarms, found, files, fakes, called, detected, flagged, right = (int(n.replace(",", "")) for n in example.groups())
    assert called == round((files - fakes) * alarms / 100) == 100 and detected == right == fakes * found / 100
    assert flagged == called + detected
