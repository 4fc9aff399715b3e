"""The Python interface: what `import fauxscan` offers, on real files and models."""

import io
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from skimage import data
from support import ROOT
from support.scanning import encoded, tiny_params, write_folder

import fauxscan
from fauxscan import cli
from fauxscan.scanning.tables import queries

pytest_plugins = ["support.scanning_models"]


@pytest.fixture(scope="module")
def detector(tiny_models: list[Path]) -> fauxscan.Detector:
    """Return a detector that is not open yet."""
    return fauxscan.Detector(tiny_models, params=tiny_params())


def test_importing_the_package_loads_nothing_and_names_are_found_when_used() -> None:
    heavy = {"numpy", "cv2", "pyarrow", "tensorflow"}
    code = f"import fauxscan, sys; print(sorted({heavy} & set(sys.modules)), sorted(dir(fauxscan)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("[] ['Detector', ")
    assert all(getattr(fauxscan, name).__doc__ for name in fauxscan.__all__)
    with pytest.raises(AttributeError, match="No fauxscan attribute judge"):
        _ = fauxscan.judge  # type: ignore[attr-defined]


def test_the_package_knows_its_version() -> None:
    assert fauxscan.__version__ == version("fauxscan")


def test_a_path_bytes_a_pillow_image_and_an_array_get_one_verdict(tmp_path: Path, detector: fauxscan.Detector) -> None:
    picture = data.astronaut()
    file = tmp_path / "face.png"
    file.write_bytes(encoded(picture, "PNG"))
    with detector:
        sources = [file, str(file), file.read_bytes(), Image.fromarray(picture), picture]
        verdicts = detector.judge_all(sources)
        assert detector.judge(file) == verdicts[0]
    assert verdicts == [verdicts[0]] * 5
    assert verdicts[0].status == "ok" and verdicts[0].verdict and verdicts[0].faces == 1
    assert verdicts[0].p_fake is not None and set(verdicts[0].logits) == {"faces", "wholes"}


def test_a_turned_pillow_image_is_judged_as_viewers_show_it(detector: fauxscan.Detector) -> None:
    exif = Image.Exif()
    exif[0x112] = 6
    turned = io.BytesIO()
    Image.fromarray(np.rot90(data.astronaut())).save(turned, "PNG", exif=exif)
    with detector:
        assert (
            detector.judge(Image.open(turned)) == detector.judge(turned.getvalue()) == detector.judge(data.astronaut())
        )


def test_a_detector_outside_of_a_with_block_says_so(detector: fauxscan.Detector) -> None:
    with pytest.raises(RuntimeError, match="use it in a `with` block"):
        detector.judge(b"")


def test_a_broken_file_has_a_status_and_a_wrong_source_an_error(tmp_path: Path, detector: fauxscan.Detector) -> None:
    with detector:
        broken = detector.judge(b"no picture")
        assert (broken.verdict, broken.p_fake, broken.status, broken.logits) == (None, None, "unsupported", {})
        assert detector.judge(tmp_path / "missing.jpg").status == "unreadable"
        for wrong in (np.zeros((9, 9), np.uint8), np.zeros((9, 9, 3)), 7):
            with pytest.raises(fauxscan.InputError, match="array"):
                detector.judge(wrong)  # type: ignore[arg-type]


def test_a_folder_is_scanned_and_the_tables_are_read(tmp_path: Path, tiny_models: list[Path]) -> None:
    root, done = write_folder(tmp_path / "in"), list[tuple[int, int]]()
    results, parameters = tmp_path / "results", tiny_params()
    summary = fauxscan.scan(
        root, results, tiny_models, params=parameters, on_progress=lambda *numbers: done.append(numbers)
    )
    table = fauxscan.read(results)
    assert len(table) == sum(summary.statuses.values()) == done[-1][0] == done[-1][1]
    assert table.equals(queries.latest(results))
    assert fauxscan.scan(root, results, tiny_models, params=parameters).changes == {}


def test_the_example_of_the_documentation_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(ROOT / "tests" / "golden" / "b7ea7d3", tmp_path / "project")
    monkeypatch.chdir(tmp_path / "project")
    (tmp_path / "project" / "params.yaml").unlink()  # it has the keys of that revision
    example = (ROOT / "docs" / "python.md").read_text(encoding="utf-8").split("```python\n")[1].split("```")[0]
    names: dict[str, Any] = {}
    exec(example, names)
    assert [one.status for one in (names["verdict"], *names["several"], names["one"])] == ["ok"] * 3 + ["truncated"]
    assert len(names["table"]) == 12


def test_errors_are_caught_by_kind(tmp_path: Path, tiny_models: list[Path]) -> None:
    (tmp_path / "wrong.yaml").write_text("sede: 7")
    with pytest.raises(fauxscan.ParamsError, match="sede"):
        fauxscan.Detector(tiny_models, params=tmp_path / "wrong.yaml")
    with pytest.raises(fauxscan.ParamsError, match="faces is 'bogus': use one of auto, detect, whole"):
        fauxscan.Detector(tiny_models, faces="bogus", params=tiny_params())  # type: ignore[arg-type]
    with pytest.raises(fauxscan.ModelError, match="nowhere"):
        fauxscan.check(b"", tmp_path / "nowhere", params=tiny_params())
    with pytest.raises(fauxscan.InputError, match="does not exist"):
        fauxscan.scan(tmp_path / "nowhere", tmp_path / "results", tiny_models, params=tiny_params())
    with pytest.raises(fauxscan.ResultsError, match="no results"):
        fauxscan.read(tmp_path)
    assert issubclass(fauxscan.ResultsError, fauxscan.UserError)


@pytest.mark.slow
def test_without_params_yaml_the_built_in_values_are_used(
    tmp_path: Path, tiny_models: list[Path], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "fauxscan")
    monkeypatch.chdir(tmp_path)
    Path("face.jpg").write_bytes(encoded(data.astronaut(), "JPEG"))
    models = [word for folder in tiny_models for word in ("--models", str(folder))]
    assert cli.run(["check", "face.jpg", *models]) == 0
    assert "Parameters: built-in, because the current folder has no params.yaml" in caplog.messages
    assert cli.run(["scan", ".", "--results", str(tmp_path / "results"), *models]) == 0
