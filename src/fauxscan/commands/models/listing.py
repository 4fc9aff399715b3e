"""What `fauxscan models` lists: model sets, and the networks that models share."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fauxscan.records import UserError
from fauxscan.shipped import sets
from fauxscan.shipped.sets import ModelSet

COLUMNS = ("name", "kind", "from", "bytes", "usable", "licence")
FETCHABLE = ("name", "title", "bytes", "licence")
NETWORK = "shared network"
Line = dict[str, Any]


def lines() -> Iterator[Line]:
    """Yield one line, with COLUMNS, for each model set and each network that models share."""
    yield from map(_set_line, sets.every())
    yield from _network_lines()


def _set_line(one: ModelSet) -> Line:
    """Return the line of a set. It is usable if its files are whole, and what they need is on this machine."""
    from fauxscan.judging import ensemble
    from fauxscan.params import Params
    from fauxscan.scanning import settings
    from fauxscan.scanning.inference import backends

    line: Line = {"name": one.name, "kind": "", "from": one.package, "bytes": None, "licence": ""}
    if one.folder is None:
        return line | {"usable": f"no, it is broken: {one.fault}"}
    line["bytes"] = _bytes_in(one.folder)
    try:
        with sets.with_remedies([one.folder]):
            members = ensemble.read_members([one.folder])
        line["kind"] = "ensemble" if members.ensemble else "model"
        line["licence"] = f"that of its data: fauxscan models show {one.name}"
        backends.check(settings.read(Params(), [one.folder], cards_alone=True))
    except UserError as error:
        return line | {"usable": f"no: {error}"}
    return line | {"usable": "yes"}


def _network_lines() -> Iterator[Line]:
    from fauxscan.backbones import cards, store

    for name in cards.names():
        line = {"name": name, "kind": NETWORK, "licence": cards.get(name).licence}
        try:
            folder = store.find(name).file.parent
        except UserError as error:
            yield line | {"from": "", "bytes": None, "usable": f"no: {error}"}
        else:
            yield line | {"from": str(folder), "bytes": _bytes_in(folder), "usable": "yes"}


def fetchable() -> Iterator[Line]:
    """Yield one line, with FETCHABLE, for each network that can be fetched, with the bytes to transfer."""
    from fauxscan.backbones import cards

    for card in map(cards.get, cards.names()):
        yield {"name": card.name, "title": card.title, "bytes": card.archive.bytes, "licence": card.licence}


def _bytes_in(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
