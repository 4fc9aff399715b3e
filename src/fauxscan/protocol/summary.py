"""The few numbers of a protocol that decide between heads: means, the worst generator and the worst reals."""

from typing import Any

import pandas as pd

from fauxscan.protocol.figures import ERRED, FOUND

Summary = dict[str, dict[str, dict[str, Any]]]
DIGITS = 4


def summary(table: pd.DataFrame) -> Summary:
    """Return the numbers by head and tier, as means over seeds: for each figure its mean, the worst, and of what.

    `auc` and `cllr` are those beside all unseen reals, `own_auc` beside the reals of the fakes' own dataset.
    """
    found: Summary = {}
    for (head, tier), rows in table.groupby(["head", "tier"], sort=False):
        found.setdefault(str(head), {})[str(tier)] = _of(rows)
    return found


def _of(rows: pd.DataFrame) -> dict[str, Any]:
    left_out, within = rows[rows["left_out"] != ""], rows[rows["left_out"] == ""]
    of_all = left_out[left_out["dataset"] == ""]
    own = left_out[(left_out["dataset"] != "") & (left_out["figure"] == "auc")]
    numbers = {
        **_numbers("auc", of_all[of_all["figure"] == "auc"], "generator", highest=False),
        **_numbers("own_auc", own, "generator", highest=False),
        **_numbers("cllr", of_all[of_all["figure"] == "cllr"], "generator", highest=True),
    }
    for name in left_out["figure"].unique():
        ranked = left_out[left_out["figure"] == name]
        if name.startswith(FOUND):
            numbers |= _numbers(name, ranked, "generator", highest=False)
        elif name.startswith(ERRED):
            numbers |= _numbers(name, ranked, "dataset", highest=True)
    auc = within[(within["figure"] == "auc") & (within["dataset"] == "")]
    return numbers | _numbers("in_distribution_auc", auc, "generator", highest=False)


def _numbers(name: str, rows: pd.DataFrame, by: str, highest: bool) -> dict[str, Any]:
    """Return the mean over the values of `by`, the worst and whose it is; nothing if none is known."""
    means = rows.dropna(subset="value").groupby(by)["value"].mean()
    if means.empty:
        return {}
    worst, value = (means.idxmax(), means.max()) if highest else (means.idxmin(), means.min())
    return {
        name: round(float(means.mean()), DIGITS),
        f"{name}_worst": round(float(value), DIGITS),
        f"{name}_worst_{by}": str(worst),
    }
