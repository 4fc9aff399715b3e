"""Two audits of a split: does anything leak across it, and does a property of the file alone tell the label?"""

import logging
import re
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict
from sklearn.tree import DecisionTreeClassifier

from fauxscan.params import SplitParams
from fauxscan.records import EXCLUDED, FAKE, REAL, UserError

log = logging.getLogger(__name__)
SHOWN = 5  # examples named in a message
REMEDY = {
    "format": "bring both classes to one format",
    "jpeg_tables": "bring both classes to one JPEG quality",
    "dimensions": "bring both classes to one size",
    "aspect": "crop both classes to one shape",
    "bytes": "bring both classes to one format, size and quality",
    "exif": "strip EXIF from both classes",
    "name": "the model never sees names, but they may betray how the classes were gathered",
}


def audit(table: pd.DataFrame, pairs: pd.DataFrame, params: SplitParams) -> dict[str, Any]:
    """Return counts of the splits, the leaks found, and the AUC that each file property reaches alone."""
    used = table[table["split"] != EXCLUDED]
    kinds = used["split"] + used["label"].map({REAL: "-real", FAKE: "-fake"})
    return {
        "files": {str(kind): int(count) for kind, count in kinds.value_counts().sort_index().items()},
        "excluded": int((table["split"] == EXCLUDED).sum()),
        "groups": int(table["group"].nunique()),
        "sources": int(table["source"].nunique()),
        "near_duplicates": len(pairs),
        "leaks": leaks(used, pairs),
        "shortcut_auc": shortcuts(used),
    }


def leaks(table: pd.DataFrame, pairs: pd.DataFrame) -> dict[str, list[str]]:
    """Return sources and near-duplicate pairs that stand on both sides of a split."""
    spread = table.groupby("source")["split"].nunique()
    split = table.drop_duplicates("sha256").set_index("sha256")
    known = pairs[pairs["one"].isin(split.index) & pairs["other"].isin(split.index)]
    crossing = known[known["one"].map(split["split"]).to_numpy() != known["other"].map(split["split"]).to_numpy()]
    named = [
        f"{split['path'][a]} ~ {split['path'][b]}" for a, b in zip(crossing["one"], crossing["other"], strict=True)
    ]
    return {"sources": sorted(spread[spread > 1].index), "near_duplicates": named}


def shortcuts(table: pd.DataFrame) -> dict[str, float]:
    """Return for each file property the cross-validated AUC with which it alone predicts the label."""
    return {name: round(_auc(values, table), 4) for name, values in properties(table).items()}


def properties(table: pd.DataFrame) -> dict[str, NDArray[np.float64]]:
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


def _codes(values: pd.Series) -> NDArray[np.float64]:
    return pd.factorize(values.astype(str), sort=True)[0].astype(float)[:, None]


def _auc(values: NDArray[np.float64], table: pd.DataFrame) -> float:
    """Return the AUC of a small tree, cross-validated by group; 0.5 where nothing varies."""
    if len(np.unique(values, axis=0)) < 2:
        return 0.5
    labels, groups = table["label"].to_numpy(), table["group"].to_numpy()
    folds = StratifiedGroupKFold(min(5, len(np.unique(groups))), shuffle=True, random_state=0)
    tree = DecisionTreeClassifier(max_depth=4, min_samples_leaf=max(5, len(table) // 100), random_state=0)
    scores = cross_val_predict(tree, values, labels, groups=groups, cv=folds, method="predict_proba")[:, 1]
    return float(roc_auc_score(labels, scores))


def enforce(found: dict[str, Any], params: SplitParams) -> None:
    """Raise UserError that names a leak; for a shortcut raise or warn, as params say, for names only warn."""
    crossing = found["leaks"]["sources"] + found["leaks"]["near_duplicates"]
    if crossing:
        raise UserError(f"{len(crossing)} leaks across the split, such as: {'; '.join(crossing[:SHOWN])}")
    tells = {name: auc for name, auc in found["shortcut_auc"].items() if auc > params.shortcut_auc}
    if not tells:
        return
    seen_by_models = set(tells) - {"name"}
    said = "; ".join(f"{name} (AUC {auc:.2f}): {REMEDY[name]}" for name, auc in tells.items())
    message = f"file properties alone tell real from fake (cap: AUC {params.shortcut_auc}): {said}"
    if params.on_shortcut == "fail" and seen_by_models:
        raise UserError(f"{message}. To go on all the same, set split.on_shortcut to warn in params.yaml")
    log.warning(message)
