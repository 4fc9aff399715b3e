"""The report: one joined table, and one self-contained HTML page that needs no network."""

from collections.abc import Sequence
from importlib import resources
from pathlib import Path

import jinja2

from fauxscan.reporting import figures as drawing
from fauxscan.reporting import tables

PAGE, TABLE, TEMPLATE = "report.html", "evaluation.parquet", "page.html"
COLUMNS = (
    "evaluation", "model", "trained_on", "dataset", "unit", "degradation", "generator", "reals", "fakes", "sources",
    "majority", "accuracy", "accuracy_low", "accuracy_high", "even", "even_accuracy", "even_accuracy_low",
    "even_accuracy_high", "auc", "auc_low", "auc_high", "average_precision", "balanced_accuracy",
    "false_positive_rate", "true_positive_rate", "brier", "calibration_error",
    "coverage", "coverage_low", "coverage_high", "risk", "risk_low", "risk_high", "confidence", "model_digest",
)  # fmt: skip


def write(evaluations: Path, names: Sequence[str], confidence: float, out: Path) -> None:
    """Write `evaluation.parquet` and `report.html` for the named evaluations to `out`."""
    figures = tables.join(evaluations, names, "figures.parquet")[list(COLUMNS)]
    scores = tables.join(evaluations, names, "scores.parquet")
    clean = scores[(scores["unit"] == "media") & (scores["degradation"] == "none")]
    out.mkdir(parents=True, exist_ok=True)
    figures.to_parquet(out / TABLE, index=False, compression="zstd")
    page = template().render(
        headline=tables.headline(figures).to_dict("records"),
        all_rows=figures.to_dict("records"),
        columns=COLUMNS,
        confidence=confidence,
        drawings={
            "ROC curves": drawing.roc(clean),
            "AUC by generator": drawing.by_generator(figures),
            "AUC after degradation": drawing.by_degradation(figures),
            "Calibration: share of fakes by p_fake": drawing.reliability(clean),
            "Risk against coverage": drawing.risk_against_coverage(clean),
        },
    )
    (out / PAGE).write_text(page, encoding="utf-8")


def template() -> jinja2.Template:
    """Return the template of the page, which escapes every value."""
    text = resources.files("fauxscan.reporting").joinpath(TEMPLATE).read_text(encoding="utf-8")
    return jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True).from_string(text)
