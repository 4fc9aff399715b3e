"""For the tests of what is installed: a Python that finds only what `pip install fauxscan` installs, without extras."""

import os
import subprocess
import sys
import tomllib
from functools import cache
from importlib.metadata import packages_distributions, requires
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from support import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
HIDING = """
import sys
HIDDEN = {hidden!r}
class Hiding:
    def __init__(self, finder):
        self.finder = finder
    def find_spec(self, name, *rest):
        return None if name.partition(".")[0] in HIDDEN else self.finder.find_spec(name, *rest)
    def __getattr__(self, name):
        return getattr(self.finder, name)
sys.meta_path[:] = map(Hiding, sys.meta_path)
"""


def distributions(requirements: list[str]) -> set[str]:
    """Return the names of the distributions that requirements install, with all that these require."""
    found: set[str] = set()
    waiting = [Requirement(text) for text in requirements]
    while waiting:
        one = waiting.pop()
        name = canonicalize_name(one.name)
        if name in found or (one.marker and not one.marker.evaluate({"extra": ""})):
            continue
        found.add(name)
        waiting += [Requirement(text) for text in requires(one.name) or ()]
    return found


@cache
def modules() -> dict[str, set[str]]:
    """Return each top-level module that is installed, with the names of the distributions that install it."""
    return {module: {canonicalize_name(name) for name in names} for module, names in packages_distributions().items()}


def scanner_only(folder: Path, sources: Path = ROOT / "src") -> dict[str, str]:
    """Return an environment in which every process finds fauxscan in `sources` and what it requires, nothing else."""
    allowed = distributions(PROJECT["dependencies"]) | {"fauxscan", "coverage"}
    hidden = {module for module, names in modules().items() if not names & allowed}
    folder.mkdir(exist_ok=True)
    (folder / "sitecustomize.py").write_text(HIDING.format(hidden=hidden), encoding="utf-8")
    path = os.pathsep.join(map(str, (folder, sources)))
    return {**os.environ, "PYTHONPATH": path, "XDG_CACHE_HOME": str(folder / "cache"), "COLUMNS": "200"}


def fauxscan(environment: dict[str, str], cwd: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run a command of fauxscan in the folder `cwd`."""
    command = [sys.executable, "-c", "from fauxscan.cli import main; main()", *arguments]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
