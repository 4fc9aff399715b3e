"""An audit of a split, printed in a terminal: leaks, shortcuts, and how to remove them."""

from typing import Any

from rich.console import Console
from rich.table import Table

from fauxscan.preparing.split.audit import NOT_AUDITED, REMEDY, SHOWN


def show(console: Console, audit: dict[str, Any], limit: float) -> None:
    """Print the number of files in each split, leaks between splits, and the AUC of each file property."""
    _print_files(console, audit)
    console.print(_leaks(audit), "")
    if audit["shortcut_auc"]:
        console.print(_shortcuts(audit["shortcut_auc"], limit))
    else:
        console.print(NOT_AUDITED, soft_wrap=True)


def _print_files(console: Console, audit: dict[str, Any]) -> None:
    files = ", ".join(f"{split} {count}" for split, count in audit["files"].items())
    console.print(f"split by {audit['by']}: {files}; excluded {audit['excluded']}", soft_wrap=True)
    near = f"{audit['near_duplicates']} pairs of near-duplicates"
    console.print(f"{audit['sources']} sources, {near}, {audit['groups']} groups kept together\n", soft_wrap=True)


def _leaks(audit: dict[str, Any]) -> Table:
    table = Table("in several splits", "leaks", "examples", box=None)
    for kind, names in audit["leaks"].items():
        table.add_row(kind.replace("_", " "), str(audit["leaking"][kind]), "; ".join(names[:SHOWN]) or "-")
    return table


def _shortcuts(aucs: dict[str, float], limit: float) -> Table:
    """Return a table of file properties with the AUC that each alone reaches for real against fake."""
    table = Table("file property", "AUC", f"limit {limit}", "what to do", box=None)
    for name, auc in aucs.items():
        passes = auc <= limit
        result, remedy = ("passes", "-") if passes else ("FAILS", REMEDY[name])
        table.add_row(name.replace("_", " "), f"{auc:.2f}", result, remedy)
    return table
