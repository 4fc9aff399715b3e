"""What the page says about the models: what they learned, how often they were wrong, and what they cannot tell."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from fauxscan.judging import ensemble
from fauxscan.judging.ensemble import DEMO, EnsembleCard
from fauxscan.judging.videos import thresholds
from fauxscan.models import Calibration, Evidence, Group, ModelCard
from fauxscan.records import Kind, View
from fauxscan.reporting.scan_page.cards import Known
from fauxscan.reporting.scan_page.contents import Figures, Model, Rate, Setting
from fauxscan.scanning.rows import Row
from fauxscan.scanning.settings import Settings

# The headings of a set's readme file, which `shipping.card` writes.
MEASURED, FAILURES, NOT_FOR = "Figures", "Known failures", "Not to be used for"
FIGURE_COLUMNS = 8  # of the table under the first one
ALIKE = (
    "Its scores hold for files like those it was calibrated on. Cameras, platforms and generators that it does not "
    "know may score otherwise."
)
FACES_ONLY = "It looks at faces only: not at what is around them, and not at pictures without faces."
NO_PLACE = "It looks at the whole picture at once, and cannot say which part of it is synthetic."
NEVER_REAL = "`no_indication` does not show that a file is authentic: finding nothing proves nothing."


def models(
    named: Iterable[Mapping[str, str]], known: Known, evaluations: Iterable[Row], kind: Kind = Kind.IMAGE
) -> tuple[Model, ...]:
    """Return models, by their `name` and `model_digest`, with what their cards say and what was published about them.

    The thresholds are those for files of a kind.
    """
    published: dict[str, list[Figures]] = {}
    for row in evaluations:
        published.setdefault(row["model_digest"], []).append(_published(row))
    return tuple(_model(one, known, published.get(one["model_digest"], []), kind) for one in named)


def _model(named: Mapping[str, str], known: Known, published: list[Figures], kind: Kind) -> Model:
    digest = named["model_digest"]
    card, page = known.cards.get(digest), known.pages.get(digest, "")
    figures = tuple(published or _figures(page))
    if card is None:
        return Model(name=named["name"], model_digest=digest, kind="model", card=False, figures=tuple(published))
    described = _of_ensemble(card) if isinstance(card, EnsembleCard) else _of_model(card)
    said = (*described["cannot_tell"], *_sections(page), NEVER_REAL)
    known_of_it: dict[str, Any] = {**described, **_calibrated(card.calibration, kind), "cannot_tell": said}
    return Model(name=named["name"], model_digest=digest, card=True, figures=figures, **known_of_it)


def _of_model(card: ModelCard) -> dict[str, Any]:
    used = card.trained_on
    names = tuple(one.name for one in used.datasets) or (used.dataset,)
    of_faces = card.looks_at is View.FACE
    learned = [f"the detector {card.detector}"]
    learned += ["fakes made from the reals of its data (self-blended)"] if used.self_blended else []
    learned += [f"a student of {used.teacher.name}"] if used.teacher else []
    learned += [f"a head on the shared network {card.backbone.name}"] if card.backbone else []
    return {
        "kind": "model",
        "looks_at": f"{'aligned faces' if of_faces else 'whole images'} of {card.input_size} pixels",
        "trained_on": names,
        "learned": ", ".join(learned),
        "licence": card.licence,
        "cannot_tell": _limits(card.calibration, FACES_ONLY if of_faces else NO_PLACE, used.proof_of_machinery),
    }


def _of_ensemble(card: EnsembleCard) -> dict[str, Any]:
    return {
        "kind": "ensemble",
        "looks_at": f"the scores of {', '.join(card.digests)}",
        "trained_on": tuple(card.dataset.split("+")),
        "learned": f"joined by `{card.method}`",
        "cannot_tell": _limits(card.calibration, "", card.proof_of_machinery),
    }


def _limits(fitted: Calibration | None, looks: str, demo: bool) -> tuple[str, ...]:
    """Return what a model cannot tell, as far as its card shows it."""
    found = [looks] if looks else []
    if demo:
        found.append(f"Every verdict is `uncertain`: it was {DEMO}.")
    if fitted is None:
        return (*found, "It is not calibrated, so every verdict is `uncertain`, and its scores are no probabilities.")
    found += [f"Every verdict is `uncertain`: {one.reason}." for one in ensemble.doubts(fitted)]
    if fitted.separate_videos and fitted.videos is None:
        found.append(f"{thresholds.describe(fitted)}.")
    return (*found, ALIKE)


def _calibrated(fitted: Calibration | None, kind: Kind) -> dict[str, Any]:
    if fitted is None:
        return {}
    fitted = fitted.of_kind(kind) or fitted
    return {
        "calibrated_on": f"{fitted.reals} reals and {fitted.fakes} fakes{_evidence(fitted.evidence)}",
        "high": fitted.high,
        "low": fitted.low,
        "aims": f"{fitted.false_positive_rate:.1%} of the reals called likely synthetic,"
        f" {fitted.false_negative_rate:.1%} of the fakes given no indication",
        "reals_called_fake": _rates(fitted.collections),
        "fakes_missed": _rates(fitted.generators),
    }


def _evidence(known: Evidence | None) -> str:
    """Return what the calibration data show. Files of one source are not independent, so sources count."""
    if known is None:
        return ""
    counted = f" of {known.real_sources} and {known.fake_sources} sources"
    if known.auc is None:
        return counted
    interval = "" if known.auc_low is None else f" ({known.auc_low:.3f} to {known.auc_high:.3f})"
    return f"{counted}; AUC there {known.auc:.3f}{interval}"


def _rates(groups: Mapping[str, Group] | None) -> tuple[Rate, ...]:
    return tuple(
        Rate(name=name, files=one.files, rate=one.error_rate, unseen_rate=one.unseen_error_rate)
        for name, one in (groups or {}).items()
    )


def _published(row: Row) -> Figures:
    revision = f", revision {row['revision'][:8]}" if row["revision"] else ""
    return Figures(
        data=row["dataset"],
        degradation=row["degradation"],
        reals=row["reals"],
        fakes=row["fakes"],
        auc=f"{row['auc']:.3f} ({row['auc_low']:.3f} to {row['auc_high']:.3f})",
        reals_called_fake=row["false_positive_rate"],
        fakes_detected=row["true_positive_rate"],
        source=f"published on {row['published_at']:%Y-%m-%d}{revision}",
    )


def _figures(page: str) -> Iterator[Figures]:
    """Yield the figures on test splits that a set's readme file has."""
    for line in section(page, MEASURED).splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if not line.startswith("|") or len(cells) != FIGURE_COLUMNS or not cells[2].isdecimal():
            continue
        data, degradation, reals, fakes, auc, _, called_fake, detected = cells
        yield Figures(
            data=data, degradation=degradation, reals=int(reals), fakes=int(fakes), auc=auc,
            reals_called_fake=float(called_fake), fakes_detected=float(detected), source="its readme file",
        )  # fmt: skip


def _sections(page: str) -> Iterator[str]:
    """Yield what a set's readme file says about known failures and what the set is not for."""
    for heading in (FAILURES, NOT_FOR):
        if text := section(page, heading):
            yield f"{heading}: {' '.join(text.split())}"


def section(page: str, heading: str) -> str:
    """Return the text under a second-level heading of a page in Markdown; the empty string if there is none."""
    _, found, rest = f"\n{page}".partition(f"\n## {heading}\n")
    return rest.partition("\n## ")[0].strip() if found else ""


def setting_records(used: Settings | None) -> tuple[Setting, ...]:
    """Return the parameters that decided the results; none if they are not known."""
    if used is None:
        return ()
    scan = used.scan.model_dump(include={"engine", "precision", "check_reencoded", "reencoded_margin"})
    values = {"faces": used.mode, **{f"scan.{name}": value for name, value in scan.items()}}
    values |= {f"media.{name}": value for name, value in used.media.model_dump().items()}
    values |= {f"faces.{name}": value for name, value in used.faces.model_dump().items()}
    values["scan.engine"] = used.engine
    return tuple(Setting(name=name, value=str(value)) for name, value in values.items())
