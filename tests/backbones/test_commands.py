"""`fauxscan models`, and the stage `weights` of a head."""

from pathlib import Path

import pytest
from support import backbones as tiny

from fauxscan import cli
from fauxscan.backbones import cards, store
from fauxscan.params import WeightsParams
from fauxscan.preparing.download import weights
from fauxscan.records import UserError


@pytest.fixture(autouse=True)
def published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tiny backbone's file in place of CLIP's, and an empty home to put it in."""
    file = tmp_path / "published" / tiny.NAME
    file.parent.mkdir()
    tiny.write_onnx(file, tiny.arrays())
    monkeypatch.setattr(cards, "get", lambda name: tiny.card_of(file))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    return file


def test_a_network_is_fetched_listed_and_removed(published: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["models", "list"]) == 0
    assert "clip shared network no: a tiny tower is not on this machine; fetch it once with `fauxscan models fetch" in (
        " ".join(capsys.readouterr().out.split())
    )
    assert cli.run(["models", "fetch", "clip", "--from", str(published)]) == 0
    said = capsys.readouterr().out
    assert f"a tiny tower is in {store.root() / 'clip'}" in said and "Licence: none" in said
    assert cli.run(["models", "list"]) == 0
    assert f"clip shared network {store.root() / 'clip'}" in " ".join(capsys.readouterr().out.split())
    assert cli.run(["models", "remove", "clip"]) == 0 and not (store.root() / "clip").exists()


def test_without_results_or_a_command_it_says_what_to_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["models"]) == 3
    assert "name the folder of the result tables with --results, or a command" in capsys.readouterr().err


def test_the_stage_puts_a_backbone_on_this_machine_once(
    published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = WeightsParams(archives=str(published.parent))
    weights.provide("clip_vit_b16", mine, tmp_path / "downloads", tmp_path / "out")
    assert store.Record.model_validate_json((tmp_path / "out" / store.RECORD).read_text()).digest == (
        store.find("clip").digest
    )
    card = tiny.card_of(published)
    monkeypatch.setattr(cards, "get", lambda name: card)
    published.unlink()
    weights.provide("clip_vit_b16", mine, tmp_path / "downloads", tmp_path / "again")  # it is here already
    store.remove("clip")
    with pytest.raises(UserError, match=r"is not in .*published.* weights\.clip_vit_b16\.archives in params\.yaml"):
        weights.provide("clip_vit_b16", mine, tmp_path / "downloads", tmp_path / "again")
