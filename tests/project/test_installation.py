"""What is installed: a scan needs no extra, other commands name theirs, and the wheel is complete."""

import ast
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from PIL import Image as Pillow
from skimage import data
from support import ROOT
from support.installation import PROJECT, distributions, fauxscan, modules, scanner_only

from fauxscan import cli

pytest_plugins = ["support.scanning_models"]
OPTIONAL = {"fsspec", "pi_heif"}  # whose absence is part of how a scan judges, with its own messages


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Return an empty folder with a photograph beside it, as ../in/face.jpg."""
    (tmp_path / "in").mkdir()
    Pillow.fromarray(data.astronaut()).save(tmp_path / "in" / "face.jpg", quality=90)
    (tmp_path / "empty").mkdir()
    return tmp_path / "empty"


@pytest.fixture
def bare(tmp_path: Path) -> dict[str, str]:
    """Return the environment of an installation without extras."""
    return scanner_only(tmp_path / "bare")


def test_the_trap_works(bare: dict[str, str], home: Path) -> None:
    code = "import importlib.util as u; print([bool(u.find_spec(name)) for name in ('openvino', 'keras', 'fsspec')])"
    done = subprocess.run([sys.executable, "-c", code], cwd=home, env=bare, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[True, False, False]"


@pytest.mark.slow
def test_a_scan_needs_no_extra(bare: dict[str, str], home: Path, exported_models: list[Path]) -> None:
    models = [word for folder in exported_models for word in ("--models", str(folder))]
    checked = fauxscan(bare, home, "check", "../in/face.jpg", *models)
    assert checked.returncode == 0, checked.stderr
    scanned = fauxscan(bare, home, "scan", "../in", "--results", "results", *models)
    assert scanned.returncode == 0, scanned.stderr
    latest = fauxscan(bare, home, "latest", "--results", "results")
    assert latest.returncode == 0 and "face.jpg" in latest.stdout, latest.stderr
    doctor = fauxscan(bare, home, "doctor", "--results", "results", *models)
    assert doctor.returncode == 0 and "faces, wholes, run by openvino" in doctor.stdout, doctor.stdout + doctor.stderr
    assert 'pip install "fauxscan[train]"' in doctor.stdout
    helped = fauxscan(bare, home, "--help")
    assert helped.returncode == 0 and "import-weights" in helped.stdout, helped.stderr


def test_the_package_is_imported_and_predicts_without_an_extra(
    bare: dict[str, str], home: Path, exported_models: list[Path]
) -> None:
    code = "import sys, fauxscan; print(fauxscan.check('../in/face.jpg', models=sys.argv[1:]).status)"
    command = [sys.executable, "-c", code, str(exported_models[1])]
    done = subprocess.run(command, cwd=home, env=bare, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and done.stdout.strip() == "ok", done.stderr
    predicted = fauxscan(bare, home, "predict", str(exported_models[1]), "../in")
    assert predicted.returncode == 0 and "face.jpg" in predicted.stdout, predicted.stderr


@pytest.mark.parametrize(
    ("arguments", "extra"),
    [
        ("train TREE --real a --fake b --detector meso4 --out m", "train"),
        ("calibrate MODEL --out m", "train"),
        ("check ../in/face.jpg --models OLD", "train"),
        ("audit TREE --label a=real --label b=gan", "train"),
        ("results", "train"),
        ("import-weights ../in/face.jpg --detector meso4 --out m --fake-is 1", "train"),
        ("preset xception", "pipeline"),
    ],
)
@pytest.mark.slow
def test_a_command_that_needs_an_extra_names_it(
    bare: dict[str, str], home: Path, tiny_models: list[Path], exported_models: list[Path], arguments: str, extra: str
) -> None:
    known = {"TREE": "../in", "MODEL": str(exported_models[0]), "OLD": str(tiny_models[0])}
    done = fauxscan(bare, home, *(known.get(word, word) for word in arguments.split()))
    assert done.returncode == 3, done.stdout + done.stderr
    assert done.stderr.splitlines()[-1].startswith("fauxscan: ") and "Traceback" not in done.stderr
    assert done.stderr.endswith(f'pip install "fauxscan[{extra}]"\n'), done.stderr


def third_party() -> set[str]:
    """Return the top-level modules of other packages that the library imports anywhere."""
    trees = [ast.parse(file.read_text(encoding="utf-8")) for file in (ROOT / "src").rglob("*.py")]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module and not node.level}
    return {name.partition(".")[0] for name in names} - sys.stdlib_module_names - {"fauxscan"}


def test_every_module_that_the_library_imports_is_required_or_in_the_extra_that_its_message_names() -> None:
    scanner = distributions(PROJECT["dependencies"])
    optional = {module for module in third_party() - OPTIONAL if not modules()[module] & scanner}
    assert optional == {module for named in cli.EXTRAS.values() for module in named}
    for extra, named in cli.EXTRAS.items():
        required = {canonicalize_name(Requirement(text).name) for text in PROJECT["optional-dependencies"][extra]}
        assert not [module for module in named if not modules()[module] & required], extra


def test_the_metadata_has_ranges_and_no_pins() -> None:
    extras = {name: texts for name, texts in PROJECT["optional-dependencies"].items() if name not in ("cpu", "gpu")}
    assert [text for text in sum(extras.values(), PROJECT["dependencies"]) if "==" in text] == []


@pytest.mark.slow
def test_the_wheel_is_complete_and_checks_a_photograph_in_an_empty_folder(
    home: Path, tmp_path: Path, exported_models: list[Path]
) -> None:
    for name in ("src", "flows", "pyproject.toml", "README.md", "LICENSE"):
        (tmp_path / "project").mkdir(exist_ok=True)
        listed = subprocess.run(["git", "ls-files", name], cwd=ROOT, capture_output=True, text=True, check=True)
        for file in listed.stdout.splitlines():
            (tmp_path / "project" / file).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "project" / file).write_bytes((ROOT / file).read_bytes())
    build = "import setuptools.build_meta as b, sys; print(b.build_wheel(sys.argv[1]))"
    made = subprocess.run(
        [sys.executable, "-c", build, str(tmp_path)],
        cwd=tmp_path / "project",
        capture_output=True,
        text=True,
        check=True,
    )
    wheel = tmp_path / made.stdout.splitlines()[-1]
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        archive.extractall(tmp_path / "site")
    assert {"fauxscan/py.typed", "fauxscan/__init__.pyi", "fauxscan/reporting/page.html"} <= names
    assert not [name for name in names if name.startswith(("tests", "stages", "docs", "benchmarks"))]
    environment = scanner_only(tmp_path / "bare", tmp_path / "site")
    where = [sys.executable, "-c", "import fauxscan; print(fauxscan.__file__)"]
    found = subprocess.run(where, cwd=home, env=environment, capture_output=True, text=True, check=True)
    assert found.stdout.startswith(str(tmp_path / "site"))
    checked = fauxscan(environment, home, "check", "../in/face.jpg", "--models", str(exported_models[1]))
    assert checked.returncode == 0 and "face.jpg" in checked.stdout, checked.stderr
