"""The main figures of a report, for a terminal."""

from collections.abc import Hashable, Mapping
from pathlib import Path

import pandas as pd
from rich.console import Console
from rich.table import Table

from fauxscan.records import UserError
from fauxscan.reporting import page, tables

HEADINGS = ("evaluation", "files", "accuracy", "interval", "AUC", "interval")


def show(console: Console, reports: Path) -> None:
    """Print one row for each evaluation, and the paths of the report. Raise UserError if there is no report."""
    if not (reports / page.TABLE).is_file():
        raise UserError(f"no {page.TABLE} in {reports}: run `make repro` first")
    table = Table(*HEADINGS, box=None)
    for row in tables.headline(pd.read_parquet(reports / page.TABLE)).to_dict("records"):
        accuracy, auc = (_with_interval(row, name) for name in ("accuracy", "auc"))
        table.add_row(str(row["evaluation"]), str(row["reals"] + row["fakes"]), *accuracy, *auc)
    console.print(table)
    console.print(f"table: {reports / page.TABLE}", f"page:  {reports / page.PAGE}", sep="\n")


def _with_interval(row: Mapping[Hashable, float], name: str) -> tuple[str, str]:
    return f"{row[name]:.3f}", f"{row[f'{name}_low']:.3f} to {row[f'{name}_high']:.3f}"
