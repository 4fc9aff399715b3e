"""The README is correct: its picture is current, its examples run, its commands exist, and its output is real."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from support import ROOT

from fauxscan.records import Recipe

README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.slow
@pytest.mark.parametrize("script", ["dag.py", "detectors.py"])
def test_generated_docs_are_current(script: str) -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "docs" / script, "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_every_key_of_a_recipe_is_documented() -> None:
    text = (ROOT / "docs" / "detectors.md").read_text(encoding="utf-8").partition("## Recipes")[2]
    assert not [key for key in Recipe.model_fields if f"`{key}`" not in text]


def test_every_command_named_exists() -> None:
    commands = set(re.findall(r"\.venv/bin/fauxscan (\w+)", README))
    from fauxscan import cli

    assert commands and commands <= commands_of(cli)
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert set(re.findall(r"(?:^|`)make ([a-z-]+)", README, re.MULTILINE)) <= targets


def commands_of(cli: ModuleType) -> set[str]:
    groups = {str(group.name) for group in cli.app.registered_groups}
    return groups | {str(command.name or command.callback.__name__) for command in cli.app.registered_commands}


PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\((?!https://)([^)\s]+)\)", page.read_text(encoding="utf-8")):
        name, _, anchor = link.partition("#")
        target = page.parent / name if name else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page, as GitHub makes them of headings."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-") for heading in headings}


def test_examples_that_read_the_tables_run(scanned: Path) -> None:
    examples = [one for one in re.findall(r"```python\n(.*?)```", README, re.DOTALL) if "RESULTS" in one]
    assert len(examples) == 2
    for example in examples:
        code = example.replace("RESULTS", str(scanned))
        assert len([line for line in code.splitlines() if line]) == 3
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env=os.environ)
        assert done.returncode == 0 and "p_fake" in done.stdout, done.stderr


@pytest.mark.slow
def test_the_opening_shows_real_output(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from fauxscan import cli

    opening = re.findall(r"```console\n(.*?)```", README, re.DOTALL)[0]
    golden = ROOT / "tests" / "golden" / "b7ea7d3"
    shutil.copytree(golden / "pictures", tmp_path / "pictures")
    shutil.copytree(golden / "models" / "dct_cnn", tmp_path / "models" / "dct_cnn")
    shutil.copy(ROOT / "params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "118")
    for part in re.split(r"^\$ ", opening, flags=re.MULTILINE)[1:]:
        command, _, shown = part.partition("\n")
        cli.run(shlex.split(command)[1:])
        assert plain(capsys.readouterr().out, tmp_path) == plain(shown, Path("/srv"))


def plain(output: str, home: Path) -> list[str]:
    """Return the lines of an output without what differs between runs: the folder and the run's id."""
    lines = output.replace(f"{home}/", "").strip().splitlines()
    return [re.sub(r"\d{8}T\w+Z-\w+", "RUN", line.rstrip()) for line in lines]


@pytest.mark.parametrize("word", [f"/{name}/" for name in ("root", "work", "home")])
def test_nothing_names_a_persons_machine(word: str) -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in listed.splitlines():
        file = ROOT / name
        if (
            file.suffix in (".py", ".md", ".yaml", ".toml", ".txt", "")
            and file.is_file()
            and name != "tests/project/test_docs.py"
        ):
            assert word not in file.read_text(encoding="utf-8", errors="replace"), name


@pytest.fixture(scope="module")
def scanned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results of a scan."""
    from support.scanning import stub_engine, write_many

    from fauxscan.scanning import scan as scanning

    home = tmp_path_factory.mktemp("scanned")
    scanning.scan(write_many(home / "in", 10), home / "results", stub_engine(home))
    return home / "results"
