"""An audit of a split, printed in a terminal: leaks, shortcuts, and how to remove them."""

from typing import Any

from rich.console import Console

from fauxscan.preparing.split.audit import NOT_AUDITED, REMEDY, SHOWN
from fauxscan.reporting import scans


def show(console: Console, audit: dict[str, Any], limit: float) -> None:
    """Print the number of files in each split, leaks, and the AUC of each file property."""
    _print_files(console, audit)
    _print_leaks(console, audit)
    console.print()
    if audit["shortcut_auc"]:
        _print_shortcuts(console, audit["shortcut_auc"], limit)
    else:
        console.print(NOT_AUDITED, soft_wrap=True)


def _print_files(console: Console, audit: dict[str, Any]) -> None:
    kinds = {kind if audit["by"] else kind.rpartition("-")[2]: count for kind, count in audit["files"].items()}
    files = ", ".join(f"{kind} {count}" for kind, count in kinds.items())
    split = f"split by {audit['by']}" if audit["by"] else "no split"
    console.print(f"{split}: {files}; excluded {audit['excluded']}", soft_wrap=True)
    near = f"{audit['near_duplicates']} pairs of near-duplicates"
    console.print(f"{audit['sources']} sources, {near}, {audit['groups']} groups kept together\n", soft_wrap=True)


def _print_leaks(console: Console, audit: dict[str, Any]) -> None:
    heading = "in several splits" if audit["by"] else "in both classes"
    rows = [
        {heading: kind.replace("_", " "), "leaks": audit["leaking"][kind], "examples": examples}
        for kind, names in audit["leaks"].items()
        for examples in ["; ".join(names[:SHOWN]) or "-"]
    ]
    scans.print_table(console, rows, (heading, "leaks", "examples"))


def _print_shortcuts(console: Console, aucs: dict[str, float], limit: float) -> None:
    """Print a table of file properties with the AUC that each alone reaches for real against fake."""
    rows = []
    for name, auc in aucs.items():
        result, remedy = ("passes", "-") if auc <= limit else ("FAILS", REMEDY[name])
        property_ = name.replace("_", " ")
        rows.append({"file property": property_, "AUC": f"{auc:.2f}", f"limit {limit}": result, "what to do": remedy})
    scans.print_table(console, rows, ("file property", "AUC", f"limit {limit}", "what to do"))
