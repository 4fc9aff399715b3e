"""The terminal: what is printed, exit codes 0, 2 and 3, and what does not pay for TensorFlow."""

import csv
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path

import psutil
import pytest
from support.scanning import write_folder, write_many, write_params
from support.waiting import wait_until

from fauxscan import cli
from fauxscan.scanning.tables import parquet, queries

pytest_plugins = ["support.scanning_models"]

WITHOUT_TENSORFLOW = """
import sys
from fauxscan import cli
results = ["--results", "results"]
codes = [cli.run(arguments) for arguments in (["--help"], ["scan", "in", *results], ["latest", *results])]
sys.exit(f"{codes} {sorted(m for m in sys.modules if m in ('tensorflow', 'keras', 'jax', 'torch'))}")
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny_models: list[Path]) -> Path:
    """Return the working directory: params.yaml, the models and a folder `in` with a file of every kind."""
    write_params(tmp_path / "params.yaml")
    shutil.copytree(tiny_models[0].parent, tmp_path / "models")
    write_folder(tmp_path / "in")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_scan_ends_with_its_counts_and_says_that_files_could_not_be_judged(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(["scan", "in", "--results", "results"]) == 2
    printed = capsys.readouterr().out.split()
    counts = dict(pairwise(printed))
    assert (counts["ok"], counts["unsupported"], counts["too_small"], counts["corrupt"]) == ("10", "3", "2", "1")
    verdicts = [int(counts[word]) for word in ("likely_synthetic", "uncertain", "no_indication")]
    assert sum(verdicts) == 10


def test_unchanged_scans_latest_and_help_do_not_import_tensorflow(home: Path) -> None:
    assert cli.run(["scan", "in", "--results", "results"]) == 2
    done = subprocess.run([sys.executable, "-c", WITHOUT_TENSORFLOW], capture_output=True, text=True, check=False)
    assert done.stderr.splitlines()[-1] == "[0, 2, 0] []"
    assert "nothing new, 17 unchanged" in done.stdout


def test_all_well_is_zero(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (home / "good").mkdir()
    shutil.copy(home / "in" / "face.jpg", home / "good")
    assert cli.run(["scan", "good", "--results", "results", "--models", "models/faces"]) == 0
    assert cli.run(["scan", "good", "--results", "results", "--models", "models/faces", "--faces", "whole"]) == 0
    assert "1 rescored" in capsys.readouterr().out
    (row,) = queries.latest(home / "results").to_pylist()
    assert row["faces"] is None


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["scan", "nowhere", "--results", "r"], "nowhere does not exist"),
        (["scan", "in/face.jpg", "--results", "r", "--root", "empty"], "in/face.jpg lies outside the root"),
        (["scan", "empty", "--results", "r"], "no files under"),
        (["scan", "in"], "--results"),
        (["scan", "in", "--results", "r", "--faces", "none"], "--faces"),
        (["scan", "in", "--results", "r", "--models", "models/none"], "no model at models/none"),
        (["scan", "in", "--results", "r", "--params", "none.yaml"], "no parameters at none.yaml"),
        (["scan", "in", "--results", "in/face.jpg/r"], "cannot write results to in/face.jpg/r"),
        (["scan", "in", "--results", "/proc/r"], "cannot write results to /proc/r"),
        (["scan", "in", "--results", "in"], "in is the folder to scan"),
        (["scan", "in", "--results", "models"], "models is not a results folder"),
        (["scan", "https://host/in", "--results", "r"], "https:// are not supported: download the files first"),
        (["check", "https://host/a.jpg"], "https://host/a.jpg is an address, and only files of this machine"),
        (
            ["check", "in/face.jpg", "--ignore", "no_face,noface"],
            "--ignore: unknown status 'noface': did you mean 'no_",
        ),
        (["scan", "in", "--results", "r", "--ignore", "none"], "--ignore: unknown status 'none'"),
        (["latest", "--results", "r", "--status", "ok,noface"], "--status: unknown status 'noface': did you mean 'no_"),
        (["latest", "--results", "r", "--verdict", "fake"], "Invalid value for '--verdict': 'fake' is not one of"),
        (["latest", "--results", "nowhere"], "no results at nowhere"),
        (
            ["scan", "in", "--results", "r", "--models", "models/faces/card.json"],
            "is a file; name its folder, models/faces",
        ),
        (["scam"], "scam"),
    ],
)
def test_an_error_is_printed_without_a_traceback_and_exits_with_three(
    home: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    (home / "empty").mkdir()
    assert cli.run(arguments) == 3
    captured = capsys.readouterr()
    assert captured.err.startswith("fauxscan: ")
    assert said in captured.err
    assert "Traceback" not in captured.err


@pytest.mark.parametrize(
    ("arguments", "command"),
    [
        (["latest"], "fauxscan latest"),
        (["import-weights", "--size"], "fauxscan import-weights"),
        (["--no"], "fauxscan"),
    ],
)
def test_wrong_use_refers_to_the_help_of_the_command(
    capsys: pytest.CaptureFixture[str], arguments: list[str], command: str
) -> None:
    assert cli.run(arguments) == 3
    assert capsys.readouterr().err.endswith(f"\nSee `{command} --help`.\n")


def test_a_full_disk_is_printed_without_a_traceback_and_exits_with_three(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(parquet.pq, "write_table", full)
    assert cli.run(["scan", "in", "--results", "results"]) == 3
    assert "No space left on device" in capsys.readouterr().err


def test_check_prints_verdicts_and_writes_nothing(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = sorted(home.rglob("*"))
    assert cli.run(["check", "in/face.jpg", "in/a/clip.mp4"]) == 0
    assert cli.run(["check", "in/cut.jpg", "in/gone.jpg"]) == 2
    printed = capsys.readouterr().out
    assert "in/face.jpg" in printed
    assert "truncated" in printed
    assert "No such file or directory" in printed
    assert sorted(home.rglob("*")) == before


def test_check_prints_the_columns_of_the_tables_as_csv_and_json(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["scan", "in", "--results", "results"]) == 2
    scanned = {row["path"]: row for row in queries.latest(home / "results").to_pylist()}
    capsys.readouterr()
    assert cli.run(["check", "in/face.jpg", "in/cut.jpg", "--format", "json"]) == 2
    face, cut = json.loads(capsys.readouterr().out)
    assert (face["path"], cut["path"], cut["status"]) == ("in/face.jpg", "in/cut.jpg", "truncated")
    assert set(face) < set(scanned["face.jpg"]) and face["faces"] == 1
    assert face["p_fake"] == pytest.approx(scanned["face.jpg"]["p_fake"], abs=1e-5)
    assert cli.run(["check", "in/face.jpg", "--format", "csv"]) == 0
    (row,) = csv.DictReader(io.StringIO(capsys.readouterr().out))
    assert list(row) == list(face) and row["verdict"] == face["verdict"]


def test_without_a_command_the_commands_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run([]) == 0
    captured = capsys.readouterr()
    assert captured.err == "" and all(f" {name} " in captured.out for name in ("scan", "latest", "train"))


def test_check_judges_the_files_beside_a_folder(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["check", "in/a", "in/face.jpg"]) == 2
    _, folder, file = capsys.readouterr().out.splitlines()
    assert folder.split()[:2] == ["in/a", "unreadable"] and "`fauxscan scan FOLDER --results RESULTS`" in folder
    assert file.split()[0] == "in/face.jpg" and file.split()[3] == "ok"


def test_the_exit_code_two_is_for_failures_that_are_not_ignored(home: Path) -> None:
    scanned = ["scan", "in", "--results", "results"]
    assert cli.run(scanned) == cli.run([*scanned, "--ignore", "too_small"]) == 2
    assert cli.run([*scanned, "--ignore", "too_small, truncated,corrupt"]) == 0
    assert cli.run(["check", "in/notes.txt", "in/face.jpg"]) == 0
    assert cli.run(["check", "in/notes.txt", "in/small.png"]) == 2
    assert cli.run(["check", "in/notes.txt", "in/small.png", "--ignore", "unsupported,too_small"]) == 0


def test_latest_prints_every_path_as_table_csv_and_json(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cli.run(["scan", "in", "--results", "results"])
    paths = queries.latest(home / "results")["path"].to_pylist()
    printed = {}
    for form in ("table", "csv", "json"):
        capsys.readouterr()
        assert cli.run(["latest", "--results", "results", "--format", form]) == 0
        printed[form] = capsys.readouterr().out
    assert [row["path"] for row in json.loads(printed["json"])] == paths
    recorded = [row["path"] for row in csv.DictReader(io.StringIO(printed["csv"]))]
    assert recorded == [f"'{path}" if path.startswith("=") else path for path in paths]
    assert all(line in printed["table"] for line in ("new\\nline.png", "likely_synthetic", "the file is empty"))


def test_latest_prints_the_files_with_any_of_several_statuses(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cli.run(["scan", "in", "--results", "results"])
    listed = {}
    for status in ("", "truncated", "too_small, truncated"):
        capsys.readouterr()
        assert cli.run(["latest", "--results", "results", "--format", "json", "--status", status]) == 0
        listed[status] = json.loads(capsys.readouterr().out)
    assert len(listed[""]) == len(queries.latest(home / "results"))
    assert {row["status"] for row in listed["truncated"]} == {"truncated"}
    assert {row["status"] for row in listed["too_small, truncated"]} == {"too_small", "truncated"}


@pytest.mark.parametrize("form", ["table", "csv", "json"])
def test_names_that_the_output_cannot_hold_are_escaped(home: Path, form: str) -> None:
    shutil.copy(next((home / "in").rglob("face.jpg")), home / "in" / "\u9854.jpg")
    cli.run(["scan", "in", "--results", "results"])
    command = [sys.executable, "-c", "from fauxscan.cli import main; main()", "latest", "--results", "results"]
    command += ["--format", form]
    done = subprocess.run(command, capture_output=True, env=os.environ | {"PYTHONIOENCODING": "latin-1"}, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"\\u9854.jpg" in done.stdout


def test_scans_elsewhere_than_in_a_terminal_log_plain_lines(home: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "fauxscan")
    assert cli.run(["scan", "in/a", "--results", "results"]) == 0
    lines = [record.getMessage() for record in caplog.records if "new or changed" in record.getMessage()]
    assert lines[0] == "Scanned 0 of 6 new or changed files."
    assert lines[-1] == "Scanned 6 of 6 new or changed files."


def stopped(*arguments: str, after: str) -> list[str]:
    """Return what a command says to three Ctrl-C, once it has printed a line that begins so and its decoders run."""
    ours = "signal.signal(signal.SIGINT, signal.default_int_handler); from fauxscan.cli import main; main()"
    command = [sys.executable, "-c", f"import signal; {ours}", *arguments]
    command += ["--models", "models/faces", "--models", "models/wholes"]  # by default a line says that they are new
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as running:
        assert running.stderr and any(line.startswith(after) for line in iter(running.stderr.readline, ""))
        wait_until(psutil.Process(running.pid).children, "decoders run: a scan with nearly all to do", every_s=0.01)
        for _ in range(3):
            running.send_signal(signal.SIGINT)
            with suppress(subprocess.TimeoutExpired):
                running.wait(0.1)
        said = running.stderr.read()
    assert running.returncode == 130
    return said.splitlines()


@pytest.mark.slow
def test_ctrl_c_pressed_again_breaks_nothing_off(home: Path) -> None:
    write_params(home / "params.yaml", engine="openvino")
    write_many(home / "many", 300)
    assert cli.run(["check", "many/000.png"]) == 0  # models are exported
    stopping, *progress, last = stopped("scan", "many", "--results", "results", after="Scanned 0 of 300 ")
    saved = re.fullmatch(
        r"fauxscan: stopped\. The results of (\d+) of 300 new or changed files are saved\. "
        r"Run the same command again to continue\.", last,
    )  # fmt: skip
    assert stopping == "fauxscan: stopping ..." and all(line.startswith("Scanned ") for line in progress)
    assert saved and int(saved[1]) == len(queries.latest(home / "results"))


@pytest.mark.slow
def test_a_check_that_is_stopped_does_not_say_that_anything_is_saved(home: Path) -> None:
    write_params(home / "params.yaml", engine="openvino")
    many = write_many(home / "many", 300)
    said = stopped("check", *map(str, many.iterdir()), after="Parameters: ")
    assert said == ["fauxscan: stopping ...", "fauxscan: stopped."]


def test_the_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["--version"]) == 0
    assert capsys.readouterr().out == f"fauxscan {version('fauxscan')}\n"


COMMANDS = [command.__name__.replace("_", "-") for commands in cli.PANELS.values() for command in commands]


@pytest.mark.parametrize("arguments", [[], *([name] for name in COMMANDS)], ids=" ".join)
def test_help_fits_80_columns_and_shows_no_python_types(
    arguments: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert cli.run([*arguments, "--help"]) == 0
    shown = capsys.readouterr().out
    assert "Usage:" in shown and "--help" in shown
    assert max(map(len, shown.splitlines())) <= 80
    assert not re.findall(r"<(?:bool|str|int|float|Path|list\b)|INTEGER|BOOLEAN|\[default:|…", shown)
