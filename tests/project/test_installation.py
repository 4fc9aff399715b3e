"""What is installed: a scan needs no extra, other commands name theirs, and the wheel is complete."""

import ast
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from PIL import Image as Pillow
from skimage import data
from support import ROOT
from support.installation import PROJECT, distributions, fauxscan, modules, scanner_only

from fauxscan.installation.requirements import EXTRAS

pytest_plugins = ["support.scanning_models"]
OPTIONAL = {"fsspec", "pi_heif"}  # whose absence is part of how a scan judges, with its own messages


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Return an empty folder with a photograph beside it, as ../in/face.jpg, and the folders ../in/a and ../in/b."""
    for name in "ab":
        (tmp_path / "in" / name).mkdir(parents=True)
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
    assert doctor.returncode == 0 and "wholes (no thresholds for videos), run by openvino" in doctor.stdout, (
        doctor.stdout + doctor.stderr
    )
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


@pytest.mark.parametrize(
    ("call", "extra"),
    [
        ("workshop.train(IN, {'a': 'real', 'b': 'gan'}, Path('m'), 'meso4', params.load())", "train"),
        ("workshop.report([], IN, {})", "train"),
        ("fauxscan.check(IN / 'face.jpg', OLD)", "train"),
        ("fauxscan.Detector(NEW, params=params.Params(scan={'engine': 'tensorflow'}))", "train"),
        ("fauxscan.scan('s3://bucket', 'results', NEW)", "s3"),
        ("fauxscan.scan('gs://bucket', 'results', NEW)", "gs"),
    ],
)
def test_a_function_that_needs_an_extra_names_it(
    bare: dict[str, str], home: Path, tiny_models: list[Path], exported_models: list[Path], call: str, extra: str
) -> None:
    code = (
        "import sys, fauxscan; from pathlib import Path; from fauxscan import params, workshop\n"
        "IN, OLD, NEW = Path('../in'), *map(Path, sys.argv[1:])\n"
        f"try: {call}\n"
        "except ModuleNotFoundError as error: print(isinstance(error, fauxscan.MissingExtraError), error)"
    )
    command = [sys.executable, "-c", code, str(tiny_models[0]), str(exported_models[1])]
    done = subprocess.run(command, cwd=home, env=bare, capture_output=True, text=True, check=False)
    assert re.match(rf'True .*pip install "fauxscan\[{extra}\]"', done.stdout), done.stdout + done.stderr


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
    assert optional == {module for named in EXTRAS.values() for module in named}
    for extra, named in EXTRAS.items():
        required = {canonicalize_name(Requirement(text).name) for text in PROJECT["optional-dependencies"][extra]}
        assert not [module for module in named if not modules()[module] & required], extra


def test_the_metadata_has_ranges_and_no_pins() -> None:
    extras = {name: texts for name, texts in PROJECT["optional-dependencies"].items() if name not in ("cpu", "gpu")}
    assert [text for text in sum(extras.values(), PROJECT["dependencies"]) if "==" in text] == []


# === Wheel and source distribution ===

BUILD = [str(Path(sys.executable).with_name("uv")), "build", "--quiet", "--no-build-isolation", "--offline"]


SET = [  # the files of a model set, an ensemble
    f"fauxscan/shipped/stand_in/{name}"
    for name in ("ensemble.json", "probe.json", "README.md", "LICENSE-DATA.txt", "members/one/card.json",
                 "members/one/openvino.xml", "members/one/openvino.bin")
]  # fmt: skip


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of the tracked files, with a model set, and with data and models that must not be distributed."""
    folder = tmp_path_factory.mktemp("clone")
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    for name in filter(lambda name: (ROOT / name).is_file(), listed.stdout.splitlines()):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, folder / name)
    data = ("data/demo/media/a.jpg", "src/fauxscan/detectors/weights.npz", "models/meso4/model.keras")
    stray = "src/fauxscan/shipped/stand_in/members/one/model.keras"
    for name in (*data, stray, *(f"src/{name}" for name in SET)):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"data")
    return folder


def built(project: Path, out: Path, kind: str) -> Path:
    """Return the wheel or source distribution that is built from a folder."""
    subprocess.run([*BUILD, f"--{kind}", "--python", sys.executable, "--out-dir", str(out)], cwd=project, check=True)
    (made,) = (file for file in out.iterdir() if file.suffix in (".whl", ".gz"))
    return made


@pytest.fixture(scope="module")
def wheel(clone: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the wheel that is built from the clone."""
    return built(clone, tmp_path_factory.mktemp("wheel"), "wheel")


@pytest.fixture(scope="module")
def site(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder in which the wheel is installed."""
    folder = tmp_path_factory.mktemp("site")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


def names(wheel: Path) -> list[str]:
    """Return the names of the files in a wheel."""
    with zipfile.ZipFile(wheel) as archive:
        return sorted(archive.namelist())


@pytest.mark.slow
def test_the_wheel_has_every_module_and_no_other_top_level_name(wheel: Path) -> None:
    found = set(names(wheel))
    assert {"fauxscan/py.typed", "fauxscan/__init__.pyi", "fauxscan/reporting/page.html"} <= found
    shipped = {name for name in found if name.startswith("fauxscan/shipped/")}
    assert {*SET, "fauxscan/shipped/probe.jpg"} <= shipped and not any(name.endswith(".keras") for name in shipped)
    modules = {file.relative_to(ROOT / "src").as_posix() for file in (ROOT / "src" / "fauxscan").rglob("*.py")}
    modules |= {f"fauxscan_flows/{file.name}" for file in (ROOT / "flows").glob("*.py")}
    assert {name for name in found if name.endswith(".py")} == modules
    assert {name.partition("/")[0] for name in found} == {"fauxscan", "fauxscan_flows", wheel_info(wheel)}
    assert f"{wheel_info(wheel)}/licenses/LICENSE" in found


def wheel_info(wheel: Path) -> str:
    """Return the name of the folder of metadata in a wheel."""
    return "-".join(wheel.name.split("-")[:2]) + ".dist-info"


@pytest.mark.slow
def test_the_wheel_checks_a_photograph_in_an_empty_folder(
    home: Path, tmp_path: Path, site: Path, exported_models: list[Path]
) -> None:
    environment = scanner_only(tmp_path / "bare", site)
    where = [sys.executable, "-c", "import fauxscan; print(fauxscan.__file__)"]
    found = subprocess.run(where, cwd=home, env=environment, capture_output=True, text=True, check=True)
    assert found.stdout.startswith(str(site))
    checked = fauxscan(environment, home, "check", "../in/face.jpg", "--models", str(exported_models[1]))
    assert checked.returncode == 0 and "face.jpg" in checked.stdout, checked.stderr


@pytest.mark.slow
@pytest.mark.alone
def test_the_flows_of_the_wheel_scan_and_are_found_by_prefect(
    home: Path, site: Path, exported_models: list[Path]
) -> None:
    prefect = {"PREFECT_HOME": str(home / "prefect"), "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "180"}
    environment = {**os.environ, **prefect, "PYTHONPATH": str(site)}
    named = ["scan", "../in", "--results", "results", "--models", str(exported_models[1])]
    command = [sys.executable, "-m", "fauxscan_flows", *named]
    done = subprocess.run(command, cwd=home, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and (home / "results" / "media").is_dir(), done.stderr
    code = (
        "import sys, fauxscan_flows; from prefect.flows import load_flow_from_entrypoint as load;"
        "print(fauxscan_flows.__file__, *(load(f'fauxscan_flows.{name}.{name}').name for name in ('scan', 'refresh')),"
        "'flows' in sys.modules)"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", code], cwd=home, env=environment, capture_output=True, text=True, check=True
    )
    assert loaded.stdout.split() == [str(site / "fauxscan_flows" / "__init__.py"), "scan", "refresh", "False"]


@pytest.mark.slow
def test_a_clone_that_is_installed_in_place_has_the_flows_under_both_names(clone: Path, tmp_path: Path) -> None:
    build = "import setuptools.build_meta as b, sys; b.build_editable(sys.argv[1])"
    subprocess.run([sys.executable, "-c", build, str(tmp_path)], cwd=clone, capture_output=True, check=True)
    (editable,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(editable) as archive:
        archive.extractall(tmp_path / "site")
    code = "import site, sys; site.addsitedir(sys.argv[1]); import flows, fauxscan_flows as f; print(flows, f)"
    command = [sys.executable, "-I", "-S", "-c", code, str(tmp_path / "site")]
    found = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert found.stdout.count(str(clone / "flows" / "__init__.py")) == 2


@pytest.mark.slow
def test_the_source_distribution_is_complete_has_no_data_and_gives_the_same_wheel(
    clone: Path, wheel: Path, tmp_path: Path
) -> None:
    with tarfile.open(built(clone, tmp_path / "sdist", "sdist")) as archive:
        archive.extractall(tmp_path, filter="data")
    (source,) = tmp_path.glob("fauxscan-*")
    found = {file.relative_to(source).as_posix() for file in source.rglob("*") if file.is_file()}
    code = {name for name in found if name.startswith(("flows/", "src/fauxscan/"))}
    made = {name for name in found if ".egg-info/" in name} | {"PKG-INFO", "setup.cfg"}
    assert found - code - made == {"LICENSE", "README.md", "pyproject.toml", "setup.py", "MANIFEST.in"}
    kinds = {".py", ".pyi", ".html", ".css", ".js", ".typed"}
    assert {Path(name).suffix for name in code if "/shipped/" not in name} == kinds
    assert {name for name in code if "/stand_in/" in name} == {f"src/{name}" for name in SET}
    for name in ("LICENSE", "README.md"):
        assert (source / name).read_bytes() == (ROOT / name).read_bytes()
    assert names(built(source, tmp_path / "wheel", "wheel")) == names(wheel)
