"""Presets: prepared experiments whose entries replace those in params.yaml, which keeps its comments."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML, YAMLError

from fauxscan import params
from fauxscan.params.known import unknown
from fauxscan.preparing.download.dataset import refuse_without_folder
from fauxscan.records import UserError

# These sections are replaced as a whole; others are merged.
ENTRIES = ("datasets", "weights", "models", "combiners", "students", "evaluations", "scores", "protocols", "shipped")


def apply(name: str, folder: Path, target: Path, settings: Sequence[str]) -> None:
    """Write the preset `name` in `folder`, then each setting `a.b.c=value`, to the parameters at `target`.

    Raise UserError, and leave `target` as it was, if a file is missing or the result is not valid.
    """
    file = folder / f"{name}.yaml"
    if not file.is_file():
        raise _unknown_preset(name, folder)
    if not target.is_file():
        raise UserError(f"no parameters at {target}: run from the project folder, or name the file with --params")
    yaml = YAML()
    yaml.preserve_quotes = True  # PyYAML would take an unquoted `00???` in brackets for a mapping key
    document, before = _sections(yaml, target), target.read_text(encoding="utf-8")
    for section, content in _sections(yaml, file).items():
        _merge(document, section, content)
    for setting in settings:
        _set(document, setting, yaml)
    yaml.dump(document, target)
    try:
        for key, dataset in params.validate(target).datasets.items():
            _refuse_without_folder(key, dataset)
    except UserError:
        target.write_text(before, encoding="utf-8")
        raise


def _refuse_without_folder(key: str, dataset: params.DatasetParams) -> None:
    try:
        refuse_without_folder(dataset)
    except UserError as error:
        raise UserError(f"{error} With a preset: --set datasets.{key}.archives=FOLDER") from error


def _unknown_preset(name: str, folder: Path) -> UserError:
    known = [preset.stem for preset in folder.glob("*.yaml")]
    remedy = "" if known else "; run from the project folder, or name the folder with --presets"
    return UserError(unknown("preset", name, known, f"Presets in {folder}") + remedy)


def _sections(yaml: YAML, file: Path) -> Any:
    """Return the sections of a YAML file, with their comments. Raise UserError if it has none."""
    try:
        document = yaml.load(file)
    except (YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{file} is not valid YAML: {error}") from error
    if not isinstance(document, dict):
        raise UserError(f"{file} has no sections such as `models:`. Correct it, or restore it with `git checkout`")
    return document


def _merge(document: Any, section: str, content: Any) -> None:
    if section in ENTRIES or not (isinstance(content, dict) and isinstance(document.get(section), dict)):
        document[section] = content
    else:
        document[section].update(content)


def _set(document: Any, setting: str, yaml: YAML) -> None:
    key, equals, value = setting.partition("=")
    *parents, last = key.split(".")
    place = document
    try:
        for parent in parents:
            place = place[parent]
        if not equals:
            raise TypeError
        place[last] = yaml.load(value)
    except KeyError as error:
        raise UserError(f"cannot set {setting!r}: {unknown('key', error.args[0], place)}") from error
    except (TypeError, YAMLError) as error:
        raise UserError(
            f"cannot set {setting!r}: write an existing key of params.yaml with dots, then = and a YAML value"
        ) from error
