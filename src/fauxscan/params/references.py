"""What params.yaml names: every detector, dataset, model, ensemble and option must exist, before any work is done.

The checks read the content of the file and not the typed records, so that all faults are found at once.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from fauxscan.params.known import SCRATCH, catalogue, has_backbone, options, unknown

SECTIONS = (
    "datasets", "weights", "models", "combiners", "students", "evaluations", "scores", "protocols", "shipped"
)  # fmt: skip
KINDS = {"model": "models", "ensemble": "combiners", "student": "students"}  # of what is judged -> its section
NAME = re.compile(r"[\w-]+")  # of an entry: it becomes part of a stage's name, of a key and of a path
WRITTEN_OUT = {  # section -> keys with defaults that the templates of dvc.yaml ask for, and the default
    "datasets": {"faces": "detect", "reencode": "null"},
    "models": {"weights": SCRATCH},
    "students": {"weights": SCRATCH},
    "evaluations": {"kind": "model"},
    "shipped": {"kind": "model"},
    "protocols": {"tiers": "[native, web, hard]"},
}

TRACKED = (  # whose values dvc.yaml has DVC watch, beside those of entries
    "seed", "media", "faces", "train", "calibrate", "evaluate", "evaluate.confidence", "scan", "split", "split.by",
    "split.near_duplicate_bits", "shards", "shards.examples_per_shard",
)  # fmt: skip

Entries = Mapping[str, Mapping[str, Any]]


def wrong_references(content: Any) -> Iterator[str]:
    """Yield one line for each name in the content of params.yaml that does not exist: where it is, and the nearest."""
    sections = {section: _entries(content, section) for section in SECTIONS}
    for section, entries in sections.items():
        for name in entries:
            if not NAME.fullmatch(name):
                yield f"{section}.{name}: a name has only letters, digits, _ and -"
    yield from _of_datasets(sections["datasets"])
    yield from _of_calibration(content, sections)
    yield from _of_weights(sections["weights"])
    yield from _of_models(sections, "models")
    yield from _of_ensembles(sections)
    yield from _of_models(sections, "students")
    yield from _of_students(sections)
    yield from _of_evaluations(sections)
    yield from _of_protocols(sections)
    yield from _implied(sections)


def missing_for_the_pipeline(content: Any) -> Iterator[str]:
    """Yield one line for each key that has a default, but must be written out, because dvc.yaml asks for it."""
    for section in SECTIONS:
        if isinstance(content, dict) and section not in content:
            yield f"{section}: is missing; the pipeline needs it, if only as `{section}: {{}}`"
    for path in TRACKED:
        if isinstance(content, dict) and not _is_there(content, path):
            yield f"{path}: is missing; DVC tracks it, so the pipeline needs it written out"
    for section, defaults in WRITTEN_OUT.items():
        for name, entry in _entries(content, section).items():
            for key in defaults.keys() - entry.keys():
                yield f"{section}.{name}.{key}: is missing; the pipeline needs it, such as `{key}: {defaults[key]}`"


def _is_there(content: Any, path: str) -> bool:
    """Return whether a mapping has a key, or a mapping in it has the rest of a path."""
    key, _, rest = path.partition(".")
    found = isinstance(content, dict) and key in content
    return found and (not rest or _is_there(content[key], rest))


def _entries(content: Any, section: str) -> Entries:
    """Return the entries of a section that are entries; what else is wrong with it is found by its type."""
    entries = content.get(section) if isinstance(content, dict) else None
    return {str(k): v for k, v in entries.items() if isinstance(v, dict)} if isinstance(entries, dict) else {}


def _of_datasets(datasets: Entries) -> Iterator[str]:
    for key, dataset in datasets.items():
        yield from _in_catalogue(f"datasets.{key}", "dataset", dataset, "name", "examples")


def _of_calibration(content: Any, sections: Mapping[str, Entries]) -> Iterator[str]:
    calibration = content.get("calibrate") if isinstance(content, dict) else None
    left_out = calibration.get("left_out") if isinstance(calibration, dict) else None
    for name in left_out if isinstance(left_out, list) else ():
        yield from _undeclared("calibrate.left_out", "dataset", name, sections, "datasets")


def _of_weights(weights: Entries) -> Iterator[str]:
    for name in weights:
        yield from _unlisted(f"weights.{name}", "detector", name, [*catalogue("detectors"), SCRATCH])


def _of_models(sections: Mapping[str, Entries], section: str) -> Iterator[str]:
    """Yield the faults of entries of models, or of students."""
    for key, model in sections[section].items():
        where = f"{section}.{key}"
        yield from _in_catalogue(where, "detector", model, "detector", "build")
        for name in _trained_on(model):
            yield from _undeclared(where, "dataset", name, sections, "datasets")
        if model.get("weights") in (SCRATCH, model.get("detector")):  # otherwise the record refuses them
            yield from _undeclared(where, "weights", model["weights"], sections, "weights")


def _trained_on(model: Mapping[str, Any]) -> list[Any]:
    """Return the names of the datasets of a model's entry, which may be wrong."""
    several = model.get("datasets")
    return [*([model["dataset"]] if "dataset" in model else ()), *(several if isinstance(several, dict | list) else ())]


def _of_ensembles(sections: Mapping[str, Entries]) -> Iterator[str]:
    for key, ensemble in sections["combiners"].items():
        members = ensemble.get("members")
        for member in members if isinstance(members, list) else ():
            yield from _undeclared(f"combiners.{key}", "member", member, sections, "models")


def _of_students(sections: Mapping[str, Entries]) -> Iterator[str]:
    for key, student in sections["students"].items():
        if key in sections["models"]:
            yield f"students.{key}: choose another name; a model has it, and both are trained in a folder of that name"
        teacher = student.get("teacher")
        if isinstance(teacher, dict) and teacher.get("kind") in ("model", "ensemble"):
            yield from _judge(f"students.{key}.teacher", teacher, sections)


def _judge(where: str, entry: Mapping[str, Any], sections: Mapping[str, Entries]) -> Iterator[str]:
    """Yield the fault of an entry with `kind` and `model`, if what it names does not exist."""
    kind = str(entry.get("kind", "model"))
    if kind in KINDS:  # otherwise the record refuses it
        yield from _undeclared(where, kind, entry.get("model"), sections, KINDS[kind])


def _of_evaluations(sections: Mapping[str, Entries]) -> Iterator[str]:
    for section in ("evaluations", "scores", "shipped"):
        for key, entry in sections[section].items():
            yield from _judge(f"{section}.{key}", entry, sections)
            yield from _undeclared(f"{section}.{key}", "dataset", entry.get("dataset"), sections, "datasets")


def _implied(sections: Mapping[str, Entries]) -> Iterator[str]:
    """Yield the evaluations that a model implies, since it is evaluated on the datasets it is trained on by default."""
    for key, entry in sections["evaluations"].items():
        name = str(entry.get("model"))
        model = sections["models"].get(name, {})
        of_model = entry.get("kind", "model") == "model" and model.get("evaluate", True) is not False
        if of_model and entry.get("dataset") in _trained_on(model):
            yield (
                f"evaluations.{key}: remove it; a model is evaluated on the datasets that it is trained on without it."
                f" To keep only this one, add `evaluate: false` to models.{name}"
            )
        if key in sections["models"]:
            yield f"evaluations.{key}: choose another name; that of a model stands for its evaluations"


def _of_protocols(sections: Mapping[str, Entries]) -> Iterator[str]:
    models = sections["models"]
    with_backbone = [name for name, model in models.items() if _has_backbone(model)]
    for key, protocol in sections["protocols"].items():
        where, name = f"protocols.{key}", protocol.get("model")
        yield from _undeclared(f"{where}.model", "model", name, sections, "models")
        if name in with_backbone:
            yield from _of_heads(where, str(models[str(name)]["detector"]), protocol.get("heads"))
        elif name in models:
            yield (
                f"{where}.model: {name} has no frozen backbone, whose features a protocol computes once. Choose a model"
                f" that has one: {', '.join(with_backbone) or 'none in the section `models` has'}"
            )


def _has_backbone(model: Mapping[str, Any]) -> bool:
    return model.get("detector") in catalogue("detectors") and has_backbone(str(model["detector"]))


def _of_heads(where: str, detector: str, heads: Any) -> Iterator[str]:
    """Yield the faults of the heads of a protocol: names, and options that the detector's head does not take."""
    known = options("detectors", detector, "head")
    for name, head in heads.items() if isinstance(heads, dict) else ():
        if not NAME.fullmatch(str(name)):
            yield f"{where}.heads.{name}: a name has only letters, digits, _ and -"
        given = head.get("options") if isinstance(head, dict) else None
        for option in given if isinstance(given, dict) else ():
            yield from _unlisted(f"{where}.heads.{name}.options", f"option of {detector}", option, known)


def _in_catalogue(where: str, word: str, entry: Mapping[str, Any], key: str, function: str) -> Iterator[str]:
    """Yield the faults of an entry that names a detector or dataset: its name, or the options of its function."""
    name, folder = entry.get(key), f"{word}s"
    if name not in catalogue(folder):
        yield from _unlisted(f"{where}.{key}", word, name, catalogue(folder))
        return
    known = set(options(folder, str(name), function)) - {"root"}
    given = entry.get("options")
    for option in given if isinstance(given, dict) else ():
        yield from _unlisted(f"{where}.options", f"option of {name}", option, known)


def _undeclared(where: str, word: str, name: Any, sections: Mapping[str, Entries], section: str) -> Iterator[str]:
    yield from _unlisted(where, word, name, sections[section], f"The section `{section}` has")


def _unlisted(where: str, word: str, name: Any, known: Any, listed: str = "Known") -> Iterator[str]:
    if isinstance(name, str) and name not in known:
        yield f"{where}: {unknown(word, name, known, listed)}"
