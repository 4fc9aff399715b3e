"""Find the cards of the models that judged a run, and the parameters, among what lies on this machine."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import get_args

from fauxscan import params as parameters
from fauxscan.judging.ensemble import EnsembleCard
from fauxscan.models import ModelCard
from fauxscan.params import Params
from fauxscan.records import Framing, UserError
from fauxscan.scanning import settings
from fauxscan.scanning.rows import Row
from fauxscan.scanning.settings import Settings
from fauxscan.shipped import sets

log = logging.getLogger(__name__)
README = "README.md"  # in the folder of a model set
Card = ModelCard | EnsembleCard
Folders = tuple[Path, ...]


@dataclass(frozen=True)
class Known:
    """What is known here about the models of a run: cards and readme files by digest, and the settings of the run."""

    cards: Mapping[str, Card] = field(default_factory=dict)
    pages: Mapping[str, str] = field(default_factory=dict)
    settings: Settings | None = None  # None: no models and parameters here give the digest of the run


def of_settings(used: Settings) -> Known:
    """Return what is known of the models of settings."""
    cards: dict[str, Card] = {card.model_digest: card for card in used.cards}
    if used.ensemble and used.ensemble_card:
        cards[used.ensemble_card.model_digest] = used.ensemble  # under the digest that the tables name
    return Known(cards, _pages(used.folders, cards), used)


def find(run: Row, params: Params, named: Sequence[str] = ()) -> Known:
    """Return what is known of the models of a run: of those that are named, of the project's, and of all model sets.

    The run's settings are known if the parameters with one of these choices of models give their digest. Raise
    ModelError if a model that is named does not exist.
    """
    digests = {one["model_digest"] for one in run["models"]}
    cards: dict[str, Card] = {}
    pages: dict[str, str] = {}
    for folders in _choices(params, [sets.find(name) for name in named]):
        try:
            for used in _variants(params, folders):
                if used.digest == run["settings"]:
                    return of_settings(used)
        except UserError as error:
            log.debug("no card from %s: %s", folders, error)
            continue
        found = {digest: card for digest, card in of_settings(used).cards.items() if digest in digests}
        pages |= _pages(used.folders, found)
        cards |= found
    return Known(cards, pages)


def _choices(params: Params, named: Sequence[Path]) -> Iterator[Folders]:
    """Yield choices of models that may have judged; the empty one stands for those that judge by default."""
    if named:
        yield tuple(named)
    yield ()
    for name in params.models:
        yield (Path("models") / name,)
    for one in sets.every():
        if one.folder:
            yield (one.folder,)


def _variants(params: Params, folders: Folders) -> Iterator[Settings]:
    """Yield the settings with some models, in each way that the options of a scan allow."""
    for check in (params.scan.check_reencoded, not params.scan.check_reencoded):
        changed = parameters.changed(params, "scan", {"check_reencoded": check})
        for mode in get_args(Framing):
            yield settings.read(changed, folders, mode)


def _pages(folders: Folders, cards: Mapping[str, Card]) -> dict[str, str]:
    """Return the readme file of the folder, if it is a set, for each of the cards."""
    files = [folder / README for folder in folders if (folder / README).is_file()]
    if len(files) != 1:
        return {}
    return dict.fromkeys(cards, files[0].read_text(encoding="utf-8", errors="replace"))
