"""On its way a file is carried by six types that are never changed, and the ledger and the root are each asked once."""

import importlib
import pkgutil
import re
import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, is_dataclass
from pathlib import Path
from typing import Any

import pytest
from support.scanning import stub_engine, union, write_many

from fauxscan.media.files import Content
from fauxscan.params import MediaParams
from fauxscan.scanning import decoding, engine, inference, rows, scan
from fauxscan.scanning.engine import engine as engines
from fauxscan.scanning.inputs.roots import LocalFolder
from fauxscan.scanning.rows import Entry

CARRIERS = re.findall(r"^- `(\S+)`:", engines.__doc__ or "", re.MULTILINE)
# Not of one file: a batch of files, the looks of an entry, a logit to come, and a model.
OTHERS = {"FileBatch", "Looks", "PendingLogit", "Exported"}


def values_of(modules: Iterator[Any]) -> dict[str, type]:
    """Return the dataclasses and named tuples that modules define, by name."""
    own = [value for module in modules for value in vars(module).values() if defined_in(value, module)]
    return {value.__name__: value for value in own if is_dataclass(value) or hasattr(value, "_fields")}


def defined_in(value: Any, module: Any) -> bool:
    """Return whether a module defines this class."""
    return isinstance(value, type) and value.__module__ == module.__name__


def modules() -> Iterator[Any]:
    """Yield the modules that a file passes through between the listing and the tables."""
    yield rows
    for room in (decoding, engine, inference):
        for found in pkgutil.iter_modules(room.__path__, f"{room.__name__}."):
            yield importlib.import_module(found.name)


def test_a_file_has_at_most_six_carriers_and_all_of_them_are_frozen() -> None:
    assert 0 < len(CARRIERS) <= 6
    values = values_of(modules())
    assert set(values) - OTHERS <= {name.rpartition(".")[2] for name in CARRIERS}
    assert {"Entry", "Outcome", "Reading"} <= set(values)
    assert all(value.__dataclass_params__.frozen for value in values.values() if is_dataclass(value))  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", CARRIERS)
def test_the_list_of_carriers_names_what_there_is(name: str) -> None:
    module, _, carrier = name.rpartition(".")
    home = "fauxscan" if module.startswith("media") else "fauxscan.scanning"
    found = getattr(importlib.import_module(f"{home}.{module}"), carrier)
    assert found == dict[str, Any] or found.__dataclass_params__.frozen


class Asked:
    """A ledger that counts what it is asked, by question and file or content."""

    def __init__(self, ledger: Any) -> None:
        self._ledger = ledger
        self.questions: Counter[tuple[str, Any]] = Counter()

    def __getattr__(self, name: str) -> Any:
        """Return an attribute of the ledger; a question is counted for each file that it is about."""
        attribute = getattr(self._ledger, name)
        if not callable(attribute) or name in ("keep", "index", "gone", "add"):  # about all files, not about one
            return attribute

        def counted(about: Any) -> Any:
            self.questions.update((name, one) for one in (about if isinstance(about, list | tuple) else [about]))
            return attribute(about)

        return counted


@dataclass(frozen=True)
class CountedRoot(LocalFolder):
    """A root that counts how often it is checked, and how often each file is opened."""

    counts: Any = None

    def check(self) -> None:
        """Count."""
        self.counts["check"] += 1
        super().check()

    @contextmanager
    def open_entry(self, entry: Entry, media: MediaParams) -> Iterator[Content]:
        """Count."""
        self.counts[entry.path] += 1
        with super().open_entry(entry, media) as content:
            yield content


def test_the_ledger_and_the_root_are_asked_once_for_each_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root, results, judges = write_many(tmp_path / "in", 30), tmp_path / "results", stub_engine(tmp_path / "models")
    scan.scan(root, results, stub_engine(tmp_path / "models", only="wholes"))  # so that some files have other settings
    shutil.copytree(results, tmp_path / "uncounted")
    (root / "moved.png").write_bytes((root / "000.png").read_bytes())
    (root / "000.png").unlink()
    (root / "001.png").write_bytes((root / "001.png").read_bytes()[:-30])
    ledgers: list[Asked] = []
    really = scan.open_ledger
    monkeypatch.setattr(scan, "open_ledger", lambda *given: ledgers.append(Asked(really(*given))) or ledgers[-1])
    counts: Counter[str] = Counter()
    scan.scan(CountedRoot(root.resolve(), counts), results, judges)
    (ledger,) = ledgers
    of = {name: Counter({about: n for (asked, about), n in ledger.questions.items() if asked == name})
          for name in {asked for asked, _ in ledger.questions}}  # fmt: skip
    assert set(of) == {"is_unchanged", "look_up", "recall", "last_rows", "seen_before", "is_judged"}
    for by_file in ("is_unchanged", "look_up"):
        assert max(of[by_file].values()) == 1, by_file
    for by_content in ("recall", "seen_before", "is_judged"):  # five pairs of files have the same content
        assert of[by_content].total() <= 30
        assert max(of[by_content].values()) <= 2
    assert all(n == 1 for number, n in of["last_rows"].items() if number is not None)
    assert counts["check"] == 1
    # 25 contents in 30 files: a copy is not opened if the batch before has already judged its content
    assert set(counts) >= {"check", "moved.png", *(f"{number:03}.png" for number in range(1, 25))}
    assert set(counts.values()) == {1}
    monkeypatch.undo()
    scan.scan(root, tmp_path / "uncounted", judges)
    assert union(results) == union(tmp_path / "uncounted")  # the counts changed nothing
