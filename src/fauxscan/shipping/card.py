"""The card of a model set as a page of Markdown: its README.md, which `fauxscan models show` prints."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fauxscan.judging import ensemble
from fauxscan.judging.ensemble import Members
from fauxscan.judging.videos import thresholds
from fauxscan.models import Calibration, Evidence, ModelCard
from fauxscan.params import ShippedNotes
from fauxscan.records import DatasetCard

PAGE = "README.md"  # in the folder of a set
DATA_LICENCES = "LICENSE-DATA.txt"
VIDEOS = "Videos: "  # the beginning of what `thresholds.describe` returns
MEASURED = ("data", "degradation", "reals", "fakes", "AUC", "accuracy at 0.5", "reals called fake", "fakes detected")
BY_GENERATOR = ("data", "generator", "fakes", "AUC", "fakes detected")
Figures = Mapping[str, Any]  # a row of figures.parquet


@dataclass(frozen=True)
class Facts:
    """What a person should know about a set besides its cards."""

    figures: Sequence[Figures]  # of whole files
    data: Mapping[str, DatasetCard]  # of each dataset that it was trained on, by its name in params.yaml
    notes: ShippedNotes


def read(folder: Path) -> str:
    """Return the page of a set or model: the one in its folder, otherwise what its cards say. Raise ModelError."""
    members = ensemble.read_members([folder])
    if (folder / PAGE).is_file():
        page = (folder / PAGE).read_text(encoding="utf-8", errors="replace").rstrip()
        return page if VIDEOS in page else "\n\n".join([page, "## Videos", _videos(members)])  # an older version's
    return "\n\n".join([*_of_cards(folder.resolve().name, members, str(folder)), *_own_licences(members)])


def page(name: str, members: Members, facts: Facts) -> str:
    """Return the page of a new set."""
    parts = [
        *_of_cards(name, members, name),
        *_measured(facts.figures),
        *_noted(facts.notes),
        *_licences(members, facts),
    ]
    return "\n\n".join(parts) + "\n"


def data_licences(name: str, data: Mapping[str, DatasetCard]) -> str:
    """Return the text of LICENSE-DATA.txt: whose data a set was trained on, and under which licences."""
    lines = [
        f"The model set {name} of fauxscan was trained on the data below, which are not part of it.",
        "Anyone who uses the set must decide whether these licences allow that use.",
    ]
    for key, card in data.items():
        lines += ["", f"{key}: {card.title}", f"Licence: {card.licence}", f"Cite: {card.citation}"]
    return "\n".join(lines) + "\n"


def _of_cards(name: str, members: Members, named: str) -> Iterator[str]:
    """Yield the parts of a page that the cards give; `named` is how `--models` names the set or folder."""
    card = members.ensemble
    kind = f"An ensemble, joined by `{card.method}`" if card else "A model"
    digest = card.model_digest if card else members.cards[0].model_digest
    yield f"# {name}"
    yield f"{kind}, with the digest `{digest}`. Use it with `fauxscan check FILE --models {named}`."
    yield "## Models"
    yield "\n".join(map(_model, members.cards))
    yield "## Data"
    yield "\n".join(map(_data, members.cards))
    yield "## Thresholds"
    calibrations = {card.name: card.calibration} if card else {one.name: one.calibration for one in members.cards}
    yield "\n".join(_thresholds(*pair) for pair in calibrations.items())
    if reasons := ensemble.withheld(members.cards, card):
        yield f"Every verdict is `uncertain`: {'; '.join(reasons.values())}."


def _videos(members: Members) -> str:
    """Return a line about the thresholds for videos, of the ensemble or of each model that is calibrated."""
    of = [members.ensemble] if members.ensemble else members.cards
    return "\n".join(f"- {one.name}: {thresholds.describe(one.calibration)}" for one in of if one.calibration)


def _model(card: ModelCard) -> str:
    looks = "aligned faces" if card.faces else "whole images"
    shared = f", on the features of the shared network {card.backbone.name}" if card.backbone else ""
    return f"- {card.name}: {card.detector}{shared}; looks at {looks} of {card.input_size} pixels."


def _data(card: ModelCard) -> str:
    used = card.trained_on
    shares = [f"{one.name} (share {one.share:g}, split `{one.split_digest[:16]}`)" for one in used.datasets]
    fakes = "; its fakes were made from the reals of the data" if used.self_blended else ""
    demo = "; this is the demo, which proves nothing" if used.proof_of_machinery else ""
    return f"- {card.name}: {', '.join(shares) or f'{used.dataset} (split `{used.split_digest[:16]}`)'}{fakes}{demo}"


def _thresholds(name: str, fitted: Calibration | None) -> str:
    if fitted is None:
        return f"- {name}: not calibrated, so every verdict is `uncertain`"
    return (
        f"- {name}: `likely_synthetic` from p_fake {fitted.high:.4f} on, which aims at"
        f" {fitted.false_positive_rate:.1%} of the reals; `no_indication` up to {fitted.low:.4f}, which aims at"
        f" {fitted.false_negative_rate:.1%} of the fakes. Calibrated on {fitted.reals} reals and {fitted.fakes}"
        f" fakes{_evidence(fitted.evidence)}. {thresholds.describe(fitted)}"
    )


def _evidence(known: Evidence | None) -> str:
    if known is None:
        return ""
    sources = f" of {known.real_sources} and {known.fake_sources} sources"
    if known.auc is None:
        return sources
    interval = "" if known.auc_low is None else f" ({known.auc_low:.3f} to {known.auc_high:.3f})"
    return f"{sources}; AUC there {known.auc:.3f}{interval}"


def _measured(figures: Sequence[Figures]) -> Iterator[str]:
    """Yield the figures on test splits: of all fakes, and of each generator."""
    overall = [row for row in figures if row["generator"] == "all"]
    single = [row for row in figures if row["generator"] != "all" and row["degradation"] == "none"]
    yield "## Figures"
    confidence = overall[0]["confidence"]
    yield (
        f"On test splits, whose sources were not used in training. In brackets: intervals of {confidence:.0%}, from"
        " resamples of whole sources. The last two columns are at the threshold for `likely_synthetic`."
    )
    yield _table(MEASURED, map(_measured_line, overall))
    if single:
        yield "## Each generator"
        yield "Each against all reals of the same data, without degradation."
        yield _table(BY_GENERATOR, map(_generator_line, single))


def _measured_line(row: Figures) -> list[Any]:
    rates = [f"{row['false_positive_rate']:.3f}", f"{row['true_positive_rate']:.3f}"]
    counts = [row["reals"], row["fakes"]]
    return [row["dataset"], row["degradation"], *counts, _interval(row, "auc"), _interval(row, "accuracy"), *rates]


def _generator_line(row: Figures) -> list[Any]:
    detected = f"{row['true_positive_rate']:.3f}"
    return [row["dataset"], row["generator"], row["fakes"], _interval(row, "auc"), detected]


def _interval(row: Figures, name: str) -> str:
    return f"{row[name]:.3f} ({row[f'{name}_low']:.3f} to {row[f'{name}_high']:.3f})"


def _noted(notes: ShippedNotes) -> list[str]:
    return ["## Known failures", notes.failures.strip(), "## Not to be used for", notes.not_for.strip()]


def _own_licences(members: Members) -> list[str]:
    return ["## Licences", "\n".join(_of_models(members))]


def _of_models(members: Members) -> list[str]:
    return [f"- the model {card.name}: {card.licence}" for card in members.cards]


def _licences(members: Members, facts: Facts) -> Iterator[str]:
    yield "## Licences"
    lines = _of_models(members)
    lines += [f"- the data {key}, {card.title}: {card.licence}" for key, card in facts.data.items()]
    yield "\n".join(lines)
    yield f"`{DATA_LICENCES}` lists the data with their authors."


def _table(columns: Sequence[str], lines: Iterable[Sequence[Any]]) -> str:
    rows = [columns, ["---"] * len(columns), *lines]
    return "\n".join(f"| {' | '.join(str(value).replace('|', chr(92) + '|') for value in row)} |" for row in rows)
