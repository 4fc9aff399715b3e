"""The walls of the house: who imports whom, stages and their dependencies, names that must agree."""

import ast
import importlib
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import ROOT

from fauxscan import datasets, detectors, params

SRC = ROOT / "src"
WINGS = ("media", "preparing", "training", "judging", "scanning", "reporting")
DVC = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))
HEAVY = {"tensorflow", "keras", "torch", "jax"}


@cache
def imports(file: Path) -> frozenset[str]:
    """All modules that a file imports, anywhere in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return frozenset(found)


def imports_at_once(file: Path) -> set[str]:
    """The modules that a file imports when it is imported itself."""
    found: set[str] = set()
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    return found


def path_of(module: str) -> Path | None:
    """The file of a module of ours."""
    if not module.startswith("fauxscan"):
        return None
    base = SRC.joinpath(*module.split("."))
    return next((file for file in (base.with_suffix(".py"), base / "__init__.py") if file.is_file()), None)


def closure(start: Path) -> set[Path]:
    """All files of ours that a file needs, itself included."""
    seen: set[Path] = set()
    waiting = [start]
    while waiting:
        file = waiting.pop()
        if file not in seen:
            seen.add(file)
            waiting += [found for module in imports(file) if (found := path_of(module))]
    return seen


def roots(file: Path) -> set[str]:
    return {module.split(".")[0] for module in imports(file)}


def sources(*folders: str) -> list[Path]:
    return sorted(file for folder in folders for file in (ROOT / folder).rglob("*.py"))


def test_the_library_knows_neither_stages_nor_flows_nor_their_tools() -> None:
    for file in sources("src"):
        assert not roots(file) & {"stages", "flows", "dvc", "prefect"}, file


def test_stages_know_the_library_alone() -> None:
    for file in sources("stages"):
        assert not roots(file) & {"stages", "flows", "dvc", "prefect"}, file


def test_flows_know_prefect_and_the_thin_part_of_the_library() -> None:
    allowed = ("fauxscan.scanning", "fauxscan.records", "fauxscan.params")
    for file in sources("flows"):
        assert not roots(file) & (HEAVY | {"stages", "dvc"}), file
        ours = {module for module in imports(file) if module.startswith("fauxscan.")}
        assert all(module.startswith(allowed) for module in ours), file


@pytest.mark.parametrize("number", range(len(WINGS)))
def test_a_wing_uses_those_before_it_only(number: int) -> None:
    later = {f"fauxscan.{wing}" for wing in WINGS[number + 1 :]}
    if WINGS[number] == "scanning":
        later |= {"fauxscan.preparing", "fauxscan.training"}
    for file in sources(f"src/fauxscan/{WINGS[number]}"):
        used = {".".join(module.split(".")[:2]) for module in imports(file)}
        assert not used & later, file


def test_a_detector_imports_keras_layers_and_records_alone() -> None:
    for name in detectors.names():
        file = SRC / "fauxscan" / "detectors" / f"{name}.py"
        assert roots(file) <= {"keras", "fauxscan"}, name
        ours = {module for module in imports(file) if module.startswith("fauxscan.")}
        assert all(module.startswith(("fauxscan.layers", "fauxscan.records")) for module in ours), name


def test_a_dataset_imports_records_and_the_standard_library_alone() -> None:
    for name in set(datasets.names()) - {"demo"}:
        file = SRC / "fauxscan" / "datasets" / f"{name}.py"
        assert roots(file) <= {"fauxscan", *sys.stdlib_module_names}, name
        ours = {module for module in imports(file) if module.startswith("fauxscan.")}
        assert all(module.startswith("fauxscan.records") for module in ours), name


def test_no_name_is_singled_out() -> None:
    names = {*detectors.names(), *datasets.names()} - {"folder"}
    for file in sources("src", "stages", "flows"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Compare):
                constants = {n.value for n in ast.walk(node) if isinstance(n, ast.Constant)}
                assert not constants & names, f"{file}:{node.lineno} decides by a name"


def test_records_params_and_help_import_nothing_heavy() -> None:
    code = (
        "import sys; from fauxscan import records, params, presets, cli;"
        "from fauxscan.scanning import scan, tables; print(sorted(set(sys.modules) & {'tensorflow', 'keras'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_files_and_functions_are_short() -> None:
    for file in sources("src", "stages", "flows"):
        assert len(file.read_text(encoding="utf-8").splitlines()) <= 400, file


# === Stages ===


def blocks() -> Iterator[tuple[str, dict[str, Any]]]:
    for name, block in DVC["stages"].items():
        yield name, block.get("do", block)


@pytest.mark.parametrize("name", DVC["stages"])
def test_stage_script_and_function_have_one_name(name: str) -> None:
    file = ROOT / "stages" / f"{name}.py"
    functions = [n.name for n in ast.parse(file.read_text(encoding="utf-8")).body if isinstance(n, ast.FunctionDef)]
    assert functions == [name]
    assert dict(blocks())[name]["cmd"].startswith(f"python stages/{name}.py ")


def test_every_script_is_a_stage() -> None:
    assert {file.stem for file in (ROOT / "stages").glob("*.py")} == set(DVC["stages"])


@pytest.mark.parametrize("name", DVC["stages"])
def test_deps_of_a_stage_cover_what_it_imports(name: str) -> None:
    block = dict(blocks())[name]
    needed = closure(ROOT / "stages" / f"{name}.py") | by_name(block)
    covered = [ROOT / dep.split("$")[0] for dep in block["deps"] if not dep.startswith("data/")]
    for file in needed:
        if file.name == "__init__.py" and not file.read_text(encoding="utf-8").strip():
            continue
        assert any(file == path or path in file.parents for path in covered), f"{name} lacks {file.relative_to(ROOT)}"


def by_name(block: dict[str, Any]) -> set[Path]:
    """What the files that lookup by name brings in need; themselves they are covered by a template or their folder."""
    found: set[Path] = set()
    for folder in ("detectors", "datasets"):
        templated = any(f"{folder}/${{item." in str(dep) for dep in block["deps"])
        if templated or f"src/fauxscan/{folder}" in block["deps"]:
            files = set((SRC / "fauxscan" / folder).glob("*.py"))
            needed = set().union(*map(closure, files))
            found |= needed - files if templated else needed
    return found


def test_a_stage_stands_behind_those_it_needs() -> None:  # the refresh runs them one by one in this order
    from dvc.repo import Repo

    with Repo(str(ROOT)) as repo:
        graph = repo.index.graph
        order = {stage.addressing: number for number, stage in enumerate(repo.stage.collect())}
        for stage, needed in graph.edges:
            assert order[needed.addressing] < order[stage.addressing]
        assert len(graph.edges) > 10


def test_only_dvc_yaml_names_data_paths() -> None:
    outs = ("data/", "models/", "ensembles/", "evaluations/", "training/", "reports/", "scores/", "weights/")
    for file in sources("stages"):
        strings = [
            n.value for n in ast.walk(ast.parse(file.read_text(encoding="utf-8"))) if isinstance(n, ast.Constant)
        ]
        assert not any(isinstance(text, str) and text.startswith(outs) for text in strings), file


def test_every_parameter_is_used_and_every_used_one_exists() -> None:
    known = set(params.Params.model_fields)
    assert set(yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))) == known
    text = "\n".join(file.read_text(encoding="utf-8") for file in sources("src", "stages", "flows"))
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
        tree = ast.parse((ROOT / "stages" / f"{name}.py").read_text(encoding="utf-8"))
        read = {n.attr for n in ast.walk(tree) if isinstance(n, ast.Attribute) and of_params(n.value)}
        read &= set(params.Params.model_fields)
        assert read - {"scan"} <= declared, name


@pytest.mark.parametrize("module", ["detectors", "datasets"])
def test_lookup_by_name_lists_what_there_is(module: str) -> None:
    lookup = importlib.import_module(f"fauxscan.{module}")
    with pytest.raises(lookup.UserError, match=f"unknown {module[:-1]} 'resnet_9000'.*{lookup.names()[0]}"):
        lookup.get("resnet_9000")
