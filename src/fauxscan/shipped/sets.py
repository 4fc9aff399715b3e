"""Model sets by name: those in this folder, and those that other packages add as entry points of `fauxscan.models`.

A set is the folder of a model or of an ensemble. The name of an entry point is the name of its set. Its value is a
module that lies in the folder, or a function that returns the folder's path.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType

from fauxscan.params.known import unknown
from fauxscan.records import DamagedModelError, ModelError

SHARED = Path(__file__).parent  # where the probe image lies that sets share
SHIPPED = SHARED  # where the sets of fauxscan lie
GROUP = "fauxscan.models"  # of entry points
DEFAULT = "fast"  # the set that judges where no other models are named
OURS = "fauxscan"
CARDS = ("card.json", "ensemble.json")  # of a model, of an ensemble
LIST = "`fauxscan models list` lists the sets"


@dataclass(frozen=True)
class ModelSet:
    """A set that is installed. Its folder is None if it cannot be found; then `fault` says why."""

    name: str
    package: str
    folder: Path | None
    fault: str = ""


def shipped() -> dict[str, ModelSet]:
    """Return the sets that come with fauxscan, by name."""
    folders = (folder for folder in sorted(SHIPPED.iterdir()) if folder.is_dir() and folder.name[0] not in "_.")
    return {folder.name: ModelSet(folder.name, OURS, folder) for folder in folders}


def every() -> list[ModelSet]:
    """Return all sets, also broken ones, with those of fauxscan first. A name that occurs twice is broken."""
    found = shipped()
    for point in sorted(entry_points(group=GROUP), key=lambda point: (point.name, _package(point))):
        earlier = found.get(point.name)
        if earlier is None:
            found[point.name] = _of(point)
        elif earlier.package not in (OURS, _package(point)):
            both = f"the packages {earlier.package} and {_package(point)} have models of the same name"
            found[point.name] = ModelSet(point.name, earlier.package, None, f"{both}: uninstall one of them")
    return list(found.values())


def find(named: str | os.PathLike[str], home: Path = Path()) -> Path:
    """Return the folder of the models that are named: by a path, relative to `home`, or by the name of a set.

    A text is a path if it has a separator or such a folder exists; a Path is never a name. Raise ModelError for an
    unknown name, and for a set that is broken.
    """
    if not isinstance(named, str) or os.sep in named or not named or (home / named).is_dir():
        return home / named
    known = {one.name: one for one in every()}
    if named not in known:
        raise ModelError(f"{unknown('model set', named, known, 'Sets')}. Name a folder with a path, as in ./{named}")
    if folder := known[named].folder:
        return folder
    raise ModelError(f"the model set {named} is broken: {known[named].fault}")


def default() -> Path | None:
    """Return the folder of the set that judges where no other models are named, or None if fauxscan ships none."""
    found = shipped().get(DEFAULT)
    return found.folder if found else None


@contextmanager
def with_remedies(folders: Sequence[Path]) -> Iterator[None]:
    """Let the error about a damaged file of a set say how to install the set again."""
    try:
        yield
    except DamagedModelError as error:
        among = {folder.resolve() for one in folders for folder in (one, *one.parents)}
        owner = next((one for one in every() if one.folder and one.folder.resolve() in among), None)
        if owner is None:
            raise
        again = f"pip install --force-reinstall {owner.package}"
        raise DamagedModelError(error.fault, f"install the model set {owner.name} again: {again}") from error


def _of(point: EntryPoint) -> ModelSet:
    """Return the set of an entry point. Whatever is wrong with its package makes the set broken, and raises nothing."""
    package = _package(point)
    fault = f"the package {package} has it as {point.value}, %s; update the package, or uninstall it"
    try:
        loaded = point.load()
        folder = _folder(loaded() if callable(loaded) else loaded)
    except Exception as error:  # a broken package may raise any error
        return ModelSet(point.name, package, None, fault % f"which fails ({type(error).__name__}: {error})")
    if not any((folder / card).is_file() for card in CARDS):
        return ModelSet(point.name, package, None, fault % f"and {folder} has neither {' nor '.join(CARDS)}")
    return ModelSet(point.name, package, folder)


def _folder(loaded: object) -> Path:
    """Return the folder that a module lies in, or that a function has returned. Raise TypeError for anything else."""
    if isinstance(loaded, ModuleType):
        return Path(next(iter(loaded.__path__))) if hasattr(loaded, "__path__") else Path(str(loaded.__file__)).parent
    if not isinstance(loaded, str | os.PathLike):
        raise TypeError(f"a path is needed, not {type(loaded).__name__}")
    return Path(loaded)


def _package(point: EntryPoint) -> str:
    return str(point.dist.name) if point.dist else "unknown"
