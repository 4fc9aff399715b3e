"""Model sets: found by name, added by packages, whole or refused, and used where no other models are named."""

import os
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from skimage import data
from support import ROOT
from support.model_sets import write_ensemble, write_package, write_set
from support.scanning import encoded, stub_cards, tiny_params

import fauxscan
from fauxscan import cli, models, params
from fauxscan.media.faces.finder import FaceFinder
from fauxscan.media.images import codec
from fauxscan.models import TrainedOn
from fauxscan.records import DamagedModelError, ModelError
from fauxscan.scanning import settings
from fauxscan.scanning.inference import backends
from fauxscan.shipped import sets

pytest_plugins = ["support.scanning_models"]
MOST_BYTES = 40_000_000
Damage = Callable[[Path], object]
REINSTALL = "pip install --force-reinstall fauxscan"


@pytest.fixture(scope="session")
def stand_ins(tmp_path_factory: pytest.TempPathFactory, exported_models: list[Path]) -> Path:
    """Return a folder with the sets `fast`, one model, and `thorough`, an ensemble."""
    home = tmp_path_factory.mktemp("stand-ins")
    write_set(home / "fast", exported_models[1])
    write_ensemble(home / "thorough", exported_models)
    return home


@pytest.fixture
def shipped(tmp_path: Path, stand_ins: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put a copy of the stand-ins in the place of the shipped sets, and run the test in an empty folder."""
    home = Path(shutil.copytree(stand_ins, tmp_path / "shipped"))
    monkeypatch.setattr(sets, "SHIPPED", home)
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    return home


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder on sys.path, for installed packages."""
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    return tmp_path / "site"


# === The sets of this clone ===


def faults(folder: Path) -> list[str]:
    """Return what is wrong with the files of a set that ships."""
    files = {file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file()}
    wanted = {"README.md", "LICENSE-DATA.txt", "probe.json"}
    kinds = {Path(name).name for name in files} - wanted
    strange = kinds - {"card.json", "ensemble.json", "openvino.xml", "openvino.bin"}
    return sorted((wanted - files) | strange)


def test_the_sets_that_ship_are_complete_and_small() -> None:
    home = ROOT / "src" / "fauxscan" / "shipped"
    assert sum(file.stat().st_size for file in home.rglob("*") if "__pycache__" not in file.parts) < MOST_BYTES
    assert (home / "probe.jpg").stat().st_size < 20_000
    found = [folder for folder in home.iterdir() if folder.is_dir() and folder.name != "__pycache__"]
    assert {folder.name: faults(folder) for folder in found if faults(folder)} == {}
    for folder in found:
        settings.read(params.Params(), [folder], cards_alone=True)


def test_the_picture_that_sets_are_tried_on_shows_one_face() -> None:
    picture = codec.decode((sets.SHARED / "probe.jpg").read_bytes(), "jpeg", 10**6)
    (face,) = FaceFinder(params.FaceParams()).find_faces(picture)
    assert face.score > 0.8


def test_a_set_with_other_files_would_be_noticed(shipped: Path) -> None:
    (shipped / "fast" / "model.keras").touch()
    assert faults(shipped / "fast") == ["LICENSE-DATA.txt", "README.md", "model.keras"]


# === Names ===


def test_a_folder_is_a_folder_and_another_text_is_a_name(shipped: Path) -> None:
    assert sets.find("fast") == shipped / "fast"
    assert sets.find("./fast") == Path("fast") and sets.find(Path("fast")) == Path("fast")
    Path("fast").mkdir()
    assert sets.find("fast") == Path("fast")
    assert sets.find("fast", shipped.parent) == shipped / "fast", "it is looked for in that folder alone"


@pytest.mark.parametrize("command", [["check", "x.jpg"], ["scan", ".", "--results", "r"]], ids=" ".join)
def test_an_unknown_name_is_answered_with_the_nearest(
    shipped: Path, capsys: pytest.CaptureFixture[str], command: list[str]
) -> None:
    Path("x.jpg").touch()
    assert cli.run([*command, "--models", "fats"]) == 3
    said = capsys.readouterr().err
    assert "unknown model set 'fats': did you mean 'fast'? Sets: fast, thorough. Name a folder" in said
    with pytest.raises(fauxscan.ModelError, match="did you mean 'thorough'"):
        fauxscan.Detector("through")


def test_params_name_sets_too(shipped: Path) -> None:
    chosen = settings.read(params.changed(tiny_params(engine="auto"), "scan", {"models": ("thorough",)}))
    assert [card.name for card in chosen.cards] == ["faces", "wholes"]


# === The default ===


def test_a_photograph_is_checked_without_any_option(shipped: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "fauxscan")
    Path("face.jpg").write_bytes(encoded(data.astronaut(), "JPEG"))
    assert cli.run(["check", "face.jpg"]) == 0
    (said,) = [line for line in caplog.messages if "ships" in line]
    assert said == "Models: fast, which fauxscan ships, because no others are named. --models names others."
    verdict = fauxscan.check("face.jpg")
    assert (verdict.status, set(verdict.logits)) == ("ok", {"wholes"})
    assert fauxscan.scan(".", "../results").statuses["ok"] == 1


def test_the_command_and_the_python_interface_use_it_in_an_empty_folder(tmp_path: Path, stand_ins: Path) -> None:
    code = "import sys; from pathlib import Path; from fauxscan.shipped import sets; sets.SHIPPED = Path(sys.argv[1]);"
    (tmp_path / "face.png").write_bytes(encoded(data.astronaut(), "PNG"))
    run = "from fauxscan.cli import main; sys.argv[1:] = ['predict', 'thorough', 'face.png', '--probabilities']; main()"
    done = subprocess.run(
        [sys.executable, "-c", code + run, str(stand_ins)], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0 and done.stdout.startswith("path,class,p_fake,detail\nface.png,"), done.stderr


def test_models_of_the_project_come_first_unless_all_are_of_the_demo(shipped: Path) -> None:
    stub_cards(Path("models"))
    numbers = tiny_params(engine="auto")
    assert settings.read(numbers).folders == (Path("models/faces"), Path("models/wholes"))
    for name in ("faces", "wholes"):
        card = models.read_card(Path("models", name))
        demo = TrainedOn(dataset="demo", faces="whole", split_digest="0", proof_of_machinery=True)
        models.write_card(Path("models", name), card.model_copy(update={"trained_on": demo}))
    assert settings.read(numbers).folders == (shipped / "fast",)
    named = params.changed(numbers, "scan", {"models": ("models/faces",)})
    assert settings.read(named).folders == (Path("models/faces"),), "the person has chosen them"
    shutil.rmtree(shipped / "fast")
    assert settings.read(numbers).folders == (Path("models/faces"), Path("models/wholes"))


# === Damage ===


def alter(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def newer(file: Path) -> None:
    file.write_text(file.read_text().replace("{", '{"explained": true, ', 1))


@pytest.mark.parametrize(
    ("name", "file", "damage", "fault"),
    [
        ("fast", "openvino.bin", alter, "openvino.xml and its .bin are not the files that"),
        ("thorough", "members/faces/openvino.xml", alter, "openvino.xml and its .bin are not the files that"),
        ("fast", "openvino.bin", Path.unlink, "openvino.bin: No such file"),
        ("fast", "card.json", Path.unlink, "the folder has no card.json"),
        ("thorough", "members/wholes/card.json", Path.unlink, "the folder has no card.json"),
        ("fast", "card.json", newer, "card.json is not a model card of this version: explained: Extra inputs"),
        ("thorough", "ensemble.json", newer, "ensemble.json is not an ensemble card of this version: explained: Extra"),
    ],
)
def test_a_damaged_set_is_refused_with_what_to_do(
    shipped: Path, name: str, file: str, damage: Damage, fault: str
) -> None:
    damage(shipped / name / file)
    with pytest.raises(ModelError) as caught:
        backends.load(settings.read(params.Params(), [name]))
    assert fault in str(caught.value) and str(shipped / name) in str(caught.value)
    assert str(caught.value).endswith(f"; install the model set {name} again: {REINSTALL}")


def test_an_error_about_damage_travels_between_processes() -> None:
    error = pickle.loads(pickle.dumps(DamagedModelError("a.bin is short", "copy it")))
    assert (str(error), error.fault) == ("a.bin is short; copy it", "a.bin is short")


def test_tensorflow_does_not_run_a_set_without_keras_files(shipped: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tensorflow = params.changed(params.Params(), "scan", {"engine": "tensorflow"})
    with pytest.raises(ModelError, match=r"has no model\.keras, only the files of OpenVINO: set it to auto"):
        settings.read(tensorflow, ["fast"])
    monkeypatch.setattr(settings, "GPU", Path(os.devnull))  # a machine with a GPU
    assert settings.read(params.Params(), ["fast"]).engine == "openvino"


# === Sets of other packages ===


def test_a_package_adds_a_set(shipped: Path, site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    module = write_package(site, "portraits", "acme-portraits", "acme_portraits")
    shutil.copytree(shipped / "fast", module, dirs_exist_ok=True)
    write_package(site, "wholes", "acme-wholes", "acme_wholes:folder", f"def folder(): return {str(module)!r}\n")
    assert sets.find("portraits") == module == sets.find("wholes")
    assert cli.run(["models", "list"]) == 0
    rows = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()}
    assert "acme-portraits" in rows["portraits"] and " yes " in rows["portraits"]
    alter(module / "openvino.bin")
    with pytest.raises(ModelError, match="pip install --force-reinstall acme-portraits"):
        backends.load(settings.read(params.Params(), ["portraits"]))


@pytest.mark.parametrize(
    ("value", "code", "fault"),
    [
        ("acme", "raise OSError('no disk')\n", "which fails (OSError: no disk)"),
        ("acme:folder", "", "which fails (AttributeError"),
        ("acme:folder", "folder = 7\n", "which fails (TypeError: a path is needed, not int)"),
        ("acme", "", "has neither card.json nor ensemble.json"),
    ],
)
def test_a_broken_package_is_named_when_its_set_is_used(
    shipped: Path, site: Path, capsys: pytest.CaptureFixture[str], value: str, code: str, fault: str
) -> None:
    sys.modules.pop("acme", None)
    write_package(site, "broken", "acme", value, code)
    assert sets.find("fast") == shipped / "fast"
    with pytest.raises(ModelError, match="the model set broken is broken: the package acme has it as acme") as caught:
        sets.find("broken")
    assert fault in str(caught.value)
    assert cli.run(["models", "list"]) == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.split()[0] == "broken"]
    assert "no, it is broken" in line and fault in line


def test_no_package_takes_the_name_of_another(shipped: Path, site: Path) -> None:
    module = write_package(site, "fast", "acme-one", "acme_one")
    shutil.copytree(shipped / "thorough", module, dirs_exist_ok=True)
    assert sets.find("fast") == shipped / "fast"
    for package in ("acme-two", "acme-three"):
        shutil.copytree(module, write_package(site, "twice", package, package.replace("-", "_")), dirs_exist_ok=True)
    with pytest.raises(ModelError, match="acme-three and acme-two have models of the same name"):
        sets.find("twice")
