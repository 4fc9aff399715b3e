"""`fauxscan report`: what it writes, and what it says about wrong use."""

import json
import shutil
from pathlib import Path

import pytest
from support.scanned import Scanned
from support.scanning import stub_cards, write_params

from fauxscan import cli
from fauxscan.reporting.pages import printing

pytest_plugins = ["support.scanning_models"]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the working directory: params.yaml and the cards of the models that scanned."""
    write_params(tmp_path / "params.yaml")
    stub_cards(tmp_path / "models")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_page_of_a_scan_and_its_extract(home: Path, scanned: Scanned, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["report", str(scanned.results), "--out", "page.html"]) == 0
    assert capsys.readouterr().out == "Wrote page.html\n"
    extract = json.loads((home / "page.json").read_text(encoding="utf-8"))
    assert [model["card"] for model in extract["models"]] == [True, True]
    assert extract["settings"]  # the models of params.yaml give the digest of the run
    assert (home / "page.html").read_text(encoding="utf-8").startswith("<!doctype html>")
    assert cli.run(["report", str(scanned.results), "--run", "previous", "--out", "before.html"]) == 0
    assert json.loads((home / "before.json").read_text(encoding="utf-8"))["run"]["run_id"] < extract["run"]["run_id"]


def test_the_page_of_a_file(home: Path, scanned: Scanned, tiny_models: list[Path]) -> None:
    file = str(scanned.folder / "face.jpg")
    models = [text for folder in tiny_models for text in ("--models", str(folder))]
    assert cli.run(["report", file, "--out", "face.html", *models]) == 0
    exhibit = json.loads((home / "face.json").read_text(encoding="utf-8"))
    assert exhibit["verdict"]
    assert exhibit["repeat"][-1].endswith(" ".join([*models, "--faces", "auto", "--format", "json"]))
    assert [model["name"] for model in exhibit["models"]] == [folder.name for folder in tiny_models]


def test_wrong_use_is_an_error(home: Path, scanned: Scanned, capsys: pytest.CaptureFixture[str]) -> None:
    results, file = str(scanned.results), str(scanned.folder / "face.jpg")
    for arguments, said in {
        (results, "--out", "page.pdf"): "page.pdf does not end in .html",
        (results, "--out", "page.html", "--run", "1999"): "'1999' matches no run",
        (file, "--out", "page.html", "--run", "latest"): "is not a results folder",
        ("models", "--out", "page.html"): "no results at models",
        ("nowhere", "--out", "page.html"): "nowhere cannot be read",
        ("s3://bucket/x", "--out", "page.html"): "s3:// is only for what is scanned",
    }.items():
        assert cli.run(["report", *arguments]) == 3
        assert said in capsys.readouterr().err
    assert not (home / "page.html").exists()


def test_a_pdf_without_chromium_is_an_error_with_a_remedy_before_any_work(
    home: Path, scanned: Scanned, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert cli.run(["report", str(scanned.results), "--out", "page.html", "--pdf"]) == 3
    assert printing.REMEDY in capsys.readouterr().err
    assert not (home / "page.html").exists()


def test_a_browser_that_fails_or_hangs_is_an_error(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "page.html").write_text("<!doctype html>", encoding="utf-8")
    browser = tmp_path / "chromium"
    for script, said in {"echo no display >&2; exit 1": "no display", "exec sleep 60": "within 0.5 s"}.items():
        browser.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
        browser.chmod(0o755)
        monkeypatch.setattr(shutil, "which", lambda name: str(browser))
        with pytest.raises(printing.InputError, match=said):
            printing.to_pdf(tmp_path / "page.html", tmp_path / "page.pdf", 0.5)
