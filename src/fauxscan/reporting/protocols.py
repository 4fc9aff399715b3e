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
    """Yield a title and a table for each figure that the head has. Several seeds are averaged."""
    auc, whole = rows["figure"] == "auc", rows["dataset"] == ""
    yield from _titled("AUC beside all unseen reals, with its interval:", rows[auc & whole])
    yield from _titled("AUC beside the reals of the same dataset:", rows[auc & ~whole])
    for figure in (name for name in rows["figure"].unique() if name.startswith(FOUND)):
        rate = float(figure.removeprefix(FOUND))
        title = f"Share of fakes found, at {rate:.3g} false positives among the reals of other datasets:"
        yield from _titled(title, rows[rows["figure"] == figure])
        title = "False positives that this threshold gives on the reals that were left out:"
        yield from _titled(title, rows[rows["figure"] == f"{ERRED}{rate:g}"], "dataset", "max")


def _titled(title: str, rows: pd.DataFrame, by: str = "generator", worst: str = "min") -> Iterator[str]:
    if (rows["left_out"] != "").any():
        yield title
        yield _matrix(rows, by, worst)


def _matrix(rows: pd.DataFrame, by: str, worst: str) -> str:
    """Return one figure as a table: a row for each value of `by`, a column for each tier and in distribution."""
    left_out = rows[rows["left_out"] != ""]
    within = rows[(rows["left_out"] == "") & (rows["tier"] == "native")].assign(tier=WITHIN)
    cells = pd.concat([left_out, within]).groupby([by, "tier"])[["value", "low", "high"]].mean().unstack("tier")
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
