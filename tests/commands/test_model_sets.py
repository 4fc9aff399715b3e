"""`fauxscan models` and `fauxscan doctor` on model sets."""

import json
from pathlib import Path

import pytest
from support import backbones as tiny
from support.model_sets import write_set

from fauxscan import cli, models
from fauxscan.backbones import cards, store
from fauxscan.models import BackboneUse
from fauxscan.scanning import probing
from fauxscan.shipped import sets

pytest_plugins = ["support.scanning_models"]


@pytest.fixture
def shipped(tmp_path: Path, exported_models: list[Path], monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder of shipped sets with `fast`, whose model looks at faces."""
    monkeypatch.setattr(sets, "SHIPPED", tmp_path / "shipped")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)
    write_set(tmp_path / "shipped" / "fast", exported_models[0])
    return tmp_path / "shipped"


@pytest.fixture
def needy(shipped: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Add a set that needs the shared network, which is not here; return that network's published file."""
    file = tmp_path / tiny.NAME
    tiny.write_onnx(file, tiny.arrays())
    card = tiny.card_of(file)
    monkeypatch.setattr(cards, "get", lambda name: card)
    (shipped / "thorough").mkdir()
    head = models.read_card(shipped / "fast").model_copy(
        update={"name": "head", "backbone": BackboneUse(name="clip", digest="0"), "licence": "of the head"}
    )
    for name in ("openvino.xml", "openvino.bin", probing.PROBE):
        (shipped / "thorough" / name).write_bytes((shipped / "fast" / name).read_bytes())
    models.write_card(shipped / "thorough", head)
    return file


def rows(printed: str) -> dict[str, str]:
    return {line.split("  ")[0].strip(): " ".join(line.split()) for line in printed.splitlines()}


def examined(capsys: pytest.CaptureFixture[str], name: str) -> tuple[int, str]:
    capsys.readouterr()
    code = cli.run(["doctor"])
    return code, rows(capsys.readouterr().out)[f"model set {name}"]


def test_the_doctor_compares_the_score_of_the_probe(shipped: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, line = examined(capsys, "fast")
    assert (code, line.startswith("model set fast ok p_fake is 0."), line.endswith("as expected")) == (0, True, True)
    file = shipped / "fast" / probing.PROBE
    probe = json.loads(file.read_text())
    assert probe["image"] == "probe.jpg" and 0 < probe["p_fake"] < 1
    file.write_text(json.dumps(probe | {"p_fake": round(probe["p_fake"] * 0.5, 6)}))
    code, line = examined(capsys, "fast")
    off = f"{probe['p_fake'] * 0.5:.4f} off the expected"
    assert code == 2 and line.startswith("model set fast wrong p_fake is") and off in line
    assert "pip install --force-reinstall fauxscan openvino" in line


def test_the_doctor_names_a_damaged_file(shipped: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (shipped / "fast" / probing.PROBE).write_text("{}")
    code, line = examined(capsys, "fast")
    assert code == 2 and "probe.json: Field required; install the model set fast again" in line


def test_a_set_whose_network_is_not_here_says_how_to_fetch_it(needy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, line = examined(capsys, "thorough")
    assert (code, line) == (0, "model set thorough optional fetch what it needs: `fauxscan models fetch clip`")
    assert cli.run(["check", str(sets.SHARED / probing.IMAGE), "--models", "thorough"]) == 3
    assert "is not on this machine; fetch it once with `fauxscan models fetch clip`" in capsys.readouterr().err


def test_sets_and_networks_are_listed_and_fetched(needy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["models", "list"]) == 0
    found = rows(capsys.readouterr().out)
    size = sum(file.stat().st_size for file in (sets.SHIPPED / "fast").iterdir())
    assert found["fast"] == f"fast model fauxscan {size} yes that of its data: fauxscan models show fast"
    assert (
        found["thorough"].startswith("thorough model fauxscan")
        and "models fetch clip` that of its data" in (found["thorough"])
    )
    assert cli.run(["models", "fetch"]) == 0
    assert rows(capsys.readouterr().out)["clip"] == "clip a tiny tower none"
    assert cli.run(["models", "fetch", "clip", "--from", str(needy)]) == 0
    capsys.readouterr()
    assert cli.run(["models", "list"]) == 0
    assert f"clip shared network {store.root() / 'clip'}" in rows(capsys.readouterr().out)["clip"]


def test_the_card_of_a_set_or_folder_is_shown(
    shipped: Path, exported_models: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(["models", "show", str(exported_models[1])]) == 0
    said = capsys.readouterr().out
    assert f"`fauxscan check FILE --models {exported_models[1]}`" in said
    assert said.startswith("# wholes\n") and "- wholes: dct_cnn; looks at whole images of 64 pixels." in said
    assert said.endswith("## Licences\n\n- the model wholes: none\n")
    assert "`likely_synthetic` from p_fake 0.7000 on, which aims at 5.0% of the reals" in said
    (shipped / "fast" / "README.md").write_text("# fast\n\nA page\x1b[31m of its own.\n")
    assert cli.run(["models", "show", "fast"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("# fast\n\nA page\\x1b[31m of its own.\n\n## Videos\n\n- ")
    assert said.endswith("Videos: judged by the thresholds for images, as no threshold was fitted on videos\n")
    assert cli.run(["models", "show", "fsat"]) == 3
    assert "did you mean 'fast'" in capsys.readouterr().err
