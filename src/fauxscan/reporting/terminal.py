"""The main figures of a report, for a terminal."""

from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Console

from fauxscan.records import UserError
from fauxscan.reporting import page, scans, tables

COLUMNS = ("evaluation", "files", "accuracy", "accuracy interval", "AUC", "AUC interval")


def show(console: Console, reports: Path) -> None:
    """Print one row for each evaluation, and the paths of the report. Raise UserError if there is no report."""
    if not (reports / page.TABLE).is_file():
        raise UserError(f"no {page.TABLE} in {reports}: run `make repro` first")
    rows = tables.headline(pd.read_parquet(reports / page.TABLE)).to_dict("records")
    scans.print_table(console, map(_line, rows), COLUMNS)
    console.print(f"table: {reports / page.TABLE}", f"page:  {reports / page.PAGE}", sep="\n", soft_wrap=True)


def _line(row: Mapping[Hashable, Any]) -> dict[str, Any]:
    """Return the table line of an evaluation, with COLUMNS."""
    line = {"evaluation": row["evaluation"], "files": row["reals"] + row["fakes"]}
    for heading, name in (("accuracy", "accuracy"), ("AUC", "auc")):
        line[heading] = float(row[name])
        line[f"{heading} interval"] = f"{row[f'{name}_low']:.3f} to {row[f'{name}_high']:.3f}"
    return line
