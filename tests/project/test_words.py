"""Help, messages, docstrings, comments and pages are in plain English, without phrases of the project's old style."""

import ast
import io
import re
import subprocess
import tokenize
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main
from support import ROOT

from fauxscan import cli

# Ordinary English does not contain these phrases. What to write instead is beside each.
OLD_STYLE = {
    r"\bElse:": "Default: ...",
    r"(?i)\bmend(s|ed|ing)?\b": "fix",
    r"(?i)\b(told|tells?|telling) of\b": "reported, recorded, describes",
    r"(?i)\bever told\b|\btold (apart|once|besides|anew)\b": "recorded, distinguished, reported",
    r"(?i)\b(said|says?) of\b": "name the noun: status, description",
    r"(?i)(?<!there )(?<!this )\bis no (?!(longer|more|less|better|worse|need|different)\b)": "is not a, is not valid",
    r"\b([Ss]tands?|[Ss]tood) (as|otherwise)\b": "is, has the status, differs",
    r"(?i)\bhow (it|they|[\w ]*files?) (stands?|stood)\b": "the current result",
    r"(?i)\b(hearken\w*|(there|where)(by|in|of|upon)|hitherto|lest|ere|nought|aught)\b": "a word of today",
    r"(?i)\breckon(s|ed|ing)?\b": "estimate, predict, count",
    r"(?:^|[.;:]\s)[Ww]ho (?!is\b|are\b|owns\b)[^?.;]*[.;,]": "anyone who ...",
    r"(?i)\bone (row|line|task|file|batch|image|node|folder|process|message) a "
    r"(line|file|face|scan|run|row|batch|frame|machine|stage|worker|dataset|class)\b": "one ... per ...",
    r"(?i)\b(one|a row|a line|a node|a file) a (line|face|scan|run|row|stage|worker|dataset|class)\b": "one per ...",
    r"(?i)\b(is|are) (not )?to be (had|trusted|told)\b": "is available, is unsafe",
    r"(?i)\bby so much\b(?! as\b)": "the difference",
    r"(?i)\bsits? on (a|the) panel|\bpanels? (judged|sat)\b": "ensemble",
}
PATTERNS = {re.compile(pattern): plain for pattern, plain in OLD_STYLE.items()}
CODE = ("src", "flows", "stages", "docs", "benchmarks")


def tracked(*names: str) -> list[Path]:
    listed = subprocess.run(["git", "ls-files", *names], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [ROOT / name for name in listed.splitlines() if (ROOT / name).is_file()]


def relapses(text: str) -> list[str]:
    """Return the old phrases in a text, with the words to use instead."""
    flat = " ".join(text.split())
    return [f"{match[0]!r} -> {plain}" for pattern, plain in PATTERNS.items() for match in pattern.finditer(flat)]


def assert_plain(texts: Iterator[tuple[str, str]]) -> None:
    wrong = [f"{where}: {phrase}" for where, text in texts for phrase in relapses(text)]
    assert not wrong, "\n" + "\n".join(wrong)


# === Help ===


def helps(command: Any, name: str) -> Iterator[tuple[str, str]]:
    """Yield every help text of a command, its options and its sub-commands."""
    yield name, command.help or ""
    for param in command.params:
        yield f"{name} {param.name}", getattr(param, "help", None) or ""
    for child, sub in getattr(command, "commands", {}).items():
        yield from helps(sub, f"{name} {child}")


def test_help_is_plain() -> None:
    texts = list(helps(typer.main.get_command(cli.app), "fauxscan"))
    assert len(texts) > 100
    assert_plain(iter(texts))


def test_help_ends_in_a_full_stop() -> None:
    texts = helps(typer.main.get_command(cli.app), "fauxscan")
    assert not [where for where, text in texts if text and not text.rstrip().endswith((".", ")"))]


# === Python: strings, docstrings and comments ===


def words_of(file: Path) -> Iterator[tuple[str, str]]:
    """Yield the strings of a file that are sentences rather than names, and its comments."""
    source, name = file.read_text(encoding="utf-8"), file.relative_to(ROOT)
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.JoinedStr):
            yield f"{name}:{node.lineno}", "".join(map(literal, node.values))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and " " in node.value:
            yield f"{name}:{node.lineno}", node.value
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield f"{name}:{token.start[0]}", token.string.lstrip("# ")


def literal(part: ast.expr) -> str:
    """Return a part of an f-string, with X for what is computed."""
    return str(part.value) if isinstance(part, ast.Constant) else "X"


PYTHON = [file for folder in CODE for file in tracked(f"{folder}/*.py")]


@pytest.mark.parametrize("folder", CODE)
def test_code_is_plain(folder: str) -> None:
    files = [file for file in PYTHON if file.relative_to(ROOT).parts[0] == folder]
    assert files
    assert_plain(pair for file in files for pair in words_of(file))


# === Pages and YAML ===


@pytest.mark.parametrize("page", tracked("*.md"), ids=lambda page: str(page.relative_to(ROOT)))
def test_pages_are_plain(page: Path) -> None:
    text = re.sub(r"```.*?```|`[^`\n]*`", "CODE", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    assert_plain((f"{page.name}: {part[:40]}", part) for part in re.split(r"\n\s*\n|\n(?=[|#-])", text))


@pytest.mark.parametrize("file", tracked("*.yaml", "Makefile"), ids=lambda file: str(file.relative_to(ROOT)))
def test_comments_of_yaml_are_plain(file: Path) -> None:
    lines = file.read_text(encoding="utf-8").splitlines()
    assert_plain((f"{file.name}:{n}", line.partition("#")[2]) for n, line in enumerate(lines, 1))


# === The patterns themselves ===

OLD = (
    "Else: params.yaml's.",
    "Mend it and run the same again.",
    "Print all that was ever told of a file.",
    "A name that is no UTF-8",
    "how many files stand as their panels judged",
    "What killed scans have left is reckoned in.",
    "who always names the larger class is right in 0.626.",
    "One row a scan.",
    "two runs; who comes second waits.",
    "Return what is said of a file.",
    "it is not to be trusted",
    "Print the files that stood otherwise",
)
PLAIN = (
    "Default: the models in params.yaml.",
    "We recommend an amendment.",
    "There is no verdict",
    "It is no longer there.",
    "PSS stands for proportional set size.",
    "People who can write to the folder",
    "Who owns what?",
    "One row per scan.",
    "They copied a file, a line and a row.",
    "Anyone who reads it can trust it.",
    "Somewhere else: the default.",
)


@pytest.mark.parametrize("text", OLD)
def test_the_old_style_is_recognised(text: str) -> None:
    assert relapses(text)


@pytest.mark.parametrize("text", PLAIN)
def test_ordinary_english_is_not(text: str) -> None:
    assert not relapses(text)
