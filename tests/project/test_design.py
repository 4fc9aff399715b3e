"""The rules of the house that import-linter cannot state: allow-lists, sizes, stages and their dependencies.

Layers, circles and forbidden imports are import-linter's, which `make check` runs; see pyproject.toml.
"""

import ast
import importlib
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from support import ROOT, TESTS

from fauxscan import datasets, detectors, params

SRC = ROOT / "src"
PACKAGE = SRC / "fauxscan"
DVC = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))
CATALOGUES = {PACKAGE / name for name in ("datasets", "detectors", "explaining")}  # one file per entry, without limit
SLEEPERS = {
    "support/waiting.py",  # polls other processes, with a deadline
    "support/hostile_decoder.py",  # stands for a file that takes long to decode
    "flows/test_serve.py",  # time itself must pass: schedules miss runs in it
}


def glob(folder: Path, pattern: str) -> list[Path]:
    """Return the paths that match, sorted; a pattern that matches nothing is an error of the test."""
    paths = sorted(folder.glob(pattern))
    assert paths, f"{folder.relative_to(ROOT)}/{pattern} matches nothing"
    return paths


def python_files(*folders: str) -> list[Path]:
    """Return all Python files below the folders."""
    return [file for folder in folders for file in glob(ROOT / folder, "**/*.py")]


@cache
def parse(file: Path) -> ast.Module:
    """Return the syntax tree of a file."""
    return ast.parse(file.read_text(encoding="utf-8"))


def nodes(file: Path, kind: type[ast.AST] | tuple[type[ast.AST], ...]) -> Iterator[Any]:
    """Yield the nodes of one kind in a file."""
    return (node for node in ast.walk(parse(file)) if isinstance(node, kind))


@cache
def imports(file: Path) -> frozenset[str]:
    """Return all modules that a file imports, anywhere in it."""
    modules = {alias.name for node in nodes(file, ast.Import) for alias in node.names}
    for node in nodes(file, ast.ImportFrom):
        if node.module:
            modules |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return frozenset(modules)


def path_of(module: str) -> Path | None:
    """Return the file of a module of ours, or None."""
    if not module.startswith("fauxscan"):
        return None
    base = SRC.joinpath(*module.split("."))
    return next((file for file in (base.with_suffix(".py"), base / "__init__.py") if file.is_file()), None)


def closure(start: Path) -> set[Path]:
    """Return all files of ours that a file needs, itself included."""
    seen: set[Path] = set()
    waiting = [start]
    while waiting:
        file = waiting.pop()
        if file not in seen:
            seen.add(file)
            waiting += [path for module in imports(file) if (path := path_of(module))]
    return seen


def packages_imported(file: Path) -> set[str]:
    """Return the top-level packages that a file imports."""
    return {module.split(".")[0] for module in imports(file)}


def modules_of_ours(file: Path) -> set[str]:
    """Return the modules of the library that a file imports."""
    return {module for module in imports(file) if module.startswith("fauxscan.")}


# === Imports ===


def test_stages_import_the_library_alone() -> None:
    for file in python_files("stages"):
        assert not packages_imported(file) & {"stages", "flows", "dvc", "prefect"}, file


def test_a_detector_imports_keras_layers_and_records_alone() -> None:
    for name in detectors.names():
        file = PACKAGE / "detectors" / f"{name}.py"
        assert packages_imported(file) <= {"keras", "fauxscan"}, name
        assert all(module.startswith(("fauxscan.layers", "fauxscan.records")) for module in modules_of_ours(file)), name


def test_a_dataset_imports_records_and_the_standard_library_alone() -> None:
    for name in set(datasets.names()) - {"demo"}:
        file = PACKAGE / "datasets" / f"{name}.py"
        assert packages_imported(file) <= {"fauxscan", *sys.stdlib_module_names}, name
        assert all(module.startswith("fauxscan.records") for module in modules_of_ours(file)), name


def test_no_code_decides_by_the_name_of_a_detector_or_dataset() -> None:
    names = {*detectors.names(), *datasets.names()} - {"folder"}
    for file in python_files("src", "stages", "flows"):
        for node in nodes(file, ast.Compare):
            constants = {n.value for n in ast.walk(node) if isinstance(n, ast.Constant)}
            assert not constants & names, f"{file}:{node.lineno} decides by a name"


def test_importing_the_scan_and_the_command_line_loads_no_tensorflow() -> None:
    code = (
        "import sys; from fauxscan import records, params, cli; from fauxscan.commands import presets;"
        "from fauxscan.scanning import scan; from fauxscan.scanning.tables import parquet;"
        "print(sorted(set(sys.modules) & {'tensorflow', 'keras'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# === Sizes ===


def test_files_have_at_most_400_lines() -> None:
    for file in python_files("src", "stages", "flows"):
        assert len(file.read_text(encoding="utf-8").splitlines()) <= 400, file


def test_functions_have_at_most_40_lines() -> None:
    for file in python_files("src", "stages", "flows"):
        for node in nodes(file, (ast.FunctionDef, ast.AsyncFunctionDef)):
            lines = node.end_lineno - node.lineno + 1
            assert lines <= 40, f"{file}:{node.lineno} {node.name} has {lines} lines"


def test_folders_have_at_most_ten_modules() -> None:
    modules = Counter(file.parent for file in python_files("src", "flows") if file.name != "__init__.py")
    assert len(modules) > 10
    crowded = {folder: number for folder, number in modules.items() if number > 10 and folder not in CATALOGUES}
    assert not crowded


def test_each_package_says_in_one_sentence_what_it_is_for() -> None:
    for file in python_files("src"):
        if file.name == "__init__.py":
            sentence, _, rest = (ast.get_docstring(parse(file)) or "").partition("\n")
            assert sentence.endswith(".") and ". " not in sentence, file
            assert not rest or file.parent in CATALOGUES, file  # which also say what an entry must hold


def test_each_folder_of_tests_has_its_counterpart_in_the_package() -> None:
    folders = {file.parent.relative_to(TESTS) for file in glob(TESTS, "**/test_*.py")}
    for folder in folders - {Path("project"), Path("golden"), Path("fuzz"), Path("support")}:
        assert (PACKAGE / folder).is_dir() or (ROOT / folder).is_dir(), f"tests/{folder} mirrors nothing"
    assert len(folders) > 10


def test_tests_wait_for_events_and_poll_in_one_place() -> None:
    for file in python_files("tests"):
        calls = [ast.unparse(node.func) for node in nodes(file, ast.Call)]
        if str(file.relative_to(TESTS)) not in SLEEPERS:
            assert not {"time.sleep", "sleep"} & set(calls), f"{file}: use support.waiting.wait_until"
    assert all((TESTS / file).is_file() for file in SLEEPERS)


# === Stages ===


def blocks() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the name and the definition of each stage."""
    for name, block in DVC["stages"].items():
        yield name, block.get("do", block)


@pytest.mark.parametrize("name", DVC["stages"])
def test_stage_script_and_function_have_one_name(name: str) -> None:
    file = ROOT / "stages" / f"{name}.py"
    assert [node.name for node in parse(file).body if isinstance(node, ast.FunctionDef)] == [name]
    assert dict(blocks())[name]["cmd"].startswith(f"sh stages/python stages/{name}.py ")


def test_every_script_is_a_stage() -> None:
    assert {file.stem for file in glob(ROOT / "stages", "*.py")} == set(DVC["stages"])


def has_code(file: Path) -> bool:
    """Whether a file holds more than a docstring. The package's own `__init__` only names what programs import."""
    more = (node for node in parse(file).body if not isinstance(node, ast.Expr))
    return file != PACKAGE / "__init__.py" and any(more)


def brought_in_by_name(block: dict[str, Any]) -> set[Path]:
    """Return what the detectors and datasets need that a stage looks up by name.

    The files themselves are covered by a template or by their folder.
    """
    needed: set[Path] = set()
    for folder in ("detectors", "datasets"):
        templated = any(f"{folder}/${{item." in str(dep) for dep in block["deps"])
        if templated or f"src/fauxscan/{folder}" in block["deps"]:
            files = set(glob(PACKAGE / folder, "*.py"))
            closures = set().union(*map(closure, files))
            needed |= closures - files if templated else closures
    return needed


@pytest.mark.parametrize("name", DVC["stages"])
def test_deps_of_a_stage_cover_what_it_imports(name: str) -> None:
    block = dict(blocks())[name]
    needed = {file for file in closure(ROOT / "stages" / f"{name}.py") | brought_in_by_name(block) if has_code(file)}
    covered = [ROOT / dep.split("$")[0] for dep in block["deps"] if not dep.startswith("data/")]
    for file in needed:
        assert any(file == path or path in file.parents for path in covered), f"{name} lacks {file.relative_to(ROOT)}"
    assert len(needed) > 5


def test_the_code_that_stages_depend_on_exists() -> None:
    code = {dep.split("$")[0] for _, block in blocks() for dep in block["deps"] if dep.startswith(("src/", "stages/"))}
    assert len(code) > 10
    assert [dep for dep in sorted(code) if not (ROOT / dep).exists()] == []


def test_dvc_yaml_lists_each_stage_after_those_it_needs() -> None:  # the refresh runs them one by one in this order
    from dvc.repo import Repo

    with Repo(str(ROOT)) as repo:
        graph = repo.index.graph
        order = {stage.addressing: number for number, stage in enumerate(repo.stage.collect())}
        for stage, needed in graph.edges:
            assert order[needed.addressing] < order[stage.addressing]
        assert len(graph.edges) > 10


def test_only_dvc_yaml_names_data_paths() -> None:
    outs = ("data/", "models/", "ensembles/", "evaluations/", "training/", "reports/", "scores/", "weights/",
            "shards/", "mixtures/", "shipped/", "features/", "protocols/", "taught/", "students/")  # fmt: skip
    for file in python_files("stages"):
        strings = [node.value for node in nodes(file, ast.Constant)]
        assert not any(isinstance(text, str) and text.startswith(outs) for text in strings), file


def test_every_parameter_is_used_and_every_used_one_exists() -> None:
    known = set(params.Params.model_fields)
    assert set(yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))) == known
    text = "\n".join(file.read_text(encoding="utf-8") for file in python_files("src", "stages", "flows"))
    for name, section in params.Params.model_fields.items():
        fields = getattr(section.annotation, "model_fields", {})
        for field in fields:
            assert f".{field}" in text, f"nothing reads {name}.{field}"


def of_params(node: ast.expr) -> bool:
    """Whether an expression is the parameters: `settings`, or `params.load()`."""
    return (isinstance(node, ast.Name) and node.id == "settings") or ast.unparse(node) == "params.load()"


def test_each_stage_declares_the_parameters_that_its_script_reads() -> None:
    for name, block in blocks():
        declared = {str(entry).split(".")[0] for entry in block.get("params", [])}
        script = ROOT / "stages" / f"{name}.py"
        used = {node.attr for node in nodes(script, ast.Attribute) if of_params(node.value)}
        assert (used & set(params.Params.model_fields)) - {"scan"} <= declared, name


@pytest.mark.parametrize("module", ["detectors", "datasets"])
def test_lookup_by_name_lists_what_there_is(module: str) -> None:
    lookup = importlib.import_module(f"fauxscan.{module}")
    with pytest.raises(lookup.UserError, match=f"unknown {module[:-1]} 'resnet_9000'.*{lookup.names()[0]}"):
        lookup.get("resnet_9000")
