"""An audit in a terminal: what leaks, what gives the label away, and what to do."""

from typing import Any

from rich.console import Console
from rich.table import Table

from fauxscan.preparing.audit import NOT_AUDITED, REMEDY, SHOWN


def show(console: Console, found: dict[str, Any], cap: float) -> None:
    """Print the files by split, each kind of leak, and the AUC of each file property beside its cap."""
    files = ", ".join(f"{kind} {count}" for kind, count in found["files"].items())
    console.print(f"split by {found['by']}: {files}; excluded {found['excluded']}", soft_wrap=True)
    console.print(f"{found['sources']} sources, {found['near_duplicates']} links between near-duplicates", end=", ")
    console.print(f"{found['groups']} groups that stay together\n")
    leaks = Table("across the split", "leaks", "such as", box=None)
    for kind, names in found["leaks"].items():
        leaks.add_row(kind.replace("_", " "), str(found["leaking"][kind]), "; ".join(names[:SHOWN]) or "-")
    console.print(leaks, "")
    if not found["shortcut_auc"]:
        console.print(NOT_AUDITED, soft_wrap=True)
        return
    tells = Table("what the file tells", "AUC", f"cap {cap}", "what to do", box=None)
    for name, auc in found["shortcut_auc"].items():
        passes = auc <= cap
        tells.add_row(
            name.replace("_", " "), f"{auc:.2f}", "passes" if passes else "TELLS", "-" if passes else REMEDY[name]
        )
    console.print(tells)
