"""The table of a protocol in Markdown: generators as rows, tiers as columns, the mean and the worst at the bottom."""

from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from fauxscan.records import UserError

TABLE = "table.parquet"
FOUND, ERRED = "found_at_", "false_positive_rate_at_"
WITHIN = "in distribution"


def markdown(protocols: Path, name: str) -> str:
    """Return the tables of each head of the protocol `name`, whose folder is in `protocols`.

    Raise UserError if there is none.
    """
    file = protocols / name / TABLE
    if not file.is_file():
        known = ", ".join(sorted(path.parent.name for path in protocols.glob(f"*/{TABLE}"))) or "none"
        raise UserError(f"no protocol {name} in {protocols}, which has: {known}. Run `dvc repro protocol@{name}` first")
    table = pd.read_parquet(file)
    heads = table.groupby("head", sort=False)
    return "\n\n".join(part for head, rows in heads for part in (f"## {head}", *_of_head(rows))) + "\n"


def _of_head(rows: pd.DataFrame) -> Iterator[str]:
    """Yield headings and tables, in which several seeds are averaged."""
    of_all = rows[rows["dataset"] == ""]
    own = rows[rows["dataset"] != ""]
    within = rows[(rows["left_out"] == "") & (rows["tier"] == "native")]
    yield "AUC beside all unseen reals, with its interval:"
    yield _matrix(of_all[of_all["figure"] == "auc"], "generator", within[within["dataset"] == ""])
    yield "AUC beside the reals of the same dataset:"
    yield _matrix(own[own["figure"] == "auc"], "generator", within[within["dataset"] != ""])
    for figure in (name for name in rows["figure"].unique() if name.startswith(FOUND)):
        rate = float(figure.removeprefix(FOUND))
        yield f"Share of fakes found, at {rate:.3g} false positives among the reals of other datasets:"
        yield _matrix(of_all[of_all["figure"] == figure], "generator", within)
        yield "False positives that this threshold gives on the reals that were left out:"
        yield _matrix(rows[rows["figure"] == f"{ERRED}{rate:g}"], "dataset", within, worst="max")


def _matrix(rows: pd.DataFrame, by: str, within: pd.DataFrame, worst: str = "min") -> str:
    """Return one figure as a table: a row for each value of `by`, a column for each tier and in distribution."""
    left_out = rows[rows["left_out"] != ""]
    same = within[within["figure"].isin(rows["figure"].unique())]
    parts = [left_out, same.assign(tier=WITHIN)]
    cells = pd.concat(parts).groupby([by, "tier"], sort=False)[["value", "low", "high"]].mean().unstack("tier")
    tiers = [*left_out["tier"].unique(), WITHIN]
    lines = [[by, *tiers], ["---"] * (len(tiers) + 1)]
    lines += [[str(name), *(_cell(row, tier) for tier in tiers)] for name, row in cells.sort_index().iterrows()]
    for title, how in (("mean", "mean"), ("worst", worst)):
        values = cells["value"].agg(how)
        lines.append([f"**{title}**", *(_number(values.get(tier)) for tier in tiers)])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(row: "pd.Series[float]", tier: str) -> str:
    value, low, high = (row.get((name, tier)) for name in ("value", "low", "high"))
    interval = "" if pd.isna(low) else f" ({_number(low)} to {_number(high)})"
    return _number(value) + interval


def _number(value: float | None) -> str:
    return "unknown" if value is None or pd.isna(value) else f"{value:.3f}"
