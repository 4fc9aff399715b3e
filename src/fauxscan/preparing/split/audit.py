"""Audit a split: what leaks across it, and which properties of the files alone predict the label."""

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
from fauxscan.preparing.split import folds
from fauxscan.records import EXCLUDED, FAKE, REAL, TEST, UserError

log = logging.getLogger(__name__)
SHOWN = 5  # examples in a message
NAMED = 1000  # leaks listed in the report; all are counted
REENCODE = "set `reencode` of the dataset, which gives both classes one"
REMEDY = {
    "format": f"{REENCODE} format",
    "jpeg_tables": f"{REENCODE} JPEG quality",
    "dimensions": f"{REENCODE} size",
    "aspect": f"{REENCODE} shape",
    "bytes": f"{REENCODE} format, size and quality",
    "exif": f"{REENCODE} format, without EXIF",
    "together": f"{REENCODE} format, size and quality",
    "name": "models never see names, but names may show how the classes were collected",
}
NOT_AUDITED = "Not checked for shortcuts: that needs reals and fakes from two groups each"
Columns = NDArray[np.float64]


def audit(table: pd.DataFrame, pairs: pd.DataFrame, params: SplitParams) -> dict[str, Any]:
    """Return the counts of each split, the leaks, and the AUC that each file property alone reaches."""
    used = table[table["split"] != EXCLUDED]
    kinds = used["split"] + used["label"].map({REAL: "-real", FAKE: "-fake"})
    leaking = leaks(used, pairs)
    return {
        "by": params.by,
        "files": {str(kind): int(count) for kind, count in kinds.value_counts().sort_index().items()},
        "excluded": int((table["split"] == EXCLUDED).sum()),
        "groups": int(table["group"].nunique()),
        "sources": int(table["source"].nunique()),
        "near_duplicates": len(pairs),
        "leaking": {kind: len(names) for kind, names in leaking.items()},
        "leaks": {kind: names[:NAMED] for kind, names in leaking.items()},
        "shortcut_auc": shortcuts(learned_from(used)),
    }


def leaks(table: pd.DataFrame, pairs: pd.DataFrame) -> dict[str, list[str]]:
    """Return the sources, identities and near-duplicate pairs that are in more than one split."""
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
    """Return the files outside the test split, which shortcuts could be learned from; all if those have one class."""
    learned = table[table["split"] != TEST]
    return learned if learned["label"].nunique() > 1 else table


def shortcuts(table: pd.DataFrame) -> dict[str, float]:
    """Return the cross-validated AUC with which each file property alone predicts the label.

    `together` is the AUC of all properties at once, without names, since no model sees them. The result is empty if a
    class is missing or has only one group.
    """
    labels, groups = table["label"].to_numpy(), table["group"].to_numpy(dtype=str)
    count = min(5, table.groupby("label")["group"].nunique().min())
    if table["label"].nunique() < 2 or count < 2:
        return {}
    cv_folds = folds.grouped(labels, groups, count, seed=0)
    columns = properties(table)
    columns["together"] = np.concatenate([values for name, values in columns.items() if name != "name"], axis=1)
    return {name: round(_auc(values, labels, cv_folds), 4) for name, values in columns.items()}


def properties(table: pd.DataFrame) -> dict[str, Columns]:
    """Return the file properties as numbers, each an array of shape (files, n)."""
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


def _auc(values: Columns, labels: NDArray[Any], cv_folds: list[folds.Fold]) -> float:
    """Return the AUC of a small decision tree, cross-validated by group; 0.5 if the values do not vary."""
    if len(np.unique(values, axis=0)) < 2:
        return 0.5
    tree = DecisionTreeClassifier(max_depth=4, min_samples_leaf=max(5, len(labels) // 100), random_state=0)
    scores = cross_val_predict(tree, values, labels, cv=cv_folds, method="predict_proba")[:, 1]
    return float(roc_auc_score(labels, scores))


def passes(result: dict[str, Any], params: SplitParams) -> bool:
    """Return whether nothing leaks, and no property that a model sees reveals the label."""
    seen = (auc for name, auc in result["shortcut_auc"].items() if name != "name")
    leaking = sum(result["leaking"].get(kind, 0) for kind in (*_forbidden(params), "exact_copies"))
    return not leaking and max(seen, default=0) <= params.shortcut_auc


def _forbidden(params: SplitParams) -> list[str]:
    """Return the kinds of leaks that are not allowed: a split by source may divide the files of one person."""
    return ["sources", "near_duplicates"] if params.by == "source" else ["sources", "identities", "near_duplicates"]


def enforce(result: dict[str, Any], params: SplitParams) -> None:
    """Raise UserError for a leak, and for a shortcut unless `split.on_shortcut` is warn."""
    crossing = [name for kind in _forbidden(params) for name in result["leaks"][kind]]
    if crossing:
        count = sum(result["leaking"][kind] for kind in _forbidden(params))
        message = f"{count} leaks across the split, such as: {'; '.join(crossing[:SHOWN])}"
        if params.by != "random_frames":
            raise UserError(message)
        log.warning("%s. This is expected with split.by random_frames: do not trust figures of this split", message)
    _enforce_shortcuts(result["shortcut_auc"], params)


def _enforce_shortcuts(reached: dict[str, float], params: SplitParams) -> None:
    if not reached:
        log.info(NOT_AUDITED)
    shortcuts_found = {name: auc for name, auc in reached.items() if auc > params.shortcut_auc}
    if not shortcuts_found:
        return
    listed = "; ".join(f"{name} (AUC {auc:.2f}): {REMEDY[name]}" for name, auc in shortcuts_found.items())
    message = f"file properties alone separate real from fake (limit: AUC {params.shortcut_auc}): {listed}"
    if params.on_shortcut == "fail" and set(shortcuts_found) != {"name"}:
        raise UserError(f"{message}. To continue anyway, set split.on_shortcut to warn in params.yaml")
    log.warning(message)
