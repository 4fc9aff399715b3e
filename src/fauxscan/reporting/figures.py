"""Figures: of a report, as SVG text to embed in a page, and of a training run, as a file."""

import io
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from sklearn.metrics import roc_curve

from fauxscan.judging.metrics import BINS
from fauxscan.records import FAKE, UserError, Verdict

Content = Callable[[Axes], None]
COLOURS = ("#1b6ca8", "#d1495b", "#2e8b57", "#8d6a9f", "#c77d0a", "#475569", "#0f9aa8", "#a3243b")
NO_METADATA: dict[str, dict[str, Any]] = {
    "svg": {"Date": None, "Creator": None},
    "png": {"Software": None},
}  # by format: no dates or versions
DPI = 150  # of PNG files


def draw(content: Content, width: float = 6.0, height: float = 3.6) -> str:
    """Return the SVG of one plot that `content` draws; the same inputs give the same text."""
    text = io.StringIO()
    _draw([content], text, "svg", width, height)
    return text.getvalue()[text.getvalue().index("<svg") :]


def _draw(contents: Sequence[Content], out: Any, form: str, width: float, height: float) -> None:
    """Write the plots that `contents` draw, side by side, to a file or stream."""
    with mpl.rc_context({"svg.hashsalt": "fauxscan", "svg.fonttype": "none", "font.size": 9}):
        figure = Figure(figsize=(width, height), layout="constrained")
        for axes, content in zip(figure.subplots(1, len(contents), squeeze=False)[0], contents, strict=True):
            axes.spines[["top", "right"]].set_visible(False)
            content(axes)
        figure.savefig(out, format=form, dpi=DPI, metadata=NO_METADATA[form])


def training(history: pd.DataFrame, file: Path) -> None:
    """Draw training and validation loss and accuracy over the epochs (rows of `history`) to a PNG or SVG file."""

    def content(name: str, axes: Axes) -> None:
        for colour, (part, column) in zip(COLOURS, (("training", name), ("validation", f"val_{name}")), strict=False):
            axes.plot(range(1, len(history) + 1), history[column], color=colour, marker=".", label=part)
        axes.set(xlabel="epoch", ylabel=name)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.legend(frameon=False, fontsize=8)

    _draw([partial(content, "loss"), partial(content, "accuracy")], file, form_of(file), width=9.0, height=3.6)


def form_of(file: Path) -> str:
    """Return the format of a figure by its suffix. Raise UserError for an unknown one."""
    form = file.suffix.lower().removeprefix(".")
    if form not in NO_METADATA:
        raise UserError(f"{file}: figures are written as .{' or .'.join(NO_METADATA)}; use one of these suffixes")
    return form


def roc(scores: pd.DataFrame) -> str:
    """Return the SVG of the ROC curve of each evaluation."""

    def content(axes: Axes) -> None:
        for colour, (name, rows) in zip(COLOURS * 9, scores.groupby("evaluation", sort=False), strict=False):
            false, true, _ = roc_curve(rows["label"], rows["p_fake"])
            axes.plot(false, true, color=colour, label=name)
        axes.plot([0, 1], [0, 1], color="#94a3b8", linestyle=":", linewidth=1)
        axes.set(xlabel="false positive rate", ylabel="true positive rate", xlim=(-0.01, 1.01), ylim=(-0.01, 1.01))
        axes.legend(frameon=False, fontsize=8)

    return draw(content)


def reliability(scores: pd.DataFrame) -> str:
    """Return the SVG of the share of fakes among files with similar p_fake, for each evaluation."""

    def content(axes: Axes) -> None:
        for colour, (name, rows) in zip(COLOURS * 9, scores.groupby("evaluation", sort=False), strict=False):
            of_bin = np.minimum((rows["p_fake"].to_numpy() * BINS).astype(int), BINS - 1)
            means = rows.assign(fake=rows["label"] == FAKE).groupby(of_bin)[["p_fake", "fake"]].mean()
            axes.plot(means["p_fake"], means["fake"], color=colour, marker="o", markersize=3, label=name)
        axes.plot([0, 1], [0, 1], color="#94a3b8", linestyle=":", linewidth=1)
        axes.set(xlabel="p_fake", ylabel="share of fakes", xlim=(-0.01, 1.01), ylim=(-0.01, 1.01))
        axes.legend(frameon=False, fontsize=8)

    return draw(content)


def risk_against_coverage(scores: pd.DataFrame) -> str:
    """Return the SVG of the share of errors among the files whose p_fake is furthest from 0.5, by the share of files.

    A dot has the coverage and risk of an evaluation's verdicts, if it has any (El-Yaniv and Wiener 2010).
    """

    def content(axes: Axes) -> None:
        for colour, (name, rows) in zip(COLOURS * 9, scores.groupby("evaluation", sort=False), strict=False):
            ordered = rows.iloc[np.argsort(-(rows["p_fake"] - 0.5).abs().to_numpy(), kind="stable")]
            wrong = (ordered["p_fake"] >= 0.5) != (ordered["label"] == FAKE)
            files = np.arange(1, len(rows) + 1)
            axes.plot(files / len(rows), wrong.cumsum() / files, color=colour, label=name)
            firm = rows[rows["verdict"] != Verdict.UNCERTAIN]
            if len(firm):
                errors = (firm["verdict"] == Verdict.LIKELY_SYNTHETIC) != (firm["label"] == FAKE)
                axes.plot(len(firm) / len(rows), errors.mean(), color=colour, marker="o")
        axes.set(xlabel="coverage: share of files judged", ylabel="risk: share of these that are wrong")
        axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, None))
        axes.legend(frameon=False, fontsize=8)

    return draw(content)


def by_generator(figures: pd.DataFrame) -> str:
    """Return the SVG of the AUC of each evaluation for each generator, with its confidence interval."""
    clean = figures[(figures["unit"] == "media") & (figures["degradation"] == "none")]
    return _intervals(clean, "generator")


def by_degradation(figures: pd.DataFrame) -> str:
    """Return the SVG of the AUC of each evaluation for each degradation, with its confidence interval."""
    overall = figures[(figures["unit"] == "media") & (figures["generator"] == "all")]
    return _intervals(overall, "degradation")


def _intervals(rows: pd.DataFrame, column: str) -> str:
    """Return the SVG of the AUC of each evaluation for each value of `column`."""
    places = {value: n for n, value in enumerate(dict.fromkeys(rows[column]))}
    names = list(dict.fromkeys(rows["evaluation"]))

    def content(axes: Axes) -> None:
        for n, (colour, name) in enumerate(zip(COLOURS * 9, names, strict=False)):
            own = rows[rows["evaluation"] == name]
            place = own[column].map(places) + (n - (len(names) - 1) / 2) * 0.8 / len(names)
            spread = [own["auc"] - own["auc_low"], own["auc_high"] - own["auc"]]
            axes.errorbar(own["auc"], place, xerr=spread, fmt="o", markersize=4, color=colour, label=name)
        axes.set_yticks(list(places.values()), list(places))
        axes.set_ylim(len(places) - 0.5, -0.5)
        axes.axvline(0.5, color="#94a3b8", linestyle=":", linewidth=1)
        axes.set(xlabel="AUC with confidence interval")
        axes.legend(frameon=False, fontsize=8, loc="lower left", bbox_to_anchor=(0, 1), ncols=2)

    return draw(content, height=1.4 + 0.14 * len(places) * (len(names) + 1) + 0.1 * len(names))
