"""What the README says is so: its picture is current, its examples run, its commands exist."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

from fauxscan.records import Recipe

README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("script", ["dag.py", "detectors.py"])
def test_what_a_script_writes_into_the_docs_is_current(script: str) -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "docs" / script, "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_every_key_of_a_recipe_is_told() -> None:
    text = (ROOT / "docs" / "detectors.md").read_text(encoding="utf-8").partition("## Recipes")[2]
    assert not [key for key in Recipe.model_fields if f"`{key}`" not in text]


def test_every_command_named_exists() -> None:
    commands = set(re.findall(r"\.venv/bin/fauxscan (\w+)", README))
    from fauxscan import cli

    assert commands and commands <= {str(command.name or command.callback.__name__) for command in commands_of(cli)}
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert set(re.findall(r"(?:^|`)make ([a-z-]+)", README, re.MULTILINE)) <= targets


def commands_of(cli: object) -> list[object]:
    return cli.app.registered_commands  # type: ignore[attr-defined,no-any-return]


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
    examples = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert len(examples) == 2
    for example in examples:
        code = example.replace("RESULTS", str(scanned))
        assert len([line for line in code.splitlines() if line]) == 3
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env=os.environ)
        assert done.returncode == 0 and "p_fake" in done.stdout, done.stderr


@pytest.mark.parametrize("word", [f"/{name}/" for name in ("root", "work", "home")])
def test_nothing_names_a_persons_machine(word: str) -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in listed.splitlines():
        file = ROOT / name
        if (
            file.suffix in (".py", ".md", ".yaml", ".toml", ".txt", "")
            and file.is_file()
            and name != "tests/test_docs.py"
        ):
            assert word not in file.read_text(encoding="utf-8", errors="replace"), name


@pytest.fixture(scope="module")
def scanned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results of a scan."""
    from scanning_fixtures import stub_engine, write_many

    from fauxscan.scanning import scan as scanning

    home = tmp_path_factory.mktemp("scanned")
    scanning.scan(write_many(home / "in", 10), home / "results", stub_engine(home))
    return home / "results"
