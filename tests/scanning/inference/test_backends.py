"""Engines behind one interface: OpenVINO gives TensorFlow's logits within a stated tolerance."""

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.scanning import tiny_params, write_folder, write_params

from fauxscan import models
from fauxscan.judging import ensemble
from fauxscan.records import MissingExtraError, ModelError, UserError
from fauxscan.scanning import scan, settings
from fauxscan.scanning.engine.engine import Engine
from fauxscan.scanning.inference import backends
from fauxscan.scanning.tables import commits, queries

pytest_plugins = "support.scanning_models"

FLOAT32, BFLOAT16 = 2e-4, 0.05  # by which a logit may differ, as a share of the spread of the logits


def chosen(folders: list[Path], **options: Any) -> settings.Settings:
    """Return settings that score with OpenVINO."""
    return settings.read(tiny_params(**{"engine": "openvino"} | options), folders)


def logits(member: ensemble.Member, images: np.ndarray, batch: int = 8) -> np.ndarray:
    """Return the logits of images, `batch` at a time."""
    forward = member.scorer(batch)
    return np.concatenate([forward(images[i : i + batch]) for i in range(0, len(images), batch)])


def pictures(count: int = 20) -> np.ndarray:
    """Return smooth and noisy images (count, 64, 64, 3)."""
    chance = np.random.default_rng(1)
    noise = chance.integers(0, 256, (count, 64, 64, 3))
    ramp = np.linspace(0, 255, 64)[:, None, None] * chance.random((count, 1, 1, 3))
    share = np.linspace(0, 1, count)[:, None, None, None]
    return (noise * share + ramp * (1 - share)).astype(np.uint8)


def difference(found: np.ndarray, expected: np.ndarray) -> float:
    """Return the largest difference as a share of the spread."""
    return float(np.abs(found - expected).max() / np.ptp(expected))


@pytest.mark.slow
def test_logits_agree_with_tensorflow_and_frequency_detectors_stay_in_float32(tiny_models: list[Path]) -> None:
    images = pictures()
    expected = [logits(models.load(folder), images) for folder in tiny_models]
    assert min(np.ptp(one) for one in expected) > 0.1
    for precision, tolerance in (("float32", FLOAT32), ("bfloat16", BFLOAT16), ("int8", FLOAT32)):
        spatial, frequency = backends.load(chosen(tiny_models, precision=precision)).members
        assert difference(logits(spatial, images), expected[0]) < tolerance
        assert difference(logits(frequency, images), expected[1]) < FLOAT32


@pytest.mark.slow
def test_a_logit_does_not_depend_on_what_else_is_in_the_batch(tiny_models: list[Path]) -> None:
    (member,) = backends.load(chosen(tiny_models[:1])).members
    images = pictures(9)
    forward = member.scorer(8)
    together = forward(images[:8])
    alone = np.concatenate([forward(image[None]) for image in images[:8]])
    backwards = forward(images[7::-1])[::-1]
    np.testing.assert_array_equal(together, alone)
    np.testing.assert_array_equal(together, backwards)


@pytest.mark.slow
def test_a_model_is_exported_once(tiny_models: list[Path], cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    exported = {member.file.with_suffix("") for member in backends.load(chosen(tiny_models)).members}
    kept = {file: file.stat().st_mtime_ns for file in cache.glob("fauxscan/*/*")}
    assert exported <= {file.with_suffix("") for file in kept} and len(kept) >= 3 * len(tiny_models)
    monkeypatch.setattr(backends.subprocess, "run", lambda *_, **__: pytest.fail("it was exported again"))
    backends.load(chosen(tiny_models))
    assert kept == {file: file.stat().st_mtime_ns for file in cache.glob("fauxscan/*/*")}


@pytest.mark.slow
def test_a_damaged_export_is_made_anew(tiny_models: list[Path], cache: Path) -> None:
    images = pictures(8)
    expected = [logits(member, images) for member in backends.load(chosen(tiny_models)).members]
    for file in cache.glob("fauxscan/*/*.bin"):
        file.write_bytes(file.read_bytes()[:-100])
    for found, member in zip(expected, backends.load(chosen(tiny_models)).members, strict=True):
        np.testing.assert_array_equal(logits(member, images), found)


@pytest.mark.slow
def test_another_network_under_the_same_card_is_refused(tmp_path: Path, tiny_models: list[Path]) -> None:
    folder = shutil.copytree(tiny_models[0], tmp_path / "swapped")
    backends.load(chosen([folder]))
    (folder / "model.keras").write_bytes(b"no network")
    with pytest.raises(UserError, match=r"^\S*swapped/model.keras cannot be loaded.*train the model again$"):
        backends.load(chosen([folder]))


def test_without_a_cache_that_can_be_written_exports_last_for_one_run(
    tmp_path: Path, tiny_models: list[Path], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    code = (
        "import logging, sys; from pathlib import Path; from fauxscan import params;"
        "from fauxscan.scanning import settings; from fauxscan.scanning.inference import backends;"
        "logging.basicConfig();"
        "read = settings.read(params.load(Path(sys.argv[1])), [Path(name) for name in sys.argv[2:]]);"
        "print(*(member.file for member in backends.load(read).members), sep='\\n')"
    )
    settings_file = write_params(tmp_path / "params.yaml", engine="openvino")
    command = [sys.executable, "-c", code, str(settings_file), *map(str, tiny_models)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "Exported models are kept for this run only, because" in done.stderr
    exports = [Path(line) for line in done.stdout.splitlines()]
    assert len(exports) == 2 and not any(file.parent.exists() for file in exports)


@pytest.mark.slow
def test_both_engines_give_the_same_verdicts_and_their_own_settings(tmp_path: Path, tiny_models: list[Path]) -> None:
    root, rows, digests = write_folder(tmp_path / "in"), {}, set()
    for engine in ("tensorflow", "openvino"):
        options = chosen(tiny_models, engine=engine)
        scan.scan(root, tmp_path / engine, Engine(options))
        rows[engine] = queries.latest(tmp_path / engine).to_pylist()
        digests.add(options.digest)
    assert len(digests) == 2
    for one, other in zip(rows["tensorflow"], rows["openvino"], strict=True):
        assert (one["path"], one["status"], one["verdict"]) == (other["path"], other["status"], other["verdict"])
        assert one["p_fake"] == pytest.approx(other["p_fake"], abs=1e-4)


def test_precision_is_a_setting_of_openvino_alone(tiny_models: list[Path]) -> None:
    for engine, count in (("tensorflow", 1), ("openvino", 3)):
        ways = ("float32", "bfloat16", "int8")
        digests = {chosen(tiny_models, engine=engine, precision=way).digest for way in ways}
        assert len(digests) == count


def without(monkeypatch: pytest.MonkeyPatch, *missing: str) -> None:
    """Let these packages seem not to be installed."""
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name in missing else find(name))


@pytest.mark.parametrize(
    ("missing", "gpu", "chosen"),
    [
        ((), False, "openvino"),
        ((), True, "tensorflow"),
        (("tensorflow",), True, "openvino"),
        (("tensorflow",), False, "openvino"),
        (("openvino",), False, "tensorflow"),
    ],
)
def test_auto_takes_tensorflow_only_where_it_is_installed_and_a_gpu_is(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, missing: tuple[str, ...], gpu: bool, chosen: str
) -> None:
    monkeypatch.setattr(settings, "GPU", tmp_path if gpu else tmp_path / "none")
    without(monkeypatch, *missing)
    assert settings.choose_engine("auto") == chosen


def test_an_engine_that_is_not_installed_is_refused_with_what_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    without(monkeypatch, "tensorflow", "openvino")
    with pytest.raises(
        MissingExtraError, match="openvino, which is not installed: pip install fauxscan, or set it to auto"
    ):
        settings.choose_engine("openvino")
    with pytest.raises(MissingExtraError, match=r'tensorflow, which is not installed: pip install "fauxscan\[train\]"'):
        settings.choose_engine("tensorflow")
    with pytest.raises(MissingExtraError, match="neither OpenVINO nor TensorFlow is installed: pip install fauxscan"):
        settings.choose_engine("auto")


# === OpenVINO files in the model folder ===


def test_files_in_the_model_folder_are_run_as_they_are_and_give_the_logits_of_an_export(
    tiny_models: list[Path], exported_models: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    images = pictures(8)
    expected = [logits(member, images) for member in backends.load(chosen(tiny_models)).members]
    monkeypatch.setattr(backends.subprocess, "run", lambda *_, **__: pytest.fail("it was exported"))
    without(monkeypatch, "tensorflow")
    members = backends.load(chosen(exported_models)).members
    assert [member.file for member in members] == [folder / "openvino.xml" for folder in exported_models]
    for member, cached in zip(members, expected, strict=True):
        np.testing.assert_array_equal(logits(member, images), cached)


def test_the_files_change_no_digest_of_the_settings(tiny_models: list[Path], exported_models: list[Path]) -> None:
    assert chosen(exported_models).digest == chosen(tiny_models).digest


@pytest.mark.parametrize("name", ["openvino.xml", "openvino.bin"])
def test_files_that_the_card_does_not_list_are_refused(tmp_path: Path, exported_models: list[Path], name: str) -> None:
    folder = shutil.copytree(exported_models[0], tmp_path / "torn")
    content = bytearray((folder / name).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / name).write_bytes(content)
    with pytest.raises(ModelError, match=r"are not the files that \S*card.json lists; copy the model folder again"):
        backends.load(chosen([folder]))
    (folder / name).unlink()
    with pytest.raises(ModelError, match=rf"{name}: No such file or directory; copy the model folder again"):
        backends.load(chosen([folder]))


@pytest.mark.parametrize(
    ("engine", "lost", "said"),
    [
        ("openvino", "openvino.bin", "openvino.bin.*; copy the model folder again, as a whole"),
        ("tensorflow", "model.keras", "has no model.keras, only the files of OpenVINO: set it to auto or openvino"),
    ],
)
def test_a_model_that_cannot_run_ends_a_scan_before_its_run_begins(
    tmp_path: Path, exported_models: list[Path], engine: str, lost: str, said: str
) -> None:
    folder = shutil.copytree(exported_models[1], tmp_path / "torn")
    (folder / lost).unlink()
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "notes.txt").write_text("a file to look at")
    with pytest.raises(ModelError, match=said):
        scan.scan(tmp_path / "in", tmp_path / "results", Engine(chosen([folder], engine=engine)))
    assert commits.recover(tmp_path / "results") == 0, "no run was begun"


def test_a_folder_without_them_is_refused_where_tensorflow_is_not_installed(
    tiny_models: list[Path], exported_models: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    without(monkeypatch, "tensorflow")
    with pytest.raises(
        MissingExtraError, match=r"wholes: the folder has no OpenVINO files.*install .fauxscan\[train\]"
    ):
        backends.load(chosen([exported_models[0], tiny_models[1]]))


def test_a_scan_with_an_exported_model_does_not_import_tensorflow(tmp_path: Path, tiny_models: list[Path]) -> None:
    backends.load(chosen(tiny_models))
    root = write_folder(tmp_path / "in")
    code = (
        f"import sys; from pathlib import Path; sys.path.insert(0, {str(Path(__file__).parent)!r});"
        "from test_backends import chosen; from fauxscan.scanning import scan;"
        "from fauxscan.scanning.engine.engine import Engine;"
        "root, results, *models = map(Path, sys.argv[1:]);"
        "ended = scan.scan(root, results, Engine(chosen(models)));"
        "print(ended.statuses['ok'], sorted({'tensorflow', 'keras'} & set(sys.modules)))"
    )
    command = [sys.executable, "-c", code, str(root), str(tmp_path / "results"), *map(str, tiny_models)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[-2] == "10 []"
