"""Figures of a report, as SVG text that stands inside a page."""

import io
from collections.abc import Callable

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sklearn.metrics import roc_curve

from fauxscan.judging.metrics import BINS
from fauxscan.records import FAKE

COLOURS = ("#1b6ca8", "#d1495b", "#2e8b57", "#8d6a9f", "#c77d0a", "#475569", "#0f9aa8", "#a3243b")


def draw(content: Callable[[Axes], None], width: float = 6.0, height: float = 3.6) -> str:
    """Return the SVG of one pair of axes that `content` fills; the same inputs give the same text."""
    with mpl.rc_context({"svg.hashsalt": "fauxscan", "svg.fonttype": "none", "font.size": 9}):
        figure = Figure(figsize=(width, height), layout="constrained")
        axes = figure.subplots()
        axes.spines[["top", "right"]].set_visible(False)
        content(axes)
        text = io.StringIO()
        figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
    return text.getvalue()[text.getvalue().index("<svg") :]


def roc(scores: pd.DataFrame) -> str:
    """Return the ROC curve of each evaluation."""

    def content(axes: Axes) -> None:
        for colour, (name, rows) in zip(COLOURS * 9, scores.groupby("evaluation", sort=False), strict=False):
            false, true, _ = roc_curve(rows["label"], rows["p_fake"])
            axes.plot(false, true, color=colour, label=name)
        axes.plot([0, 1], [0, 1], color="#94a3b8", linestyle=":", linewidth=1)
        axes.set(xlabel="false positive rate", ylabel="true positive rate", xlim=(-0.01, 1.01), ylim=(-0.01, 1.01))
        axes.legend(frameon=False, fontsize=8)

    return draw(content)


def reliability(scores: pd.DataFrame) -> str:
    """Return, for each evaluation, the share of fakes among files of a like p_fake."""

    def content(axes: Axes) -> None:
        for colour, (name, rows) in zip(COLOURS * 9, scores.groupby("evaluation", sort=False), strict=False):
            of_bin = np.minimum((rows["p_fake"].to_numpy() * BINS).astype(int), BINS - 1)
            means = rows.assign(fake=rows["label"] == FAKE).groupby(of_bin)[["p_fake", "fake"]].mean()
            axes.plot(means["p_fake"], means["fake"], color=colour, marker="o", markersize=3, label=name)
        axes.plot([0, 1], [0, 1], color="#94a3b8", linestyle=":", linewidth=1)
        axes.set(xlabel="p_fake", ylabel="share of fakes", xlim=(-0.01, 1.01), ylim=(-0.01, 1.01))
        axes.legend(frameon=False, fontsize=8)

    return draw(content)


def by_generator(figures: pd.DataFrame) -> str:
    """Return the AUC of each evaluation for each generator, with its interval."""
    clean = figures[(figures["unit"] == "media") & (figures["degradation"] == "none")]
    return _intervals(clean, "generator")


def by_degradation(figures: pd.DataFrame) -> str:
    """Return the AUC of each evaluation for each degradation, with its interval."""
    overall = figures[(figures["unit"] == "media") & (figures["generator"] == "all")]
    return _intervals(overall, "degradation")


def _intervals(rows: pd.DataFrame, column: str) -> str:
    places = {value: n for n, value in enumerate(dict.fromkeys(rows[column]))}
    names = list(dict.fromkeys(rows["evaluation"]))

    def content(axes: Axes) -> None:
        for n, (colour, name) in enumerate(zip(COLOURS * 9, names, strict=False)):
            mine = rows[rows["evaluation"] == name]
            place = mine[column].map(places) + (n - (len(names) - 1) / 2) * 0.8 / len(names)
            spread = [mine["auc"] - mine["auc_low"], mine["auc_high"] - mine["auc"]]
            axes.errorbar(mine["auc"], place, xerr=spread, fmt="o", markersize=4, color=colour, label=name)
        axes.set_yticks(list(places.values()), list(places))
        axes.set_ylim(len(places) - 0.5, -0.5)
        axes.axvline(0.5, color="#94a3b8", linestyle=":", linewidth=1)
        axes.set(xlabel="AUC, with its interval")
        axes.legend(frameon=False, fontsize=8, loc="lower left", bbox_to_anchor=(0, 1), ncols=2)

    return draw(content, height=1.4 + 0.14 * len(places) * (len(names) + 1) + 0.1 * len(names))
