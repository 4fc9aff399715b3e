"""Two audits of a split: does anything leak across it, and does a property of the file alone tell the label?"""

import logging
import re
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import cross_val_predict
from sklearn.tree import DecisionTreeClassifier

from fauxscan.params import SplitParams
from fauxscan.preparing import folds
from fauxscan.records import EXCLUDED, FAKE, REAL, TEST, UserError

log = logging.getLogger(__name__)
SHOWN = 5  # examples named in a message
NAMED = 1000  # leaks named in the report; all are counted
ALIGN = "set `align` of the dataset, which gives both classes one"
REMEDY = {
    "format": f"{ALIGN} format",
    "jpeg_tables": f"{ALIGN} JPEG quality",
    "dimensions": f"{ALIGN} size",
    "aspect": f"{ALIGN} shape",
    "bytes": f"{ALIGN} format, size and quality",
    "exif": f"{ALIGN} format, without EXIF",
    "together": f"{ALIGN} format, size and quality",
    "name": "the model never sees names, but they may betray how the classes were gathered",
}
NOT_AUDITED = "reals and fakes of two groups each are needed to look for shortcuts: none were looked for"
Columns = NDArray[np.float64]


def audit(table: pd.DataFrame, pairs: pd.DataFrame, params: SplitParams) -> dict[str, Any]:
    """Return counts of the splits, the leaks found, and the AUC that each file property reaches alone."""
    used = table[table["split"] != EXCLUDED]
    kinds = used["split"] + used["label"].map({REAL: "-real", FAKE: "-fake"})
    found = leaks(used, pairs)
    return {
        "by": params.by,
        "files": {str(kind): int(count) for kind, count in kinds.value_counts().sort_index().items()},
        "excluded": int((table["split"] == EXCLUDED).sum()),
        "groups": int(table["group"].nunique()),
        "sources": int(table["source"].nunique()),
        "near_duplicates": len(pairs),
        "leaking": {kind: len(names) for kind, names in found.items()},
        "leaks": {kind: names[:NAMED] for kind, names in found.items()},
        "shortcut_auc": shortcuts(learned_from(used)),
    }


def leaks(table: pd.DataFrame, pairs: pd.DataFrame) -> dict[str, list[str]]:
    """Return sources, identities and near-duplicate pairs that stand on both sides of a split."""
    split = dict(zip(table["sha256"], table["split"], strict=True))
    path = dict(zip(table["sha256"], table["path"], strict=True))
    known = pairs[pairs["one"].isin(split) & pairs["other"].isin(split)]
    crossing = known[known["one"].map(split).to_numpy() != known["other"].map(split).to_numpy()]
    return {
        "sources": _crossing(table, "source"),
        "identities": _crossing(table, "identities"),
        "near_duplicates": [f"{path[a]} ~ {path[b]}" for a, b in crossing[["one", "other"]].to_numpy()],
    }


def _crossing(table: pd.DataFrame, token: str) -> list[str]:
    named = table[[token, "split"]].explode(token).dropna()
    spread = named.groupby(token)["split"].nunique()
    return sorted(str(name) for name in spread[spread > 1].index)


def learned_from(table: pd.DataFrame) -> pd.DataFrame:
    """Return the files outside the test split, from which a shortcut could be learned; all, if those are one class."""
    learned = table[table["split"] != TEST]
    return learned if learned["label"].nunique() > 1 else table


def shortcuts(table: pd.DataFrame) -> dict[str, float]:
    """Return for each file property the cross-validated AUC with which it alone predicts the label.

    `together` is what all of them reach at once, names left out, since no model sees them. Nothing is returned where
    a class is missing or of one group.
    """
    labels, groups = table["label"].to_numpy(), table["group"].to_numpy(dtype=str)
    count = min(5, table.groupby("label")["group"].nunique().min())
    if table["label"].nunique() < 2 or count < 2:
        return {}
    cut = folds.grouped(labels, groups, count, seed=0)
    found = properties(table)
    found["together"] = np.concatenate([values for name, values in found.items() if name != "name"], axis=1)
    return {name: round(_auc(values, labels, cut), 4) for name, values in found.items()}


def properties(table: pd.DataFrame) -> dict[str, Columns]:
    """Return the file properties as columns of numbers, each of shape (files, n)."""
    width, height = table["width"].to_numpy(float), table["height"].to_numpy(float)
    pattern = table["path"].map(lambda path: re.sub(r"\d+", "0", path.rsplit("/", 1)[-1]))
    size = table["size"].to_numpy(float)
    return {
        "format": _codes(table["format"]),
        "jpeg_tables": _codes(table["jpeg_tables"]),
        "dimensions": np.stack([width, height], 1),
        "aspect": (width / height)[:, None],
        "bytes": np.stack([size, size / (width * height)], 1),
        "exif": _codes(table["exif"]),
        "name": _codes(pattern),
    }


def _codes(values: pd.Series) -> Columns:
    known = values if isinstance(values.dtype, pd.CategoricalDtype) else values.astype(str)
    return pd.factorize(known, sort=True)[0].astype(float)[:, None]


def _auc(values: Columns, labels: NDArray[Any], cut: list[folds.Fold]) -> float:
    """Return the AUC of a small tree, cross-validated by group; 0.5 where nothing varies."""
    if len(np.unique(values, axis=0)) < 2:
        return 0.5
    tree = DecisionTreeClassifier(max_depth=4, min_samples_leaf=max(5, len(labels) // 100), random_state=0)
    scores = cross_val_predict(tree, values, labels, cv=cut, method="predict_proba")[:, 1]
    return float(roc_auc_score(labels, scores))


def passes(found: dict[str, Any], params: SplitParams) -> bool:
    """Return whether nothing leaks and nothing that a model sees gives the label away."""
    seen = (auc for name, auc in found["shortcut_auc"].items() if name != "name")
    leaking = sum(found["leaking"].get(kind, 0) for kind in (*_forbidden(params), "exact_copies"))
    return not leaking and max(seen, default=0) <= params.shortcut_auc


def _forbidden(params: SplitParams) -> list[str]:
    """Return the leaks that count: a split by source may divide a person."""
    return ["sources", "near_duplicates"] if params.by == "source" else ["sources", "identities", "near_duplicates"]


def enforce(found: dict[str, Any], params: SplitParams) -> None:
    """Raise UserError that names a leak, or a shortcut where params say so; else warn."""
    crossing = [name for kind in _forbidden(params) for name in found["leaks"][kind]]
    if crossing:
        count = sum(found["leaking"][kind] for kind in _forbidden(params))
        message = f"{count} leaks across the split, such as: {'; '.join(crossing[:SHOWN])}"
        if params.by != "random_frames":
            raise UserError(message)
        log.warning("%s. That is what split.by random_frames does: trust no figure of this split", message)
    _enforce_shortcuts(found["shortcut_auc"], params)


def _enforce_shortcuts(reached: dict[str, float], params: SplitParams) -> None:
    if not reached:
        log.info(NOT_AUDITED)
    tells = {name: auc for name, auc in reached.items() if auc > params.shortcut_auc}
    if not tells:
        return
    said = "; ".join(f"{name} (AUC {auc:.2f}): {REMEDY[name]}" for name, auc in tells.items())
    message = f"file properties alone tell real from fake (cap: AUC {params.shortcut_auc}): {said}"
    if params.on_shortcut == "fail" and set(tells) != {"name"}:
        raise UserError(f"{message}. To go on all the same, set split.on_shortcut to warn in params.yaml")
    log.warning(message)
